//! Arithmetic on decimals, with the scales and roundings of Cassandra's `DecimalType`.

use dodona_types::value::Decimal;
use num_bigint::{BigInt, Sign};
use num_traits::{One, Signed, Zero};

/// Digits that quotients and transcendental functions are given to.
const SIGNIFICANT_DIGITS: i64 = 32;
/// The least and the greatest scale of a quotient.
const MIN_SCALE: i64 = 32;
const MAX_SCALE: i64 = 1_000;
/// Digits that are worked with beyond those that are given.
const GUARD_DIGITS: i64 = 24;
/// The most digits by which operands are brought to one scale.
const MAX_SHIFT: i64 = 100_000;

fn power(exponent: i64) -> BigInt {
    BigInt::from(10).pow(exponent.clamp(0, MAX_SHIFT) as u32)
}

/// The digits of a number, without its sign; 1 for zero.
fn precision(n: &BigInt) -> i64 {
    n.magnitude().to_str_radix(10).len() as i64
}

/// The unscaled number at a greater scale.
fn at_scale(decimal: &Decimal, scale: i64) -> BigInt {
    &decimal.unscaled * power(scale - i64::from(decimal.scale))
}

fn make(unscaled: BigInt, scale: i64) -> Decimal {
    Decimal::new(unscaled, scale.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32)
}

fn common_scale(a: &Decimal, b: &Decimal) -> i64 {
    i64::from(a.scale.max(b.scale))
}

/// True if the operands cannot be brought to one scale in reasonable space.
pub(super) fn is_too_wide(a: &Decimal, b: &Decimal) -> bool {
    (i64::from(a.scale) - i64::from(b.scale)).abs() > MAX_SHIFT
}

pub(super) fn add(a: &Decimal, b: &Decimal) -> Decimal {
    let scale = common_scale(a, b);
    make(at_scale(a, scale) + at_scale(b, scale), scale)
}

pub(super) fn subtract(a: &Decimal, b: &Decimal) -> Decimal {
    let scale = common_scale(a, b);
    make(at_scale(a, scale) - at_scale(b, scale), scale)
}

pub(super) fn multiply(a: &Decimal, b: &Decimal) -> Decimal {
    make(&a.unscaled * &b.unscaled, i64::from(a.scale) + i64::from(b.scale))
}

/// The quotient, rounded half up, without zeros at its end; none for a divisor of zero.
pub(super) fn divide(a: &Decimal, b: &Decimal) -> Option<Decimal> {
    if b.unscaled.is_zero() {
        return None;
    }
    let first_digit =
        (precision(&a.unscaled) - i64::from(a.scale)) - (precision(&b.unscaled) - i64::from(b.scale));
    let scale = (SIGNIFICANT_DIGITS - first_digit)
        .max(i64::from(a.scale))
        .max(i64::from(b.scale))
        .clamp(MIN_SCALE, MAX_SCALE);
    // a / b at this scale is a.unscaled * 10^shift / b.unscaled.
    let shift = scale + i64::from(b.scale) - i64::from(a.scale);
    let (numerator, denominator) = if shift >= 0 {
        (&a.unscaled * power(shift), b.unscaled.clone())
    } else {
        (a.unscaled.clone(), &b.unscaled * power(-shift))
    };
    Some(strip_zeros(divide_half_up(&numerator, &denominator), scale, i64::MIN))
}

/// What a division leaves, with the sign of the dividend; none for a divisor of zero.
pub(super) fn remainder(a: &Decimal, b: &Decimal) -> Option<Decimal> {
    if b.unscaled.is_zero() {
        return None;
    }
    let scale = common_scale(a, b);
    let quotient = at_scale(a, scale) / at_scale(b, scale);
    let preferred = i64::from(a.scale) - i64::from(b.scale);
    let quotient = if quotient.is_zero() {
        make(quotient, preferred)
    } else {
        let quotient = strip_zeros(quotient, 0, preferred);
        if i64::from(quotient.scale) < preferred {
            make(at_scale(&quotient, preferred), preferred)
        } else {
            quotient
        }
    };
    Some(subtract(a, &multiply(&quotient, b)))
}

/// Takes zeros from the end, down to a scale.
fn strip_zeros(mut unscaled: BigInt, mut scale: i64, least: i64) -> Decimal {
    if unscaled.is_zero() {
        return make(unscaled, if least == i64::MIN { 0 } else { least.min(scale) });
    }
    let ten = BigInt::from(10);
    while scale > least && (&unscaled % &ten).is_zero() {
        unscaled /= &ten;
        scale -= 1;
    }
    make(unscaled, scale)
}

pub(super) fn divide_half_up(n: &BigInt, d: &BigInt) -> BigInt {
    let (quotient, rest) = (n / d, n % d);
    if (rest.abs() * 2) < d.abs() {
        return quotient;
    }
    if (n.sign() == Sign::Minus) == (d.sign() == Sign::Minus) { quotient + 1 } else { quotient - 1 }
}

/// A quotient rounded to the even neighbour where it lies between two.
pub(super) fn divide_half_even(n: &BigInt, d: &BigInt) -> BigInt {
    let (quotient, rest) = (n / d, n % d);
    let twice = rest.abs() * 2;
    let away = twice > d.abs() || (twice == d.abs() && quotient.bit(0));
    match (away, n.sign() == Sign::Minus) {
        (false, _) => quotient,
        (true, false) => quotient + 1,
        (true, true) => quotient - 1,
    }
}

