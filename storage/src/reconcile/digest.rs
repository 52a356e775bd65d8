//! Digests of what replicas hold: equal if and only if the same rows, cells and deletions are there,
//! whatever files they lie in and however they came to be merged.
//!
//! A row counts in its normal form: what its own deletion or that of a column covers does not. What
//! a compaction may leave out at the command's time (tombstones and expired cells past gc_grace)
//! does not count either, or else a replica that has compacted would differ from one that has not
//! for as long as that lasts. Such a tombstone still stands in the answers themselves, so that it is
//! brought to a replica that holds something which it deletes. Nor do cells count that the command hides: whoever
//! writes files leaves those of dropped columns out.

use crate::error::Result;
use dodona_types::codec::{put_length_prefixed, put_varint, put_zigzag};
use dodona_types::mutation::Fragment;
use dodona_types::row::RowView;
use dodona_types::{Cell, CellKind, Deletion, HiddenCells, RowItem};
use twox_hash::XxHash3_128;

/// Bytes of a digest.
pub const DIGEST_BYTES: usize = 16;

/// What counts in a digest.
#[derive(Clone, Copy, Debug)]
pub struct DigestRules {
    /// Seconds since the epoch: what was deleted or expired before may have been left out.
    pub deleted_before_seconds: i64,
    /// A defect for simulations: deletions do not count.
    pub ignores_deletions: bool,
    /// A defect for simulations: values and their timestamps do not count.
    pub ignores_values: bool,
}

impl DigestRules {
    /// The rules for a read at `now_seconds` of a table that keeps tombstones for so long.
    #[must_use]
    pub fn new(now_seconds: i64, gc_grace_seconds: u32) -> Self {
        let deleted_before_seconds = now_seconds.saturating_sub(i64::from(gc_grace_seconds));
        Self { deleted_before_seconds, ignores_deletions: false, ignores_values: false }
    }

    const fn counts(&self, deletion: Deletion) -> bool {
        !deletion.is_none()
            && deletion.deleted_at_seconds >= self.deleted_before_seconds
            && !self.ignores_deletions
    }

    const fn counts_cell(&self, cell: &Cell<'_>) -> bool {
        cell.local_deletion_seconds() >= self.deleted_before_seconds
            && !(self.ignores_deletions && matches!(cell.kind, CellKind::Tombstone { .. }))
    }
}

/// A digest in the making, and how many bytes have gone into it: the same on every replica that
/// holds the same.
pub struct Digest {
    rules: DigestRules,
    hidden: HiddenCells,
    hasher: XxHash3_128,
    scratch: Vec<u8>,
    bytes: usize,
    /// The present partition's key, as long as nothing of the partition counts.
    key: Option<Vec<u8>>,
}

impl Digest {
    /// A digest of nothing; cells that are `hidden` will not count.
    #[must_use]
    pub fn new(rules: DigestRules, hidden: HiddenCells) -> Self {
        Self { rules, hidden, hasher: XxHash3_128::new(), scratch: Vec::new(), bytes: 0, key: None }
    }

    /// Bytes that count so far.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The digest of all that was put.
    #[must_use]
    pub fn finish(&self) -> [u8; DIGEST_BYTES] {
        self.hasher.finish_128().to_le_bytes()
    }

    fn put(&mut self, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
        self.scratch.clear();
        self.scratch.push(kind);
        write(&mut self.scratch);
        self.put_scratch();
    }

    fn put_scratch(&mut self) {
        if let Some(mut key) = self.key.take() {
            key.push(1);
            self.bytes += key.len();
            self.hasher.write(&(key.len() as u64).to_le_bytes());
            self.hasher.write(&key);
        }
        self.bytes += self.scratch.len();
        self.hasher.write(&self.scratch);
    }

    /// Begins a partition; its fragments follow. Without one that counts it does not count either.
    pub fn partition(&mut self, key: &[u8]) {
        self.key = Some(key.to_vec());
    }

