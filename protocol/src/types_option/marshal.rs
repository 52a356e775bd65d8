//! Names of Cassandra's marshal classes, as Cassandra's `TypeParser` reads and prints them:
//! `ListType(Int32Type)` with the package before every class. Names of a user-defined type and
//! of its fields are in hexadecimal.

use std::fmt::Write;
use std::sync::Arc;

use dodona_types::limits::{MAX_NESTING, MAX_VECTOR_DIMENSIONS};
use dodona_types::{CqlType, UserType};

use crate::error::DecodeError;

const PACKAGE: &str = "org.apache.cassandra.db.marshal.";
const FROZEN: &str = "FrozenType";
const REVERSED: &str = "ReversedType";
const LIST: &str = "ListType";
const SET: &str = "SetType";
const MAP: &str = "MapType";
const TUPLE: &str = "TupleType";
const USER_DEFINED: &str = "UserType";
const VECTOR: &str = "VectorType";

/// Types without parameters and their classes.
const SIMPLE: [(CqlType, &str); 20] = [
    (CqlType::Ascii, "AsciiType"),
    (CqlType::Bigint, "LongType"),
    (CqlType::Blob, "BytesType"),
    (CqlType::Boolean, "BooleanType"),
    (CqlType::Counter, "CounterColumnType"),
    (CqlType::Date, "SimpleDateType"),
    (CqlType::Decimal, "DecimalType"),
    (CqlType::Double, "DoubleType"),
    (CqlType::Duration, "DurationType"),
    (CqlType::Float, "FloatType"),
    (CqlType::Inet, "InetAddressType"),
    (CqlType::Int, "Int32Type"),
    (CqlType::Smallint, "ShortType"),
    (CqlType::Text, "UTF8Type"),
    (CqlType::Time, "TimeType"),
    (CqlType::Timestamp, "TimestampType"),
    (CqlType::Timeuuid, "TimeUUIDType"),
    (CqlType::Tinyint, "ByteType"),
    (CqlType::Uuid, "UUIDType"),
    (CqlType::Varint, "IntegerType"),
];

/// The name of the class of `cql_type` with its parameters. As in Cassandra, `FrozenType` stands
/// only around the outermost frozen type.
#[must_use]
pub fn marshal_name(cql_type: &CqlType) -> String {
    let mut name = String::new();
    print(cql_type, false, &mut name);
    name
}

/// Appends the name; `in_frozen` if a type around this one is frozen already.
fn print(cql_type: &CqlType, in_frozen: bool, out: &mut String) {
    match cql_type {
        CqlType::List { element, frozen } => {
            print_frozen(*frozen, in_frozen, out, |inside, out| {
                print_class(LIST, &[element], inside, out);
            });
        }
        CqlType::Set { element, frozen } => {
            print_frozen(*frozen, in_frozen, out, |inside, out| {
                print_class(SET, &[element], inside, out);
            });
        }
        CqlType::Map { key, value, frozen } => {
            print_frozen(*frozen, in_frozen, out, |inside, out| {
                print_class(MAP, &[key, value], inside, out);
            });
        }
        CqlType::UserDefined { definition, frozen } => {
            print_frozen(*frozen, in_frozen, out, |inside, out| {
                print_user_type(definition, inside, out);
            });
        }
        CqlType::Tuple(fields) => {
            let fields: Vec<&CqlType> = fields.iter().collect();
            print_class(TUPLE, &fields, true, out);
        }
        CqlType::Vector { element, dimensions } => {
            out.extend([PACKAGE, VECTOR, "("]);
            print(element, in_frozen, out);
            // Writing to a String does not fail.
            let _ = write!(out, " , {dimensions})");
        }
        CqlType::Custom(name) => out.push_str(name),
        simple => {
            let class =
                SIMPLE.iter().find(|(known, _)| known == simple).map_or("BytesType", |(_, class)| class);
            out.extend([PACKAGE, class]);
        }
    }
}

fn print_frozen(frozen: bool, in_frozen: bool, out: &mut String, inner: impl FnOnce(bool, &mut String)) {
    if frozen && !in_frozen {
        out.extend([PACKAGE, FROZEN, "("]);
        inner(true, out);
        out.push(')');
    } else {
        inner(in_frozen, out);
    }
}

fn print_class(class: &str, parameters: &[&CqlType], in_frozen: bool, out: &mut String) {
    out.extend([PACKAGE, class]);
    let mut separator = '(';
    for parameter in parameters {
        out.push(separator);
        print(parameter, in_frozen, out);
        separator = ',';
    }
    out.push(')');
}

fn print_user_type(definition: &UserType, in_frozen: bool, out: &mut String) {
    out.extend([PACKAGE, USER_DEFINED, "(", &definition.keyspace, ","]);
    push_hex(&definition.name, out);
    for (name, field) in &definition.fields {
        out.push(',');
        push_hex(name, out);
        out.push(':');
        print(field, in_frozen, out);
    }
    out.push(')');
}

fn push_hex(text: &str, out: &mut String) {
    for byte in text.bytes() {
        let _ = write!(out, "{byte:02x}");
    }
}

/// The type whose class has this name. A class that is not known, at any depth, makes the whole
/// a custom type; `ReversedType` is dropped.
///
/// # Errors
/// If the name is malformed or nested deeper than [`MAX_NESTING`].
pub fn parse_marshal_name(name: &str) -> Result<CqlType, DecodeError> {
    let mut parser = Parser { rest: name, custom: false };
    let cql_type = parser.class(false, MAX_NESTING)?;
    parser.skip_blanks();
    if !parser.rest.is_empty() {
        return Err(DecodeError::unknown_text("class of a type", name));
    }
    Ok(if parser.custom { CqlType::Custom(name.into()) } else { cql_type })
}

