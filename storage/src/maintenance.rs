//! Flushes, compactions, truncations and snapshots: what keeps tables in shape behind reads and
//! writes.

use crate::compaction::job::{JobOutput, MergeJob, PurgeRule};
use crate::compaction::{Candidate, Choice};
use crate::engine::Engine;
use crate::error::{IoContext, Result, StorageError};
use crate::manifest::Edit;
use crate::memtable::Memtable;
use crate::purge::Purge;
use crate::read::sources_of_range;
use crate::scan::{MemtableSource, MergedScan, Source};
use crate::sstable::cursor::SstableSource;
use crate::sstable::reader::Access;
use crate::sstable::{self, Sstable, SstableId};
use crate::table::{TableStore, TableView};
use dodona_types::TableId;
use dodona_types::read_command::{PartitionRange, RangeBound};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Bytes a job writes in one step.
const STEP_BYTES: u64 = 1 << 20;

/// A compaction that is under way, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactionProgress {
    /// The table, as people write it.
    pub table: String,
    /// The files merged.
    pub inputs: usize,
    /// Bytes of the inputs.
    pub total_bytes: u64,
    /// Bytes written so far.
    pub written_bytes: u64,
}

/// What compactions do and did.
#[derive(Default)]
pub struct Progress {
    running: Mutex<Vec<CompactionProgress>>,
    completed: std::sync::atomic::AtomicU64,
    flushed: std::sync::atomic::AtomicU64,
}

/// What a call of [`Engine::maintain`] found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintained {
    /// Nothing.
    Idle,
    /// Something was done; there may be more.
    Worked,
}

/// A file of a table, for operators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableStatistics {
    /// Keyspace and table.
    pub name: String,
    /// Files.
    pub sstables: usize,
    /// Bytes of the files.
    pub disk_bytes: u64,
    /// Bytes of data in the files before compression.
    pub uncompressed_bytes: u64,
    /// Partitions in the files; one in several files counts several times.
    pub partitions: u64,
    /// Rows in the files.
    pub rows: u64,
    /// Tombstones in the files.
    pub tombstones: u64,
    /// Partitions in memtables.
    pub memtable_partitions: usize,
    /// Bytes in memtables.
    pub memtable_bytes: usize,
    /// Mutations applied to the memtables.
    pub memtable_operations: usize,
    /// Bytes of memory for filters and indexes.
    pub index_bytes: usize,
}

