//! abs, exp, log, log10 and round.

use super::decimal;
use super::number::{Number, number, wire};
use crate::error::{CqlError, invalid};
use dodona_types::CqlType;
use dodona_types::value::Decimal;
use num_traits::Signed;

/// A function of one number whose result has its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MathFunction {
    Abs,
    Exp,
    Log,
    Log10,
    Round,
}

/// The function's value; none for an empty argument.
pub(super) fn execute(
    function: MathFunction,
    ty: &CqlType,
    bytes: &[u8],
) -> Result<Option<Vec<u8>>, CqlError> {
    let Some(number) = number(ty, bytes)? else { return Ok(None) };
    let result = match (function, number) {
        (MathFunction::Abs, Number::Whole(n)) => Number::Whole(n.abs()),
        (MathFunction::Abs, Number::Real(n)) => Number::Real(n.abs()),
        (MathFunction::Abs, Number::Exact(n)) => Number::Exact(Decimal::new(n.unscaled.abs(), n.scale)),
        (MathFunction::Round, Number::Whole(n)) => Number::Whole(n),
        (MathFunction::Round, Number::Exact(n)) => Number::Exact(decimal::round(&n)),
        (MathFunction::Round, Number::Real(n)) => Number::Real(round(n, ty)),
        (_, number @ (Number::Whole(_) | Number::Exact(_))) if is_big(ty) => {
            return big(function, &number, ty);
        }
        (_, number) => Number::Real(real(function, number.real())),
    };
    wire(ty, &result.convert(ty)).map(Some)
}

const fn is_big(ty: &CqlType) -> bool {
    matches!(ty, CqlType::Varint | CqlType::Decimal)
}

/// The nearest integer, halves towards positive infinity, within the range of the integer that
/// is as wide (`Math.round`).
fn round(n: f64, ty: &CqlType) -> f64 {
    if n.is_nan() {
        return 0.0;
    }
    let nearest = (n + 0.5).floor();
    // n + 0.5 rounds up for the greatest double below one half.
    let nearest = if nearest - n > 0.5 { nearest - 1.0 } else { nearest };
    if *ty == CqlType::Float { f64::from(nearest as i32 as f32) } else { nearest as i64 as f64 }
}

fn real(function: MathFunction, n: f64) -> f64 {
    match function {
        MathFunction::Exp => n.exp(),
        MathFunction::Log => n.ln(),
        MathFunction::Log10 => n.log10(),
        MathFunction::Abs => n.abs(),
        MathFunction::Round => n,
    }
}

fn big(function: MathFunction, number: &Number, ty: &CqlType) -> Result<Option<Vec<u8>>, CqlError> {
    let Some(argument) = number.exact() else { return Ok(None) };
    let result = match function {
        MathFunction::Exp => decimal::exp(&argument),
        MathFunction::Log => decimal::log(&argument),
        _ => decimal::log10(&argument),
    };
    match result {
        Some(result) => wire(ty, &Number::Exact(result).convert(ty)).map(Some),
        None if function == MathFunction::Exp => invalid("Overflow in function system.exp"),
        None => invalid("There is no logarithm of a number of zero or less"),
    }
}
