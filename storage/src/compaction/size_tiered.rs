//! Size-tiered compaction: merges files of similar size (Cassandra `SizeTieredCompactionStrategy`).

use super::options::{Options, check_names, int, number};
use super::tombstones::TombstoneOptions;
use super::{Candidate, Choice, Situation};

/// How files are put into buckets of similar size.
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets {
    /// Files below this share a bucket whatever their size.
    pub min_sstable_bytes: u64,
    /// A file belongs to a bucket if it has at least this part of its average size.
    pub low: f64,
    /// A file belongs to a bucket if it has at most this multiple of its average size.
    pub high: f64,
}

/// How many files make a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Files that make a bucket worth merging.
    pub min: usize,
    /// Files merged at once.
    pub max: usize,
}

/// The strategy's options, with Cassandra's names and defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct SizeTiered {
    /// How files are put into buckets.
    pub buckets: Buckets,
    /// How many files make a compaction.
    pub thresholds: Thresholds,
}

/// The names of the options that [`Buckets`] reads.
pub(super) const BUCKET_OPTIONS: [&str; 3] = ["min_sstable_size", "bucket_low", "bucket_high"];

impl Buckets {
    /// Reads the options.
    ///
    /// # Errors
    /// What is wrong, as Cassandra says it.
    pub fn from_options(options: &Options) -> Result<Self, String> {
        let min_sstable_bytes = int(options, "min_sstable_size", 50_i64 << 20)?;
        if min_sstable_bytes < 0 {
            return Err(format!("min_sstable_size must be non negative: {min_sstable_bytes}"));
        }
        let low = number(options, "bucket_low", "float", 0.5_f64)?;
        let high = number(options, "bucket_high", "float", 1.5_f64)?;
        if high <= low {
            return Err(format!(
                "bucket_high value ({high:?}) is less than or equal to the bucket_low value ({low:?})"
            ));
        }
        Ok(Self { min_sstable_bytes: min_sstable_bytes.unsigned_abs(), low, high })
    }

    /// Files of similar size, smallest first.
    fn of<'a>(&self, files: &[&'a Candidate]) -> Vec<Vec<&'a Candidate>> {
        let mut sorted = files.to_vec();
        sorted.sort_by_key(|file| (file.bytes, file.id));
        let mut buckets: Vec<(f64, Vec<&Candidate>)> = Vec::new();
        for file in sorted {
            let bytes = file.bytes as f64;
            let small = self.min_sstable_bytes as f64;
            let fits = |average: f64| {
                (bytes >= average * self.low && bytes <= average * self.high)
                    || (bytes < small && average < small)
            };
            match buckets.last_mut().filter(|(average, _)| fits(*average)) {
                Some((average, files)) => {
                    *average = (*average * files.len() as f64 + bytes) / (files.len() + 1) as f64;
                    files.push(file);
                }
                None => buckets.push((bytes, vec![file])),
            }
        }
        buckets.into_iter().map(|(_, files)| files).collect()
    }

    /// The bucket with the most files, if it has enough of them: at most as many as may be merged.
    #[must_use]
    pub fn choose<'a>(&self, files: &[&'a Candidate], thresholds: Thresholds) -> Vec<&'a Candidate> {
        let ready = self.of(files).into_iter().filter(|bucket| bucket.len() >= thresholds.min);
        let mut bucket = ready.min_by_key(|bucket| std::cmp::Reverse(bucket.len())).unwrap_or_default();
        bucket.truncate(thresholds.max);
        bucket
    }
}

impl Thresholds {
    /// Reads the options. That they fit together is checked where statements are.
    ///
    /// # Errors
    /// What is wrong, as Cassandra says it.
    pub fn from_options(options: &Options) -> Result<Self, String> {
        let threshold = |name: &str, default: usize| match options.get(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| {
                format!("Invalid value {text} for '{name}' compaction sub-option - must be an integer")
            }),
        };
        Ok(Self { min: threshold("min_threshold", 4)?.max(2), max: threshold("max_threshold", 32)?.max(2) })
    }
}

impl SizeTiered {
    /// Reads the options.
    ///
    /// # Errors
    /// What is wrong, as Cassandra says it.
    pub fn from_options(options: &Options) -> Result<Self, String> {
        let buckets = Buckets::from_options(options)?;
        let known = [&BUCKET_OPTIONS[..], &["min_threshold", "max_threshold"]].concat();
        check_names("SizeTieredCompactionStrategy", options, &known)?;
        Ok(Self { buckets, thresholds: Thresholds::from_options(options)? })
    }

    /// The bucket with the most files, else the largest file with enough tombstones.
    #[must_use]
    pub fn choose(&self, situation: &Situation<'_>, tombstones: &TombstoneOptions) -> Option<Choice> {
        let free = situation.free();
        let bucket = self.buckets.choose(&free, self.thresholds);
        if !bucket.is_empty() {
            return Some(Choice::merge(&bucket));
        }
        free.into_iter()
            .filter(|file| tombstones.is_worth(file, situation))
            .max_by_key(|file| (file.bytes, file.id))
            .map(Choice::tombstones)
    }
}
