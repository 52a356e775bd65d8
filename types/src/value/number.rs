//! Varints, decimals, and numbers as Java prints them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use bigdecimal::BigDecimal;
use num_bigint::{BigInt, Sign};

use super::ValueError;
use super::wire::take_array;

/// The largest number of digits that a decimal is written out to without an exponent.
const MAX_PLAIN_DIGITS: i64 = 10_000;

/// An arbitrary-precision decimal: `unscaled` x 10^-`scale` (`java.math.BigDecimal`).
/// Equality is exact: 1.0 and 1.00 differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// The digits.
    pub unscaled: BigInt,
    /// How many of them stand behind the point; negative for trailing zeros.
    pub scale: i32,
}

/// The integer that big-endian two's complement bytes stand for; no bytes are zero.
#[must_use]
pub fn decode_varint(bytes: &[u8]) -> BigInt {
    BigInt::from_signed_bytes_be(bytes)
}

/// The shortest big-endian two's complement bytes of an integer, at least one.
#[must_use]
pub fn encode_varint(value: &BigInt) -> Vec<u8> {
    value.to_signed_bytes_be()
}

/// Two's complement bytes without the leading ones that say nothing.
pub(crate) fn minimal_varint(mut bytes: &[u8]) -> &[u8] {
    while let [first, second, ..] = bytes {
        let redundant = (*first == 0 && second & 0x80 == 0) || (*first == 0xFF && second & 0x80 != 0);
        if !redundant {
            break;
        }
        bytes = &bytes[1..];
    }
    bytes
}

/// Orders two varints, given as their non-empty wire bytes.
pub(crate) fn compare_varint(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (minimal_varint(a), minimal_varint(b));
    let negative = |bytes: &[u8]| bytes.first().is_some_and(|first| first & 0x80 != 0);
    match (negative(a), negative(b)) {
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
        (true, true) => b.len().cmp(&a.len()).then_with(|| a.cmp(b)),
    }
}

/// A decimal taken apart for comparison: 0.d1d2d3... x 10^exponent, d1 not zero.
pub(crate) struct Digits {
    /// The number's sign.
    pub(crate) sign: Sign,
    /// The power of ten.
    pub(crate) exponent: i64,
    /// The digits in ASCII, none trailing that are zero. Empty for zero.
    pub(crate) digits: Vec<u8>,
}

impl Decimal {
    /// The decimal `unscaled` x 10^-`scale`.
    #[must_use]
    pub const fn new(unscaled: BigInt, scale: i32) -> Self {
        Self { unscaled, scale }
    }

    /// Reads the wire bytes: a 32-bit scale and a varint.
    #[must_use]
    pub fn decode(mut wire: &[u8]) -> Option<Self> {
        let scale = take_array(&mut wire).map(i32::from_be_bytes)?;
        Some(Self { unscaled: decode_varint(wire), scale })
    }

    /// Appends the wire bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.scale.to_be_bytes());
        out.extend_from_slice(&encode_varint(&self.unscaled));
    }

    /// The sign, digits and exponent that decide the order.
    pub(crate) fn digits(&self) -> Digits {
        let (sign, magnitude) = (self.unscaled.sign(), self.unscaled.magnitude());
        if sign == Sign::NoSign {
            return Digits { sign, exponent: 0, digits: Vec::new() };
        }
        let mut digits = magnitude.to_str_radix(10).into_bytes();
        let exponent = digits.len() as i64 - i64::from(self.scale);
        let kept = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        digits.truncate(kept);
        Digits { sign, exponent, digits }
    }

    /// The number without an exponent (`BigDecimal.toPlainString`), unless that were
    /// unreasonably long.
    #[must_use]
    pub fn to_plain_string(&self) -> String {
        let scale = i64::from(self.scale);
        if scale.abs() > MAX_PLAIN_DIGITS {
            return self.to_string();
        }
        let digits = self.unscaled.magnitude().to_str_radix(10);
        let sign = if self.unscaled.sign() == Sign::Minus { "-" } else { "" };
        if scale <= 0 {
            let zeros = if digits == "0" { 0 } else { (-scale) as usize };
            return format!("{sign}{digits}{}", "0".repeat(zeros));
        }
        format!("{sign}{}", insert_point(&digits, scale as usize))
    }
}

/// Puts a point before the last `scale` of `digits`, with zeros before it as needed.
fn insert_point(digits: &str, scale: usize) -> String {
    if digits.len() > scale {
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        format!("{whole}.{fraction}")
    } else {
        format!("0.{digits:0>scale$}")
    }
}