    /// Puts a fragment.
    ///
    /// # Errors
    /// Its row is malformed.
    pub fn fragment(&mut self, fragment: &Fragment<'_>) -> Result<()> {
        match fragment {
            Fragment::PartitionDeletion(deletion) if self.rules.counts(*deletion) => {
                self.put(2, |out| put_deletion(out, *deletion));
            }
            Fragment::RangeDeletion(start, end, deletion) if self.rules.counts(*deletion) => {
                self.put(3, |out| {
                    put_length_prefixed(out, start);
                    put_length_prefixed(out, end);
                    put_deletion(out, *deletion);
                });
            }
            Fragment::StaticRow(row) => self.row(None, row)?,
            Fragment::Row(clustering, row) => self.row(Some(clustering), row)?,
            Fragment::PartitionDeletion(_) | Fragment::RangeDeletion(..) => {}
        }
        Ok(())
    }

    /// Puts how far the answer goes in the present partition: all of it, or up to a position.
    pub fn covered(&mut self, position: Option<&[u8]>) {
        if let Some(position) = position {
            self.put(6, |out| put_length_prefixed(out, position));
        }
    }

    fn row(&mut self, clustering: Option<&[u8]>, row: &[u8]) -> Result<()> {
        let row = RowView::parse(row)?;
        let rules = self.rules;
        let out = &mut self.scratch;
        out.clear();
        match clustering {
            Some(clustering) => {
                out.push(4);
                put_length_prefixed(out, clustering);
            }
            None => out.push(5),
        }
        put_length_prefixed(out, row.header.originals.unwrap_or_default());
        let head = out.len();
        let deletion = row.header.deletion;
        if rules.counts(deletion) {
            out.push(1);
            put_deletion(out, deletion);
        }
        if let Some(liveness) = row.header.liveness
            && !deletion.covers(liveness.timestamp_micros)
            && liveness.expires_at_seconds >= rules.deleted_before_seconds
        {
            out.push(2);
            put_zigzag(out, liveness.timestamp_micros);
            put_varint(out, u64::from(liveness.ttl_seconds));
            put_zigzag(out, liveness.expires_at_seconds);
        }
        let mut of_column = None;
        for item in row.items() {
            match item? {
                RowItem::ColumnDeletion(column, own) if own > deletion => {
                    of_column = Some((column, own));
                    if rules.counts(own) && !self.hidden.hides_at(column, own.timestamp_micros) {
                        out.push(3);
                        put_varint(out, u64::from(column.0));
                        put_deletion(out, own);
                    }
                }
                RowItem::ColumnDeletion(..) => {}
                RowItem::Cell(cell) => {
                    let covers = |deletion: Deletion| deletion.covers(cell.timestamp_micros);
                    let covered = covers(deletion)
                        || of_column.is_some_and(|(column, own)| column == cell.column && covers(own));
                    if covered || !rules.counts_cell(&cell) || self.hidden.hides(&cell) {
                        continue;
                    }
                    if rules.ignores_values {
                        put_varint(out, u64::from(cell.column.0));
                    } else {
                        put_cell(out, &cell);
                    }
                }
            }
        }
        if out.len() > head {
            self.put_scratch();
        }
        Ok(())
    }
}

fn put_deletion(out: &mut Vec<u8>, deletion: Deletion) {
    put_zigzag(out, deletion.timestamp_micros);
    put_zigzag(out, deletion.deleted_at_seconds);
}

fn put_cell(out: &mut Vec<u8>, cell: &Cell<'_>) {
    out.push(match cell.kind {
        CellKind::Live => 4,
        CellKind::Expiring { .. } => 5,
        CellKind::Tombstone { .. } => 6,
        CellKind::Counter => 7,
    });
    put_varint(out, u64::from(cell.column.0));
    put_zigzag(out, cell.timestamp_micros);
    put_zigzag(out, cell.local_deletion_seconds());
    put_varint(out, u64::from(cell.ttl_seconds()));
    out.push(u8::from(cell.path.is_some()));
    put_length_prefixed(out, cell.path.unwrap_or_default());
    put_length_prefixed(out, cell.value);
}
