//! Leveled compaction: files of one length in levels, each ten times the one below and without
//! overlaps, behind a level 0 of whatever was flushed (Cassandra `LeveledManifest`).

use super::options::{Options, check_names, int};
use super::size_tiered::{BUCKET_OPTIONS, Buckets, Thresholds};
use super::tombstones::TombstoneOptions;
use super::{Candidate, Choice, Situation, Split, overlap};
use dodona_types::Token;

/// Files of level 0 merged at once.
const MAX_COMPACTING_L0: usize = 32;
/// Level 0 and those above it.
pub const LEVELS: u8 = 9;
/// A level is worth compacting once it has this part of what it may have.
const SCORE: f64 = 1.001;

/// The strategy's options, with Cassandra's names and defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Leveled {
    /// Files are about this long.
    pub sstable_bytes: u64,
    /// How many times larger a level is than the one below.
    pub fanout: u64,
    /// A file that overlaps nothing in the next level goes there as it is.
    pub single_sstable_uplevel: bool,
    /// How files of level 0 are merged when there are too many.
    pub buckets: Buckets,
    /// How many files of level 0 are merged then.
    pub thresholds: Thresholds,
}

/// Files by their level.
struct Levels<'a>(Vec<Vec<&'a Candidate>>);

impl<'a> Levels<'a> {
    /// Files whose level is right.
    fn of(candidates: &'a [Candidate]) -> Self {
        let mut levels = vec![Vec::new(); usize::from(LEVELS)];
        for file in candidates {
            levels[usize::from(file.level)].push(file);
        }
        levels[0].sort_by_key(|file| file.id);
        Self(levels)
    }

    fn level(&self, level: usize) -> &[&'a Candidate] {
        self.0.get(level).map_or(&[], Vec::as_slice)
    }
}

/// The files by their first token, on their level or, if they overlap another of it, on level 0: a
/// table may have had another strategy before.
fn with_right_levels(candidates: &[Candidate]) -> Vec<Candidate> {
    let mut files = candidates.to_vec();
    files.sort_by_key(|file| (file.tokens.0, file.id));
    let mut ends = [None; LEVELS as usize];
    for file in &mut files {
        file.level = file.level.min(LEVELS - 1);
        let end = &mut ends[usize::from(file.level)];
        if end.is_some_and(|end| end >= file.tokens.0) {
            file.level = 0;
        } else {
            *end = Some(file.tokens.1);
        }
    }
    files
}

fn bytes(files: &[&Candidate]) -> u64 {
    files.iter().map(|file| file.bytes).sum()
}

fn bounds(files: &[&Candidate]) -> Option<(Token, Token)> {
    let first = files.iter().map(|file| file.tokens.0).min()?;
    Some((first, files.iter().map(|file| file.tokens.1).max()?))
}

/// The files of `others` that hold something between the first and the last token of `files`.
fn overlapping<'a>(files: &[&Candidate], others: &[&'a Candidate]) -> Vec<&'a Candidate> {
    let Some((first, last)) = bounds(files) else { return Vec::new() };
    others.iter().copied().filter(|other| other.tokens.0 <= last && first <= other.tokens.1).collect()
}

impl Leveled {
    /// Reads the options.
    ///
    /// # Errors
    /// What is wrong, as Cassandra says it.
    pub fn from_options(options: &Options) -> Result<Self, String> {
        let size = int(options, "sstable_size_in_mb", 160_i32)?;
        if size < 1 {
            return Err(format!("sstable_size_in_mb must be larger than 0, but was {size}"));
        }
        // Cassandra names the default here, not what was given.
        let fanout = options.get("fanout_size").map_or(Ok(10_i32), |text| {
            text.parse().map_err(|_| "1 is not a parsable int (base10) for fanout_size".to_owned())
        })?;
        if fanout < 1 {
            return Err(format!("fanout_size must be larger than 0, but was {fanout}"));
        }
        let buckets = Buckets::from_options(options)?;
        let own =
            ["sstable_size_in_mb", "fanout_size", "single_sstable_uplevel", "min_threshold", "max_threshold"];
        check_names("LeveledCompactionStrategy", options, &[&BUCKET_OPTIONS[..], &own].concat())?;
        Ok(Self {
            sstable_bytes: u64::from(size.unsigned_abs()) << 20,
            fanout: u64::from(fanout.unsigned_abs()),
            single_sstable_uplevel: options
                .get("single_sstable_uplevel")
                .is_none_or(|text| text.eq_ignore_ascii_case("true")),
            buckets,
            thresholds: Thresholds::from_options(options)?,
        })
    }

    /// Bytes that a level may have.
    fn max_bytes(&self, level: usize) -> f64 {
        let files = if level == 0 { 4.0 } else { (self.fanout as f64).powi(level as i32) };
        files * self.sstable_bytes as f64
    }

