//! When a slow read asks one replica more (Cassandra `SpeculativeRetryPolicy`), and the times of a
//! table's reads by which that is decided.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// A table's option `speculative_retry`, or `additional_write_policy`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    /// One replica more from the start.
    Always,
    /// Never.
    Never,
    /// After a time.
    Fixed(Duration),
    /// Once a read takes longer than this part (0 to 100) of the table's reads.
    Percentile(f64),
    /// After the shorter of a time and a percentile.
    Min(Duration, f64),
    /// After the longer of a time and a percentile.
    Max(Duration, f64),
}

impl Policy {
    /// What a table has without the option: `99p`.
    pub const DEFAULT: Self = Self::Percentile(99.0);

    /// Reads the option's text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let upper = text.trim().to_ascii_uppercase();
        match upper.as_str() {
            "ALWAYS" => return Some(Self::Always),
            "NEVER" | "NONE" => return Some(Self::Never),
            _ => {}
        }
        if let Some(simple) = Self::simple(&upper) {
            return Some(simple);
        }
        let (function, arguments) = upper.strip_suffix(')')?.split_once('(')?;
        let (first, second) = arguments.split_once(',')?;
        let (first, second) = (Self::simple(first.trim())?, Self::simple(second.trim())?);
        let ((Self::Fixed(time), Self::Percentile(percentile))
        | (Self::Percentile(percentile), Self::Fixed(time))) = (first, second)
        else {
            return None;
        };
        match function.trim() {
            "MIN" => Some(Self::Min(time, percentile)),
            "MAX" => Some(Self::Max(time, percentile)),
            _ => None,
        }
    }

    fn simple(upper: &str) -> Option<Self> {
        let number = |digits: &str| digits.trim().parse::<f64>().ok().filter(|number| *number >= 0.0);
        if let Some(digits) = upper.strip_suffix("PERCENTILE").or_else(|| upper.strip_suffix('P')) {
            return number(digits).filter(|part| *part <= 100.0).map(Self::Percentile);
        }
        let millis = number(upper.strip_suffix("MS")?)?;
        Duration::try_from_secs_f64(millis / 1_000.0).ok().map(Self::Fixed)
    }

    /// How long a request waits before it goes to one replica more; none for never. Where nothing is
    /// known of how long others took, a percentile of that is taken for `unknown`.
    #[must_use]
    pub fn patience(
        &self,
        percentile: impl Fn(f64) -> Option<Duration>,
        unknown: Duration,
    ) -> Option<Duration> {
        let percentile = |part| percentile(part).unwrap_or(unknown);
        match *self {
            Self::Always => Some(Duration::ZERO),
            Self::Never => None,
            Self::Fixed(time) => Some(time),
            Self::Percentile(part) => Some(percentile(part)),
            Self::Min(time, part) => Some(time.min(percentile(part))),
            Self::Max(time, part) => Some(time.max(percentile(part))),
        }
    }
}

/// Each power of two of microseconds has so many buckets, as a power of two.
const STEPS_SHIFT: u32 = 3;
const STEPS: usize = 1 << STEPS_SHIFT;
/// Times from 2^26 µs (67 s) on share the last bucket.
const BUCKETS: usize = 27 * STEPS;
/// Reads before percentiles say something.
const ENOUGH: u32 = 32;
/// At so many reads old ones count half.
const DECAY_AT: u32 = 8_192;

/// How long reads of a table took of late: a histogram that forgets.
pub struct ReadTimes {
    counts: Box<[AtomicU32; BUCKETS]>,
    total: AtomicU32,
}

impl Default for ReadTimes {
    fn default() -> Self {
        Self { counts: Box::new([const { AtomicU32::new(0) }; BUCKETS]), total: AtomicU32::new(0) }
    }
}

