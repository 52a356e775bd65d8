//! Names of all sorts.

use super::text::{string_of, unquote};
use super::{Parsed, Parser, SyntaxError};
use crate::ast::{FunctionName, QualifiedName};
use crate::lexer::{Keyword, KeywordClass, Token, TokenKind};

/// User-defined types may not have these names: they are kept for types to come.
const RESERVED_TYPE_NAMES: [&str; 7] =
    ["byte", "complex", "enum", "date", "interval", "macaddr", "bitstring"];

/// True if the token may be a name: of anything but a function or a user-defined type.
pub(super) fn is_name(token: &Token<'_>) -> bool {
    match token.kind {
        TokenKind::Identifier => true,
        TokenKind::QuotedName => token.text.len() > 2,
        TokenKind::Keyword(keyword) => keyword.class() != KeywordClass::Reserved,
        _ => false,
    }
}

/// True if the token may be the last part of a function's name.
pub(super) fn is_function_name(token: &Token<'_>) -> bool {
    match token.kind {
        TokenKind::Keyword(Keyword::Token | Keyword::Count) => true,
        TokenKind::Keyword(keyword) => matches!(keyword.class(), KeywordClass::Plain | KeywordClass::Type),
        _ => is_name(token),
    }
}

/// True if the token may be the name of a user-defined type.
fn is_type_name(token: &Token<'_>) -> bool {
    match token.kind {
        TokenKind::Keyword(Keyword::Key) => true,
        TokenKind::Keyword(keyword) => keyword.class() == KeywordClass::Plain,
        _ => is_name(token),
    }
}

/// The name that the token spells: without quotes, or in lower case.
pub(super) fn name_of(token: &Token<'_>) -> String {
    if token.kind == TokenKind::QuotedName {
        unquote(token.text, '"')
    } else {
        token.text.to_ascii_lowercase()
    }
}

impl Parser<'_> {
    /// A name.
    pub(super) fn name(&mut self) -> Parsed<String> {
        if is_name(&self.token) { Ok(name_of(&self.advance())) } else { Err(self.unexpected()) }
    }

    /// A name of a column that exists, which may be `""`.
    pub(super) fn column(&mut self) -> Parsed<String> {
        if self.is_column() { Ok(name_of(&self.advance())) } else { Err(self.unexpected()) }
    }

    pub(super) fn is_column(&self) -> bool {
        is_name(&self.token) || self.token.kind == TokenKind::QuotedName
    }

    /// A name in a schema; a bind marker in its place gets a message of its own.
    fn schema_name(&mut self, of: &str) -> Parsed<String> {
        if self.is_symbol("?") {
            return Err(SyntaxError::plain(format!("Bind variables cannot be used for {of} names")));
        }
        self.name()
    }

    /// A keyspace.
    pub(super) fn keyspace(&mut self) -> Parsed<String> {
        self.schema_name("keyspace")
    }

    /// The name of an index, without a keyspace.
    pub(super) fn index_name(&mut self) -> Parsed<String> {
        self.schema_name("index")
    }

    fn qualified(&mut self, of: &str) -> Parsed<QualifiedName> {
        if self.peek_is_symbol(".") {
            let keyspace = Some(self.schema_name("keyspace")?);
            self.expect_symbol(".")?;
            return Ok(QualifiedName { keyspace, name: self.schema_name(of)? });
        }
        Ok(QualifiedName { keyspace: None, name: self.schema_name(of)? })
    }

    /// A table or a view.
    pub(super) fn table(&mut self) -> Parsed<QualifiedName> {
        self.qualified("table")
    }

    /// An index with its keyspace.
    pub(super) fn qualified_index(&mut self) -> Parsed<QualifiedName> {
        self.qualified("index")
    }

    /// A user-defined type.
    pub(super) fn type_name(&mut self) -> Parsed<QualifiedName> {
        let mut keyspace = None;
        if is_name(&self.token) && self.peek_is_symbol(".") {
            keyspace = Some(self.name()?);
            self.expect_symbol(".")?;
        }
        if !is_type_name(&self.token) {
            return Err(self.unexpected());
        }
        if self.token.kind == TokenKind::Identifier && RESERVED_TYPE_NAMES.contains(&self.token.text) {
            return Err(SyntaxError::plain(format!("Invalid (reserved) user type name {}", self.token.text)));
        }
        Ok(QualifiedName { keyspace, name: name_of(&self.advance()) })
    }

    /// The last part of a function's name.
    pub(super) fn bare_function_name(&mut self) -> Parsed<String> {
        if is_function_name(&self.token) { Ok(name_of(&self.advance())) } else { Err(self.unexpected()) }
    }

    /// A function or an aggregate.
    pub(super) fn function_name(&mut self) -> Parsed<FunctionName> {
        if is_name(&self.token) && self.peek_is_symbol(".") {
            let keyspace = Some(self.keyspace()?);
            self.expect_symbol(".")?;
            return Ok(FunctionName { keyspace, name: self.bare_function_name()? });
        }
        Ok(FunctionName { keyspace: None, name: self.bare_function_name()? })
    }

    /// True if a call of a function starts here: `f(` or `k.f(`.
    pub(super) fn is_call(&self) -> bool {
        let next = self.next;
        if next.kind == TokenKind::Symbol("(") {
            return is_function_name(&self.token);
        }
        is_name(&self.token) && next.kind == TokenKind::Symbol(".") && self.is_function_after_next()
    }

    /// True if `f(` stands after the next token.
    fn is_function_after_next(&self) -> bool {
        let mut ahead = self.lexer;
        is_function_name(&ahead.next_token()) && ahead.next_token().kind == TokenKind::Symbol("(")
    }

    /// A role.
    pub(super) fn role_name(&mut self) -> Parsed<String> {
        if self.is_string() { Ok(string_of(&self.advance())) } else { self.schema_name("role") }
    }

    pub(super) fn is_string(&self) -> bool {
        matches!(self.token.kind, TokenKind::String | TokenKind::DollarString)
    }

    /// A string.
    pub(super) fn string(&mut self) -> Parsed<String> {
        if self.is_string() { Ok(string_of(&self.advance())) } else { Err(self.expecting("STRING_LITERAL")) }
    }
}
