//! Logged batches: all their writes happen in the end, or none (Cassandra
//! `StorageProxy.mutateAtomically`, `BatchlogManager`).

use super::Coordinator;
use super::plan::Plan;
use super::write::{expect_mutated, in_doubt, views_of};
use crate::batch_log::{Batch, Due, due, keepers};
use crate::error::{ClusterError, WriteKind};
use crate::message::Body;
use crate::paxos::ballot::Ballot;
use crate::ring::{Member, MemberIndex};
use dodona_storage::StorageError;
use dodona_types::{Consistency, MutationView};
use std::sync::Arc;
use uuid::Uuid;

/// Batches whose keeping is confirmed at a time, before their writes are made again.
const AT_ONCE: usize = 32;

impl Coordinator {
    /// Writes the mutations of a logged batch, and returns once enough replicas have each. Once two
    /// members keep the batch, all of it is written in the end, whatever comes of this.
    ///
    /// # Errors
    /// [`ClusterError::Unavailable`] if too few replicas of a part, or keepers, are alive: nothing is written then.
    /// [`ClusterError::BatchLogTimeout`] if the batch is not kept in time; else as [`Self::write`]: it is
    /// written later then.
    pub async fn write_logged(
        &self,
        mutations: &[Vec<u8>],
        consistency: Consistency,
    ) -> Result<(), ClusterError> {
        let is_unplanned = self.env.mutants.has("batch-is-kept-unplanned");
        if mutations.len() < 2 || (!is_unplanned && self.is_local(mutations, consistency)?) {
            return self.write(mutations, consistency).await;
        }
        let written_micros = self.env.clock.wall_micros();
        let id = Ballot::new(self.timestamps.next(), self.random.next_u64()).to_timeuuid();
        let batch = Batch { id, written_micros, mutations: mutations.to_vec() };
        let keepers = self.keep(consistency, id, &batch.encode()).await?;
        if self.env.mutants.has("batch-is-forgotten-early") {
            self.forget(&keepers, id);
        }
        if self.env.mutants.has("batch-ends-early") {
            return Ok(());
        }
        // It is written later if too few are alive by now.
        let written = self.write_as(WriteKind::Batch, mutations, consistency).await;
        written.map_err(|error| if is_unplanned { error } else { in_doubt(error, WriteKind::Batch) })?;
        // At ANY a hint may be all there is of a part, and is lost with this node.
        if consistency != Consistency::Any {
            self.forget(&keepers, id);
        }
        Ok(())
    }

    /// True if this node is the only replica of all of them. All are looked at, so that a batch is kept only if each part
    /// of it can be written as things are.
    fn is_local(&self, mutations: &[Vec<u8>], consistency: Consistency) -> Result<bool, ClusterError> {
        Ok(self.plans(&views_of(mutations)?, consistency)?.iter().all(Plan::only_local))
    }

    /// Has members keep a batch. Returns which ones.
    async fn keep(
        &self,
        consistency: Consistency,
        id: Uuid,
        batch: &[u8],
    ) -> Result<Vec<Member>, ClusterError> {
        let mut asked = 0;
        loop {
            let placement = self.placement.load_full();
            let members = placement.ring.members();
            let keepers = keepers(members, placement.local, &*self.liveness, &self.random);
            let mut keepers: Vec<Member> = keepers.into_iter().map(|index| members[index].clone()).collect();
            if keepers.is_empty() && consistency == Consistency::Any {
                // A hint is all that ANY asks for, and is lost with this node as well.
                keepers.push(members[placement.local].clone());
            }
            if keepers.is_empty() && asked == 0 {
                let (consistency, data_center) = (Consistency::One, None);
                return Err(ClusterError::Unavailable { consistency, required: 1, alive: 0, data_center });
            }
            if self.env.mutants.has("batch-is-not-kept") {
                return Ok(keepers);
            }
            asked = asked.max(keepers.len() as u32);
            match self.keep_with(&keepers, placement.version, id, batch).await {
                // One of them may be about to leave.
                Err(ClusterError::Stale(version)) => {
                    let followed = self.follow_members(version).await;
                    followed.map_err(|_| not_kept(0, asked))?;
                }
                kept => return kept.map(|()| keepers),
            }
        }
    }

    /// Has these members keep a batch, chosen by this version of the members.
    async fn keep_with(
        &self,
        keepers: &[Member],
        version: u64,
        id: Uuid,
        batch: &[u8],
    ) -> Result<(), ClusterError> {
        let here = self.here();
        let kept = keepers.iter().map(|keeper| async move {
            if keeper.host == here {
                return self.batches.keep(id, batch).await;
            }
            let body = Body::KeepBatch([id.as_bytes(), batch].concat());
            let asked = self.peers.ask_chosen(version, keeper.internode, body, self.timeouts.write);
            expect_mutated(asked.await)
        });
        let kept = futures_util::future::join_all(kept).await;
        if let Some(Err(ClusterError::Stale(version))) =
            kept.iter().find(|kept| matches!(kept, Err(ClusterError::Stale(_))))
        {
            return Err(ClusterError::Stale(*version));
        }
        let received = kept.iter().filter(|kept| kept.is_ok()).count() as u32;
        let block_for = keepers.len() as u32;
        if received < block_for || keepers.is_empty() {
            return Err(not_kept(received, block_for));
        }
        Ok(())
    }

