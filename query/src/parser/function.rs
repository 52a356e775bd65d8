//! Functions and aggregates.

use super::{Parsed, Parser};
use crate::ast::{CreateAggregate, CreateFunction, DropFunction, RawType};
use crate::lexer::{Keyword, TokenKind};

impl Parser<'_> {
    /// `CREATE FUNCTION ..`, after FUNCTION.
    pub(super) fn create_function(&mut self, or_replace: bool) -> Parsed<CreateFunction> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.function_name()?;
        self.expect_symbol("(")?;
        let arguments = self.list_until(")", |parser| Ok((parser.name()?, parser.raw_type()?)))?;
        let called_on_null_input = self.accept(Keyword::Called);
        if !called_on_null_input {
            self.expect_all(&[Keyword::Returns, Keyword::Null])?;
        }
        self.expect_all(&[Keyword::On, Keyword::Null, Keyword::Input, Keyword::Returns])?;
        let returns = self.raw_type()?;
        self.expect(Keyword::Language)?;
        if self.token.kind != TokenKind::Identifier {
            return Err(self.expecting("IDENT"));
        }
        let language = self.advance().text.to_ascii_lowercase();
        self.expect(Keyword::As)?;
        let body = self.string()?;
        Ok(CreateFunction {
            name,
            or_replace,
            if_not_exists,
            arguments,
            called_on_null_input,
            returns,
            language,
            body,
        })
    }

    /// `CREATE AGGREGATE ..`, after AGGREGATE.
    pub(super) fn create_aggregate(&mut self, or_replace: bool) -> Parsed<CreateAggregate> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.function_name()?;
        let arguments = self.argument_types()?;
        self.expect(Keyword::SFunc)?;
        let state_function = self.bare_function_name()?;
        self.expect(Keyword::SType)?;
        let state_type = self.raw_type()?;
        let mut final_function = None;
        if self.accept(Keyword::FinalFunc) {
            final_function = Some(self.bare_function_name()?);
        }
        let initial = if self.accept(Keyword::InitCond) { Some(self.term()?) } else { None };
        Ok(CreateAggregate {
            name,
            or_replace,
            if_not_exists,
            arguments,
            state_function,
            state_type,
            final_function,
            initial,
        })
    }

    /// `(type, ..)`.
    pub(super) fn argument_types(&mut self) -> Parsed<Vec<RawType>> {
        self.expect_symbol("(")?;
        self.list_until(")", Self::raw_type)
    }

    /// `DROP FUNCTION ..` or `DROP AGGREGATE ..`, after that word.
    pub(super) fn drop_function(&mut self) -> Parsed<DropFunction> {
        let if_exists = self.if_exists()?;
        let name = self.function_name()?;
        let arguments = if self.is_symbol("(") { Some(self.argument_types()?) } else { None };
        Ok(DropFunction { name, arguments, if_exists })
    }
}
