//! Comparable bytes back to wire bytes.

use num_bigint::{BigInt, Sign};

use super::{
    Component, DECIMAL_NEGATIVE, DECIMAL_POSITIVE, DECIMAL_ZERO, EMPTY, END, ESCAPED, LONG_VARINT,
    MAX_KEY_DIGITS, MAX_WHOLE_DIGITS, NULL, VALUE, ZERO,
};
use crate::cql_type::CqlType;
use crate::value::{
    Decimal, ValueError, checked_length, restore_timeuuid, restore_uuid, write_vector_element,
};

type Result<T = ()> = std::result::Result<T, ValueError>;

/// Takes one component off `input` and appends its wire bytes to `out`.
///
/// # Errors
/// The bytes are not a component of the type. `input` and `out` are then in no useful state.
pub fn decode_component(
    ty: &CqlType,
    descending: bool,
    input: &mut &[u8],
    out: &mut Vec<u8>,
) -> Result<Component> {
    read_component(ty, &mut Reader::new(input, descending), &mut Some(out))
}

/// Takes one component off `input`.
///
/// # Errors
/// The bytes are not a component of the type.
pub fn skip_component(ty: &CqlType, descending: bool, input: &mut &[u8]) -> Result<Component> {
    read_component(ty, &mut Reader::new(input, descending), &mut None)
}

/// Where the wire bytes go; nowhere when a component is only skipped.
type Sink<'a> = Option<&'a mut Vec<u8>>;

/// True if the first component is an empty value.
#[must_use]
pub fn begins_empty(input: &[u8]) -> bool {
    input.first().is_some_and(|tag| [EMPTY, !EMPTY].contains(tag))
}

fn put(out: &mut Sink<'_>, bytes: &[u8]) {
    if let Some(out) = out {
        out.extend_from_slice(bytes);
    }
}

#[cold]
fn malformed() -> ValueError {
    ValueError::new("Malformed clustering key")
}

/// Takes bytes off the input, inverted if the order is descending.
struct Reader<'i, 'a> {
    input: &'i mut &'a [u8],
    mask: u8,
}

impl<'i, 'a> Reader<'i, 'a> {
    fn new(input: &'i mut &'a [u8], descending: bool) -> Self {
        Self { input, mask: if descending { 0xFF } else { 0 } }
    }

    fn peek(&self) -> Result<u8> {
        self.input.first().map(|byte| byte ^ self.mask).ok_or_else(malformed)
    }

    fn byte(&mut self) -> Result<u8> {
        let byte = self.peek()?;
        *self.input = &self.input[1..];
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, tail) = self.input.split_first_chunk::<N>().ok_or_else(malformed)?;
        *self.input = tail;
        Ok(head.map(|byte| byte ^ self.mask))
    }

    /// Takes `length` bytes, which are `flip`ped besides, and hands them on.
    fn copy(&mut self, length: usize, out: &mut Sink<'_>) -> Result {
        let (head, tail) = self.input.split_at_checked(length).ok_or_else(malformed)?;
        *self.input = tail;
        if let Some(out) = out {
            let start = out.len();
            out.extend_from_slice(head);
            if self.mask != 0 {
                out[start..].iter_mut().for_each(|byte| *byte = !*byte);
            }
        }
        Ok(())
    }
}

fn read_component(ty: &CqlType, reader: &mut Reader<'_, '_>, out: &mut Sink<'_>) -> Result<Component> {
    // The tag of a null is the same in both orders. Inside a value it is inverted with the rest.
    if reader.input.first() == Some(&NULL) {
        *reader.input = &reader.input[1..];
        return Ok(Component::Null);
    }
    read_tagged(ty, reader, out)
}

fn read_tagged(ty: &CqlType, reader: &mut Reader<'_, '_>, out: &mut Sink<'_>) -> Result<Component> {
    match reader.byte()? {
        NULL => Ok(Component::Null),
        EMPTY => Ok(Component::Empty),
        VALUE => read_body(ty, reader, out).map(|()| Component::Value),
        _ => Err(malformed()),
    }
}

