//! CQL text to tokens (CQL 3.4.7 "Lexical structure").
//!
//! The lexer is a position in the text: cheap to copy, so a parser looks ahead by lexing from a
//! copy. It never fails; text that is no token comes out as [`TokenKind::Invalid`].

mod keyword;
mod number;

pub use keyword::{Keyword, KeywordClass};

use crate::ast::Position;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A keyword.
    Keyword(Keyword),
    /// A name without quotes that is no keyword.
    Identifier,
    /// A name in double quotes, possibly empty.
    QuotedName,
    /// A string in single quotes.
    String,
    /// A string between `$$` and `$$`.
    DollarString,
    /// An integer, with its minus sign.
    Integer,
    /// A number with a point or an exponent, with its minus sign.
    Float,
    /// `-NaN` or `-Infinity`; without the minus sign they are keywords.
    NegativeWord,
    /// `true` or `false`.
    Boolean,
    /// A duration in any of its forms.
    Duration,
    /// A UUID.
    Uuid,
    /// `0x` and hexadecimal digits.
    Hex,
    /// `expr(`, the start of an index expression, which is one token.
    ExprOpen,
    /// Punctuation or an operator.
    Symbol(&'static str),
    /// The end of the text.
    End,
    /// Text that is no token.
    Invalid(Invalid),
}

/// Why text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// No token has this character here.
    Character,
    /// The text ended inside something that this should end.
    Unterminated(&'static str),
}

/// A token: its kind and the text that it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: TokenKind,
    /// Its text, with quotes.
    pub text: &'a str,
    /// Where it starts.
    pub position: Position,
}

impl Token<'_> {
    /// The byte after the token.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.position.offset() + self.text.len()
    }
}

/// A position in CQL text.
#[derive(Clone, Copy, Debug)]
pub struct Lexer<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Lexer<'a> {
    /// A lexer at the start of a text.
    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self { text, offset: 0 }
    }

    /// The whole text.
    #[must_use]
    pub const fn text(&self) -> &'a str {
        self.text
    }

    fn rest(&self) -> &'a str {
        &self.text[self.offset..]
    }

    /// Takes the next token. At the end of the text, and after text that is no token, it gives
    /// the same token again and again.
    pub fn next_token(&mut self) -> Token<'a> {
        if let Err(token) = self.skip_blanks() {
            return token;
        }
        let (kind, length) = self.scan();
        let token = self.token(kind, length);
        if !matches!(kind, TokenKind::Invalid(_)) {
            self.offset += length;
        }
        token
    }

    fn token(&self, kind: TokenKind, length: usize) -> Token<'a> {
        Token { kind, text: &self.rest()[..length], position: Position::new(self.offset) }
    }

    /// Skips blanks and comments. A comment to the end of the line may end with the text.
    fn skip_blanks(&mut self) -> Result<(), Token<'a>> {
        loop {
            let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
            self.offset += self.rest().bytes().take_while(|byte| is_blank(byte)).count();
            let rest = self.rest();
            if !rest.starts_with(['-', '/']) {
                return Ok(());
            }
            if rest.starts_with("--") || rest.starts_with("//") {
                self.offset += rest.find(['\n', '\r']).unwrap_or(rest.len());
            } else if let Some(comment) = rest.strip_prefix("/*") {
                match comment.find("*/") {
                    Some(end) => self.offset += end + 4,
                    None => {
                        return Err(self.token(TokenKind::Invalid(Invalid::Unterminated("*")), rest.len()));
                    }
                }
            } else {
                return Ok(());
            }
        }
    }

    /// The kind and the length of the token that starts here.
    fn scan(&self) -> (TokenKind, usize) {
        let rest = self.rest();
        let Some(first) = rest.bytes().next() else {
            return (TokenKind::End, 0);
        };
        match first {
            b'\'' => quoted(rest, '\'', TokenKind::String, "'"),
            b'"' => quoted(rest, '"', TokenKind::QuotedName, "\""),
            b'$' if rest.starts_with("$$") => dollar_string(rest),
            b'0'..=b'9' => number::scan(rest),
            b'-' => self.scan_minus(rest),
            b'a'..=b'z' | b'A'..=b'Z' => scan_word(rest),
            _ => scan_symbol(rest),
        }
    }

    fn scan_minus(&self, rest: &str) -> (TokenKind, usize) {
        let after = &rest[1..];
        match after.bytes().next() {
            Some(b'0'..=b'9') => number::scan(rest),
            Some(b'a'..=b'z' | b'A'..=b'Z') => {
                let word = word_length(after);
                if number::iso_duration(after).is_some_and(|length| length >= word) {
                    (TokenKind::Duration, number::iso_duration(after).unwrap_or(word) + 1)
                } else if is_float_word(&after[..word]) {
                    (TokenKind::NegativeWord, word + 1)
                } else {
                    (TokenKind::Symbol("-"), 1)
                }
            }
            _ => scan_symbol(rest),
        }
    }
}

