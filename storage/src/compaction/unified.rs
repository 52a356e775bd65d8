//! Unified compaction (Cassandra `UnifiedCompactionStrategy`, CEP-26): levels by density, each
//! tiered or leveled by its scaling parameter, in shards of the ring that grow with the data.

use super::tombstones::{self, TombstoneOptions};
use super::{Candidate, Choice, Situation, Split, overlap};
use std::collections::BTreeMap;

/// Levels beyond which no density goes.
const MAX_LEVELS: usize = 32;
/// Shards are at most this power of two times the base count.
const MAX_SHARD_SHIFT: i32 = 20;

/// Which files a compaction takes beside those that overlap at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverlapInclusion {
    /// None.
    None,
    /// Those that overlap them.
    Single,
    /// Those, what overlaps those, and so on.
    Transitive,
}

/// The strategy's options.
#[derive(Clone, Debug, PartialEq)]
pub struct Unified {
    /// The scaling parameter of each level; the last one serves all above. Positive is tiered,
    /// negative leveled.
    pub scaling: Vec<i32>,
    /// Files are not split below this.
    pub min_sstable_bytes: u64,
    /// Files are to be about this long.
    pub target_sstable_bytes: u64,
    /// From 0, where the count of files grows with the data, to 1, where their length does.
    pub sstable_growth: f64,
    /// Parts of the ring in which a file lies as soon as it is long enough.
    pub base_shard_count: u32,
    /// Files at one place of the ring merged at once.
    pub max_sstables: usize,
    /// Which other files a compaction takes.
    pub overlaps: OverlapInclusion,
    /// What a flush is taken to be; 0 for what flushes have been.
    pub flush_bytes: u64,
    /// How often to look for files that have expired.
    pub expired_check_seconds: u64,
}

/// Files of one density.
struct Level<'a> {
    index: usize,
    files: Vec<&'a Candidate>,
}

impl Unified {
    fn parameter(&self, level: usize) -> i32 {
        self.scaling.get(level).or(self.scaling.last()).copied().unwrap_or(2)
    }

    fn fanout(&self, level: usize) -> usize {
        self.parameter(level).unsigned_abs() as usize + 2
    }

    /// Files at one place of the ring that make a level worth compacting.
    fn threshold(&self, level: usize) -> usize {
        let parameter = self.parameter(level);
        if parameter <= 0 { 2 } else { parameter.unsigned_abs() as usize + 2 }
    }

    /// Into how many parts of the ring files of this density are split.
    #[must_use]
    pub fn shards(&self, density: f64) -> u32 {
        let base = self.base_shard_count;
        if self.min_sstable_bytes > 0 {
            let count = density / self.min_sstable_bytes as f64;
            if count.is_nan() || count < f64::from(base) {
                // Only parts into which the base count can be divided, so that bounds stay bounds.
                let largest = base & base.wrapping_neg();
                return (1 << (count as u32 | 1).ilog2()).min(largest);
            }
        }
        let count = density / (self.target_sstable_bytes as f64 * f64::from(base));
        let power = count.log2() * (1.0 - self.sstable_growth) + 0.5;
        if power >= f64::from(MAX_SHARD_SHIFT) {
            base << MAX_SHARD_SHIFT
        } else if power >= 0.0 {
            base << (power as u32)
        } else {
            base
        }
    }

    /// Into how many parts of the ring a flush is split, where flushes have been of `flush_bytes`.
    #[must_use]
    pub fn flush_shards(&self, flush_bytes: u64) -> u32 {
        self.shards(self.flush_size(flush_bytes) as f64)
    }

    const fn flush_size(&self, observed: u64) -> u64 {
        if self.flush_bytes > 0 { self.flush_bytes } else { observed }
    }

