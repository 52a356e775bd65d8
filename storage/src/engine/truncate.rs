//! Truncation.

use super::{Engine, FIRST_SHARD_BITS};
use crate::error::Result;
use crate::manifest::Edit;
use crate::memtable::Memtable;
use crate::sync::atomic::Ordering::Relaxed;
use crate::table::TableView;
use dodona_types::TableId;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Engine {
    /// Removes all rows of a table.
    ///
    /// # Errors
    /// The manifest could not be written.
    pub fn truncate(&self, table: TableId) -> Result<()> {
        let store = self.store(table)?;
        let _publish = store.publish.lock();
        let mut dropped = 0;
        let mut removed = Vec::new();
        {
            let _alone = self.switch.write();
            let end = self.log.end();
            self.log.sync()?;
            let view = store.view.load_full();
            let start = view.memtables().map(|memtable| memtable.log_start()).min().unwrap_or(end);
            let mut edit = Edit::new(table);
            edit.removed = view.sstables.iter().map(|sstable| sstable.id()).collect();
            if !self.env.mutants.has("truncation-forgets-the-log") {
                edit.covered = Some(start..end);
            }
            self.manifest.lock().commit(&edit)?;
            store.update(|view| {
                dropped = view.memtables().map(|memtable| memtable.bytes()).sum();
                removed = std::mem::take(&mut view.sstables);
                let next = Memtable::new(FIRST_SHARD_BITS, end, self.env.clock.mono());
                let empty = TableView::new(Arc::new(next), Vec::new(), BTreeMap::new());
                *view = TableView { shape: view.shape.take(), ..empty };
            });
            // What comes from other replicas may be older.
            store.repairs.lock().clear();
            store.arriving.clear();
        }
        self.memtable_bytes.fetch_sub(dropped.cast_signed(), Relaxed);
        self.obsolete.lock().extend(removed);
        self.work.notify_one();
        Ok(())
    }
}
