//! Tokens to a statement: a recursive-descent parser of CQL 3.4.7, which also takes some of what
//! came after Cassandra 5.0 (`BETWEEN`, `NOT IN`, `CHECK`) for analysis to refuse by name.
//!
//! Work is linear in the text. Nesting is bounded, so no text overflows the stack.

mod ddl;
mod describe;
mod dml;
mod error;
mod function;
mod name;
mod property;
mod raw_type;
mod relation;
mod role;
mod select;
mod selectable;
mod statement;
mod table;
mod term;
mod text;

use dodona_types::limits::MAX_NESTING;

use crate::ast::{ParsedStatement, Position, RawType, Term};
use crate::lexer::{Keyword, Lexer, Token, TokenKind};

pub use error::SyntaxError;

/// What parsing a piece gives.
type Parsed<T> = Result<T, SyntaxError>;

/// Parses one statement, which may be followed by semicolons.
///
/// # Errors
/// The text is not a statement; the message is in Cassandra's style, with line and column.
pub fn parse_statement(text: &str) -> Result<ParsedStatement, SyntaxError> {
    run(text, |parser| {
        let statement = parser.statement()?;
        while parser.accept_symbol(";") {}
        parser.expect_end()?;
        Ok(ParsedStatement { statement, markers: std::mem::take(&mut parser.markers) })
    })
}

/// Parses a lone term, as stored definitions hold them. It has no bind markers.
///
/// # Errors
/// The text is not a term, or has a bind marker.
pub fn parse_term(text: &str) -> Result<Term, SyntaxError> {
    run(text, |parser| {
        let term = parser.term()?;
        parser.expect_end()?;
        if parser.markers.is_empty() {
            Ok(term)
        } else {
            Err(SyntaxError::plain("Bind variables are not allowed here"))
        }
    })
}

/// Parses a lone type, as `system_schema` holds them.
///
/// # Errors
/// The text is not a type.
pub fn parse_type(text: &str) -> Result<RawType, SyntaxError> {
    run(text, |parser| {
        let ty = parser.raw_type()?;
        parser.expect_end()?;
        Ok(ty)
    })
}

fn run<T>(text: &str, parse: impl FnOnce(&mut Parser<'_>) -> Parsed<T>) -> Parsed<T> {
    let mut parser = Parser::new(text);
    // Text that is no token is reported before anything else that is wrong, as in Cassandra.
    parse(&mut parser).map_err(|error| error::first_invalid(text).unwrap_or(error))
}

/// A parser: the current token and the next, and what was met so far.
struct Parser<'a> {
    /// Stands after `next`.
    lexer: Lexer<'a>,
    token: Token<'a>,
    next: Token<'a>,
    markers: Vec<Option<String>>,
    depth: usize,
    /// The depth at which `+ name` ends a term instead of being an error: `c = [1] + c`.
    prepend_depth: Option<usize>,
}

/// A place to go back to.
#[derive(Clone, Copy)]
struct Checkpoint<'a> {
    lexer: Lexer<'a>,
    token: Token<'a>,
    next: Token<'a>,
    markers: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let mut lexer = Lexer::new(text);
        let token = lexer.next_token();
        let next = lexer.next_token();
        Self { lexer, token, next, markers: Vec::new(), depth: 0, prepend_depth: None }
    }

    fn checkpoint(&self) -> Checkpoint<'a> {
        Checkpoint {
            lexer: self.lexer,
            token: self.token,
            next: self.next,
            markers: self.markers.len(),
            depth: self.depth,
        }
    }

    fn go_back(&mut self, to: Checkpoint<'a>) {
        self.lexer = to.lexer;
        self.token = to.token;
        self.next = to.next;
        self.markers.truncate(to.markers);
        self.depth = to.depth;
    }

    fn position(&self) -> Position {
        self.token.position
    }

    fn advance(&mut self) -> Token<'a> {
        let token = self.token;
        self.token = self.next;
        self.next = self.lexer.next_token();
        token
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.token.kind, TokenKind::Symbol(found) if found == symbol)
    }

    fn is_keyword(&self, keyword: Keyword) -> bool {
        self.token.kind == TokenKind::Keyword(keyword)
    }

    fn peek_is_symbol(&self, symbol: &str) -> bool {
        matches!(self.next.kind, TokenKind::Symbol(found) if found == symbol)
    }

    fn peek_is_keyword(&self, keyword: Keyword) -> bool {
        self.next.kind == TokenKind::Keyword(keyword)
    }

    fn accept_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    fn accept(&mut self, keyword: Keyword) -> bool {
        let found = self.is_keyword(keyword);
        if found {
            self.advance();
        }
        found
    }

    fn expect_symbol(&mut self, symbol: &'static str) -> Parsed<()> {
        if self.accept_symbol(symbol) { Ok(()) } else { Err(self.expecting(&format!("'{symbol}'"))) }
    }

    fn expect(&mut self, keyword: Keyword) -> Parsed<()> {
        if self.accept(keyword) { Ok(()) } else { Err(self.expecting(&format!("K_{}", keyword.text()))) }
    }

    fn expect_all(&mut self, keywords: &[Keyword]) -> Parsed<()> {
        keywords.iter().try_for_each(|keyword| self.expect(*keyword))
    }

    fn expect_end(&mut self) -> Parsed<()> {
        if self.token.kind == TokenKind::End { Ok(()) } else { Err(self.expecting("EOF")) }
    }

    /// `IF NOT EXISTS`, or nothing.
    fn if_not_exists(&mut self) -> Parsed<bool> {
        let found = self.accept(Keyword::If);
        if found {
            self.expect_all(&[Keyword::Not, Keyword::Exists])?;
        }
        Ok(found)
    }

    /// `IF EXISTS`, or nothing.
    fn if_exists(&mut self) -> Parsed<bool> {
        let found = self.accept(Keyword::If);
        if found {
            self.expect(Keyword::Exists)?;
        }
        Ok(found)
    }

    /// One or more items with commas between them.
    fn comma_list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.accept_symbol(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Items with commas between them, up to `close`, which is taken too; maybe none.
    fn list_until<T>(
        &mut self,
        close: &'static str,
        item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        if self.accept_symbol(close) {
            return Ok(Vec::new());
        }
        let items = self.comma_list(item)?;
        self.expect_symbol(close)?;
        Ok(items)
    }

    /// One or more items with AND between them.
    fn and_list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.accept(Keyword::And) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Parses something that may hold itself.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_NESTING {
            return Err(self.error_here("the statement nests too deeply"));
        }
        self.depth += 1;
        let parsed = parse(self)?;
        self.depth -= 1;
        Ok(parsed)
    }
}

#[cfg(test)]
#[path = "../parser_tests.rs"]
mod tests;
