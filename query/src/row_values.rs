//! The values of one row, as wire bytes: put together from keys and cells, in buffers that are
//! used again for the next row.

use crate::error::CqlError;
use crate::keys;
use dodona_types::codec::DecodeError;
use dodona_types::comparable;
use dodona_types::schema::{Column, ColumnKind, Table};
use dodona_types::{Cell, CellKind, ColumnId, CqlType, KeyRef, LiveRow, counter};
use smallvec::{SmallVec, smallvec};
use std::ops::Range;

/// Wanted columns that need no allocation.
const INLINE_COLUMNS: usize = 8;

/// What is wanted of a column.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) column: Column,
    /// Timestamps and times to live of its cells as well.
    pub(crate) metadata: bool,
}

/// The timestamp and time to live of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CellTimes {
    /// The cell's path; empty in a column of one cell.
    pub(crate) path: Box<[u8]>,
    pub(crate) timestamp_micros: i64,
    /// Seconds left, if it expires.
    pub(crate) ttl_seconds: Option<i64>,
}

/// The wanted values of the present row.
#[derive(Clone)]
pub(crate) struct RowValues<'a> {
    table: &'a Table,
    wanted: &'a [Wanted],
    /// For each wanted column where its value lies in `bytes`.
    places: SmallVec<[Option<Range<usize>>; INLINE_COLUMNS]>,
    /// For each wanted column, if times are wanted of any.
    times: Vec<Vec<CellTimes>>,
    bytes: Vec<u8>,
    /// What of `bytes` and `places` belongs to the partition.
    partition_bytes: usize,
    clustering_ends: Vec<usize>,
    /// Wanted columns among static and regular ones, by id, with their places.
    cells: SmallVec<[(ColumnId, usize); INLINE_COLUMNS]>,
    wants_clustering: bool,
}

impl<'a> RowValues<'a> {
    pub(crate) fn new(table: &'a Table, wanted: &'a [Wanted]) -> Self {
        let mut cells: SmallVec<[(ColumnId, usize); INLINE_COLUMNS]> = wanted
            .iter()
            .enumerate()
            .filter(|(_, wanted)| matches!(wanted.column.kind, ColumnKind::Static | ColumnKind::Regular))
            .map(|(index, wanted)| (wanted.column.id, index))
            .collect();
        cells.sort_unstable();
        let wants_clustering = wanted.iter().any(|wanted| wanted.column.kind == ColumnKind::Clustering);
        let wants_times = wanted.iter().any(|wanted| wanted.metadata);
        Self {
            table,
            wanted,
            places: smallvec![None; wanted.len()],
            times: if wants_times { vec![Vec::new(); wanted.len()] } else { Vec::new() },
            bytes: Vec::new(),
            partition_bytes: 0,
            clustering_ends: Vec::new(),
            cells,
            wants_clustering,
        }
    }

    /// The value of the wanted column at a place.
    #[inline]
    pub(crate) fn value(&self, index: usize) -> Option<&[u8]> {
        self.places[index].clone().map(|range| &self.bytes[range])
    }

    /// The value of a wanted column.
    pub(crate) fn value_of(&self, column: &Column) -> Option<&[u8]> {
        self.value(self.wanted.iter().position(|wanted| wanted.column.id == column.id)?)
    }

    /// Timestamps and times to live of the cells of the wanted column at a place.
    pub(crate) fn times(&self, index: usize) -> &[CellTimes] {
        self.times.get(index).map_or(&[], Vec::as_slice)
    }

    /// Goes to a partition: its key and its static row.
    pub(crate) fn enter_partition(
        &mut self,
        key: KeyRef<'_>,
        static_row: Option<&LiveRow<'_>>,
    ) -> Result<(), CqlError> {
        self.bytes.clear();
        self.places.fill(None);
        self.times.iter_mut().for_each(Vec::clear);
        let count = self.table.partition_key().count();
        let whole = [key.bytes];
        let split;
        let components: &[&[u8]] = if count == 1 {
            &whole
        } else {
            split = keys::split_partition_key(key.bytes, count);
            &split
        };
        for (index, wanted) in self.wanted.iter().enumerate() {
            if wanted.column.kind == ColumnKind::PartitionKey
                && let Some(component) = components.get(usize::from(wanted.column.position))
            {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(component);
                self.places[index] = Some(start..self.bytes.len());
            }
        }
        if let Some(row) = static_row {
            self.take_cells(row, ColumnKind::Static)?;
        }
        self.partition_bytes = self.bytes.len();
        Ok(())
    }

