//! `duration`: months, days and nanoseconds, kept apart (CQL 3.4.7 "Working with durations").

use std::fmt;
use std::str::FromStr;

use super::ValueError;
use super::wire::{read_vint, write_vint};

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const NANOS_PER_HOUR: i64 = 3_600 * NANOS_PER_SECOND;

/// A duration. Its parts are all >= 0 or all <= 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CqlDuration {
    /// Months.
    pub months: i32,
    /// Days.
    pub days: i32,
    /// Nanoseconds.
    pub nanoseconds: i64,
}

/// The units in the order in which a duration must give them: symbol, name, and what one is
/// in the part (months, days or nanoseconds) that it adds to.
const UNITS: [(&str, &str, Part, i64); 10] = [
    ("y", "years", Part::Months, 12),
    ("mo", "months", Part::Months, 1),
    ("w", "weeks", Part::Days, 7),
    ("d", "days", Part::Days, 1),
    ("h", "hours", Part::Nanoseconds, NANOS_PER_HOUR),
    ("m", "minutes", Part::Nanoseconds, 60 * NANOS_PER_SECOND),
    ("s", "seconds", Part::Nanoseconds, NANOS_PER_SECOND),
    ("ms", "milliseconds", Part::Nanoseconds, 1_000_000),
    ("us", "microseconds", Part::Nanoseconds, 1_000),
    ("ns", "nanoseconds", Part::Nanoseconds, 1),
];

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Months,
    Days,
    Nanoseconds,
}

impl CqlDuration {
    /// Reads the wire bytes: three signed variable-length integers.
    ///
    /// # Errors
    /// Too few bytes, parts out of range or of mixed signs.
    pub fn decode(wire: &[u8]) -> Result<Self, ValueError> {
        if wire.len() < 3 {
            let message = format!("Expected at least 3 bytes for a duration ({})", wire.len());
            return Err(ValueError::new(message));
        }
        let mut input = wire;
        let mut next =
            || read_vint(&mut input).ok_or_else(|| ValueError::new("Not enough bytes to read a duration"));
        let (months, days, nanoseconds) = (next()?, next()?, next()?);
        let part = |name: &str, value: i64| {
            i32::try_from(value).map_err(|_| {
                ValueError::new(format!("The duration {name} must be a 32 bits integer but was: {value}"))
            })
        };
        let duration = Self { months: part("months", months)?, days: part("days", days)?, nanoseconds };
        if duration.has_mixed_signs() {
            return Err(ValueError::new(format!(
                "The duration months, days and nanoseconds must be all of the same sign ({months}, {days}, {nanoseconds})"
            )));
        }
        Ok(duration)
    }

    /// Appends the wire bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_vint(i64::from(self.months), out);
        write_vint(i64::from(self.days), out);
        write_vint(self.nanoseconds, out);
    }

    /// True if the duration goes backwards.
    #[must_use]
    pub const fn is_negative(&self) -> bool {
        self.months < 0 || self.days < 0 || self.nanoseconds < 0
    }

    /// The duration in the other direction.
    #[must_use]
    pub const fn negated(&self) -> Self {
        Self {
            months: self.months.wrapping_neg(),
            days: self.days.wrapping_neg(),
            nanoseconds: self.nanoseconds.wrapping_neg(),
        }
    }

    const fn has_mixed_signs(&self) -> bool {
        let any_positive = self.months > 0 || self.days > 0 || self.nanoseconds > 0;
        let any_negative = self.months < 0 || self.days < 0 || self.nanoseconds < 0;
        any_positive && any_negative
    }
}

impl fmt::Display for CqlDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_negative() {
            f.write_str("-")?;
        }
        let mut left = [
            u64::from(self.months.unsigned_abs()),
            u64::from(self.days.unsigned_abs()),
            self.nanoseconds.unsigned_abs(),
        ];
        for (symbol, _, part, size) in UNITS {
            if symbol == "w" {
                continue;
            }
            let left = &mut left[part as usize];
            let count = *left / size.unsigned_abs();
            if count > 0 {
                write!(f, "{count}{symbol}")?;
                *left %= size.unsigned_abs();
            }
        }
        Ok(())
    }
}

impl FromStr for CqlDuration {
    type Err = ValueError;

    /// Reads `1y2mo3w4d5h6m7s8ms9us10ns`, ISO 8601's `P1Y2M3DT4H5M6S` and `P1W`, and its
    /// alternative form `P0001-02-03T04:05:06`, each with an optional minus sign before it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (negative, source) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let invalid = || ValueError::new(format!("Unable to convert '{source}' to a duration"));
        let mut builder = Builder { negative, last_unit: None, totals: [0; 3] };
        match source.strip_prefix('P') {
            None => parse_units(source, &mut builder, &invalid)?,
            Some(iso) if iso.contains('-') => {
                parse_iso_alternative(iso, &mut builder).unwrap_or_else(|| Err(invalid()))?;
            }
            Some(iso) => parse_iso(iso, &mut builder, &invalid)?,
        }
        builder.build()
    }
}

