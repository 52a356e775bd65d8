//! Syncs of the log's files, one after another.

use crate::sync::Mutex;
use dodona_env::Mutants;
use dodona_env::disk::DiskWriter;
use std::io;
use std::sync::Arc;

/// Whose turn it is to sync. Of those that sync a file at the same time, or later, the operating system tells
/// one of an error, and the others that all is well: they must not believe it.
#[derive(Default)]
pub(super) struct SyncTurn {
    has_failed: Mutex<bool>,
}

impl SyncTurn {
    /// Brings files to the disk. Once that has failed it does not succeed any more.
    pub(super) fn sync(&self, writers: &[Arc<dyn DiskWriter>], mutants: &Mutants) -> io::Result<()> {
        let mut has_failed = self.has_failed.lock();
        if *has_failed {
            return Err(io::Error::other("a sync has failed before"));
        }
        let synced = writers.iter().try_for_each(|writer| writer.sync());
        *has_failed = synced.is_err() && !mutants.has("log-forgets-a-failed-sync");
        synced
    }
}
