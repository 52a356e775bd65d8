//! Writing the primitives of the protocol at the end of a buffer.
//!
//! Writing never fails: text and lists longer than their length field can say are cut. Only
//! free text (error messages, warnings) can be that long; names and ids are bounded elsewhere.

use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, BytesMut};
use dodona_types::Consistency;
use uuid::Uuid;

use super::Value;

const NULL: i32 = -1;
const UNSET: i32 = -2;
const MAX_SHORT: usize = u16::MAX as usize;

/// `[short]`
#[inline]
pub fn put_short(out: &mut BytesMut, number: u16) {
    out.put_u16(number);
}

/// `[int]`
#[inline]
pub fn put_int(out: &mut BytesMut, number: i32) {
    out.put_i32(number);
}

/// `[long]`
#[inline]
pub fn put_long(out: &mut BytesMut, number: i64) {
    out.put_i64(number);
}

/// `[uuid]`
pub fn put_uuid(out: &mut BytesMut, uuid: Uuid) {
    out.put_slice(uuid.as_bytes());
}

/// `[string]`, cut at a character boundary if it is longer than 65,535 bytes.
pub fn put_string(out: &mut BytesMut, text: &str) {
    put_short_bytes(out, &text.as_bytes()[..text.floor_char_boundary(MAX_SHORT)]);
}

/// `[long string]`
pub fn put_long_string(out: &mut BytesMut, text: &str) {
    put_bytes(out, text.as_bytes());
}

/// `[short bytes]`, cut if longer than 65,535 bytes.
pub fn put_short_bytes(out: &mut BytesMut, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(MAX_SHORT)];
    put_count(out, bytes.len());
    out.put_slice(bytes);
}

/// `[bytes]`, not null.
///
/// A message is never anywhere near the 2 GiB that the length could not say.
#[inline]
pub fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    debug_assert!(i32::try_from(bytes.len()).is_ok());
    out.put_i32(bytes.len() as i32);
    out.put_slice(bytes);
}

/// `[bytes]`, `None` is null.
#[inline]
pub fn put_bytes_opt(out: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => put_bytes(out, bytes),
        None => out.put_i32(NULL),
    }
}

/// `[value]`
#[inline]
pub fn put_value(out: &mut BytesMut, value: Value<'_>) {
    match value {
        Value::Set(bytes) => put_bytes(out, bytes),
        Value::Null => out.put_i32(NULL),
        Value::Unset => out.put_i32(UNSET),
    }
}

/// `[unsigned vint]`
pub fn put_unsigned_vint(out: &mut BytesMut, number: u64) {
    let bits = u64::BITS - number.leading_zeros();
    let extra = (bits.saturating_sub(1) / 7).min(8) as usize;
    let bytes = number.to_be_bytes();
    if extra == 8 {
        out.put_u8(0xFF);
        out.put_slice(&bytes);
        return;
    }
    let ones = !(0xFF_u8 >> extra);
    out.put_u8(ones | bytes[7 - extra]);
    out.put_slice(&bytes[8 - extra..]);
}

/// `[vint]`
pub fn put_vint(out: &mut BytesMut, number: i64) {
    put_unsigned_vint(out, ((number >> 63) ^ (number << 1)).cast_unsigned());
}

/// `[inetaddr]`
pub fn put_inet_address(out: &mut BytesMut, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            out.put_u8(4);
            out.put_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            out.put_u8(16);
            out.put_slice(&address.octets());
        }
    }
}

/// `[inet]`
pub fn put_inet(out: &mut BytesMut, address: SocketAddr) {
    put_inet_address(out, address.ip());
    out.put_i32(i32::from(address.port()));
}

/// `[consistency]`
#[inline]
pub fn put_consistency(out: &mut BytesMut, consistency: Consistency) {
    out.put_u16(consistency.code());
}

/// `[string list]`
pub fn put_string_list<S: AsRef<str>>(out: &mut BytesMut, list: &[S]) {
    put_count(out, list.len());
    for text in list.iter().take(MAX_SHORT) {
        put_string(out, text.as_ref());
    }
}

/// `[string map]`
pub fn put_string_map<K: AsRef<str>, V: AsRef<str>>(out: &mut BytesMut, map: &[(K, V)]) {
    put_count(out, map.len());
    for (key, value) in map.iter().take(MAX_SHORT) {
        put_string(out, key.as_ref());
        put_string(out, value.as_ref());
    }
}

/// `[string multimap]`
pub fn put_string_multimap<K: AsRef<str>, V: AsRef<str>>(out: &mut BytesMut, map: &[(K, Vec<V>)]) {
    put_count(out, map.len());
    for (key, values) in map.iter().take(MAX_SHORT) {
        put_string(out, key.as_ref());
        put_string_list(out, values);
    }
}

/// `[bytes map]`
pub fn put_bytes_map<K: AsRef<str>, V: AsRef<[u8]>>(out: &mut BytesMut, map: &[(K, Option<V>)]) {
    put_count(out, map.len());
    for (key, value) in map.iter().take(MAX_SHORT) {
        put_string(out, key.as_ref());
        put_bytes_opt(out, value.as_ref().map(AsRef::as_ref));
    }
}

/// The `[short]` count of a list, at most 65,535.
fn put_count(out: &mut BytesMut, count: usize) {
    out.put_u16(u16::try_from(count).unwrap_or(u16::MAX));
}