struct Builder {
    negative: bool,
    last_unit: Option<usize>,
    totals: [i64; 3],
}

impl Builder {
    /// Adds `count` of the unit at `unit` in [`UNITS`].
    fn add(&mut self, unit: usize, count: i64) -> Result<(), ValueError> {
        let (_, name, part, size) = UNITS[unit];
        if let Some(last) = self.last_unit {
            if last == unit {
                return Err(ValueError::new(format!(
                    "Invalid duration. The {name} are specified multiple times"
                )));
            }
            if last > unit {
                let later = UNITS[last].1;
                return Err(ValueError::new(format!("Invalid duration. The {later} should be after {name}")));
            }
        }
        self.last_unit = Some(unit);
        let total = &mut self.totals[part as usize];
        let sum = count.checked_mul(size).and_then(|amount| total.checked_add(amount));
        let limit = if part == Part::Nanoseconds { i64::MAX } else { i64::from(i32::MAX) };
        *total = sum.filter(|sum| *sum <= limit).ok_or_else(|| {
            let part = ["months", "days", "nanoseconds"][part as usize];
            ValueError::new(format!(
                "Invalid duration. The total number of {part} must be less or equal to {limit}"
            ))
        })?;
        Ok(())
    }

    fn build(self) -> Result<CqlDuration, ValueError> {
        let sign = if self.negative { -1 } else { 1 };
        let small = |total: i64| {
            i32::try_from(total * sign)
                .map_err(|_| ValueError::new("Invalid duration. A part is out of range"))
        };
        let [months, days, nanoseconds] = self.totals;
        Ok(CqlDuration { months: small(months)?, days: small(days)?, nanoseconds: nanoseconds * sign })
    }
}

/// Takes a number and gives it with the rest of the text.
fn number(text: &str) -> Option<(i64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

fn parse_units(
    mut text: &str,
    builder: &mut Builder,
    invalid: &dyn Fn() -> ValueError,
) -> Result<(), ValueError> {
    loop {
        let (count, rest) = number(text).ok_or_else(invalid)?;
        let length = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let symbol = rest[..length].to_lowercase().replace(['\u{b5}', '\u{3bc}'], "u");
        let unit = UNITS.iter().position(|unit| unit.0 == symbol).ok_or_else(invalid)?;
        builder.add(unit, count)?;
        text = &rest[length..];
        if text.is_empty() {
            return Ok(());
        }
    }
}

/// `1Y2M3DT4H5M6S` or `1W`, what follows the `P`.
fn parse_iso(text: &str, builder: &mut Builder, invalid: &dyn Fn() -> ValueError) -> Result<(), ValueError> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let weeks_only = date.ends_with('W');
    if weeks_only && time.is_some() {
        return Err(invalid());
    }
    parse_designators(
        date,
        if weeks_only { &[('W', 2)] } else { &[('Y', 0), ('M', 1), ('D', 3)] },
        builder,
        invalid,
    )?;
    time.map_or(Ok(()), |time| parse_designators(time, &[('H', 4), ('M', 5), ('S', 6)], builder, invalid))
}

fn parse_designators(
    mut text: &str,
    mut allowed: &[(char, usize)],
    builder: &mut Builder,
    invalid: &dyn Fn() -> ValueError,
) -> Result<(), ValueError> {
    while !text.is_empty() {
        let (count, rest) = number(text).ok_or_else(invalid)?;
        let designator = rest.chars().next().ok_or_else(invalid)?;
        let found = allowed.iter().position(|(name, _)| *name == designator).ok_or_else(invalid)?;
        builder.add(allowed[found].1, count)?;
        allowed = &allowed[found + 1..];
        text = &rest[designator.len_utf8()..];
    }
    Ok(())
}

/// `YYYY-MM-DDThh:mm:ss`, what follows the `P`. `None` if the text has another shape.
fn parse_iso_alternative(text: &str, builder: &mut Builder) -> Option<Result<(), ValueError>> {
    const SHAPE: &[u8; 19] = b"0000-00-00T00:00:00";
    let bytes = text.as_bytes();
    let fits = bytes.len() == SHAPE.len()
        && bytes.iter().zip(SHAPE).all(
            |(byte, shape)| {
                if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape }
            },
        );
    if !fits {
        return None;
    }
    for (unit, range) in [(0, 0..4), (1, 5..7), (3, 8..10), (4, 11..13), (5, 14..16), (6, 17..19)] {
        let count = text[range].parse().ok()?;
        if let Err(error) = builder.add(unit, count) {
            return Some(Err(error));
        }
    }
    Some(Ok(()))
}
