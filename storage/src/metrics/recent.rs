//! The values of the present period and of the one before it.

use super::distribution::{BUCKETS, Distribution, bucket_of};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How long a period is.
pub(super) const PERIOD: Duration = Duration::from_secs(300);

/// The number of the period that a moment lies in.
pub(super) const fn period_of(now: Duration) -> u64 {
    now.as_secs() / PERIOD.as_secs()
}

/// The values of the present period and of the one before it. Whoever comes first in a new period
/// forgets the last but one; a value that another thread adds meanwhile may be counted to the wrong one.
#[derive(Debug)]
pub(super) struct Recent {
    period: AtomicU64,
    /// By even and odd periods.
    counts: [[AtomicU32; BUCKETS]; 2],
    /// How many operations there were before the present period, and before the last.
    before: [AtomicU64; 2],
}

impl Recent {
    pub(super) const fn new(now: Duration) -> Self {
        Self {
            period: AtomicU64::new(period_of(now)),
            counts: [const { [const { AtomicU32::new(0) }; BUCKETS] }; 2],
            before: [const { AtomicU64::new(0) }; 2],
        }
    }

    /// Adds a value so many times.
    #[inline]
    pub(super) fn add(&self, value: u64, times: u32) {
        self.counts[(self.period.load(Relaxed) % 2) as usize][bucket_of(value)].fetch_add(times, Relaxed);
    }

    /// Goes over to the period of a moment, up to which there were so many operations.
    #[inline]
    pub(super) fn turn(&self, now: Duration, operations: impl FnOnce() -> u64) {
        let (before, period) = (self.period.load(Relaxed), period_of(now));
        if before < period && self.period.compare_exchange(before, period, Relaxed, Relaxed).is_ok() {
            self.begin(period, period - before > 1, operations());
        }
    }

    #[cold]
    fn begin(&self, period: u64, was_idle: bool, operations: u64) {
        for (parity, counts) in (0..).zip(&self.counts) {
            if was_idle || parity == period % 2 {
                counts.iter().for_each(|count| count.store(0, Relaxed));
            }
        }
        let last = if was_idle { operations } else { self.before[0].load(Relaxed) };
        self.before[1].store(last, Relaxed);
        self.before[0].store(operations, Relaxed);
    }

    /// The values of both periods.
    pub(super) fn distribution(&self) -> Distribution {
        let mut distribution = Distribution::default();
        for counts in &self.counts {
            for (bucket, count) in counts.iter().enumerate() {
                distribution.add(bucket, u64::from(count.load(Relaxed)));
            }
        }
        distribution
    }

    /// How many of so many operations were in the last five minutes: of the last period those count that
    /// would be in them if all came evenly.
    pub(super) fn lately(&self, now: Duration, operations: u64) -> f64 {
        let [present, last] = self.before.each_ref().map(|count| count.load(Relaxed));
        let into_period = now.as_secs_f64() - (PERIOD.as_secs() * period_of(now)) as f64;
        let of_last = present.saturating_sub(last) as f64 * (1.0 - into_period / PERIOD.as_secs_f64());
        operations.saturating_sub(present) as f64 + of_last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn values_are_kept_for_one_period_more() {
        let recent = Recent::new(seconds(1_000));
        recent.add(3, 1);
        recent.turn(seconds(1_199), || panic!("the same period"));
        assert_eq!(recent.distribution().max(), 3);
        recent.turn(seconds(1_200), || 1);
        recent.add(2, 8);
        assert_eq!((recent.distribution().min(), recent.distribution().max()), (2, 3));
        recent.turn(seconds(1_500), || 9);
        assert_eq!((recent.distribution().min(), recent.distribution().max()), (2, 2));
        // After a time without any, both are forgotten.
        recent.add(1, 1);
        recent.turn(seconds(2_400), || 10);
        assert_eq!(recent.distribution().max(), 0);
    }

    #[test]
    fn of_the_last_period_its_share_of_five_minutes_counts() {
        let recent = Recent::new(seconds(0));
        assert_eq!(recent.lately(seconds(100), 50).round(), 50.0);
        recent.turn(seconds(310), || 300);
        assert_eq!(recent.lately(seconds(375), 310).round(), 10.0 + 225.0);
        recent.turn(seconds(600), || 310);
        assert_eq!(recent.lately(seconds(600), 310).round(), 10.0);
        recent.turn(seconds(1_200), || 310);
        assert_eq!(recent.lately(seconds(1_200), 310).round(), 0.0);
    }
}
