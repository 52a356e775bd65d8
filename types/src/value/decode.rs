//! Wire bytes to an owned [`Value`].

use uuid::Uuid;

use super::duration::CqlDuration;
use super::inet::decode_inet;
use super::number::{Decimal, decode_varint};
use super::validate::{read_vector_element, validate};
use super::wire::{read_bytes, read_length};
use super::{Value, ValueError};
use crate::cql_type::CqlType;

/// Reads the wire bytes of a value.
///
/// # Errors
/// The bytes are not a value of the type, see [`validate`].
pub fn decode(ty: &CqlType, wire: &[u8]) -> Result<Value, ValueError> {
    validate(ty, wire)?;
    decode_valid(ty, wire).ok_or_else(|| ValueError::new(format!("Not enough bytes to read a {ty}")))
}

/// `None` cannot happen once the bytes are validated.
fn decode_valid(ty: &CqlType, wire: &[u8]) -> Option<Value> {
    let is_bytes = matches!(ty, CqlType::Ascii | CqlType::Text | CqlType::Blob | CqlType::Custom(_));
    if wire.is_empty() && !is_bytes {
        return Some(Value::Empty);
    }
    Some(match ty {
        CqlType::Ascii | CqlType::Text => Value::Text(String::from_utf8(wire.to_vec()).ok()?),
        CqlType::Blob | CqlType::Custom(_) => Value::Blob(wire.to_vec()),
        CqlType::Boolean => Value::Boolean(wire[0] != 0),
        CqlType::Tinyint => Value::Tinyint(wire[0].cast_signed()),
        CqlType::Smallint => Value::Smallint(i16::from_be_bytes(fixed(wire)?)),
        CqlType::Int => Value::Int(i32::from_be_bytes(fixed(wire)?)),
        CqlType::Bigint => Value::Bigint(i64::from_be_bytes(fixed(wire)?)),
        CqlType::Counter => Value::Counter(i64::from_be_bytes(fixed(wire)?)),
        CqlType::Float => Value::Float(f32::from_be_bytes(fixed(wire)?)),
        CqlType::Double => Value::Double(f64::from_be_bytes(fixed(wire)?)),
        CqlType::Date => Value::Date(u32::from_be_bytes(fixed(wire)?)),
        CqlType::Time => Value::Time(i64::from_be_bytes(fixed(wire)?)),
        CqlType::Timestamp => Value::Timestamp(i64::from_be_bytes(fixed(wire)?)),
        CqlType::Uuid | CqlType::Timeuuid => Value::Uuid(Uuid::from_bytes(fixed(wire)?)),
        CqlType::Inet => Value::Inet(decode_inet(wire)?),
        CqlType::Varint => Value::Varint(decode_varint(wire)),
        CqlType::Decimal => Value::Decimal(Decimal::decode(wire)?),
        CqlType::Duration => Value::Duration(CqlDuration::decode(wire).ok()?),
        CqlType::List { element, .. } => Value::List(decode_elements(element, wire)?),
        CqlType::Set { element, .. } => Value::Set(decode_elements(element, wire)?),
        CqlType::Map { key, value, .. } => Value::Map(decode_entries(key, value, wire)?),
        CqlType::Tuple(fields) => Value::Tuple(decode_fields(fields.iter(), wire)?),
        CqlType::UserDefined { definition, .. } => {
            Value::UserDefined(decode_fields(definition.fields.iter().map(|(_, ty)| ty), wire)?)
        }
        CqlType::Vector { element, dimensions } => {
            let mut input = wire;
            let elements =
                (0..*dimensions).map(|_| decode_valid(element, read_vector_element(element, &mut input)?));
            Value::Vector(elements.collect::<Option<_>>()?)
        }
    })
}

fn fixed<const N: usize>(wire: &[u8]) -> Option<[u8; N]> {
    wire.try_into().ok()
}

fn decode_elements(element: &CqlType, wire: &[u8]) -> Option<Vec<Value>> {
    let mut input = wire;
    let count = read_length(&mut input)?;
    (0..count).map(|_| decode_valid(element, read_bytes(&mut input)??)).collect()
}

fn decode_entries(key: &CqlType, value: &CqlType, wire: &[u8]) -> Option<Vec<(Value, Value)>> {
    let mut input = wire;
    let count = read_length(&mut input)?;
    (0..count)
        .map(|_| {
            Some((
                decode_valid(key, read_bytes(&mut input)??)?,
                decode_valid(value, read_bytes(&mut input)??)?,
            ))
        })
        .collect()
}

/// Fields that are missing at the end come out as nulls.
fn decode_fields<'t>(types: impl Iterator<Item = &'t CqlType>, wire: &[u8]) -> Option<Vec<Option<Value>>> {
    let mut input = wire;
    types
        .map(|ty| match read_bytes(&mut input).flatten() {
            Some(field) => decode_valid(ty, field).map(Some),
            None => Some(None),
        })
        .collect()
}
