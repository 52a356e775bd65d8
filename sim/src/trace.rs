//! The trace: a hash of what happened, in order.

use parking_lot::Mutex;
use std::sync::Arc;

/// A running hash (FNV-1a). Clones share it.
#[derive(Clone, Debug)]
pub struct Trace(Arc<Mutex<u64>>);

impl Default for Trace {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(0xcbf2_9ce4_8422_2325)))
    }
}

impl Trace {
    /// Notes an event.
    pub fn note(&self, event: &str) {
        tracing::debug!("{event}");
        let mut hash = self.0.lock();
        for byte in event.bytes().chain([0]) {
            *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    /// The hash so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        *self.0.lock()
    }
}
