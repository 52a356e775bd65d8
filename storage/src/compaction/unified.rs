//! Unified compaction (Cassandra `UnifiedCompactionStrategy`): levels by density, each tiered or
//! leveled by its scaling parameter.

use super::{Candidate, Choice, check_names, number, size};
use std::collections::BTreeMap;

/// The strategy's options, with Cassandra's names and defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Unified {
    /// The scaling parameter of each level; the last one serves all above. Positive is tiered,
    /// negative leveled.
    pub scaling: Vec<i32>,
    /// Files of the lowest level are about this long.
    pub min_sstable_bytes: u64,
    /// Files are split when they grow past this.
    pub target_sstable_bytes: u64,
    /// Files merged at once.
    pub max_sstables: usize,
}

impl Unified {
    /// Reads the options.
    ///
    /// # Errors
    /// What is wrong, as Cassandra says it.
    pub fn from_options(options: &BTreeMap<String, String>) -> Result<Self, String> {
        let known = [
            "scaling_parameters",
            "target_sstable_size",
            "min_sstable_size",
            "sstable_growth",
            "base_shard_count",
            "max_sstables_to_compact",
            "overlap_inclusion_method",
            "flush_size_override",
            "expired_sstable_check_frequency_seconds",
            "unsafe_aggressive_sstable_expiration",
            "parallelize_output_shards",
        ];
        check_names("UnifiedCompactionStrategy", options, &known)?;
        let scaling = options.get("scaling_parameters").map_or("T4", String::as_str);
        let scaling =
            scaling.split(',').map(|part| scaling_parameter(part.trim())).collect::<Result<_, _>>()?;
        let strategy = Self {
            scaling,
            min_sstable_bytes: size(options, "min_sstable_size", 100 << 20)?,
            target_sstable_bytes: size(options, "target_sstable_size", 1 << 30)?,
            max_sstables: match number::<i64>(options, "max_sstables_to_compact", 64)? {
                limit if limit <= 0 => usize::MAX,
                limit => usize::try_from(limit).unwrap_or(usize::MAX),
            },
        };
        if strategy.target_sstable_bytes < 1 << 20 {
            return Err(format!(
                "Target sstable size of {} bytes is too small: at least 1MiB is required",
                strategy.target_sstable_bytes
            ));
        }
        Ok(strategy)
    }

    fn parameter(&self, level: usize) -> i32 {
        self.scaling.get(level).or(self.scaling.last()).copied().unwrap_or(2)
    }

    /// Bytes (per full ring) up to which a file belongs to the level.
    fn level_of(&self, density: f64) -> usize {
        let mut bound = self.min_sstable_bytes as f64 * f64::from(fan_factor(self.parameter(0)));
        let mut level = 0;
        while density >= bound && level < 40 {
            level += 1;
            bound *= f64::from(fan_factor(self.parameter(level)));
        }
        level
    }

    /// The lowest level with as many files over one place of the ring as its threshold.
    #[must_use]
    pub fn choose(&self, candidates: &[Candidate]) -> Choice {
        let mut levels: BTreeMap<usize, Vec<&Candidate>> = BTreeMap::new();
        for candidate in candidates {
            levels.entry(self.level_of(density(candidate))).or_default().push(candidate);
        }
        for (level, files) in levels {
            let threshold = threshold(self.parameter(level));
            let Some(mut overlapping) = most_overlapping(files) else {
                continue;
            };
            if overlapping.len() >= threshold {
                overlapping.sort_by_key(|candidate| candidate.id);
                overlapping.truncate(self.max_sstables.max(2));
                return Choice::Merge {
                    inputs: overlapping.iter().map(|candidate| candidate.id).collect(),
                    target_bytes: self.target_sstable_bytes,
                };
            }
        }
        Choice::Nothing
    }
}

/// `T4`, `L10`, `N` or a number, as the number W: positive for tiered.
fn scaling_parameter(text: &str) -> Result<i32, String> {
    let invalid = || {
        format!("Scaling parameter {text} must be an integer, or T or L and an integer of at least 2, or N")
    };
    let number = |text: &str| text.parse::<i32>().map_err(|_| invalid());
    match text.split_at_checked(1) {
        Some(("N", "")) => Ok(0),
        Some(("T", rest)) => number(rest).and_then(|n| if n < 2 { Err(invalid()) } else { Ok(n - 2) }),
        Some(("L", rest)) => number(rest).and_then(|n| if n < 2 { Err(invalid()) } else { Ok(2 - n) }),
        _ => number(text),
    }
}

const fn fan_factor(parameter: i32) -> u32 {
    parameter.unsigned_abs() + 2
}

/// Files at one place of the ring that make a level worth compacting.
const fn threshold(parameter: i32) -> usize {
    if parameter <= 0 { 2 } else { (parameter + 2) as usize }
}

/// A file's length over the part of the ring that it spans.
fn density(candidate: &Candidate) -> f64 {
    let (first, last) = candidate.tokens;
    let span = (last.ordinal().saturating_sub(first.ordinal())) as f64 / u64::MAX as f64;
    // A file of a few partitions spans next to nothing: do not take it for a dense one.
    if span < 0.001 { candidate.bytes as f64 } else { candidate.bytes as f64 / span }
}

/// The most files that cover one place of the ring.
fn most_overlapping(mut files: Vec<&Candidate>) -> Option<Vec<&Candidate>> {
    files.sort_by_key(|candidate| candidate.tokens.0);
    let at =
        |token| files.iter().copied().filter(move |file| file.tokens.0 <= token && token <= file.tokens.1);
    let place = files.iter().map(|file| file.tokens.0).max_by_key(|token| at(*token).count())?;
    Some(at(place).collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::candidates;
    use super::*;

    fn unified(scaling: &str) -> Unified {
        Unified::from_options(&BTreeMap::from([("scaling_parameters".to_owned(), scaling.to_owned())]))
            .unwrap()
    }

    #[test]
    fn scaling_parameters_read_as_cassandra_documents_them() {
        assert_eq!(unified("T4, N, L10, -3").scaling, [2, 0, -8, -3]);
        for wrong in ["T1", "X", "", "L", "4T"] {
            assert!(scaling_parameter(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn four_files_of_a_tiered_level_are_merged_and_two_of_a_leveled_one() {
        let mib = 1 << 20;
        assert_eq!(unified("T4").choose(&candidates(&[mib, mib, mib])), Choice::Nothing);
        assert!(
            matches!(unified("T4").choose(&candidates(&[mib; 4])), Choice::Merge { inputs, .. } if inputs.len() == 4)
        );
        assert!(
            matches!(unified("L4").choose(&candidates(&[mib; 2])), Choice::Merge { inputs, .. } if inputs.len() == 2)
        );
        let apart = candidates(&[mib, mib, mib, 900 * mib]);
        assert_eq!(unified("T4").choose(&apart), Choice::Nothing, "another level does not count");
    }
}
