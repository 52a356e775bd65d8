//! WHERE clauses and conditions.

use super::{Parsed, Parser};
use crate::ast::{
    ColumnPart, Condition, Operand, Operator, Position, QualifiedName, Relation, Subject, Term,
};
use crate::lexer::{Keyword, TokenKind};

impl Parser<'_> {
    /// Relations with AND between them, after WHERE.
    pub(super) fn where_clause(&mut self) -> Parsed<Vec<Relation>> {
        self.and_list(Self::relation)
    }

    fn relation(&mut self) -> Parsed<Relation> {
        let position = self.position();
        match self.token.kind {
            TokenKind::ExprOpen => self.index_expression(position),
            TokenKind::Keyword(Keyword::Token) => {
                self.advance();
                let columns = self.column_tuple()?;
                self.token_relation(columns, position)
            }
            TokenKind::Symbol("(") => self.relation_in_parentheses(position),
            _ => self.column_relation(position),
        }
    }

    fn index_expression(&mut self, position: Position) -> Parsed<Relation> {
        self.advance();
        let index = QualifiedName { keyspace: None, name: self.index_name()? };
        self.expect_symbol(",")?;
        let operand = Operand::One(self.term()?);
        self.expect_symbol(")")?;
        Ok(Relation { subject: Subject::Expression(index), operator: Operator::Equal, operand, position })
    }

    fn column_relation(&mut self, position: Position) -> Parsed<Relation> {
        let column = self.column()?;
        if self.accept_symbol("[") {
            let key = self.term()?;
            self.expect_symbol("]")?;
            let operator = self.comparison()?;
            let operand = Operand::One(self.term()?);
            return Ok(Relation { subject: Subject::Element(column, key), operator, operand, position });
        }
        let (operator, operand) = self.column_comparison()?;
        Ok(Relation { subject: Subject::Column(column), operator, operand, position })
    }

    /// What may stand after a single column.
    fn column_comparison(&mut self) -> Parsed<(Operator, Operand)> {
        match self.token.kind {
            TokenKind::Keyword(Keyword::Is) => {
                self.advance();
                self.expect_all(&[Keyword::Not, Keyword::Null])?;
                Ok((Operator::IsNotNull, Operand::Nothing))
            }
            TokenKind::Keyword(Keyword::Like) => {
                self.advance();
                Ok((Operator::Like, Operand::One(self.term()?)))
            }
            TokenKind::Keyword(Keyword::Between) => self.between(Self::term),
            TokenKind::Keyword(Keyword::In | Keyword::Contains | Keyword::Not) => self.membership(),
            _ => {
                let operator = self.comparison()?;
                Ok((operator, Operand::One(self.term()?)))
            }
        }
    }

    /// `[NOT] IN ..` and `[NOT] CONTAINS [KEY] ..`.
    fn membership(&mut self) -> Parsed<(Operator, Operand)> {
        let negated = self.accept(Keyword::Not);
        if self.accept(Keyword::In) {
            let operator = if negated { Operator::NotIn } else { Operator::In };
            return Ok((operator, self.in_values()?));
        }
        self.expect(Keyword::Contains)?;
        let key = self.accept(Keyword::Key);
        let operator = match (negated, key) {
            (false, false) => Operator::Contains,
            (false, true) => Operator::ContainsKey,
            (true, false) => Operator::NotContains,
            (true, true) => Operator::NotContainsKey,
        };
        Ok((operator, Operand::One(self.term()?)))
    }

    fn between(&mut self, mut term: impl FnMut(&mut Self) -> Parsed<Term>) -> Parsed<(Operator, Operand)> {
        self.expect(Keyword::Between)?;
        let from = term(self)?;
        self.expect(Keyword::And)?;
        Ok((Operator::Between, Operand::Range(Box::new((from, term(self)?)))))
    }

    fn comparison(&mut self) -> Parsed<Operator> {
        let operator = match self.token.kind {
            TokenKind::Symbol("=") => Operator::Equal,
            TokenKind::Symbol("<") => Operator::Less,
            TokenKind::Symbol("<=") => Operator::LessOrEqual,
            TokenKind::Symbol(">") => Operator::Greater,
            TokenKind::Symbol(">=") => Operator::GreaterOrEqual,
            TokenKind::Symbol("!=") => Operator::NotEqual,
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(operator)
    }

    /// What IN takes after a single column: terms, or one bind marker.
    fn in_values(&mut self) -> Parsed<Operand> {
        if let Some(marker) = self.marker()? {
            return Ok(Operand::One(marker));
        }
        self.expect_symbol("(")?;
        Ok(Operand::Many(self.list_until(")", Self::term)?))
    }

    fn column_tuple(&mut self) -> Parsed<Vec<String>> {
        self.expect_symbol("(")?;
        let columns = self.comma_list(Self::column)?;
        self.expect_symbol(")")?;
        Ok(columns)
    }

    fn token_relation(&mut self, columns: Vec<String>, position: Position) -> Parsed<Relation> {
        let (operator, operand) = if self.is_keyword(Keyword::Between) {
            self.between(Self::term)?
        } else {
            (self.comparison()?, Operand::One(self.term()?))
        };
        Ok(Relation { subject: Subject::Token(columns), operator, operand, position })
    }

    /// `(a, b) = ..`, or a relation in parentheses.
    fn relation_in_parentheses(&mut self, position: Position) -> Parsed<Relation> {
        let start = self.checkpoint();
        if let Ok(columns) = self.column_tuple() {
            return self.tuple_relation(columns, position);
        }
        self.go_back(start);
        self.expect_symbol("(")?;
        let relation = self.nested(Self::relation)?;
        self.expect_symbol(")")?;
        Ok(relation)
    }

    fn tuple_relation(&mut self, columns: Vec<String>, position: Position) -> Parsed<Relation> {
        let negated = self.is_keyword(Keyword::Not);
        let (operator, operand) = if negated || self.is_keyword(Keyword::In) {
            self.accept(Keyword::Not);
            self.expect(Keyword::In)?;
            (if negated { Operator::NotIn } else { Operator::In }, self.tuple_in_values()?)
        } else if self.is_keyword(Keyword::Between) {
            self.between(Self::tuple_or_marker)?
        } else {
            (self.comparison()?, Operand::One(self.tuple_or_marker()?))
        };
        Ok(Relation { subject: Subject::Tuple(columns), operator, operand, position })
    }

    fn tuple_or_marker(&mut self) -> Parsed<Term> {
        match self.marker()? {
            Some(marker) => Ok(marker),
            None => self.nested(Self::tuple_literal),
        }
    }

    /// What IN takes after several columns: tuples or bind markers, or one bind marker.
    fn tuple_in_values(&mut self) -> Parsed<Operand> {
        if let Some(marker) = self.marker()? {
            return Ok(Operand::One(marker));
        }
        self.expect_symbol("(")?;
        Ok(Operand::Many(self.list_until(")", Self::tuple_or_marker)?))
    }

    /// A condition after IF.
    pub(super) fn condition(&mut self) -> Parsed<Condition> {
        let position = self.position();
        let column = self.column()?;
        let part = self.column_part()?;
        let (operator, operand) = match self.token.kind {
            TokenKind::Keyword(Keyword::Contains) if part.is_none() => self.membership()?,
            TokenKind::Keyword(Keyword::In) => self.membership()?,
            _ => (self.comparison()?, Operand::One(self.term()?)),
        };
        Ok(Condition { column, part, operator, operand, position })
    }

    /// `[key]` or `.field`, or nothing.
    pub(super) fn column_part(&mut self) -> Parsed<Option<ColumnPart>> {
        if self.accept_symbol("[") {
            let key = self.term()?;
            self.expect_symbol("]")?;
            return Ok(Some(ColumnPart::Element(key)));
        }
        if self.accept_symbol(".") {
            return Ok(Some(ColumnPart::Field(self.name()?)));
        }
        Ok(None)
    }

    /// A comparison of a constraint: `operator term`, if one stands here.
    pub(super) fn optional_comparison(&mut self) -> Parsed<Option<(Operator, Term)>> {
        let is_comparison =
            matches!(self.token.kind, TokenKind::Symbol("=" | "<" | "<=" | ">" | ">=" | "!="));
        if !is_comparison {
            return Ok(None);
        }
        Ok(Some((self.comparison()?, self.term()?)))
    }
}
