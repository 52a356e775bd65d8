//! What compactions do and did, for operators.

use parking_lot::Mutex;
use std::sync::atomic::AtomicU64;

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
    pub(crate) running: Mutex<Vec<CompactionProgress>>,
    pub(crate) completed: AtomicU64,
    pub(crate) flushed: AtomicU64,
}