    /// The level that holds so much.
    #[must_use]
    pub fn level_for(&self, bytes: u64) -> u8 {
        (1..LEVELS - 1)
            .find(|level| self.max_bytes(usize::from(*level)) >= bytes as f64)
            .unwrap_or(LEVELS - 1)
    }

    /// The highest level that has too much; else level 0; else a file with enough tombstones.
    #[must_use]
    pub fn choose(&self, situation: &Situation<'_>, tombstones: &TombstoneOptions) -> Option<Choice> {
        let candidates = with_right_levels(situation.candidates);
        let situation = &Situation { candidates: &candidates, ..*situation };
        let levels = Levels::of(&candidates);
        for level in (1..usize::from(LEVELS) - 1).rev() {
            let free: Vec<_> = levels.level(level).iter().copied().filter(|file| !file.busy).collect();
            if bytes(&free) as f64 / self.max_bytes(level) <= SCORE {
                continue;
            }
            // Reads suffer most from a level 0 that has fallen behind.
            if let Some(choice) = self.crowded_level_0(&levels) {
                return Some(choice);
            }
            if let Some(choice) = self.upward(&levels, level) {
                return Some(choice);
            }
        }
        let first = self.oldest_of_level_0(&levels).or_else(|| self.crowded_level_0(&levels));
        first.or_else(|| {
            let by_level = situation.free().into_iter().filter(|file| tombstones.is_worth(file, situation));
            by_level
                .max_by(|a, b| {
                    a.level.cmp(&b.level).then(a.droppable.total_cmp(&b.droppable)).then(a.id.cmp(&b.id))
                })
                .map(Choice::tombstones)
        })
    }

    fn merge(&self, files: &[&Candidate]) -> Choice {
        let lowest = files.iter().map(|file| file.level).min().unwrap_or(0);
        let highest = files.iter().map(|file| file.level).max().unwrap_or(0);
        let level = if highest == 0 && bytes(files) < self.sstable_bytes {
            0
        } else if lowest == highest {
            (highest + 1).min(LEVELS - 1)
        } else {
            highest
        };
        Choice { split: Split::Bytes(self.sstable_bytes), level, ..Choice::merge(files) }
    }

    /// Files of similar size in a level 0 of too many.
    fn crowded_level_0(&self, levels: &Levels<'_>) -> Option<Choice> {
        let all = levels.level(0);
        if all.len() <= MAX_COMPACTING_L0 {
            return None;
        }
        let free: Vec<_> = all.iter().copied().filter(|file| !file.busy).collect();
        let bucket = self.buckets.choose(&free, self.thresholds);
        (!bucket.is_empty()).then(|| Choice::merge(&bucket))
    }

    /// The oldest files of level 0 with those that overlap them, and with what lies under them in
    /// level 1 once they make a whole file.
    fn oldest_of_level_0(&self, levels: &Levels<'_>) -> Option<Choice> {
        let busy: Vec<_> = levels.level(0).iter().copied().filter(|file| file.busy).collect();
        let mut chosen: Vec<&Candidate> = Vec::new();
        for file in levels.level(0).iter().copied().filter(|file| !file.busy) {
            if chosen.iter().any(|other| other.id == file.id) {
                continue;
            }
            let group: Vec<_> =
                levels.level(0).iter().copied().filter(|other| overlap::overlap(other, file)).collect();
            if group.iter().any(|other| other.busy || !overlapping(&[other], &busy).is_empty()) {
                continue;
            }
            for other in group {
                if !chosen.iter().any(|present| present.id == other.id) {
                    chosen.push(other);
                }
            }
            if chosen.len() >= MAX_COMPACTING_L0 {
                chosen.sort_by_key(|file| file.id);
                chosen.truncate(MAX_COMPACTING_L0);
                break;
            }
        }
        if bytes(&chosen) > self.sstable_bytes {
            let under = overlapping(&chosen, levels.level(1));
            if under.iter().any(|file| file.busy) || !overlapping(&chosen, &busy).is_empty() {
                return None;
            }
            chosen.extend(under);
        }
        (chosen.len() >= 2).then(|| self.merge(&chosen))
    }

    /// The next file of a level, behind the one that went up last, with what lies under it.
    fn upward(&self, levels: &Levels<'_>, level: usize) -> Option<Choice> {
        let (files, above) = (levels.level(level), levels.level(level + 1));
        let went_up_last = above.iter().max_by_key(|file| file.id).map(|file| file.tokens.1);
        let start = went_up_last.map_or(0, |last| files.partition_point(|file| file.tokens.0 <= last));
        for index in 0..files.len() {
            let file = files[(start + index) % files.len()];
            let mut chosen = vec![file];
            chosen.extend(overlapping(&chosen, above));
            if chosen.iter().any(|file| file.busy) {
                continue;
            }
            if chosen.len() == 1 && self.single_sstable_uplevel {
                return Some(Choice::lift(file, level as u8 + 1));
            }
            return Some(self.merge(&chosen));
        }
        None
    }
}
