//! How many values there were of each size. Sizes are kept by buckets, four for each power of two: what
//! is told of a value is at most a quarter above it.

/// Buckets of a power of two, as a power of two.
const STEPS_SHIFT: u32 = 2;
const STEPS: usize = 1 << STEPS_SHIFT;
/// The greatest values share the last bucket: in nanoseconds those from a minute on.
pub(super) const BUCKETS: usize = 35 * STEPS;

/// The bucket of a value. Those below four have one of their own each.
#[inline]
pub(super) const fn bucket_of(value: u64) -> usize {
    if value < STEPS as u64 {
        return value as usize;
    }
    let shift = value.ilog2() - STEPS_SHIFT;
    let bucket = (shift as usize + 1) * STEPS + ((value >> shift) as usize & (STEPS - 1));
    if bucket < BUCKETS { bucket } else { BUCKETS - 1 }
}

/// The greatest value of a bucket.
pub(super) const fn greatest_of(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let shift = bucket / STEPS - 1;
    (((STEPS + bucket % STEPS + 1) as u64) << shift) - 1
}

/// How many values there were of each size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    buckets: Vec<u64>,
}

impl Default for Distribution {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS] }
    }
}

impl Distribution {
    pub(super) fn add(&mut self, bucket: usize, count: u64) {
        self.buckets[bucket] += count;
    }

    /// Adds the values of another one.
    pub fn merge(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(sum, count)| *sum += count);
    }

    fn total(&self) -> u64 {
        self.buckets.iter().sum()
    }

    fn held(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> {
        let held = self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        held.map(|(bucket, count)| (greatest_of(bucket), *count))
    }

    /// What so much of the values (0 to 1) does not exceed; 0 if there are none.
    #[must_use]
    pub fn percentile(&self, part: f64) -> u64 {
        let wanted = (self.total() as f64 * part).ceil().max(1.0);
        let mut sum = 0.0;
        for (value, count) in self.held() {
            sum += count as f64;
            if sum >= wanted {
                return value;
            }
        }
        self.max()
    }

    /// The greatest; 0 if there are none.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.held().next_back().map_or(0, |(value, _)| value)
    }

    /// The least; 0 if there are none.
    #[must_use]
    pub fn min(&self) -> u64 {
        self.held().next().map_or(0, |(value, _)| value)
    }

    /// The mean; 0 if there are none.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let sum: f64 = self.held().map(|(value, count)| value as f64 * count as f64).sum();
        sum / (self.total() as f64).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_is_told_as_at_most_a_quarter_more() {
        for value in
            (0..5_000).chain((12..36).flat_map(|power| [(1 << power) - 1, 1 << power, 3 << (power - 1)]))
        {
            let told = greatest_of(bucket_of(value));
            assert!(value <= told && told - value <= value / 4, "{value}: {told}");
            assert!(bucket_of(value) == 0 || greatest_of(bucket_of(value) - 1) < value, "{value}");
        }
        assert_eq!(bucket_of((1 << 36) - 1), BUCKETS - 1);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_sorted_values(
            mut values in prop::collection::vec(0u64..100_000, 1..300),
            part in 0.0f64..=1.0,
        ) {
            let mut distribution = Distribution::default();
            values.iter().for_each(|value| distribution.add(bucket_of(*value), 1));
            values.sort_unstable();
            let place = ((values.len() as f64 * part).ceil() as usize).max(1);
            let told = |value| greatest_of(bucket_of(value));
            prop_assert_eq!(distribution.percentile(part), told(values[place - 1]));
            prop_assert_eq!(distribution.max(), told(values[values.len() - 1]));
            prop_assert_eq!(distribution.min(), told(values[0]));
            let mean = values.iter().sum::<u64>() as f64 / values.len() as f64;
            prop_assert!(distribution.mean() >= mean && distribution.mean() <= mean * 1.25);
        }
    }

    #[test]
    fn two_are_one() {
        let (mut one, mut other) = (Distribution::default(), Distribution::default());
        assert_eq!((one.percentile(0.5), one.max(), one.min(), one.mean()), (0, 0, 0, 0.0));
        one.add(bucket_of(2), 3);
        other.add(bucket_of(3), 1);
        one.merge(&other);
        assert_eq!((one.percentile(0.75), one.percentile(0.76), one.mean()), (2, 3, 2.25));
    }
}
