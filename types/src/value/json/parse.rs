//! A JSON reader that keeps numbers as they are written, so that none loses precision.

use std::fmt;

use crate::limits::MAX_NESTING;
use crate::value::{ValueError, format_double};

/// A JSON document.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonValue {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number, as it is written.
    Number(String),
    /// A string, without its escapes.
    String(String),
    /// An array.
    Array(Vec<JsonValue>),
    /// An object, in the order of its members; a repeated name is kept (the last one counts).
    Object(Vec<(String, JsonValue)>),
}

impl JsonValue {
    /// The Java class that Cassandra names in its messages.
    pub(super) fn java_class(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "Boolean",
            Self::Number(text) if text.contains(['.', 'e', 'E']) => "Double",
            Self::Number(text) if text.parse::<i32>().is_ok() => "Integer",
            Self::Number(text) if text.parse::<i64>().is_ok() => "Long",
            Self::Number(_) => "BigInteger",
            Self::String(_) => "String",
            Self::Array(_) => "ArrayList",
            Self::Object(_) => "LinkedHashMap",
        }
    }
}

impl fmt::Display for JsonValue {
    /// As Java prints such objects in messages: strings without quotes, `[1, 2]`, `{a=1}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Number(text) if text.contains(['.', 'e', 'E']) => match text.parse() {
                Ok(number) => f.write_str(&format_double(number)),
                Err(_) => f.write_str(text),
            },
            Self::Number(text) if text == "-0" => f.write_str("0"),
            Self::Number(text) | Self::String(text) => f.write_str(text),
            Self::Array(elements) => {
                f.write_str("[")?;
                for (position, element) in elements.iter().enumerate() {
                    write!(f, "{}{element}", if position > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (position, (name, value)) in members.iter().enumerate() {
                    write!(f, "{}{name}={value}", if position > 0 { ", " } else { "" })?;
                }
                f.write_str("}")
            }
        }
    }
}

/// Reads one JSON document.
///
/// # Errors
/// The text is not one, nests too deeply or has something after it.
pub fn parse_json(text: &str) -> Result<JsonValue, ValueError> {
    let mut reader = Reader { text, position: 0 };
    let value = reader.value(0)?;
    reader.skip_blanks();
    if reader.position == text.len() {
        Ok(value)
    } else {
        Err(reader.error("unexpected text after the value"))
    }
}

struct Reader<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Reader<'a> {
    fn error(&self, reason: &str) -> ValueError {
        ValueError::new(format!("Could not decode JSON string: {reason} at position {}", self.position))
    }

    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    /// Takes `symbol`, after blanks, if it is next.
    fn accept(&mut self, symbol: u8) -> bool {
        self.skip_blanks();
        let found = self.peek() == Some(symbol);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: u8) -> Result<(), ValueError> {
        if self.accept(symbol) {
            Ok(())
        } else {
            Err(self.error(&format!("expected '{}'", char::from(symbol))))
        }
    }

    fn word(&mut self, word: &str, value: JsonValue) -> Result<JsonValue, ValueError> {
        if !self.rest().starts_with(word) {
            return Err(self.error("unexpected character"));
        }
        self.position += word.len();
        Ok(value)
    }

    fn value(&mut self, depth: usize) -> Result<JsonValue, ValueError> {
        if depth > MAX_NESTING {
            return Err(self.error("nested too deeply"));
        }
        self.skip_blanks();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(JsonValue::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", JsonValue::Boolean(true)),
            Some(b'f') => self.word("false", JsonValue::Boolean(false)),
            Some(b'n') => self.word("null", JsonValue::Null),
            Some(_) => Err(self.error("unexpected character")),
            None => Err(self.error("unexpected end of input")),
        }
    }

    fn array(&mut self, depth: usize) -> Result<JsonValue, ValueError> {
        self.expect(b'[')?;
        let mut elements = Vec::new();
        if self.accept(b']') {
            return Ok(JsonValue::Array(elements));
        }
        loop {
            elements.push(self.value(depth + 1)?);
            if !self.accept(b',') {
                self.expect(b']')?;
                return Ok(JsonValue::Array(elements));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<JsonValue, ValueError> {
        self.expect(b'{')?;
        let mut members = Vec::new();
        if self.accept(b'}') {
            return Ok(JsonValue::Object(members));
        }
        loop {
            self.skip_blanks();
            let name = self.string()?;
            self.expect(b':')?;
            members.push((name, self.value(depth + 1)?));
            if !self.accept(b',') {
                self.expect(b'}')?;
                return Ok(JsonValue::Object(members));
            }
        }
    }

    fn digits(&mut self) -> usize {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.position += count;
        count
    }

    fn number(&mut self) -> Result<JsonValue, ValueError> {
        let start = self.position;
        self.position += usize::from(self.peek() == Some(b'-'));
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits();
        if whole == 0 || (leading_zero && whole > 1) {
            return Err(self.error("malformed number"));
        }
        if self.peek() == Some(b'.') {
            self.position += 1;
            if self.digits() == 0 {
                return Err(self.error("malformed number"));
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.position += 1;
            self.position += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return Err(self.error("malformed number"));
            }
        }
        Ok(JsonValue::Number(self.text[start..self.position].to_owned()))
    }

    fn string(&mut self) -> Result<String, ValueError> {
        if self.peek() != Some(b'"') {
            return Err(self.error("expected a string"));
        }
        self.position += 1;
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\');
            let plain = plain.ok_or_else(|| self.error("unexpected end of input in a string"))?;
            out.push_str(&rest[..plain]);
            self.position += plain + 1;
            match rest.as_bytes()[plain] {
                b'"' => return Ok(out),
                b'\\' => out.push(self.escape()?),
                _ => return Err(self.error("unescaped control character in a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, ValueError> {
        let symbol = self.peek().ok_or_else(|| self.error("unexpected end of input in a string"))?;
        self.position += 1;
        Ok(match symbol {
            b'"' | b'\\' | b'/' => char::from(symbol),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(self.error("unknown escape in a string")),
        })
    }

    fn unicode_escape(&mut self) -> Result<char, ValueError> {
        let first = self.four_digits()?;
        let code = if (0xD800..0xDC00).contains(&first) && self.rest().starts_with("\\u") {
            self.position += 2;
            let second = self.four_digits()?;
            0x10000 + ((first - 0xD800) << 10) + second.checked_sub(0xDC00).unwrap_or(u32::MAX >> 4)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.error("malformed surrogate pair in a string"))
    }

    fn four_digits(&mut self) -> Result<u32, ValueError> {
        let digits =
            self.rest().get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.position += 4 * usize::from(code.is_some());
        code.ok_or_else(|| self.error("malformed unicode escape in a string"))
    }
}