fn read_body(ty: &CqlType, reader: &mut Reader<'_, '_>, out: &mut Sink<'_>) -> Result {
    match ty {
        CqlType::Int => put(out, &(u32::from_be_bytes(reader.array()?) ^ (1 << 31)).to_be_bytes()),
        CqlType::Bigint | CqlType::Timestamp | CqlType::Counter => {
            put(out, &(u64::from_be_bytes(reader.array()?) ^ (1 << 63)).to_be_bytes());
        }
        CqlType::Ascii
        | CqlType::Text
        | CqlType::Blob
        | CqlType::Inet
        | CqlType::Duration
        | CqlType::Custom(_) => read_escaped(reader, out)?,
        CqlType::Timeuuid => put(out, &restore_timeuuid(u128::from_be_bytes(reader.array()?)).to_be_bytes()),
        CqlType::Uuid => put(out, &restore_uuid(u128::from_be_bytes(reader.array()?)).to_be_bytes()),
        CqlType::Tinyint => put(out, &[reader.byte()? ^ 0x80]),
        CqlType::Smallint => put(out, &(u16::from_be_bytes(reader.array()?) ^ (1 << 15)).to_be_bytes()),
        CqlType::Boolean => put(out, &[reader.byte()?]),
        CqlType::Date => put(out, &reader.array::<4>()?),
        CqlType::Time => put(out, &reader.array::<8>()?),
        CqlType::Float => {
            let ordered = u32::from_be_bytes(reader.array()?);
            put(out, &(if ordered >> 31 == 1 { ordered ^ (1 << 31) } else { !ordered }).to_be_bytes());
        }
        CqlType::Double => {
            let ordered = u64::from_be_bytes(reader.array()?);
            put(out, &(if ordered >> 63 == 1 { ordered ^ (1 << 63) } else { !ordered }).to_be_bytes());
        }
        CqlType::Varint => read_varint(reader, out)?,
        CqlType::Decimal => read_decimal(reader, out)?,
        CqlType::List { element, .. } | CqlType::Set { element, .. } => {
            read_collection(&[element], reader, out)?;
        }
        CqlType::Map { key, value, .. } => read_collection(&[key, value], reader, out)?,
        CqlType::Tuple(fields) => read_fields(fields.iter(), reader, out)?,
        CqlType::UserDefined { definition, .. } => {
            read_fields(definition.fields.iter().map(|(_, ty)| ty), reader, out)?;
        }
        CqlType::Vector { element, dimensions } => {
            for _ in 0..*dimensions {
                read_vector_element(element, reader, out)?;
            }
        }
    }
    Ok(())
}

/// Where a byte is first. Whole chunks without it are passed over as vectors.
fn find(bytes: &[u8], needle: u8) -> Option<usize> {
    const CHUNK: usize = 16;
    let has = |chunk: &[u8]| chunk.iter().fold(false, |found, byte| found | (*byte == needle));
    let passed = bytes.chunks_exact(CHUNK).take_while(|chunk| !has(chunk)).count() * CHUNK;
    bytes[passed..].iter().position(|byte| *byte == needle).map(|found| passed + found)
}

/// Bytes with their zeros escaped, up to two zeros.
fn read_escaped(reader: &mut Reader<'_, '_>, out: &mut Sink<'_>) -> Result {
    loop {
        let terminator = ZERO ^ reader.mask;
        let plain = find(reader.input, terminator).ok_or_else(malformed)?;
        reader.copy(plain, out)?;
        reader.byte()?;
        match reader.byte()? {
            ZERO => return Ok(()),
            ESCAPED => put(out, &[ZERO]),
            _ => return Err(malformed()),
        }
    }
}

fn read_varint(reader: &mut Reader<'_, '_>, out: &mut Sink<'_>) -> Result {
    let header = reader.byte()?;
    let flip = if header & 0x80 == 0 { 0xFF } else { 0 };
    let mut length = usize::from((header ^ flip) & 0x7F);
    if length == LONG_VARINT {
        length = u32::from_be_bytes(reader.array::<4>()?.map(|byte| byte ^ flip)) as usize;
    }
    reader.copy(length.checked_add(1).ok_or_else(malformed)?, out)
}

