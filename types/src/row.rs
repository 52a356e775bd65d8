//! The one encoding of a row, in the commit log, in memtables, in SSTables and between nodes.
//!
//! ```text
//! row       := flags u8, base timestamp i64 LE, [liveness], [deletion], [originals], item*
//! liveness  := delta zigzag, [ttl varint, expires at zigzag]        (LIVENESS, LIVENESS_EXPIRES)
//! deletion  := delta zigzag, deleted at zigzag                      (DELETION)
//! originals := length varint, bytes                                 (ORIGINALS)
//! item      := column varint, flags u8, [delta zigzag], ...         (see the flags below)
//! ```
//! A delta is a timestamp less the row's base timestamp, so that a row written at once has none.
//! Items are sorted by (column, path); a column's deletion comes before its cells. Originals are
//! the client's bytes of a clustering key whose comparable bytes cannot give them back.

use crate::cell::{Cell, CellKind, ColumnId, Liveness, RowItem};
use crate::codec::{DecodeError, Reader, put_length_prefixed, put_varint, put_zigzag};
use crate::deletion::Deletion;

/// The version of the encoding, stored by every container of rows.
pub const ROW_VERSION: u16 = 1;

const LIVENESS: u8 = 1;
const LIVENESS_EXPIRES: u8 = 2;
const DELETION: u8 = 4;
const ORIGINALS: u8 = 8;

const ITEM_COLUMN_DELETION: u8 = 1;
const ITEM_TOMBSTONE: u8 = 2;
const ITEM_EXPIRING: u8 = 4;
const ITEM_COUNTER: u8 = 8;
const ITEM_PATH: u8 = 16;
const ITEM_OWN_TIMESTAMP: u8 = 32;

/// What a row has beside its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowHeader<'a> {
    /// The marker of an insertion.
    pub liveness: Option<Liveness>,
    /// The deletion of the row, or [`Deletion::NONE`].
    pub deletion: Deletion,
    /// The client's bytes of the clustering key, where comparable bytes cannot give them back.
    pub originals: Option<&'a [u8]>,
}

impl RowHeader<'_> {
    /// Neither marker nor deletion.
    pub const EMPTY: Self = RowHeader { liveness: None, deletion: Deletion::NONE, originals: None };
}

/// Builds the encoding of a row at the end of a buffer.
#[derive(Debug)]
pub struct RowBuilder<'b> {
    out: &'b mut Vec<u8>,
    base_timestamp: i64,
}

impl<'b> RowBuilder<'b> {
    /// Starts a row. `base_timestamp` should be the timestamp of most of its cells.
    pub fn new(out: &'b mut Vec<u8>, base_timestamp: i64, header: &RowHeader<'_>) -> Self {
        let mut flags = 0;
        if let Some(liveness) = header.liveness {
            flags |= LIVENESS;
            if liveness.ttl_seconds != 0 {
                flags |= LIVENESS_EXPIRES;
            }
        }
        if !header.deletion.is_none() {
            flags |= DELETION;
        }
        if header.originals.is_some() {
            flags |= ORIGINALS;
        }
        out.push(flags);
        out.extend_from_slice(&base_timestamp.to_le_bytes());
        let mut row = Self { out, base_timestamp };
        if let Some(liveness) = header.liveness {
            row.put_delta(liveness.timestamp_micros);
            if liveness.ttl_seconds != 0 {
                put_varint(row.out, u64::from(liveness.ttl_seconds));
                put_zigzag(row.out, liveness.expires_at_seconds);
            }
        }
        if !header.deletion.is_none() {
            row.put_deletion(header.deletion);
        }
        if let Some(originals) = header.originals {
            put_length_prefixed(row.out, originals);
        }
        row
    }

    fn put_delta(&mut self, timestamp: i64) {
        put_zigzag(self.out, timestamp.wrapping_sub(self.base_timestamp));
    }

    fn put_deletion(&mut self, deletion: Deletion) {
        self.put_delta(deletion.timestamp_micros);
        put_zigzag(self.out, deletion.deleted_at_seconds);
    }

    /// Appends an item; they must come in the order of (column, path).
    pub fn push(&mut self, item: &RowItem<'_>) {
        match item {
            RowItem::ColumnDeletion(column, deletion) => self.push_column_deletion(*column, *deletion),
            RowItem::Cell(cell) => self.push_cell(cell),
        }
    }