    /// Goes to a row of the partition; `None` for a partition that only has a static row.
    pub(crate) fn enter_row(&mut self, row: Option<(&[u8], &LiveRow<'_>)>) -> Result<(), CqlError> {
        self.bytes.truncate(self.partition_bytes);
        for (index, wanted) in self.wanted.iter().enumerate() {
            if matches!(wanted.column.kind, ColumnKind::Clustering | ColumnKind::Regular) {
                self.places[index] = None;
                if let Some(times) = self.times.get_mut(index) {
                    times.clear();
                }
            }
        }
        let Some((clustering, row)) = row else {
            return Ok(());
        };
        if self.wants_clustering {
            self.take_clustering(clustering, row.row.header.originals)?;
        }
        self.take_cells(row, ColumnKind::Regular)
    }

    fn take_clustering(&mut self, clustering: &[u8], originals: Option<&[u8]>) -> Result<(), CqlError> {
        let start = self.bytes.len();
        self.clustering_ends.clear();
        keys::decode_clustering(
            self.table,
            clustering,
            originals,
            &mut self.bytes,
            &mut self.clustering_ends,
        )?;
        for (index, wanted) in self.wanted.iter().enumerate() {
            if wanted.column.kind != ColumnKind::Clustering {
                continue;
            }
            let position = usize::from(wanted.column.position);
            let before = self.clustering_ends[..position.min(self.clustering_ends.len())].iter().rev();
            let from = before.copied().find(|end| *end != usize::MAX).unwrap_or(start);
            self.places[index] =
                self.clustering_ends.get(position).filter(|end| **end != usize::MAX).map(|end| from..*end);
        }
        Ok(())
    }

    fn take_cells(&mut self, row: &LiveRow<'_>, kind: ColumnKind) -> Result<(), CqlError> {
        if self.cells.is_empty() {
            return Ok(());
        }
        let mut cells = row.cells().peekable();
        while let Some(first) = cells.next() {
            let Ok(found) = self.cells.binary_search_by_key(&first.column, |(id, _)| *id) else {
                continue;
            };
            let index = self.cells[found].1;
            let wanted = &self.wanted[index];
            if wanted.column.kind != kind {
                continue;
            }
            let metadata = wanted.metadata;
            if metadata {
                self.times[index].push(times_of(&first, row.now_seconds));
            }
            let start = self.bytes.len();
            if !wanted.column.cql_type.is_multi_cell() {
                if first.kind == CellKind::Counter {
                    let total = counter::total(first.value).map_err(malformed_counter)?;
                    self.bytes.extend_from_slice(&total.to_be_bytes());
                } else {
                    self.bytes.extend_from_slice(first.value);
                }
                self.places[index] = Some(start..self.bytes.len());
                continue;
            }
            let mut elements = Elements::new(&wanted.column.cql_type, &mut self.bytes);
            elements.push(&first)?;
            while let Some(cell) = cells.next_if(|cell| cell.column == first.column) {
                elements.push(&cell)?;
                if metadata {
                    self.times[index].push(times_of(&cell, row.now_seconds));
                }
            }
            elements.finish();
            self.places[index] = Some(start..self.bytes.len());
        }
        Ok(())
    }
}

fn malformed_counter(error: DecodeError) -> CqlError {
    CqlError::Server(format!("a malformed counter: {error}"))
}

fn times_of(cell: &Cell<'_>, now_seconds: i64) -> CellTimes {
    let ttl_seconds = (cell.ttl_seconds() != 0).then(|| cell.local_deletion_seconds() - now_seconds);
    CellTimes {
        path: cell.path.unwrap_or_default().into(),
        timestamp_micros: cell.timestamp_micros,
        ttl_seconds,
    }
}

/// Puts the cells of a multi-cell column together as one value.
struct Elements<'a> {
    ty: &'a CqlType,
    out: &'a mut Vec<u8>,
    count_at: usize,
    count: usize,
    scratch: Vec<u8>,
}

impl<'a> Elements<'a> {
    fn new(ty: &'a CqlType, out: &'a mut Vec<u8>) -> Self {
        let count_at = out.len();
        if !matches!(ty, CqlType::UserDefined { .. }) {
            out.extend_from_slice(&[0; 4]);
        }
        Self { ty, out, count_at, count: 0, scratch: Vec::new() }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.out.extend_from_slice(bytes);
    }

    /// The wire bytes in an element's path: the ones kept aside, or those the comparable ones give.
    fn key(&mut self, ty: &CqlType, path: &[u8]) -> Result<(), CqlError> {
        let mut rest = path;
        self.scratch.clear();
        comparable::decode_component(ty, false, &mut rest, &mut self.scratch)?;
        if rest.is_empty() {
            let scratch = std::mem::take(&mut self.scratch);
            self.put(&scratch);
            self.scratch = scratch;
        } else {
            self.put(rest);
        }
        Ok(())
    }

    fn push(&mut self, cell: &Cell<'_>) -> Result<(), CqlError> {
        let path = cell.path.unwrap_or_default();
        match self.ty {
            CqlType::Set { element, .. } => self.key(element, path)?,
            CqlType::Map { key, .. } => {
                self.key(key, path)?;
                self.put(cell.value);
            }
            CqlType::UserDefined { .. } => {
                let field =
                    path.first_chunk::<2>().map_or(0, |bytes| usize::from(u16::from_be_bytes(*bytes)));
                while self.count < field {
                    self.out.extend_from_slice(&(-1i32).to_be_bytes());
                    self.count += 1;
                }
                self.put(cell.value);
            }
            _ => self.put(cell.value),
        }
        self.count += 1;
        Ok(())
    }

    fn finish(mut self) {
        if let CqlType::UserDefined { definition, .. } = self.ty {
            while self.count < definition.fields.len() {
                self.out.extend_from_slice(&(-1i32).to_be_bytes());
                self.count += 1;
            }
            return;
        }
        self.out[self.count_at..self.count_at + 4].copy_from_slice(&(self.count as i32).to_be_bytes());
    }
}
