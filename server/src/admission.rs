//! Bounds on the bytes in flight: of one connection, and of all.
//!
//! Past a bound the server stops reading sockets, so that clients are slowed down by TCP. Only
//! those that asked for it (`THROW_ON_OVERLOAD`) are told OVERLOADED, because drivers send such a
//! request to another node and spread the load.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// How often a connection that is held back for the sake of all looks again.
pub(crate) const RETRY_PERIOD: Duration = Duration::from_millis(5);

/// The bytes in flight of all connections.
#[derive(Debug)]
pub(crate) struct Admission {
    in_flight: AtomicUsize,
    limit: usize,
    limit_per_connection: usize,
}

impl Admission {
    pub(crate) fn new(limit: usize, limit_per_connection: usize) -> Arc<Self> {
        Arc::new(Self { in_flight: AtomicUsize::new(0), limit, limit_per_connection })
    }

    /// True if nothing more may be taken in for the sake of all.
    pub(crate) fn is_full(&self) -> bool {
        self.in_flight.load(Relaxed) >= self.limit
    }

    /// True if a connection with so much in flight may have no more.
    pub(crate) const fn is_too_much(&self, bytes: usize) -> bool {
        bytes >= self.limit_per_connection
    }

    /// Bytes in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Counts `bytes` until the charge is dropped.
    pub(crate) fn charge(self: &Arc<Self>, bytes: usize) -> Charge {
        self.in_flight.fetch_add(bytes, Relaxed);
        Charge { admission: Arc::clone(self), bytes }
    }
}

/// Bytes that are counted as in flight.
#[derive(Debug)]
pub(crate) struct Charge {
    admission: Arc<Admission>,
    bytes: usize,
}

impl Charge {
    /// How many bytes it counts.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts `bytes` in place of what it counted.
    pub(crate) fn set(&mut self, bytes: usize) {
        self.admission.in_flight.fetch_add(bytes, Relaxed);
        self.admission.in_flight.fetch_sub(self.bytes, Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.admission.in_flight.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_charged_is_given_back() {
        let admission = Admission::new(100, 10);
        let mut charge = admission.charge(60);
        assert!(!admission.is_full());
        charge.set(100);
        assert!(admission.is_full());
        drop(charge);
        assert_eq!(admission.in_flight(), 0);
        assert!(admission.is_too_much(10) && !admission.is_too_much(9));
    }
}