    /// Files by density, densest last.
    fn levels<'a>(&self, files: Vec<&'a Candidate>, flush_bytes: u64) -> Vec<Level<'a>> {
        let flush = if self.flush_bytes > 0 {
            self.flush_bytes as f64
        } else {
            (flush_bytes.div_ceil(1 << 20) << 20).max(1 << 20) as f64
        };
        let mut bound = flush * (1.0 - 0.9 / self.fanout(0) as f64);
        let mut bounds = Vec::with_capacity(MAX_LEVELS);
        for level in 0..MAX_LEVELS {
            bound = (bound * self.fanout(level) as f64).floor();
            bounds.push(bound);
        }
        let mut levels: BTreeMap<usize, Vec<&Candidate>> = BTreeMap::new();
        for file in files {
            let density = overlap::density(file);
            levels.entry(bounds.partition_point(|bound| *bound <= density)).or_default().push(file);
        }
        levels.into_iter().map(|(index, files)| Level { index, files }).collect()
    }

    /// The level with the most files over one place of the ring, once it has enough; files that
    /// have expired; else the largest file with enough tombstones.
    #[must_use]
    pub fn choose(&self, situation: &Situation<'_>, options: &TombstoneOptions) -> Option<Choice> {
        if let Some(expired) = tombstones::choose_expired(situation) {
            return Some(expired);
        }
        let mut best: Option<(usize, Vec<&Candidate>)> = None;
        for level in self.levels(situation.free(), situation.flush_bytes) {
            let sets = overlap::overlap_sets(&level.files);
            let most = sets.iter().map(Vec::len).max().unwrap_or(0);
            let enough = most >= self.threshold(level.index);
            if enough && best.as_ref().is_none_or(|(overlap, _)| most > *overlap) {
                best = Some((most, self.pick(&level, &sets, most)));
            }
        }
        if let Some((_, files)) = best {
            return Some(self.merge(&files));
        }
        let worth = situation.free().into_iter().filter(|file| options.is_worth(file, situation));
        let largest = worth.max_by_key(|file| (file.bytes, file.id))?;
        Some(Choice {
            split: Split::Shards(self.shards(overlap::density(largest))),
            ..Choice::tombstones(largest)
        })
    }

    /// The merge of files into shards of the density that results.
    #[must_use]
    pub fn merge(&self, files: &[&Candidate]) -> Choice {
        let shards = self.shards(overlap::combined_density(files));
        Choice { split: Split::Shards(shards), ..Choice::merge(files) }
    }

    /// The first bucket of the level with the most files over one place.
    fn pick<'a>(&self, level: &Level<'a>, sets: &[Vec<&'a Candidate>], most: usize) -> Vec<&'a Candidate> {
        let at = sets.iter().position(|set| set.len() == most).unwrap_or(0);
        let (start, end) = self.bucket(sets, at);
        let sets = &sets[start..end];
        let fanout = self.fanout(level.index);
        let limit = self.max_sstables.max(fanout);
        if most <= fanout {
            return oldest(sets, usize::MAX);
        }
        if most <= fanout * self.fanout(level.index + 1) || limit == fanout {
            return oldest(sets, limit);
        }
        // Far behind: take so many that the result skips levels and the hierarchy stays as it is.
        let limit = limit.min(most);
        let (mut size, mut next, mut index) = (fanout, fanout, level.index);
        while next <= limit && index < MAX_LEVELS {
            size = next;
            index += 1;
            next *= self.fanout(index);
        }
        if self.parameter(level.index) < 0 {
            // A leveled level takes as many of these as there are: its result stays one file.
            size *= limit / size;
        }
        oldest(sets, size)
    }

    /// The sets that go with the one at `at`.
    fn bucket(&self, sets: &[Vec<&Candidate>], at: usize) -> (usize, usize) {
        if self.overlaps == OverlapInclusion::None {
            return (at, at + 1);
        }
        let mut together: Vec<_> = sets[at].iter().map(|file| file.id).collect();
        let joins = |set: &[&Candidate], together: &mut Vec<_>| {
            let joins = set.iter().any(|file| together.contains(&file.id));
            if joins && self.overlaps == OverlapInclusion::Transitive {
                together.extend(set.iter().map(|file| file.id));
            }
            joins
        };
        let (mut start, mut end) = (at, at + 1);
        while end < sets.len() && joins(&sets[end], &mut together) {
            end += 1;
        }
        while start > 0 && joins(&sets[start - 1], &mut together) {
            start -= 1;
        }
        (start, end)
    }
}

/// The oldest files, by what was written last, of which at most `limit` lie over one place.
fn oldest<'a>(sets: &[Vec<&'a Candidate>], limit: usize) -> Vec<&'a Candidate> {
    let mut files: BTreeMap<_, &Candidate> = BTreeMap::new();
    for file in sets.iter().flatten() {
        files.insert((file.timestamps.1, file.id), file);
    }
    let mut taken = vec![0; sets.len()];
    let mut chosen = Vec::new();
    for file in files.into_values() {
        let in_sets = || (0..sets.len()).filter(|set| sets[*set].iter().any(|other| other.id == file.id));
        if in_sets().any(|set| taken[set] >= limit) {
            break;
        }
        in_sets().for_each(|set| taken[set] += 1);
        chosen.push(file);
    }
    chosen
}
