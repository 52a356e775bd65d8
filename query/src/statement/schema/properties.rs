//! What stands after WITH: names and values of properties, and the options of a table made of
//! them (Cassandra `PropertyDefinitions`, `TableAttributes`, `TableParams`).

use super::{compression, retry_policy};
use crate::ast::{Property, PropertyValue};
use crate::error::CqlError;
use dodona_types::schema::{Options, TableParams};
use dodona_types::value::format_double;

/// The longest time to live, in seconds: 20 years.
const MAX_TTL_SECONDS: i32 = 630_720_000;
/// The smallest chance of a false positive that Cassandra's filters reach.
const MIN_FILTER_CHANCE: f64 = 6.71e-5;
const DEFAULT_FILTER_CHANCE: f64 = 0.01;
/// Configurations of memtables by the names that Cassandra's `cassandra.yaml` gives them. Dodona
/// has one kind of memtable.
const MEMTABLES: [&str; 3] = ["default", "skiplist", "trie"];

const TABLE_OPTIONS: [&str; 20] = [
    "additional_write_policy",
    "allow_auto_snapshot",
    "bloom_filter_fp_chance",
    "caching",
    "cdc",
    "comment",
    "compaction",
    "compression",
    "crc_check_chance",
    "default_time_to_live",
    "extensions",
    "gc_grace_seconds",
    "id",
    "incremental_backups",
    "max_index_interval",
    "memtable",
    "memtable_flush_period_in_ms",
    "min_index_interval",
    "read_repair",
    "speculative_retry",
];

fn config<T>(message: impl Into<String>) -> Result<T, CqlError> {
    Err(CqlError::Config(message.into()))
}

/// Properties by their names.
pub(super) struct Properties<'a>(&'a [Property]);

impl<'a> Properties<'a> {
    pub(super) const fn new(properties: &'a [Property]) -> Self {
        Self(properties)
    }

    /// Refuses properties of other names.
    pub(super) fn check_names(&self, known: &[&str]) -> Result<(), CqlError> {
        match self.0.iter().find(|property| !known.contains(&property.name.as_str())) {
            Some(unknown) => Err(CqlError::Syntax(format!("Unknown property '{}'", unknown.name))),
            None => Ok(()),
        }
    }

