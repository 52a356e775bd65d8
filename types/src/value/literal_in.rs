//! Constants of CQL text to wire bytes (Cassandra's `Constants.Literal`).

use std::fmt;

use num_bigint::BigInt;
use uuid::Uuid;

use super::ValueError;
use super::date_time::{parse_date, parse_time, parse_timestamp};
use super::duration::CqlDuration;
use super::inet::{encode_inet, parse_inet};
use super::number::{Decimal, encode_varint};
use super::validate::{is_version_1, validate};
use super::wire::write_bytes;
use crate::cql_type::CqlType;
use crate::hex::hex_to_bytes;

/// The kinds of constants that CQL has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LiteralKind {
    /// A string in quotes or dollars. The text of the constant is without them.
    String,
    /// Digits, with a minus sign if negative.
    Integer,
    /// Digits with a point or an exponent, `NaN`, `Infinity` and `-Infinity`.
    Float,
    /// `true` or `false`, in any case.
    Boolean,
    /// A UUID.
    Uuid,
    /// `0x` and hexadecimal digits.
    Hex,
    /// A duration.
    Duration,
}

impl fmt::Display for LiteralKind {
    /// The kind as Cassandra names it in messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "STRING",
            Self::Integer => "INTEGER",
            Self::Float => "FLOAT",
            Self::Boolean => "BOOLEAN",
            Self::Uuid => "UUID",
            Self::Hex => "HEX",
            Self::Duration => "DURATION",
        })
    }
}

/// How well a constant fits a type; decides between overloads of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// It is the type that the constant has when nothing else is known.
    Exact,
    /// The constant can be converted.
    Weak,
    /// The constant cannot be of this type.
    Not,
}

/// Why a constant could not be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LiteralError {
    /// Constants of this kind are never of the type. The caller knows the column's name and
    /// says `Invalid INTEGER constant (1) for "v" of type text`.
    #[error("constants of this kind are not of the type")]
    WrongKind,
    /// The kind fits, the text does not.
    #[error(transparent)]
    Value(#[from] ValueError),
}

impl LiteralKind {
    /// The type of the constant when nothing else is known (`getPreferedTypeFor`).
    #[must_use]
    pub fn preferred_type(self, text: &str) -> CqlType {
        match self {
            Self::String if text.is_ascii() => CqlType::Ascii,
            Self::String => CqlType::Text,
            Self::Integer if text.parse::<i32>().is_ok() => CqlType::Int,
            Self::Integer if text.parse::<i64>().is_ok() => CqlType::Bigint,
            Self::Integer => CqlType::Varint,
            Self::Float if is_exact_double(text) => CqlType::Double,
            Self::Float => CqlType::Decimal,
            Self::Boolean => CqlType::Boolean,
            Self::Uuid if text.as_bytes().get(14) == Some(&b'1') => CqlType::Timeuuid,
            Self::Uuid => CqlType::Uuid,
            // As Cassandra has it, though blobs are what they are used for.
            Self::Hex => CqlType::Tinyint,
            Self::Duration => CqlType::Duration,
        }
    }

    /// How well a constant of this kind, with this text, fits a type.
    #[must_use]
    pub fn assignment(self, text: &str, ty: &CqlType) -> Assignment {
        let fits = match ty {
            CqlType::List { .. }
            | CqlType::Set { .. }
            | CqlType::Map { .. }
            | CqlType::UserDefined { .. }
            | CqlType::Vector { .. } => false,
            CqlType::Custom(_) if ty.is_empty_type() => false,
            // Tuples have a form as text, and of no kind of constants it is said that they are not tuples.
            CqlType::Custom(_) | CqlType::Tuple(_) => return Assignment::Weak,
            CqlType::Ascii | CqlType::Text | CqlType::Inet => self == Self::String,
            CqlType::Date | CqlType::Time | CqlType::Timestamp => {
                matches!(self, Self::String | Self::Integer)
            }
            // Cassandra takes blobs for bytes.
            CqlType::Tinyint => matches!(self, Self::Integer | Self::Hex),
            CqlType::Smallint | CqlType::Int | CqlType::Bigint | CqlType::Counter | CqlType::Varint => {
                self == Self::Integer
            }
            CqlType::Float | CqlType::Double | CqlType::Decimal => {
                matches!(self, Self::Integer | Self::Float)
            }
            CqlType::Duration => matches!(self, Self::Integer | Self::Duration),
            CqlType::Uuid | CqlType::Timeuuid => self == Self::Uuid,
            CqlType::Boolean => self == Self::Boolean,
            CqlType::Blob => self == Self::Hex,
        };
        match fits {
            false => Assignment::Not,
            true if self.preferred_type(text) == *ty => Assignment::Exact,
            true => Assignment::Weak,
        }
    }
}

