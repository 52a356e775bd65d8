//! Flushes: writes memtables to files, and frees the commit log of what they held.

use super::Engine;
use crate::compaction::Split;
use crate::compaction::job::{JobOutput, MergeJob};
use crate::error::{Result, StorageError};
use crate::manifest::Edit;
use crate::memtable::Memtable;
use crate::memtable::source::MemtableSource;
use crate::purge::PurgeRule;
use crate::scan::MergedScan;
use crate::source::Source;
use crate::sstable::partition_bounds::{PartitionBounds, PartitionWatch};
use crate::sstable::{self, Sstable, SstableId, WriterOptions};
use crate::sync::atomic::Ordering::Relaxed;
use crate::table::{TableSettings, TableStore, TableView};
use dodona_types::read_command::RangeBound;
use dodona_types::{HiddenCells, TableId};
use std::sync::Arc;
use std::time::Duration;

/// How long a flush waits for another one of the same table, at a time.
const TURN: Duration = Duration::from_millis(2);

impl Engine {
    /// The table whose memtable should be flushed next.
    pub(super) fn flush_due(&self) -> Option<TableId> {
        let tables = self.tables.load();
        // What an earlier flush could not write comes first: it takes the memory that others wait for.
        if let Some((table, _)) = tables.iter().find(|(_, store)| store.has_unflushed()) {
            return Some(*table);
        }
        let active = || {
            tables
                .values()
                .filter(|store| !store.settings.load().volatile)
                .map(|store| (store.settings.load().id, Arc::clone(&store.view.load().active)))
                .filter(|(_, memtable)| !memtable.is_empty())
        };
        let now = self.env.clock.mono();
        let aged = active().find(|(table, memtable)| {
            let period = tables.get(table).and_then(|store| store.settings.load().flush_period);
            period.is_some_and(|period| now.saturating_sub(memtable.created_at()) > period)
        });
        if let Some((table, _)) = aged {
            return Some(table);
        }
        if self.memtable_bytes.load(Relaxed).max(0).cast_unsigned() > self.settings.memtable_bytes {
            return active().max_by_key(|(_, memtable)| memtable.bytes()).map(|(table, _)| table);
        }
        if self.log.total_bytes() > self.settings.commit_log_bytes {
            return active().min_by_key(|(_, memtable)| memtable.log_start()).map(|(table, _)| table);
        }
        None
    }

    /// Writes a table's memtable to a file. Afterwards everything written to it before is in files.
    ///
    /// # Errors
    /// The file could not be written; the data stay in memory and in the commit log.
    pub fn flush(&self, table: TableId) -> Result<()> {
        let store = self.store(table)?;
        if store.settings.load().volatile {
            return Ok(());
        }
        self.switch_memtable(&store);
        let full = store.view.load().flushing.clone();
        let is_left = |memtable: &Arc<Memtable>| full.iter().any(|full| Arc::ptr_eq(full, memtable));
        while let Some(memtable) = store.view.load().flushing.last().cloned().filter(is_left) {
            if self.flush_memtable(&store, &memtable)? {
                continue;
            }
            // Another thread is at it: whoever asked counts on what it writes.
            if !self.env.tasks.can_wait() {
                break;
            }
            self.env.tasks.pause_blocking_work(TURN);
        }
        self.discard_log()
    }

