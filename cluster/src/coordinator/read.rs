//! Reads: of all replicas, until enough of them have answered.

use super::Coordinator;
use super::gather::Gather;
use super::plan::Plan;
use crate::error::ClusterError;
use crate::message::Body;
use dodona_storage::reconcile::merge_answers;
use dodona_storage::{Page, StorageError};
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::{Consistency, RowVisitor, Token};
use std::sync::Arc;
use tokio::sync::mpsc;

/// What came of a try to read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRead {
    /// All rows were shown.
    Shown,
    /// It takes other nodes or the disk: forget what was shown, and use [`Coordinator::read_page`].
    NotHere,
}

impl Coordinator {
    /// Executes a read at once and shows its rows where they lie, if this node holds them all.
    ///
    /// # Errors
    /// Too few replicas exist for the level; a file is damaged.
    pub fn try_read(
        &self,
        command: &ReadCommand,
        consistency: Consistency,
        visitor: &mut dyn RowVisitor,
    ) -> Result<TryRead, ClusterError> {
        if !self.placement.load().only_here(command.table, consistency)? {
            return Ok(TryRead::NotHere);
        }
        match self.engine.try_read(command, visitor) {
            Ok(_) => Ok(TryRead::Shown),
            Err(StorageError::NeedsDisk) => Ok(TryRead::NotHere),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a page of at most about `max_bytes`.
    ///
    /// # Errors
    /// Too few replicas exist, answer in time, or can read.
    pub async fn read_page(
        &self,
        command: ReadCommand,
        consistency: Consistency,
        max_bytes: usize,
    ) -> Result<Page, ClusterError> {
        let token = match &command.partitions {
            PartitionSelection::Key(key) => key.token(),
            PartitionSelection::Range(_) => Token::MIN,
        };
        let placement = self.placement.load_full();
        let planner = self.planner(&placement);
        let mut plan = planner.read(command.table, token, consistency, &self.latencies)?;
        if plan.only_local() {
            let engine = Arc::clone(&self.engine);
            let read = self.env.tasks.blocking(move || engine.read_page(&command, max_bytes)).await;
            return Ok(read.map_err(|error| ClusterError::Invalid(error.to_string()))??);
        }
        if matches!(command.partitions, PartitionSelection::Range(_)) {
            planner.ask_all_members(&mut plan);
        }
        self.read_from_replicas(&plan, command, max_bytes).await
    }

    async fn read_from_replicas(
        &self,
        plan: &Plan,
        command: ReadCommand,
        max_bytes: usize,
    ) -> Result<Page, ClusterError> {
        let (answers, mut answered) = mpsc::channel(plan.replicas.len().max(1));
        let encoded = command.encode();
        for replica in plan.replicas.iter().copied() {
            let (answers, encoded) = (answers.clone(), encoded.clone());
            let (local, peers, timeout) =
                (Arc::clone(&self.replica), Arc::clone(&self.peers), self.timeouts.read);
            let (address, command) = ((!replica.local).then_some(replica.internode), command.clone());
            self.env.tasks.spawn_local(async move {
                let answer = match address {
                    None => local.read(command).await.map_err(ClusterError::from),
                    Some(peer) => expect_found(peers.ask(peer, Body::Read(encoded), timeout).await),
                };
                // The coordinator may have enough answers already.
                let _ = answers.send((replica, answer)).await;
            });
        }
        drop(answers);
        let mut gather = Gather::new(plan);
        let mut found = Vec::new();
        let gathered = async {
            while !gather.is_enough() {
                match answered.recv().await {
                    Some((target, Ok(answer))) => {
                        gather.take(&target);
                        found.push(answer);
                    }
                    Some((target, Err(error))) => gather.fail(&target, &error),
                    None => break,
                }
            }
        };
        let _ = tokio::time::timeout(self.timeouts.read, gathered).await;
        gather.read_result(!found.is_empty())?;
        if self.env.mutants.has("read-first-answer-only") {
            found.truncate(1);
        }
        Ok(merge_answers(&command, &found, max_bytes)?)
    }
}

fn expect_found(answer: Result<Body, ClusterError>) -> Result<Vec<u8>, ClusterError> {
    match answer? {
        Body::Found(found) => Ok(found),
        Body::Failed(reason) => Err(ClusterError::Invalid(reason)),
        _ => Err(ClusterError::Peer("an answer to another request".into())),
    }
}
