//! The merge rule: which of two versions of the same thing wins. Nothing else in Dodona decides
//! that, and nothing here reads a clock. Merging is commutative, associative and idempotent.
//!
//! Cells, by Cassandra's `Cells.reconcile`: the later timestamp wins; at the same timestamp a
//! tombstone or expiring cell beats a live one, a tombstone an expiring one, then the later local
//! deletion time wins, then (both expiring) the lower time to live, then the greater bytes.
//! Counters merge by their shards, and a tombstone beats them whatever the timestamps.

use crate::cell::{Cell, CellKind, Liveness, RowItem};
use crate::codec::DecodeError;
use crate::counter;
use crate::deletion::Deletion;
use crate::row::{RowBuilder, RowHeader, RowItems, RowView};
use std::cmp::{Ordering, Reverse};

/// Compares two versions of one cell: `Greater` if `a` wins.
#[must_use]
pub fn compare_cells(a: &Cell<'_>, b: &Cell<'_>) -> Ordering {
    counters_last(a, b)
        .then_with(|| a.timestamp_micros.cmp(&b.timestamp_micros))
        .then_with(|| kind_rank(a.kind).cmp(&kind_rank(b.kind)))
        .then_with(|| a.local_deletion_seconds().cmp(&b.local_deletion_seconds()))
        .then_with(|| b.ttl_seconds().cmp(&a.ttl_seconds()))
        .then_with(|| a.value.cmp(b.value))
}

/// A tombstone beats a counter whatever the timestamps.
fn counters_last(a: &Cell<'_>, b: &Cell<'_>) -> Ordering {
    let tombstone = |kind| matches!(kind, CellKind::Tombstone { .. });
    match (a.kind, b.kind) {
        (CellKind::Counter, other) if tombstone(other) => Ordering::Less,
        (other, CellKind::Counter) if tombstone(other) => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

const fn kind_rank(kind: CellKind) -> u8 {
    match kind {
        CellKind::Live | CellKind::Counter => 0,
        CellKind::Expiring { .. } => 1,
        CellKind::Tombstone { .. } => 2,
    }
}

/// Compares two row markers: `Greater` if `a` wins. The later timestamp, then an expired marker,
/// then an expiring one, then the later expiry, then the lower time to live.
#[must_use]
pub fn compare_liveness(a: &Liveness, b: &Liveness) -> Ordering {
    let rank = |liveness: &Liveness| {
        (
            liveness.timestamp_micros,
            liveness.ttl_seconds == Liveness::EXPIRED_TTL,
            liveness.ttl_seconds != 0,
            liveness.expires_at_seconds,
            Reverse(liveness.ttl_seconds),
        )
    };
    rank(a).cmp(&rank(b))
}

/// The later of two deletions.
#[must_use]
pub fn merge_deletions(a: Deletion, b: Deletion) -> Deletion {
    a.max(b)
}

fn merge_headers<'a>(a: &RowHeader<'a>, b: &RowHeader<'a>) -> RowHeader<'a> {
    let deletion = merge_deletions(a.deletion, b.deletion);
    let liveness = match (a.liveness, b.liveness) {
        (Some(a), Some(b)) if compare_liveness(&a, &b).is_lt() => Some(b),
        (a, b) => a.or(b),
    };
    RowHeader {
        liveness: liveness.filter(|liveness| !deletion.covers(liveness.timestamp_micros)),
        deletion,
        originals: a.originals.max(b.originals),
    }
}

/// Appends to `out` the merge of two versions of a row. What the row's own deletion, or the
/// deletion of a multi-cell column, covers is left out; the deletions stay.
///
/// # Errors
/// One of the rows is malformed.
pub fn merge_rows(a: &RowView<'_>, b: &RowView<'_>, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let header = merge_headers(&a.header, &b.header);
    let base_timestamp = a.base_timestamp().max(b.base_timestamp());
    let mut merger = ItemMerger {
        row: RowBuilder::new(out, base_timestamp, &header),
        row_deletion: header.deletion,
        column_deletion: None,
    };
    let (mut left, mut right) = (Peek::new(a.items())?, Peek::new(b.items())?);
    loop {
        let order = match (&left.item, &right.item) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => compare_positions(a, b),
        };
        match order {
            Ordering::Less => merger.take(left.next()?),
            Ordering::Greater => merger.take(right.next()?),
            Ordering::Equal => {
                let (a, b) = (left.next()?, right.next()?);
                merger.take_both(a, b)?;
            }
        }
    }
}

/// Appends to `out` the row in normal form: without what its own deletions cover, and without
/// what `outer`, the deletion of its range or partition, covers.
///
/// # Errors
/// The row is malformed.
pub fn shadow_row(row: &RowView<'_>, outer: Deletion, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let mut header = row.header;
    if header.deletion <= outer {
        header.deletion = Deletion::NONE;
    }
    let covering = merge_deletions(header.deletion, outer);
    header.liveness = header.liveness.filter(|liveness| !covering.covers(liveness.timestamp_micros));
    let mut merger = ItemMerger {
        row: RowBuilder::new(out, row.base_timestamp(), &header),
        row_deletion: covering,
        column_deletion: None,
    };
    for item in row.items() {
        merger.take(Some(item?));
    }
    Ok(())
}

/// Where an item stands in its row.
fn compare_positions(a: &RowItem<'_>, b: &RowItem<'_>) -> Ordering {
    let position = |item: &RowItem<'_>| match item {
        RowItem::ColumnDeletion(column, _) => (*column, false),
        RowItem::Cell(cell) => (cell.column, true),
    };
    position(a).cmp(&position(b)).then_with(|| match (a, b) {
        (RowItem::Cell(a), RowItem::Cell(b)) => a.path.cmp(&b.path),
        _ => Ordering::Equal,
    })
}

