//! Snapshots, and checks of files.

use super::Engine;
use crate::error::{IoContext, Result};
use crate::sstable::verify::Damage;
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

    /// Reads every byte of every file of a table and checks it. What is damaged is in the answer.
    ///
    /// # Errors
    /// The engine does not know the table; the operating system's.
    pub fn verify(&self, table: TableId) -> Result<Vec<Damage>> {
        let view = self.store(table)?.view.load_full();
        let mut damages = Vec::new();
        for sstable in &view.sstables {
            damages.extend(sstable.verify()?);
        }
        Ok(damages)
    }
}