    /// Has other members keep the batches that this node keeps, which is about to leave.
    ///
    /// # Errors
    /// Too few of them do: the rest is kept on.
    pub(crate) async fn hand_batches_on(&self) -> Result<(), ClusterError> {
        for batch in self.batches.all().await? {
            let placement = self.placement.load_full();
            let (members, local) = (placement.ring.members(), placement.local);
            let is_other = |index: &MemberIndex| {
                let member = &members[*index];
                *index != local && member.status.stays() && self.liveness.is_alive(member.host)
            };
            let mut others = keepers(members, local, &*self.liveness, &self.random);
            others.retain(is_other);
            if others.is_empty() {
                // It is the last one of its data centre.
                others.extend((0..members.len()).find(is_other));
            }
            let others: Vec<Member> = others.into_iter().map(|index| members[index].clone()).collect();
            self.keep_with(&others, placement.version, batch.id, &batch.encode()).await?;
            self.batches.forget(batch.id).await?;
        }
        Ok(())
    }

    /// Has the keepers forget a batch. One that does not hear of it makes the writes again, which
    /// changes nothing.
    fn forget(&self, keepers: &[Member], id: Uuid) {
        let here = self.here();
        for keeper in keepers {
            if keeper.host == here {
                let batches = Arc::clone(&self.batches);
                self.env.tasks.spawn_local(async move {
                    if let Err(error) = batches.forget(id).await {
                        tracing::debug!(%error, "a batch is kept on");
                    }
                });
                continue;
            }
            let (peers, address, timeout) = (Arc::clone(&self.peers), keeper.internode, self.timeouts.write);
            self.env.tasks.spawn_local(async move {
                let body = Body::ForgetBatch(id.as_bytes().to_vec());
                if let Err(error) = expect_mutated(peers.ask(address, body, timeout).await) {
                    tracing::debug!(%error, "a batch is kept on");
                }
            });
        }
    }

    fn here(&self) -> Uuid {
        let placement = self.placement.load();
        placement.ring.members()[placement.local].host
    }

    /// Makes the writes of batches again that this node has kept for long enough. Returns how many. One that cannot be made
    /// does not hold up the others.
    ///
    /// # Errors
    /// The batches cannot be read, or too few replicas take a write: the batch is kept on.
    pub async fn replay_batches(&self) -> Result<u64, ClusterError> {
        let (mut replayed, mut waiting, era) = (Ok(0), Vec::new(), self.batches.era());
        for batch in self.batches.all().await? {
            let (mut mutations, grace) = self.of_present_tables(&batch.mutations)?;
            if self.env.mutants.has("batch-replay-forgets-a-part") {
                mutations.truncate(1);
            }
            match due(batch.written_micros, self.env.clock.wall_micros(), self.timeouts.write, grace) {
                Due::In(_) => {}
                Due::Now if !mutations.is_empty() => waiting.push((batch, mutations)),
                Due::Now | Due::Never => self.batches.forget(batch.id).await?,
            }
        }
        for some in waiting.chunks(AT_ONCE) {
            let _turn = self.batches.turn().await;
            let is_void = |mutation: &Vec<u8>| self.batches.is_void_since(mutation, era);
            // What is left of a batch of whose tables one was truncated meanwhile is another batch by now.
            if some.iter().any(|(_, mutations)| mutations.iter().any(is_void)) {
                break;
            }
            // Whoever has made one write of them has to find them again to make the others, whatever happens.
            self.batches.keep_on(some.iter().map(|(batch, _)| batch)).await?;
            let made = some.iter().map(|(batch, mutations)| self.replay(batch.id, mutations));
            for made in futures_util::future::join_all(made).await {
                replayed = match (replayed, made) {
                    (Ok(count), Ok(())) => Ok(count + 1),
                    (Ok(_), Err(error)) | (Err(error), _) => Err(error),
                };
            }
        }
        replayed
    }

    async fn replay(&self, id: Uuid, mutations: &[Vec<u8>]) -> Result<(), ClusterError> {
        let written = self.write(mutations, Consistency::Quorum).await;
        if matches!(written, Err(ClusterError::Unavailable { .. })) {
            // Its other parts need not wait for that one.
            self.write_to_the_living(mutations).await?;
        }
        written?;
        self.batches.forget(id).await
    }

    /// Writes to those replicas that are alive, and leaves no hints for the others: whoever keeps a batch tries again.
    async fn write_to_the_living(&self, mutations: &[Vec<u8>]) -> Result<(), ClusterError> {
        let views = views_of(mutations)?;
        let plans = {
            let placement = self.placement.load();
            let planner = self.planner(&placement);
            let plan = |view: &MutationView<'_>| {
                let mut plan = planner.replicas(view.table, view.key.token, Consistency::Any)?;
                plan.replicas.retain(|target| target.alive);
                plan.block_for = plan.replicas.len() as u32;
                Ok::<_, ClusterError>(plan)
            };
            views.iter().map(plan).collect::<Result<Vec<_>, _>>()?
        };
        self.write_planned(&plans, &views, WriteKind::Batch).await
    }

    /// The mutations whose tables are there, and how long all of these keep tombstones.
    fn of_present_tables(&self, mutations: &[Vec<u8>]) -> Result<(Vec<Vec<u8>>, u32), ClusterError> {
        let placement = self.placement.load();
        let (mut present, mut grace) = (Vec::new(), u32::MAX);
        for mutation in mutations {
            let view = MutationView::parse(mutation).map_err(StorageError::from)?;
            if let Some(table) = placement.schema.table_by_id(view.table) {
                grace = grace.min(table.params.gc_grace_seconds);
                present.push(mutation.clone());
            }
        }
        Ok((present, grace))
    }
}

const fn not_kept(received: u32, block_for: u32) -> ClusterError {
    let consistency = if block_for < 2 { Consistency::One } else { Consistency::Two };
    ClusterError::BatchLogTimeout { consistency, received, block_for }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
