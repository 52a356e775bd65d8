//! Incremental backups: each file that comes new to a table, by a flush or an import, is linked into
//! `backups/TABLE` before it counts. What compactions write is in files that were backed up before.

use super::Engine;
use crate::error::{IoContext, Result};
use crate::sstable::{self, SstableId};
use crate::sync::atomic::Ordering::Relaxed;
use crate::table::TableStore;
use dodona_env::Disk;
use dodona_types::TableId;

/// The directory of all tables' backups.
const DIRECTORY: &str = "backups";

/// The directory of a table's backups.
fn directory_of(table: TableId) -> String {
    format!("{DIRECTORY}/{table}")
}

fn path_of(table: TableId, file: SstableId) -> String {
    format!("{DIRECTORY}/{table}/{}.sst", file.0)
}

impl Engine {
    /// True if new files are backed up, as far as their tables want it.
    #[must_use]
    pub fn backs_up(&self) -> bool {
        self.backs_up.load(Relaxed)
    }

    /// Changes [`Self::backs_up`] until the next start.
    pub fn set_backs_up(&self, backs_up: bool) {
        self.backs_up.store(backs_up, Relaxed);
    }

    /// Links files that are about to count. A crash before they do leaves links to files that do not: what
    /// they hold comes again from the commit log, and is the same.
    ///
    /// # Errors
    /// The links could not be made: neither they nor the files are there.
    pub(super) fn back_up(&self, store: &TableStore, files: &[SstableId]) -> Result<()> {
        if files.is_empty() || !self.backs_up() || !store.settings.load().incremental_backups {
            return Ok(());
        }
        let linked = self.link_backups(store.settings.load().id, files);
        if linked.is_err() {
            self.discard_files(store, files);
            self.discard_backups(store, files);
        }
        linked
    }

    fn link_backups(&self, table: TableId, files: &[SstableId]) -> Result<()> {
        let (disk, directory) = (&self.env.disk, directory_of(table));
        disk.create_dir_all(&directory).during("creating", &directory)?;
        let forgotten = usize::from(self.env.mutants.has("backup-forgets-a-file"));
        for file in files.iter().skip(forgotten) {
            let link = path_of(table, *file);
            link_unless_there(disk.as_ref(), &sstable::path_of(table, *file), &link)?;
        }
        if self.env.mutants.has("backup-no-dir-sync") {
            return Ok(());
        }
        disk.sync_dir(&directory).during("syncing", &directory)
    }

    /// Removes the links of files that do not count after all.
    pub(super) fn discard_backups(&self, store: &TableStore, files: &[SstableId]) {
        let table = store.settings.load().id;
        for file in files {
            let path = path_of(table, *file);
            match self.env.disk.remove(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(path, %error, "the backup of a file that does not count could not be removed");
                }
                _ => {}
            }
        }
    }
}

/// Links a file of a table. A link that is there is of the same file: one that an earlier try has left, or of a time before
/// the file went and came again from another node.
pub(super) fn link_unless_there(disk: &dyn Disk, file: &str, link: &str) -> Result<()> {
    match disk.hard_link(file, link) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked.during("linking", link),
    }
}
