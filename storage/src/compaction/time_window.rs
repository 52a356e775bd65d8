//! Time-window compaction: files of one window of time are merged with each other only, and go as
//! they are once everything in them has expired (Cassandra `TimeWindowCompactionStrategy`).

use super::options::{Options, check_names, int, word};
use super::size_tiered::{BUCKET_OPTIONS, Buckets, Thresholds};
use super::tombstones::{self, TombstoneOptions};
use super::{Candidate, Choice, Situation};
use std::collections::BTreeMap;

/// The strategy's options, with Cassandra's names and defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeWindow {
    /// Seconds of a window.
    pub window_seconds: i64,
    /// What a write's timestamp counts, in a second.
    pub timestamps_per_second: i64,
    /// How often to look for files that have expired.
    pub expired_check_seconds: u64,
    /// How files of the newest window are put into buckets.
    pub buckets: Buckets,
    /// How many files make a compaction.
    pub thresholds: Thresholds,
}

const KNOWN: [&str; 7] = [
    "timestamp_resolution",
    "compaction_window_unit",
    "compaction_window_size",
    "expired_sstable_check_frequency_seconds",
    "unsafe_aggressive_sstable_expiration",
    "min_threshold",
    "max_threshold",
];

impl TimeWindow {
    /// Reads the options.
    ///
    /// # Errors
    /// What is wrong, as Cassandra says it.
    pub fn from_options(options: &Options) -> Result<Self, String> {
        let unit = |name: &str, units: &[(&str, i64)], default: i64| match options.get(name) {
            None => Ok(default),
            Some(text) => units
                .iter()
                .find(|(unit, _)| unit == text)
                .map(|(_, value)| *value)
                .ok_or_else(|| format!("{text} is not valid for {name}")),
        };
        let resolutions = [
            ("SECONDS", 1),
            ("MILLISECONDS", 1_000),
            ("MICROSECONDS", 1_000_000),
            ("NANOSECONDS", 1_000_000_000),
        ];
        let timestamps_per_second = unit("timestamp_resolution", &resolutions, 1_000_000)?;
        let units = [("MINUTES", 60), ("HOURS", 3_600), ("DAYS", 86_400)];
        let unit_seconds = unit("compaction_window_unit", &units, 86_400)?;
        let size = int(options, "compaction_window_size", 1_i32)?;
        if size < 1 {
            return Err(format!("{size} must be greater than 1 for compaction_window_size"));
        }
        let check = int(options, "expired_sstable_check_frequency_seconds", 600_i64)?;
        let expired_check_seconds = u64::try_from(check).map_err(|_| {
            format!("expired_sstable_check_frequency_seconds must not be negative, but was {check}")
        })?;
        let name = "unsafe_aggressive_sstable_expiration";
        match word(options, name) {
            Some(Err(text)) => return Err(format!("{name} is not 'true' or 'false' ({text})")),
            Some(Ok(true)) => {
                return Err(format!(
                    "{name} is requested but not allowed, restart cassandra with -Dcassandra.allow_{name}=true to allow it"
                ));
            }
            _ => {}
        }
        let buckets = Buckets::from_options(options)?;
        let known = [&BUCKET_OPTIONS[..], &KNOWN].concat();
        check_names("TimeWindowCompactionStrategy", options, &known)?;
        Ok(Self {
            window_seconds: unit_seconds * i64::from(size),
            timestamps_per_second,
            expired_check_seconds,
            buckets,
            thresholds: Thresholds::from_options(options)?,
        })
    }

    /// The start of the window that a file belongs to, in seconds since the epoch.
    fn window_of(&self, file: &Candidate) -> i64 {
        let seconds = file.timestamps.1.div_euclid(self.timestamps_per_second);
        seconds - seconds.rem_euclid(self.window_seconds)
    }

    /// Files that have expired; else the newest window with enough files; else the smallest file
    /// with enough tombstones.
    #[must_use]
    pub fn choose(&self, situation: &Situation<'_>, options: &TombstoneOptions) -> Option<Choice> {
        if let Some(expired) = tombstones::choose_expired(situation) {
            return Some(expired);
        }
        let newest = situation.candidates.iter().map(|file| self.window_of(file)).max()?;
        let mut windows: BTreeMap<i64, Vec<&Candidate>> = BTreeMap::new();
        for file in situation.free() {
            windows.entry(self.window_of(file)).or_default().push(file);
        }
        for (window, mut files) in windows.into_iter().rev() {
            if window == newest {
                let bucket = self.buckets.choose(&files, self.thresholds);
                if !bucket.is_empty() {
                    return Some(Choice::merge(&bucket));
                }
            } else if files.len() >= 2 {
                files.sort_by_key(|file| (file.bytes, file.id));
                files.truncate(self.thresholds.max);
                return Some(Choice::merge(&files));
            }
        }
        let worth = situation.free().into_iter().filter(|file| options.is_worth(file, situation));
        worth.min_by_key(|file| (file.bytes, file.id)).map(Choice::tombstones)
    }
}
