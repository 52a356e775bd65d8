//! The operations on one table: how many, how many a second, and how long they take.

use super::distribution::Distribution;
use super::recent::{PERIOD, Recent};
use dodona_env::Clock;
use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Operations that one which is timed stands for.
pub(super) const SAMPLE: u32 = 8;
/// What takes longer is timed by itself, if it is known how long it took.
const SLOW: Duration = Duration::from_millis(1);
/// Places to count at; a power of two.
const PLACES: usize = 8;

/// What is done with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// One partition is read.
    Read,
    /// A range of partitions is read.
    Scan,
    /// Something is written.
    Write,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Scan, Self::Write];
}

/// Counts of the threads that come to the same place.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Place {
    counts: [AtomicU64; Operation::ALL.len()],
}

/// The operations on one table.
#[derive(Debug)]
pub struct Operations {
    began: Duration,
    places: [Place; PLACES],
    /// How long they took, once there was one.
    times: [OnceLock<Box<Recent>>; Operation::ALL.len()],
}

/// How often something was done, and how long it took of late.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Since the start.
    pub count: u64,
    /// In a second, over the last five minutes or since the first.
    pub per_second: f64,
    /// Nanoseconds that they took in the present and the last period of five minutes.
    pub nanos: Distribution,
}

/// The present thread's place. Each thread has a stack of its own: where a variable lies tells threads
/// apart without anything that they share.
#[inline]
fn place() -> usize {
    let here = 0_u8;
    let megabyte = black_box(std::ptr::from_ref(&here)).addr() as u64 >> 20;
    (megabyte.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61) as usize % PLACES
}

/// True for about one number of [`SAMPLE`], without a period, and for 0.
#[inline]
const fn is_sampled(number: u64) -> bool {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61 == 0
}

impl Operations {
    /// None yet.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self {
            began: now,
            places: std::array::from_fn(|_| Place::default()),
            times: std::array::from_fn(|_| OnceLock::new()),
        }
    }

    pub(super) const fn began(&self) -> Duration {
        self.began
    }

    #[inline]
    fn count_here(&self, operation: Operation) -> &AtomicU64 {
        &self.places[place()].counts[operation as usize]
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.places.iter().map(|place| place.counts[operation as usize].load(Relaxed)).sum()
    }

    /// The time, if the operation that begins is one of those that are timed.
    #[inline]
    pub fn begin(&self, operation: Operation, clock: &dyn Clock) -> Option<Duration> {
        is_sampled(self.count_here(operation).load(Relaxed)).then(|| clock.mono())
    }

    /// Counts an operation, with what [`Self::begin`] gave. Returns the time if it was timed.
    #[inline]
    pub fn end(&self, operation: Operation, clock: &dyn Clock, began: Option<Duration>) -> Option<Duration> {
        self.count_here(operation).fetch_add(1, Relaxed);
        let began = began?;
        let now = clock.mono();
        self.add(operation, now, now.saturating_sub(began), SAMPLE);
        Some(now)
    }

    /// Counts an operation that ends now and took so long.
    #[inline]
    pub fn note(&self, operation: Operation, now: Duration, took: Duration) {
        let number = self.count_here(operation).fetch_add(1, Relaxed);
        if took >= SLOW {
            self.add(operation, now, took, 1);
        } else if is_sampled(number) {
            self.add(operation, now, took, SAMPLE);
        }
    }

    #[inline]
    fn add(&self, operation: Operation, now: Duration, took: Duration, times: u32) {
        let recent = self.times[operation as usize].get_or_init(|| Box::new(Recent::new(now)));
        recent.turn(now, || self.count(operation));
        recent.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), times);
    }

    /// How it was with one kind of operation.
    #[must_use]
    pub fn summary(&self, operation: Operation, now: Duration) -> Summary {
        let count = self.count(operation);
        let Some(recent) = self.times[operation as usize].get() else {
            return Summary { count, ..Summary::default() };
        };
        recent.turn(now, || count);
        let lately = PERIOD.min(now.saturating_sub(self.began)).as_secs_f64().max(1.0);
        Summary { count, per_second: recent.lately(now, count) / lately, nanos: recent.distribution() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// A clock of which each look takes a time.
    struct Ticking(AtomicU64, u64);

    impl Clock for Ticking {
        fn mono(&self) -> Duration {
            Duration::from_nanos(self.0.fetch_add(self.1, Relaxed))
        }

        fn wall_micros(&self) -> i64 {
            0
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn all_are_counted_and_one_in_eight_is_timed() {
        let clock = Ticking(AtomicU64::new(0), 700);
        let operations = Operations::new(Duration::ZERO);
        assert_eq!(operations.summary(Operation::Read, SECOND), Summary::default());
        let mut timed = 0;
        for number in 0..80_000 {
            let began = operations.begin(Operation::Read, &clock);
            assert!(number > 0 || began.is_some(), "the first is timed");
            timed += u32::from(operations.end(Operation::Read, &clock, began).is_some());
        }
        assert!((9_000..11_000).contains(&timed), "{timed}");
        let summary = operations.summary(Operation::Read, SECOND * 10);
        assert_eq!((summary.count, summary.per_second), (80_000, 8_000.0));
        assert!((700..=875).contains(&summary.nanos.percentile(0.99)), "{summary:?}");
        assert_eq!(operations.count(Operation::Write), 0);
    }

    #[test]
    fn slow_ones_are_each_seen_and_weigh_what_they_are() {
        let operations = Operations::new(Duration::ZERO);
        for number in 0..8_000 {
            let took = Duration::from_micros(if number % 100 == 7 { 5_000 } else { 10 });
            operations.note(Operation::Scan, SECOND, took);
        }
        let nanos = operations.summary(Operation::Scan, SECOND).nanos;
        assert!((10_000..=12_500).contains(&nanos.percentile(0.5)), "{}", nanos.percentile(0.5));
        assert!((10_000..=12_500).contains(&nanos.percentile(0.985)), "{}", nanos.percentile(0.985));
        assert!((5_000_000..=6_250_000).contains(&nanos.percentile(0.995)), "{}", nanos.percentile(0.995));
        assert!((5_000_000..=6_250_000).contains(&nanos.max()), "{}", nanos.max());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "several threads are what is tested")]
    fn threads_count_together() {
        let operations = Arc::new(Operations::new(Duration::ZERO));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let operations = Arc::clone(&operations);
                std::thread::spawn(move || {
                    for _ in 0..10_000 {
                        operations.note(Operation::Write, SECOND, Duration::from_micros(3));
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(operations.count(Operation::Write), 40_000);
    }

    #[test]
    fn the_rate_is_of_the_last_five_minutes() {
        let operations = Operations::new(Duration::ZERO);
        for minute in 0..20 {
            for _ in 0..600 {
                operations.note(Operation::Read, SECOND * 60 * minute, Duration::from_micros(1));
            }
        }
        let rate = |at| operations.summary(Operation::Read, SECOND * at).per_second;
        assert!((9.0..=11.0).contains(&rate(1_199)), "{}", rate(1_199));
        assert!((4.0..=6.0).contains(&rate(1_350)), "{}", rate(1_350));
        assert_eq!(rate(2_000), 0.0);
        assert_eq!(operations.summary(Operation::Read, SECOND * 2_000).nanos.max(), 0);
    }
}
