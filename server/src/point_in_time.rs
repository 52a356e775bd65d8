//! The time up to which archived commit logs are restored, as `commitlog_archiving.properties` of Cassandra
//! writes it.

use dodona_types::value::{format_timestamp, parse_timestamp};
use serde::{Deserialize, Serialize};

/// What clients' timestamps count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Precision {
    /// Millionths of a second, as drivers give them.
    #[default]
    Microseconds,
    /// Thousandths of a second.
    Milliseconds,
}

impl Precision {
    /// Microseconds that one step stands for.
    pub(crate) const fn micros(self) -> i64 {
        match self {
            Self::Microseconds => 1,
            Self::Milliseconds => 1_000,
        }
    }
}

/// Reads `yyyy:MM:dd HH:mm:ss`, in UTC, with up to six digits of a second: microseconds since the epoch.
/// None if it is something else.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (day, time) = text.split_once(' ')?;
    let (time, fraction) = time.split_once('.').map_or((time, ""), |(time, fraction)| (time, fraction));
    let is_shaped = |text: &str, lengths: [usize; 3]| {
        let parts: Vec<&str> = text.split(':').collect();
        parts.len() == 3
            && parts
                .iter()
                .zip(lengths)
                .all(|(part, length)| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let is_fraction = fraction.len() <= 6 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !is_shaped(day, [4, 2, 2]) || !is_shaped(time, [2, 2, 2]) || !is_fraction {
        return None;
    }
    let second = format!("{} {time}", day.replace(':', "-"));
    let millis = parse_timestamp(&format!("{second}+0000")).ok()?;
    // The 31st of April would be the first of May.
    if !format_timestamp(millis).starts_with(&second) {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}").parse().ok()?;
    millis.checked_mul(1_000)?.checked_add(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_in_time_is_read_to_the_microsecond() {
        assert_eq!(parse("1970:01:02 00:00:01"), Some(86_401_000_000));
        assert_eq!(parse("2026:04:30 20:43:12.5"), Some(parse("2026:04:30 20:43:12").unwrap() + 500_000));
        assert_eq!(parse("1970:01:01 00:00:00.000123"), Some(123));
        for wrong in [
            "",
            "2026-04-30 20:43:12",
            "2026:04:31 20:43:12",
            "2026:04:30 25:43:12",
            "2026:04:30",
            "2026:04:30 20:43",
            "2026:4:30 20:43:12",
            "2026:04:30 20:43:12.1234567",
            "2026:04:30 20:43:12.x",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
