//! One rate for all that compactions write together.

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Spreads writes over time.
#[derive(Debug, Default)]
pub struct Throttle {
    bytes_per_second: AtomicU64,
    /// Monotonic time at which what was written so far is paid for.
    paid_until: Mutex<Duration>,
}

impl Throttle {
    /// A throttle of this rate; 0 for none.
    #[must_use]
    pub const fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: AtomicU64::new(bytes_per_second), paid_until: Mutex::new(Duration::ZERO) }
    }

    /// The rate; 0 for none.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.bytes_per_second.load(Relaxed)
    }

    /// Changes the rate.
    pub fn set_rate(&self, bytes_per_second: u64) {
        self.bytes_per_second.store(bytes_per_second, Relaxed);
        *self.paid_until.lock() = Duration::ZERO;
    }

    /// Notes that bytes were written at `now`. Returns how long their writer must pause.
    #[must_use]
    pub fn pause_after(&self, bytes: u64, now: Duration) -> Duration {
        let rate = self.rate();
        if rate == 0 {
            return Duration::ZERO;
        }
        let mut paid_until = self.paid_until.lock();
        *paid_until = (*paid_until).max(now) + Duration::from_secs_f64(bytes as f64 / rate as f64);
        paid_until.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_share_the_rate() {
        let throttle = Throttle::new(1_000);
        let now = Duration::from_secs(5);
        assert_eq!(throttle.pause_after(500, now), Duration::from_millis(500));
        assert_eq!(throttle.pause_after(500, now), Duration::from_secs(1));
        assert_eq!(throttle.pause_after(1_000, now + Duration::from_secs(9)), Duration::from_secs(1));
        throttle.set_rate(0);
        assert_eq!(throttle.pause_after(1_000, now), Duration::ZERO);
    }
}
