//! Server timestamps: strictly increasing per node, and never behind the wall clock.

use dodona_env::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// Gives out timestamps.
pub struct Timestamps {
    clock: Arc<dyn Clock>,
    last: AtomicI64,
}

impl Timestamps {
    /// Timestamps by a clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: AtomicI64::new(i64::MIN) }
    }

    /// The next timestamp in microseconds: the wall clock, or one more than the last.
    #[must_use]
    pub fn next(&self) -> i64 {
        let wall = self.clock.wall_micros();
        let step = |last: i64| Some(wall.max(last.saturating_add(1)));
        match self.last.fetch_update(Relaxed, Relaxed, step) {
            Ok(last) | Err(last) => wall.max(last.saturating_add(1)),
        }
    }
}
