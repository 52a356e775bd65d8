//! What every strategy takes from `WITH compaction = {...}`, and how its values are read. Messages
//! are Cassandra's.

use super::tombstones::TombstoneOptions;
use std::collections::BTreeMap;
use std::str::FromStr;

/// The options of a strategy, by name.
pub type Options = BTreeMap<String, String>;

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

/// Which deletions of files outside a compaction take effect on what it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverlappingTombstones {
    /// None.
    None,
    /// Deletions of partitions, ranges and rows.
    Row,
    /// Those, deletions of cells and cells that were written over.
    Cell,
}

/// Refuses options that neither every strategy nor this one knows.
pub(super) fn check_names(strategy: &str, options: &Options, known: &[&str]) -> Result<(), String> {
    let mut unknown: Vec<&str> = options
        .keys()
        .map(String::as_str)
        .filter(|name| !COMMON_OPTIONS.contains(name) && !known.contains(name))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let count = options.keys().filter(|name| *name != "class").count();
    unknown.sort_by_key(|name| java_bucket(name, count));
    Err(format!("Properties specified [{}] are not understood by {strategy}", unknown.join(", ")))
}

/// Where a `java.util.HashMap` that was copied from one of `count` entries keeps a key: the order
/// in which Cassandra names several.
fn java_bucket(name: &str, count: usize) -> u32 {
    let hash = name.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let capacity = (count as f64 / 0.75 + 1.0) as u32;
    (hash ^ (hash >> 16)) & (capacity.next_power_of_two() - 1)
}

/// A number; `kind` is what the message calls it.
pub(super) fn number<T: FromStr>(options: &Options, name: &str, kind: &str, default: T) -> Result<T, String> {
    match options.get(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| format!("{text} is not a parsable {kind} for {name}")),
    }
}

/// A number that the message calls an int.
pub(super) fn int<T: FromStr>(options: &Options, name: &str, default: T) -> Result<T, String> {
    number(options, name, "int (base10)", default)
}

/// `true` or `false`, or nothing.
pub(super) fn word(options: &Options, name: &str) -> Option<Result<bool, String>> {
    let text = options.get(name)?;
    Some(match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(text.clone()),
    })
}

/// A size such as `100MiB`, in bytes; it may be negative. The error says what is wrong with it.
pub(super) fn size(text: &str) -> Result<f64, String> {
    let Some(number) = text.strip_suffix('B') else {
        return Err(format!("{text} does not end in unit B"));
    };
    let (number, base) = match number.strip_suffix('i') {
        Some(number) => (number, 1024_f64),
        None => (number, 1000_f64),
    };
    let power = match number.chars().last() {
        Some('k' | 'K') => 1,
        Some('M') => 2,
        Some('G') => 3,
        Some('T') => 4,
        Some('P') => 5,
        Some('E') => 6,
        _ => 0,
    };
    let digits = if power > 0 { &number[..number.len() - 1] } else { number };
    let value: f64 = digits.trim().parse().map_err(|_| "null".to_owned())?;
    Ok(value * base.powi(power))
}

/// Bytes as Cassandra writes them in messages: `1.000MiB`.
pub(super) fn readable(bytes: f64) -> String {
    let mut unit = 0;
    let mut value = bytes;
    while value.abs() >= 1024.0 && unit < 6 {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.3}{}B", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][unit])
}

/// A size of at least a mebibyte, or `default`.
pub(super) fn size_of_a_mebibyte(options: &Options, name: &str, default: u64) -> Result<u64, String> {
    let Some(text) = options.get(name) else {
        return Ok(default);
    };
    let bytes = size(text).map_err(|error| format!("{name} {text} is not a valid size in bytes: {error}"))?;
    let least = f64::from(1 << 20);
    if bytes < least {
        return Err(format!("{name} {text} is not acceptable, size must be at least {}", readable(least)));
    }
    Ok(bytes as u64)
}

/// Reads what every strategy takes. `default_enabled` says whether a file is compacted on its own
/// for its tombstones if no option asks for it.
pub(super) fn tombstones(options: &Options, default_enabled: bool) -> Result<TombstoneOptions, String> {
    let threshold = int(options, "tombstone_threshold", 0.2_f64)?;
    if threshold < 0.0 {
        return Err(format!("tombstone_threshold must be greater than 0, but was {threshold:.6}"));
    }
    let interval_seconds = int(options, "tombstone_compaction_interval", 86_400_i64)?;
    if interval_seconds < 0 {
        return Err(format!(
            "tombstone_compaction_interval must be greater than 0, but was {interval_seconds}"
        ));
    }
    let unchecked = word(options, "unchecked_tombstone_compaction").unwrap_or(Ok(false)).map_err(|text| {
        format!("'unchecked_tombstone_compaction' should be either 'true' or 'false', not '{text}'")
    })?;
    word(options, "log_all")
        .unwrap_or(Ok(false))
        .map_err(|text| format!("'log_all' should either be 'true' or 'false', not {text}"))?;
    let asked = ["tombstone_threshold", "tombstone_compaction_interval"];
    let enabled = default_enabled || asked.iter().any(|name| options.contains_key(*name));
    Ok(TombstoneOptions { enabled, threshold, interval_seconds, unchecked })
}

/// Reads `provide_overlapping_tombstones`.
pub(super) fn overlapping_tombstones(options: &Options) -> Result<OverlappingTombstones, String> {
    let text =
        options.get("provide_overlapping_tombstones").map_or("NONE".into(), |text| text.to_uppercase());
    match text.as_str() {
        "NONE" => Ok(OverlappingTombstones::None),
        "ROW" => Ok(OverlappingTombstones::Row),
        "CELL" => Ok(OverlappingTombstones::Cell),
        _ => Err(format!(
            "Invalid value {text} for 'provide_overlapping_tombstones' compaction sub-option - must be one of the following [NONE, ROW, CELL]."
        )),
    }
}
