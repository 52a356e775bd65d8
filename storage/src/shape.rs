//! What rows of a table can have: tells from which timestamp on a row is settled.

use crate::error::Result;
use dodona_types::row::{RowBuilder, RowHeader, RowView};
use dodona_types::{ColumnId, Deletion, RowItem};

/// The columns of a table, as far as reads of rows by name need them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowShape {
    /// Columns of rows, sorted.
    pub columns: Vec<ColumnId>,
    /// Static columns, sorted.
    pub statics: Vec<ColumnId>,
    /// A partition has one row at most, besides the static one: the table has no clustering key.
    pub one_row: bool,
    /// Every column has one cell, and none counts: of several versions of a row, one alone can say all.
    pub is_plain: bool,
}

/// What of a row is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Whatever is older than this changes nothing of the row; `i64::MIN` if anything may.
    pub(crate) since: i64,
    /// The row says so itself: it has its marker and a cell for every column.
    pub(crate) is_complete: bool,
    /// It is complete and has something that does not matter: a deletion, or cells of other columns.
    pub(crate) has_rest: bool,
}

impl Settled {
    /// Anything may change the row.
    pub(crate) const NOT: Self = Self { since: i64::MIN, is_complete: false, has_rest: false };
}

impl RowShape {
    /// What of a row is settled, by its own content: a deletion settles what is older, and so do a marker
    /// and a cell for every column together (Cassandra: `SinglePartitionReadCommand.isRowComplete`). What
    /// expired or was deleted before `purged_before_seconds` does not count, since other replicas may have
    /// left it out.
    ///
    /// # Errors
    /// The row is malformed.
    pub(crate) fn settled(&self, row: &RowView<'_>, purged_before_seconds: i64) -> Result<Settled> {
        // What is older than its deletion does not matter.
        let deletion = row.header.deletion;
        let by_deletion = Settled { since: deletion.timestamp_micros, ..Settled::NOT };
        let marker = row.header.liveness.filter(|it| it.expires_at_seconds >= purged_before_seconds);
        let Some(marker) = marker else { return Ok(by_deletion) };
        let mut settled = self.settled_columns(row, &self.columns, purged_before_seconds)?;
        if !settled.is_complete {
            return Ok(by_deletion);
        }
        settled.since = settled.since.min(marker.timestamp_micros);
        settled.has_rest |= !deletion.is_none();
        Ok(settled)
    }

    /// As [`Self::settled`] of a static row, which has no marker.
    ///
    /// # Errors
    /// The row is malformed.
    pub(crate) fn settled_static(&self, row: &RowView<'_>, purged_before_seconds: i64) -> Result<Settled> {
        self.settled_columns(row, &self.statics, purged_before_seconds)
    }

    /// Complete since the least timestamp of the cells, if each of these columns has one.
    fn settled_columns(
        &self,
        row: &RowView<'_>,
        columns: &[ColumnId],
        purged_before_seconds: i64,
    ) -> Result<Settled> {
        if !self.is_plain {
            return Ok(Settled::NOT);
        }
        let mut settled = Settled { since: i64::MAX, is_complete: true, has_rest: false };
        let mut wanted = columns.iter().peekable();
        for item in row.items() {
            let item = item?;
            let RowItem::Cell(cell) = item else {
                settled.has_rest = true;
                continue;
            };
            if wanted.next_if(|column| **column == cell.column).is_none() {
                if wanted.peek().is_some_and(|column| **column < cell.column) {
                    return Ok(Settled::NOT);
                }
                settled.has_rest = true;
                continue;
            }
            if cell.local_deletion_seconds() < purged_before_seconds {
                return Ok(Settled::NOT);
            }
            settled.since = settled.since.min(cell.timestamp_micros);
        }
        Ok(if wanted.peek().is_none() { settled } else { Settled::NOT })
    }

    /// Appends a complete row without what is settled by it: deletions that are older than all of it, and
    /// cells of columns that the table has no more.
    ///
    /// # Errors
    /// The row is malformed.
    pub(crate) fn put_complete(
        &self,
        row: &RowView<'_>,
        since: i64,
        columns: &[ColumnId],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let is_old = row.header.deletion.timestamp_micros < since;
        let deletion = if is_old { Deletion::NONE } else { row.header.deletion };
        let mut builder = RowBuilder::new(out, row.base_timestamp(), &RowHeader { deletion, ..row.header });
        for item in row.items() {
            match item? {
                RowItem::Cell(cell) if columns.binary_search(&cell.column).is_ok() => {
                    builder.push_cell(&cell);
                }
                _ => {}
            }
        }
        Ok(())
    }
}
