//! Wire bytes to comparable bytes.

use num_bigint::Sign;

use super::{
    DECIMAL_NEGATIVE, DECIMAL_POSITIVE, DECIMAL_ZERO, EMPTY, END, ESCAPED, LONG_VARINT, NULL, VALUE, ZERO,
};
use crate::cql_type::CqlType;
use crate::value::{
    Decimal, ValueError, minimal_varint, order_double, order_float, order_timeuuid, order_uuid, read_bytes,
    read_length, read_vector_element, validate,
};

type Result = std::result::Result<(), ValueError>;

/// The wire bytes of the one float NaN that comes back as it was.
pub(super) const NAN_FLOAT: [u8; 4] = [0x7F, 0xC0, 0, 0];
/// The wire bytes of the one double NaN that comes back as it was.
pub(super) const NAN_DOUBLE: [u8; 8] = [0x7F, 0xF8, 0, 0, 0, 0, 0, 0];

/// Appends the component of one clustering column; `None` is null.
///
/// # Errors
/// The bytes are not a value of the type; `out` is then as it was. (Text is not checked to be
/// UTF-8: the order is that of its bytes.)
#[inline]
pub fn encode_component(ty: &CqlType, descending: bool, wire: Option<&[u8]>, out: &mut Vec<u8>) -> Result {
    let start = out.len();
    match wire {
        None => out.push(NULL),
        Some([]) => {
            if !ty.is_empty_value_allowed() {
                return validate(ty, &[]);
            }
            out.push(if descending { !EMPTY } else { EMPTY });
        }
        Some(wire) => {
            out.push(VALUE);
            if let Err(error) = encode_body(ty, wire, out) {
                out.truncate(start);
                return Err(error);
            }
            if descending {
                out[start..].iter_mut().for_each(|byte| *byte = !*byte);
            }
        }
    }
    Ok(())
}

/// Why the bytes are not a value of the type.
#[cold]
fn invalid(ty: &CqlType, wire: &[u8]) -> ValueError {
    match validate(ty, wire) {
        Err(error) => error,
        Ok(()) => ValueError::new(format!("The value is not of type {ty}")),
    }
}

/// The bytes as an array of the type's length.
#[inline]
fn fixed<const N: usize>(ty: &CqlType, wire: &[u8]) -> std::result::Result<[u8; N], ValueError> {
    wire.try_into().map_err(|_| invalid(ty, wire))
}

/// Appends the body of a value that is not empty.
#[inline]
fn encode_body(ty: &CqlType, wire: &[u8], out: &mut Vec<u8>) -> Result {
    match ty {
        CqlType::Int => {
            let value = u32::from_be_bytes(fixed(ty, wire)?) ^ (1 << 31);
            out.extend_from_slice(&value.to_be_bytes());
        }
        CqlType::Bigint | CqlType::Timestamp | CqlType::Counter => {
            let value = u64::from_be_bytes(fixed(ty, wire)?) ^ (1 << 63);
            out.extend_from_slice(&value.to_be_bytes());
        }
        CqlType::Text | CqlType::Ascii | CqlType::Blob | CqlType::Custom(_) => encode_bytes(wire, out),
        CqlType::Timeuuid => {
            let bytes: [u8; 16] = fixed(ty, wire)?;
            if bytes[6] & 0xF0 != 0x10 {
                return Err(invalid(ty, wire));
            }
            out.extend_from_slice(&order_timeuuid(u128::from_be_bytes(bytes)).to_be_bytes());
        }
        CqlType::Uuid => {
            let value = order_uuid(u128::from_be_bytes(fixed(ty, wire)?));
            out.extend_from_slice(&value.to_be_bytes());
        }
        _ => encode_rare(ty, wire, out)?,
    }
    Ok(())
}

/// The types that are seldom in a key.
fn encode_rare(ty: &CqlType, wire: &[u8], out: &mut Vec<u8>) -> Result {
    match ty {
        CqlType::Tinyint => out.push(fixed::<1>(ty, wire)?[0] ^ 0x80),
        CqlType::Smallint => {
            let value = u16::from_be_bytes(fixed(ty, wire)?) ^ (1 << 15);
            out.extend_from_slice(&value.to_be_bytes());
        }
        CqlType::Boolean => out.push(u8::from(fixed::<1>(ty, wire)?[0] != 0)),
        CqlType::Date => out.extend_from_slice(&fixed::<4>(ty, wire)?),
        CqlType::Time => out.extend_from_slice(&fixed::<8>(ty, wire)?),
        CqlType::Float => {
            let value = order_float(u32::from_be_bytes(fixed(ty, wire)?));
            out.extend_from_slice(&value.to_be_bytes());
        }
        CqlType::Double => {
            let value = order_double(u64::from_be_bytes(fixed(ty, wire)?));
            out.extend_from_slice(&value.to_be_bytes());
        }
        CqlType::Inet | CqlType::Duration => {
            validate(ty, wire)?;
            encode_bytes(wire, out);
        }
        CqlType::Varint => encode_varint(wire, out),
        CqlType::Decimal => encode_decimal(&Decimal::decode(wire).ok_or_else(|| invalid(ty, wire))?, out),
        CqlType::List { element, .. } | CqlType::Set { element, .. } => {
            encode_collection(ty, &[element], wire, out)?;
        }
        CqlType::Map { key, value, .. } => encode_collection(ty, &[key, value], wire, out)?,
        CqlType::Tuple(fields) => encode_fields(ty, fields.iter(), wire, out)?,
        CqlType::UserDefined { definition, .. } => {
            encode_fields(ty, definition.fields.iter().map(|(_, ty)| ty), wire, out)?;
        }
        CqlType::Vector { element, dimensions } => encode_vector(ty, element, *dimensions, wire, out)?,
        _ => return Err(invalid(ty, wire)),
    }
    Ok(())
}

