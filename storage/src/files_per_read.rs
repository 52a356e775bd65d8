//! How many files reads look into (Cassandra: "SSTables" of `nodetool tablehistograms`).

use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Reads that looked into more files than this are counted together.
pub const MOST_FILES: usize = 32;

/// How many reads of one partition have looked into so many files. Those that found all in one memtable are
/// not counted.
#[derive(Debug)]
pub(crate) struct FilesPerRead {
    reads: [AtomicU64; MOST_FILES + 1],
}

impl Default for FilesPerRead {
    fn default() -> Self {
        Self { reads: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl FilesPerRead {
    /// Counts a read.
    #[inline]
    pub(crate) fn note(&self, files: Option<u32>) {
        if let Some(files) = files {
            self.reads[(files as usize).min(MOST_FILES)].fetch_add(1, Relaxed);
        }
    }

    /// Reads that looked into 0, 1, 2, … files.
    pub(crate) fn counts(&self) -> Vec<u64> {
        self.reads.iter().map(|count| count.load(Relaxed)).collect()
    }
}