struct Parser<'a> {
    rest: &'a str,
    /// A class was met that is not known.
    custom: bool,
}

impl<'a> Parser<'a> {
    fn class(&mut self, in_frozen: bool, levels: usize) -> Result<CqlType, DecodeError> {
        let levels = levels.checked_sub(1).ok_or(DecodeError::TooDeep)?;
        let name = self.identifier()?;
        let class = name.strip_prefix(PACKAGE).unwrap_or(name);
        Ok(match class {
            FROZEN => self.one(true, levels)?,
            REVERSED => self.one(in_frozen, levels)?,
            LIST => CqlType::List { element: Arc::new(self.one(in_frozen, levels)?), frozen: in_frozen },
            SET => CqlType::Set { element: Arc::new(self.one(in_frozen, levels)?), frozen: in_frozen },
            MAP => self.map(in_frozen, levels)?,
            TUPLE => CqlType::Tuple(self.list(|parser| parser.class(true, levels))?.into()),
            USER_DEFINED => self.user_type(in_frozen, levels)?,
            VECTOR => self.vector(levels)?,
            _ => self.simple(class, levels)?,
        })
    }

    fn simple(&mut self, class: &str, levels: usize) -> Result<CqlType, DecodeError> {
        if let Some((cql_type, _)) = SIMPLE.iter().find(|(_, known)| *known == class) {
            return Ok(cql_type.clone());
        }
        self.custom = true;
        if self.peek() == Some('(') {
            self.list(|parser| parser.unknown_parameter(levels))?;
        }
        Ok(CqlType::Blob)
    }

    /// A parameter of a class that is not known: a class, a number, `name:class` or `name=value`.
    fn unknown_parameter(&mut self, levels: usize) -> Result<(), DecodeError> {
        self.class(false, levels)?;
        for separator in [':', '='] {
            if self.peek() == Some(separator) {
                self.expect(separator)?;
                if self.peek() == Some('>') {
                    self.expect('>')?;
                }
                self.class(false, levels)?;
            }
        }
        Ok(())
    }

    fn one(&mut self, in_frozen: bool, levels: usize) -> Result<CqlType, DecodeError> {
        self.expect('(')?;
        let parameter = self.class(in_frozen, levels)?;
        self.expect(')')?;
        Ok(parameter)
    }

    fn map(&mut self, frozen: bool, levels: usize) -> Result<CqlType, DecodeError> {
        self.expect('(')?;
        let key = Arc::new(self.class(frozen, levels)?);
        self.expect(',')?;
        let value = Arc::new(self.class(frozen, levels)?);
        self.expect(')')?;
        Ok(CqlType::Map { key, value, frozen })
    }

    fn vector(&mut self, levels: usize) -> Result<CqlType, DecodeError> {
        self.expect('(')?;
        let element = Arc::new(self.class(true, levels)?);
        self.expect(',')?;
        let number = self.identifier()?;
        let dimensions =
            number.parse().ok().filter(|&d: &u16| (1..=MAX_VECTOR_DIMENSIONS).contains(&usize::from(d)));
        let dimensions =
            dimensions.ok_or_else(|| DecodeError::unknown_text("number of dimensions", number))?;
        self.expect(')')?;
        Ok(CqlType::Vector { element, dimensions })
    }

    fn user_type(&mut self, frozen: bool, levels: usize) -> Result<CqlType, DecodeError> {
        self.expect('(')?;
        let keyspace = self.identifier()?.into();
        self.expect(',')?;
        let name = from_hex(self.identifier()?)?;
        let mut fields = Vec::new();
        while self.peek() == Some(',') {
            self.expect(',')?;
            let field = from_hex(self.identifier()?)?;
            self.expect(':')?;
            fields.push((field, self.class(frozen, levels)?));
        }
        self.expect(')')?;
        Ok(CqlType::UserDefined { definition: Arc::new(UserType { keyspace, name, fields }), frozen })
    }

    /// `( element , element … )`, perhaps empty.
    fn list<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let mut elements = Vec::new();
        self.expect('(')?;
        while self.peek() != Some(')') {
            if !elements.is_empty() {
                self.expect(',')?;
            }
            elements.push(element(self)?);
        }
        self.expect(')')?;
        Ok(elements)
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n']);
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_blanks();
        self.rest.chars().next()
    }

    fn expect(&mut self, symbol: char) -> Result<(), DecodeError> {
        self.skip_blanks();
        self.rest = self
            .rest
            .strip_prefix(symbol)
            .ok_or_else(|| DecodeError::unknown_text("class of a type", self.rest))?;
        Ok(())
    }

    fn identifier(&mut self) -> Result<&'a str, DecodeError> {
        self.skip_blanks();
        let is_part = |symbol: char| symbol.is_ascii_alphanumeric() || "-+._&$".contains(symbol);
        let end = self.rest.find(|symbol| !is_part(symbol)).unwrap_or(self.rest.len());
        let (identifier, rest) = self.rest.split_at(end);
        if identifier.is_empty() {
            return Err(DecodeError::unknown_text("class of a type", rest));
        }
        self.rest = rest;
        Ok(identifier)
    }
}

fn from_hex(hex: &str) -> Result<Arc<str>, DecodeError> {
    let invalid = || DecodeError::unknown_text("hexadecimal name", hex);
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(invalid);
    if hex.len() % 2 == 1 {
        return Err(invalid());
    }
    let bytes = hex
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| Ok((digit(pair[0])? << 4 | digit(pair[1])?) as u8))
        .collect::<Result<Vec<u8>, DecodeError>>()?;
    String::from_utf8(bytes).map(Into::into).map_err(|_| DecodeError::InvalidUtf8)
}
