//! Raft's log, in the store. What it writes is on disk when it returns.

use crate::error::ClusterError;
use crate::metadata::store::{Store, for_raft};
use crate::metadata::types::{Entry, LogId, TypeConfig, Vote};
use dodona_env::Tasks;
use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;

/// The log.
#[derive(Clone)]
pub struct Log {
    store: Arc<Store>,
    tasks: Tasks,
}

impl Log {
    /// The log of a store.
    #[must_use]
    pub const fn new(store: Arc<Store>, tasks: Tasks) -> Self {
        Self { store, tasks }
    }

    async fn write(
        &self,
        work: impl FnOnce(&Store) -> Result<(), ClusterError> + Send + 'static,
    ) -> io::Result<()> {
        let store = Arc::clone(&self.store);
        match self.tasks.blocking(move || work(&store)).await {
            Ok(written) => written.map_err(for_raft),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        Ok(self.store.entries(range))
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.store.vote())
    }
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let (last_purged_log_id, last_log_id) = self.store.bounds();
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = *vote;
        self.write(move |store| store.save_vote(vote)).await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        // What is applied is on disk, and committed.
        Ok(self.store.applied().0)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        self.write(move |store| store.append(entries)).await?;
        callback.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.write(move |store| store.truncate_after(last.map(|last| last.index))).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.write(move |store| store.purge(upto)).await
    }
}
