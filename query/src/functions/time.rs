//! Functions of times, and durations added to them.

use crate::binding::Binding;
use crate::error::{CqlError, invalid};
use dodona_types::CqlType;
use dodona_types::value::{CqlDuration, civil_from_days, days_from_civil};
use uuid::Uuid;

/// Microseconds between the start of UUID time (1582-10-15) and the epoch.
const UUID_EPOCH_MICROS: i64 = 12_219_292_800_000_000;
const MILLIS_PER_DAY: i64 = 86_400_000;
const NANOS_PER_MILLI: i64 = 1_000_000;
const NANOS_PER_DAY: i64 = 86_400_000_000_000;

/// The number in eight bytes.
pub(super) fn bigint(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().ok().map(i64::from_be_bytes)
}

fn days_of_date(bytes: &[u8]) -> Option<i64> {
    let days = u32::from_be_bytes(bytes.try_into().ok()?);
    Some(i64::from(days) - (1 << 31))
}

fn date_of_days(days: i64) -> Vec<u8> {
    ((days + (1 << 31)) as u32).to_be_bytes().to_vec()
}

/// The day of a time.
pub(super) fn date_of_millis(millis: i64) -> Vec<u8> {
    date_of_days(millis.div_euclid(MILLIS_PER_DAY))
}

fn timeuuid_millis(bytes: &[u8]) -> Option<i64> {
    let ticks = Uuid::from_slice(bytes).ok()?.get_timestamp()?.to_gregorian().0;
    Some((ticks / 10_000).cast_signed() - UUID_EPOCH_MICROS / 1_000)
}

/// Milliseconds since the epoch in a value of one of the types of times; none in an empty one.
pub(super) fn millis_of(ty: &CqlType, bytes: &[u8]) -> Option<i64> {
    match ty {
        CqlType::Date => days_of_date(bytes).map(|days| days * MILLIS_PER_DAY),
        CqlType::Timeuuid => timeuuid_millis(bytes),
        _ => bigint(bytes),
    }
}

/// A timeuuid of the statement's time with random clock sequence and node: unique without
/// any state.
pub(crate) fn timeuuid(binding: &Binding<'_>) -> Uuid {
    let mut random = [0; 8];
    binding.random.fill(&mut random);
    // The multicast bit marks a node that is no machine's address.
    random[2] |= 1;
    timeuuid_with(binding.now_micros, 0, random)
}

/// A version 1 UUID of this time, and this clock sequence (two bytes) and node (six bytes).
pub(crate) fn timeuuid_with(micros: i64, hundreds_of_nanos: u64, mut tail: [u8; 8]) -> Uuid {
    let ticks = (micros.saturating_add(UUID_EPOCH_MICROS))
        .cast_unsigned()
        .wrapping_mul(10)
        .wrapping_add(hundreds_of_nanos);
    tail[0] = (tail[0] & 0x3f) | 0x80;
    Uuid::from_fields(ticks as u32, (ticks >> 32) as u16, ((ticks >> 48) as u16 & 0x0fff) | 0x1000, &tail)
}

/// The least or the greatest timeuuid of a millisecond.
pub(super) fn bound_timeuuid(millis: i64, max: bool) -> Vec<u8> {
    let ticks = if max { 9_999 } else { 0 };
    let tail = if max { [0x7f; 8] } else { [0x80; 8] };
    let mut uuid = timeuuid_with(millis.saturating_mul(1_000), ticks, tail).into_bytes();
    // The order of these bytes is signed: 0x80 is the least and 0x7f the greatest.
    uuid[8] = tail[0];
    uuid.to_vec()
}

/// A day some months later; a day that the month does not have is its last.
fn add_months(days: i64, months: i64) -> Option<i64> {
    let (year, month, day) = civil_from_days(days);
    let month_index = year * 12 + i64::from(month) - 1 + months;
    let (year, month) = (month_index.div_euclid(12), month_index.rem_euclid(12) as u32 + 1);
    (28..=day).rev().chain([day]).find_map(|day| days_from_civil(year, month, day))
}

fn add_days(days: i64, duration: CqlDuration, times: i64) -> Option<i64> {
    let months = i64::from(duration.months).checked_mul(times)?;
    let days = if months == 0 { days } else { add_months(days, months)? };
    days.checked_add(i64::from(duration.days).checked_mul(times)?)
}

