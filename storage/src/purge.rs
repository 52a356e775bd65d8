//! Which tombstones and expired cells a compaction may leave out.
//!
//! One goes only if it is past gc_grace **and** its timestamp is below the least timestamp of
//! every other source that may hold the partition: tables outside the compaction, of any age
//! (hints, repair and streaming put old timestamps into new tables), and memtables.
//!
//! Cells from before their column was dropped go at once: whatever else there is, no read will see them.

use dodona_types::codec::DecodeError;
use dodona_types::row::{RowBuilder, RowView};
use dodona_types::{CellKind, Deletion, HiddenCells, KeyRef, RowItem};
use std::cell::OnceCell;

/// Looks for the least timestamp, in microseconds since the epoch, that another source may hold for a partition.
type OldestElsewhere = Box<dyn Fn(KeyRef<'_>) -> i64 + Send>;

/// What may go from each partition.
pub struct PurgeRule {
    /// Seconds since the epoch: what was deleted or expired before is past gc_grace.
    deleted_before_seconds: i64,
    oldest_elsewhere: OldestElsewhere,
}

impl PurgeRule {
    /// What was deleted or expired before a second, as far as no other source has anything older.
    #[must_use]
    pub fn new(
        deleted_before_seconds: i64,
        oldest_elsewhere: impl Fn(KeyRef<'_>) -> i64 + Send + 'static,
    ) -> Self {
        Self { deleted_before_seconds, oldest_elsewhere: Box::new(oldest_elsewhere) }
    }

    /// Nothing may go.
    #[must_use]
    pub fn nothing() -> Self {
        Self::new(i64::MIN, |_| i64::MIN)
    }

    /// What may go from one partition.
    #[must_use]
    pub const fn of<'a>(&'a self, key: KeyRef<'a>) -> Purge<'a> {
        Purge { rule: self, key, older_than_micros: OnceCell::new() }
    }
}

/// What may go from one partition. Other sources are looked at when something is met that is past gc_grace: most
/// partitions have nothing of the kind.
pub struct Purge<'a> {
    rule: &'a PurgeRule,
    key: KeyRef<'a>,
    older_than_micros: OnceCell<i64>,
}

impl Purge<'_> {
    #[inline]
    fn allows(&self, timestamp_micros: i64, deletion_seconds: i64) -> bool {
        deletion_seconds < self.rule.deleted_before_seconds
            && timestamp_micros
                < *self.older_than_micros.get_or_init(|| (self.rule.oldest_elsewhere)(self.key))
    }

    /// The deletion, if it must stay; else none.
    #[must_use]
    pub fn deletion(&self, deletion: Deletion) -> Deletion {
        if self.allows(deletion.timestamp_micros, deletion.deleted_at_seconds) {
            Deletion::NONE
        } else {
            deletion
        }
    }

    /// Appends what must stay of a row, without `dropped` cells. False if nothing does.
    ///
    /// # Errors
    /// The row is malformed.
    pub fn row(
        &self,
        row: &RowView<'_>,
        dropped: &HiddenCells,
        out: &mut Vec<u8>,
    ) -> Result<bool, DecodeError> {
        let mut header = row.header;
        header.deletion = self.deletion(header.deletion);
        header.liveness = header
            .liveness
            .filter(|liveness| !self.allows(liveness.timestamp_micros, liveness.expires_at_seconds));
        if header == row.header && dropped.is_empty() && !row.may_have_dead_cells() {
            out.extend_from_slice(row.bytes());
            return Ok(!row.is_empty());
        }
        let mut any = header.liveness.is_some() || !header.deletion.is_none();
        let mut kept = RowBuilder::new(out, row.base_timestamp(), &header);
        for item in row.items() {
            let item = item?;
            let goes = match item {
                RowItem::ColumnDeletion(column, deletion) => {
                    self.deletion(deletion).is_none() || dropped.hides_at(column, deletion.timestamp_micros)
                }
                RowItem::Cell(cell) if dropped.hides(&cell) => true,
                RowItem::Cell(cell) => match cell.kind {
                    CellKind::Live | CellKind::Counter => false,
                    CellKind::Expiring { expires_at_seconds: at, .. }
                    | CellKind::Tombstone { deleted_at_seconds: at } => {
                        self.allows(cell.timestamp_micros, at)
                    }
                },
            };
            if !goes {
                any = true;
                kept.push(&item);
            }
        }
        Ok(any)
    }
}
