//! How many partitions batches change (Cassandra `BatchMetrics`).

use crate::ast::BatchKind;
use dodona_cluster::coordinator::served::{Distribution, Values};
use std::time::Duration;

/// How many partitions the batches of each kind have changed of late.
#[derive(Debug, Default)]
pub(crate) struct BatchPartitions {
    logged: Values,
    unlogged: Values,
    counter: Values,
}

impl BatchPartitions {
    const fn of(&self, kind: BatchKind) -> &Values {
        match kind {
            BatchKind::Logged => &self.logged,
            BatchKind::Unlogged => &self.unlogged,
            BatchKind::Counter => &self.counter,
        }
    }

    /// Notes a batch.
    pub(crate) fn note(&self, kind: BatchKind, now: Duration, partitions: usize) {
        self.of(kind).note(now, partitions as u64);
    }

    /// What there was of late.
    pub(crate) fn lately(&self, kind: BatchKind, now: Duration) -> Distribution {
        self.of(kind).lately(now)
    }
}
