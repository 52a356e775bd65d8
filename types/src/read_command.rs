//! What to read: partitions of one table, a part of each, and when to stop.

use crate::cell::ColumnId;
use crate::codec::{DecodeError, Reader, put_length_prefixed, put_varint, put_zigzag};
use crate::hidden::HiddenCells;
use crate::key::{ClusteringSlice, PartitionKey};
use crate::mutation::TableId;
use crate::token::Token;
use bytes::Bytes;

/// Which partitions a command reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionSelection {
    /// One partition.
    Key(PartitionKey),
    /// All partitions of a part of the ring, in its order.
    Range(PartitionRange),
}

/// Where a range of partitions begins or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeBound {
    /// Before the first partition, or behind the last one.
    Unbounded,
    /// At a token, with all its partitions (`true`) or with none (`false`).
    Token(Token, bool),
    /// At a partition, with it (`true`) or without it (`false`).
    Key(PartitionKey, bool),
}

/// Partitions from a start to an end, in the order of the ring; it does not wrap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRange {
    /// Where it begins.
    pub start: RangeBound,
    /// Where it ends.
    pub end: RangeBound,
}

impl PartitionRange {
    /// Every partition.
    #[must_use]
    pub const fn all() -> Self {
        Self { start: RangeBound::Unbounded, end: RangeBound::Unbounded }
    }

    /// True if the range begins at or before `key`.
    #[must_use]
    pub fn starts_before(&self, key: crate::key::KeyRef<'_>) -> bool {
        match &self.start {
            RangeBound::Unbounded => true,
            RangeBound::Token(token, inclusive) => key.token > *token || (*inclusive && key.token == *token),
            RangeBound::Key(bound, inclusive) => {
                key > bound.as_ref() || (*inclusive && key == bound.as_ref())
            }
        }
    }

    /// True if the range ends at or behind `key`.
    #[must_use]
    pub fn ends_after(&self, key: crate::key::KeyRef<'_>) -> bool {
        match &self.end {
            RangeBound::Unbounded => true,
            RangeBound::Token(token, inclusive) => key.token < *token || (*inclusive && key.token == *token),
            RangeBound::Key(bound, inclusive) => {
                key < bound.as_ref() || (*inclusive && key == bound.as_ref())
            }
        }
    }
}

/// Which rows of each partition a command reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusteringSelection {
    /// Slices, in order and disjoint.
    Slices(Vec<ClusteringSlice>),
    /// Rows by their comparable clustering bytes, sorted, without repetition.
    Names(Vec<Vec<u8>>),
}

impl ClusteringSelection {
    /// Every row.
    #[must_use]
    pub fn all() -> Self {
        Self::Slices(vec![ClusteringSlice::all()])
    }

    /// True if every row is selected.
    #[must_use]
    pub fn is_all(&self) -> bool {
        matches!(self, Self::Slices(slices) if matches!(slices.as_slice(),
            [slice] if slice.start.is_empty() && slice.end == [crate::key::ABOVE]))
    }
}

/// When to stop. `u64::MAX` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Live rows in all.
    pub rows: u64,
    /// Live rows in each partition.
    pub per_partition: u64,
}

impl ReadLimits {
    /// No limits.
    pub const NONE: Self = Self { rows: u64::MAX, per_partition: u64::MAX };
}

/// A read of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadCommand {
    /// The table.
    pub table: TableId,
    /// The schema epoch at which the coordinator made the command.
    pub epoch: u64,
    /// The partitions.
    pub partitions: PartitionSelection,
    /// The rows of each.
    pub clustering: ClusteringSelection,
    /// Rows from the last to the first; partitions keep their order.
    pub reversed: bool,
    /// Cells that are not seen.
    pub hidden: HiddenCells,
    /// Seconds since the epoch on the coordinator's clock: what has expired by then is dead.
    pub now_seconds: i64,
    /// When to stop.
    pub limits: ReadLimits,
}

impl ReadCommand {
    /// A command for everything that these partitions hold.
    #[must_use]
    pub fn everything(table: TableId, epoch: u64, partitions: PartitionSelection, now_seconds: i64) -> Self {
        Self {
            table,
            epoch,
            partitions,
            clustering: ClusteringSelection::all(),
            reversed: false,
            hidden: HiddenCells::NONE,
            now_seconds,
            limits: ReadLimits::NONE,
        }
    }

    /// The same without cells that are not seen.
    #[must_use]
    pub fn hiding(self, hidden: HiddenCells) -> Self {
        Self { hidden, ..self }
    }