/// A time some multiple of a duration later.
fn add_millis(millis: i64, duration: CqlDuration, times: i64) -> Option<i64> {
    let day = add_days(millis.div_euclid(MILLIS_PER_DAY), duration, times)?;
    let of_day = millis.rem_euclid(MILLIS_PER_DAY);
    let added = (duration.nanoseconds / NANOS_PER_MILLI).checked_mul(times)?;
    day.checked_mul(MILLIS_PER_DAY)?.checked_add(of_day)?.checked_add(added)
}

/// `date + duration`.
pub(super) fn add_to_date(date: &[u8], duration: CqlDuration) -> Result<Vec<u8>, String> {
    if duration.nanoseconds != 0 {
        let shown = if duration.nanoseconds < 0 { duration.negated() } else { duration };
        return Err(format!("The duration must have a day precision. Was: {shown}"));
    }
    let days = days_of_date(date).and_then(|days| add_days(days, duration, 1));
    days.filter(|days| (-(1 << 31)..1 << 31).contains(days))
        .map(date_of_days)
        .ok_or_else(|| "the date is out of range".into())
}

/// `timestamp + duration`.
pub(super) fn add_to_timestamp(timestamp: &[u8], duration: CqlDuration) -> Result<Vec<u8>, String> {
    if duration.nanoseconds % NANOS_PER_MILLI != 0 {
        let shown = if duration.nanoseconds < 0 { duration.negated() } else { duration };
        return Err(format!("The duration must have a millisecond precision. Was: {shown}"));
    }
    let millis = bigint(timestamp).and_then(|millis| add_millis(millis, duration, 1));
    millis.map(|millis| millis.to_be_bytes().to_vec()).ok_or_else(|| "the timestamp is out of range".into())
}

/// `floor(time, duration, start)`: the start of the duration that the time lies in, counted from
/// the epoch if no other start is given.
pub(super) fn floor(
    types: &[CqlType],
    time: &[u8],
    duration: &[u8],
    start: Option<&[u8]>,
) -> Result<Option<Vec<u8>>, CqlError> {
    if time.is_empty() || duration.is_empty() || start.is_some_and(<[u8]>::is_empty) {
        return Ok(None);
    }
    let duration = CqlDuration::decode(duration)?;
    if duration.is_negative() {
        return invalid("Negative durations are not supported by the floor function");
    }
    match types[0] {
        CqlType::Time => {
            if duration.months != 0 || duration.days != 0 || duration.nanoseconds > NANOS_PER_DAY {
                return invalid(
                    "For time values, the floor can only be computed for durations smaller that a day",
                );
            }
            let nanos = bigint(time).unwrap_or(0);
            let floored =
                if duration.nanoseconds == 0 { nanos } else { nanos - nanos % duration.nanoseconds };
            Ok(Some(floored.to_be_bytes().to_vec()))
        }
        CqlType::Date if duration.nanoseconds != 0 => invalid(format!(
            "The floor on date values cannot be computed for the {duration} duration as precision is below 1 day"
        )),
        _ if duration.nanoseconds % NANOS_PER_MILLI != 0 => invalid(format!(
            "The floor cannot be computed for the {duration} duration as precision is below 1 millisecond"
        )),
        _ => {
            let (Some(millis), Some(start)) =
                (millis_of(&types[0], time), start.map_or(Some(0), |start| millis_of(&types[2], start)))
            else {
                return Ok(None);
            };
            if start > millis {
                return invalid("The floor function starting time is greater than the provided time");
            }
            let floored = floor_millis(millis, duration, start);
            Ok(Some(match types[0] {
                CqlType::Date => date_of_millis(floored),
                _ => floored.to_be_bytes().to_vec(),
            }))
        }
    }
}

fn floor_millis(millis: i64, duration: CqlDuration, start: i64) -> i64 {
    if duration.months == 0 {
        let length = i64::from(duration.days)
            .saturating_mul(MILLIS_PER_DAY)
            .saturating_add(duration.nanoseconds / NANOS_PER_MILLI);
        let elapsed = millis.saturating_sub(start);
        return if length == 0 { millis } else { millis - elapsed % length };
    }
    // The greatest multiple whose end is not past the time: months differ in length.
    let reaches = |times: i64| add_millis(start, duration, times).is_some_and(|end| end <= millis);
    let (mut low, mut high) = (0, 1);
    while reaches(high) {
        (low, high) = (high, high * 2);
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if reaches(middle) { low = middle } else { high = middle }
    }
    add_millis(start, duration, low).unwrap_or(start)
}
