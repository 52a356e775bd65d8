//! Types as names of Cassandra's marshal classes: printed (`AbstractType.toString`) and parsed
//! (`TypeParser`). The native protocol names custom types and vectors in this way.

use std::fmt::Write as _;
use std::sync::Arc;

use super::names::{PACKAGE, native_class, native_of_class};
use super::{CqlType, UserType};
use crate::limits::{MAX_NESTING, MAX_VECTOR_DIMENSIONS};

/// Why the name of a marshal class could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Syntax error parsing '{text}' at char {position}: {reason}")]
pub struct ClassNameError {
    text: String,
    position: usize,
    reason: &'static str,
}

impl CqlType {
    /// The name of the type's marshal class with its parameters, for example
    /// `org.apache.cassandra.db.marshal.ListType(org.apache.cassandra.db.marshal.Int32Type)`.
    #[must_use]
    pub fn class_name(&self) -> String {
        let mut out = String::new();
        write_class(self, false, &mut out);
        out
    }

    /// Reads the name of a marshal class with its parameters, full or without the package.
    /// A class that is not one of Cassandra's own gives [`CqlType::Custom`].
    ///
    /// # Errors
    /// The text is not well formed, nests too deeply or names a vector of no or too many dimensions.
    pub fn parse_class_name(text: &str) -> Result<Self, ClassNameError> {
        let mut parser = Parser { text, position: 0 };
        let ty = parser.parse_type(0)?;
        parser.skip_blanks();
        if parser.position == text.len() {
            Ok(ty)
        } else {
            Err(parser.error("unexpected text after the type"))
        }
    }
}

/// Appends the class name of `ty`. Inside a frozen type nothing is marked frozen again.
fn write_class(ty: &CqlType, inside_frozen: bool, out: &mut String) {
    let frozen = !ty.is_multi_cell() && (ty.is_collection() || matches!(ty, CqlType::UserDefined { .. }));
    let wrap = frozen && !inside_frozen;
    if wrap {
        let _ = write!(out, "{PACKAGE}FrozenType(");
    }
    match ty {
        CqlType::List { element, .. } => {
            write_generic("ListType", [&**element], frozen || inside_frozen, out);
        }
        CqlType::Set { element, .. } => write_generic("SetType", [&**element], frozen || inside_frozen, out),
        CqlType::Map { key, value, .. } => {
            write_generic("MapType", [&**key, &**value], frozen || inside_frozen, out);
        }
        CqlType::Tuple(fields) => write_generic("TupleType", fields.iter(), true, out),
        CqlType::UserDefined { definition, .. } => {
            write_user_type(definition, frozen || inside_frozen, out);
        }
        CqlType::Vector { element, dimensions } => {
            let _ = write!(out, "{PACKAGE}VectorType(");
            write_class(element, inside_frozen, out);
            let _ = write!(out, " , {dimensions})");
        }
        CqlType::Custom(class) => out.push_str(class),
        native => {
            let _ = write!(out, "{PACKAGE}{}", native_class(native).unwrap_or_default());
        }
    }
    if wrap {
        out.push(')');
    }
}

fn write_generic<'a>(
    class: &str,
    inner: impl IntoIterator<Item = &'a CqlType>,
    inside_frozen: bool,
    out: &mut String,
) {
    let _ = write!(out, "{PACKAGE}{class}(");
    for (position, ty) in inner.into_iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        write_class(ty, inside_frozen, out);
    }
    out.push(')');
}

fn write_user_type(definition: &UserType, inside_frozen: bool, out: &mut String) {
    let _ = write!(out, "{PACKAGE}UserType({},", definition.keyspace);
    write_hex(definition.name.as_bytes(), out);
    for (name, ty) in &definition.fields {
        out.push(',');
        write_hex(name.as_bytes(), out);
        out.push(':');
        write_class(ty, inside_frozen, out);
    }
    out.push(')');
}

