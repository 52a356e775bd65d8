//! Rebuilds damaged files of what can be read of them.

use super::Engine;
use super::compact::candidates;
use crate::compaction::Choice;
use crate::error::{IoContext, Result};
use crate::manifest::Edit;
use crate::sstable::salvage::{self, Salvaged};
use crate::sstable::{Sstable, SstableId, SstableWriter, Statistics};
use crate::table::{Pause, TableStore};
use dodona_types::TableId;
use std::sync::Arc;

/// What a scrub came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Files looked at.
    pub files: usize,
    /// Damaged files that were rebuilt, by their paths.
    pub rebuilt: Vec<(String, Salvaged)>,
    /// Where the damaged files are kept, if there were any.
    pub kept_in: Option<String>,
}

impl Engine {
    /// Checks every file of a table, and writes those that are damaged anew without what cannot be
    /// read. The damaged files are kept in a snapshot named `keep`.
    ///
    /// # Errors
    /// The engine does not know the table; a file could not be read or written.
    pub fn scrub(&self, table: TableId, keep: &str) -> Result<Scrubbed> {
        let store = self.store(table)?;
        let _pause = Pause::new(&store);
        self.stop_compactions_of(&store);
        let view = store.view.load_full();
        let free = candidates(&view, &store.compacting.lock(), i64::MIN);
        let mut scrubbed = Scrubbed::default();
        for file in free.iter().filter(|file| !file.busy) {
            let Some(sstable) = view.sstables.iter().find(|sstable| sstable.id() == file.id) else {
                continue;
            };
            let Some(_claim) = self.claim(&store, Choice::tombstones(file)) else {
                continue;
            };
            scrubbed.files += 1;
            if sstable.verify()?.is_empty() {
                continue;
            }
            let directory = format!("snapshots/{keep}/{table}");
            self.env.disk.create_dir_all(&directory).during("creating", &directory)?;
            let link = format!("{directory}/{}.sst", sstable.id().0);
            self.env.disk.hard_link(sstable.path(), &link).during("linking", &link)?;
            self.env.disk.sync_dir(&directory).during("syncing", &directory)?;
            scrubbed.kept_in = Some(directory);
            let salvaged = self.rebuild(&store, sstable, file.level)?;
            scrubbed.rebuilt.push((sstable.path().to_owned(), salvaged));
        }
        Ok(scrubbed)
    }

    fn rebuild(&self, store: &Arc<TableStore>, sstable: &Arc<Sstable>, level: u8) -> Result<Salvaged> {
        let settings = store.settings.load_full();
        let id = SstableId(self.env.random.uuid_v7(self.env.clock.wall_micros()));
        let mut statistics = Statistics::new(settings.id, settings.columns.clone(), self.host);
        if sstable.statistics().writer == self.host {
            statistics.log_intervals.clone_from(&sstable.statistics().log_intervals);
        }
        statistics.covered_tokens = sstable.statistics().covered_tokens;
        let disk = Arc::clone(&self.env.disk);
        let mut writer =
            SstableWriter::create(disk, self.env.mutants.clone(), id, settings.writer.clone(), statistics)?;
        let salvaged = match salvage::salvage(sstable, &mut writer) {
            Ok(salvaged) => salvaged,
            Err(error) => {
                writer.abandon();
                return Err(error);
            }
        };
        let outputs: Vec<SstableId> = writer.finish()?.into_iter().collect();
        let opened = self.open_outputs(settings.id, &outputs)?;
        let _publish = store.publish.lock();
        let is_there = store.view.load().sstables.iter().any(|other| other.id() == sstable.id());
        if !is_there || store.is_dropped() {
            self.discard_files(store, &outputs);
            return Ok(salvaged);
        }
        let mut edit = Edit::new(settings.id);
        edit.levels = outputs.iter().map(|id| (*id, level)).filter(|(_, level)| *level > 0).collect();
        edit.added = outputs;
        edit.removed = vec![sstable.id()];
        self.publish(store, &edit)?;
        store.update(|view| view.apply(&edit, opened));
        self.obsolete.lock().push(Arc::clone(sstable));
        self.work.notify_one();
        Ok(salvaged)
    }
}
