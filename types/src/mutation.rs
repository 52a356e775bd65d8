//! A mutation: changes to one partition of one table, applied as one.
//!
//! ```text
//! mutation := version u16, table 16 bytes, epoch u64, key length varint, key, fragment*
//! fragment := 1, timestamp i64, deleted at i64                                partition deletion
//!           | 2, row length u32, row                                          static row
//!           | 3, clustering length varint, clustering, row length u32, row    row
//!           | 4, start length varint, start, end length varint, end,
//!             timestamp i64, deleted at i64                                   range deletion
//! ```
//! Integers are little-endian; rows are as [`crate::row`] encodes them; clusterings and bounds
//! are comparable bytes ([`crate::comparable`]).

use crate::cell::{Cell, ColumnId};
use crate::codec::{DecodeError, Reader, put_length_prefixed};
use crate::deletion::Deletion;
use crate::key::{ClusteringSlice, KeyRef};
use crate::row::{ROW_VERSION, RowBuilder, RowHeader, RowView};
use uuid::Uuid;

/// Identifies a table in storage and between nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct TableId(pub Uuid);

impl std::fmt::Display for TableId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.simple().fmt(f)
    }
}

const PARTITION_DELETION: u8 = 1;
const STATIC_ROW: u8 = 2;
const ROW: u8 = 3;
const RANGE_DELETION: u8 = 4;

/// Builds the encoding of a mutation in a buffer that can be used again.
#[derive(Debug, Default)]
pub struct MutationBuilder {
    out: Vec<u8>,
    key_start: usize,
    body_start: usize,
}

impl MutationBuilder {
    /// An empty builder; call [`Self::begin`] first.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a mutation, forgetting the one before.
    pub fn begin(&mut self, table: TableId, epoch: u64, key: &[u8]) {
        self.out.clear();
        self.out.extend_from_slice(&ROW_VERSION.to_le_bytes());
        self.out.extend_from_slice(table.0.as_bytes());
        self.out.extend_from_slice(&epoch.to_le_bytes());
        put_length_prefixed(&mut self.out, key);
        self.key_start = self.out.len() - key.len();
        self.body_start = self.out.len();
    }

    /// Deletes the partition.
    pub fn partition_deletion(&mut self, deletion: Deletion) {
        self.out.push(PARTITION_DELETION);
        self.put_deletion(deletion);
    }

    /// Deletes the rows of a slice.
    pub fn range_deletion(&mut self, slice: &ClusteringSlice, deletion: Deletion) {
        self.out.push(RANGE_DELETION);
        put_length_prefixed(&mut self.out, &slice.start);
        put_length_prefixed(&mut self.out, &slice.end);
        self.put_deletion(deletion);
    }

    fn put_deletion(&mut self, deletion: Deletion) {
        self.out.extend_from_slice(&deletion.timestamp_micros.to_le_bytes());
        self.out.extend_from_slice(&deletion.deleted_at_seconds.to_le_bytes());
    }

