//! Numbers of any type, and Java's conversions between them.

use crate::error::{CqlError, invalid};
use dodona_types::CqlType;
use dodona_types::value::{self, Decimal, Value};
use num_bigint::{BigInt, Sign};
use num_traits::ToPrimitive;

/// The types of numbers.
pub(crate) const NUMBERS: [CqlType; 9] = [
    CqlType::Tinyint,
    CqlType::Smallint,
    CqlType::Int,
    CqlType::Bigint,
    CqlType::Counter,
    CqlType::Float,
    CqlType::Double,
    CqlType::Decimal,
    CqlType::Varint,
];

/// The most digits that a decimal's exponent may stand for when it becomes an integer.
const MAX_EXPONENT: i64 = 100_000;

/// True for the types of numbers.
pub(crate) fn is_number(ty: &CqlType) -> bool {
    NUMBERS.contains(ty)
}

/// A number of any type.
#[derive(Clone, Debug)]
pub(crate) enum Number {
    Whole(BigInt),
    Real(f64),
    Exact(Decimal),
}

/// The number in wire bytes of a numeric type; none in an empty value.
pub(crate) fn number(ty: &CqlType, bytes: &[u8]) -> Result<Option<Number>, CqlError> {
    Ok(Some(match value::decode(ty, bytes)? {
        Value::Empty => return Ok(None),
        Value::Tinyint(n) => Number::Whole(n.into()),
        Value::Smallint(n) => Number::Whole(n.into()),
        Value::Int(n) => Number::Whole(n.into()),
        Value::Bigint(n) | Value::Counter(n) => Number::Whole(n.into()),
        Value::Varint(n) => Number::Whole(n),
        Value::Float(n) => Number::Real(n.into()),
        Value::Double(n) => Number::Real(n),
        Value::Decimal(n) => Number::Exact(n),
        other => return invalid(format!("{other:?} is not a number")),
    }))
}

/// The wire bytes of a value.
pub(crate) fn wire(ty: &CqlType, value: &Value) -> Result<Vec<u8>, CqlError> {
    let mut out = Vec::new();
    value::encode(ty, value, &mut out)?;
    Ok(out)
}

/// The part of a decimal before its point.
pub(crate) fn whole_part(decimal: &Decimal) -> BigInt {
    let scale = i64::from(decimal.scale).clamp(-MAX_EXPONENT, MAX_EXPONENT);
    let power = BigInt::from(10).pow(scale.unsigned_abs() as u32);
    if scale < 0 { &decimal.unscaled * power } else { &decimal.unscaled / power }
}

/// The low 64 bits of an integer in two's complement.
fn low_bits(n: &BigInt) -> i64 {
    let digit = n.iter_u64_digits().next().map_or(0, u64::cast_signed);
    if n.sign() == Sign::Minus { digit.wrapping_neg() } else { digit }
}

impl Number {
    fn whole(&self) -> BigInt {
        match self {
            Self::Whole(n) => n.clone(),
            // Towards zero, and saturating.
            Self::Real(n) => BigInt::from(*n as i64),
            Self::Exact(decimal) => whole_part(decimal),
        }
    }

    /// The nearest double.
    pub(crate) fn real(&self) -> f64 {
        match self {
            Self::Whole(n) => n.to_f64().unwrap_or(f64::NAN),
            Self::Real(n) => *n,
            Self::Exact(decimal) => decimal.to_string().parse().unwrap_or(f64::NAN),
        }
    }

    /// The number as a decimal; none for what is no number.
    pub(crate) fn exact(&self) -> Option<Decimal> {
        match self {
            Self::Whole(n) => Some(Decimal::new(n.clone(), 0)),
            Self::Real(n) if n.is_finite() => value::format_double(*n).parse().ok(),
            Self::Real(_) => None,
            Self::Exact(decimal) => Some(decimal.clone()),
        }
    }

    /// The number as a value of a numeric type, as Java's conversions give it.
    pub(crate) fn convert(&self, target: &CqlType) -> Value {
        let small = |number: &Self| match number {
            Self::Real(n) => *n as i32,
            _ => low_bits(&number.whole()) as i32,
        };
        match target {
            CqlType::Tinyint => Value::Tinyint(small(self) as i8),
            CqlType::Smallint => Value::Smallint(small(self) as i16),
            CqlType::Int => Value::Int(small(self)),
            CqlType::Bigint => Value::Bigint(low_bits(&self.whole())),
            CqlType::Counter => Value::Counter(low_bits(&self.whole())),
            CqlType::Varint => Value::Varint(self.whole()),
            CqlType::Float => Value::Float(self.real() as f32),
            CqlType::Double => Value::Double(self.real()),
            _ => Value::Decimal(self.exact().unwrap_or_else(|| Decimal::new(BigInt::ZERO, 0))),
        }
    }
}