    /// Flushes every table.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub fn flush_all(&self) -> Result<()> {
        self.table_ids().into_iter().try_for_each(|table| self.flush(table))
    }

    fn switch_memtable(&self, store: &TableStore) {
        let mutants = &self.env.mutants;
        let early = mutants.has("switch-takes-its-position-early").then(|| self.log.end());
        let _alone = (!mutants.has("switch-does-not-wait-for-writers")).then(|| self.switch.write());
        store.update(|view| {
            if !view.active.is_empty() {
                let bits = view.active.shard_bits_for_successor();
                let start = early.unwrap_or_else(|| self.log.end());
                let next = Memtable::new(bits, start, self.env.clock.mono());
                let full = std::mem::replace(&mut view.active, Arc::new(next));
                view.flushing.insert(0, full);
            }
        });
    }

    /// Flushes the oldest of the memtables. False if another thread was quicker.
    fn flush_memtable(&self, store: &TableStore, memtable: &Arc<Memtable>) -> Result<bool> {
        if !store.claim_flush(memtable) {
            return Ok(false);
        }
        let result = self.write_memtable(store, memtable);
        store.release_flush();
        self.flushes_refused.store(matches!(result, Err(StorageError::NoSpace)), Relaxed);
        result.map(|()| true)
    }

    fn write_memtable(&self, store: &TableStore, memtable: &Arc<Memtable>) -> Result<()> {
        let log_end = {
            let view = store.view.load();
            let newer = view.memtables().take_while(|other| !Arc::ptr_eq(other, memtable)).last().cloned();
            newer.map_or_else(|| self.log.end(), |newer| newer.log_start())
        };
        let covered = memtable.log_start()..log_end;
        let flushed_before = store.flush_bytes.load(Relaxed);
        let split = store.settings.load().compaction.split_of_flush(flushed_before);
        let outputs = self.write_files(store, memtable, split, vec![covered.clone()])?;
        // The log must not forget these writes before the file that holds them is on disk, and a
        // position that the manifest covers must not come again after a crash.
        if !self.env.mutants.has("flush-ahead-of-the-log") {
            self.log.sync()?;
        }
        let table = store.settings.load().id;
        let opened = self.open_outputs(table, &outputs)?;
        let _publish = store.publish.lock();
        let is_there = store.view.load().flushing.iter().any(|other| Arc::ptr_eq(other, memtable));
        if !is_there || store.is_dropped() {
            self.discard_files(store, &outputs);
            return Ok(());
        }
        let mut edit = Edit::new(table);
        edit.added = outputs;
        edit.describe(&opened);
        edit.covered = Some(if self.env.mutants.has("replay-interval-too-long") {
            covered.start..covered.end + 64
        } else {
            covered
        });
        self.back_up(store, &edit.added)?;
        self.publish(store, &edit)?;
        let bytes: u64 = opened.iter().map(|sstable| sstable.file_bytes()).sum();
        store.note_flush(bytes);
        self.compactions.flushed_bytes.fetch_add(bytes, Relaxed);
        store.update(|view| {
            view.flushing.retain(|other| !Arc::ptr_eq(other, memtable));
            view.apply(&edit, opened);
        });
        self.files_changed.notify_one();
        self.memtable_bytes.fetch_sub(memtable.bytes().cast_signed(), Relaxed);
        self.compactions.flushed.fetch_add(1, Relaxed);
        self.shrunk.notify_waiters();
        Ok(())
    }

    /// Writes a memtable to files, which do not count yet.
    pub(super) fn write_files(
        &self,
        store: &TableStore,
        memtable: &Arc<Memtable>,
        split: Split,
        log_intervals: Vec<std::ops::Range<u64>>,
    ) -> Result<Vec<SstableId>> {
        let mut source = Source::Memtable(MemtableSource::new(Arc::clone(memtable)));
        source.seek(&RangeBound::Unbounded)?;
        let output = self.job_output(store, split, log_intervals);
        let nothing = PurgeRule::nothing();
        let job = MergeJob::new(self.env.clone(), MergedScan::new(vec![source]), output, nothing);
        self.run_job(store, job, |_| Ok(()))
    }

    /// Does all of a job, with something before each step. Of one that fails nothing is left.
    pub(super) fn run_job(
        &self,
        store: &TableStore,
        mut job: MergeJob,
        mut before: impl FnMut(&MergeJob) -> Result<()>,
    ) -> Result<Vec<SstableId>> {
        loop {
            match before(&job).and_then(|()| job.step(self.settings.step_bytes)) {
                Ok(true) => return Ok(job.into_outputs()),
                Ok(false) => {}
                Err(error) => {
                    self.discard_files(store, &job.abandon());
                    return Err(error);
                }
            }
        }
    }

    /// Looks at the partitions of a user's table, if any can be too large.
    fn watch(&self, settings: &TableSettings) -> Option<PartitionWatch> {
        let bounds = self.settings.partition_bounds;
        let is_watched = settings.limits_tombstones && bounds != PartitionBounds::NONE;
        is_watched.then(|| PartitionWatch { table: settings.name.clone(), bounds })
    }

    /// The cells that are left out of files.
    fn dropped_cells(&self, settings: &TableSettings) -> HiddenCells {
        if self.env.mutants.has("purge-takes-what-is-newer-than-a-drop") {
            let columns = settings.dropped_cells.columns().iter();
            return HiddenCells::new(columns.map(|(column, _)| (*column, i64::MAX)).collect());
        }
        settings.dropped_cells.clone()
    }

    pub(super) fn job_output(
        &self,
        store: &TableStore,
        split: Split,
        log_intervals: Vec<std::ops::Range<u64>>,
    ) -> JobOutput {
        let settings = store.settings.load();
        JobOutput {
            table: settings.id,
            columns: settings.columns.clone(),
            dropped_cells: self.dropped_cells(&settings),
            options: WriterOptions { watch: self.watch(&settings), ..settings.writer.clone() },
            split,
            host: self.host,
            log_intervals,
        }
    }

    pub(crate) fn open_outputs(&self, table: TableId, outputs: &[SstableId]) -> Result<Vec<Arc<Sstable>>> {
        outputs
            .iter()
            .map(|id| Sstable::open(&self.env.disk, &self.env.mutants, &self.cache, table, *id).map(Arc::new))
            .collect()
    }

    /// Makes a change of a table's files durable. What a full disk refuses leaves no files behind.
    pub(super) fn publish(&self, store: &TableStore, edit: &Edit) -> Result<()> {
        let committed = self.manifest.lock().commit(edit);
        if matches!(committed, Err(StorageError::NoSpace)) {
            self.discard_files(store, &edit.added);
            self.discard_backups(store, &edit.added);
        }
        committed
    }

    /// Publishes files in the place of one, and what the view is to know besides. False if that one is gone, or the table
    /// was dropped: the files are discarded then.
    pub(super) fn replace_file(
        &self,
        store: &TableStore,
        old: &Arc<Sstable>,
        mut edit: Edit,
        also: impl FnOnce(&mut TableView),
    ) -> Result<bool> {
        let opened = self.open_outputs(edit.table, &edit.added)?;
        let _publish = store.publish.lock();
        let is_there = store.view.load().sstables.iter().any(|other| other.id() == old.id());
        if !is_there || store.is_dropped() {
            self.discard_files(store, &edit.added);
            return Ok(false);
        }
        edit.removed = vec![old.id()];
        edit.describe(&opened);
        self.publish(store, &edit)?;
        store.update(|view| {
            view.apply(&edit, opened);
            also(view);
        });
        self.obsolete.lock().push(Arc::clone(old));
        self.work.notify_one();
        Ok(true)
    }

    pub(super) fn discard_files(&self, store: &TableStore, files: &[SstableId]) {
        let table = store.settings.load().id;
        for id in files {
            let path = sstable::path_of(table, *id);
            if let Err(error) = self.env.disk.remove(&path) {
                tracing::warn!(path, %error, "a file of a failed job could not be removed; it goes at the next start");
            }
        }
    }

    /// Removes segments of the commit log that no memtable needs.
    pub(super) fn discard_log(&self) -> Result<()> {
        let needed = {
            let _alone = self.switch.write();
            let end = self.log.end();
            let tables = self.tables.load();
            let starts = tables.values().flat_map(|store| {
                let view = store.view.load();
                view.memtables()
                    .filter(|memtable| !memtable.is_empty())
                    .map(|memtable| memtable.log_start())
                    .collect::<Vec<_>>()
            });
            let oldest = starts.min().filter(|_| !self.env.mutants.has("log-discarded-early"));
            oldest.unwrap_or(end).min(end)
        };
        self.log.discard_below(needed).map(drop)
    }
}
