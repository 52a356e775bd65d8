//! INSERT, UPDATE, DELETE, BATCH.

use std::collections::BTreeMap;

use dodona_types::value::LiteralKind;

use super::{Parsed, Parser, SyntaxError};
use crate::ast::{
    Assignment, Attributes, Batch, BatchKind, ColumnPart, Delete, IfClause, Insert, InsertSource,
    Modification, Operation, Term, TermKind, Update,
};
use crate::lexer::{Keyword, TokenKind};

impl Parser<'_> {
    /// `INSERT ..`.
    pub(super) fn insert(&mut self) -> Parsed<Insert> {
        self.expect_all(&[Keyword::Insert, Keyword::Into])?;
        let table = self.table()?;
        let source = if self.accept(Keyword::Json) { self.json_source()? } else { self.values_source()? };
        let if_not_exists = self.if_not_exists()?;
        let attributes = self.using()?;
        Ok(Insert { table, source, if_not_exists, attributes })
    }

    fn values_source(&mut self) -> Parsed<InsertSource> {
        if !self.accept_symbol("(") {
            return Err(self.unexpected());
        }
        let columns = self.comma_list(Self::column)?;
        self.expect_symbol(")")?;
        self.expect(Keyword::Values)?;
        self.expect_symbol("(")?;
        let values = self.comma_list(Self::term)?;
        self.expect_symbol(")")?;
        Ok(InsertSource::Values { columns, values })
    }

    fn json_source(&mut self) -> Parsed<InsertSource> {
        let document = if self.is_string() { self.literal()? } else { self.marker()? };
        let document = document.ok_or_else(|| self.unexpected())?;
        let mut default_unset = false;
        if self.accept(Keyword::Default) {
            default_unset = self.accept(Keyword::Unset);
            if !default_unset {
                self.expect(Keyword::Null)?;
            }
        }
        Ok(InsertSource::Json { document, default_unset })
    }

    /// `USING TIMESTAMP .. AND TTL ..`, or nothing. What is given twice counts as given last.
    fn using(&mut self) -> Parsed<Attributes> {
        let mut attributes = Attributes::default();
        if !self.accept(Keyword::Using) {
            return Ok(attributes);
        }
        self.and_list(|parser| {
            if parser.accept(Keyword::Timestamp) {
                attributes.timestamp = Some(parser.integer_or_marker()?);
            } else if parser.accept(Keyword::Ttl) {
                attributes.ttl = Some(parser.integer_or_marker()?);
            } else {
                return Err(parser.unexpected());
            }
            Ok(())
        })?;
        Ok(attributes)
    }

    /// `UPDATE ..`.
    pub(super) fn update(&mut self) -> Parsed<Update> {
        self.expect(Keyword::Update)?;
        let table = self.table()?;
        let attributes = self.using()?;
        self.expect(Keyword::Set)?;
        let assignments = self.comma_list(Self::assignment)?;
        check_assignments(&assignments)?;
        self.expect(Keyword::Where)?;
        let relations = self.where_clause()?;
        Ok(Update { table, attributes, assignments, relations, condition: self.if_clause()? })
    }

    fn assignment(&mut self) -> Parsed<Assignment> {
        let position = self.position();
        let column = self.column()?;
        let operation = match self.token.kind {
            TokenKind::Symbol("=") => {
                self.advance();
                self.plain_assignment(&column)?
            }
            TokenKind::Symbol("+=") => {
                self.advance();
                Operation::Add(self.term()?)
            }
            TokenKind::Symbol("-=") => {
                self.advance();
                Operation::Subtract(self.term()?)
            }
            TokenKind::Symbol("[" | ".") => self.part_assignment()?,
            _ => return Err(self.unexpected()),
        };
        Ok(Assignment { column, operation, position })
    }

    fn part_assignment(&mut self) -> Parsed<Operation> {
        let part = self.column_part()?;
        self.expect_symbol("=")?;
        let value = self.term()?;
        match part {
            Some(ColumnPart::Element(key)) => Ok(Operation::SetElement(key, value)),
            Some(ColumnPart::Field(field)) => Ok(Operation::SetField(field, value)),
            None => Err(self.unexpected()),
        }
    }

    /// What follows `column =`.
    fn plain_assignment(&mut self, column: &str) -> Parsed<Operation> {
        let is_cast = self.is_keyword(Keyword::Cast) && self.peek_is_symbol("(");
        if self.is_column() && !self.is_call() && !is_cast {
            return self.own_column_assignment(column);
        }
        // One deeper than here is where the term's sum is.
        self.prepend_depth = Some(self.depth + 1);
        let value = self.term();
        self.prepend_depth = None;
        let value = value?;
        if !self.accept_symbol("+") {
            return Ok(Operation::Set(value));
        }
        if self.column()? == column {
            return Ok(Operation::Prepend(value));
        }
        Err(SyntaxError::plain("Only expressions of the form X = <value> + X are supported."))
    }

    /// `c + term`, `c - term` or `c -1` (which are two tokens), after `c =`.
    fn own_column_assignment(&mut self, column: &str) -> Parsed<Operation> {
        let is_own = self.column()? == column;
        let unsupported = |sign: &str| {
            SyntaxError::plain(format!("Only expressions of the form X = X {sign}<value> are supported."))
        };
        if self.token.kind == TokenKind::Integer {
            let position = self.position();
            let text = self.advance().text.to_owned();
            if !is_own {
                return Err(unsupported(if text.starts_with('-') { "- " } else { "+ " }));
            }
            return Ok(Operation::Add(Term {
                kind: TermKind::Literal(LiteralKind::Integer, text),
                position,
            }));
        }
        let adds = self.is_symbol("+");
        if !adds && !self.is_symbol("-") {
            return Err(self.unexpected());
        }
        let sign = self.advance().text;
        let value = self.term()?;
        match (is_own, adds) {
            (false, _) => Err(unsupported(sign)),
            (true, true) => Ok(Operation::Add(value)),
            (true, false) => Ok(Operation::Subtract(value)),
        }
    }

    /// `IF EXISTS`, `IF conditions`, or nothing.
    fn if_clause(&mut self) -> Parsed<IfClause> {
        if !self.accept(Keyword::If) {
            return Ok(IfClause::None);
        }
        // A column may be called "exists".
        let is_end =
            |kind: TokenKind| matches!(kind, TokenKind::End | TokenKind::Keyword(_) | TokenKind::Symbol(";"));
        if self.is_keyword(Keyword::Exists) && is_end(self.next.kind) && !self.peek_is_keyword(Keyword::In) {
            self.advance();
            return Ok(IfClause::Exists);
        }
        Ok(IfClause::Conditions(self.and_list(Self::condition)?))
    }

    /// `DELETE ..`.
    pub(super) fn delete(&mut self) -> Parsed<Delete> {
        self.expect(Keyword::Delete)?;
        let mut columns = Vec::new();
        if self.is_symbol("*") {
            return Err(self.expecting("K_FROM"));
        }
        if !self.is_keyword(Keyword::From) {
            columns = self.comma_list(|parser| Ok((parser.column()?, parser.column_part()?)))?;
        }
        self.expect(Keyword::From)?;
        let table = self.table()?;
        let mut attributes = Attributes::default();
        if self.accept(Keyword::Using) {
            self.expect(Keyword::Timestamp)?;
            attributes.timestamp = Some(self.integer_or_marker()?);
        }
        self.expect(Keyword::Where)?;
        let relations = self.where_clause()?;
        Ok(Delete { columns, table, attributes, relations, condition: self.if_clause()? })
    }

    /// `BEGIN BATCH ..`.
    pub(super) fn batch(&mut self) -> Parsed<Batch> {
        self.expect(Keyword::Begin)?;
        let kind = if self.accept(Keyword::Unlogged) {
            BatchKind::Unlogged
        } else if self.accept(Keyword::Counter) {
            BatchKind::Counter
        } else {
            BatchKind::Logged
        };
        self.expect(Keyword::Batch)?;
        let attributes = self.using()?;
        let mut statements = Vec::new();
        while !self.is_keyword(Keyword::Apply) {
            statements.push(self.modification()?);
            self.accept_symbol(";");
        }
        self.expect_all(&[Keyword::Apply, Keyword::Batch])?;
        Ok(Batch { kind, attributes, statements })
    }

    fn modification(&mut self) -> Parsed<Modification> {
        match self.token.kind {
            TokenKind::Keyword(Keyword::Insert) => Ok(Modification::Insert(self.insert()?)),
            TokenKind::Keyword(Keyword::Update) => Ok(Modification::Update(self.update()?)),
            TokenKind::Keyword(Keyword::Delete) => Ok(Modification::Delete(self.delete()?)),
            _ => Err(self.expecting("K_APPLY")),
        }
    }
}

/// A column that is set as a whole can be set only once, as can a field.
fn check_assignments(assignments: &[Assignment]) -> Parsed<()> {
    let mut seen: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for assignment in assignments {
        let is_whole = |operation: &Operation| matches!(operation, Operation::Set(_));
        let column = assignment.column.as_str();
        let before = seen.entry(column).or_default();
        let clashes = |other: &&Operation| match (&assignment.operation, *other) {
            (Operation::SetField(a, _), Operation::SetField(b, _)) => a == b,
            (a, b) => is_whole(a) || is_whole(b),
        };
        // Of operations that are alike one stands for all, so that this stays linear.
        if before.iter().any(clashes) {
            return Err(SyntaxError::plain(format!("Multiple incompatible setting of column {column}")));
        }
        if before.is_empty() || matches!(assignment.operation, Operation::SetField(..)) {
            before.push(&assignment.operation);
        }
    }
    Ok(())
}
