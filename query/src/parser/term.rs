//! Terms.

use dodona_types::value::LiteralKind;

use super::name::is_name;
use super::text::string_of;
use super::{Parsed, Parser};
use crate::ast::{ArithmeticOperator, BindMarker, Position, Term, TermKind};
use crate::lexer::{Keyword, TokenKind};

const fn term(kind: TermKind, position: Position) -> Term {
    Term { kind, position }
}

impl Parser<'_> {
    /// Any term.
    pub(super) fn term(&mut self) -> Parsed<Term> {
        self.nested(Self::sum)
    }

    fn sum(&mut self) -> Parsed<Term> {
        let first = self.product()?;
        let mut rest = Vec::new();
        while let Some(operator) = self.additive_operator() {
            if self.is_prepend() {
                break;
            }
            self.advance();
            rest.push((operator, self.product()?));
        }
        Ok(chain(first, rest))
    }

    /// True at the `+` of `c = term + c`.
    fn is_prepend(&self) -> bool {
        if self.prepend_depth != Some(self.depth) || !self.is_symbol("+") {
            return false;
        }
        let (name, mut ahead) = (self.next, self.lexer);
        let after = ahead.next_token();
        let is_column = is_name(&name) || name.kind == TokenKind::QuotedName;
        is_column && !matches!(after.kind, TokenKind::Symbol("(" | "."))
    }

    pub(super) fn additive_operator(&self) -> Option<ArithmeticOperator> {
        match self.token.kind {
            TokenKind::Symbol("+") => Some(ArithmeticOperator::Add),
            TokenKind::Symbol("-") => Some(ArithmeticOperator::Subtract),
            _ => None,
        }
    }

    pub(super) fn multiplicative_operator(&self) -> Option<ArithmeticOperator> {
        match self.token.kind {
            TokenKind::Symbol("*") => Some(ArithmeticOperator::Multiply),
            TokenKind::Symbol("/") => Some(ArithmeticOperator::Divide),
            TokenKind::Symbol("%") => Some(ArithmeticOperator::Modulo),
            _ => None,
        }
    }

    fn product(&mut self) -> Parsed<Term> {
        let first = self.signed_term()?;
        let mut rest = Vec::new();
        while let Some(operator) = self.multiplicative_operator() {
            self.advance();
            rest.push((operator, self.signed_term()?));
        }
        Ok(chain(first, rest))
    }

    fn signed_term(&mut self) -> Parsed<Term> {
        let position = self.position();
        if self.accept_symbol("-") {
            return Ok(term(TermKind::Negation(Box::new(self.simple_term()?)), position));
        }
        self.simple_term()
    }

    fn simple_term(&mut self) -> Parsed<Term> {
        let position = self.position();
        if let Some(literal) = self.literal()? {
            return Ok(literal);
        }
        if let Some(marker) = self.marker()? {
            return Ok(marker);
        }
        match self.token.kind {
            TokenKind::Keyword(Keyword::Null) => {
                self.advance();
                Ok(term(TermKind::Null, position))
            }
            TokenKind::Symbol("[") => {
                self.advance();
                Ok(term(TermKind::List(self.list_until("]", Self::term)?), position))
            }
            TokenKind::Symbol("{") => self.braces(),
            TokenKind::Symbol("(") => self.parentheses(),
            TokenKind::Keyword(Keyword::Cast) if self.peek_is_symbol("(") => self.cast_term(),
            _ if self.is_call() => {
                let name = self.function_name()?;
                self.expect_symbol("(")?;
                Ok(term(TermKind::Function(name, self.list_until(")", Self::term)?), position))
            }
            _ => Err(self.unexpected()),
        }
    }

    /// A constant, if one stands here.
    pub(super) fn literal(&mut self) -> Parsed<Option<Term>> {
        let (kind, text) = match self.token.kind {
            TokenKind::String | TokenKind::DollarString => (LiteralKind::String, string_of(&self.token)),
            TokenKind::Integer => (LiteralKind::Integer, self.token.text.to_owned()),
            TokenKind::Float => (LiteralKind::Float, self.token.text.to_owned()),
            TokenKind::Boolean => (LiteralKind::Boolean, self.token.text.to_owned()),
            TokenKind::Duration => (LiteralKind::Duration, self.token.text.to_owned()),
            TokenKind::Uuid => (LiteralKind::Uuid, self.token.text.to_owned()),
            TokenKind::Hex => (LiteralKind::Hex, self.token.text.to_owned()),
            TokenKind::Keyword(Keyword::Nan) => (LiteralKind::Float, "NaN".to_owned()),
            TokenKind::Keyword(Keyword::Infinity) => (LiteralKind::Float, "Infinity".to_owned()),
            TokenKind::NegativeWord if self.token.text.eq_ignore_ascii_case("-nan") => {
                (LiteralKind::Float, "NaN".to_owned())
            }
            TokenKind::NegativeWord => (LiteralKind::Float, "-Infinity".to_owned()),
            _ => return Ok(None),
        };
        let position = self.advance().position;
        Ok(Some(term(TermKind::Literal(kind, text), position)))
    }

    /// A bind marker, if one stands here.
    pub(super) fn marker(&mut self) -> Parsed<Option<Term>> {
        let position = self.position();
        let name = if self.accept_symbol("?") {
            None
        } else if self.accept_symbol(":") {
            Some(self.name()?)
        } else {
            return Ok(None);
        };
        let index = self.markers.len();
        self.markers.push(name.clone());
        Ok(Some(term(TermKind::Marker(BindMarker { index, name }), position)))
    }

    /// An integer or a bind marker.
    pub(super) fn integer_or_marker(&mut self) -> Parsed<Term> {
        let found = if self.token.kind == TokenKind::Integer { self.literal()? } else { self.marker()? };
        found.ok_or_else(|| self.unexpected())
    }

    /// A set, a map, or the fields of a user-defined type.
    fn braces(&mut self) -> Parsed<Term> {
        let position = self.position();
        self.expect_symbol("{")?;
        if self.accept_symbol("}") {
            return Ok(term(TermKind::Set(Vec::new()), position));
        }
        let kind = if is_name(&self.token) && self.peek_is_symbol(":") {
            TermKind::UserDefined(self.comma_list(|parser| {
                let field = parser.name()?;
                parser.expect_symbol(":")?;
                Ok((field, parser.term()?))
            })?)
        } else {
            let first = self.term()?;
            if self.is_symbol(":") { self.map_from(first)? } else { self.set_from(first)? }
        };
        self.expect_symbol("}")?;
        Ok(term(kind, position))
    }

    fn map_from(&mut self, first: Term) -> Parsed<TermKind> {
        self.expect_symbol(":")?;
        let mut entries = vec![(first, self.term()?)];
        while self.accept_symbol(",") {
            let key = self.term()?;
            self.expect_symbol(":")?;
            entries.push((key, self.term()?));
        }
        Ok(TermKind::Map(entries))
    }

    fn set_from(&mut self, first: Term) -> Parsed<TermKind> {
        let mut elements = vec![first];
        while self.accept_symbol(",") {
            elements.push(self.term()?);
        }
        Ok(TermKind::Set(elements))
    }

    /// `(type) term`, or a tuple.
    fn parentheses(&mut self) -> Parsed<Term> {
        let position = self.position();
        if let Some(ty) = self.type_hint_of_term() {
            let of = self.nested(Self::simple_term)?;
            return Ok(term(TermKind::TypeHint(ty, Box::new(of)), position));
        }
        self.tuple_literal()
    }

    /// A tuple of one or more fields.
    pub(super) fn tuple_literal(&mut self) -> Parsed<Term> {
        let position = self.position();
        self.expect_symbol("(")?;
        let fields = self.comma_list(Self::term)?;
        self.expect_symbol(")")?;
        Ok(term(TermKind::Tuple(fields), position))
    }

    /// `CAST(term AS type)`.
    fn cast_term(&mut self) -> Parsed<Term> {
        let position = self.position();
        self.expect(Keyword::Cast)?;
        self.expect_symbol("(")?;
        let of = self.nested(Self::simple_term)?;
        self.expect(Keyword::As)?;
        let ty = self.native_type()?;
        self.expect_symbol(")")?;
        Ok(term(TermKind::Cast(Box::new(of), ty), position))
    }
}

fn chain(first: Term, rest: Vec<(ArithmeticOperator, Term)>) -> Term {
    if rest.is_empty() {
        return first;
    }
    let position = first.position;
    term(TermKind::Arithmetic(Box::new(first), rest), position)
}