struct Peek<'a> {
    items: RowItems<'a>,
    item: Option<RowItem<'a>>,
}

impl<'a> Peek<'a> {
    fn new(mut items: RowItems<'a>) -> Result<Self, DecodeError> {
        let item = items.next().transpose()?;
        Ok(Self { items, item })
    }

    fn next(&mut self) -> Result<Option<RowItem<'a>>, DecodeError> {
        let next = self.items.next().transpose()?;
        Ok(std::mem::replace(&mut self.item, next))
    }
}

struct ItemMerger<'b> {
    row: RowBuilder<'b>,
    row_deletion: Deletion,
    column_deletion: Option<(crate::cell::ColumnId, Deletion)>,
}

impl ItemMerger<'_> {
    fn take(&mut self, item: Option<RowItem<'_>>) {
        match item {
            Some(RowItem::ColumnDeletion(column, deletion)) if deletion > self.row_deletion => {
                self.column_deletion = Some((column, deletion));
                self.row.push_column_deletion(column, deletion);
            }
            Some(RowItem::Cell(cell)) if !self.covers(&cell) => self.row.push_cell(&cell),
            _ => {}
        }
    }

    fn covers(&self, cell: &Cell<'_>) -> bool {
        self.row_deletion.covers(cell.timestamp_micros)
            || self.column_deletion.is_some_and(|(column, deletion)| {
                column == cell.column && deletion.covers(cell.timestamp_micros)
            })
    }

    fn take_both(&mut self, a: Option<RowItem<'_>>, b: Option<RowItem<'_>>) -> Result<(), DecodeError> {
        match (a, b) {
            (Some(RowItem::ColumnDeletion(column, a)), Some(RowItem::ColumnDeletion(_, b))) => {
                self.take(Some(RowItem::ColumnDeletion(column, merge_deletions(a, b))));
            }
            (Some(RowItem::Cell(a)), Some(RowItem::Cell(b))) => match (a.kind, b.kind) {
                (CellKind::Counter, CellKind::Counter) => {
                    let value = counter::merge(a.value, b.value)?;
                    let timestamp_micros = a.timestamp_micros.max(b.timestamp_micros);
                    self.take(Some(RowItem::Cell(Cell { timestamp_micros, value: &value, ..a })));
                }
                _ => self.take(Some(RowItem::Cell(if compare_cells(&a, &b).is_ge() { a } else { b }))),
            },
            (a, b) => {
                self.take(a);
                self.take(b);
            }
        }
        Ok(())
    }
}
