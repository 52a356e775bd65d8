//! What Raft's log comes to: the metadata, in the store.

use crate::metadata::state::Metadata;
use crate::metadata::store::{Store, for_raft};
use crate::metadata::types::{Entry, LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};
use dodona_env::Tasks;
use futures_util::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use std::io;
use std::sync::Arc;

/// The most entries that are made durable at once.
const BATCH: usize = 64;

/// The state machine.
#[derive(Clone)]
pub struct Machine {
    store: Arc<Store>,
    tasks: Tasks,
}

impl Machine {
    /// The state machine of a store.
    #[must_use]
    pub const fn new(store: Arc<Store>, tasks: Tasks) -> Self {
        Self { store, tasks }
    }

    fn snapshot(&self) -> Snapshot {
        let (last_log_id, last_membership) = self.store.applied();
        Snapshot { meta: SnapshotMeta { last_log_id, last_membership }, snapshot: self.store.metadata() }
    }

    async fn apply_batch(&self, batch: Vec<EntryResponder<TypeConfig>>) -> io::Result<()> {
        let (entries, responders): (Vec<Entry>, Vec<_>) = batch.into_iter().unzip();
        let store = Arc::clone(&self.store);
        let applied = self.tasks.blocking(move || store.apply(&entries)).await.map_err(io::Error::other)?;
        for (responder, outcome) in responders.into_iter().zip(applied.map_err(for_raft)?) {
            if let Some(responder) = responder {
                responder.send(outcome);
            }
        }
        Ok(())
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Machine {
    type SnapshotData = Arc<Metadata>;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        Ok(self.snapshot())
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = Arc<Metadata>;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok(self.store.applied())
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let mut batch = Vec::new();
        while let Some(entry) = entries.next().await {
            batch.push(entry?);
            if batch.len() >= BATCH {
                self.apply_batch(std::mem::take(&mut batch)).await?;
            }
        }
        if batch.is_empty() { Ok(()) } else { self.apply_batch(batch).await }
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, metadata: Arc<Metadata>) -> io::Result<()> {
        let (store, meta) = (Arc::clone(&self.store), meta.clone());
        let installed = self.tasks.blocking(move || store.install(&meta, metadata)).await;
        installed.map_err(io::Error::other)?.map_err(for_raft)
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        Ok(Some(self.snapshot()))
    }
}