fn write_hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, reason: &'static str) -> ClassNameError {
        ClassNameError { text: self.text.chars().take(256).collect(), position: self.position, reason }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    fn skip_blanks(&mut self) {
        self.position += self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\n']).len();
    }

    /// Takes `symbol`, after blanks, if it is next.
    fn accept(&mut self, symbol: char) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with(symbol);
        if found {
            self.position += symbol.len_utf8();
        }
        found
    }

    fn expect(&mut self, symbol: char, reason: &'static str) -> Result<(), ClassNameError> {
        if self.accept(symbol) { Ok(()) } else { Err(self.error(reason)) }
    }

    fn identifier(&mut self) -> Result<&'a str, ClassNameError> {
        self.skip_blanks();
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.' | '_' | '&' | '$');
        let length = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.error("expected a name"));
        }
        self.position += length;
        Ok(&rest[..length])
    }

    fn parse_type(&mut self, depth: usize) -> Result<CqlType, ClassNameError> {
        if depth > MAX_NESTING {
            return Err(self.error("the type nests too deeply"));
        }
        self.skip_blanks();
        let start = self.position;
        let name = self.identifier()?;
        let simple = name.strip_prefix(PACKAGE).unwrap_or(name);
        if simple.contains('.') {
            return self.custom(start);
        }
        if let Some(native) = native_of_class(simple) {
            return Ok(native);
        }
        match simple {
            "ListType" => Ok(CqlType::list(self.one(depth)?, false)),
            "SetType" => Ok(CqlType::set(self.one(depth)?, false)),
            "MapType" => self.map(depth),
            "FrozenType" => Ok(self.one(depth)?.freeze()),
            "TupleType" => {
                let fields = self.many(depth)?;
                Ok(CqlType::Tuple(fields.iter().map(CqlType::freeze).collect()))
            }
            "UserType" => self.user_type(depth),
            "VectorType" => self.vector(depth),
            // The order belongs to the column, the type is what is inside.
            "ReversedType" => self.one(depth),
            _ => self.custom(start),
        }
    }

    /// A class of someone else: its name with its parameters, as it is written.
    fn custom(&mut self, start: usize) -> Result<CqlType, ClassNameError> {
        if self.rest().starts_with('(') {
            let mut open = 0usize;
            let end = self.rest().find(|c| {
                match c {
                    '(' => open += 1,
                    ')' => open -= 1,
                    _ => {}
                }
                open == 0
            });
            self.position += end.ok_or_else(|| self.error("expected ')'"))? + 1;
        }
        Ok(CqlType::Custom(Arc::from(&self.text[start..self.position])))
    }

    fn one(&mut self, depth: usize) -> Result<CqlType, ClassNameError> {
        self.expect('(', "expected '('")?;
        let ty = self.parse_type(depth + 1)?;
        self.expect(')', "expected ')'")?;
        Ok(ty)
    }

    fn map(&mut self, depth: usize) -> Result<CqlType, ClassNameError> {
        self.expect('(', "expected '('")?;
        let key = self.parse_type(depth + 1)?;
        self.expect(',', "expected ','")?;
        let value = self.parse_type(depth + 1)?;
        self.expect(')', "expected ')'")?;
        Ok(CqlType::map(key, value, false))
    }

    fn many(&mut self, depth: usize) -> Result<Vec<CqlType>, ClassNameError> {
        self.expect('(', "expected '('")?;
        let mut types = vec![self.parse_type(depth + 1)?];
        while self.accept(',') {
            types.push(self.parse_type(depth + 1)?);
        }
        self.expect(')', "expected ')'")?;
        Ok(types)
    }

    fn vector(&mut self, depth: usize) -> Result<CqlType, ClassNameError> {
        self.expect('(', "expected '('")?;
        let element = self.parse_type(depth + 1)?.freeze();
        self.expect(',', "expected ','")?;
        let dimensions = self.identifier()?.parse::<u16>().ok();
        let dimensions = dimensions
            .filter(|count| (1..=MAX_VECTOR_DIMENSIONS).contains(&usize::from(*count)))
            .ok_or_else(|| self.error("invalid number of dimensions"))?;
        self.expect(')', "expected ')'")?;
        Ok(CqlType::vector(element, dimensions))
    }

    fn user_type(&mut self, depth: usize) -> Result<CqlType, ClassNameError> {
        self.expect('(', "expected '('")?;
        let keyspace = Arc::from(self.identifier()?);
        self.expect(',', "expected ','")?;
        let name = self.hex_name()?;
        let mut fields = Vec::new();
        while self.accept(',') {
            let field = self.hex_name()?;
            self.expect(':', "expected ':'")?;
            fields.push((field, self.parse_type(depth + 1)?));
        }
        self.expect(')', "expected ')'")?;
        let definition = Arc::new(UserType { keyspace, name, fields });
        Ok(CqlType::UserDefined { definition, frozen: false })
    }

    fn hex_name(&mut self) -> Result<Arc<str>, ClassNameError> {
        let digits = self.identifier()?;
        crate::hex::hex_to_bytes(digits)
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .map(Arc::from)
            .ok_or_else(|| self.error("expected a name in hexadecimal"))
    }
}
