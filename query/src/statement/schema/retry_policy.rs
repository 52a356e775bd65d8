//! `speculative_retry` and `additional_write_policy` (Cassandra `SpeculativeRetryPolicy`).

use crate::error::CqlError;

/// The policy as Cassandra prints it: `99p`, `10ms`, `MIN(99p,10ms)`, `ALWAYS` or `NEVER`.
///
/// # Errors
/// The text is none of these. Cassandra names `speculative_retry` for both options.
pub(super) fn normalise(text: &str) -> Result<String, CqlError> {
    let upper = text.trim().to_ascii_uppercase();
    match upper.as_str() {
        "ALWAYS" => return Ok("ALWAYS".into()),
        "NEVER" | "NONE" => return Ok("NEVER".into()),
        _ => {}
    }
    if let Some(policy) = simple(text, &upper)? {
        return Ok(policy);
    }
    hybrid(text, &upper)?.ok_or_else(|| invalid(text))
}

fn invalid(text: &str) -> CqlError {
    CqlError::Config(format!("Invalid value {text} for option 'speculative_retry'"))
}

/// A percentile or a number of milliseconds.
fn simple(text: &str, upper: &str) -> Result<Option<String>, CqlError> {
    let number = |digits: &str| {
        let digits_only = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        digits_only.then(|| digits.parse::<f64>().ok()).flatten()
    };
    let percentile = upper.strip_suffix("PERCENTILE").or_else(|| upper.strip_suffix('P'));
    if let Some(percentile) = percentile.and_then(number) {
        if percentile <= 0.0 || percentile >= 100.0 {
            return Err(CqlError::Config(format!(
                "Invalid value {text} for PERCENTILE option 'speculative_retry': must be between (0.0 and 100.0)"
            )));
        }
        return Ok(Some(format!("{}p", four_places(percentile))));
    }
    let millis = upper.strip_suffix("MS").and_then(number);
    Ok(millis.map(|millis| format!("{}ms", millis.trunc())))
}

/// `MIN(a,b)` or `MAX(a,b)`: one is a percentile, the other a time.
fn hybrid(text: &str, upper: &str) -> Result<Option<String>, CqlError> {
    let Some((function, arguments)) = upper.strip_suffix(')').and_then(|upper| upper.split_once('(')) else {
        return Ok(None);
    };
    let Some((first, second)) = arguments.split_once(',') else {
        return Ok(None);
    };
    if function != "MIN" && function != "MAX" {
        return Ok(None);
    }
    let (Some(first), Some(second)) = (simple(text, first.trim())?, simple(text, second.trim())?) else {
        return Ok(None);
    };
    if first.ends_with('p') == second.ends_with('p') {
        return Err(CqlError::Config(format!(
            "Invalid value {text} for option 'speculative_retry': MIN()/MAX() arguments should be of different types, but both are of type {}",
            if first.ends_with('p') { "PERCENTILE" } else { "FIXED" }
        )));
    }
    let (percentile, time) = if first.ends_with('p') { (first, second) } else { (second, first) };
    Ok(Some(format!("{function}({percentile},{time})")))
}

/// The number with at most four decimal places.
fn four_places(number: f64) -> String {
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_printed_as_cassandra_prints_them() {
        for (text, expected) in [
            ("99p", "99p"),
            ("50.5PERCENTILE", "50.5p"),
            ("99.99999P", "100p"),
            ("10Ms", "10ms"),
            ("10.9ms", "10ms"),
            ("MAX(90p, 10ms)", "MAX(90p,10ms)"),
            ("min(10ms,90p)", "MIN(90p,10ms)"),
            ("always", "ALWAYS"),
            ("none", "NEVER"),
        ] {
            assert_eq!(normalise(text).ok().as_deref(), Some(expected));
        }
        for text in ["x", "", "-5ms", "p", "100p", "MIN(1p,2p)", "MIN(1p)", "AVG(1p,2ms)"] {
            assert!(normalise(text).is_err(), "{text}");
        }
    }
}