    fn value(&self, name: &str) -> Option<&'a PropertyValue> {
        self.0.iter().find(|property| property.name == name).map(|property| &property.value)
    }

    /// A property that is a text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, CqlError> {
        match self.value(name) {
            None => Ok(None),
            Some(PropertyValue::Text(text)) => Ok(Some(text)),
            Some(PropertyValue::Map(_)) => {
                Err(CqlError::Syntax(format!("Invalid value for property '{name}'. It should be a string")))
            }
        }
    }

    /// A property that is a map.
    pub(super) fn map(&self, name: &str) -> Result<Option<&'a [(String, String)]>, CqlError> {
        match self.value(name) {
            None => Ok(None),
            Some(PropertyValue::Map(map)) => Ok(Some(map)),
            Some(PropertyValue::Text(_)) => {
                Err(CqlError::Syntax(format!("Invalid value for property '{name}'. It should be a map.")))
            }
        }
    }

    /// A property that is a boolean.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, CqlError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" => Ok(Some(true)),
            "0" | "false" | "no" => Ok(Some(false)),
            _ => Err(CqlError::Syntax(format!(
                "Invalid boolean value {text} for '{name}'. Positive values can be '1', 'true' or 'yes'. Negative values can be '0', 'false' or 'no'."
            ))),
        }
    }

    fn integer(&self, name: &str) -> Result<Option<i32>, CqlError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(CqlError::Syntax(format!("Invalid integer value {text} for '{name}'"))),
        }
    }

    fn double(&self, name: &str) -> Result<Option<f64>, CqlError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(CqlError::Syntax(format!("Invalid double value {text} for '{name}'"))),
        }
    }

    /// A number that is not negative. That is checked with the other bounds by
    /// [`Self::check_table`], after what exists was looked at.
    fn natural(&self, name: &str, into: &mut u32) -> Result<(), CqlError> {
        if let Some(number) = self.integer(name)? {
            *into = u32::try_from(number).unwrap_or(0);
        }
        Ok(())
    }

    /// Puts a table's options into `params`.
    ///
    /// # Errors
    /// A value is not of its kind, or names something unknown.
    pub(super) fn put_into(&self, params: &mut TableParams) -> Result<(), CqlError> {
        if let Some(value) = self.boolean("allow_auto_snapshot")? {
            params.allow_auto_snapshot = value;
        }
        if let Some(value) = self.double("bloom_filter_fp_chance")? {
            // To Cassandra this is the default of the compaction.
            params.bloom_filter_fp_chance = if value == -1.0 { DEFAULT_FILTER_CHANCE } else { value };
        }
        if let Some(options) = self.map("caching")? {
            params.caching = caching(options)?;
        }
        if let Some(value) = self.text("comment")? {
            params.comment = value.to_owned();
        }
        if let Some(options) = self.map("compaction")? {
            params.compaction = compaction(options)?;
        }
        if let Some(options) = self.map("compression")? {
            params.compression = compression::normalise(options)?;
        }
        if let Some(value) = self.text("memtable")? {
            if !MEMTABLES.contains(&value) {
                return config(format!("Memtable configuration \"{value}\" not found."));
            }
            params.memtable = value.to_owned();
        }
        self.natural("default_time_to_live", &mut params.default_time_to_live)?;
        self.natural("gc_grace_seconds", &mut params.gc_grace_seconds)?;
        self.natural("max_index_interval", &mut params.max_index_interval)?;
        self.natural("memtable_flush_period_in_ms", &mut params.memtable_flush_period_in_ms)?;
        self.natural("min_index_interval", &mut params.min_index_interval)?;
        if let Some(value) = self.boolean("incremental_backups")? {
            params.incremental_backups = value;
        }
        if let Some(value) = self.text("speculative_retry")? {
            params.speculative_retry = retry_policy::normalise(value)?;
        }
        if let Some(value) = self.text("additional_write_policy")? {
            params.additional_write_policy = retry_policy::normalise(value)?;
        }
        if let Some(value) = self.double("crc_check_chance")? {
            params.crc_check_chance = value;
        }
        if let Some(value) = self.boolean("cdc")? {
            params.cdc = value;
        }
        if let Some(value) = self.text("read_repair")? {
            params.read_repair = match value.to_ascii_uppercase() {
                upper if upper == "BLOCKING" || upper == "NONE" => upper,
                _ => return config(format!("Invalid value {value} for option 'read_repair'")),
            };
        }
        Ok(())
    }

    /// Checks the names of a table's options and the bounds of their values, as they are in
    /// `params` after [`Self::put_into`].
    pub(super) fn check_table(&self, params: &TableParams) -> Result<(), CqlError> {
        self.check_names(&TABLE_OPTIONS)?;
        let chance = params.bloom_filter_fp_chance;
        if !(chance > MIN_FILTER_CHANCE && chance <= 1.0) {
            return config(format!(
                "bloom_filter_fp_chance must be larger than 6.71E-5 and less than or equal to 1.0 (got {})",
                format_double(chance)
            ));
        }
        if !(0.0..=1.0).contains(&params.crc_check_chance) {
            return config(format!(
                "crc_check_chance must be larger than or equal to 0 and smaller than or equal to 1.0 (got {})",
                format_double(params.crc_check_chance)
            ));
        }
        for (name, least) in [
            ("default_time_to_live", 0),
            ("gc_grace_seconds", 0),
            ("min_index_interval", 1),
            ("memtable_flush_period_in_ms", 0),
        ] {
            if let Some(number) = self.integer(name)?.filter(|number| *number < least) {
                return config(format!("{name} must be greater than or equal to {least} (got {number})"));
            }
        }
        if params.default_time_to_live > MAX_TTL_SECONDS.unsigned_abs() {
            return config(format!(
                "default_time_to_live must be less than or equal to {MAX_TTL_SECONDS} (got {})",
                params.default_time_to_live
            ));
        }
        if params.max_index_interval < params.min_index_interval {
            return config(format!(
                "max_index_interval must be greater than or equal to min_index_interval ({}) (got {})",
                params.min_index_interval,
                self.integer("max_index_interval")?.map_or(params.max_index_interval.into(), i64::from)
            ));
        }
        compaction_bounds(&params.compaction)
    }
}

