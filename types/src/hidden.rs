//! Cells that reads do not see: those of columns that were dropped, and those that were written to a
//! column before it was dropped and added again.

use crate::cell::{Cell, ColumnId};

/// Columns of which reads see what was written after a timestamp alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HiddenCells(Vec<(ColumnId, i64)>);

impl HiddenCells {
    /// Nothing is hidden.
    pub const NONE: Self = Self(Vec::new());

    /// Hides cells of these columns up to and including these timestamps; `i64::MAX` hides all of them.
    #[must_use]
    pub fn new(mut columns: Vec<(ColumnId, i64)>) -> Self {
        columns.sort_unstable();
        Self(columns)
    }

    /// The columns with their timestamps, sorted.
    #[must_use]
    pub fn columns(&self) -> &[(ColumnId, i64)] {
        &self.0
    }

    /// True if nothing is hidden.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if reads do not see the cell.
    #[must_use]
    pub fn hides(&self, cell: &Cell<'_>) -> bool {
        self.hides_at(cell.column, cell.timestamp_micros)
    }

    /// True if reads do not see what was written to a column at this timestamp.
    #[must_use]
    pub fn hides_at(&self, column: ColumnId, timestamp_micros: i64) -> bool {
        !self.0.is_empty()
            && self
                .0
                .binary_search_by_key(&column, |(column, _)| *column)
                .is_ok_and(|place| timestamp_micros <= self.0[place].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::PartitionKey;
    use crate::mutation::{TableId, live_cell};
    use crate::read_command::{PartitionSelection, ReadCommand};
    use crate::row::{RowBuilder, RowHeader, RowView};
    use crate::row_visitor::LiveRow;

    fn row(cells: &[(u32, i64)]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut row = RowBuilder::new(&mut out, 0, &RowHeader::EMPTY);
        cells
            .iter()
            .for_each(|(column, timestamp)| row.push_cell(&live_cell(ColumnId(*column), *timestamp, b"v")));
        out
    }

    #[test]
    fn what_is_newer_than_the_drop_of_its_column_is_seen() {
        let hidden = HiddenCells::new(vec![(ColumnId(4), i64::MAX), (ColumnId(2), 10)]);
        let seen = |cells: &[(u32, i64)]| {
            let bytes = row(cells);
            let live = LiveRow { row: RowView::parse(&bytes).unwrap(), now_seconds: 0, hidden: &hidden };
            let columns: Vec<u32> = live.cells().map(|cell| cell.column.0).collect();
            assert_eq!(live.is_live(), !columns.is_empty());
            let kept = live.encoded();
            let again =
                LiveRow { row: RowView::parse(&kept).unwrap(), now_seconds: 0, hidden: &HiddenCells::NONE };
            assert_eq!(again.cells().map(|cell| cell.column.0).collect::<Vec<_>>(), columns);
            columns
        };
        assert_eq!(seen(&[(1, 5), (2, 10), (3, 5), (4, 50)]), [1, 3]);
        assert_eq!(seen(&[(2, 11)]), [2]);
        assert_eq!(seen(&[(2, 9), (4, 9)]), [0u32; 0]);
    }

    #[test]
    fn other_nodes_are_told_what_is_hidden() {
        let key = PartitionSelection::Key(PartitionKey::new(vec![1].into()));
        let command = ReadCommand::everything(TableId(uuid::Uuid::nil()), 7, key, 9);
        let hiding =
            command.clone().hiding(HiddenCells::new(vec![(ColumnId(300), -1), (ColumnId(2), i64::MAX)]));
        for command in [command, hiding] {
            assert_eq!(ReadCommand::decode(&command.encode()), Ok(command));
        }
    }
}
