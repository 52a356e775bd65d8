//! The options of unified compaction, with Cassandra's names, defaults and messages.

use super::options::{Options, check_names, int, number, readable, size, size_of_a_mebibyte, word};
use super::unified::{OverlapInclusion, Unified};

const NAME: &str = "UnifiedCompactionStrategy";
const KNOWN: [&str; 10] = [
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
];

impl Unified {
    /// Reads the options.
    ///
    /// # Errors
    /// What is wrong, as Cassandra says it.
    pub fn from_options(options: &Options) -> Result<Self, String> {
        let scaling = options.get("scaling_parameters").map_or("T4", String::as_str);
        let scaling =
            scaling.split(',').map(|part| scaling_parameter(part.trim())).collect::<Result<_, _>>()?;
        let base_shard_count = int(options, "base_shard_count", 4_i32)?;
        if base_shard_count <= 0 {
            return Err(format!(
                "Invalid configuration, base_shard_count should be positive: {base_shard_count}"
            ));
        }
        let target_sstable_bytes = size_of_a_mebibyte(options, "target_sstable_size", 1 << 30)?;
        let flush_bytes = size_of_a_mebibyte(options, "flush_size_override", 0)?;
        let name = "expired_sstable_check_frequency_seconds";
        let check = number(options, name, "long (base10)", 600_i64)?;
        if check <= 0 {
            return Err(format!("Invalid configuration, {name} should be positive: {check}"));
        }
        let name = "unsafe_aggressive_sstable_expiration";
        if let Some(Err(text)) = word(options, name) {
            return Err(format!("{name} should either be 'true' or 'false', not {text}"));
        }
        let max_sstables = match int(options, "max_sstables_to_compact", 64_i32)? {
            limit if limit <= 0 => usize::MAX,
            limit => limit as usize,
        };
        let strategy = Self {
            scaling,
            min_sstable_bytes: min_size(options, target_sstable_bytes)?,
            target_sstable_bytes,
            sstable_growth: growth(options)?,
            base_shard_count: base_shard_count.unsigned_abs(),
            max_sstables,
            overlaps: inclusion(options)?,
            flush_bytes,
            expired_check_seconds: check.unsigned_abs(),
        };
        check_names(NAME, options, &KNOWN)?;
        Ok(strategy)
    }
}

fn min_size(options: &Options, target: u64) -> Result<u64, String> {
    let name = "min_sstable_size";
    let Some(text) = options.get(name) else {
        return Ok((100 << 20).min((target as f64 * 0.7) as u64));
    };
    let bytes = size(text).map_err(|_| format!("{text} is not a valid size in bytes for {name}"))?;
    if bytes < 0.0 {
        return Err(format!("Invalid configuration, {name} should be greater than or equal to 0: {text}"));
    }
    if bytes > target as f64 * std::f64::consts::FRAC_1_SQRT_2 {
        return Err(format!(
            "Invalid configuration, {name} ({}) should be less than 70% of the targetSSTableSize ({})",
            readable(bytes),
            readable(target as f64)
        ));
    }
    Ok(bytes as u64)
}

fn growth(options: &Options) -> Result<f64, String> {
    let name = "sstable_growth";
    let Some(text) = options.get(name) else {
        return Ok(0.333);
    };
    let (digits, unit) = text.strip_suffix('%').map_or((text.as_str(), 1.0), |digits| (digits, 100.0));
    let value: f64 = digits.trim().parse().map_err(|_| {
        let found = if digits.trim().is_empty() {
            "empty String".to_owned()
        } else {
            format!("For input string: \"{text}\"")
        };
        format!("{name} is not a valid number between 0 and 1: {found}")
    })?;
    let value = value / unit;
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{name} {text} must be between 0 and 1"))
    }
}

fn inclusion(options: &Options) -> Result<OverlapInclusion, String> {
    let text = options.get("overlap_inclusion_method").map_or("TRANSITIVE", String::as_str);
    match text.to_uppercase().as_str() {
        "NONE" => Ok(OverlapInclusion::None),
        "SINGLE" => Ok(OverlapInclusion::Single),
        "TRANSITIVE" => Ok(OverlapInclusion::Transitive),
        _ => Err(format!(
            "Invalid overlap inclusion method {text}. The valid options are [NONE, SINGLE, TRANSITIVE]."
        )),
    }
}

/// `T4`, `L10`, `N` or a number, as the number W: positive for tiered.
fn scaling_parameter(text: &str) -> Result<i32, String> {
    let invalid = || format!("Scaling parameter {text} must match N|L[0-9]+|T[0-9]+|[+-]?[0-9]+");
    let number = |text: &str| text.parse::<i32>().map_err(|_| invalid());
    let factor = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { number(text) } else { Err(invalid()) }
    };
    let at_least_2 = |factor: i32| {
        if factor < 2 { Err(format!("Fan factor cannot be lower than 2 in {text}")) } else { Ok(factor - 2) }
    };
    match text.split_at_checked(1) {
        Some(("N", "")) => Ok(0),
        Some(("T", rest)) => factor(rest).and_then(at_least_2),
        Some(("L", rest)) => factor(rest).and_then(at_least_2).map(|factor| -factor),
        _ => number(text),
    }
}
