//! Values of CQL's types: their wire encoding, validation, order, literals and JSON.
//!
//! A value travels as *wire bytes* (native_protocol_v5 section 6); a null is the absence of
//! bytes and never seen here at the top. Zero bytes are the *empty* value, which most types
//! allow. Everything that runs for each row works on wire bytes; the owned [`Value`] is for
//! functions, tools and tests.

mod compare;
mod date_time;
mod decode;
mod duration;
mod encode;
mod error;
mod inet;
mod json;
mod literal_in;
mod literal_out;
mod number;
mod validate;
mod wire;

use std::net::IpAddr;

use num_bigint::BigInt;
use uuid::Uuid;

pub use compare::compare;
pub use date_time::{
    civil_from_days, days_from_civil, format_date, format_time, format_timestamp, is_now, parse_date,
    parse_time, parse_timestamp,
};
pub use decode::decode;
pub use duration::CqlDuration;
pub use encode::encode;
pub use error::ValueError;
pub use inet::{format_inet, inet_to_wire, parse_inet};
pub use json::{JsonValue, json_to_wire, parse_json, wire_to_json, write_json_string};
pub use literal_in::{Assignment, LiteralError, LiteralKind, literal_to_wire};
pub use literal_out::wire_to_literal;
pub use number::{Decimal, decode_varint, encode_varint, format_double, format_float};
pub use validate::validate;
pub use wire::{
    elements, elements_to_wire, map_entries, map_to_wire, read_bytes, read_length, read_unsigned_vint,
    read_vint, write_bytes, write_unsigned_vint, write_vint,
};

pub(crate) use compare::{
    order_double, order_float, order_timeuuid, order_uuid, restore_timeuuid, restore_uuid,
};
pub(crate) use encode::write_vector_element;
pub(crate) use number::minimal_varint;
pub(crate) use validate::read_vector_element;
pub(crate) use wire::checked_length;

/// An owned value of a CQL type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Zero bytes of a type whose values otherwise have some (not used for text and blobs).
    Empty,
    /// `ascii` or `text`.
    Text(String),
    /// `blob`, or a custom type.
    Blob(Vec<u8>),
    /// `boolean`.
    Boolean(bool),
    /// `tinyint`.
    Tinyint(i8),
    /// `smallint`.
    Smallint(i16),
    /// `int`.
    Int(i32),
    /// `bigint`.
    Bigint(i64),
    /// `counter`.
    Counter(i64),
    /// `varint`.
    Varint(BigInt),
    /// `decimal`.
    Decimal(Decimal),
    /// `float`.
    Float(f32),
    /// `double`.
    Double(f64),
    /// `uuid` or `timeuuid`.
    Uuid(Uuid),
    /// `inet`.
    Inet(IpAddr),
    /// `date`: days, 1970-01-01 being 2^31.
    Date(u32),
    /// `time`: nanoseconds since midnight.
    Time(i64),
    /// `timestamp`: milliseconds since 1970-01-01.
    Timestamp(i64),
    /// `duration`.
    Duration(CqlDuration),
    /// `list`.
    List(Vec<Value>),
    /// `set`, in the order of its elements.
    Set(Vec<Value>),
    /// `map`, in the order of its keys.
    Map(Vec<(Value, Value)>),
    /// `tuple`: missing trailing fields are as good as null.
    Tuple(Vec<Option<Value>>),
    /// A user-defined type: the fields in the order of its definition.
    UserDefined(Vec<Option<Value>>),
    /// `vector`.
    Vector(Vec<Value>),
}

#[cfg(test)]
pub(crate) mod strategies;
#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
