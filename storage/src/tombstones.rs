//! Counts the tombstones that a read walks over, and ends it when there are too many (Cassandra:
//! `ReadCommand.withMetricsRecording`, `tombstone_failure_threshold`).

use crate::error::{Result, StorageError};
use dodona_types::row::RowView;
use dodona_types::{CellKind, RowItem};

/// How many tombstones a read may meet, and which of them count.
#[derive(Clone, Copy, Debug)]
pub struct TombstoneRules {
    /// With one more the read fails.
    pub at_most: u64,
    /// What was deleted or expired before this second does not count: it may be purged.
    pub purged_before_seconds: i64,
    /// Seconds since the epoch: what has expired by then is dead.
    pub now_seconds: i64,
}

impl TombstoneRules {
    /// Any number.
    pub const ANY: Self = Self { at_most: u64::MAX, purged_before_seconds: i64::MIN, now_seconds: i64::MIN };
}

/// The tombstones of a read so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tombstones {
    rules: TombstoneRules,
    count: u64,
}

impl Tombstones {
    pub(crate) const fn new(rules: TombstoneRules) -> Self {
        Self { rules, count: 0 }
    }

    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// Counts those of a row: its dead cells; without any, its deletion if it is dead.
    #[inline]
    pub(crate) fn row(&mut self, row: &RowView<'_>, is_live: bool) -> Result<()> {
        if is_live && !row.may_have_dead_cells() {
            return Ok(());
        }
        let TombstoneRules { purged_before_seconds, now_seconds, .. } = self.rules;
        let mut dead = 0;
        for item in row.items() {
            let RowItem::Cell(cell) = item? else { continue };
            if !matches!(cell.kind, CellKind::Live)
                && cell.is_dead_at(now_seconds)
                && cell.local_deletion_seconds() >= purged_before_seconds
            {
                dead += 1;
            }
        }
        let deletion = row.header.deletion;
        let is_deleted = !deletion.is_none() && deletion.deleted_at_seconds >= purged_before_seconds;
        if dead == 0 && !is_live && is_deleted {
            dead = 1;
        }
        self.add(dead)
    }

    /// Counts markers of range deletions.
    #[inline]
    pub(crate) fn add(&mut self, count: u64) -> Result<()> {
        self.count += count;
        if self.count > self.rules.at_most {
            return Err(StorageError::TooManyTombstones { at_most: self.rules.at_most });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_types::mutation::live_cell;
    use dodona_types::row::{RowBuilder, RowHeader};
    use dodona_types::{Cell, ColumnId, Deletion};

    fn row(cells: &[CellKind], deletion: Deletion) -> Vec<u8> {
        let mut out = Vec::new();
        let mut row = RowBuilder::new(&mut out, 9, &RowHeader { deletion, ..RowHeader::EMPTY });
        for (column, kind) in (1..).zip(cells) {
            row.push_cell(&Cell { kind: *kind, ..live_cell(ColumnId(column), 9, b"v") });
        }
        out
    }

    #[test]
    fn dead_cells_count_and_else_the_deletion_of_a_dead_row() {
        let rules = TombstoneRules { at_most: 3, purged_before_seconds: 50, now_seconds: 100 };
        let old = CellKind::Tombstone { deleted_at_seconds: 49 };
        let dead = CellKind::Tombstone { deleted_at_seconds: 50 };
        let expiring = |expires_at_seconds| CellKind::Expiring { ttl_seconds: 10, expires_at_seconds };
        let deleted = |deleted_at_seconds| Deletion { timestamp_micros: 1, deleted_at_seconds };
        let count = |cells: &[CellKind], deletion, is_live| {
            let mut tombstones = Tombstones::new(rules);
            let row = row(cells, deletion);
            tombstones.row(&RowView::parse(&row).unwrap(), is_live).map(|()| tombstones.count())
        };
        assert_eq!(count(&[CellKind::Live, old, dead], Deletion::NONE, true).unwrap(), 1);
        assert_eq!(count(&[expiring(100), expiring(101)], Deletion::NONE, true).unwrap(), 1);
        assert_eq!(count(&[], deleted(50), false).unwrap(), 1);
        assert_eq!(count(&[dead], deleted(50), false).unwrap(), 1);
        assert_eq!(count(&[], deleted(49), false).unwrap(), 0);
        assert_eq!(count(&[CellKind::Live], deleted(50), true).unwrap(), 0);
        assert_eq!(count(&[dead; 3], Deletion::NONE, false).unwrap(), 3);
        let error = count(&[dead; 4], Deletion::NONE, false).unwrap_err();
        assert!(matches!(error, StorageError::TooManyTombstones { at_most: 3 }), "{error}");
    }
}