fn caching(options: &[(String, String)]) -> Result<Options, CqlError> {
    let mut caching = Options::from(["keys", "rows_per_partition"].map(|name| (name.into(), "NONE".into())));
    let unknown: Vec<&str> =
        options.iter().map(|(name, _)| name.as_str()).filter(|name| !caching.contains_key(*name)).collect();
    if !unknown.is_empty() {
        return config(format!(
            "Invalid caching sub-options [{}]: only 'keys' and 'rows_per_partition' are allowed",
            unknown.join(", ")
        ));
    }
    for (name, value) in options {
        let upper = value.to_ascii_uppercase();
        let is_word = upper == "ALL" || upper == "NONE";
        if name == "keys" && !is_word {
            return config(format!(
                "Invalid value '{value}' for caching sub-option 'keys': only 'ALL' and 'NONE' are allowed"
            ));
        }
        let number: Option<i32> =
            value.parse().ok().filter(|_| value.bytes().all(|byte| byte.is_ascii_digit()));
        if !is_word && number.is_none() {
            return config(format!(
                "Invalid value '{value}' for caching sub-option 'rows_per_partition': only 'ALL', 'NONE', and integer values are allowed"
            ));
        }
        caching.insert(name.clone(), if number == Some(0) { "NONE".into() } else { upper });
    }
    Ok(caching)
}

const COMPACTION_PACKAGE: &str = "org.apache.cassandra.db.compaction.";
const STRATEGIES: [&str; 4] = [
    "LeveledCompactionStrategy",
    "SizeTieredCompactionStrategy",
    "TimeWindowCompactionStrategy",
    "UnifiedCompactionStrategy",
];
const THRESHOLDS: [(&str, &str); 2] = [("max_threshold", "32"), ("min_threshold", "4")];

/// The options with the class's full name and the thresholds that the class has.
fn compaction(options: &[(String, String)]) -> Result<Options, CqlError> {
    let mut options: Options = options.iter().cloned().collect();
    let Some(class) = options.get("class") else {
        return config("Missing sub-option 'class' for the 'compaction' option");
    };
    let simple = class.strip_prefix(COMPACTION_PACKAGE).unwrap_or(class).to_owned();
    if !STRATEGIES.contains(&simple.as_str()) {
        let full = if simple.contains('.') { simple } else { format!("{COMPACTION_PACKAGE}{simple}") };
        return config(format!("Unable to find compaction strategy class '{full}'"));
    }
    options.insert("class".into(), format!("{COMPACTION_PACKAGE}{simple}"));
    if simple != "UnifiedCompactionStrategy" {
        for (name, default) in THRESHOLDS {
            options.entry(name.into()).or_insert_with(|| default.into());
        }
    }
    Ok(options)
}

/// What Cassandra checks of every strategy. What a strategy takes besides, the engine checks.
fn compaction_bounds(options: &Options) -> Result<(), CqlError> {
    if let Some(enabled) = options.get("enabled")
        && !enabled.eq_ignore_ascii_case("true")
        && !enabled.eq_ignore_ascii_case("false")
    {
        return config(format!("enabled should either be 'true' or 'false', not {enabled}"));
    }
    if options.get("class").is_some_and(|class| class.ends_with("UnifiedCompactionStrategy")) {
        // It has no thresholds, and says so.
        return Ok(());
    }
    let threshold = |name: &str, default: i64| match options.get(name) {
        None => Ok(default),
        // Cassandra takes the sign for no part of a number.
        Some(text) => text.parse::<u32>().map(i64::from).or_else(|_| {
            config(format!("Invalid value {text} for '{name}' compaction sub-option - must be an integer"))
        }),
    };
    let (min, max) = (threshold("min_threshold", 4)?, threshold("max_threshold", 32)?);
    if min <= 0 || max <= 0 {
        return config(
            "Disabling compaction by setting compaction thresholds to 0 has been removed, set the compaction option 'enabled' to false instead.",
        );
    }
    if min < 2 {
        return config(format!("Min compaction threshold cannot be less than 2 (got {min})"));
    }
    if min > max {
        return config(format!(
            "Min compaction threshold (got {min}) cannot be greater than max compaction threshold (got {max})"
        ));
    }
    Ok(())
}
