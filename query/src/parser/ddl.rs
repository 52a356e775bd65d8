//! Keyspaces, types, indexes, triggers, and what is dropped by name.

use super::{Parsed, Parser};
use crate::ast::{
    AlterKeyspace, AlterType, CreateIndex, CreateKeyspace, CreateTrigger, CreateType, DropKeyspace,
    DropNamed, DropTrigger, IndexTarget, QualifiedName, RawType, TypeChange,
};
use crate::lexer::{Keyword, TokenKind};

impl Parser<'_> {
    /// `CREATE KEYSPACE ..`, after KEYSPACE.
    pub(super) fn create_keyspace(&mut self) -> Parsed<CreateKeyspace> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.keyspace()?;
        self.expect(Keyword::With)?;
        Ok(CreateKeyspace { name, if_not_exists, properties: self.properties()? })
    }

    /// `ALTER KEYSPACE ..`, after KEYSPACE.
    pub(super) fn alter_keyspace(&mut self) -> Parsed<AlterKeyspace> {
        let if_exists = self.if_exists()?;
        let name = self.keyspace()?;
        self.expect(Keyword::With)?;
        Ok(AlterKeyspace { name, if_exists, properties: self.properties()? })
    }

    /// `DROP KEYSPACE ..`, after KEYSPACE.
    pub(super) fn drop_keyspace(&mut self) -> Parsed<DropKeyspace> {
        let if_exists = self.if_exists()?;
        Ok(DropKeyspace { name: self.keyspace()?, if_exists })
    }

    /// `[IF EXISTS] name`, after DROP and what it is.
    pub(super) fn drop_named(&mut self, name: fn(&mut Self) -> Parsed<QualifiedName>) -> Parsed<DropNamed> {
        let if_exists = self.if_exists()?;
        Ok(DropNamed { name: name(self)?, if_exists })
    }

    /// `CREATE TYPE ..`, after TYPE.
    pub(super) fn create_type(&mut self) -> Parsed<CreateType> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.type_name()?;
        self.expect_symbol("(")?;
        let mut fields = vec![self.type_field()?];
        while self.accept_symbol(",") {
            // Commas may have nothing between them.
            if !self.is_symbol(",") && !self.is_symbol(")") {
                fields.push(self.type_field()?);
            }
        }
        self.expect_symbol(")")?;
        Ok(CreateType { name, if_not_exists, fields })
    }

    fn type_field(&mut self) -> Parsed<(String, RawType)> {
        Ok((self.name()?, self.raw_type()?))
    }

    /// `ALTER TYPE ..`, after TYPE.
    pub(super) fn alter_type(&mut self) -> Parsed<AlterType> {
        let if_exists = self.if_exists()?;
        let name = self.type_name()?;
        let change = match self.token.kind {
            TokenKind::Keyword(Keyword::Alter) => {
                self.advance();
                let field = self.name()?;
                self.expect(Keyword::Type)?;
                TypeChange::FieldType(field, self.raw_type()?)
            }
            TokenKind::Keyword(Keyword::Add) => {
                self.advance();
                let if_not_exists = self.if_not_exists()?;
                let (field, ty) = self.type_field()?;
                TypeChange::Add { if_not_exists, field, ty }
            }
            TokenKind::Keyword(Keyword::Rename) => {
                let (if_exists, fields) = self.renames()?;
                TypeChange::Rename { if_exists, fields }
            }
            _ => return Err(self.unexpected()),
        };
        Ok(AlterType { name, if_exists, change })
    }

    /// `CREATE [CUSTOM] INDEX ..`, after INDEX.
    pub(super) fn create_index(&mut self, custom: bool) -> Parsed<CreateIndex> {
        let if_not_exists = self.if_not_exists()?;
        let name = if self.is_keyword(Keyword::On) { None } else { Some(self.index_name()?) };
        self.expect(Keyword::On)?;
        let table = self.table()?;
        self.expect_symbol("(")?;
        let targets = self.list_until(")", Self::index_target)?;
        let class = if self.accept(Keyword::Using) { Some(self.string()?) } else { None };
        let properties = if self.accept(Keyword::With) { self.properties()? } else { Vec::new() };
        Ok(CreateIndex { custom, if_not_exists, name, table, targets, class, properties })
    }

    fn index_target(&mut self) -> Parsed<(IndexTarget, String)> {
        let target = match self.token.kind {
            TokenKind::Keyword(Keyword::Values) => IndexTarget::Values,
            TokenKind::Keyword(Keyword::Keys) => IndexTarget::Keys,
            TokenKind::Keyword(Keyword::Entries) => IndexTarget::Entries,
            TokenKind::Keyword(Keyword::Full) => IndexTarget::Full,
            _ => IndexTarget::Simple,
        };
        if target == IndexTarget::Simple || !self.peek_is_symbol("(") {
            return Ok((IndexTarget::Simple, self.column()?));
        }
        self.advance();
        self.expect_symbol("(")?;
        let column = self.column()?;
        self.expect_symbol(")")?;
        Ok((target, column))
    }

    /// `CREATE TRIGGER ..`, after TRIGGER.
    pub(super) fn create_trigger(&mut self) -> Parsed<CreateTrigger> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.name()?;
        self.expect(Keyword::On)?;
        let table = self.table()?;
        self.expect(Keyword::Using)?;
        Ok(CreateTrigger { name, if_not_exists, table, class: self.string()? })
    }

    /// `DROP TRIGGER ..`, after TRIGGER.
    pub(super) fn drop_trigger(&mut self) -> Parsed<DropTrigger> {
        let if_exists = self.if_exists()?;
        let name = self.name()?;
        self.expect(Keyword::On)?;
        Ok(DropTrigger { name, if_exists, table: self.table()? })
    }
}
