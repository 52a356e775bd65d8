//! Blocking read repair: replicas that were read are brought what they lack before the client is
//! answered, so that no later read at the same level sees less (Cassandra `BlockingReadRepair`).

use super::Coordinator;
use super::gather::Gather;
use super::plan::Plan;
use super::write::expect_mutated;
use crate::error::ClusterError;
use crate::message::Body;
use crate::trace;
use dodona_storage::reconcile::{Answer, MergedAnswers};
use dodona_types::MutationView;
use dodona_types::mutation::Fragment;
use dodona_types::read_command::ReadCommand;
use dodona_types::row::RowView;
use std::sync::Arc;
use tokio::sync::mpsc;

impl Coordinator {
    /// Brings each replica what its answer lacks of all answers, and waits until as many as the level
    /// asks for lack nothing.
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
        let (repaired, mut repairs) = mpsc::unbounded_channel();
        let mut whole = Gather::new(plan);
        for (place, answer) in answers {
            let mut lacking = merged.lacking(command, answer)?;
            if self.env.mutants.has("read-repair-forgets-deletions") {
                lacking.retain(|mutation| !deletes(mutation));
            }
            let (target, repaired) = (plan.replicas[*place], repaired.clone());
            if lacking.is_empty() {
                whole.take(&target);
                continue;
            }
            let (local, peers, timeout) =
                (Arc::clone(&self.replica), Arc::clone(&self.peers), self.timeouts.write);
            let (members, trace) = (plan.members, trace::current());
            self.env.tasks.spawn_local(async move {
                for mutation in lacking {
                    let taken = if target.local {
                        local.mutate(&mutation).await.map_err(ClusterError::from)
                    } else {
                        let body = Body::Mutate(mutation);
                        let asked =
                            peers.ask_for(trace.clone(), members, target.internode, body, timeout).await;
                        expect_mutated(asked)
                    };
                    if taken.is_err() {
                        return;
                    }
                }
                // The coordinator may have enough already.
                let _ = repaired.send(target);
            });
        }
        drop(repaired);
        let waiting = async {
            while !whole.is_enough()
                && let Some(target) = repairs.recv().await
            {
                whole.take(&target);
            }
        };
        let _ = tokio::time::timeout(self.timeouts.write, waiting).await;
        whole.read_result(true)
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
