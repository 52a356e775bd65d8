//! `compression = {...}` of a table (Cassandra `CompressionParams`).

use crate::error::CqlError;
use dodona_types::schema::Options;

const PACKAGE: &str = "org.apache.cassandra.io.compress.";
/// The compressors that exist, and the options that each takes.
const COMPRESSORS: [(&str, &[&str]); 5] = [
    ("DeflateCompressor", &[]),
    ("LZ4Compressor", &["lz4_compressor_type", "lz4_high_compressor_level"]),
    ("NoopCompressor", &[]),
    ("SnappyCompressor", &[]),
    ("ZstdCompressor", &["compression_level"]),
];
const CHUNK_LENGTH: &str = "chunk_length_in_kb";
const MIN_RATIO: &str = "min_compress_ratio";

fn config<T>(message: impl Into<String>) -> Result<T, CqlError> {
    Err(CqlError::Config(message.into()))
}

/// The options as they are kept: the full class name and the chunk length, or `enabled` `false`.
pub(super) fn normalise(options: &[(String, String)]) -> Result<Options, CqlError> {
    let mut options: Options = options.iter().cloned().collect();
    let disabled = || Ok(Options::from([("enabled".into(), "false".into())]));
    if options.is_empty() {
        return disabled();
    }
    if let Some(enabled) = options.remove("enabled")
        && !enabled.eq_ignore_ascii_case("true")
    {
        if !options.is_empty() {
            return config("If the 'enabled' option is set to false no other options must be specified");
        }
        return disabled();
    }
    let Some(class) = options.remove("class") else {
        return config("Missing sub-option 'class' for the 'compression' option.");
    };
    if class.is_empty() {
        return config("The 'class' option must not be empty. To disable compression use 'enabled' : false");
    }
    let simple = class.strip_prefix(PACKAGE).unwrap_or(&class);
    let chunk_length = chunk_length(options.remove(CHUNK_LENGTH).as_deref())?;
    let ratio = min_ratio(options.remove(MIN_RATIO).as_deref())?;
    let Some((_, known)) = COMPRESSORS.iter().find(|(name, _)| *name == simple) else {
        let full = if simple.contains('.') { simple.to_owned() } else { format!("{PACKAGE}{simple}") };
        return config(format!("Could not create Compression for type {full}"));
    };
    if let Some(unknown) = options.keys().find(|name| !known.contains(&name.as_str())) {
        return config(format!("Unknown compression options {unknown}"));
    }
    check_options(simple, &options)?;
    options.insert("class".into(), format!("{PACKAGE}{simple}"));
    options.insert(CHUNK_LENGTH.into(), chunk_length.to_string());
    if let Some(ratio) = ratio {
        options.insert(MIN_RATIO.into(), ratio);
    }
    Ok(options)
}

fn chunk_length(text: Option<&str>) -> Result<i32, CqlError> {
    let Some(text) = text else { return Ok(16) };
    let Ok(kib) = text.parse::<i32>() else {
        return config(format!("Invalid value for {CHUNK_LENGTH}"));
    };
    if kib <= 0 {
        return config(format!("Invalid negative or null {CHUNK_LENGTH}"));
    }
    if !kib.unsigned_abs().is_power_of_two() {
        return config(format!("{CHUNK_LENGTH} must be a power of 2"));
    }
    Ok(kib)
}

/// The ratio as it is kept: none for Cassandra's default, which is 0.
fn min_ratio(text: Option<&str>) -> Result<Option<String>, CqlError> {
    let Some(text) = text else { return Ok(None) };
    let Ok(ratio) = text.parse::<f64>() else {
        return config(format!("Invalid value for {MIN_RATIO}"));
    };
    if ratio == 0.0 {
        return Ok(None);
    }
    if ratio < 0.0 {
        return config(format!("Invalid negative {MIN_RATIO}"));
    }
    if ratio.is_nan() || ratio < 1.0 {
        return config(format!("{MIN_RATIO} can either be 0 or greater than or equal to 1"));
    }
    Ok(Some(dodona_types::value::format_double(ratio)))
}

fn check_options(class: &str, options: &Options) -> Result<(), CqlError> {
    if let Some(kind) = options.get("lz4_compressor_type")
        && kind != "high"
        && kind != "fast"
    {
        return config(format!(
            "Invalid compressor type '{kind}' specified for LZ4 parameter 'lz4_compressor_type'. Valid options are [high, fast]."
        ));
    }
    if let Some(level) = options.get("lz4_high_compressor_level")
        && !level.parse().is_ok_and(|level: i32| (1..=17).contains(&level))
    {
        return config(format!(
            "Invalid value [{level}] for parameter 'lz4_high_compressor_level'. Value must be between 1 and 17."
        ));
    }
    if let Some(level) = options.get("compression_level").filter(|_| class == "ZstdCompressor") {
        let problem = match level.parse::<i32>() {
            Ok(-131_072..=22) => return Ok(()),
            Ok(_) => format!("java.lang.IllegalArgumentException compression_level={level} is invalid"),
            Err(_) => format!("java.lang.NumberFormatException For input string: \"{level}\""),
        };
        return config(format!("ZstdCompressor.create() threw an error: {problem}"));
    }
    Ok(())
}
