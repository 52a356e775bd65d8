//! Files that come as they are from another node that holds the table: each is checked as a whole before it counts.

use super::Engine;
use super::arrivals::Arrivals;
use super::import::ImportOptions;
use crate::error::{IoContext, Result, StorageError};
use crate::repair_state::RepairState;
use crate::sstable::{SstableId, directory_of, temporary_path_of};
use dodona_env::{Disk, DiskWriter};
use dodona_types::TableId;
use std::sync::Arc;

/// A file of which a part has come. Nothing is left of it once this is dropped.
pub struct Incoming {
    disk: Arc<dyn Disk>,
    path: String,
    id: SstableId,
    /// None once everything is on disk.
    writer: Option<Arc<dyn DiskWriter>>,
    /// What has come, and how much is to come.
    written: u64,
    bytes: u64,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Err(error) = self.disk.remove(&self.path) {
            tracing::warn!(path = self.path, %error, "an unfinished file could not be removed; it goes at the next start");
        }
    }
}

impl Incoming {
    /// How many bytes have come.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// How many are to come still.
    #[must_use]
    pub const fn lacks(&self) -> u64 {
        self.bytes - self.written
    }

    /// Writes what comes next, and brings the file to the disk behind the last of it. Waits for that.
    ///
    /// # Errors
    /// It is more than was to come, or could not be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(writer) = self.writer.as_ref().filter(|_| bytes.len() as u64 <= self.lacks()) else {
            return Err(StorageError::Refused(format!("more than {} bytes of {}", self.bytes, self.path)));
        };
        writer.append(bytes).during("writing", &self.path)?;
        self.written += bytes.len() as u64;
        if self.lacks() == 0 {
            writer.sync().during("syncing", &self.path)?;
            self.writer = None;
        }
        Ok(())
    }
}

impl Engine {
    /// True if a table has a file of this name: it need not come.
    ///
    /// # Errors
    /// The engine does not know the table.
    pub fn has_file(&self, table: TableId, file: SstableId) -> Result<bool> {
        Ok(self.store(table)?.view.load().sstables.iter().any(|sstable| sstable.id() == file))
    }

    /// Begins a file that another node has under this name, and of this length.
    ///
    /// # Errors
    /// There is no space, or it could not be written.
    pub fn begin_incoming(&self, table: TableId, id: SstableId, bytes: u64) -> Result<Incoming> {
        if !self.has_space_for(bytes) {
            return Err(StorageError::NoSpace);
        }
        let disk = Arc::clone(&self.env.disk);
        let directory = directory_of(table);
        disk.create_dir_all(&directory).during("creating", &directory)?;
        // The same file may come from several nodes at a time.
        let path = temporary_path_of(table, SstableId::of_now(&self.env));
        let writer = Some(disk.create(&path).during("creating", &path)?);
        Ok(Incoming { disk, path, id, writer, written: 0, bytes })
    }

    /// Takes a file of which everything has come among what is to count, in this state. Reads all of it first.
    ///
    /// # Errors
    /// The file is damaged or another table's, or could not be written.
    pub fn take_file(&self, arrivals: &mut Arrivals, incoming: Incoming, state: RepairState) -> Result<()> {
        let Incoming { id, path, .. } = &incoming;
        if incoming.lacks() > 0 {
            return Err(StorageError::Refused(format!("{} bytes of {path} have not come", incoming.lacks())));
        }
        let checked = ImportOptions { verify: true, ..ImportOptions::default() };
        let store = arrivals.store();
        let foreign = self.open_foreign(store, path, *id, &checked)?;
        let placed = self.place(store, &foreign)?;
        arrivals.take_files(placed.files.into_iter().map(|file| (file, state)));
        Ok(())
    }
}
