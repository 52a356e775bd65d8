//! What this node's replica does with a table.

use super::distribution::Distribution;
use super::operations::{Operation, Operations, SAMPLE};
use super::recent::Recent;
use dodona_env::Clock;
use std::sync::OnceLock;
use std::time::Duration;

/// A read that shows more rows than this is counted by itself, not by a sample.
const MANY_ROWS: u64 = 64;

/// What reads of a table meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerRead {
    /// Live rows.
    Rows,
    /// Tombstones.
    Tombstones,
}

/// What this node's replica does with a table.
#[derive(Debug)]
pub struct LocalMetrics {
    /// Reads and writes.
    pub operations: Operations,
    /// Rows and tombstones that reads met, once there was one.
    met: [OnceLock<Box<Recent>>; 2],
}

/// A read under way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    /// In memory: the time if it is one of those that are timed.
    Sampled(Option<Duration>),
    /// On the disk, begun then.
    Timed(Duration),
}

impl LocalMetrics {
    /// Nothing yet.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self { operations: Operations::new(now), met: [const { OnceLock::new() }; 2] }
    }

    /// Counts a read that is over, with what it met.
    #[inline]
    pub(crate) fn end_read(
        &self,
        operation: Operation,
        clock: &dyn Clock,
        reading: Reading,
        rows: u64,
        tombstones: u64,
    ) {
        let now = match reading {
            Reading::Sampled(began) => self.operations.end(operation, clock, began),
            Reading::Timed(began) => {
                let now = clock.mono();
                self.operations.note(operation, now, now.saturating_sub(began));
                Some(now)
            }
        };
        let times = if matches!(reading, Reading::Timed(_)) { 1 } else { SAMPLE };
        self.meet(PerRead::Rows, now, times, rows, rows > MANY_ROWS);
        self.meet(PerRead::Tombstones, now, times, tombstones, tombstones > 0);
    }

    /// Notes what a read met: always if it is unusual, else if the read is timed and stands for others.
    #[inline]
    fn meet(&self, what: PerRead, now: Option<Duration>, times: u32, count: u64, is_unusual: bool) {
        if now.is_none() && !is_unusual {
            return;
        }
        let recent = &self.met[what as usize];
        let recent = recent.get_or_init(|| Box::new(Recent::new(now.unwrap_or(self.operations.began()))));
        if let Some(now) = now {
            recent.turn(now, || 0);
        }
        recent.add(count, if is_unusual { 1 } else { times });
    }

    /// What reads have met in the present and the last period of five minutes.
    #[must_use]
    pub fn per_read(&self, what: PerRead, now: Duration) -> Distribution {
        let Some(recent) = self.met[what as usize].get() else {
            return Distribution::default();
        };
        recent.turn(now, || 0);
        recent.distribution()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(Duration);

    impl Clock for At {
        fn mono(&self) -> Duration {
            self.0
        }

        fn wall_micros(&self) -> i64 {
            0
        }
    }

    #[test]
    fn what_is_unusual_is_seen_whenever_it_happens() {
        let clock = At(Duration::from_secs(700));
        let metrics = LocalMetrics::new(clock.0);
        for number in 0..1_000_u64 {
            let reading = Reading::Sampled(metrics.operations.begin(Operation::Read, &clock));
            let (rows, tombstones) = if number == 501 { (5_000, 40) } else { (2, 0) };
            metrics.end_read(Operation::Read, &clock, reading, rows, tombstones);
        }
        let rows = metrics.per_read(PerRead::Rows, clock.0);
        assert_eq!((rows.percentile(0.99), rows.min()), (2, 2));
        assert!((5_000..6_250).contains(&rows.max()), "{}", rows.max());
        let tombstones = metrics.per_read(PerRead::Tombstones, clock.0);
        assert_eq!((tombstones.percentile(0.99), tombstones.min()), (0, 0));
        assert!((40..50).contains(&tombstones.max()), "{}", tombstones.max());
        assert_eq!(metrics.operations.count(Operation::Read), 1_000);
    }
}
