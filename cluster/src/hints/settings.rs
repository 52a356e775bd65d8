//! What hints are bounded by, and what is told of them.

use dodona_types::TableId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use uuid::Uuid;

/// Settings of hints: plain data.
#[derive(Clone, Debug)]
pub struct HintSettings {
    /// Hints are kept.
    pub enabled: bool,
    /// Data centres for whose members none is kept.
    pub disabled_data_centers: BTreeSet<String>,
    /// Bytes that may wait for one target; no further hints are kept for it then.
    pub max_bytes_per_target: u64,
    /// Bytes that may wait in all.
    pub max_bytes: u64,
    /// Bytes that may wait in memory for the next write to the disk.
    pub max_buffered_bytes: u64,
    /// How long hints are gathered for one target.
    pub max_hint_window: Duration,
    /// A file that is longer is not added to.
    pub file_bytes: u64,
    /// How often hints are written and synced.
    pub sync_period: Duration,
    /// Bytes that are delivered to one target in a second, about; 0 for no limit.
    pub delivered_bytes_per_second: u64,
    /// How long a target may take for a hint.
    pub timeout: Duration,
}

impl Default for HintSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            disabled_data_centers: BTreeSet::new(),
            max_bytes_per_target: 4 << 30,
            max_bytes: 16 << 30,
            max_buffered_bytes: 32 << 20,
            max_hint_window: Duration::from_secs(3 * 3_600),
            file_bytes: 16 << 20,
            sync_period: Duration::from_secs(1),
            delivered_bytes_per_second: 1 << 20,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Gives a table's present `gc_grace_seconds`, and none for a table that is dropped.
pub type GcGrace = Arc<dyn Fn(TableId) -> Option<u32> + Send + Sync>;

/// Gives the data centre of a member, by its host id.
pub type DataCenterOf = Arc<dyn Fn(Uuid) -> Option<String> + Send + Sync>;

/// What hints ask the rest of the node.
#[derive(Clone)]
pub struct Lookup {
    /// Of tables.
    pub gc_grace: GcGrace,
    /// Of members.
    pub data_center: DataCenterOf,
}

/// What has happened to hints since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Hints that were kept.
    pub written: u64,
    /// Hints that were not kept: past a bound or the window, or because an operator wants none.
    pub refused: u64,
    /// Hints that the disk did not take.
    pub lost: u64,
    /// Hints that targets have acknowledged.
    pub delivered: u64,
    /// Hints that another member keeps now, because this one leaves.
    pub handed_on: u64,
    /// Hints that were too old to deliver, or of dropped tables.
    pub expired: u64,
    /// Files that were damaged and set aside.
    pub damaged_files: u64,
}

/// The same while they count.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) written: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) handed_on: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) damaged_files: AtomicU64,
}

impl Counters {
    /// As they are now.
    pub(super) fn read(&self) -> Counts {
        Counts {
            written: self.written.load(Relaxed),
            refused: self.refused.load(Relaxed),
            lost: self.lost.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            handed_on: self.handed_on.load(Relaxed),
            expired: self.expired.load(Relaxed),
            damaged_files: self.damaged_files.load(Relaxed),
        }
    }
}

/// What waits for a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Files.
    pub files: usize,
    /// Bytes, of hints in memory too.
    pub bytes: u64,
    /// When the oldest hint was made, or its file begun, in seconds since the epoch.
    pub oldest_seconds: i64,
    /// When the newest file was begun, in seconds since the epoch.
    pub newest_seconds: i64,
}
