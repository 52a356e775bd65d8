//! Compaction: which files of a table to merge, and the merging.
//!
//! A strategy is a pure function from what is known of a table's files to a [`Choice`]; [`job`]
//! executes it in steps.

pub mod job;
pub mod progress;
pub mod size_tiered;
pub mod unified;

use crate::sstable::SstableId;
use dodona_types::Token;
use std::collections::BTreeMap;

/// What a strategy knows of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The file.
    pub id: SstableId,
    /// Its length.
    pub bytes: u64,
    /// Its first and last token.
    pub tokens: (Token, Token),
    /// The greatest second at which something in it was deleted or expires; `i64::MAX` if
    /// something in it lives for ever.
    pub max_deletion_seconds: i64,
}

/// What a strategy wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Nothing.
    Nothing,
    /// Merge these files.
    Merge {
        /// The files.
        inputs: Vec<SstableId>,
        /// Into files of at most about this length; `u64::MAX` for one file.
        target_bytes: u64,
    },
}

/// A table's strategy.
#[derive(Clone, Debug, PartialEq)]
pub enum CompactionSettings {
    /// Files of similar size.
    SizeTiered(size_tiered::SizeTiered),
    /// Cassandra 5's unified strategy.
    Unified(unified::Unified),
    /// No compaction: `enabled` is `false`.
    Disabled,
}

impl CompactionSettings {
    /// What to do with these files, of which none is being compacted.
    #[must_use]
    pub fn choose(&self, candidates: &[Candidate]) -> Choice {
        match self {
            Self::SizeTiered(strategy) => strategy.choose(candidates),
            Self::Unified(strategy) => strategy.choose(candidates),
            Self::Disabled => Choice::Nothing,
        }
    }

    /// The strategy that `WITH compaction = {...}` asks for.
    ///
    /// # Errors
    /// What is wrong, as Cassandra says it.
    pub fn from_options(options: &BTreeMap<String, String>) -> Result<Self, String> {
        let class = options.get("class").map_or("", String::as_str);
        let class = class.strip_prefix("org.apache.cassandra.db.compaction.").unwrap_or(class);
        let strategy = match class {
            "SizeTieredCompactionStrategy" => {
                Self::SizeTiered(size_tiered::SizeTiered::from_options(options)?)
            }
            "UnifiedCompactionStrategy" => Self::Unified(unified::Unified::from_options(options)?),
            "LeveledCompactionStrategy" | "TimeWindowCompactionStrategy" => {
                return Err(format!(
                    "{class} is not supported yet: use UnifiedCompactionStrategy or SizeTieredCompactionStrategy"
                ));
            }
            "" => return Err("Missing sub-option 'class' for the 'compaction' option.".into()),
            other => {
                return Err(format!(
                    "Unable to find compaction strategy class 'org.apache.cassandra.db.compaction.{other}'"
                ));
            }
        };
        Ok(if options.get("enabled").is_some_and(|enabled| enabled.eq_ignore_ascii_case("false")) {
            Self::Disabled
        } else {
            strategy
        })
    }
}

/// Options that every strategy takes.
const COMMON_OPTIONS: &[&str] = &[
    "class",
    "enabled",
    "tombstone_threshold",
    "tombstone_compaction_interval",
    "unchecked_tombstone_compaction",
    "only_purge_repaired_tombstones",
    "log_all",
    "provide_overlapping_tombstones",
];

fn check_names(strategy: &str, options: &BTreeMap<String, String>, known: &[&str]) -> Result<(), String> {
    let unknown: Vec<&str> = options
        .keys()
        .map(String::as_str)
        .filter(|name| !COMMON_OPTIONS.contains(name) && !known.contains(name))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(format!("Properties specified [{}] are not understood by {strategy}", unknown.join(", ")))
}

fn number<T: std::str::FromStr>(
    options: &BTreeMap<String, String>,
    name: &str,
    default: T,
) -> Result<T, String> {
    match options.get(name) {
        None => Ok(default),
        Some(text) => text
            .parse()
            .map_err(|_| format!("{text} is not a parsable {} for {name}", std::any::type_name::<T>())),
    }
}

/// A size such as `100MiB` or a number of bytes.
fn size(options: &BTreeMap<String, String>, name: &str, default: u64) -> Result<u64, String> {
    let Some(text) = options.get(name) else {
        return Ok(default);
    };
    let digits = text.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.trim()[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "kib" | "kb" => 10,
        "mib" | "mb" => 20,
        "gib" | "gb" => 30,
        "tib" | "tb" => 40,
        _ => return Err(format!("Invalid size string {text} for {name}")),
    };
    let number: f64 = digits.trim().parse().map_err(|_| format!("Invalid size string {text} for {name}"))?;
    Ok((number * (1u64 << unit) as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of these sizes over the whole ring.
    pub(super) fn candidates(sizes: &[u64]) -> Vec<Candidate> {
        sizes
            .iter()
            .enumerate()
            .map(|(index, bytes)| Candidate {
                id: SstableId(uuid::Uuid::from_u128(index as u128 + 1)),
                bytes: *bytes,
                tokens: (Token::MIN, Token::MAX),
                max_deletion_seconds: i64::MAX,
            })
            .collect()
    }

    #[test]
    fn options_are_checked_with_cassandras_words() {
        let options = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let error = CompactionSettings::from_options(&options(&[
            ("class", "SizeTieredCompactionStrategy"),
            ("x", "1"),
        ]));
        assert_eq!(
            error.unwrap_err(),
            "Properties specified [x] are not understood by SizeTieredCompactionStrategy"
        );
        let disabled = options(&[("class", "UnifiedCompactionStrategy"), ("enabled", "false")]);
        assert_eq!(CompactionSettings::from_options(&disabled), Ok(CompactionSettings::Disabled));
    }
}
