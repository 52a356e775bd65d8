//! Validation of wire bytes, with Cassandra's texts (its `serializers` package).

use super::ValueError;
use super::duration::CqlDuration;
use super::wire::{read_bytes, read_length, read_unsigned_vint, take};
use crate::cql_type::{CqlType, UserType};
use crate::hex::write_hex;

type Result = std::result::Result<(), ValueError>;

/// Checks that the bytes are a value of the type, without building it. Nulls inside tuples and
/// user-defined types are valid, nulls inside collections and vectors are not.
///
/// # Errors
/// They are not; the text is Cassandra's.
#[inline]
pub fn validate(ty: &CqlType, wire: &[u8]) -> Result {
    match (ty, wire.len()) {
        (CqlType::Int | CqlType::Float, 4) | (CqlType::Blob, _) => Ok(()),
        (CqlType::Bigint | CqlType::Timestamp | CqlType::Double | CqlType::Counter, 8) => Ok(()),
        (CqlType::Uuid, 16) => Ok(()),
        _ => validate_any(ty, wire),
    }
}

fn validate_any(ty: &CqlType, wire: &[u8]) -> Result {
    let length = wire.len();
    match ty {
        CqlType::Custom(_) if ty.is_empty_type() => {
            expect(length == 0, || "EmptyType only accept empty values".to_owned())
        }
        CqlType::Blob | CqlType::Varint | CqlType::Custom(_) => Ok(()),
        CqlType::Ascii => validate_ascii(wire),
        CqlType::Text => match std::str::from_utf8(wire) {
            Ok(_) => Ok(()),
            Err(_) => Err(ValueError::new("String didn't validate.")),
        },
        CqlType::Boolean => expect(length <= 1, || format!("Expected 1 or 0 byte value ({length})")),
        CqlType::Tinyint => expect(length == 1, || format!("Expected 1 byte for a tinyint ({length})")),
        CqlType::Smallint => expect(length == 2, || format!("Expected 2 bytes for a smallint ({length})")),
        CqlType::Int => expect(is_empty_or(length, 4), || format!("Expected 4 or 0 byte int ({length})")),
        CqlType::Bigint | CqlType::Counter => {
            expect(is_empty_or(length, 8), || format!("Expected 8 or 0 byte long ({length})"))
        }
        CqlType::Float => {
            expect(is_empty_or(length, 4), || format!("Expected 4 or 0 byte value for a float ({length})"))
        }
        CqlType::Double => {
            expect(is_empty_or(length, 8), || format!("Expected 8 or 0 byte value for a double ({length})"))
        }
        CqlType::Timestamp => {
            expect(is_empty_or(length, 8), || format!("Expected 8 or 0 byte long for date ({length})"))
        }
        CqlType::Date => expect(length == 4, || format!("Expected 4 byte long for date ({length})")),
        CqlType::Time => expect(length == 8, || format!("Expected 8 byte long for time ({length})")),
        CqlType::Uuid => validate_uuid(wire),
        CqlType::Timeuuid => {
            validate_uuid(wire)?;
            // Cassandra names the first digit, which is not the version's.
            expect(wire.is_empty() || is_version_1(wire), || {
                format!("Invalid version for TimeUUID type: 0x{:x}", wire[0] >> 4)
            })
        }
        CqlType::Inet => expect(matches!(length, 0 | 4 | 16), || {
            let mut hex = String::new();
            write_hex(&wire[..length.min(256)], &mut hex);
            format!("Expected 4 or 16 byte inetaddress; got {hex}")
        }),
        CqlType::Decimal => {
            expect(length == 0 || length >= 4, || format!("Expected 0 or at least 4 bytes ({length})"))
        }
        CqlType::Duration => CqlDuration::decode(wire).map(|_| ()),
        CqlType::List { element, .. } => validate_collection(wire, "list", &[element]),
        CqlType::Set { element, .. } => validate_collection(wire, "set", &[element]),
        CqlType::Map { key, value, .. } => validate_collection(wire, "map", &[key, value]),
        CqlType::Tuple(fields) => validate_tuple(fields, wire),
        CqlType::UserDefined { definition, .. } => validate_user_type(definition, wire),
        CqlType::Vector { element, dimensions } => validate_vector(ty, element, *dimensions, wire),
    }
}

