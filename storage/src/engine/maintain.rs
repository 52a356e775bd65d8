//! The work behind reads and writes: flushes and compactions that are due.

use super::Engine;
use crate::error::{IoContext, Result, StorageError};
use crate::sstable::Sstable;
use std::sync::Arc;
use std::time::Duration;

/// What a call of [`Engine::maintain`] found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintained {
    /// Nothing.
    Idle,
    /// Something was done; there may be more.
    Worked,
}

impl Engine {
    /// Waits until there may be something to do.
    pub async fn wait_for_work(&self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, self.work.notified()).await;
    }

    /// Waits until a flush or a compaction may have left something to compact.
    pub async fn wait_for_files(&self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, self.files_changed.notified()).await;
    }

    /// Does one piece of work, if there is any: a flush that is due, else a compaction.
    ///
    /// # Errors
    /// A file could not be read or written.
    pub fn maintain(&self) -> Result<Maintained> {
        match self.maintain_memtables()? {
            Maintained::Idle => self.maintain_files(),
            Maintained::Worked => Ok(Maintained::Worked),
        }
    }

    /// Flushes a table if it is time to, and removes files that are out of use.
    ///
    /// # Errors
    /// A file could not be written or removed.
    pub fn maintain_memtables(&self) -> Result<Maintained> {
        self.remove_obsolete()?;
        let Some(table) = self.flush_due() else {
            return Ok(Maintained::Idle);
        };
        self.flush(table)?;
        self.files_changed.notify_one();
        Ok(Maintained::Worked)
    }

    /// Executes the compaction that is due, if there is one. Several may do so at once.
    ///
    /// # Errors
    /// A file could not be read or written.
    pub fn maintain_files(&self) -> Result<Maintained> {
        let Some(compaction) = self.next_compaction()? else {
            return Ok(Maintained::Idle);
        };
        // Others may find work on other files.
        self.files_changed.notify_one();
        match self.run_compaction(compaction) {
            Ok(()) | Err(StorageError::Stopped(_)) => Ok(Maintained::Worked),
            Err(error) => Err(error),
        }
    }

    /// Removes files that are out of use and that no read holds.
    pub(super) fn remove_obsolete(&self) -> Result<()> {
        let free: Vec<Arc<Sstable>> = {
            let mut obsolete = self.obsolete.lock();
            let at_once = self.env.mutants.has("obsolete-files-go-at-once");
            obsolete.extract_if(.., |sstable| at_once || Arc::strong_count(sstable) == 1).collect()
        };
        for sstable in free {
            match self.env.disk.remove(sstable.path()) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).during("removing", sstable.path());
                }
                _ => {}
            }
        }
        Ok(())
    }
}
