//! A table's strategy with its options.

use super::leveled::Leveled;
use super::options::{self, Options, OverlappingTombstones};
use super::size_tiered::SizeTiered;
use super::time_window::TimeWindow;
use super::tombstones::TombstoneOptions;
use super::unified::Unified;
use super::{Candidate, Choice, Situation, Split, overlap};

const PACKAGE: &str = "org.apache.cassandra.db.compaction.";

/// A strategy.
#[derive(Clone, Debug, PartialEq)]
pub enum Strategy {
    /// Files of similar size.
    SizeTiered(SizeTiered),
    /// Levels without overlaps.
    Leveled(Leveled),
    /// Windows of time.
    TimeWindow(TimeWindow),
    /// Cassandra 5's unified strategy.
    Unified(Unified),
}

/// What `WITH compaction = {...}` asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct CompactionSettings {
    /// The strategy.
    pub strategy: Strategy,
    /// Files are compacted without being asked to.
    pub enabled: bool,
    /// When a file is compacted on its own for its tombstones.
    pub tombstones: TombstoneOptions,
    /// Tombstones of files that are not repaired stay.
    pub only_purge_repaired: bool,
    /// Which deletions of other files take effect on what a compaction writes.
    pub overlapping_tombstones: OverlappingTombstones,
}

impl CompactionSettings {
    /// No compaction on its own.
    ///
    /// # Errors
    /// Never: the options are known.
    pub fn disabled() -> Result<Self, String> {
        let pairs = [("class", "SizeTieredCompactionStrategy"), ("enabled", "false")];
        Self::from_options(&pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }

    /// What to do next with these files.
    #[must_use]
    pub fn choose(&self, situation: &Situation<'_>) -> Option<Choice> {
        match &self.strategy {
            Strategy::SizeTiered(strategy) => strategy.choose(situation, &self.tombstones),
            Strategy::Leveled(strategy) => strategy.choose(situation, &self.tombstones),
            Strategy::TimeWindow(strategy) => strategy.choose(situation, &self.tombstones),
            Strategy::Unified(strategy) => strategy.choose(situation, &self.tombstones),
        }
    }

    /// The merges that together rewrite all of these files.
    #[must_use]
    pub fn choose_all(&self, files: &[&Candidate]) -> Vec<Choice> {
        if files.is_empty() {
            return Vec::new();
        }
        match &self.strategy {
            Strategy::SizeTiered(_) | Strategy::TimeWindow(_) => vec![Choice::merge(files)],
            Strategy::Leveled(strategy) => {
                let bytes = files.iter().map(|file| file.bytes).sum();
                let (split, level) = (Split::Bytes(strategy.sstable_bytes), strategy.level_for(bytes));
                vec![Choice { split, level, ..Choice::merge(files) }]
            }
            Strategy::Unified(strategy) => {
                overlap::disjoint_groups(files).iter().map(|group| strategy.merge(group)).collect()
            }
        }
    }

    /// Where a file that is written again on its own is split.
    #[must_use]
    pub fn split_of_one(&self, file: &Candidate) -> Split {
        match &self.strategy {
            Strategy::Unified(strategy) => strategy.merge(&[file]).split,
            _ => Split::Never,
        }
    }

    /// Where a flush is split, where flushes have been of `flush_bytes`.
    #[must_use]
    pub fn split_of_flush(&self, flush_bytes: u64) -> Split {
        match &self.strategy {
            Strategy::Unified(strategy) => Split::Shards(strategy.flush_shards(flush_bytes)),
            _ => Split::Never,
        }
    }

    /// Seconds between two looks for files that have expired; `None` if the strategy does not look.
    #[must_use]
    pub const fn expired_check_seconds(&self) -> Option<u64> {
        match &self.strategy {
            Strategy::TimeWindow(strategy) => Some(strategy.expired_check_seconds),
            Strategy::Unified(strategy) => Some(strategy.expired_check_seconds),
            Strategy::SizeTiered(_) | Strategy::Leveled(_) => None,
        }
    }

    /// The strategy that `WITH compaction = {...}` asks for.
    ///
    /// # Errors
    /// What is wrong, as Cassandra says it.
    pub fn from_options(options: &Options) -> Result<Self, String> {
        let class = options.get("class").map_or("", String::as_str);
        let class = class.strip_prefix(PACKAGE).unwrap_or(class);
        if class.is_empty() {
            return Err("Missing sub-option 'class' for the 'compaction' option".into());
        }
        let overlapping_tombstones = options::overlapping_tombstones(options)?;
        // Time windows expire as a whole; Cassandra leaves their tombstones alone unless asked.
        let tombstones = options::tombstones(options, class != "TimeWindowCompactionStrategy")?;
        let strategy = match class {
            "SizeTieredCompactionStrategy" => Strategy::SizeTiered(SizeTiered::from_options(options)?),
            "LeveledCompactionStrategy" => Strategy::Leveled(Leveled::from_options(options)?),
            "TimeWindowCompactionStrategy" => Strategy::TimeWindow(TimeWindow::from_options(options)?),
            "UnifiedCompactionStrategy" => Strategy::Unified(Unified::from_options(options)?),
            other if other.contains('.') => {
                return Err(format!("Unable to find compaction strategy class '{other}'"));
            }
            other => return Err(format!("Unable to find compaction strategy class '{PACKAGE}{other}'")),
        };
        let enabled = options::word(options, "enabled")
            .unwrap_or(Ok(true))
            .map_err(|text| format!("enabled should either be 'true' or 'false', not {text}"))?;
        // As Java reads it, whatever it says.
        let only_purge_repaired =
            options::word(options, "only_purge_repaired_tombstones").is_some_and(|word| word == Ok(true));
        Ok(Self { strategy, enabled, tombstones, only_purge_repaired, overlapping_tombstones })
    }
}