/// True if a double holds the number exactly as Java judges it: through its shortest text.
fn is_exact_double(text: &str) -> bool {
    let Ok(double) = text.parse::<f64>() else {
        return false;
    };
    if !double.is_finite() {
        return text.ends_with("NaN") || text.ends_with("Infinity");
    }
    let shortest = format!("{double:e}").parse::<Decimal>();
    matches!((text.parse::<Decimal>(), shortest), (Ok(exact), Ok(shortest)) if exact.cmp(&shortest).is_eq())
}

/// Appends the wire bytes of a constant for a type.
///
/// # Errors
/// Constants of the kind are not of the type, or the text is malformed or out of range.
/// `now` as a timestamp is refused, see [`is_now`](super::is_now).
pub fn literal_to_wire(
    kind: LiteralKind,
    text: &str,
    ty: &CqlType,
    out: &mut Vec<u8>,
) -> Result<(), LiteralError> {
    if kind.assignment(text, ty) == Assignment::Not {
        return Err(LiteralError::WrongKind);
    }
    if kind == LiteralKind::Hex {
        let start = out.len();
        hex_digits(text.get(2..).unwrap_or_default(), out)?;
        return Ok(validate(ty, &out[start..])?);
    }
    let start = out.len();
    text_to_wire(text, ty, out)?;
    // Digits that stand for no double are not taken for infinity.
    if *ty == CqlType::Double && text.contains(|c: char| c.is_ascii_digit()) {
        let is_finite = out[start..].try_into().is_ok_and(|bytes| f64::from_be_bytes(bytes).is_finite());
        if !is_finite {
            return Ok(unable("double", text)?);
        }
    }
    Ok(())
}

fn hex_digits(digits: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let invalid = || ValueError::new(format!("cannot parse '{digits}' as hex bytes"));
    out.extend_from_slice(&hex_to_bytes(digits).ok_or_else(invalid)?);
    Ok(())
}

fn unable<T>(what: &str, text: &str) -> Result<T, ValueError> {
    Err(ValueError::new(format!("Unable to make {what} from '{text}'")))
}

/// Appends the wire bytes of a native type's value given as text (`AbstractType.fromString`).
/// Empty text is the empty value of those types that have one; as a boolean it is false.
pub(crate) fn text_to_wire(text: &str, ty: &CqlType, out: &mut Vec<u8>) -> Result<(), ValueError> {
    if text.is_empty() && *ty == CqlType::Boolean {
        out.push(0);
        return Ok(());
    }
    if text.is_empty() && ty.is_empty_value_allowed() {
        return Ok(());
    }
    match ty {
        CqlType::Text => out.extend_from_slice(text.as_bytes()),
        CqlType::Ascii if text.is_ascii() => out.extend_from_slice(text.as_bytes()),
        CqlType::Ascii => {
            // In units of UTF-16.
            let length = text.chars().find(|c| !c.is_ascii()).map_or(1, char::len_utf16);
            let reason = format!("java.nio.charset.UnmappableCharacterException: Input length = {length}");
            return Err(ValueError::new(format!("Invalid ASCII character in string literal: {reason}")));
        }
        CqlType::Blob | CqlType::Custom(_) => hex_digits(text, out)?,
        CqlType::List { .. } | CqlType::Set { .. } | CqlType::Map { .. } | CqlType::Vector { .. } => {
            let start = out.len();
            hex_digits(text, out)?;
            validate(ty, &out[start..])?;
        }
        CqlType::Boolean => match text {
            _ if text.eq_ignore_ascii_case("true") => out.push(1),
            _ if text.eq_ignore_ascii_case("false") => out.push(0),
            _ => return unable("boolean", text),
        },
        CqlType::Date => out.extend_from_slice(&parse_date(text)?.to_be_bytes()),
        CqlType::Time => out.extend_from_slice(&parse_time(text)?.to_be_bytes()),
        CqlType::Timestamp => out.extend_from_slice(&parse_timestamp(text)?.to_be_bytes()),
        CqlType::Inet => encode_inet(parse_inet(text)?, out),
        CqlType::Duration => text.parse::<CqlDuration>()?.encode(out),
        CqlType::Uuid | CqlType::Timeuuid => uuid_text(text, ty, out)?,
        CqlType::Tuple(fields) => tuple_text(text, ty, fields, out)?,
        CqlType::UserDefined { definition, .. } => {
            let fields: Vec<CqlType> = definition.fields.iter().map(|(_, field)| field.clone()).collect();
            tuple_text(text, ty, &fields, out)?;
        }
        _ => number_text(text, ty, out)?,
    }
    Ok(())
}

