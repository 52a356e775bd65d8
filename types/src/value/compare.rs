//! Cassandra's order of values, on wire bytes.

use std::cmp::Ordering;

use super::number::{Decimal, compare_varint};
use super::validate::read_vector_element;
use super::wire::{read_bytes, read_length};
use crate::cql_type::CqlType;

/// Compares two values of a type, given as their wire bytes, in Cassandra's order: empty values
/// come first, and null fields of tuples and user-defined types before every other.
/// Bytes that are not valid values come out in some order, without a panic.
#[must_use]
pub fn compare(ty: &CqlType, a: &[u8], b: &[u8]) -> Ordering {
    if a.is_empty() || b.is_empty() {
        return a.len().cmp(&b.len());
    }
    match ty {
        CqlType::Ascii
        | CqlType::Text
        | CqlType::Blob
        | CqlType::Custom(_)
        | CqlType::Date
        | CqlType::Time
        | CqlType::Duration
        | CqlType::Inet => a.cmp(b),
        CqlType::Boolean => (a[0] != 0).cmp(&(b[0] != 0)),
        CqlType::Tinyint
        | CqlType::Smallint
        | CqlType::Int
        | CqlType::Bigint
        | CqlType::Counter
        | CqlType::Timestamp => compare_signed(a, b),
        CqlType::Float => compare_fixed(a, b, |bytes| order_float(u32::from_be_bytes(bytes))),
        CqlType::Double => compare_fixed(a, b, |bytes| order_double(u64::from_be_bytes(bytes))),
        CqlType::Uuid => compare_fixed(a, b, |bytes| order_uuid(u128::from_be_bytes(bytes))),
        CqlType::Timeuuid => compare_fixed(a, b, |bytes| order_timeuuid(u128::from_be_bytes(bytes))),
        CqlType::Varint => compare_varint(a, b),
        CqlType::Decimal => match (Decimal::decode(a), Decimal::decode(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.cmp(b),
        },
        CqlType::List { element, .. } | CqlType::Set { element, .. } => compare_collections(&[element], a, b),
        CqlType::Map { key, value, .. } => compare_collections(&[key, value], a, b),
        CqlType::Tuple(fields) => compare_fields(fields.iter(), a, b),
        CqlType::UserDefined { definition, .. } => {
            compare_fields(definition.fields.iter().map(|(_, ty)| ty), a, b)
        }
        CqlType::Vector { element, dimensions } => compare_vectors(element, *dimensions, a, b),
    }
}

/// Two's complement numbers of one length: the first byte is signed.
fn compare_signed(a: &[u8], b: &[u8]) -> Ordering {
    a[0].cast_signed().cmp(&b[0].cast_signed()).then_with(|| a[1..].cmp(&b[1..]))
}

fn compare_fixed<const N: usize, K: Ord>(a: &[u8], b: &[u8], key: impl Fn([u8; N]) -> K) -> Ordering {
    match (<[u8; N]>::try_from(a), <[u8; N]>::try_from(b)) {
        (Ok(a), Ok(b)) => key(a).cmp(&key(b)),
        _ => a.cmp(b),
    }
}

/// A number whose unsigned order is that of the float with these bits (`Float.compare`).
pub(crate) const fn order_float(bits: u32) -> u32 {
    let bits = if bits & 0x7FFF_FFFF > 0x7F80_0000 { 0x7FC0_0000 } else { bits };
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// A number whose unsigned order is that of the double with these bits (`Double.compare`).
pub(crate) const fn order_double(bits: u64) -> u64 {
    let bits = if bits & (u64::MAX >> 1) > 0x7FF0_0000_0000_0000 { 0x7FF8_0000_0000_0000 } else { bits };
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// The time and version half of a UUID with its parts from the highest to the lowest.
pub(crate) const fn reorder_time(high: u64) -> u64 {
    (high << 48) | ((high << 16) & 0xFFFF_0000_0000) | (high >> 32)
}

/// A number whose order is that of `uuid`: version, then time for version 1, then bytes.
pub(crate) const fn order_uuid(uuid: u128) -> u128 {
    let high = (uuid >> 64) as u64;
    let version = (high >> 12) & 0xF;
    let high = if version == 1 {
        reorder_time(high)
    } else {
        (version << 60) | ((high >> 4) & 0x0FFF_FFFF_FFFF_F000) | (high & 0xFFF)
    };
    ((high as u128) << 64) | (uuid as u64) as u128
}

/// A number whose order is that of `timeuuid`: time, then signed bytes.
pub(crate) const fn order_timeuuid(uuid: u128) -> u128 {
    let time = reorder_time((uuid >> 64) as u64);
    ((time as u128) << 64) | ((uuid as u64) ^ 0x8080_8080_8080_8080) as u128
}

/// What [`order_uuid`] was made from.
pub(crate) const fn restore_uuid(ordered: u128) -> u128 {
    let high = (ordered >> 64) as u64;
    let version = high >> 60;
    let high = if version == 1 {
        restore_time(high)
    } else {
        ((high << 4) & 0xFFFF_FFFF_FFFF_0000) | (version << 12) | (high & 0xFFF)
    };
    ((high as u128) << 64) | (ordered as u64) as u128
}

/// What [`order_timeuuid`] was made from.
pub(crate) const fn restore_timeuuid(ordered: u128) -> u128 {
    let time = restore_time((ordered >> 64) as u64);
    ((time as u128) << 64) | ((ordered as u64) ^ 0x8080_8080_8080_8080) as u128
}

/// What [`reorder_time`] was made from.
const fn restore_time(ordered: u64) -> u64 {
    (ordered >> 48) | ((ordered >> 16) & 0xFFFF_0000) | (ordered << 32)
}

fn compare_collections(pattern: &[&CqlType], a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a, b);
    let (count_a, count_b) = (read_length(&mut a).unwrap_or(0), read_length(&mut b).unwrap_or(0));
    for _ in 0..count_a.min(count_b) {
        for ty in pattern {
            let (Some(next_a), Some(next_b)) = (read_bytes(&mut a), read_bytes(&mut b)) else {
                return a.len().cmp(&b.len());
            };
            let order = compare_nullable(ty, next_a, next_b);
            if order.is_ne() {
                return order;
            }
        }
    }
    count_a.cmp(&count_b)
}

fn compare_nullable(ty: &CqlType, a: Option<&[u8]>, b: Option<&[u8]>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => compare(ty, a, b),
        _ => a.is_some().cmp(&b.is_some()),
    }
}

/// Fields that are missing at the end are nulls.
fn compare_fields<'t>(types: impl Iterator<Item = &'t CqlType>, a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a, b);
    for ty in types {
        let (next_a, next_b) = (read_bytes(&mut a).flatten(), read_bytes(&mut b).flatten());
        let order = compare_nullable(ty, next_a, next_b);
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

fn compare_vectors(element: &CqlType, dimensions: u16, a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a, b);
    for _ in 0..dimensions {
        let (Some(next_a), Some(next_b)) =
            (read_vector_element(element, &mut a), read_vector_element(element, &mut b))
        else {
            return a.len().cmp(&b.len());
        };
        let order = compare(element, next_a, next_b);
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}
