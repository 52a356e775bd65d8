//! What SELECT and GROUP BY select.

use super::name::is_name;
use super::{Parsed, Parser};
use crate::ast::{
    ArithmeticOperator, FunctionName, MetadataFunction, PathStep, Position, Selectable, Term, TermKind,
};
use crate::lexer::{Keyword, TokenKind};

impl Parser<'_> {
    /// Anything that can be selected.
    pub(super) fn selectable(&mut self) -> Parsed<Selectable> {
        self.nested(Self::selectable_sum)
    }

    fn selectable_sum(&mut self) -> Parsed<Selectable> {
        let first = self.selectable_product()?;
        let mut rest = Vec::new();
        while let Some(operator) = self.additive_operator() {
            self.advance();
            rest.push((operator, self.selectable_product()?));
        }
        Ok(chain(first, rest))
    }

    fn selectable_product(&mut self) -> Parsed<Selectable> {
        let first = self.signed_selectable()?;
        let mut rest = Vec::new();
        while let Some(operator) = self.multiplicative_operator() {
            self.advance();
            rest.push((operator, self.signed_selectable()?));
        }
        Ok(chain(first, rest))
    }

    fn signed_selectable(&mut self) -> Parsed<Selectable> {
        if self.accept_symbol("-") {
            return Ok(Selectable::Negation(Box::new(self.nested(Self::signed_selectable)?)));
        }
        let base = self.simple_selectable()?;
        self.with_path(base)
    }

    /// `base`, with the steps that follow.
    fn with_path(&mut self, base: Selectable) -> Parsed<Selectable> {
        let mut steps = Vec::new();
        loop {
            if self.accept_symbol(".") {
                steps.push(PathStep::Field(self.name()?));
            } else if self.accept_symbol("[") {
                steps.push(self.element_or_slice()?);
                self.expect_symbol("]")?;
            } else if steps.is_empty() {
                return Ok(base);
            } else {
                return Ok(Selectable::Path(Box::new(base), steps));
            }
        }
    }

    fn element_or_slice(&mut self) -> Parsed<PathStep> {
        if self.accept_symbol("..") {
            return Ok(PathStep::Slice(None, Some(self.term()?)));
        }
        let from = self.term()?;
        if !self.accept_symbol("..") {
            return Ok(PathStep::Element(from));
        }
        let to = if self.is_symbol("]") { None } else { Some(self.term()?) };
        Ok(PathStep::Slice(Some(from), to))
    }

    /// A selectable without signs, operators and steps.
    fn simple_selectable(&mut self) -> Parsed<Selectable> {
        if let Some(term) = self.selected_term()? {
            return Ok(Selectable::Term(term));
        }
        match self.token.kind {
            TokenKind::Symbol("[") => {
                self.advance();
                Ok(Selectable::List(self.list_until("]", Self::selectable)?))
            }
            TokenKind::Symbol("{") => self.selected_braces(),
            TokenKind::Symbol("(") => self.selected_parentheses(),
            _ => self.column_or_call(),
        }
    }

    /// A constant, a null or a bind marker, if one stands here.
    fn selected_term(&mut self) -> Parsed<Option<Term>> {
        if let Some(literal) = self.literal()? {
            return Ok(Some(literal));
        }
        let position: Position = self.position();
        if self.accept(Keyword::Null) {
            return Ok(Some(Term { kind: TermKind::Null, position }));
        }
        self.marker()
    }

    /// A set, a map or the fields of a user-defined type.
    fn selected_braces(&mut self) -> Parsed<Selectable> {
        self.expect_symbol("{")?;
        if self.accept_symbol("}") {
            return Ok(Selectable::Set(Vec::new()));
        }
        let first = self.selectable()?;
        let braces = if self.accept_symbol(":") {
            let mut entries = vec![(first, self.selectable()?)];
            while self.accept_symbol(",") {
                let key = self.selectable()?;
                self.expect_symbol(":")?;
                entries.push((key, self.selectable()?));
            }
            Selectable::Map(entries)
        } else {
            let mut elements = vec![first];
            while self.accept_symbol(",") {
                elements.push(self.selectable()?);
            }
            Selectable::Set(elements)
        };
        self.expect_symbol("}")?;
        Ok(braces)
    }

    /// `(type) selectable`, or a tuple.
    fn selected_parentheses(&mut self) -> Parsed<Selectable> {
        if let Some(ty) = self.type_hint_of_selectable() {
            let of = self.nested(Self::simple_selectable)?;
            return Ok(Selectable::TypeHint(ty, Box::new(of)));
        }
        self.expect_symbol("(")?;
        let fields = self.comma_list(Self::selectable)?;
        self.expect_symbol(")")?;
        Ok(Selectable::Tuple(fields))
    }

    fn column_or_call(&mut self) -> Parsed<Selectable> {
        if self.peek_is_symbol("(") {
            let metadata = match self.token.kind {
                TokenKind::Keyword(Keyword::WriteTime) => Some(MetadataFunction::WriteTime),
                TokenKind::Keyword(Keyword::MaxWriteTime) => Some(MetadataFunction::MaxWriteTime),
                TokenKind::Keyword(Keyword::Ttl) => Some(MetadataFunction::Ttl),
                _ => None,
            };
            if let Some(function) = metadata {
                return self.metadata(function);
            }
            if self.is_keyword(Keyword::Cast) {
                return self.selected_cast();
            }
        }
        if self.is_call() {
            let name = self.function_name()?;
            return self.call(name);
        }
        if is_name(&self.token) { Ok(Selectable::Column(self.name()?)) } else { Err(self.unexpected()) }
    }

    fn metadata(&mut self, function: MetadataFunction) -> Parsed<Selectable> {
        self.advance();
        self.expect_symbol("(")?;
        let column = Selectable::Column(self.name()?);
        if self.is_symbol("(") {
            return Err(self.unexpected());
        }
        let path = self.with_path(column)?;
        self.expect_symbol(")")?;
        Ok(Selectable::Metadata(function, Box::new(path)))
    }

    fn selected_cast(&mut self) -> Parsed<Selectable> {
        self.advance();
        self.expect_symbol("(")?;
        let of = self.selectable()?;
        self.expect(Keyword::As)?;
        let ty = self.native_type()?;
        self.expect_symbol(")")?;
        Ok(Selectable::Cast(Box::new(of), ty))
    }

    fn call(&mut self, name: FunctionName) -> Parsed<Selectable> {
        self.expect_symbol("(")?;
        if name.keyspace.is_none() && name.name == "count" && self.is_symbol("*") {
            self.advance();
            self.expect_symbol(")")?;
            return Ok(Selectable::CountRows);
        }
        if self.is_symbol("*") {
            return Err(self.expecting("')'"));
        }
        Ok(Selectable::Function(name, self.list_until(")", Self::selectable)?))
    }
}

fn chain(first: Selectable, rest: Vec<(ArithmeticOperator, Selectable)>) -> Selectable {
    if rest.is_empty() { first } else { Selectable::Arithmetic(Box::new(first), rest) }
}
