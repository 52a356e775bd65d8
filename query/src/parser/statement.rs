//! Which statement it is.

use super::{Parsed, Parser};
use crate::ast::Statement;
use crate::lexer::{Keyword, TokenKind};

impl Parser<'_> {
    /// Any statement.
    pub(super) fn statement(&mut self) -> Parsed<Statement> {
        let TokenKind::Keyword(keyword) = self.token.kind else {
            return if self.is_explain() { self.explain() } else { Err(self.unexpected()) };
        };
        Ok(match keyword {
            Keyword::Select => Statement::Select(Box::new(self.select()?)),
            Keyword::Insert => Statement::Insert(self.insert()?),
            Keyword::Update => Statement::Update(self.update()?),
            Keyword::Delete => Statement::Delete(self.delete()?),
            Keyword::Begin => Statement::Batch(self.batch()?),
            Keyword::Use => {
                self.advance();
                Statement::Use(self.keyspace()?)
            }
            Keyword::Truncate => {
                self.advance();
                let _ = self.accept(Keyword::Table) || self.accept(Keyword::ColumnFamily);
                Statement::Truncate(self.table()?)
            }
            Keyword::Create => self.create()?,
            Keyword::Alter => self.alter()?,
            Keyword::Drop => self.drop()?,
            Keyword::Grant => self.grant()?,
            Keyword::Revoke => self.revoke()?,
            Keyword::List => self.list()?,
            Keyword::Add => Statement::AddIdentity(self.add_identity()?),
            Keyword::Describe | Keyword::Desc => Statement::Describe(self.describe()?),
            _ => return Err(self.unexpected()),
        })
    }

    /// EXPLAIN is no keyword: only where a statement begins does it say this.
    fn is_explain(&self) -> bool {
        self.token.kind == TokenKind::Identifier && self.token.text.eq_ignore_ascii_case("explain")
    }

    /// `EXPLAIN SELECT ..`, or of a statement or a batch that changes rows.
    fn explain(&mut self) -> Parsed<Statement> {
        self.advance();
        match self.token.kind {
            TokenKind::Keyword(
                Keyword::Select | Keyword::Insert | Keyword::Update | Keyword::Delete | Keyword::Begin,
            ) => Ok(Statement::Explain(Box::new(self.statement()?))),
            _ => Err(self.unexpected()),
        }
    }

    /// The keyword after CREATE, ALTER or DROP, taken. `schema` is another word for `keyspace`.
    fn object(&mut self) -> Parsed<Keyword> {
        let TokenKind::Keyword(keyword) = self.token.kind else {
            return Err(self.unexpected());
        };
        let object = match keyword {
            Keyword::Schema => Keyword::Keyspace,
            Keyword::ColumnFamily => Keyword::Table,
            Keyword::Keyspace
            | Keyword::Table
            | Keyword::Type
            | Keyword::Index
            | Keyword::Function
            | Keyword::Aggregate
            | Keyword::Trigger
            | Keyword::Role
            | Keyword::User
            | Keyword::Identity
            | Keyword::Custom
            | Keyword::Or
            | Keyword::Materialized => keyword,
            _ => return Err(self.unexpected()),
        };
        self.advance();
        if object == Keyword::Materialized {
            self.expect(Keyword::View)?;
        }
        Ok(object)
    }

    fn create(&mut self) -> Parsed<Statement> {
        self.expect(Keyword::Create)?;
        Ok(match self.object()? {
            Keyword::Keyspace => Statement::CreateKeyspace(self.create_keyspace()?),
            Keyword::Table => Statement::CreateTable(Box::new(self.create_table()?)),
            Keyword::Type => Statement::CreateType(self.create_type()?),
            Keyword::Index => Statement::CreateIndex(self.create_index(false)?),
            Keyword::Custom => {
                self.expect(Keyword::Index)?;
                Statement::CreateIndex(self.create_index(true)?)
            }
            Keyword::Materialized => Statement::CreateView(Box::new(self.create_view()?)),
            Keyword::Function => Statement::CreateFunction(Box::new(self.create_function(false)?)),
            Keyword::Aggregate => Statement::CreateAggregate(Box::new(self.create_aggregate(false)?)),
            Keyword::Or => self.create_or_replace()?,
            Keyword::Trigger => Statement::CreateTrigger(self.create_trigger()?),
            Keyword::Role => Statement::CreateRole(self.create_role()?),
            Keyword::User => Statement::CreateRole(self.create_user()?),
            _ => return Err(self.unexpected()),
        })
    }

    fn create_or_replace(&mut self) -> Parsed<Statement> {
        self.expect(Keyword::Replace)?;
        if self.accept(Keyword::Aggregate) {
            return Ok(Statement::CreateAggregate(Box::new(self.create_aggregate(true)?)));
        }
        self.expect(Keyword::Function)?;
        Ok(Statement::CreateFunction(Box::new(self.create_function(true)?)))
    }

    fn alter(&mut self) -> Parsed<Statement> {
        self.expect(Keyword::Alter)?;
        Ok(match self.object()? {
            Keyword::Keyspace => Statement::AlterKeyspace(self.alter_keyspace()?),
            Keyword::Table => Statement::AlterTable(self.alter_table()?),
            Keyword::Type => Statement::AlterType(self.alter_type()?),
            Keyword::Materialized => Statement::AlterView(self.alter_view()?),
            Keyword::Role => Statement::AlterRole(self.alter_role()?),
            Keyword::User => Statement::AlterRole(self.alter_user()?),
            _ => return Err(self.unexpected()),
        })
    }

    fn drop(&mut self) -> Parsed<Statement> {
        self.expect(Keyword::Drop)?;
        Ok(match self.object()? {
            Keyword::Keyspace => Statement::DropKeyspace(self.drop_keyspace()?),
            Keyword::Table => Statement::DropTable(self.drop_named(Self::table)?),
            Keyword::Type => Statement::DropType(self.drop_named(Self::type_name)?),
            Keyword::Index => Statement::DropIndex(self.drop_named(Self::qualified_index)?),
            Keyword::Materialized => Statement::DropView(self.drop_named(Self::table)?),
            Keyword::Function => Statement::DropFunction(self.drop_function()?),
            Keyword::Aggregate => Statement::DropAggregate(self.drop_function()?),
            Keyword::Trigger => Statement::DropTrigger(self.drop_trigger()?),
            Keyword::Role => Statement::DropRole(self.drop_role()?),
            Keyword::User => Statement::DropRole(self.drop_user()?),
            Keyword::Identity => Statement::DropIdentity(self.drop_identity()?),
            _ => return Err(self.unexpected()),
        })
    }
}
