//! DESCRIBE.

use super::name::{is_function_name, is_name};
use super::{Parsed, Parser};
use crate::ast::{Describe, DescribeTarget};
use crate::lexer::{Keyword, TokenKind};

impl Parser<'_> {
    /// `DESCRIBE ..` or `DESC ..`.
    pub(super) fn describe(&mut self) -> Parsed<Describe> {
        self.advance();
        let target = self.describe_target()?;
        let with_internals = self.accept(Keyword::With);
        if with_internals {
            self.expect(Keyword::Internals)?;
        }
        Ok(Describe { target, with_internals })
    }

    fn describe_target(&mut self) -> Parsed<DescribeTarget> {
        let TokenKind::Keyword(keyword) = self.token.kind else {
            return self.describe_any();
        };
        let target = match keyword {
            Keyword::Cluster => DescribeTarget::Cluster,
            Keyword::Schema => DescribeTarget::Schema { full: false },
            Keyword::Keyspaces => DescribeTarget::Keyspaces,
            Keyword::Tables | Keyword::ColumnFamilies => DescribeTarget::Tables,
            Keyword::Types => DescribeTarget::Types,
            Keyword::Functions => DescribeTarget::Functions,
            Keyword::Aggregates => DescribeTarget::Aggregates,
            _ => return self.describe_named(keyword),
        };
        self.advance();
        Ok(target)
    }

    fn describe_named(&mut self, keyword: Keyword) -> Parsed<DescribeTarget> {
        let next = self.next;
        // Words that are names as well are what they say only if a name follows.
        let is_name_itself = match keyword {
            Keyword::Type => !is_name(&next),
            Keyword::Function | Keyword::Aggregate => !is_name(&next) && !is_function_name(&next),
            Keyword::Only => next.kind != TokenKind::Keyword(Keyword::Keyspace),
            Keyword::Full | Keyword::Keyspace | Keyword::Table | Keyword::ColumnFamily => false,
            Keyword::Index | Keyword::Materialized => false,
            _ => true,
        };
        if is_name_itself {
            return self.describe_any();
        }
        self.advance();
        match keyword {
            Keyword::Full => {
                self.expect(Keyword::Schema)?;
                Ok(DescribeTarget::Schema { full: true })
            }
            Keyword::Only => {
                self.advance();
                self.describe_keyspace(true)
            }
            Keyword::Keyspace => self.describe_keyspace(false),
            Keyword::Index => Ok(DescribeTarget::Index(self.table()?)),
            Keyword::Materialized => {
                self.expect(Keyword::View)?;
                Ok(DescribeTarget::View(self.table()?))
            }
            Keyword::Type => Ok(DescribeTarget::Type(self.type_name()?)),
            Keyword::Function => Ok(DescribeTarget::Function(self.function_name()?)),
            Keyword::Aggregate => Ok(DescribeTarget::Aggregate(self.function_name()?)),
            _ => Ok(DescribeTarget::Table(self.table()?)),
        }
    }

    fn describe_keyspace(&mut self, only: bool) -> Parsed<DescribeTarget> {
        let has_name = is_name(&self.token) || self.is_symbol("?");
        let name = if has_name { Some(self.keyspace()?) } else { None };
        Ok(DescribeTarget::Keyspace { name, only })
    }

    fn describe_any(&mut self) -> Parsed<DescribeTarget> {
        Ok(DescribeTarget::Any(self.table()?))
    }
}