fn read_decimal(reader: &mut Reader<'_, '_>, out: &mut Sink<'_>) -> Result {
    let (sign, flip) = match reader.byte()? {
        DECIMAL_ZERO => {
            put(out, &[0; 5]);
            return Ok(());
        }
        DECIMAL_POSITIVE => (Sign::Plus, 0),
        DECIMAL_NEGATIVE => (Sign::Minus, 0xFF),
        _ => return Err(malformed()),
    };
    let exponent = u64::from_be_bytes(reader.array::<8>()?.map(|byte| byte ^ flip)) ^ (1 << 63);
    let mut digits = Vec::new();
    loop {
        match reader.byte()? ^ flip {
            0 => break,
            // Skipping needs no digits.
            _ if out.is_none() => {}
            pair @ 1..=100 => digits.extend([(pair - 1) / 10, (pair - 1) % 10]),
            _ => return Err(malformed()),
        }
    }
    let Some(out) = out else { return Ok(()) };
    restore_decimal(sign, exponent.cast_signed(), digits)?.encode(out);
    Ok(())
}

/// The decimal 0.d1d2d3... x 10^exponent, as a whole number if it is a short one.
fn restore_decimal(sign: Sign, exponent: i64, mut digits: Vec<u8>) -> Result<Decimal> {
    if digits.last() == Some(&0) {
        digits.pop();
    }
    let count = digits.len() as i64;
    if (count..=MAX_WHOLE_DIGITS).contains(&exponent) {
        digits.resize(exponent as usize, 0);
    }
    // A scale that has no room for the zeros that encoding left off gets them back.
    let scale = (digits.len() as i64).checked_sub(exponent).ok_or_else(malformed)?;
    let zeros = i64::from(i32::MIN).saturating_sub(scale).max(0);
    if zeros > MAX_KEY_DIGITS {
        return Err(malformed());
    }
    digits.resize(digits.len() + zeros as usize, 0);
    let scale = i32::try_from(scale + zeros).ok();
    let unscaled = BigInt::from_radix_be(sign, &digits, 10);
    match (scale, unscaled) {
        (Some(scale), Some(unscaled)) if count > 0 => Ok(Decimal::new(unscaled, scale)),
        _ => Err(malformed()),
    }
}

/// Runs `read` with room for a length before what it appends, and fills it in.
fn sized(out: &mut Sink<'_>, read: impl FnOnce(&mut Sink<'_>) -> Result<Component>) -> Result<Component> {
    let start = out.as_ref().map(|out| out.len());
    put(out, &[0; 4]);
    let component = read(out)?;
    if let (Some(out), Some(start)) = (out, start) {
        let length = match component {
            Component::Null => -1,
            _ => checked_length(out.len() - start - 4)?,
        };
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
    Ok(component)
}

fn read_collection(pattern: &[&CqlType], reader: &mut Reader<'_, '_>, out: &mut Sink<'_>) -> Result {
    let start = out.as_ref().map(|out| out.len());
    put(out, &[0; 4]);
    let mut count = 0i32;
    while reader.peek()? != END {
        for ty in pattern {
            sized(out, |out| read_tagged(ty, reader, out))?;
        }
        count = count.checked_add(1).ok_or_else(malformed)?;
    }
    reader.byte()?;
    if let (Some(out), Some(start)) = (out, start) {
        out[start..start + 4].copy_from_slice(&count.to_be_bytes());
    }
    Ok(())
}

fn read_fields<'t>(
    types: impl Iterator<Item = &'t CqlType>,
    reader: &mut Reader<'_, '_>,
    out: &mut Sink<'_>,
) -> Result {
    for ty in types {
        if reader.peek()? == END {
            put(out, &(-1i32).to_be_bytes());
        } else {
            sized(out, |out| read_tagged(ty, reader, out))?;
        }
    }
    if reader.byte()? == END { Ok(()) } else { Err(malformed()) }
}

fn read_vector_element(element: &CqlType, reader: &mut Reader<'_, '_>, out: &mut Sink<'_>) -> Result {
    if element.fixed_value_length().is_some() {
        return read_body(element, reader, out);
    }
    match out {
        None => read_tagged(element, reader, &mut None).map(|_| ()),
        Some(out) => {
            write_vector_element(element, out, |out| read_tagged(element, reader, &mut Some(out)).map(|_| ()))
        }
    }
}
