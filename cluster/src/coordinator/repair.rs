//! Blocking read repair: replicas that were read are brought what they lack before the client is
//! answered, so that no later read at the same level sees less (Cassandra `BlockingReadRepair`).

use super::Coordinator;
use super::gather::Gather;
use super::plan::{Plan, Target};
use super::tracing_notes::shown;
use super::write::expect_mutated;
use crate::error::ClusterError;
use crate::message::Body;
use crate::trace::{self, note};
use dodona_storage::StorageError;
use dodona_storage::metrics::Operation;
use dodona_storage::reconcile::{Answer, MergedAnswers};
use dodona_types::mutation::Fragment;
use dodona_types::read_command::ReadCommand;
use dodona_types::row::RowView;
use dodona_types::{MutationView, TableId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use uuid::Uuid;

/// What somebody is brought.
struct Bringing {
    target: Target,
    mutations: Vec<Vec<u8>>,
}

impl Coordinator {
    /// Brings each replica what its answer lacks of all answers, and waits until as many as the level
    /// asks for lack nothing. One that does not take it in time is made up for by another one; those to come,
    /// or that go, are brought all of it as well.
    ///
    /// # Errors
    /// Too few have taken it in time.
    pub(super) async fn repair(
        &self,
        plan: &Plan,
        command: &ReadCommand,
        merged: &MergedAnswers,
        answers: &[(usize, Answer<'_>)],
    ) -> Result<(), ClusterError> {
        let (brought, mut taken) = mpsc::unbounded_channel();
        let (mut whole, mut missing) = (Gather::new(plan), Vec::new());
        for (place, answer) in answers {
            let mut mutations = merged.lacking(command, answer)?;
            if self.env.mutants.has("read-repair-forgets-deletions") {
                mutations.retain(|mutation| !deletes(mutation));
            }
            let target = plan.replicas[*place];
            if mutations.is_empty() {
                whole.take(&target);
            } else {
                missing.push(Bringing { target, mutations });
            }
        }
        let mut pending = self.pending_of(plan, &missing)?;
        let mut under_way = missing.len() + pending.len();
        for bringing in missing.iter().chain(&pending) {
            self.bring(plan.members, bringing, brought.clone());
        }
        let was_asked = |place: &usize| answers.iter().any(|(asked, _)| asked == place);
        let mut others = (0..plan.replicas.len()).filter(|place| !was_asked(place));
        let patience = self.patience_of_repair(command.table)?;
        let waiting = async {
            while !(whole.is_enough() && pending.is_empty()) && under_way > 0 {
                let said = tokio::time::timeout(patience, taken.recv()).await.ok().flatten();
                under_way -= usize::from(said.is_some());
                let failed = match said {
                    Some((host, Ok(()))) => {
                        pending.retain(|bringing| bringing.target.host != host);
                        let replica = plan.replicas.iter().find(|replica| replica.host == host);
                        replica.into_iter().for_each(|replica| whole.take(replica));
                        missing.retain(|bringing| bringing.target.host != host);
                        continue;
                    }
                    Some((host, Err(()))) => Some(host),
                    // All that are under way take long.
                    None => None,
                };
                // What a replica does not take, another one has to have in its place.
                let is_it = |bringing: &Bringing| failed.is_none_or(|host| bringing.target.host == host);
                let late: Vec<usize> = (0..missing.len()).filter(|index| is_it(&missing[*index])).collect();
                for index in late.into_iter().rev() {
                    let Bringing { mutations, .. } = missing.swap_remove(index);
                    if let Some(place) = others.next() {
                        let instead = Bringing { target: plan.replicas[place], mutations };
                        note(|| format!("Bringing it {} instead", shown(&instead.target)));
                        self.bring(plan.members, &instead, brought.clone());
                        under_way += 1;
                        missing.push(instead);
                    }
                }
            }
        };
        let _ = tokio::time::timeout(self.timeouts.write, waiting).await;
        if !pending.is_empty() {
            let Plan { consistency, block_for, .. } = *plan;
            let (received, block_for) = (whole.received(), block_for + pending.len() as u32);
            return Err(ClusterError::ReadTimeout { consistency, received, block_for, data_present: true });
        }
        whole.read_result(true)
    }

    /// How long replicas have before another one is to take what they do not (`additional_write_policy`).
    fn patience_of_repair(&self, table: TableId) -> Result<Duration, ClusterError> {
        let policy = self.tables.get(&self.placement.load().schema, table)?.additional_writes;
        let writes = self.served(table, Operation::Write).nanos;
        // There is none of no writes.
        let nanos = |part: f64| Some(writes.percentile(part / 100.0)).filter(|nanos| *nanos > 0);
        let percentile = |part: f64| nanos(part).map(Duration::from_nanos);
        let patience = policy.patience(percentile, self.timeouts.write / 2);
        Ok(patience.unwrap_or(self.timeouts.write))
    }

    /// The members to come, or that go, that are to have what replicas lack. Hints are left for those that are down.
    fn pending_of(&self, plan: &Plan, missing: &[Bringing]) -> Result<Vec<Bringing>, ClusterError> {
        let mut pending: Vec<Bringing> = Vec::new();
        let (placement, era) = (self.placement.load(), self.hints.era());
        for mutation in missing.iter().flat_map(|bringing| &bringing.mutations) {
            let view = MutationView::parse(mutation).map_err(StorageError::from)?;
            for target in self.planner(&placement).pending(view.table, view.key.token, plan.consistency)? {
                let present = pending.iter().position(|bringing| bringing.target.host == target.host);
                if let Some(place) = present {
                    pending[place].mutations.push(mutation.clone());
                } else if target.alive {
                    pending.push(Bringing { target, mutations: vec![mutation.clone()] });
                } else {
                    self.hints.hint(target.host, mutation, era);
                }
            }
        }
        Ok(pending)
    }

    fn bring(
        &self,
        members: u64,
        bringing: &Bringing,
        brought: mpsc::UnboundedSender<(Uuid, Result<(), ()>)>,
    ) {
        let (target, mutations) = (bringing.target, bringing.mutations.clone());
        let (local, peers, timeout) =
            (Arc::clone(&self.replica), Arc::clone(&self.peers), self.timeouts.write);
        let trace = trace::current();
        self.env.tasks.spawn_local(async move {
            let mut taken = Ok(());
            for mutation in mutations {
                let said = if target.local {
                    local.mutate(&mutation).await.map_err(ClusterError::from)
                } else {
                    let body = Body::Mutate(mutation);
                    let asked = peers.ask_for(trace.clone(), members, target.internode, body, timeout).await;
                    expect_mutated(asked)
                };
                if said.is_err() {
                    taken = Err(());
                    break;
                }
            }
            // The coordinator may have enough already.
            let _ = brought.send((target.host, taken));
        });
    }
}

/// True if a mutation deletes a partition, rows of a slice, or a row.
fn deletes(mutation: &[u8]) -> bool {
    let view = MutationView::parse(mutation).into_iter();
    view.flat_map(|view| view.fragments()).flatten().any(|fragment| match fragment {
        Fragment::PartitionDeletion(_) | Fragment::RangeDeletion(..) => true,
        Fragment::Row(_, row) | Fragment::StaticRow(row) => {
            RowView::parse(row).is_ok_and(|row| !row.header.deletion.is_none())
        }
    })
}