/// Fields set apart by colons, `@` for one that is null; both can be escaped by a backslash.
fn tuple_text(text: &str, ty: &CqlType, types: &[CqlType], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut fields = vec![String::new()];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let last = fields.last_mut();
        match (character, characters.peek(), last) {
            (':', ..) => fields.push(String::new()),
            // Kept until it is known whether a whole field is `@`.
            ('\\', Some(':' | '@'), Some(field)) => {
                field.extend([character].into_iter().chain(characters.next()));
            }
            (_, _, Some(field)) => field.push(character),
            (_, _, None) => {}
        }
    }
    if fields.len() > types.len() {
        return Err(ValueError::new(format!(
            "Invalid tuple literal: too many elements. Type {ty} expects {} but got {}",
            types.len(),
            fields.len()
        )));
    }
    for (field, ty) in fields.iter().zip(types) {
        if field == "@" {
            write_bytes(None, out)?;
            continue;
        }
        let mut wire = Vec::new();
        text_to_wire(&field.replace("\\:", ":").replace("\\@", "@"), ty, &mut wire)?;
        write_bytes(Some(&wire), out)?;
    }
    Ok(())
}

fn uuid_text(text: &str, ty: &CqlType, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let uuid = Uuid::parse_str(text).ok().filter(|_| text.len() == 36);
    let Some(uuid) = uuid else {
        return match ty {
            CqlType::Timeuuid => Err(ValueError::new(format!("Unknown timeuuid representation: {text}"))),
            _ => unable("UUID", text),
        };
    };
    if *ty == CqlType::Timeuuid && !is_version_1(uuid.as_bytes()) {
        return Err(ValueError::new("TimeUUID supports only version 1 UUIDs"));
    }
    out.extend_from_slice(uuid.as_bytes());
    Ok(())
}

fn number_text(text: &str, ty: &CqlType, out: &mut Vec<u8>) -> Result<(), ValueError> {
    macro_rules! integer {
        ($rust:ty, $name:literal) => {
            match text.parse::<$rust>() {
                Ok(value) => out.extend_from_slice(&value.to_be_bytes()),
                Err(_) => return unable($name, text),
            }
        };
    }
    match ty {
        CqlType::Tinyint => integer!(i8, "byte"),
        CqlType::Smallint => integer!(i16, "short"),
        CqlType::Int => integer!(i32, "int"),
        CqlType::Bigint | CqlType::Counter => integer!(i64, "long"),
        CqlType::Float => match parse_float::<f32>(text) {
            Some(value) => out.extend_from_slice(&value.to_be_bytes()),
            None => return unable("float", text),
        },
        CqlType::Double => match parse_float::<f64>(text) {
            Some(value) => out.extend_from_slice(&value.to_be_bytes()),
            None => return unable("double", text),
        },
        CqlType::Varint => match parse_integer(text) {
            Some(value) => out.extend_from_slice(&encode_varint(&value)),
            None => return Err(ValueError::new(format!("unable to make int from '{text}'"))),
        },
        CqlType::Decimal => text.parse::<Decimal>()?.encode(out),
        _ => return Err(ValueError::new(format!("There is no text form of type {ty}"))),
    }
    Ok(())
}

/// A float as Java reads it: a number, `NaN` or `Infinity`, and no other words.
fn parse_float<F: std::str::FromStr>(text: &str) -> Option<F> {
    let bare = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = bare.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let is_word = matches!(bare, "NaN" | "Infinity");
    if is_number || is_word { (if bare == "NaN" { bare } else { text }).parse().ok() } else { None }
}

fn parse_integer(text: &str) -> Option<BigInt> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if valid { BigInt::parse_bytes(text.as_bytes(), 10) } else { None }
}
