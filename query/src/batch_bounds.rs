//! How much a batch may change.

/// Bounds of batches (Cassandra's settings of these names). Only what changes several partitions counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchBounds {
    /// Bytes above which a client is warned (`batch_size_warn_threshold`).
    pub warn_bytes: usize,
    /// Bytes above which a batch is refused (`batch_size_fail_threshold`).
    pub fail_bytes: usize,
    /// Partitions above which a client is warned of an unlogged batch
    /// (`unlogged_batch_across_partitions_warn_threshold`).
    pub unlogged_partitions: usize,
}

impl Default for BatchBounds {
    fn default() -> Self {
        Self { warn_bytes: 5 << 10, fail_bytes: 50 << 10, unlogged_partitions: 10 }
    }
}
