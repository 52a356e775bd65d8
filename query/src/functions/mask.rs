//! Functions that hide values.

use super::number::wire;
use crate::error::{CqlError, invalid};
use dodona_types::CqlType;
use dodona_types::value::{CqlDuration, Decimal, Value};
use md5::{Digest, Md5};
use num_bigint::BigInt;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};
use std::net::{IpAddr, Ipv4Addr};
use uuid::Uuid;

/// What takes the place of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaskKind {
    /// Null.
    Null,
    /// A value of the type that says nothing.
    Default,
    /// Another value.
    Replace,
    /// The text with all but its ends hidden.
    Inner,
    /// The text with its ends hidden.
    Outer,
    /// A hash of the value's bytes.
    Hash,
}

/// The function's value.
pub(super) fn execute(
    kind: MaskKind,
    name: &str,
    ty: &CqlType,
    arguments: &[Option<&[u8]>],
) -> Result<Option<Vec<u8>>, CqlError> {
    let argument = |index: usize| arguments.get(index).copied().flatten();
    match kind {
        MaskKind::Null => Ok(None),
        MaskKind::Default => wire(ty, &default_of(ty)).map(Some),
        MaskKind::Replace => Ok(argument(1).map(<[u8]>::to_vec)),
        MaskKind::Hash => match argument(0) {
            None => Ok(None),
            Some(bytes) => hash(argument(1).unwrap_or(b"SHA-256"), bytes).map(Some),
        },
        MaskKind::Inner | MaskKind::Outer => {
            let padding = padding(name, argument(3))?;
            let Some(text) = argument(0) else { return Ok(None) };
            Ok(Some(partial(kind, text, argument(1), argument(2), padding)))
        }
    }
}

fn padding(name: &str, given: Option<&[u8]>) -> Result<char, CqlError> {
    let Some(bytes) = given else { return Ok('*') };
    let text = String::from_utf8_lossy(bytes);
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(only), None) => Ok(only),
        _ => invalid(format!(
            "The padding argument for function system.{name} should be single-character, but '{text}' has {} characters.",
            text.chars().count()
        )),
    }
}

fn partial(kind: MaskKind, text: &[u8], begin: Option<&[u8]>, end: Option<&[u8]>, padding: char) -> Vec<u8> {
    let count = |bytes: Option<&[u8]>| {
        let count = bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_be_bytes);
        usize::try_from(count).unwrap_or(0)
    };
    let text = String::from_utf8_lossy(text);
    let length = text.chars().count();
    let (begin, end) = (count(begin), length.saturating_sub(count(end)));
    let masked = text.chars().enumerate().map(|(index, c)| {
        let is_inner = index >= begin && index < end;
        if is_inner == (kind == MaskKind::Inner) { padding } else { c }
    });
    masked.collect::<String>().into_bytes()
}

fn hash(algorithm: &[u8], bytes: &[u8]) -> Result<Vec<u8>, CqlError> {
    let name = String::from_utf8_lossy(algorithm);
    Ok(match name.to_ascii_uppercase().as_str() {
        "MD5" => Md5::digest(bytes).to_vec(),
        "SHA-1" | "SHA1" | "SHA" => Sha1::digest(bytes).to_vec(),
        "SHA-224" => Sha224::digest(bytes).to_vec(),
        "SHA-256" => Sha256::digest(bytes).to_vec(),
        "SHA-384" => Sha384::digest(bytes).to_vec(),
        "SHA-512" => Sha512::digest(bytes).to_vec(),
        "SHA-512/224" => Sha512_224::digest(bytes).to_vec(),
        "SHA-512/256" => Sha512_256::digest(bytes).to_vec(),
        _ => return invalid(format!("Hash algorithm not found: {name}")),
    })
}

/// The value that `mask_default` gives for a type.
fn default_of(ty: &CqlType) -> Value {
    match ty {
        CqlType::Ascii | CqlType::Text => Value::Text("****".into()),
        CqlType::Blob | CqlType::Custom(_) => Value::Blob(Vec::new()),
        CqlType::Boolean => Value::Boolean(false),
        CqlType::Tinyint => Value::Tinyint(0),
        CqlType::Smallint => Value::Smallint(0),
        CqlType::Int => Value::Int(0),
        CqlType::Bigint => Value::Bigint(0),
        CqlType::Counter => Value::Counter(0),
        CqlType::Varint => Value::Varint(BigInt::ZERO),
        CqlType::Decimal => Value::Decimal(Decimal::new(BigInt::ZERO, 0)),
        CqlType::Float => Value::Float(0.0),
        CqlType::Double => Value::Double(0.0),
        CqlType::Date => Value::Date(1 << 31),
        CqlType::Time => Value::Time(0),
        CqlType::Timestamp => Value::Timestamp(0),
        CqlType::Duration => Value::Duration(CqlDuration::default()),
        CqlType::Inet => Value::Inet(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        CqlType::Uuid => Value::Uuid(Uuid::nil()),
        // The least timeuuid of the epoch.
        CqlType::Timeuuid => Value::Uuid(Uuid::from_u128(0x1381_4000_1dd2_11b2_8080_8080_8080_8080)),
        CqlType::List { .. } => Value::List(Vec::new()),
        CqlType::Set { .. } => Value::Set(Vec::new()),
        CqlType::Map { .. } => Value::Map(Vec::new()),
        CqlType::Tuple(fields) => Value::Tuple(fields.iter().map(|ty| Some(default_of(ty))).collect()),
        CqlType::UserDefined { definition, .. } => {
            Value::UserDefined(definition.fields.iter().map(|(_, ty)| Some(default_of(ty))).collect())
        }
        CqlType::Vector { element, dimensions } => {
            Value::Vector(vec![default_of(element); usize::from(*dimensions)])
        }
    }
}
