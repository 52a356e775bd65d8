//! Compaction: which files of a table to merge, and the merging.
//!
//! A strategy is a pure function from a [`Situation`], what is known of a table's files, to a
//! [`Choice`]; [`job`] executes it in steps.

pub mod job;
pub mod leveled;
pub mod options;
pub mod overlap;
pub mod progress;
mod settings;
pub mod shadow;
pub mod size_tiered;
#[cfg(test)]
mod strategy_tests;
pub mod throttle;
pub mod time_window;
pub mod tombstones;
pub mod unified;
mod unified_options;

pub use options::OverlappingTombstones;
pub use settings::{CompactionSettings, Strategy};

use crate::repair_state::Set;
use crate::sstable::SstableId;
use dodona_types::Token;

/// What a strategy knows of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The file. Younger ones have greater ids.
    pub id: SstableId,
    /// Its length.
    pub bytes: u64,
    /// Its first and last token.
    pub tokens: (Token, Token),
    /// How much of the ring it was written for; 0 if that is not known.
    pub covered_tokens: u64,
    /// Its least and greatest timestamp.
    pub timestamps: (i64, i64),
    /// Its level; only leveled compaction has any but 0.
    pub level: u8,
    /// Seconds since the epoch at which it was written.
    pub written_at_seconds: i64,
    /// About how many droppable tombstones there are for each of its cells.
    pub droppable: f64,
    /// The greatest second at which something in it was deleted or expires; `i64::MAX` if
    /// something in it lives for ever.
    pub max_deletion_seconds: i64,
    /// A compaction works on it.
    pub busy: bool,
    /// Which files it may be compacted with.
    pub set: Set,
}

/// What a strategy chooses from.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Files of the table that may be compacted with one another.
    pub candidates: &'a [Candidate],
    /// Files of the table that are not to be compacted with these.
    pub apart: &'a [Candidate],
    /// Seconds since the epoch.
    pub now_seconds: i64,
    /// What was deleted before may be purged.
    pub gc_before_seconds: i64,
    /// The least timestamp in memory; `i64::MAX` if there is none.
    pub memtable_min_timestamp: i64,
    /// Bytes that a flush writes, on average.
    pub flush_bytes: u64,
    /// It is time to look for files that have expired.
    pub check_expired: bool,
}

impl<'a> Situation<'a> {
    /// All files of the table.
    pub fn all(&self) -> impl Iterator<Item = &'a Candidate> {
        self.candidates.iter().chain(self.apart)
    }

    /// The files that no compaction works on.
    #[must_use]
    pub fn free(&self) -> Vec<&'a Candidate> {
        self.candidates.iter().filter(|file| !file.busy).collect()
    }
}

/// Why files are compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To have fewer.
    Merge,
    /// One file, to be rid of tombstones.
    Tombstones,
    /// They go as they are.
    Expired,
    /// One file goes to another level as it is.
    Lift,
}

/// Where files that a compaction writes are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Nowhere.
    Never,
    /// Once they are so long.
    Bytes(u64),
    /// Into so many equal parts of the ring.
    Shards(u32),
}

impl Split {
    /// Which part of the ring a token lies in.
    #[must_use]
    pub fn shard_of(self, token: Token) -> u32 {
        match self {
            Self::Shards(count) => ((u128::from(token.ordinal()) * u128::from(count)) >> 64) as u32,
            Self::Never | Self::Bytes(_) => 0,
        }
    }

    /// How much of the ring a file is for; 0 if that is not known beforehand.
    #[must_use]
    pub const fn covered_tokens(self) -> u64 {
        match self {
            Self::Shards(count) if count > 0 => u64::MAX / count as u64,
            _ => 0,
        }
    }
}

/// What a strategy wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The files.
    pub inputs: Vec<SstableId>,
    /// Why.
    pub purpose: Purpose,
    /// Where what is written is split.
    pub split: Split,
    /// The level of what is written.
    pub level: u8,
}

impl Choice {
    /// The merge of files into one.
    #[must_use]
    pub fn merge(files: &[&Candidate]) -> Self {
        let inputs = files.iter().map(|file| file.id).collect();
        Self { inputs, purpose: Purpose::Merge, split: Split::Never, level: 0 }
    }

    /// A file on its own, to be rid of its tombstones. It stays on its level.
    #[must_use]
    pub fn tombstones(file: &Candidate) -> Self {
        Self { inputs: vec![file.id], purpose: Purpose::Tombstones, split: Split::Never, level: file.level }
    }

    /// Files that go as they are.
    #[must_use]
    pub const fn expired(inputs: Vec<SstableId>) -> Self {
        Self { inputs, purpose: Purpose::Expired, split: Split::Never, level: 0 }
    }

    /// A file that goes to another level as it is.
    #[must_use]
    pub fn lift(file: &Candidate, level: u8) -> Self {
        Self { inputs: vec![file.id], purpose: Purpose::Lift, split: Split::Never, level }
    }
}
