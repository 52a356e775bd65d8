//! SELECT.

use super::{Parsed, Parser};
use crate::ast::{Ordering, Select, Selectable, Selectors};
use crate::lexer::{Keyword, TokenKind};

impl Parser<'_> {
    /// `SELECT ..`.
    pub(super) fn select(&mut self) -> Parsed<Select> {
        self.expect(Keyword::Select)?;
        let json = self.modifier(Keyword::Json);
        let distinct = self.modifier(Keyword::Distinct);
        let selectors = self.selectors()?;
        self.expect(Keyword::From)?;
        let table = self.table()?;
        let relations = if self.accept(Keyword::Where) { self.where_clause()? } else { Vec::new() };
        Ok(Select {
            json,
            distinct,
            selectors,
            table,
            relations,
            group_by: self.group_by()?,
            order_by: self.order_by()?,
            per_partition_limit: self.per_partition_limit()?,
            limit: if self.accept(Keyword::Limit) { Some(self.integer_or_marker()?) } else { None },
            allow_filtering: self.allow_filtering()?,
        })
    }

    /// JSON or DISTINCT: also names of columns, so what follows decides.
    fn modifier(&mut self, keyword: Keyword) -> bool {
        let is_column = match self.next.kind {
            TokenKind::Symbol(symbol) => !matches!(symbol, "*" | "(" | "[" | "{" | "?" | ":" | "-"),
            TokenKind::Keyword(Keyword::From) | TokenKind::End => true,
            TokenKind::Keyword(Keyword::As) => {
                // `json AS x`, unless the column is called "as": `json as FROM`, `json as, b`.
                let mut ahead = self.lexer;
                !matches!(ahead.next_token().kind, TokenKind::Keyword(Keyword::From) | TokenKind::Symbol(_))
            }
            _ => false,
        };
        self.is_keyword(keyword) && !is_column && self.accept(keyword)
    }

    /// `*`, or selectables with aliases.
    pub(super) fn selectors(&mut self) -> Parsed<Selectors> {
        if self.accept_symbol("*") {
            return Ok(Selectors::All);
        }
        let list = self.comma_list(|parser| {
            let selectable: Selectable = parser.selectable()?;
            let alias = if parser.accept(Keyword::As) { Some(parser.name()?) } else { None };
            Ok((selectable, alias))
        })?;
        Ok(Selectors::List(list))
    }

    fn group_by(&mut self) -> Parsed<Vec<Selectable>> {
        if !self.accept(Keyword::Group) {
            return Ok(Vec::new());
        }
        self.expect(Keyword::By)?;
        self.comma_list(Self::selectable)
    }

    fn order_by(&mut self) -> Parsed<Vec<Ordering>> {
        if !self.accept(Keyword::Order) {
            return Ok(Vec::new());
        }
        self.expect(Keyword::By)?;
        self.comma_list(|parser| {
            let position = parser.position();
            let column = parser.column()?;
            let mut ann_of = None;
            if parser.accept(Keyword::Ann) {
                parser.expect(Keyword::Of)?;
                ann_of = Some(parser.term()?);
            }
            let descending = !parser.accept(Keyword::Asc) && parser.accept(Keyword::Desc);
            Ok(Ordering { column, ann_of, descending, position })
        })
    }

    fn per_partition_limit(&mut self) -> Parsed<Option<crate::ast::Term>> {
        if !self.accept(Keyword::Per) {
            return Ok(None);
        }
        self.expect_all(&[Keyword::Partition, Keyword::Limit])?;
        self.integer_or_marker().map(Some)
    }

    fn allow_filtering(&mut self) -> Parsed<bool> {
        let found = self.accept(Keyword::Allow);
        if found {
            self.expect(Keyword::Filtering)?;
        }
        Ok(found)
    }
}
