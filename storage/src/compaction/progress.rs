//! What compactions do and did, for operators.

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

/// A compaction that is under way.
#[derive(Debug)]
pub struct Running {
    /// Counts those that have begun since the start.
    pub number: u64,
    /// The table, as people write it.
    pub table: String,
    /// What it is, as Cassandra calls it.
    pub kind: &'static str,
    /// The files merged.
    pub inputs: usize,
    /// Bytes of the inputs.
    pub total_bytes: u64,
    written: AtomicU64,
    stopped: AtomicBool,
}

impl Running {
    /// Bytes written so far.
    #[must_use]
    pub fn written_bytes(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// True once someone wants it to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    pub(crate) fn set_written(&self, bytes: u64) {
        self.written.store(bytes, Relaxed);
    }
}

/// What compactions do and did.
#[derive(Debug, Default)]
pub struct Progress {
    running: Mutex<Vec<Arc<Running>>>,
    begun: AtomicU64,
    pub(crate) completed: AtomicU64,
    pub(crate) flushed: AtomicU64,
    /// Bytes that all flushes have written.
    pub(crate) flushed_bytes: AtomicU64,
    /// Bytes that all compactions have written.
    pub(crate) compacted_bytes: AtomicU64,
}

impl Progress {
    /// Notes a compaction that begins.
    pub(crate) fn begin(
        &self,
        table: &str,
        kind: &'static str,
        inputs: usize,
        total_bytes: u64,
    ) -> Arc<Running> {
        let running = Arc::new(Running {
            number: self.begun.fetch_add(1, Relaxed),
            table: table.to_owned(),
            kind,
            inputs,
            total_bytes,
            written: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        self.running.lock().push(Arc::clone(&running));
        running
    }

    pub(crate) fn end(&self, running: &Arc<Running>) {
        self.running.lock().retain(|other| !Arc::ptr_eq(other, running));
    }

    /// Those under way.
    #[must_use]
    pub fn running(&self) -> Vec<Arc<Running>> {
        self.running.lock().clone()
    }

    /// Compactions and flushes that are over.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.completed.load(Relaxed), self.flushed.load(Relaxed))
    }

    /// Asks those that `which` says to end. Returns how many there were.
    pub fn stop(&self, which: impl Fn(&Running) -> bool) -> usize {
        let running = self.running();
        running
            .iter()
            .filter(|running| which(running))
            .map(|running| running.stopped.store(true, Relaxed))
            .count()
    }
}
