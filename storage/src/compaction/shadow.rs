//! Deletions of other files that take effect on what a compaction writes (Cassandra
//! `GarbageSkipper`): `garbagecollect`, and tables with `provide_overlapping_tombstones`.
//!
//! What is left out here is covered by something newer elsewhere. That may be purged by nobody as
//! long as this file, with its older timestamps, is among the table's.

use crate::error::Result;
use crate::scan::{Merged, MergedScan};
use crate::source::Source;
use crate::sstable::Sstable;
use crate::sstable::cursor::SstableSource;
use crate::sstable::reader::Access;
use dodona_types::merge::{merge_deletions, shadow_row};
use dodona_types::row::{RowBuilder, RowView};
use dodona_types::{Cell, CellKind, ClusteringSlice, Deletion, KeyRef, RowItem};
use std::sync::Arc;

/// The next row or marker of the other files.
enum Next {
    Row(Vec<u8>, Vec<u8>),
    Marker(Vec<u8>, Deletion),
}

/// The other files, and where one stands in them.
pub struct Shadow {
    others: Vec<Arc<Sstable>>,
    /// Cells that were written over count as well.
    cells: bool,
    scan: Option<MergedScan>,
    open: Deletion,
    next: Option<Next>,
    spare: Vec<u8>,
}

impl Shadow {
    /// The deletions of these files; `cells` if cells that were written over are to go as well.
    #[must_use]
    pub const fn new(others: Vec<Arc<Sstable>>, cells: bool) -> Self {
        Self { others, cells, scan: None, open: Deletion::NONE, next: None, spare: Vec::new() }
    }

