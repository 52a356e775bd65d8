//! An owned [`Value`] to wire bytes.

use super::inet::encode_inet;
use super::number::encode_varint;
use super::wire::{checked_length, write_bytes, write_sized, write_unsigned_vint};
use super::{Value, ValueError};
use crate::cql_type::CqlType;

/// Appends the wire bytes of a value. Sets and maps are written in the order in which they are
/// given: sort them by [`compare`](super::compare) first if they come from a client.
///
/// # Errors
/// The value is not one of the type.
pub fn encode(ty: &CqlType, value: &Value, out: &mut Vec<u8>) -> Result<(), ValueError> {
    match (ty, value) {
        (_, Value::Empty) if ty.is_empty_value_allowed() => {}
        (CqlType::Ascii | CqlType::Text, Value::Text(text)) => out.extend_from_slice(text.as_bytes()),
        (CqlType::Blob | CqlType::Custom(_), Value::Blob(bytes)) => out.extend_from_slice(bytes),
        (CqlType::Boolean, Value::Boolean(value)) => out.push(u8::from(*value)),
        (CqlType::Tinyint, Value::Tinyint(value)) => out.extend_from_slice(&value.to_be_bytes()),
        (CqlType::Smallint, Value::Smallint(value)) => out.extend_from_slice(&value.to_be_bytes()),
        (CqlType::Int, Value::Int(value)) => out.extend_from_slice(&value.to_be_bytes()),
        (CqlType::Bigint, Value::Bigint(value))
        | (CqlType::Counter, Value::Counter(value))
        | (CqlType::Time, Value::Time(value))
        | (CqlType::Timestamp, Value::Timestamp(value)) => out.extend_from_slice(&value.to_be_bytes()),
        (CqlType::Float, Value::Float(value)) => out.extend_from_slice(&value.to_be_bytes()),
        (CqlType::Double, Value::Double(value)) => out.extend_from_slice(&value.to_be_bytes()),
        (CqlType::Date, Value::Date(value)) => out.extend_from_slice(&value.to_be_bytes()),
        (CqlType::Uuid | CqlType::Timeuuid, Value::Uuid(value)) => out.extend_from_slice(value.as_bytes()),
        (CqlType::Inet, Value::Inet(value)) => encode_inet(*value, out),
        (CqlType::Varint, Value::Varint(value)) => out.extend_from_slice(&encode_varint(value)),
        (CqlType::Decimal, Value::Decimal(value)) => value.encode(out),
        (CqlType::Duration, Value::Duration(value)) => value.encode(out),
        (CqlType::List { element, .. }, Value::List(elements))
        | (CqlType::Set { element, .. }, Value::Set(elements)) => encode_elements(element, elements, out)?,
        (CqlType::Map { key, value, .. }, Value::Map(entries)) => encode_entries(key, value, entries, out)?,
        (CqlType::Tuple(types), Value::Tuple(fields)) => encode_fields(types.iter(), fields, out)?,
        (CqlType::UserDefined { definition, .. }, Value::UserDefined(fields)) => {
            encode_fields(definition.fields.iter().map(|(_, ty)| ty), fields, out)?;
        }
        (CqlType::Vector { element, dimensions }, Value::Vector(elements)) => {
            encode_vector(element, *dimensions, elements, out)?;
        }
        _ => return Err(ValueError::new(format!("The value is not of type {ty}"))),
    }
    Ok(())
}

fn encode_elements(element: &CqlType, elements: &[Value], out: &mut Vec<u8>) -> Result<(), ValueError> {
    out.extend_from_slice(&checked_length(elements.len())?.to_be_bytes());
    elements.iter().try_for_each(|value| write_sized(out, |out| encode(element, value, out)))
}

fn encode_entries(
    key: &CqlType,
    value: &CqlType,
    entries: &[(Value, Value)],
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    out.extend_from_slice(&checked_length(entries.len())?.to_be_bytes());
    entries.iter().try_for_each(|(entry_key, entry_value)| {
        write_sized(out, |out| encode(key, entry_key, out))?;
        write_sized(out, |out| encode(value, entry_value, out))
    })
}

fn encode_fields<'t>(
    mut types: impl Iterator<Item = &'t CqlType>,
    fields: &[Option<Value>],
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    fields.iter().try_for_each(|field| {
        let ty =
            types.next().ok_or_else(|| ValueError::new("Too many fields in a tuple or user-defined type"))?;
        match field {
            None => write_bytes(None, out),
            Some(value) => write_sized(out, |out| encode(ty, value, out)),
        }
    })
}

fn encode_vector(
    element: &CqlType,
    dimensions: u16,
    elements: &[Value],
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    if elements.len() != usize::from(dimensions) {
        let message = format!("Required {dimensions} elements, but saw {}", elements.len());
        return Err(ValueError::new(message));
    }
    elements
        .iter()
        .try_for_each(|value| write_vector_element(element, out, |out| encode(element, value, out)))
}

/// Appends what `write` appends as an element of a vector: with a length before it unless all
/// values of the type have the same.
pub(crate) fn write_vector_element<E: From<ValueError>>(
    element: &CqlType,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    if let Some(length) = element.fixed_value_length() {
        let start = out.len();
        write(out)?;
        if out.len() - start != length {
            return Err(
                ValueError::new(format!("An element of type {element} is not {length} bytes long")).into()
            );
        }
        return Ok(());
    }
    // A scratch buffer: how long the length is depends on what it says.
    let mut bytes = Vec::new();
    write(&mut bytes)?;
    write_unsigned_vint(bytes.len() as u64, out);
    out.extend_from_slice(&bytes);
    Ok(())
}