fn expect(valid: bool, message: impl FnOnce() -> String) -> Result {
    if valid { Ok(()) } else { Err(ValueError::new(message())) }
}

const fn is_empty_or(length: usize, fixed: usize) -> bool {
    length == 0 || length == fixed
}

/// True if the 16 bytes are a version 1 UUID.
pub(crate) fn is_version_1(wire: &[u8]) -> bool {
    wire.get(6).is_some_and(|byte| byte & 0xF0 == 0x10)
}

fn validate_ascii(wire: &[u8]) -> Result {
    match wire.iter().find(|byte| !byte.is_ascii()) {
        None => Ok(()),
        Some(byte) => Err(ValueError::new(format!("Invalid byte for ascii: {}", byte.cast_signed()))),
    }
}

fn validate_uuid(wire: &[u8]) -> Result {
    let length = wire.len();
    expect(is_empty_or(length, 16), || format!("UUID should be 16 or 0 bytes ({length})"))
}

/// `pattern` is the type of each element, or those of a key and its value.
fn validate_collection(wire: &[u8], kind: &'static str, pattern: &[&CqlType]) -> Result {
    let too_short = || ValueError::new(format!("Not enough bytes to read a {kind}"));
    let mut input = wire;
    let count = read_length(&mut input).ok_or_else(too_short)?;
    expect(count >= 0, || format!("The data cannot be deserialized as a {kind}"))?;
    if usize::try_from(count).is_ok_and(|count| count > input.len()) {
        return Err(too_short());
    }
    for _ in 0..count {
        for ty in pattern {
            let element = read_bytes(&mut input).ok_or_else(too_short)?;
            validate(ty, element.ok_or_else(|| ValueError::new("Null value read when not allowed"))?)?;
        }
    }
    expect(input.is_empty(), || format!("Unexpected extraneous bytes after {kind} value"))
}

fn validate_tuple(fields: &[CqlType], wire: &[u8]) -> Result {
    let mut input = wire;
    for (position, ty) in fields.iter().enumerate() {
        if input.is_empty() {
            return Ok(());
        }
        let mut after = input;
        expect(read_length(&mut after).is_some(), || {
            format!("Not enough bytes to read size of {position}th component")
        })?;
        let field = read_bytes(&mut input)
            .ok_or_else(|| ValueError::new(format!("Not enough bytes to read {position}th component")))?;
        field.map_or(Ok(()), |field| validate(ty, field))?;
    }
    expect(input.is_empty(), || "Invalid remaining data after end of tuple value".to_owned())
}

fn validate_user_type(definition: &UserType, wire: &[u8]) -> Result {
    let mut input = wire;
    for (position, (name, ty)) in definition.fields.iter().enumerate() {
        if input.is_empty() {
            return Ok(());
        }
        let mut after = input;
        expect(read_length(&mut after).is_some(), || {
            format!("Not enough bytes to read size of {position}th field {name}")
        })?;
        let field = read_bytes(&mut input)
            .ok_or_else(|| ValueError::new(format!("Not enough bytes to read {position}th field {name}")))?;
        field.map_or(Ok(()), |field| validate(ty, field))?;
    }
    expect(input.is_empty(), || "Invalid remaining data after end of UDT value".to_owned())
}

fn validate_vector(ty: &CqlType, element: &CqlType, dimensions: u16, wire: &[u8]) -> Result {
    expect(!wire.is_empty(), || "Invalid empty vector value".to_owned())?;
    let mut input = wire;
    for _ in 0..dimensions {
        let next = read_vector_element(element, &mut input)
            .ok_or_else(|| ValueError::new(format!("Not enough bytes to read a {ty}")))?;
        validate(element, next)?;
    }
    let left = input.len();
    expect(left == 0, || format!("Unexpected {left} extraneous bytes after {ty} value"))
}

/// Takes the next element of a vector: as many bytes as all have, or a length and as many.
pub(crate) fn read_vector_element<'a>(element: &CqlType, input: &mut &'a [u8]) -> Option<&'a [u8]> {
    match element.fixed_value_length() {
        Some(length) => take(input, length),
        None => {
            let length = read_unsigned_vint(input)?;
            take(input, usize::try_from(length).ok()?)
        }
    }
}
