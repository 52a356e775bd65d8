//! Names and positions.

use std::fmt;

use dodona_types::cql_type::quote_identifier;

/// A place in the text of a statement, in bytes from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u32);

impl Position {
    /// The place this many bytes into the text. Places past 4 GiB are all one.
    #[must_use]
    pub const fn new(offset: usize) -> Self {
        Self(if offset > u32::MAX as usize { u32::MAX } else { offset as u32 })
    }

    /// Bytes from the start of the text.
    #[must_use]
    pub const fn offset(self) -> usize {
        self.0 as usize
    }

    /// The line, from 1, and the column in the characters of Java (16 bits), from 0, in the text that was parsed.
    #[must_use]
    pub fn line_and_column(self, text: &str) -> (usize, usize) {
        let before = text.get(..self.offset()).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        (line, before[line_start..].encode_utf16().count())
    }
}

/// The name of a table, view, index or user-defined type, with its keyspace if that is given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QualifiedName {
    /// The keyspace.
    pub keyspace: Option<String>,
    /// The name itself.
    pub name: String,
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(keyspace) = &self.keyspace {
            write!(f, "{}.", quote_identifier(keyspace))?;
        }
        f.write_str(&quote_identifier(&self.name))
    }
}

/// The name of a function or an aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FunctionName {
    /// The keyspace, `system` included, if it is given.
    pub keyspace: Option<String>,
    /// The name itself.
    pub name: String,
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(keyspace) = &self.keyspace {
            write!(f, "{}.", quote_identifier(keyspace))?;
        }
        // A keyword, but needs no quotes where a function stands.
        if self.name == "token" {
            return f.write_str(&self.name);
        }
        f.write_str(&quote_identifier(&self.name))
    }
}
