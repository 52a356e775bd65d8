//! `timestamp`, `date` and `time` as text (CQL 3.4.7 "Working with timestamps").
//!
//! Days are counted in the proleptic Gregorian calendar. A timestamp without a time zone is
//! taken as UTC, whatever the machine's own zone is.

use super::ValueError;

const MILLIS_PER_DAY: i64 = 86_400_000;
const NANOS_PER_DAY: i64 = 86_400_000_000_000;
/// `date` counts from here: 1970-01-01 is 2^31.
const DATE_EPOCH: i64 = 1 << 31;

/// The year, month (1-12) and day (1-31) of a number of days since 1970-01-01.
#[must_use]
pub const fn civil_from_days(days: i64) -> (i64, u32, u32) {
    // Years start in March here, so that the leap day is the last of its year.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + (month <= 2) as i64;
    (year, month as u32, day as u32)
}

/// The number of days from 1970-01-01 to a date, `None` if there is no such date.
#[must_use]
pub fn days_from_civil(year: i64, month: u32, day: u32) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year.abs() > 400_000_000 {
        return None;
    }
    let (year_from_march, month_from_march) =
        if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year_from_march.div_euclid(400);
    let year_of_era = year_from_march.rem_euclid(400);
    let day_of_year = i64::from((153 * month_from_march + 2) / 5 + day - 1);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    // A day that the month does not have comes out as one of the next month.
    (civil_from_days(days) == (year, month, day)).then_some(days)
}

/// A timestamp in milliseconds as `2020-01-01 00:00:00.000Z`.
#[must_use]
pub fn format_timestamp(millis: i64) -> String {
    timestamp_text(millis, ' ')
}

/// The timestamp with `separator` between day and time. Years are those of their era, as Java
/// prints them: there is no sign to tell 2 BC from 2 AD.
pub(crate) fn timestamp_text(millis: i64, separator: char) -> String {
    let (year, month, day) = civil_from_days(millis.div_euclid(MILLIS_PER_DAY));
    let of_day = millis.rem_euclid(MILLIS_PER_DAY);
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, milli) = (of_day / 1_000 % 60, of_day % 1_000);
    let year = if year > 0 { year } else { 1 - year };
    let sign = if year > 9999 { "+" } else { "" };
    format!("{sign}{year:04}-{month:02}-{day:02}{separator}{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// A `date` as `2020-01-01`; years beyond 9999 have a sign.
#[must_use]
pub fn format_date(date: u32) -> String {
    let (year, month, day) = civil_from_days(i64::from(date) - DATE_EPOCH);
    let sign = if year < 0 {
        "-"
    } else if year > 9999 {
        "+"
    } else {
        ""
    };
    format!("{sign}{:04}-{month:02}-{day:02}", year.abs())
}

/// Nanoseconds since midnight as `13:30:54.234000000`.
#[must_use]
pub fn format_time(nanos: i64) -> String {
    let seconds = nanos / 1_000_000_000;
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02}.{:09}", nanos % 1_000_000_000)
}

/// True for the one timestamp that stands for the present. [`parse_timestamp`] refuses it, as
/// nothing here reads a clock: whoever has one must look for it first.
#[must_use]
pub const fn is_now(text: &str) -> bool {
    text.eq_ignore_ascii_case("now")
}

/// True for an optional minus sign and digits.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads a timestamp: milliseconds since 1970-01-01, or a date with an optional time of day
/// and an optional time zone, in any of Cassandra's formats.
///
/// # Errors
/// The text is neither.
pub fn parse_timestamp(text: &str) -> Result<i64, ValueError> {
    if is_integer(text) {
        let invalid = |_| ValueError::new(format!("Unable to make long (for date) from: '{text}'"));
        return text.parse().map_err(invalid);
    }
    parse_date_time(text).ok_or_else(|| ValueError::new(format!("Unable to parse a date/time from '{text}'")))
}

/// Takes 1 to `max` digits.
fn digits<'a>(text: &mut &'a str, max: usize) -> Option<&'a str> {
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 || count > max {
        return None;
    }
    let (found, rest) = text.split_at(count);
    *text = rest;
    Some(found)
}

/// Takes a number of at most `max` digits that is below `limit`.
fn field(text: &mut &str, max: usize, limit: i64) -> Option<i64> {
    digits(text, max)?.parse().ok().filter(|value| *value < limit)
}

fn symbol(text: &mut &str, symbol: char) -> Option<()> {
    *text = text.strip_prefix(symbol)?;
    Some(())
}

fn parse_date_time(text: &str) -> Option<i64> {
    let mut rest = text;
    let (year, month, day) = parse_year_month_day(&mut rest)?;
    // A day of 31 or less that the month does not have is its last.
    let days = (28..=day.max(28)).rev().find_map(|last| days_from_civil(year, month, day.min(last)))?;
    let has_time =
        rest.strip_prefix([' ', 'T']).filter(|time| time.starts_with(|c: char| c.is_ascii_digit()));
    let mut of_day = 0;
    if let Some(time) = has_time {
        rest = time;
        of_day = parse_time_of_day(&mut rest)?;
    }
    let offset = parse_zone(rest)?;
    days.checked_mul(MILLIS_PER_DAY)?.checked_add(of_day - offset)
}

