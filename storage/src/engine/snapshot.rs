//! Snapshots, and checks of files.

use super::Engine;
use crate::error::{IoContext, Result};
use dodona_types::TableId;

impl Engine {
    /// Flushes a table and links its files into `snapshots/NAME/TABLE`. Returns their number.
    ///
    /// # Errors
    /// The snapshot exists; the operating system's.
    pub fn snapshot(&self, table: TableId, name: &str) -> Result<usize> {
        self.flush(table)?;
        let view = self.store(table)?.view.load_full();
        let directory = format!("snapshots/{name}/{table}");
        self.env.disk.create_dir_all(&directory).during("creating", &directory)?;
        for sstable in &view.sstables {
            let link = format!("{directory}/{}.sst", sstable.id().0);
            self.env.disk.hard_link(sstable.path(), &link).during("linking", &link)?;
        }
        self.env.disk.sync_dir(&directory).during("syncing", &directory)?;
        Ok(view.sstables.len())
    }

    /// Checks every block of every file of a table.
    ///
    /// # Errors
    /// The first damage found.
    pub fn verify(&self, table: TableId) -> Result<()> {
        self.store(table)?.view.load().sstables.iter().try_for_each(|sstable| sstable.verify())
    }
}
