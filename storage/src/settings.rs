//! What the engine is told when it opens: plain data.

use crate::sstable::partition_bounds::PartitionBounds;
use std::time::Duration;

/// When a write counts as safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// When the operating system has it; it is on disk after at most `period`.
    Periodic {
        /// The longest time between two syncs.
        period: Duration,
    },
    /// When it is on disk; writes of `window` share a sync.
    Group {
        /// How long a write waits for others.
        window: Duration,
    },
    /// When it is on disk; writes that wait at the same time share a sync.
    Batch,
}

/// Where segments of the commit log go that have ended: plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveSettings {
    /// A directory that they are copied into: absolute, or in the data directory.
    pub directory: Option<String>,
    /// A program and its arguments, set apart by blanks, in which `%path` stands for a segment's file and
    /// `%name` for its name in the archive (Cassandra `archive_command`).
    pub command: Option<String>,
}

impl ArchiveSettings {
    /// True if they go anywhere.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.directory.is_some() || self.command.is_some()
    }
}

/// Settings of the engine.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// When a write counts as safe.
    pub sync_mode: SyncMode,
    /// Bytes that the memtables of all tables may hold before the largest is flushed. At twice
    /// as many, writes wait.
    pub memtable_bytes: usize,
    /// Bytes of decoded blocks, filters and indexes kept in memory.
    pub block_cache_bytes: usize,
    /// Bytes of commit log kept before old memtables are flushed to free it.
    pub commit_log_bytes: u64,
    /// Bytes after which the commit log goes on in a new segment.
    pub segment_bytes: u64,
    /// Bytes a second that compactions may write together; 0 for no limit.
    pub compaction_bytes_per_second: u64,
    /// Compactions at once.
    pub concurrent_compactors: usize,
    /// Bytes that a flush or a compaction writes in one step.
    pub step_bytes: u64,
    /// Files that flushes write are linked into `backups` as well, as far as their tables want that.
    pub incremental_backups: bool,
    /// Where segments of the commit log are archived, if anywhere.
    pub archive: ArchiveSettings,
    /// Tombstones above which a client is warned that its read has met so many.
    pub tombstone_warn_threshold: u64,
    /// Tombstones above which a read of a client fails.
    pub tombstone_failure_threshold: u64,
    /// Above how much of one partition in a file the log tells of it.
    pub partition_bounds: PartitionBounds,
}

/// The least memory that an engine works with.
pub const MIN_MEMORY_BYTES: usize = 4 << 20;

impl EngineSettings {
    /// Settings for an engine that takes about so many bytes of memory: half for memtables, which are flushed
    /// from a quarter on, a quarter for blocks, filters and indexes, and a quarter for what is in flight.
    #[must_use]
    pub fn within(memory_bytes: usize) -> Self {
        let quarter = memory_bytes.max(MIN_MEMORY_BYTES) / 4;
        Self { memtable_bytes: quarter, block_cache_bytes: quarter, ..Self::default() }
    }
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            sync_mode: SyncMode::Periodic { period: Duration::from_secs(10) },
            memtable_bytes: 256 << 20,
            block_cache_bytes: 256 << 20,
            commit_log_bytes: 1 << 30,
            segment_bytes: dodona_types::limits::COMMIT_LOG_SEGMENT_BYTES as u64,
            compaction_bytes_per_second: 64 << 20,
            concurrent_compactors: 2,
            step_bytes: 1 << 20,
            incremental_backups: false,
            archive: ArchiveSettings::default(),
            tombstone_warn_threshold: 1_000,
            tombstone_failure_threshold: 100_000,
            partition_bounds: PartitionBounds::NONE,
        }
    }
}