    /// Goes to a partition.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn partition(&mut self, key: KeyRef<'_>) -> Result<()> {
        (self.scan, self.next, self.open) = (None, None, Deletion::NONE);
        let mut sources = Vec::new();
        for other in &self.others {
            if !other.may_contain(key.token, Access::Uncached)? {
                continue;
            }
            let mut source = SstableSource::new(Arc::clone(other), Access::Uncached);
            if source.seek_exact(key)? {
                sources.push(Source::Sstable(source));
            }
        }
        let mut scan = MergedScan::new(sources);
        if scan.next_partition()? {
            self.open = scan.seek_slice(&ClusteringSlice::all(), false)?;
            self.scan = Some(scan);
            self.advance()?;
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<()> {
        self.next = match self.scan.as_mut().map(MergedScan::next_item).transpose()?.flatten() {
            None => None,
            Some(Merged::Row(position, row)) => Some(Next::Row(position.to_vec(), row.to_vec())),
            Some(Merged::Marker(position, open)) => Some(Next::Marker(position.to_vec(), open)),
        };
        Ok(())
    }

    /// The partition's deletion in the other files.
    #[must_use]
    pub fn deletion(&self) -> Deletion {
        self.scan.as_ref().map_or(Deletion::NONE, MergedScan::deletion)
    }

    /// Appends what is left of the static row. False if nothing is.
    ///
    /// # Errors
    /// A row is malformed.
    pub fn static_row(&mut self, row: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let other = self.scan.as_ref().and_then(MergedScan::static_row).map(<[u8]>::to_vec);
        self.leave(row, self.deletion(), other.as_deref(), out)
    }

    /// Appends what is left of a row. Rows must come in their order. False if nothing is left.
    ///
    /// # Errors
    /// A file could not be read; a row is malformed.
    pub fn row(&mut self, clustering: &[u8], row: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let other = loop {
            match self.next.take() {
                Some(Next::Marker(position, open)) if position.as_slice() < clustering => {
                    self.open = open;
                    self.advance()?;
                }
                Some(Next::Row(position, _)) if position.as_slice() < clustering => self.advance()?,
                Some(Next::Row(position, other)) if position == clustering => {
                    self.next = Some(Next::Row(position, other.clone()));
                    break Some(other);
                }
                next => {
                    self.next = next;
                    break None;
                }
            }
        };
        self.leave(row, merge_deletions(self.deletion(), self.open), other.as_deref(), out)
    }

    fn leave(
        &mut self,
        row: &[u8],
        covering: Deletion,
        other: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        let other = other.map(RowView::parse).transpose()?;
        let row_deletion = other.as_ref().map_or(Deletion::NONE, |other| other.header.deletion);
        // Of two equal deletions in two files both must stay: each file might leave its own out.
        let covering = Deletion { deleted_at_seconds: i64::MIN, ..merge_deletions(covering, row_deletion) };
        self.spare.clear();
        if covering.is_none() {
            self.spare.extend_from_slice(row);
        } else {
            shadow_row(&RowView::parse(row)?, covering, &mut self.spare)?;
        }
        let left = RowView::parse(&self.spare)?;
        match other.filter(|_| self.cells) {
            Some(other) => without_overwritten(&left, &other, out),
            None => {
                out.extend_from_slice(&self.spare);
                Ok(!left.is_empty())
            }
        }
    }
}

/// Appends a row without what another has written over, which is newer in each part.
fn without_overwritten(row: &RowView<'_>, other: &RowView<'_>, out: &mut Vec<u8>) -> Result<bool> {
    let mut newer: Vec<Cell<'_>> = Vec::new();
    let mut deletions = Vec::new();
    for item in other.items() {
        match item? {
            RowItem::Cell(cell) => newer.push(cell),
            RowItem::ColumnDeletion(column, deletion) => deletions.push((column, deletion)),
        }
    }
    let mut header = row.header;
    header.liveness = header.liveness.filter(|liveness| {
        other.header.liveness.is_none_or(|other| other.timestamp_micros <= liveness.timestamp_micros)
    });
    let mut any = header.liveness.is_some() || !header.deletion.is_none();
    let mut kept = RowBuilder::new(out, row.base_timestamp(), &header);
    for item in row.items() {
        let item = item?;
        let goes = match &item {
            RowItem::ColumnDeletion(column, deletion) => deletions
                .iter()
                .any(|(other, newer)| other == column && newer.timestamp_micros > deletion.timestamp_micros),
            RowItem::Cell(cell) => {
                // A counter is the sum of its parts, whatever their times.
                let may_be_overwritten = cell.kind != CellKind::Counter;
                newer.iter().any(|other| {
                    may_be_overwritten
                        && (other.column, other.path) == (cell.column, cell.path)
                        && other.timestamp_micros > cell.timestamp_micros
                }) || deletions.iter().any(|(column, deletion)| {
                    *column == cell.column && deletion.covers(cell.timestamp_micros)
                })
            }
        };
        if !goes {
            any = true;
            kept.push(&item);
        }
    }
    Ok(any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_types::ColumnId;
    use dodona_types::row::RowHeader;

    fn row(kind: CellKind, timestamp_micros: i64) -> Vec<u8> {
        let mut out = Vec::new();
        let mut row = RowBuilder::new(&mut out, timestamp_micros, &RowHeader::EMPTY);
        row.push_cell(&Cell { column: ColumnId(1), path: None, timestamp_micros, kind, value: b"x" });
        out
    }

    #[test]
    fn cells_that_were_written_over_go_and_parts_of_counters_stay() {
        for (kind, stays) in [(CellKind::Live, false), (CellKind::Counter, true)] {
            let (old, new) = (row(kind, 5), row(kind, 9));
            let mut out = Vec::new();
            let left =
                without_overwritten(&RowView::parse(&old).unwrap(), &RowView::parse(&new).unwrap(), &mut out);
            assert_eq!(left.unwrap(), stays, "{kind:?}");
            let mut out = Vec::new();
            let same =
                without_overwritten(&RowView::parse(&old).unwrap(), &RowView::parse(&old).unwrap(), &mut out);
            assert!(same.unwrap(), "of two that are equal both stay: each might leave its own out");
        }
    }
}