/// The nearest integer, halves away from zero.
pub(super) fn round(decimal: &Decimal) -> Decimal {
    let scale = i64::from(decimal.scale);
    if scale <= 0 {
        return make(at_scale(decimal, 0), 0);
    }
    make(divide_half_up(&decimal.unscaled, &power(scale)), 0)
}

/// Rounds a number that is given at `scale` to the significant digits.
fn to_significant(n: BigInt, scale: i64) -> Decimal {
    let extra = precision(&n) - SIGNIFICANT_DIGITS;
    if extra <= 0 {
        return make(n * power(-extra), scale - extra);
    }
    let rounded = divide_half_up(&n, &power(extra));
    // Rounding up may have made one digit more.
    if precision(&rounded) > SIGNIFICANT_DIGITS {
        return make(rounded / 10, scale - extra - 1);
    }
    make(rounded, scale - extra)
}

/// A decimal at a working scale, rounded.
fn fixed(decimal: &Decimal, scale: i64) -> BigInt {
    let shift = scale - i64::from(decimal.scale);
    if shift >= 0 {
        &decimal.unscaled * power(shift)
    } else {
        divide_half_up(&decimal.unscaled, &power(-shift))
    }
}

/// e to the power of a decimal; none where the result has no reasonable size.
pub(super) fn exp(decimal: &Decimal) -> Option<Decimal> {
    if decimal.unscaled.is_zero() {
        return Some(make(BigInt::one(), 0));
    }
    let whole = super::number::whole_part(decimal);
    let magnitude: i64 = i64::try_from(&whole).ok().filter(|whole| whole.abs() < 100_000)?;
    // e^x has about x / ln 10 digits before its point, or zeros behind it.
    let digits = (magnitude.abs() * 10 / 23) + 1;
    let scale = SIGNIFICANT_DIGITS + GUARD_DIGITS + digits;
    let one = power(scale);
    // e^x = (e^(x / 2^k))^(2^k), with x / 2^k small enough for few terms.
    let halvings = 8 + 64 - magnitude.unsigned_abs().leading_zeros();
    let extra = scale + i64::from(halvings);
    let unit = power(extra);
    let x = fixed(decimal, extra) >> halvings;
    let (mut sum, mut term) = (unit.clone(), unit.clone());
    for n in 1u32.. {
        term = (&term * &x) / (&unit * n);
        if term.is_zero() {
            break;
        }
        sum += &term;
    }
    for _ in 0..halvings {
        sum = (&sum * &sum) / &unit;
    }
    let result = divide_half_up(&sum, &(unit / one));
    Some(to_significant(result, scale))
}

/// The natural logarithm of a positive decimal at a working scale.
fn ln_fixed(decimal: &Decimal, scale: i64) -> BigInt {
    // decimal = m * 10^e with m in [1, 10).
    let exponent = precision(&decimal.unscaled) - 1 - i64::from(decimal.scale);
    let mantissa = make(decimal.unscaled.clone(), precision(&decimal.unscaled) - 1);
    let unit = power(scale);
    let mantissa = ln_near_one(&fixed(&mantissa, scale), &unit);
    if exponent == 0 {
        return mantissa;
    }
    mantissa + ln_near_one(&(&unit * 10), &unit) * exponent
}

/// ln(x) for x in [1, 10], by roots until x is near 1 and the series of atanh.
fn ln_near_one(x: &BigInt, unit: &BigInt) -> BigInt {
    const ROOTS: u32 = 8;
    let mut x = x.clone();
    for _ in 0..ROOTS {
        x = (x * unit).sqrt();
    }
    let z = ((&x - unit) * unit) / (&x + unit);
    let square = (&z * &z) / unit;
    let (mut sum, mut term) = (z.clone(), z);
    for n in (3u32..).step_by(2) {
        term = (&term * &square) / unit;
        let part = &term / n;
        if part.is_zero() {
            break;
        }
        sum += part;
    }
    sum << (ROOTS + 1)
}

fn log_scale(decimal: &Decimal) -> i64 {
    // Near 1 the result begins far behind the point.
    SIGNIFICANT_DIGITS + GUARD_DIGITS + precision(&decimal.unscaled).min(1_000)
}

/// The natural logarithm; none of what is not positive.
pub(super) fn log(decimal: &Decimal) -> Option<Decimal> {
    if !decimal.unscaled.is_positive() {
        return None;
    }
    let scale = log_scale(decimal);
    let result = ln_fixed(decimal, scale);
    Some(if result.is_zero() { make(result, 0) } else { to_significant(result, scale) })
}

/// The logarithm to base 10; none of what is not positive.
pub(super) fn log10(decimal: &Decimal) -> Option<Decimal> {
    if !decimal.unscaled.is_positive() {
        return None;
    }
    let scale = log_scale(decimal);
    let unit = power(scale);
    let result = divide_half_up(&(ln_fixed(decimal, scale) * &unit), &ln_near_one(&(&unit * 10), &unit));
    Some(if result.is_zero() { make(result, 0) } else { to_significant(result, scale) })
}
