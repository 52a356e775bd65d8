//! CREATE TABLE, ALTER TABLE and materialized views.

use super::property::Properties;
use super::{Parsed, Parser, SyntaxError};
use crate::ast::{
    AlterTable, AlterView, ColumnDefinition, Constraint, CreateTable, CreateView, FunctionName, Mask,
    PrimaryKey, TableChange,
};
use crate::lexer::{Keyword, TokenKind};

/// What stands after WITH of a table or a view.
#[derive(Default)]
struct TableOptions {
    properties: Properties,
    clustering_order: Vec<(String, bool)>,
    compact_storage: bool,
}

impl Parser<'_> {
    /// `CREATE TABLE ..`, after TABLE.
    pub(super) fn create_table(&mut self) -> Parsed<CreateTable> {
        let if_not_exists = self.if_not_exists()?;
        let table = self.table()?;
        let (mut columns, mut primary_keys) = (Vec::new(), Vec::new());
        self.expect_symbol("(")?;
        self.table_item(&mut columns, &mut primary_keys)?;
        while self.accept_symbol(",") {
            // Commas may have nothing between them.
            if !self.is_symbol(",") && !self.is_symbol(")") {
                self.table_item(&mut columns, &mut primary_keys)?;
            }
        }
        self.expect_symbol(")")?;
        let options = self.table_options()?;
        Ok(CreateTable {
            table,
            if_not_exists,
            columns,
            primary_keys,
            clustering_order: options.clustering_order,
            compact_storage: options.compact_storage,
            properties: options.properties.list,
        })
    }

    fn table_item(&mut self, columns: &mut Vec<ColumnDefinition>, keys: &mut Vec<PrimaryKey>) -> Parsed<()> {
        if self.is_keyword(Keyword::Primary) {
            keys.push(self.primary_key()?);
            return Ok(());
        }
        let column = self.column_definition()?;
        if self.accept(Keyword::Primary) {
            self.expect(Keyword::Key)?;
            keys.push(PrimaryKey { partition: vec![column.name.clone()], clustering: Vec::new() });
        }
        columns.push(column);
        Ok(())
    }

    fn column_definition(&mut self) -> Parsed<ColumnDefinition> {
        let position = self.position();
        let name = self.name()?;
        let ty = self.raw_type()?;
        let is_static = self.accept(Keyword::Static);
        let mask = if self.is_keyword(Keyword::Masked) { Some(self.mask()?) } else { None };
        let constraints = self.constraints()?;
        Ok(ColumnDefinition { name, ty, is_static, mask, constraints, position })
    }

    /// `MASKED WITH ..`.
    fn mask(&mut self) -> Parsed<Mask> {
        self.expect_all(&[Keyword::Masked, Keyword::With])?;
        if self.is_keyword(Keyword::Default) && !self.peek_is_symbol("(") && !self.peek_is_symbol(".") {
            self.advance();
            let function =
                FunctionName { keyspace: Some("system".to_owned()), name: "mask_default".to_owned() };
            return Ok(Mask { function, arguments: Vec::new() });
        }
        let function = self.function_name()?;
        self.expect_symbol("(")?;
        Ok(Mask { function, arguments: self.list_until(")", Self::term)? })
    }

    /// `CHECK .. AND ..`, or nothing.
    fn constraints(&mut self) -> Parsed<Vec<Constraint>> {
        if !self.accept(Keyword::Check) {
            return Ok(Vec::new());
        }
        self.and_list(|parser| {
            let first = parser.name()?;
            let (function, column) = if parser.accept_symbol("(") {
                let column = parser.name()?;
                parser.expect_symbol(")")?;
                (Some(first), column)
            } else {
                (None, first)
            };
            let comparison = parser.optional_comparison()?;
            if function.is_none() && comparison.is_none() {
                return Err(parser.unexpected());
            }
            Ok(Constraint { function, column, comparison })
        })
    }

    /// `PRIMARY KEY ((a, b), c)`.
    fn primary_key(&mut self) -> Parsed<PrimaryKey> {
        self.expect_all(&[Keyword::Primary, Keyword::Key])?;
        self.expect_symbol("(")?;
        let partition = if self.accept_symbol("(") {
            let columns = self.comma_list(Self::name)?;
            self.expect_symbol(")")?;
            columns
        } else {
            vec![self.name()?]
        };
        let clustering = if self.accept_symbol(",") { self.comma_list(Self::name)? } else { Vec::new() };
        self.expect_symbol(")")?;
        Ok(PrimaryKey { partition, clustering })
    }

    fn table_options(&mut self) -> Parsed<TableOptions> {
        let mut options = TableOptions::default();
        if self.accept(Keyword::With) {
            self.and_list(|parser| parser.table_option(&mut options))?;
        }
        Ok(options)
    }

    fn table_option(&mut self, options: &mut TableOptions) -> Parsed<()> {
        if self.is_keyword(Keyword::Compact) && self.peek_is_keyword(Keyword::Storage) {
            self.advance();
            self.advance();
            options.compact_storage = true;
            return Ok(());
        }
        if !(self.is_keyword(Keyword::Clustering) && self.peek_is_keyword(Keyword::Order)) {
            return self.property(&mut options.properties);
        }
        self.expect_all(&[Keyword::Clustering, Keyword::Order, Keyword::By])?;
        self.expect_symbol("(")?;
        let order = self.comma_list(|parser| {
            let column = parser.name()?;
            let ascending = parser.accept(Keyword::Asc);
            if !ascending {
                parser.expect(Keyword::Desc)?;
            }
            Ok((column, !ascending))
        })?;
        options.clustering_order.extend(order);
        self.expect_symbol(")")
    }

    /// `ALTER TABLE ..`, after TABLE.
    pub(super) fn alter_table(&mut self) -> Parsed<AlterTable> {
        let if_exists = self.if_exists()?;
        let table = self.table()?;
        let change = match self.token.kind {
            TokenKind::Keyword(Keyword::Alter) => self.alter_column()?,
            TokenKind::Keyword(Keyword::Add) => self.add_columns()?,
            TokenKind::Keyword(Keyword::Drop) => self.drop_columns()?,
            TokenKind::Keyword(Keyword::Rename) => {
                let (if_exists, columns) = self.renames()?;
                TableChange::Rename { if_exists, columns }
            }
            TokenKind::Keyword(Keyword::With) => {
                self.advance();
                TableChange::Properties(self.properties()?)
            }
            _ => return Err(self.unexpected()),
        };
        Ok(AlterTable { table, if_exists, change })
    }

    fn alter_column(&mut self) -> Parsed<TableChange> {
        self.expect(Keyword::Alter)?;
        let if_exists = self.if_exists()?;
        let column = self.column()?;
        if !if_exists && self.accept(Keyword::Type) {
            return Ok(TableChange::ColumnType(column, self.raw_type()?));
        }
        if self.accept(Keyword::Drop) {
            if self.accept(Keyword::Check) {
                return Ok(TableChange::Constraints { if_exists, column, constraints: Vec::new() });
            }
            self.expect(Keyword::Masked)?;
            return Ok(TableChange::Mask { if_exists, column, mask: None });
        }
        if self.is_keyword(Keyword::Check) {
            return Ok(TableChange::Constraints { if_exists, column, constraints: self.constraints()? });
        }
        if !self.is_keyword(Keyword::Masked) {
            return Err(self.unexpected());
        }
        Ok(TableChange::Mask { if_exists, column, mask: Some(self.mask()?) })
    }

    fn add_columns(&mut self) -> Parsed<TableChange> {
        self.expect(Keyword::Add)?;
        let if_not_exists = self.if_not_exists()?;
        let columns = self.one_or_several(Self::column_definition)?;
        Ok(TableChange::Add { if_not_exists, columns })
    }

    /// An item, or several in parentheses.
    fn one_or_several<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        if !self.accept_symbol("(") {
            return Ok(vec![item(self)?]);
        }
        let items = self.comma_list(item)?;
        self.expect_symbol(")")?;
        Ok(items)
    }

    fn drop_columns(&mut self) -> Parsed<TableChange> {
        self.expect(Keyword::Drop)?;
        if self.is_keyword(Keyword::Compact) && self.peek_is_keyword(Keyword::Storage) {
            self.advance();
            self.advance();
            return Ok(TableChange::DropCompactStorage);
        }
        let if_exists = self.if_exists()?;
        let columns = self.one_or_several(Self::name)?;
        let mut timestamp = None;
        if self.accept(Keyword::Using) {
            self.expect(Keyword::Timestamp)?;
            if self.token.kind != TokenKind::Integer {
                return Err(self.expecting("INTEGER"));
            }
            let text = self.advance().text;
            let invalid = |_| SyntaxError::plain(format!("Invalid timestamp {text}"));
            timestamp = Some(text.parse().map_err(invalid)?);
        }
        Ok(TableChange::Drop { if_exists, columns, timestamp })
    }

    /// `RENAME [IF EXISTS] a TO b AND ..`.
    pub(super) fn renames(&mut self) -> Parsed<(bool, Vec<(String, String)>)> {
        self.expect(Keyword::Rename)?;
        let if_exists = self.if_exists()?;
        let names = self.and_list(|parser| {
            let from = parser.name()?;
            parser.expect(Keyword::To)?;
            Ok((from, parser.name()?))
        })?;
        Ok((if_exists, names))
    }

    /// `CREATE MATERIALIZED VIEW ..`, after VIEW.
    pub(super) fn create_view(&mut self) -> Parsed<CreateView> {
        let if_not_exists = self.if_not_exists()?;
        let view = self.table()?;
        self.expect_all(&[Keyword::As, Keyword::Select])?;
        let selectors = self.selectors()?;
        self.expect(Keyword::From)?;
        let table = self.table()?;
        let relations = if self.accept(Keyword::Where) { self.where_clause()? } else { Vec::new() };
        let primary_key = self.primary_key()?;
        let options = self.table_options()?;
        if options.compact_storage {
            let message = "COMPACT STORAGE tables are not allowed starting with version 4.0";
            return Err(SyntaxError::plain(message));
        }
        Ok(CreateView {
            view,
            if_not_exists,
            selectors,
            table,
            relations,
            primary_key,
            clustering_order: options.clustering_order,
            properties: options.properties.list,
        })
    }

    /// `ALTER MATERIALIZED VIEW ..`, after VIEW.
    pub(super) fn alter_view(&mut self) -> Parsed<AlterView> {
        let if_exists = self.if_exists()?;
        let view = self.table()?;
        self.expect(Keyword::With)?;
        Ok(AlterView { view, if_exists, properties: self.properties()? })
    }
}
