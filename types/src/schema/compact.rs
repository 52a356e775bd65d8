//! Tables with `COMPACT STORAGE`: what is special about them (Cassandra `CompactTableMetadata`).

use super::{Column, ColumnKind, Table};
use serde::{Deserialize, Serialize};

/// How a table with `COMPACT STORAGE` is laid out. Its rows have no marker: they are there as long as
/// they have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompactStorage {
    /// The table was made without clustering columns. What CQL shows as its values are static columns;
    /// a clustering column and a value beside them are hidden.
    Static,
    /// One value a row, hidden and of the empty type ([`crate::CqlType::empty`]) if the table was made without one. Of several
    /// clustering columns the last may have no value.
    Dense,
}

impl Table {
    /// True if statements cannot name the column.
    #[must_use]
    pub fn is_hidden(&self, column: &Column) -> bool {
        match self.compact_storage {
            None => false,
            Some(CompactStorage::Static) => {
                matches!(column.kind, ColumnKind::Clustering | ColumnKind::Regular)
            }
            Some(CompactStorage::Dense) => {
                column.kind == ColumnKind::Regular && column.cql_type.is_empty_type()
            }
        }
    }

    /// The columns that statements can name, in order.
    pub fn visible_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| !self.is_hidden(column))
    }

    /// The column of this name, if statements can name it.
    #[must_use]
    pub fn visible_column(&self, name: &str) -> Option<&Column> {
        self.column(name).filter(|column| !self.is_hidden(column))
    }

    /// The hidden value that makes a row of a table without values of its own.
    #[must_use]
    pub fn empty_value(&self) -> Option<&Column> {
        let dense = self.compact_storage == Some(CompactStorage::Dense);
        self.columns_of(ColumnKind::Regular).find(|column| dense && self.is_hidden(column))
    }

    /// True if rows are there without a value, by a marker.
    #[must_use]
    pub const fn has_row_markers(&self) -> bool {
        self.compact_storage.is_none()
    }

    /// The flags of `system_schema.tables`, sorted.
    #[must_use]
    pub fn flags(&self) -> Vec<&'static str> {
        let is_compound = match self.compact_storage {
            None => true,
            Some(CompactStorage::Static) => false,
            Some(CompactStorage::Dense) => self.clustering_key().nth(1).is_some(),
        };
        let is_dense = self.compact_storage == Some(CompactStorage::Dense);
        let flags = [("compound", is_compound), ("counter", self.is_counter()), ("dense", is_dense)];
        flags.into_iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag).collect()
    }
}