    /// Appends the deletion of a multi-cell column; its cells follow.
    pub fn push_column_deletion(&mut self, column: ColumnId, deletion: Deletion) {
        put_varint(self.out, u64::from(column.0));
        self.out.push(ITEM_COLUMN_DELETION);
        self.put_deletion(deletion);
    }

    /// Appends a cell.
    #[inline]
    pub fn push_cell(&mut self, cell: &Cell<'_>) {
        put_varint(self.out, u64::from(cell.column.0));
        let mut flags = match cell.kind {
            CellKind::Live => 0,
            CellKind::Expiring { .. } => ITEM_EXPIRING,
            CellKind::Tombstone { .. } => ITEM_TOMBSTONE,
            CellKind::Counter => ITEM_COUNTER,
        };
        if cell.path.is_some() {
            flags |= ITEM_PATH;
        }
        if cell.timestamp_micros != self.base_timestamp {
            flags |= ITEM_OWN_TIMESTAMP;
        }
        self.out.push(flags);
        if cell.timestamp_micros != self.base_timestamp {
            self.put_delta(cell.timestamp_micros);
        }
        match cell.kind {
            CellKind::Live | CellKind::Counter => {}
            CellKind::Expiring { ttl_seconds, expires_at_seconds } => {
                put_varint(self.out, u64::from(ttl_seconds));
                put_zigzag(self.out, expires_at_seconds);
            }
            CellKind::Tombstone { deleted_at_seconds } => put_zigzag(self.out, deleted_at_seconds),
        }
        if let Some(path) = cell.path {
            put_length_prefixed(self.out, path);
        }
        if !matches!(cell.kind, CellKind::Tombstone { .. }) {
            put_length_prefixed(self.out, cell.value);
        }
    }
}

/// A view of an encoded row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowView<'a> {
    /// The header.
    pub header: RowHeader<'a>,
    base_timestamp: i64,
    bytes: &'a [u8],
    items: &'a [u8],
}

impl<'a> RowView<'a> {
    /// Reads the header of an encoded row. The items are read when asked for.
    ///
    /// # Errors
    /// The header is malformed.
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let flags = reader.u8()?;
        let base_timestamp = reader.i64()?;
        let mut header = RowHeader::EMPTY;
        if flags & LIVENESS != 0 {
            let timestamp_micros = base_timestamp.wrapping_add(reader.zigzag()?);
            let (mut ttl_seconds, mut expires_at_seconds) = (0, i64::MAX);
            if flags & LIVENESS_EXPIRES != 0 {
                ttl_seconds = ttl(&mut reader)?;
                expires_at_seconds = reader.zigzag()?;
            }
            header.liveness = Some(Liveness { timestamp_micros, ttl_seconds, expires_at_seconds });
        }
        if flags & DELETION != 0 {
            header.deletion = deletion(&mut reader, base_timestamp)?;
        }
        if flags & ORIGINALS != 0 {
            header.originals = Some(reader.length_prefixed()?);
        }
        Ok(Self { header, base_timestamp, bytes, items: reader.remaining() })
    }

    /// Checks the whole row, so that a later walk over its items cannot fail.
    ///
    /// # Errors
    /// Something is malformed or out of order.
    pub fn validate(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let row = Self::parse(bytes)?;
        let mut last: Option<(ColumnId, bool, Option<&[u8]>)> = None;
        for item in row.items() {
            let key = match item? {
                RowItem::ColumnDeletion(column, _) => (column, false, None),
                RowItem::Cell(cell) => (cell.column, true, cell.path),
            };
            if last.is_some_and(|last| last >= key) {
                return Err(DecodeError { offset: 0, reason: "cells out of order" });
            }
            last = Some(key);
        }
        Ok(row)
    }

    /// The row's encoding.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The timestamp that most cells share.
    #[must_use]
    pub const fn base_timestamp(&self) -> i64 {
        self.base_timestamp
    }

    /// The items, in the order of (column, path). After an error there are no more.
    #[must_use]
    #[inline]
    pub fn items(&self) -> RowItems<'a> {
        RowItems { reader: Reader::new(self.items), base_timestamp: self.base_timestamp }
    }

    /// False if every item is a cell that lives for ever. Looks at no more of each than it takes to find the
    /// next; where the row is malformed it says true.
    #[must_use]
    #[inline]
    pub fn may_have_dead_cells(&self) -> bool {
        let mut rest = self.items;
        while !rest.is_empty() {
            let Some(behind) = behind_live_cell(rest) else { return true };
            rest = behind;
        }
        false
    }

    /// True without marker, deletion or items.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.header.liveness.is_none() && self.header.deletion.is_none() && self.items.is_empty()
    }
}

