//! How fast each member has answered of late.

use dodona_env::clock::Clock;
use dodona_env::collections::HashMap;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The weight of a new answer in the estimate, as a power of two: one eighth.
const WEIGHT_SHIFT: u32 = 3;

/// The estimate of a member that nobody asks halves in this time, so that one that was slow is asked again.
const HALF_LIFE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
struct Estimate {
    micros: u64,
    asked_at: Duration,
}

/// An exponentially decayed estimate of the time to an answer, for each member.
pub struct Latencies {
    clock: Arc<dyn Clock>,
    members: Mutex<HashMap<Uuid, Estimate>>,
}

impl Latencies {
    /// Estimates of nothing yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, members: Mutex::default() }
    }

    /// Notes that a member was asked at `asked_at`, and has answered now.
    pub fn note_answer(&self, host: Uuid, asked_at: Duration) {
        self.note(host, self.clock.mono().saturating_sub(asked_at));
    }

    /// Notes that a member that was asked has failed. However fast it did, it is as good as one that takes
    /// all of `timeout`: else a member whose connections are refused would be chosen before all others.
    pub fn note_failure(&self, host: Uuid, timeout: Duration) {
        self.note(host, timeout);
    }

    pub(super) fn note(&self, host: Uuid, elapsed: Duration) {
        let now = self.clock.mono();
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX >> WEIGHT_SHIFT);
        let mut members = self.members.lock();
        let estimate = members.entry(host).or_insert(Estimate { micros, asked_at: now });
        let before = estimate.micros;
        *estimate = Estimate {
            micros: before.saturating_sub(before >> WEIGHT_SHIFT) + (micros >> WEIGHT_SHIFT),
            asked_at: now,
        };
    }

    /// The estimates of this moment. Nothing can be noted meanwhile.
    #[must_use]
    pub fn look(&self) -> Look<'_> {
        Look { members: self.members.lock(), now: self.clock.mono() }
    }
}

/// Estimates of one moment.
pub struct Look<'a> {
    members: MutexGuard<'a, HashMap<Uuid, Estimate>>,
    now: Duration,
}

impl Look<'_> {
    /// The estimate in microseconds; 0 for a member that was never asked, so that it will be.
    #[must_use]
    pub fn micros(&self, host: Uuid) -> u64 {
        let Some(estimate) = self.members.get(&host) else { return 0 };
        let idle = self.now.saturating_sub(estimate.asked_at);
        let halvings = idle.as_secs() / HALF_LIFE.as_secs();
        u32::try_from(halvings).ok().and_then(|halvings| estimate.micros.checked_shr(halvings)).unwrap_or(0)
    }
}

#[cfg(test)]
#[path = "latency_tests.rs"]
pub(super) mod tests;
