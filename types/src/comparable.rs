//! Byte-comparable encoding of clustering components: memcmp order equals typed order.
//!
//! # Layout
//! A clustering key is a sequence of components. A component is one tag byte and, for a value,
//! a body that tells by itself where it ends. No component is a prefix of another.
//!
//! | tag | ascending | descending |
//! |---|---|---|
//! | null | `20` | `20` |
//! | empty | `30` | `CF` |
//! | value | `40` | `BF` |
//!
//! In a descending column every byte of the body is inverted and so are the tags of empty and
//! value: values come in reverse, and empty ones last, as in Cassandra 5.0 (where the order of
//! `ReversedType` is the base type's, backwards). Null comes first either way.
//!
//! `00` and `FF` are never tags: a bound is a prefix of whole components followed by one of them
//! ([`BELOW`], [`ABOVE`]), and so sorts below or above every key that begins with the prefix.
//!
//! # Bodies (ascending)
//! - `tinyint smallint int bigint counter timestamp`: big-endian, sign bit flipped.
//! - `date time`: as on the wire (unsigned). `boolean`: `00` or `01`.
//! - `float double`: the bits, all inverted if negative, else the sign bit flipped; every NaN is
//!   the canonical one.
//! - `uuid`: version first, then the time from high to low for version 1, else the bytes.
//!   `timeuuid`: the time from high to low, then the rest with the sign bit of each byte flipped.
//! - `ascii text blob inet duration` and custom types: the bytes, `00` written as `00 FF`, then
//!   `00 00`.
//! - `varint`: a header of sign and length, then the shortest two's complement bytes.
//! - `decimal`: sign, power of ten, digits two to a byte, `00`. Scale is not kept.
//! - `list set`: each element as a component, then `10` (below every tag). `map`: key and value
//!   in turn. `tuple` and user-defined types: each field, without trailing nulls, then `10`.
//! - `vector`: the bodies of the elements if all have the same length, else components.
//!
//! Where comparable bytes do not give the client's bytes back ([`needs_original`]), they decide
//! identity and order, and whoever stores rows keeps the original aside.

mod decode;
mod encode;

use crate::cql_type::CqlType;
use crate::value::ValueError;

pub use decode::{begins_empty, decode_component, skip_component};
pub use encode::encode_component;

/// Ends a bound that sorts below every key with its prefix.
pub const BELOW: u8 = 0x00;
/// Ends a bound that sorts above every key with its prefix.
pub const ABOVE: u8 = 0xFF;

/// The tag of a null.
const NULL: u8 = 0x20;
/// The tag of an empty value; inverted if descending.
const EMPTY: u8 = 0x30;
/// The tag of a value; inverted if descending.
const VALUE: u8 = 0x40;
/// Ends a collection, a tuple or a user-defined type.
const END: u8 = 0x10;
/// Ends variable-length bytes, twice, and escapes itself when followed by [`ESCAPED`].
const ZERO: u8 = 0x00;
/// Follows a zero byte that is part of the value.
const ESCAPED: u8 = 0xFF;
/// The length of a varint, less one, from which it stands in four bytes of its own.
const LONG_VARINT: usize = 0x7F;
/// The first byte of a negative decimal.
const DECIMAL_NEGATIVE: u8 = 0x40;
/// The only byte of a decimal zero.
const DECIMAL_ZERO: u8 = 0x80;
/// The first byte of a positive decimal.
const DECIMAL_POSITIVE: u8 = 0xC0;
/// Decimals that are whole numbers of at most this many digits decode with scale 0.
const MAX_WHOLE_DIGITS: i64 = 40;

/// No decimal of a key, which is shorter than 64 KiB, has as many digits.
const MAX_KEY_DIGITS: i64 = 160_000;

/// What a component held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// No value at all.
    Null,
    /// A value of zero bytes.
    Empty,
    /// Any other value.
    Value,
}

/// Appends a whole clustering key: for each component its type, whether its order is
/// descending, and its wire bytes.
///
/// # Errors
/// A value is not one of its type. What was appended before it stays.
pub fn encode_key<'a>(
    components: impl IntoIterator<Item = (&'a CqlType, bool, Option<&'a [u8]>)>,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    components.into_iter().try_for_each(|(ty, descending, wire)| encode_component(ty, descending, wire, out))
}

/// True if every valid value of the type comes back from its comparable bytes as it was.
#[must_use]
pub fn is_lossless(ty: &CqlType) -> bool {
    match ty {
        CqlType::Boolean | CqlType::Float | CqlType::Double | CqlType::Decimal | CqlType::Varint => false,
        // Trailing nulls may be absent, and nulls have many lengths.
        CqlType::Tuple(_) | CqlType::UserDefined { .. } => false,
        CqlType::Vector { element, .. } => element.fixed_value_length().is_some() && is_lossless(element),
        CqlType::List { element, .. } | CqlType::Set { element, .. } => is_lossless(element),
        CqlType::Map { key, value, .. } => is_lossless(key) && is_lossless(value),
        _ => true,
    }
}

/// True if the comparable bytes of this value do not give its wire bytes back, so that they must
/// be kept aside: decimals of an unusual scale, varints with needless bytes, unusual NaNs,
/// booleans above 1, tuples without their trailing nulls.
#[must_use]
pub fn needs_original(ty: &CqlType, wire: &[u8]) -> bool {
    if wire.is_empty() || is_lossless(ty) {
        return false;
    }
    match ty {
        CqlType::Boolean => wire[0] > 1,
        CqlType::Varint => crate::value::minimal_varint(wire).len() != wire.len(),
        CqlType::Float => {
            f32::from_be_bytes(wire.try_into().unwrap_or_default()).is_nan() && wire != encode::NAN_FLOAT
        }
        CqlType::Double => {
            f64::from_be_bytes(wire.try_into().unwrap_or_default()).is_nan() && wire != encode::NAN_DOUBLE
        }
        _ => !round_trips(ty, wire),
    }
}

fn round_trips(ty: &CqlType, wire: &[u8]) -> bool {
    let (mut comparable, mut back) = (Vec::new(), Vec::new());
    encode_component(ty, false, Some(wire), &mut comparable).is_ok()
        && decode_component(ty, false, &mut comparable.as_slice(), &mut back).is_ok()
        && back == wire
}

#[cfg(test)]
#[path = "comparable_tests.rs"]
mod tests;