impl Ord for Decimal {
    /// The numeric order; numbers that differ only in scale are equal in it.
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.digits(), other.digits());
        let by_sign = a.sign.cmp(&b.sign);
        let magnitude = a.exponent.cmp(&b.exponent).then_with(|| a.digits.cmp(&b.digits));
        by_sign.then(if a.sign == Sign::Minus { magnitude.reverse() } else { magnitude })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Decimal {
    /// As `BigDecimal.toString`: an exponent if the scale is negative or the number is small.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.unscaled.magnitude().to_str_radix(10);
        let sign = if self.unscaled.sign() == Sign::Minus { "-" } else { "" };
        let adjusted = digits.len() as i64 - 1 - i64::from(self.scale);
        if self.scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        if self.scale > 0 && adjusted >= -6 {
            return write!(f, "{sign}{}", insert_point(&digits, self.scale as usize));
        }
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let plus = if adjusted > 0 { "+" } else { "" };
        write!(f, "{sign}{first}{point}{rest}")?;
        if adjusted == 0 { Ok(()) } else { write!(f, "E{plus}{adjusted}") }
    }
}

impl FromStr for Decimal {
    type Err = ValueError;

    /// Reads what `new BigDecimal(String)` reads: digits, an optional point and an exponent.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_decimal(text).ok_or_else(|| ValueError::new(format!("unable to make BigDecimal from '{text}'")))
    }
}

fn parse_decimal(text: &str) -> Option<Decimal> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let unsigned = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    let is_digits = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if unsigned.len() + fraction.len() == 0 || !is_digits(unsigned) || !is_digits(fraction) {
        return None;
    }
    let scale = i32::try_from(i64::try_from(fraction.len()).ok()? - i64::from(exponent)).ok()?;
    let unscaled = BigInt::parse_bytes(format!("{unsigned}{fraction}").as_bytes(), 10)?;
    Some(Decimal { unscaled: if whole.starts_with('-') { -unscaled } else { unscaled }, scale })
}

impl From<&Decimal> for BigDecimal {
    fn from(decimal: &Decimal) -> Self {
        Self::new(decimal.unscaled.clone(), i64::from(decimal.scale))
    }
}

impl TryFrom<&BigDecimal> for Decimal {
    type Error = ValueError;

    fn try_from(decimal: &BigDecimal) -> Result<Self, Self::Error> {
        let (unscaled, scale) = decimal.as_bigint_and_exponent();
        let scale =
            i32::try_from(scale).map_err(|_| ValueError::new("The scale of a decimal is out of range"))?;
        Ok(Self { unscaled, scale })
    }
}

/// A double as Java's `Double.toString` prints it, for example `1.0`, `1.0E10`, `NaN`.
#[must_use]
pub fn format_double(value: f64) -> String {
    java_float(value.is_nan(), value.is_infinite(), value.is_sign_negative(), value == 0.0, || {
        format!("{value:e}")
    })
}

/// A float as Java's `Float.toString` prints it.
#[must_use]
pub fn format_float(value: f32) -> String {
    java_float(value.is_nan(), value.is_infinite(), value.is_sign_negative(), value == 0.0, || {
        format!("{value:e}")
    })
}

/// Lays out the shortest digits, given as Rust's `-d.ddde-x`, as Java does.
fn java_float(
    nan: bool,
    infinite: bool,
    negative: bool,
    zero: bool,
    digits: impl FnOnce() -> String,
) -> String {
    let sign = if negative { "-" } else { "" };
    if nan {
        return "NaN".to_owned();
    }
    if infinite {
        return format!("{sign}Infinity");
    }
    if zero {
        return format!("{sign}0.0");
    }
    let shortest = digits();
    let (mantissa, exponent) = shortest.trim_start_matches('-').split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (first, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !(-3..7).contains(&exponent) {
        let rest = if rest.is_empty() { "0" } else { rest };
        return format!("{sign}{first}.{rest}E{exponent}");
    }
    let all = format!("{first}{rest}");
    if exponent < 0 {
        return format!("{sign}0.{}{all}", "0".repeat((-exponent - 1) as usize));
    }
    let whole = exponent as usize + 1;
    if all.len() <= whole {
        return format!("{sign}{all}{}.0", "0".repeat(whole - all.len()));
    }
    format!("{sign}{}.{}", &all[..whole], &all[whole..])
}