/// ISO's `yyyy-mm-dd`, with a sign for years of more than four digits.
fn parse_year_month_day(text: &mut &str) -> Option<(i64, u32, u32)> {
    let sign = if symbol(text, '-').is_some() { -1 } else { i64::from(symbol(text, '+').is_some()) };
    let year = digits(text, 9)?;
    let is_valid_length = match sign {
        0 => year.len() == 4,
        1 => year.len() > 4,
        _ => year.len() >= 4,
    };
    let year = year.parse::<i64>().ok().filter(|_| is_valid_length)?;
    let mut two_digits = || {
        symbol(text, '-')?;
        digits(text, 2).filter(|found| found.len() == 2)?.parse::<u32>().ok()
    };
    let (month, day) = (two_digits()?, two_digits()?);
    let is_possible = (1..=12).contains(&month) && (1..=31).contains(&day);
    is_possible.then_some((if sign < 0 { -year } else { year }, month, day))
}

/// `HH:mm`, `HH:mm:ss` or `HH:mm:ss.SSS` in milliseconds; `24:00` is the end of the day.
fn parse_time_of_day(text: &mut &str) -> Option<i64> {
    let hour = field(text, 2, 25)?;
    symbol(text, ':')?;
    let minute = field(text, 2, 60)?;
    let mut millis = (hour * 60 + minute) * 60_000;
    if symbol(text, ':').is_some() {
        millis += field(text, 2, 60)? * 1_000;
        if symbol(text, '.').is_some() {
            let fraction = digits(text, 9).unwrap_or("");
            millis += format!("{fraction:0<3}")[..3].parse::<i64>().ok()?;
        }
    }
    (millis <= MILLIS_PER_DAY).then_some(millis)
}

/// The time zones that are known by name, with their hours from UTC.
const ZONES: [(&str, i64); 17] = [
    ("UTC", 0),
    ("GMT", 0),
    ("UT", 0),
    ("Z", 0),
    ("WET", 0),
    ("EST", -5),
    ("EDT", -4),
    ("CST", -6),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
    ("CET", 1),
    ("CEST", 2),
    ("EET", 2),
    ("JST", 9),
];

/// The zone's milliseconds from UTC: none, `Z`, `+01`, `+0100`, `+01:00`, `GMT+01:00` or a name.
fn parse_zone(text: &str) -> Option<i64> {
    if text.is_empty() || text == "Z" {
        return Some(0);
    }
    if let Some(name) = text.strip_prefix(' ')
        && let Some((_, hours)) = ZONES.iter().find(|(zone, _)| *zone == name)
    {
        return Some(hours * 3_600_000);
    }
    let offset = text.strip_prefix(' ').unwrap_or(text);
    let offset = offset.strip_prefix("GMT").unwrap_or(offset);
    let sign = match offset.bytes().next()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let mut rest = &offset[1..];
    let hours = take_two(&mut rest, 24)?;
    let minutes = if rest.is_empty() {
        0
    } else {
        let _ = symbol(&mut rest, ':');
        take_two(&mut rest, 60)?
    };
    rest.is_empty().then_some(sign * (hours * 60 + minutes) * 60_000)
}

/// Takes exactly two digits that make a number below `limit`.
fn take_two(text: &mut &str, limit: i64) -> Option<i64> {
    let (head, rest) = text.split_at_checked(2)?;
    let value = head.parse().ok().filter(|value| (0..limit).contains(value) && !head.starts_with('+'))?;
    *text = rest;
    Some(value)
}

/// Reads a `date`: a number of days with 1970-01-01 at 2^31, or `yyyy-mm-dd`.
///
/// # Errors
/// The text is neither, or the date is out of range.
pub fn parse_date(text: &str) -> Result<u32, ValueError> {
    if is_integer(text) {
        let invalid = |_| ValueError::new(format!("Unable to make unsigned int (for date) from: '{text}'"));
        return text.parse().map_err(invalid);
    }
    let invalid = || ValueError::new(format!("Unable to coerce '{text}' to a formatted date (long)"));
    let mut rest = text;
    let date = parse_year_month_day(&mut rest).filter(|_| rest.is_empty());
    let days = date.and_then(|(year, month, day)| days_from_civil(year, month, day)).ok_or_else(invalid)?;
    u32::try_from(days + DATE_EPOCH).map_err(|_| {
        let (relation, limit) = if days < 0 {
            ("less than min", "-5877641-06-23T00:00Z")
        } else {
            ("greater than max", "+5881580-07-11T00:00Z")
        };
        ValueError::new(format!("Input date {text} is {relation} supported date {limit}"))
    })
}

/// Reads a `time`: nanoseconds since midnight, or `hh:mm:ss[.fffffffff]`.
///
/// # Errors
/// The text is neither, or out of range.
pub fn parse_time(text: &str) -> Result<i64, ValueError> {
    if is_integer(text) {
        let nanos = text.parse().ok().filter(|nanos| (0..NANOS_PER_DAY).contains(nanos));
        return nanos
            .ok_or_else(|| ValueError::new(format!("Unable to make long (for time) from: '{text}'")));
    }
    parse_clock(text.trim()).ok_or_else(|| {
        ValueError::new(format!("(TimeType) Unable to coerce '{text}' to a formatted time (long)"))
    })
}

fn parse_clock(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let hour = field(&mut rest, 9, 24)?;
    symbol(&mut rest, ':')?;
    let minute = field(&mut rest, 9, 60)?;
    symbol(&mut rest, ':')?;
    let second = field(&mut rest, 9, 60)?;
    let mut nanos = ((hour * 60 + minute) * 60 + second) * 1_000_000_000;
    if symbol(&mut rest, '.').is_some() {
        let fraction = digits(&mut rest, 9)?;
        nanos += fraction.parse::<i64>().ok()? * 10i64.pow(9 - fraction.len() as u32);
    }
    rest.is_empty().then_some(nanos)
}
