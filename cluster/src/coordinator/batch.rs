//! Logged batches: all their writes happen in the end, or none (Cassandra
//! `StorageProxy.mutateAtomically`, `BatchlogManager`).

use super::Coordinator;
use super::write::expect_mutated;
use crate::batch_log::{Batch, Due, due, keepers};
use crate::error::ClusterError;
use crate::message::Body;
use crate::paxos::ballot::Ballot;
use crate::ring::Member;
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
    /// [`ClusterError::BatchLogTimeout`] if the batch is not kept in time; else as
    /// [`Self::write`]: it is written later then.
    pub async fn write_logged(
        &self,
        mutations: &[Vec<u8>],
        consistency: Consistency,
    ) -> Result<(), ClusterError> {
        if mutations.len() < 2 || self.is_local(mutations, consistency)? {
            return self.write(mutations, consistency).await;
        }
        let placement = self.placement.load_full();
        let members = placement.ring.members();
        let keepers = keepers(members, placement.local, &*self.liveness, &self.random);
        let keepers: Vec<Member> = keepers.into_iter().map(|index| members[index].clone()).collect();
        if keepers.is_empty() {
            let (consistency, data_center) = (Consistency::One, None);
            return Err(ClusterError::Unavailable { consistency, required: 1, alive: 0, data_center });
        }
        let written_micros = self.env.clock.wall_micros();
        let id = Ballot::new(self.timestamps.next(), self.random.next_u64()).to_timeuuid();
        let batch = Batch { id, written_micros, mutations: mutations.to_vec() };
        if !self.env.mutants.has("batch-is-not-kept") {
            self.keep(&keepers, id, &batch.encode(), consistency).await?;
        }
        if self.env.mutants.has("batch-is-forgotten-early") {
            self.forget(&keepers, id);
        }
        if self.env.mutants.has("batch-ends-early") {
            return Ok(());
        }
        self.write(mutations, consistency).await?;
        // At ANY a hint may be all there is of a part, and is lost with this node.
        if consistency != Consistency::Any {
            self.forget(&keepers, id);
        }
        Ok(())
    }

    fn is_local(&self, mutations: &[Vec<u8>], consistency: Consistency) -> Result<bool, ClusterError> {
        let placement = self.placement.load();
        let planner = self.planner(&placement);
        for mutation in mutations {
            let view = MutationView::parse(mutation).map_err(StorageError::from)?;
            if !planner.write(view.table, view.key.token, consistency)?.only_local() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn keep(
        &self,
        keepers: &[Member],
        id: Uuid,
        batch: &[u8],
        consistency: Consistency,
    ) -> Result<(), ClusterError> {
        let here = self.here();
        let kept = keepers.iter().map(|keeper| async move {
            if keeper.host == here {
                return self.batches.keep(id, batch).await;
            }
            let body = Body::KeepBatch([id.as_bytes(), batch].concat());
            expect_mutated(self.peers.ask(keeper.internode, body, self.timeouts.write).await)
        });
        let kept = futures_util::future::join_all(kept).await;
        let received = kept.iter().filter(|kept| kept.is_ok()).count() as u32;
        let block_for = keepers.len() as u32;
        if received < block_for {
            return Err(ClusterError::BatchLogTimeout { consistency, received, block_for });
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

    /// Makes the writes of batches again that this node has kept for long enough. Returns how many.
    ///
    /// # Errors
    /// The batches cannot be read, or too few replicas take a write: the batch is kept on.
    pub async fn replay_batches(&self) -> Result<u64, ClusterError> {
        let (mut replayed, mut waiting) = (0, Vec::new());
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
            // Whoever has made one write of them has to find them again to make the others, whatever happens.
            self.batches.keep_on(some.iter().map(|(batch, _)| batch)).await?;
            for (batch, mutations) in some {
                self.write(mutations, Consistency::Quorum).await?;
                replayed += 1;
                self.batches.forget(batch.id).await?;
            }
        }
        Ok(replayed)
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