#[inline]
fn encode_bytes(wire: &[u8], out: &mut Vec<u8>) {
    // Most values have no zero byte; without an early exit the search is done on vectors.
    if wire.iter().fold(false, |found, byte| found | (*byte == ZERO)) {
        for part in wire.split_inclusive(|byte| *byte == ZERO) {
            out.extend_from_slice(part);
            if part.last() == Some(&ZERO) {
                out.push(ESCAPED);
            }
        }
    } else {
        out.extend_from_slice(wire);
    }
    out.extend_from_slice(&[ZERO, ZERO]);
}

fn encode_varint(wire: &[u8], out: &mut Vec<u8>) {
    let bytes = minimal_varint(wire);
    let flip = if bytes[0] & 0x80 != 0 { 0xFF } else { 0 };
    let length = bytes.len() - 1;
    if length < LONG_VARINT {
        out.push((0x80 | length as u8) ^ flip);
    } else {
        out.push((0x80 | LONG_VARINT as u8) ^ flip);
        out.extend((length as u32).to_be_bytes().map(|byte| byte ^ flip));
    }
    out.extend_from_slice(bytes);
}

fn encode_decimal(decimal: &Decimal, out: &mut Vec<u8>) {
    let parts = decimal.digits();
    let flip = match parts.sign {
        Sign::NoSign => return out.push(DECIMAL_ZERO),
        Sign::Plus => {
            out.push(DECIMAL_POSITIVE);
            0
        }
        Sign::Minus => {
            out.push(DECIMAL_NEGATIVE);
            0xFF
        }
    };
    let exponent = parts.exponent.cast_unsigned() ^ (1 << 63);
    out.extend(exponent.to_be_bytes().map(|byte| byte ^ flip));
    // Two digits a byte, plus one: zero is left to end them.
    for pair in parts.digits.chunks(2) {
        let second = pair.get(1).map_or(0, |digit| digit - b'0');
        out.push(((pair[0] - b'0') * 10 + second + 1) ^ flip);
    }
    out.push(flip);
}

fn encode_collection(ty: &CqlType, pattern: &[&CqlType], wire: &[u8], out: &mut Vec<u8>) -> Result {
    let mut input = wire;
    let count = read_length(&mut input).filter(|count| *count >= 0).ok_or_else(|| invalid(ty, wire))?;
    for _ in 0..count {
        for inner in pattern {
            let element = read_bytes(&mut input).flatten().ok_or_else(|| invalid(ty, wire))?;
            encode_component(inner, false, Some(element), out)?;
        }
    }
    if !input.is_empty() {
        return Err(invalid(ty, wire));
    }
    out.push(END);
    Ok(())
}

fn encode_fields<'t>(
    ty: &CqlType,
    types: impl Iterator<Item = &'t CqlType>,
    wire: &[u8],
    out: &mut Vec<u8>,
) -> Result {
    let mut input = wire;
    let mut end = out.len();
    for field_type in types {
        if input.is_empty() {
            break;
        }
        let field = read_bytes(&mut input).ok_or_else(|| invalid(ty, wire))?;
        encode_component(field_type, false, field, out)?;
        if field.is_some() {
            end = out.len();
        }
    }
    if !input.is_empty() {
        return Err(invalid(ty, wire));
    }
    out.truncate(end);
    out.push(END);
    Ok(())
}

fn encode_vector(ty: &CqlType, element: &CqlType, dimensions: u16, wire: &[u8], out: &mut Vec<u8>) -> Result {
    let is_fixed = element.fixed_value_length().is_some();
    let mut input = wire;
    for _ in 0..dimensions {
        let next = read_vector_element(element, &mut input).ok_or_else(|| invalid(ty, wire))?;
        if is_fixed {
            encode_body(element, next, out)?;
        } else {
            encode_component(element, false, Some(next), out)?;
        }
    }
    if input.is_empty() { Ok(()) } else { Err(invalid(ty, wire)) }
}
