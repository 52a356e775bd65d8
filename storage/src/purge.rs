//! Which tombstones and expired cells a compaction may leave out.
//!
//! One goes only if it is past gc_grace **and** its timestamp is below the least timestamp of
//! every other source that may hold the partition: tables outside the compaction, of any age
//! (hints, repair and streaming put old timestamps into new tables), and memtables.
//!
//! Cells from before their column was dropped go at once: whatever else there is, no read will see them.

use dodona_types::codec::DecodeError;
use dodona_types::row::{RowBuilder, RowView};
use dodona_types::{CellKind, Deletion, HiddenCells, RowItem};

/// What may go from one partition.
#[derive(Clone, Copy, Debug)]
pub struct Purge {
    /// Seconds since the epoch: what was deleted or expired before is past gc_grace.
    pub deleted_before_seconds: i64,
    /// Microseconds since the epoch: no other source holds something older for this partition.
    pub older_than_micros: i64,
}

impl Purge {
    /// Nothing may go.
    pub const NOTHING: Self = Self { deleted_before_seconds: i64::MIN, older_than_micros: i64::MIN };

    const fn allows(&self, timestamp_micros: i64, deletion_seconds: i64) -> bool {
        deletion_seconds < self.deleted_before_seconds && timestamp_micros < self.older_than_micros
    }

    /// The deletion, if it must stay; else none.
    #[must_use]
    pub const fn deletion(&self, deletion: Deletion) -> Deletion {
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
