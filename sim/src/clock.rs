//! Simulated time: tokio's paused clock, and a wall clock of its own for each node.

use dodona_env::Clock;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// 2026-01-01, in microseconds since the epoch.
const EPOCH_MICROS: i64 = 1_767_225_600_000_000;

/// A node's clock: it follows the simulation's time, from a start and with an offset of its own.
#[derive(Clone)]
pub struct SimClock {
    start: Instant,
    off: Arc<Mutex<Off>>,
}

/// How a wall clock differs from the simulation's time.
#[derive(Clone, Copy)]
struct Off {
    micros: i64,
    /// How much it gains in a second.
    drift_ppm: i64,
}

impl SimClock {
    /// A clock that begins now. To be made within the simulation's runtime.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the simulated clock's only source")]
    pub fn new(offset_micros: i64) -> Self {
        let off = Off { micros: offset_micros, drift_ppm: 0 };
        Self { start: Instant::now(), off: Arc::new(Mutex::new(off)) }
    }

    /// Lets the wall clock jump to so many microseconds from where it began, and gain so many in a second.
    pub fn set(&self, micros: i64, drift_ppm: i64) {
        *self.off.lock() = Off { micros, drift_ppm };
    }
}

impl Clock for SimClock {
    #[expect(clippy::disallowed_methods, reason = "this is the simulated clock's only source")]
    fn mono(&self) -> Duration {
        Instant::now().duration_since(self.start)
    }

    fn wall_micros(&self) -> i64 {
        let elapsed = i64::try_from(self.mono().as_micros()).unwrap_or(i64::MAX / 4);
        let Off { micros, drift_ppm } = *self.off.lock();
        EPOCH_MICROS + micros + elapsed + elapsed / 1_000_000 * drift_ppm
    }
}