    /// Adds a row: `fill` pushes its items, in the order of (column, path).
    pub fn row(
        &mut self,
        clustering: &[u8],
        base_timestamp: i64,
        header: &RowHeader<'_>,
        fill: impl FnOnce(&mut RowBuilder<'_>),
    ) {
        self.out.push(ROW);
        put_length_prefixed(&mut self.out, clustering);
        self.put_row(base_timestamp, header, fill);
    }

    /// Adds the static row: `fill` pushes its items, in the order of (column, path).
    pub fn static_row(
        &mut self,
        base_timestamp: i64,
        header: &RowHeader<'_>,
        fill: impl FnOnce(&mut RowBuilder<'_>),
    ) {
        self.out.push(STATIC_ROW);
        self.put_row(base_timestamp, header, fill);
    }

    fn put_row(
        &mut self,
        base_timestamp: i64,
        header: &RowHeader<'_>,
        fill: impl FnOnce(&mut RowBuilder<'_>),
    ) {
        let length_at = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        fill(&mut RowBuilder::new(&mut self.out, base_timestamp, header));
        self.patch_length(length_at);
    }

    /// Adds an already encoded row; `clustering` is `None` for the static row.
    pub fn encoded_row(&mut self, clustering: Option<&[u8]>, row: &[u8]) {
        match clustering {
            None => self.out.push(STATIC_ROW),
            Some(clustering) => {
                self.out.push(ROW);
                put_length_prefixed(&mut self.out, clustering);
            }
        }
        let length_at = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        self.out.extend_from_slice(row);
        self.patch_length(length_at);
    }

    fn patch_length(&mut self, length_at: usize) {
        let length = (self.out.len() - length_at - 4) as u32;
        self.out[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// True while the mutation changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.len() == self.body_start
    }

    /// The mutation built so far.
    #[must_use]
    pub fn view(&self) -> MutationView<'_> {
        let header = &self.out[..self.key_start.min(26)];
        let table: [u8; 16] = header[2..18].try_into().unwrap_or_default();
        let epoch: [u8; 8] = header[18..26].try_into().unwrap_or_default();
        MutationView {
            table: TableId(Uuid::from_bytes(table)),
            epoch: u64::from_le_bytes(epoch),
            key: KeyRef::new(&self.out[self.key_start..self.body_start]),
            bytes: &self.out,
            body_start: self.body_start,
        }
    }
}

/// A view of an encoded mutation.
#[derive(Clone, Copy, Debug)]
pub struct MutationView<'a> {
    /// The table.
    pub table: TableId,
    /// The schema epoch at which the coordinator made the mutation.
    pub epoch: u64,
    /// The partition.
    pub key: KeyRef<'a>,
    bytes: &'a [u8],
    body_start: usize,
}

/// A part of a mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment<'a> {
    /// The partition is deleted.
    PartitionDeletion(Deletion),
    /// The static row's encoding.
    StaticRow(&'a [u8]),
    /// A row: its clustering's comparable bytes and its encoding.
    Row(&'a [u8], &'a [u8]),
    /// The rows from a bound to a bound are deleted.
    RangeDeletion(&'a [u8], &'a [u8], Deletion),
}

impl<'a> MutationView<'a> {
    /// Reads the head of an encoded mutation; fragments are read when asked for.
    ///
    /// # Errors
    /// The head is malformed or of an unknown version.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u16()? != ROW_VERSION {
            return Err(DecodeError { offset: 0, reason: "unknown mutation version" });
        }
        let table = TableId(reader.uuid()?);
        let epoch = reader.u64()?;
        let key = KeyRef::new(reader.length_prefixed()?);
        Ok(Self { table, epoch, key, bytes, body_start: reader.position() })
    }

    /// Checks every fragment and row, so that applying the mutation cannot fail half-way.
    ///
    /// # Errors
    /// Something is malformed.
    pub fn validate(&self) -> Result<(), DecodeError> {
        for fragment in self.fragments() {
            match fragment? {
                Fragment::StaticRow(row) | Fragment::Row(_, row) => {
                    RowView::validate(row)?;
                }
                Fragment::RangeDeletion(start, end, _) if start >= end => {
                    return Err(DecodeError { offset: 0, reason: "empty range deletion" });
                }
                Fragment::PartitionDeletion(_) | Fragment::RangeDeletion(..) => {}
            }
        }
        Ok(())
    }

    /// The whole encoding.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The fragments in the order they were added. After an error there are no more.
    #[must_use]
    pub fn fragments(&self) -> Fragments<'a> {
        Fragments { reader: Reader::new(&self.bytes[self.body_start..]) }
    }
}

/// An iterator over the fragments of a mutation.
#[derive(Clone, Debug)]
pub struct Fragments<'a> {
    reader: Reader<'a>,
}

impl<'a> Fragments<'a> {
    #[inline]
    fn read(&mut self) -> Result<Fragment<'a>, DecodeError> {
        let reader = &mut self.reader;
        match reader.u8()? {
            PARTITION_DELETION => Ok(Fragment::PartitionDeletion(deletion(reader)?)),
            STATIC_ROW => Ok(Fragment::StaticRow(row(reader)?)),
            ROW => Ok(Fragment::Row(reader.length_prefixed()?, row(reader)?)),
            RANGE_DELETION => Ok(Fragment::RangeDeletion(
                reader.length_prefixed()?,
                reader.length_prefixed()?,
                deletion(reader)?,
            )),
            _ => Err(reader.error("unknown kind of mutation fragment")),
        }
    }
}

fn row<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let length = reader.u32()? as usize;
    reader.bytes(length)
}

fn deletion(reader: &mut Reader<'_>) -> Result<Deletion, DecodeError> {
    Ok(Deletion { timestamp_micros: reader.i64()?, deleted_at_seconds: reader.i64()? })
}

impl<'a> Iterator for Fragments<'a> {
    type Item = Result<Fragment<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let fragment = self.read();
        if fragment.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(fragment)
    }
}

/// A cell that lives until it is overwritten.
#[must_use]
pub const fn live_cell(column: ColumnId, timestamp_micros: i64, value: &[u8]) -> Cell<'_> {
    Cell { column, path: None, timestamp_micros, kind: crate::cell::CellKind::Live, value }
}
