//! How fast each member has answered of late.

use dodona_env::collections::HashMap;
use parking_lot::Mutex;
use std::time::Duration;
use uuid::Uuid;

/// The weight of a new answer in the estimate, as a power of two: one eighth.
const WEIGHT_SHIFT: u32 = 3;

/// An exponentially decayed estimate of the time to an answer, for each member.
#[derive(Default)]
pub struct Latencies {
    micros: Mutex<HashMap<Uuid, u64>>,
}

impl Latencies {
    /// Notes how long an answer took, or that none came in that time.
    pub fn note(&self, host: Uuid, elapsed: Duration) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX >> WEIGHT_SHIFT);
        let mut estimates = self.micros.lock();
        let estimate = estimates.entry(host).or_insert(micros);
        *estimate = estimate.saturating_sub(*estimate >> WEIGHT_SHIFT) + (micros >> WEIGHT_SHIFT);
    }

    /// The estimate in microseconds; 0 for a member that was never asked, so that it will be.
    #[must_use]
    pub fn estimate_micros(&self, host: Uuid) -> u64 {
        self.micros.lock().get(&host).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_follow_what_members_do() {
        let latencies = Latencies::default();
        let (fast, slow) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(latencies.estimate_micros(fast), 0);
        for _ in 0..50 {
            latencies.note(fast, Duration::from_micros(800));
            latencies.note(slow, Duration::from_millis(40));
        }
        assert!(latencies.estimate_micros(fast) < latencies.estimate_micros(slow));
        for _ in 0..50 {
            latencies.note(slow, Duration::from_micros(100));
        }
        assert!(latencies.estimate_micros(slow) < latencies.estimate_micros(fast));
    }
}