fn bucket(micros: u64) -> usize {
    let micros = micros.max(1);
    let power = micros.ilog2();
    let step =
        if power >= STEPS_SHIFT { micros >> (power - STEPS_SHIFT) } else { micros << (STEPS_SHIFT - power) };
    (power as usize * STEPS + (step as usize & (STEPS - 1))).min(BUCKETS - 1)
}

/// The least time above a bucket.
fn upper_bound(bucket: usize) -> u64 {
    let (power, step) = (bucket / STEPS, (bucket % STEPS) as u64);
    ((STEPS as u64 + step + 1) << power) >> STEPS_SHIFT
}

impl ReadTimes {
    /// Notes a read.
    pub fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(micros)].fetch_add(1, Relaxed);
        if self.total.fetch_add(1, Relaxed) + 1 >= DECAY_AT {
            let mut total = 0;
            for count in self.counts.iter() {
                let half = count.load(Relaxed) / 2;
                count.store(half, Relaxed);
                total += half;
            }
            self.total.store(total, Relaxed);
        }
    }

    /// The time that this part (0 to 100) of the reads does not exceed; none while there are few.
    #[must_use]
    pub fn percentile(&self, part: f64) -> Option<Duration> {
        let total = self.total.load(Relaxed);
        if total < ENOUGH {
            return None;
        }
        let wanted = (f64::from(total) * part / 100.0).ceil();
        let mut sum = 0.0;
        let found = self.counts.iter().position(|count| {
            sum += f64::from(count.load(Relaxed));
            sum >= wanted
        });
        Some(Duration::from_micros(upper_bound(found.unwrap_or(BUCKETS - 1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_cassandra_reads_them() {
        let ms = Duration::from_millis;
        for (text, policy) in [
            ("99p", Policy::Percentile(99.0)),
            ("99PERCENTILE", Policy::Percentile(99.0)),
            ("50.5Percentile", Policy::Percentile(50.5)),
            ("10ms", Policy::Fixed(ms(10))),
            ("MIN(99p, 50ms)", Policy::Min(ms(50), 99.0)),
            ("max(50MS,90p)", Policy::Max(ms(50), 90.0)),
            ("Always", Policy::Always),
            ("none", Policy::Never),
            ("NEVER", Policy::Never),
        ] {
            assert_eq!(Policy::parse(text), Some(policy), "{text}");
        }
        for text in ["", "x", "-1ms", "101p", "MIN(1p,2p)", "AVG(1p,2ms)", "MIN(1p"] {
            assert_eq!(Policy::parse(text), None, "{text}");
        }
    }

    #[test]
    fn percentiles_are_near_and_forget() {
        let times = ReadTimes::default();
        assert_eq!(times.percentile(99.0), None);
        for millis in 1..=1_000u64 {
            times.note(Duration::from_millis(millis));
        }
        for (part, millis) in [(50.0, 500.0), (99.0, 990.0)] {
            let found = times.percentile(part).unwrap().as_secs_f64() * 1_000.0;
            assert!(found >= millis && found < millis * 1.2, "{part}: {found}");
        }
        for _ in 0..100_000 {
            times.note(Duration::from_micros(100));
        }
        assert!(times.percentile(99.0).unwrap() < Duration::from_micros(120));
    }

    #[test]
    fn patience_is_what_the_policy_says() {
        let (times, unknown) = (ReadTimes::default(), Duration::from_secs(2));
        let known = |part| times.percentile(part);
        assert_eq!(Policy::DEFAULT.patience(known, unknown), Some(unknown));
        for _ in 0..100 {
            times.note(Duration::from_millis(8));
        }
        let near = Policy::DEFAULT.patience(known, unknown).unwrap();
        assert!(near >= Duration::from_millis(8) && near < Duration::from_millis(10));
        assert_eq!(Policy::Never.patience(known, unknown), None);
        let fixed = Duration::from_millis(50);
        assert_eq!(Policy::Max(fixed, 99.0).patience(known, unknown), Some(fixed));
        assert_eq!(Policy::Min(fixed, 99.0).patience(known, unknown), Some(near));
    }
}
