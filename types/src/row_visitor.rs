//! How live rows leave a read: a visitor is shown each in turn, borrowed from wherever it lies.

use crate::cell::{Cell, RowItem};
use crate::hidden::HiddenCells;
use crate::key::KeyRef;
use crate::row::{RowBuilder, RowView};
use std::borrow::Cow;
use std::ops::ControlFlow;

/// A row as it looks at one moment: deletions are applied and expired cells hidden.
#[derive(Clone, Copy, Debug)]
pub struct LiveRow<'a> {
    /// The row, without anything that a deletion covers.
    pub row: RowView<'a>,
    /// Seconds since the epoch: what has expired by then is hidden.
    pub now_seconds: i64,
    /// Cells that are not seen.
    pub hidden: &'a HiddenCells,
}

impl<'a> LiveRow<'a> {
    /// The live cells, in the order of (column, path).
    pub fn cells(&self) -> impl Iterator<Item = Cell<'a>> + use<'a> {
        let Self { now_seconds, hidden, .. } = *self;
        self.row.items().filter_map(move |item| match item {
            Ok(RowItem::Cell(cell)) if !cell.is_dead_at(now_seconds) && !hidden.hides(&cell) => Some(cell),
            _ => None,
        })
    }

    /// The row's encoding, without hidden cells.
    #[must_use]
    pub fn encoded(&self) -> Cow<'a, [u8]> {
        if self.hidden.is_empty() {
            return Cow::Borrowed(self.row.bytes());
        }
        let mut out = Vec::new();
        let mut row = RowBuilder::new(&mut out, self.row.base_timestamp(), &self.row.header);
        let items = self.row.items().filter_map(Result::ok);
        let seen = |item: &RowItem<'_>| !matches!(item, RowItem::Cell(cell) if self.hidden.hides(cell));
        items.filter(seen).for_each(|item| row.push(&item));
        Cow::Owned(out)
    }

    /// True if the row exists: its marker or one of its cells lives.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.has_live_marker() || self.cells().next().is_some()
    }

    /// True if the row was inserted, and exists without any value.
    #[must_use]
    pub fn has_live_marker(&self) -> bool {
        self.row.header.liveness.is_some_and(|liveness| liveness.is_live_at(self.now_seconds))
    }
}

/// Is shown the live rows of a read. Breaking off ends the read without an error.
pub trait RowVisitor {
    /// A partition begins that has live rows or a live static row.
    fn partition(&mut self, key: KeyRef<'_>, static_row: Option<&LiveRow<'_>>) -> ControlFlow<()>;

    /// A live row of the partition; `clustering` is its comparable bytes.
    fn row(&mut self, clustering: &[u8], row: &LiveRow<'_>) -> ControlFlow<()>;

    /// All rows of the partition that the read asks for were shown.
    fn partition_end(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}
