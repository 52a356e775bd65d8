//! Size-tiered compaction: merges files of similar size (Cassandra `SizeTieredCompactionStrategy`).

use super::{Candidate, Choice, check_names, number};
use std::collections::BTreeMap;

/// The strategy's options, with Cassandra's names and defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct SizeTiered {
    /// Files below this share a bucket whatever their size.
    pub min_sstable_bytes: u64,
    /// A file belongs to a bucket if it has at least this part of its average size.
    pub bucket_low: f64,
    /// A file belongs to a bucket if it has at most this multiple of its average size.
    pub bucket_high: f64,
    /// Files that make a bucket worth merging.
    pub min_threshold: usize,
    /// Files merged at once.
    pub max_threshold: usize,
}

impl SizeTiered {
    /// Reads the options.
    ///
    /// # Errors
    /// What is wrong, as Cassandra says it.
    pub fn from_options(options: &BTreeMap<String, String>) -> Result<Self, String> {
        let known = ["min_sstable_size", "bucket_low", "bucket_high", "min_threshold", "max_threshold"];
        check_names("SizeTieredCompactionStrategy", options, &known)?;
        let strategy = Self {
            min_sstable_bytes: number(options, "min_sstable_size", 50 << 20)?,
            bucket_low: number(options, "bucket_low", 0.5)?,
            bucket_high: number(options, "bucket_high", 1.5)?,
            min_threshold: number(options, "min_threshold", 4)?,
            max_threshold: number(options, "max_threshold", 32)?,
        };
        if strategy.bucket_high <= strategy.bucket_low {
            return Err(format!(
                "bucket_high value ({}) is less than or equal to the bucket_low value ({})",
                strategy.bucket_high, strategy.bucket_low
            ));
        }
        if strategy.min_threshold < 2 {
            return Err(format!(
                "Min compaction threshold cannot be less than 2 (got {}). Disable compaction with 'enabled': 'false' instead.",
                strategy.min_threshold
            ));
        }
        if strategy.max_threshold < strategy.min_threshold {
            return Err(format!(
                "Max compaction threshold (got {}) must be greater than min compaction threshold (got {})",
                strategy.max_threshold, strategy.min_threshold
            ));
        }
        Ok(strategy)
    }

    /// The bucket with the most files, once it has enough of them.
    #[must_use]
    pub fn choose(&self, candidates: &[Candidate]) -> Choice {
        let mut sorted: Vec<&Candidate> = candidates.iter().collect();
        sorted.sort_by_key(|candidate| (candidate.bytes, candidate.id));
        let mut buckets: Vec<(f64, Vec<&Candidate>)> = Vec::new();
        for candidate in sorted {
            let bytes = candidate.bytes as f64;
            let small = self.min_sstable_bytes as f64;
            let fits = |average: f64| {
                (bytes >= average * self.bucket_low && bytes <= average * self.bucket_high)
                    || (bytes < small && average < small)
            };
            match buckets.last_mut().filter(|(average, _)| fits(*average)) {
                Some((average, files)) => {
                    *average = (*average * files.len() as f64 + bytes) / (files.len() + 1) as f64;
                    files.push(candidate);
                }
                None => buckets.push((bytes, vec![candidate])),
            }
        }
        let ready = buckets.into_iter().filter(|(_, files)| files.len() >= self.min_threshold);
        match ready.min_by_key(|(_, files)| std::cmp::Reverse(files.len())) {
            None => Choice::Nothing,
            Some((_, files)) => Choice::Merge {
                inputs: files.iter().take(self.max_threshold).map(|candidate| candidate.id).collect(),
                target_bytes: u64::MAX,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::candidates;
    use super::*;

    #[test]
    fn merges_four_files_of_similar_size_and_leaves_the_others() {
        let strategy = SizeTiered::from_options(&BTreeMap::new()).unwrap();
        let mib = 1 << 20;
        assert_eq!(strategy.choose(&candidates(&[1, 2, 3])), Choice::Nothing);
        let files = candidates(&[900 * mib, 60 * mib, 61 * mib, 70 * mib, 55 * mib]);
        let Choice::Merge { inputs, .. } = strategy.choose(&files) else { panic!("nothing to do") };
        let mut expected: Vec<_> = files[1..].iter().map(|file| file.id).collect();
        expected.sort();
        let mut inputs = inputs;
        inputs.sort();
        assert_eq!(inputs, expected);
    }
}
