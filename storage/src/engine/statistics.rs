//! What the engine and its tables take, for operators.

use super::Engine;
use crate::compaction::progress::Running;
use crate::error::{IoContext, Result};
use crate::metrics::{Distribution, Operation, PerRead, Summary};
use crate::read::sources_of_range;
use crate::repair_state::RepairState;
use crate::scan::MergedScan;
use crate::sstable::reader::Access;
use crate::sstable::{self, Sstable};
use crate::sync::atomic::Ordering::Relaxed;
use dodona_types::read_command::PartitionRange;
use dodona_types::{KeyRef, TableId};
use std::sync::Arc;

/// What a table takes, for operators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableStatistics {
    /// Keyspace and table.
    pub name: String,
    /// Files.
    pub sstables: usize,
    /// Bytes of the files.
    pub disk_bytes: u64,
    /// Bytes of those that all replicas are known to hold.
    pub repaired_bytes: u64,
    /// Bytes of those that incremental repairs are at.
    pub pending_bytes: u64,
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
    /// Bytes of the largest of the files.
    pub max_sstable_bytes: u64,
    /// Bytes of the largest partition in one file, before compression; none if a file does not say.
    pub max_partition_bytes: Option<u64>,
    /// The greatest distance between two timestamps in one file, in microseconds.
    pub max_sstable_micros: u64,
    /// Reads of one partition that looked into 0, 1, 2, … files, without those that found all in one
    /// memtable.
    pub files_per_read: Vec<u64>,
}

impl Engine {
    /// All tables' ids.
    #[must_use]
    pub fn table_ids(&self) -> Vec<TableId> {
        self.tables.load().keys().copied().collect()
    }

    /// Bytes of the block cache, and how often it had what was looked for and had not.
    #[must_use]
    pub fn cache_statistics(&self) -> (u64, u64, u64) {
        let (hits, misses) = self.cache.hits_and_misses();
        (self.cache.bytes(), hits, misses)
    }

    /// Blocks in the block cache.
    #[must_use]
    pub fn cache_entries(&self) -> usize {
        self.cache.entries()
    }

    /// Bytes that filters and indexes of open files take.
    #[must_use]
    pub fn index_bytes(&self) -> u64 {
        self.cache.pinned_bytes()
    }

    /// Bytes in memtables.
    #[must_use]
    pub fn memtable_bytes(&self) -> u64 {
        self.memtable_bytes.load(Relaxed).max(0).cast_unsigned() as u64
    }

    /// Bytes of the files of all tables, and of those that snapshots alone still have. Waits for the disk.
    ///
    /// # Errors
    /// The operating system's.
    pub fn data_bytes(&self) -> Result<u64> {
        let tables = self.tables.load();
        let files = tables.values().flat_map(|store| store.view.load().sstables.clone());
        let files: u64 = files.map(|sstable| sstable.file_bytes()).sum();
        Ok(files + self.snapshots()?.iter().map(|snapshot| snapshot.own_bytes).sum::<u64>())
    }

    /// Bytes that the disk has free. Waits for it.
    ///
    /// # Errors
    /// The operating system's.
    pub fn available_bytes(&self) -> Result<u64> {
        self.env.disk.available_bytes().during("looking at the space of", "the data directory")
    }

    /// Bytes of the commit log.
    #[must_use]
    pub fn commit_log_bytes(&self) -> u64 {
        self.log.total_bytes()
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
        statistics.files_per_read = store.files_per_read.counts();
        statistics.max_partition_bytes = Some(0);
        for sstable in &view.sstables {
            let file = sstable.summary();
            statistics.disk_bytes += sstable.file_bytes();
            statistics.max_sstable_bytes = statistics.max_sstable_bytes.max(sstable.file_bytes());
            statistics.max_partition_bytes = statistics
                .max_partition_bytes
                .filter(|_| file.max_partition_bytes > 0)
                .map(|most| most.max(file.max_partition_bytes));
            let micros = file.max_timestamp.abs_diff(file.min_timestamp);
            statistics.max_sstable_micros = statistics.max_sstable_micros.max(micros);
            match view.repair_of(sstable.id()) {
                RepairState::Unrepaired => {}
                RepairState::Pending(_) => statistics.pending_bytes += sstable.file_bytes(),
                RepairState::Repaired(_) => statistics.repaired_bytes += sstable.file_bytes(),
            }
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

    /// How often a table was read or written here, and how long that took of late: a write, to get into the
    /// memtable.
    ///
    /// # Errors
    /// The engine does not know the table.
    pub fn operations(&self, table: TableId, operation: Operation) -> Result<Summary> {
        let (store, now) = (self.store(table)?, self.env.clock.mono());
        let metrics = store.present_metrics();
        Ok(metrics.map_or_else(Summary::default, |metrics| metrics.operations.summary(operation, now)))
    }

    /// What reads of a table have met of late.
    ///
    /// # Errors
    /// The engine does not know the table.
    pub fn met_by_reads(&self, table: TableId, what: PerRead) -> Result<Distribution> {
        let (store, now) = (self.store(table)?, self.env.clock.mono());
        let metrics = store.present_metrics();
        Ok(metrics.map_or_else(Distribution::default, |metrics| metrics.per_read(what, now)))
    }

    /// Paths of a table's files in the data directory, with their levels.
    ///
    /// # Errors
    /// The engine does not know the table.
    pub fn files(&self, table: TableId) -> Result<Vec<(String, u8)>> {
        let view = self.store(table)?.view.load_full();
        let file = |sstable: &Arc<Sstable>| (sstable.path().to_owned(), view.level_of(sstable.id()));
        Ok(view.sstables.iter().map(file).collect())
    }

    /// Paths of the files that a read of a partition looks into: their tokens and filters do not
    /// exclude it.
    ///
    /// # Errors
    /// The engine does not know the table.
    pub fn files_of_partition(&self, table: TableId, key: KeyRef<'_>) -> Result<Vec<String>> {
        let view = self.store(table)?.view.load_full();
        let mut paths = Vec::new();
        for sstable in &view.sstables {
            if sstable.may_contain(key.token, Access::Disk)? {
                paths.push(sstable.path().to_owned());
            }
        }
        Ok(paths)
    }

    /// Bytes that flushes and compactions have written.
    #[must_use]
    pub fn written_bytes(&self) -> (u64, u64) {
        let progress = &self.compactions;
        (progress.flushed_bytes.load(Relaxed), progress.compacted_bytes.load(Relaxed))
    }

    /// Compactions under way, and how many compactions and flushes are over.
    #[must_use]
    pub fn compaction_progress(&self) -> (Vec<Arc<Running>>, u64, u64) {
        let (completed, flushed) = self.compactions.counts();
        (self.compactions.running(), completed, flushed)
    }

    /// Memtables that are written to files now, and others that are to be.
    #[must_use]
    pub fn flushes(&self) -> (usize, usize) {
        let (mut writing, mut full) = (0, 0);
        for store in self.tables.load().values() {
            writing += usize::from(store.is_flushed());
            full += store.view.load().flushing.len();
        }
        (writing, full.saturating_sub(writing))
    }

    /// The directory that a table's files go to.
    #[must_use]
    pub fn directory_of(&self, table: TableId) -> String {
        self.env.disk.full_path(&sstable::directory_of(table))
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