impl Engine {
    /// Waits until there may be something to do.
    pub async fn wait_for_work(&self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, self.work.notified()).await;
    }

    /// Does one piece of work, if there is any: a flush that is due, else a compaction.
    ///
    /// # Errors
    /// A file could not be read or written.
    pub fn maintain(&self) -> Result<Maintained> {
        self.remove_obsolete()?;
        if let Some(table) = self.flush_due() {
            self.flush(table)?;
            return Ok(Maintained::Worked);
        }
        for store in self.tables.load().values() {
            if let Some(inputs) = self.choose_compaction(store) {
                self.compact(store, inputs.0, inputs.1)?;
                return Ok(Maintained::Worked);
            }
        }
        Ok(Maintained::Idle)
    }

    /// The table whose memtable should be flushed next.
    fn flush_due(&self) -> Option<TableId> {
        let tables = self.tables.load();
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
        while let Some(memtable) = store.view.load().flushing.last().cloned() {
            if !self.flush_memtable(&store, &memtable)? {
                break;
            }
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
        let _alone = self.switch.write();
        store.update(|view| {
            if !view.active.is_empty() {
                let bits = view.active.shard_bits_for_successor();
                let next = Memtable::new(bits, self.log.end(), self.env.clock.mono());
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
        result.map(|()| true)
    }

    fn write_memtable(&self, store: &TableStore, memtable: &Arc<Memtable>) -> Result<()> {
        let log_end = {
            let view = store.view.load();
            let newer = view.memtables().take_while(|other| !Arc::ptr_eq(other, memtable)).last().cloned();
            newer.map_or_else(|| self.log.end(), |newer| newer.log_start())
        };
        let covered = memtable.log_start()..log_end;
        let mut source = Source::Memtable(MemtableSource::new(Arc::clone(memtable)));
        source.seek(&RangeBound::Unbounded)?;
        let output = self.job_output(store, u64::MAX, vec![covered.clone()]);
        let nothing: PurgeRule = Box::new(|_| Purge::NOTHING);
        let mut job = MergeJob::new(self.env.clone(), MergedScan::new(vec![source]), output, nothing);
        let outputs = loop {
            match job.step(STEP_BYTES) {
                Ok(true) => break job.into_outputs(),
                Ok(false) => {}
                Err(error) => {
                    self.discard_files(store, &job.abandon());
                    return Err(error);
                }
            }
        };
        // The log must not forget these writes before the file that holds them is on disk, and a
        // position that the manifest covers must not come again after a crash.
        self.log.sync()?;
        let table = store.settings.load().id;
        let opened = self.open_outputs(table, &outputs)?;
        let _publish = store.publish.lock();
        if !store.view.load().flushing.iter().any(|other| Arc::ptr_eq(other, memtable)) {
            self.discard_files(store, &outputs);
            return Ok(());
        }
        let mut edit = Edit::new(table);
        edit.added = outputs;
        edit.covered = Some(if self.env.mutants.has("replay-interval-too-long") {
            covered.start..covered.end + 64
        } else {
            covered
        });
        self.publish(store, &edit)?;
        store.update(|view| {
            view.flushing.retain(|other| !Arc::ptr_eq(other, memtable));
            view.sstables.extend(opened);
            view.sort_sstables();
        });
        self.memtable_bytes.fetch_sub(memtable.bytes().cast_signed(), Relaxed);
        self.compactions.flushed.fetch_add(1, Relaxed);
        self.shrunk.notify_waiters();
        Ok(())
    }

    fn job_output(
        &self,
        store: &TableStore,
        target_bytes: u64,
        log_intervals: Vec<std::ops::Range<u64>>,
    ) -> JobOutput {
        let settings = store.settings.load();
        JobOutput {
            table: settings.id,
            columns: settings.columns.clone(),
            options: settings.writer.clone(),
            target_bytes,
            host: self.host,
            log_intervals,
        }
    }

    fn open_outputs(&self, table: TableId, outputs: &[SstableId]) -> Result<Vec<Arc<Sstable>>> {
        outputs
            .iter()
            .map(|id| {
                Sstable::open(&*self.env.disk, &self.env.mutants, &self.cache, table, *id).map(Arc::new)
            })
            .collect()
    }

    /// Makes a change of a table's files durable. What a full disk refuses leaves no files behind.
    fn publish(&self, store: &TableStore, edit: &Edit) -> Result<()> {
        let committed = self.manifest.lock().commit(edit);
        if matches!(committed, Err(StorageError::NoSpace)) {
            self.discard_files(store, &edit.added);
        }
        committed
    }

    fn discard_files(&self, store: &TableStore, files: &[SstableId]) {
        let table = store.settings.load().id;
        for id in files {
            let path = sstable::path_of(table, *id);
            if let Err(error) = self.env.disk.remove(&path) {
                tracing::warn!(path, %error, "a file of a failed job could not be removed; it goes at the next start");
            }
        }
    }

    /// Removes segments of the commit log that no memtable needs.
    fn discard_log(&self) -> Result<()> {
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
            starts.min().unwrap_or(end).min(end)
        };
        self.log.discard_below(needed).map(drop)
    }

    /// Removes files that are out of use and that no read holds.
    fn remove_obsolete(&self) -> Result<()> {
        let free: Vec<Arc<Sstable>> = {
            let mut obsolete = self.obsolete.lock();
            obsolete.extract_if(.., |sstable| Arc::strong_count(sstable) == 1).collect()
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

    fn choose_compaction(&self, store: &TableStore) -> Option<(Vec<Arc<Sstable>>, u64)> {
        let view = store.view.load();
        let mut compacting = store.compacting.lock();
        let free: Vec<&Arc<Sstable>> =
            view.sstables.iter().filter(|sstable| !compacting.contains(&sstable.id())).collect();
        let candidates: Vec<Candidate> = free
            .iter()
            .map(|sstable| Candidate {
                id: sstable.id(),
                bytes: sstable.file_bytes(),
                tokens: sstable.statistics().tokens(),
                max_deletion_seconds: sstable.statistics().max_deletion_seconds,
            })
            .collect();
        match store.settings.load().compaction.choose(&candidates) {
            Choice::Nothing => None,
            Choice::Merge { inputs, target_bytes } => {
                let inputs: Vec<Arc<Sstable>> =
                    free.into_iter().filter(|sstable| inputs.contains(&sstable.id())).cloned().collect();
                compacting.extend(inputs.iter().map(|sstable| sstable.id()));
                Some((inputs, target_bytes))
            }
        }
    }

    /// Merges all files of a table.
    ///
    /// # Errors
    /// A file could not be read or written.
    pub fn compact_all(&self, table: TableId) -> Result<()> {
        let store = self.store(table)?;
        let inputs: Vec<Arc<Sstable>> = {
            let view = store.view.load();
            let mut compacting = store.compacting.lock();
            let free: Vec<_> =
                view.sstables.iter().filter(|sstable| !compacting.contains(&sstable.id())).cloned().collect();
            compacting.extend(free.iter().map(|sstable| sstable.id()));
            free
        };
        self.compact(&store, inputs, u64::MAX)
    }

    fn compact(&self, store: &Arc<TableStore>, inputs: Vec<Arc<Sstable>>, target_bytes: u64) -> Result<()> {
        let ids: Vec<SstableId> = inputs.iter().map(|sstable| sstable.id()).collect();
        let result = if inputs.is_empty() { Ok(()) } else { self.merge_files(store, &inputs, target_bytes) };
        store.compacting.lock().retain(|id| !ids.contains(id));
        result
    }

    fn merge_files(&self, store: &Arc<TableStore>, inputs: &[Arc<Sstable>], target_bytes: u64) -> Result<()> {
        let total_bytes: u64 = inputs.iter().map(|sstable| sstable.file_bytes()).sum();
        let available =
            self.env.disk.available_bytes().during("asking for the space left on", "the data disk")?;
        if available < total_bytes + (64 << 20) {
            tracing::warn!(
                table = store.settings.load().name,
                total_bytes,
                available,
                "no space for a compaction"
            );
            return Err(StorageError::NoSpace);
        }
        let mut sources = Vec::with_capacity(inputs.len());
        for sstable in inputs {
            let mut source = Source::Sstable(SstableSource::new(Arc::clone(sstable), Access::Uncached));
            source.seek(&RangeBound::Unbounded)?;
            sources.push(source);
        }
        let mut intervals: Vec<_> =
            inputs.iter().flat_map(|sstable| sstable.statistics().log_intervals.clone()).collect();
        intervals.sort_by_key(|range| range.start);
        let output = self.job_output(store, target_bytes, intervals);
        let purge = self.purge_rule(store, inputs);
        let mut job = MergeJob::new(self.env.clone(), MergedScan::new(sources), output, purge);
        let progress = CompactionProgress {
            table: store.settings.load().name.clone(),
            inputs: inputs.len(),
            total_bytes,
            written_bytes: 0,
        };
        self.compactions.running.lock().push(progress.clone());
        let outputs = self.run_compaction(&mut job, &progress);
        self.compactions.running.lock().retain(|other| other.table != progress.table);
        match outputs {
            Ok(()) => self.publish_compaction(store, inputs, job.into_outputs()),
            Err(error) => {
                self.discard_files(store, &job.abandon());
                Err(error)
            }
        }
    }

    fn run_compaction(&self, job: &mut MergeJob, progress: &CompactionProgress) -> Result<()> {
        let rate = self.settings.compaction_bytes_per_second;
        let started = self.env.clock.mono();
        while !job.step(STEP_BYTES)? {
            if rate > 0 {
                // What is written so far should have taken this long.
                let due = Duration::from_secs_f64(job.written_bytes() as f64 / rate as f64);
                let spent = self.env.clock.mono().saturating_sub(started);
                self.env.tasks.pause_blocking_work(due.saturating_sub(spent).min(Duration::from_secs(1)));
            }
            let mut running = self.compactions.running.lock();
            if let Some(running) = running.iter_mut().find(|running| running.table == progress.table) {
                running.written_bytes = job.written_bytes();
            }
        }
        Ok(())
    }

    fn publish_compaction(
        &self,
        store: &TableStore,
        inputs: &[Arc<Sstable>],
        outputs: Vec<SstableId>,
    ) -> Result<()> {
        let table = store.settings.load().id;
        let opened = self.open_outputs(table, &outputs)?;
        let _publish = store.publish.lock();
        let view = store.view.load_full();
        if !inputs.iter().all(|input| view.sstables.iter().any(|sstable| sstable.id() == input.id())) {
            // The table was truncated meanwhile.
            self.discard_files(store, &outputs);
            return Ok(());
        }
        let mut edit = Edit::new(table);
        edit.added = outputs;
        edit.removed = inputs.iter().map(|sstable| sstable.id()).collect();
        self.publish(store, &edit)?;
        store.update(|view| {
            view.sstables.retain(|sstable| !edit.removed.contains(&sstable.id()));
            view.sstables.extend(opened);
            view.sort_sstables();
        });
        self.obsolete.lock().extend(inputs.iter().cloned());
        self.compactions.completed.fetch_add(1, Relaxed);
        self.work.notify_one();
        Ok(())
    }

    /// What a compaction of `inputs` may purge: see [`crate::purge`].
    fn purge_rule(&self, store: &Arc<TableStore>, inputs: &[Arc<Sstable>]) -> PurgeRule {
        let gc_grace = i64::from(store.settings.load().gc_grace_seconds);
        let deleted_before_seconds = self.env.clock.wall_seconds().saturating_sub(gc_grace);
        let inputs: Vec<SstableId> = inputs.iter().map(|sstable| sstable.id()).collect();
        let store = Arc::clone(store);
        let ignore_others = self.env.mutants.has("purge-ignores-other-tables");
        Box::new(move |key| {
            // The view is looked at anew for each partition: writes and flushes go on meanwhile.
            let view = store.view.load();
            let in_files = view
                .sstables
                .iter()
                .filter(|sstable| !inputs.contains(&sstable.id()) && sstable.may_contain(key.token))
                .map(|sstable| sstable.statistics().min_timestamp);
            let in_memory = view
                .memtables()
                .filter(|memtable| memtable.get(key).is_some())
                .map(|memtable| memtable.min_timestamp());
            let oldest = in_files.chain(in_memory).min().unwrap_or(i64::MAX);
            let older_than_micros = if ignore_others { i64::MAX } else { oldest };
            Purge { deleted_before_seconds, older_than_micros }
        })
    }

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
            edit.covered = Some(start..end);
            self.manifest.lock().commit(&edit)?;
            store.update(|view| {
                dropped = view.memtables().map(|memtable| memtable.bytes()).sum();
                removed = std::mem::take(&mut view.sstables);
                let next = Memtable::new(crate::engine::FIRST_SHARD_BITS, end, self.env.clock.mono());
                *view = TableView { active: Arc::new(next), flushing: Vec::new(), sstables: Vec::new() };
            });
        }
        self.memtable_bytes.fetch_sub(dropped.cast_signed(), Relaxed);
        self.obsolete.lock().extend(removed);
        self.work.notify_one();
        Ok(())
    }

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

    /// What a table takes.
    ///
    /// # Errors
    /// The engine does not know the table.
    pub fn table_statistics(&self, table: TableId) -> Result<TableStatistics> {
        let store = self.store(table)?;
        let view = store.view.load();
        let mut statistics =
            TableStatistics { name: store.settings.load().name.clone(), ..TableStatistics::default() };
        statistics.sstables = view.sstables.len();
        for sstable in &view.sstables {
            let file = sstable.statistics();
            statistics.disk_bytes += sstable.file_bytes();
            statistics.uncompressed_bytes += file.uncompressed_bytes;
            statistics.partitions += file.partitions;
            statistics.rows += file.rows;
            statistics.tombstones += file.tombstones;
            statistics.index_bytes += sstable.heap_bytes();
        }
        for memtable in view.memtables() {
            statistics.memtable_partitions += memtable.partitions();
            statistics.memtable_bytes += memtable.bytes();
            statistics.memtable_operations += memtable.operations();
        }
        Ok(statistics)
    }

    /// Compactions under way, and how many compactions and flushes are over.
    #[must_use]
    pub fn compaction_progress(&self) -> (Vec<CompactionProgress>, u64, u64) {
        let progress = &self.compactions;
        (progress.running.lock().clone(), progress.completed.load(Relaxed), progress.flushed.load(Relaxed))
    }

    /// All partitions of a table as one stream with its deletions, for repair and export.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn scan_all(&self, table: TableId) -> Result<MergedScan> {
        let view = self.store(table)?.view.load_full();
        Ok(MergedScan::new(sources_of_range(&view, &PartitionRange::all(), Access::Uncached)?))
    }
}
