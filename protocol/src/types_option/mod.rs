//! Types of columns as `[option]`s (native_protocol_v5 section 4.2.5.2).
//!
//! What a version has no option for is sent as a custom type, by the name of Cassandra's class:
//! vectors always, `duration` before version 5, `date`, `time`, `smallint` and `tinyint` before
//! version 4. An option does not say whether a type is frozen: decoded types are not, except
//! inside custom types.

mod marshal;

pub use marshal::{marshal_name, parse_marshal_name};

use std::sync::Arc;

use bytes::BytesMut;
use dodona_types::limits::MAX_NESTING;
use dodona_types::{CqlType, UserType};

use crate::error::DecodeError;
use crate::primitives::{Reader, put_short, put_string};
use crate::version::Version;

const CUSTOM: u16 = 0x0000;
/// What versions 1 and 2 called varchar.
const TEXT_ALIAS: u16 = 0x000A;
const LIST: u16 = 0x0020;
const MAP: u16 = 0x0021;
const SET: u16 = 0x0022;
const USER_DEFINED: u16 = 0x0030;
const TUPLE: u16 = 0x0031;
/// The least bytes of an option: its id.
const MIN_OPTION_BYTES: usize = 2;

/// Types without parameters: option, type, first version that has the option.
const SIMPLE: [(u16, CqlType, Version); 20] = [
    (0x0001, CqlType::Ascii, Version::V3),
    (0x0002, CqlType::Bigint, Version::V3),
    (0x0003, CqlType::Blob, Version::V3),
    (0x0004, CqlType::Boolean, Version::V3),
    (0x0005, CqlType::Counter, Version::V3),
    (0x0006, CqlType::Decimal, Version::V3),
    (0x0007, CqlType::Double, Version::V3),
    (0x0008, CqlType::Float, Version::V3),
    (0x0009, CqlType::Int, Version::V3),
    (0x000B, CqlType::Timestamp, Version::V3),
    (0x000C, CqlType::Uuid, Version::V3),
    (0x000D, CqlType::Text, Version::V3),
    (0x000E, CqlType::Varint, Version::V3),
    (0x000F, CqlType::Timeuuid, Version::V3),
    (0x0010, CqlType::Inet, Version::V3),
    (0x0011, CqlType::Date, Version::V4),
    (0x0012, CqlType::Time, Version::V4),
    (0x0013, CqlType::Smallint, Version::V4),
    (0x0014, CqlType::Tinyint, Version::V4),
    (0x0015, CqlType::Duration, Version::V5),
];

/// Appends `cql_type` as an `[option]`.
pub fn put_type(out: &mut BytesMut, cql_type: &CqlType, version: Version) {
    match cql_type {
        CqlType::List { element, .. } => put_parameterized(out, LIST, &[element], version),
        CqlType::Set { element, .. } => put_parameterized(out, SET, &[element], version),
        CqlType::Map { key, value, .. } => put_parameterized(out, MAP, &[key, value], version),
        CqlType::Tuple(fields) => {
            put_short(out, TUPLE);
            put_short(out, count(fields.len()));
            for field in fields.iter() {
                put_type(out, field, version);
            }
        }
        CqlType::UserDefined { definition, .. } => put_user_type(out, definition, version),
        CqlType::Vector { .. } | CqlType::Custom(_) => put_custom(out, cql_type),
        simple => match SIMPLE.iter().find(|(_, known, _)| known == simple) {
            Some((option, _, since)) if *since <= version => put_short(out, *option),
            _ => put_custom(out, simple),
        },
    }
}

fn put_custom(out: &mut BytesMut, cql_type: &CqlType) {
    put_short(out, CUSTOM);
    put_string(out, &marshal_name(cql_type));
}

fn put_parameterized(out: &mut BytesMut, option: u16, parameters: &[&CqlType], version: Version) {
    put_short(out, option);
    for parameter in parameters {
        put_type(out, parameter, version);
    }
}

fn put_user_type(out: &mut BytesMut, definition: &UserType, version: Version) {
    put_short(out, USER_DEFINED);
    put_string(out, &definition.keyspace);
    put_string(out, &definition.name);
    put_short(out, count(definition.fields.len()));
    for (name, field) in &definition.fields {
        put_string(out, name);
        put_type(out, field, version);
    }
}

/// A number of fields, of which the schema allows fewer than 2^16.
fn count(length: usize) -> u16 {
    debug_assert!(u16::try_from(length).is_ok());
    length as u16
}

/// Reads an `[option]`.
///
/// # Errors
/// If it is malformed, of unknown id, or nested deeper than [`MAX_NESTING`].
pub fn read_type(reader: &mut Reader<'_>) -> Result<CqlType, DecodeError> {
    read_nested(reader, MAX_NESTING)
}

fn read_nested(reader: &mut Reader<'_>, levels: usize) -> Result<CqlType, DecodeError> {
    let levels = levels.checked_sub(1).ok_or(DecodeError::TooDeep)?;
    let parameter = |reader: &mut Reader<'_>| read_nested(reader, levels).map(Arc::new);
    Ok(match reader.short()? {
        CUSTOM => parse_marshal_name(reader.string()?)?,
        TEXT_ALIAS => CqlType::Text,
        LIST => CqlType::List { element: parameter(reader)?, frozen: false },
        SET => CqlType::Set { element: parameter(reader)?, frozen: false },
        MAP => CqlType::Map { key: parameter(reader)?, value: parameter(reader)?, frozen: false },
        TUPLE => CqlType::Tuple(reader.list(MIN_OPTION_BYTES, |reader| read_nested(reader, levels))?.into()),
        USER_DEFINED => {
            let definition = UserType {
                keyspace: reader.string()?.into(),
                name: reader.string()?.into(),
                fields: reader.list(2 * MIN_OPTION_BYTES, |reader| {
                    Ok((reader.string()?.into(), read_nested(reader, levels)?))
                })?,
            };
            CqlType::UserDefined { definition: Arc::new(definition), frozen: false }
        }
        option => simple_type(option)?,
    })
}

fn simple_type(option: u16) -> Result<CqlType, DecodeError> {
    SIMPLE
        .iter()
        .find(|(known, ..)| *known == option)
        .map(|(_, cql_type, _)| cql_type.clone())
        .ok_or(DecodeError::UnknownNumber { what: "type option", number: i64::from(option) })
}

#[cfg(test)]
pub(crate) mod tests;