/// What follows a cell that lives for ever; none if another item comes first.
#[inline]
fn behind_live_cell(items: &[u8]) -> Option<&[u8]> {
    let (flags, mut rest) = behind_varint(items)?.split_first()?;
    if flags & !(ITEM_PATH | ITEM_OWN_TIMESTAMP) != 0 {
        return None;
    }
    if flags & ITEM_OWN_TIMESTAMP != 0 {
        rest = behind_varint(rest)?;
    }
    if flags & ITEM_PATH != 0 {
        rest = behind_bytes(rest)?;
    }
    behind_bytes(rest)
}

#[inline]
fn behind_varint(bytes: &[u8]) -> Option<&[u8]> {
    let last = bytes.iter().position(|byte| byte & 0x80 == 0)?;
    bytes.get(last + 1..)
}

#[inline]
fn behind_bytes(bytes: &[u8]) -> Option<&[u8]> {
    match bytes.split_first()? {
        // Nearly all values are short.
        (length, rest) if length & 0x80 == 0 => rest.get(usize::from(*length)..),
        _ => {
            let mut reader = Reader::new(bytes);
            reader.length_prefixed().ok()?;
            Some(reader.remaining())
        }
    }
}

/// An iterator over the items of a row.
#[derive(Clone, Debug)]
pub struct RowItems<'a> {
    reader: Reader<'a>,
    base_timestamp: i64,
}

impl<'a> RowItems<'a> {
    #[inline]
    fn read(&mut self) -> Result<RowItem<'a>, DecodeError> {
        let reader = &mut self.reader;
        let column = u32::try_from(reader.varint()?).map_err(|_| reader.error("column number"))?;
        let column = ColumnId(column);
        let flags = reader.u8()?;
        if flags == ITEM_COLUMN_DELETION {
            return Ok(RowItem::ColumnDeletion(column, deletion(reader, self.base_timestamp)?));
        }
        let mut timestamp_micros = self.base_timestamp;
        if flags & ITEM_OWN_TIMESTAMP != 0 {
            timestamp_micros = timestamp_micros.wrapping_add(reader.zigzag()?);
        }
        let kind = match flags & (ITEM_COLUMN_DELETION | ITEM_TOMBSTONE | ITEM_EXPIRING | ITEM_COUNTER) {
            0 => CellKind::Live,
            ITEM_COUNTER => CellKind::Counter,
            ITEM_TOMBSTONE => CellKind::Tombstone { deleted_at_seconds: reader.zigzag()? },
            ITEM_EXPIRING => {
                CellKind::Expiring { ttl_seconds: ttl(reader)?, expires_at_seconds: reader.zigzag()? }
            }
            _ => return Err(reader.error("cell flags")),
        };
        let path = if flags & ITEM_PATH != 0 { Some(reader.length_prefixed()?) } else { None };
        let value = if flags & ITEM_TOMBSTONE != 0 { &[][..] } else { reader.length_prefixed()? };
        Ok(RowItem::Cell(Cell { column, path, timestamp_micros, kind, value }))
    }
}

impl<'a> Iterator for RowItems<'a> {
    type Item = Result<RowItem<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let item = self.read();
        if item.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(item)
    }
}

fn ttl(reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
    u32::try_from(reader.varint()?).map_err(|_| reader.error("time to live"))
}

fn deletion(reader: &mut Reader<'_>, base_timestamp: i64) -> Result<Deletion, DecodeError> {
    let timestamp_micros = base_timestamp.wrapping_add(reader.zigzag()?);
    Ok(Deletion { timestamp_micros, deleted_at_seconds: reader.zigzag()? })
}
