//! Types.

use dodona_types::CqlType;

use super::name::is_name;
use super::text::string_of;
use super::{Parsed, Parser, SyntaxError};
use crate::ast::RawType;
use crate::lexer::{Keyword, KeywordClass, TokenKind};

impl Parser<'_> {
    /// Any type.
    pub(super) fn raw_type(&mut self) -> Parsed<RawType> {
        self.nested(Self::raw_type_here)
    }

    fn raw_type_here(&mut self) -> Parsed<RawType> {
        if self.is_string() {
            return Ok(RawType::Custom(string_of(&self.advance())));
        }
        // `list`, `frozen` and so on are names too: of user-defined types.
        let generic = if self.peek_is_symbol("<") { self.token.kind } else { TokenKind::End };
        match generic {
            TokenKind::Keyword(Keyword::List) => {
                self.generic(|parser| Ok(RawType::List(Box::new(parser.raw_type()?))))
            }
            TokenKind::Keyword(Keyword::Set) => {
                self.generic(|parser| Ok(RawType::Set(Box::new(parser.raw_type()?))))
            }
            TokenKind::Keyword(Keyword::Map) => self.generic(|parser| {
                let key = parser.raw_type()?;
                parser.expect_symbol(",")?;
                Ok(RawType::Map(Box::new(key), Box::new(parser.raw_type()?)))
            }),
            TokenKind::Keyword(Keyword::Tuple) => {
                self.generic(|parser| Ok(RawType::Tuple(parser.comma_list(Self::raw_type)?)))
            }
            TokenKind::Keyword(Keyword::Vector) => self.generic(Self::vector),
            TokenKind::Keyword(Keyword::Frozen) => self.generic(Self::frozen),
            _ => self.named_type(),
        }
    }

    fn generic(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<RawType>) -> Parsed<RawType> {
        self.advance();
        self.expect_symbol("<")?;
        let ty = inner(self)?;
        self.expect_symbol(">")?;
        Ok(ty)
    }

    fn frozen(&mut self) -> Parsed<RawType> {
        match self.raw_type()? {
            RawType::Native(ty) => Err(SyntaxError::plain(format!(
                "frozen<> is only allowed on collections, tuples, and user-defined types (got {ty})"
            ))),
            inner => Ok(RawType::Frozen(Box::new(inner))),
        }
    }

    fn vector(&mut self) -> Parsed<RawType> {
        let element = self.raw_type()?;
        self.expect_symbol(",")?;
        if self.token.kind != TokenKind::Integer {
            return Err(self.expecting("INTEGER"));
        }
        let dimensions = self.token.text.parse().map_err(|_| self.unexpected())?;
        self.advance();
        Ok(RawType::Vector(Box::new(element), dimensions))
    }

    fn named_type(&mut self) -> Parsed<RawType> {
        match self.is_native_type() && !self.peek_is_symbol(".") {
            true => Ok(RawType::Native(self.native_type()?)),
            false => Ok(RawType::UserDefined(self.type_name()?)),
        }
    }

    fn is_native_type(&self) -> bool {
        matches!(self.token.kind, TokenKind::Keyword(keyword) if keyword.class() == KeywordClass::Type)
    }

    /// A native type.
    pub(super) fn native_type(&mut self) -> Parsed<CqlType> {
        let native = if self.is_native_type() { CqlType::native(self.token.text) } else { None };
        let ty = native.ok_or_else(|| self.unexpected())?;
        self.advance();
        Ok(ty)
    }

    /// `(type)`, if that is what stands here and something selectable follows it.
    pub(super) fn type_hint_of_selectable(&mut self) -> Option<RawType> {
        self.type_hint_before(Self::starts_value)
    }

    /// `(type)`, if that is what stands here and a term follows it.
    pub(super) fn type_hint_of_term(&mut self) -> Option<RawType> {
        self.type_hint_before(|parser| {
            let is_name = is_name(&parser.token) || parser.token.kind == TokenKind::QuotedName;
            let is_word = [Keyword::Null, Keyword::Nan, Keyword::Infinity, Keyword::Cast]
                .into_iter()
                .any(|word| parser.is_keyword(word));
            parser.starts_value() && (!is_name || is_word || parser.is_call())
        })
    }

    fn type_hint_before(&mut self, is_followed: impl Fn(&Self) -> bool) -> Option<RawType> {
        let start = self.checkpoint();
        let hint = self.try_type_hint(is_followed);
        if hint.is_none() {
            self.go_back(start);
        }
        hint
    }

    fn try_type_hint(&mut self, is_followed: impl Fn(&Self) -> bool) -> Option<RawType> {
        if !self.accept_symbol("(") {
            return None;
        }
        let ty = self.raw_type().ok()?;
        if !self.accept_symbol(")") {
            return None;
        }
        // `{('a'): b}` is a map, and no hint before the marker `:b`.
        let is_key = self.is_symbol(":") && (matches!(ty, RawType::Custom(_)) || !is_name(&self.next));
        (!is_key && is_followed(self)).then_some(ty)
    }

    /// True if a value may start with the current token.
    fn starts_value(&self) -> bool {
        match self.token.kind {
            TokenKind::Symbol(symbol) => matches!(symbol, "(" | "[" | "{" | "?" | ":"),
            // `(a) AS b`, not a column called "as".
            TokenKind::Keyword(Keyword::As) => false,
            TokenKind::Keyword(Keyword::Null | Keyword::Nan | Keyword::Infinity | Keyword::Token) => true,
            TokenKind::Keyword(keyword) => keyword.class() != KeywordClass::Reserved,
            TokenKind::End | TokenKind::Invalid(_) | TokenKind::ExprOpen => false,
            _ => true,
        }
    }
}
