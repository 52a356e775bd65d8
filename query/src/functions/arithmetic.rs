//! `+`, `-`, `*`, `/` and `%` on numbers, dates and durations, and signs.

use super::call::{Native, Signature};
use super::decimal;
use super::number::{Number, number, wire};
use super::time::{add_to_date, add_to_timestamp};
use crate::ast::ArithmeticOperator;
use crate::error::CqlError;
use dodona_types::CqlType;
use dodona_types::value::{CqlDuration, Decimal, Value};
use num_bigint::BigInt;
use num_traits::Zero;

const BY_ZERO: &str = "/ by zero";
const BIG_BY_ZERO: &str = "BigInteger divide by zero";

fn failure(operator: ArithmeticOperator, signature: &Signature, message: &str) -> CqlError {
    let types: Vec<String> = signature.arguments.iter().map(ToString::to_string).collect();
    CqlError::FunctionFailure {
        keyspace: "system".into(),
        name: operator.function_name().into(),
        message: format!("the operation '{} {} {}' failed: {message}", types[0], operator.symbol(), types[1]),
        arguments: types,
    }
}

/// The sum of two numbers of one type; none if one of them is empty.
pub(crate) fn add_numbers(ty: &CqlType, left: &[u8], right: &[u8]) -> Result<Option<Vec<u8>>, CqlError> {
    let operator = ArithmeticOperator::Add;
    let signature = Signature::new(Native::Arithmetic(operator), [ty.clone(), ty.clone()], ty.clone());
    execute(operator, &signature, left, right)
}

/// The value of `left operator right`; none if one of them is empty.
pub(super) fn execute(
    operator: ArithmeticOperator,
    signature: &Signature,
    left: &[u8],
    right: &[u8],
) -> Result<Option<Vec<u8>>, CqlError> {
    let failure = |message: &str| failure(operator, signature, message);
    if signature.arguments[1] == CqlType::Duration {
        if left.is_empty() || right.is_empty() {
            return Ok(None);
        }
        let mut duration = CqlDuration::decode(right)?;
        if operator == ArithmeticOperator::Subtract {
            duration = duration.negated();
        }
        let added = match signature.result {
            CqlType::Date => add_to_date(left, duration),
            _ => add_to_timestamp(left, duration),
        };
        return added.map(Some).map_err(|message| failure(&message));
    }
    let (Some(left), Some(right)) =
        (number(&signature.arguments[0], left)?, number(&signature.arguments[1], right)?)
    else {
        return Ok(None);
    };
    let result = &signature.result;
    let value = match result {
        CqlType::Float => {
            Value::Float(real(operator, f64::from(left.real() as f32), f64::from(right.real() as f32), |n| {
                f64::from(n as f32)
            }) as f32)
        }
        CqlType::Double => Value::Double(real(operator, left.real(), right.real(), |n| n)),
        CqlType::Decimal => {
            let decimal = |ty, number: &Number| {
                let what = if number.real().is_nan() { "A NaN" } else { "An infinite number" };
                as_decimal(ty, number)
                    .ok_or_else(|| failure(&format!("{what} cannot be converted into a decimal")))
            };
            let (left, right) =
                (decimal(&signature.arguments[0], &left)?, decimal(&signature.arguments[1], &right)?);
            Value::Decimal(exact(operator, &left, &right).map_err(&failure)?)
        }
        _ => {
            let (Number::Whole(left), Number::Whole(right)) = (left, right) else {
                return Err(CqlError::Server("integers of another type".into()));
            };
            let by_zero = if *result == CqlType::Varint { BIG_BY_ZERO } else { BY_ZERO };
            let n = whole(operator, left, right).ok_or_else(|| failure(by_zero))?;
            Number::Whole(n).convert(result)
        }
    };
    wire(result, &value).map(Some)
}

/// Operands of an exact operation: integers but varints go by way of a double, as in Cassandra,
/// which gives them a digit behind the point.
fn as_decimal(ty: &CqlType, number: &Number) -> Option<Decimal> {
    match number {
        Number::Whole(_) if *ty != CqlType::Varint => Number::Real(number.real()).exact(),
        other => other.exact(),
    }
}

fn real(operator: ArithmeticOperator, left: f64, right: f64, round: impl Fn(f64) -> f64) -> f64 {
    round(match operator {
        ArithmeticOperator::Add => left + right,
        ArithmeticOperator::Subtract => left - right,
        ArithmeticOperator::Multiply => left * right,
        ArithmeticOperator::Divide => left / right,
        ArithmeticOperator::Modulo => left % right,
    })
}

fn exact(operator: ArithmeticOperator, left: &Decimal, right: &Decimal) -> Result<Decimal, &'static str> {
    if decimal::is_too_wide(left, right) {
        return Err("the numbers are too far apart");
    }
    match operator {
        ArithmeticOperator::Add => Ok(decimal::add(left, right)),
        ArithmeticOperator::Subtract => Ok(decimal::subtract(left, right)),
        ArithmeticOperator::Multiply => Ok(decimal::multiply(left, right)),
        ArithmeticOperator::Divide => decimal::divide(left, right).ok_or(BIG_BY_ZERO),
        ArithmeticOperator::Modulo => decimal::remainder(left, right).ok_or("Division by zero"),
    }
}

fn whole(operator: ArithmeticOperator, left: BigInt, right: BigInt) -> Option<BigInt> {
    match operator {
        ArithmeticOperator::Add => Some(left + right),
        ArithmeticOperator::Subtract => Some(left - right),
        ArithmeticOperator::Multiply => Some(left * right),
        _ if right.is_zero() => None,
        ArithmeticOperator::Divide => Some(left / right),
        ArithmeticOperator::Modulo => Some(left % right),
    }
}

/// The value of `-number`; none if it is empty.
pub(super) fn negate(ty: &CqlType, bytes: &[u8]) -> Result<Option<Vec<u8>>, CqlError> {
    let Some(number) = number(ty, bytes)? else { return Ok(None) };
    let negated = match number {
        Number::Whole(n) => Number::Whole(-n),
        Number::Real(n) => Number::Real(-n),
        Number::Exact(n) => Number::Exact(Decimal::new(-n.unscaled, n.scale)),
    };
    wire(ty, &negated.convert(ty)).map(Some)
}