fn is_float_word(word: &str) -> bool {
    word.eq_ignore_ascii_case("nan") || word.eq_ignore_ascii_case("infinity")
}

/// The length of the letters, digits and underscores that the text starts with.
fn word_length(text: &str) -> usize {
    text.bytes().position(|byte| !byte.is_ascii_alphanumeric() && byte != b'_').unwrap_or(text.len())
}

fn scan_word(rest: &str) -> (TokenKind, usize) {
    if number::is_uuid(rest) {
        return (TokenKind::Uuid, number::UUID_LENGTH);
    }
    let length = word_length(rest);
    if let Some(duration) = number::iso_duration(rest).filter(|duration| *duration >= length) {
        return (TokenKind::Duration, duration);
    }
    let word = &rest[..length];
    if word == "expr" && rest[length..].starts_with('(') {
        return (TokenKind::ExprOpen, length + 1);
    }
    let kind = match Keyword::find(word) {
        Some(keyword) => TokenKind::Keyword(keyword),
        None if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false") => TokenKind::Boolean,
        None => TokenKind::Identifier,
    };
    (kind, length)
}

fn scan_symbol(rest: &str) -> (TokenKind, usize) {
    let bytes = rest.as_bytes();
    let is_next = |second: u8| bytes.get(1) == Some(&second);
    let symbol = match bytes[0] {
        b'(' => "(",
        b')' => ")",
        b'[' => "[",
        b']' => "]",
        b'{' => "{",
        b'}' => "}",
        b',' => ",",
        b';' => ";",
        b':' => ":",
        b'=' => "=",
        b'*' => "*",
        b'/' => "/",
        b'%' => "%",
        b'?' => "?",
        b'.' => {
            if is_next(b'.') {
                ".."
            } else {
                "."
            }
        }
        b'<' => {
            if is_next(b'=') {
                "<="
            } else {
                "<"
            }
        }
        b'>' => {
            if is_next(b'=') {
                ">="
            } else {
                ">"
            }
        }
        b'+' => {
            if is_next(b'=') {
                "+="
            } else {
                "+"
            }
        }
        b'-' => {
            if is_next(b'=') {
                "-="
            } else {
                "-"
            }
        }
        b'!' if is_next(b'=') => "!=",
        _ => {
            return (TokenKind::Invalid(Invalid::Character), rest.chars().next().map_or(0, char::len_utf8));
        }
    };
    (TokenKind::Symbol(symbol), symbol.len())
}

/// Text up to the next quote that is not doubled.
fn quoted(rest: &str, quote: char, kind: TokenKind, expected: &'static str) -> (TokenKind, usize) {
    let mut end = 1;
    while let Some(found) = rest[end..].find(quote) {
        end += found + 1;
        if !rest[end..].starts_with(quote) {
            return (kind, end);
        }
        end += 1;
    }
    (TokenKind::Invalid(Invalid::Unterminated(expected)), rest.len())
}

fn dollar_string(rest: &str) -> (TokenKind, usize) {
    match rest[2..].find("$$") {
        Some(end) => (TokenKind::DollarString, end + 4),
        None => (TokenKind::Invalid(Invalid::Unterminated("$")), rest.len()),
    }
}

#[cfg(test)]
#[path = "lexer_tests.rs"]
mod tests;