    /// The same of these rows alone, by their clustering; without any, of the first row, which says
    /// whether there is a partition and brings its static row.
    #[must_use]
    pub fn of_rows_or_first(self, names: Vec<Vec<u8>>) -> Self {
        if names.is_empty() {
            return Self { limits: ReadLimits { rows: 1, per_partition: 1 }, ..self };
        }
        Self { clustering: ClusteringSelection::Names(names), ..self }
    }

    /// The command's encoding between nodes (version 1).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.extend_from_slice(self.table.0.as_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        match &self.partitions {
            PartitionSelection::Key(key) => {
                out.push(0);
                put_length_prefixed(&mut out, key.bytes());
            }
            PartitionSelection::Range(range) => {
                out.push(1);
                put_bound(&mut out, &range.start);
                put_bound(&mut out, &range.end);
            }
        }
        match &self.clustering {
            ClusteringSelection::Slices(slices) => {
                out.push(0);
                put_varint(&mut out, slices.len() as u64);
                for slice in slices {
                    put_length_prefixed(&mut out, &slice.start);
                    put_length_prefixed(&mut out, &slice.end);
                }
            }
            ClusteringSelection::Names(names) => {
                out.push(1);
                put_varint(&mut out, names.len() as u64);
                names.iter().for_each(|name| put_length_prefixed(&mut out, name));
            }
        }
        out.push(u8::from(self.reversed));
        put_varint(&mut out, self.hidden.columns().len() as u64);
        for (column, up_to_micros) in self.hidden.columns() {
            put_varint(&mut out, u64::from(column.0));
            put_zigzag(&mut out, *up_to_micros);
        }
        put_zigzag(&mut out, self.now_seconds);
        put_varint(&mut out, self.limits.rows);
        put_varint(&mut out, self.limits.per_partition);
        out
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// The bytes are malformed.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let reader = &mut Reader::new(bytes);
        let table = TableId(reader.uuid()?);
        let epoch = reader.u64()?;
        let partitions = match reader.u8()? {
            0 => PartitionSelection::Key(key(reader)?),
            1 => PartitionSelection::Range(PartitionRange { start: bound(reader)?, end: bound(reader)? }),
            _ => return Err(reader.error("kind of partition selection")),
        };
        let clustering = match reader.u8()? {
            0 => ClusteringSelection::Slices(list(reader, |reader| {
                Ok(ClusteringSlice {
                    start: reader.length_prefixed()?.to_vec(),
                    end: reader.length_prefixed()?.to_vec(),
                })
            })?),
            1 => ClusteringSelection::Names(list(reader, |reader| Ok(reader.length_prefixed()?.to_vec()))?),
            _ => return Err(reader.error("kind of clustering selection")),
        };
        let reversed = reader.u8()? != 0;
        let hidden = HiddenCells::new(list(reader, |reader| {
            let column = u32::try_from(reader.varint()?).map_err(|_| reader.error("column number"))?;
            Ok((ColumnId(column), reader.zigzag()?))
        })?);
        let now_seconds = reader.zigzag()?;
        let limits = ReadLimits { rows: reader.varint()?, per_partition: reader.varint()? };
        Ok(Self { table, epoch, partitions, clustering, reversed, hidden, now_seconds, limits })
    }
}

fn list<'a, T>(
    reader: &mut Reader<'a>,
    mut element: impl FnMut(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    // Every element takes a byte or more, so the count is bounded by the input.
    let count = reader.length()?;
    (0..count).map(|_| element(reader)).collect()
}

fn key(reader: &mut Reader<'_>) -> Result<PartitionKey, DecodeError> {
    Ok(PartitionKey::new(Bytes::copy_from_slice(reader.length_prefixed()?)))
}

fn put_bound(out: &mut Vec<u8>, bound: &RangeBound) {
    match bound {
        RangeBound::Unbounded => out.push(0),
        RangeBound::Token(token, inclusive) => {
            out.push(if *inclusive { 2 } else { 1 });
            out.extend_from_slice(&token.0.to_le_bytes());
        }
        RangeBound::Key(key, inclusive) => {
            out.push(if *inclusive { 4 } else { 3 });
            put_length_prefixed(out, key.bytes());
        }
    }
}

fn bound(reader: &mut Reader<'_>) -> Result<RangeBound, DecodeError> {
    Ok(match reader.u8()? {
        0 => RangeBound::Unbounded,
        kind @ (1 | 2) => RangeBound::Token(Token(reader.i64()?), kind == 2),
        kind @ (3 | 4) => RangeBound::Key(key(reader)?, kind == 4),
        _ => return Err(reader.error("kind of range bound")),
    })
}

#[cfg(test)]
#[path = "read_command_tests.rs"]
mod tests;
