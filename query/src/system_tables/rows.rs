//! Rows of a table as mutations, of wire values by the names of columns.

use crate::error::CqlError;
use crate::keys;
use dodona_types::comparable::encode_component;
use dodona_types::key::{ABOVE, BELOW, ClusteringSlice};
use dodona_types::schema::{Column, ColumnKind, Options, Table};
pub(super) use dodona_types::value::inet_to_wire as inet;
use dodona_types::value::{elements_to_wire, map_to_wire, read_bytes, read_length};
use dodona_types::{Cell, CellKind, ColumnId, CqlType, Deletion, Liveness, MutationBuilder, RowHeader};

/// Collects rows of one table: those of one partition that come one behind another are one mutation.
pub(crate) struct Rows<'t> {
    table: &'t Table,
    timestamp_micros: i64,
    builder: MutationBuilder,
    /// The partition that the builder has begun.
    partition: Option<Vec<u8>>,
    mutations: Vec<Vec<u8>>,
}

impl<'t> Rows<'t> {
    /// No rows yet. Every cell gets the timestamp; what is deleted, the one before it.
    pub(crate) fn new(table: &'t Table, timestamp_micros: i64) -> Self {
        Self {
            table,
            timestamp_micros,
            builder: MutationBuilder::new(),
            partition: None,
            mutations: Vec::new(),
        }
    }

    /// Adds a row: for columns their names and wire values. The others are null.
    ///
    /// # Errors
    /// A column of the key is missing, or a value is not of its column's type.
    pub(crate) fn put(&mut self, values: &[(&str, Vec<u8>)]) -> Result<(), CqlError> {
        let table = self.table;
        let key = |column: &Column| match values.iter().find(|(name, _)| **name == *column.name) {
            Some((_, value)) => Ok(value.as_slice()),
            None => Err(CqlError::Server(format!("no value for {}.{}", table.name, column.name))),
        };
        let partition = table.partition_key().map(key).collect::<Result<Vec<_>, _>>()?;
        let mut clustering = Vec::new();
        for column in table.clustering_key() {
            keys::put_component(column, key(column)?, &mut clustering)?;
        }
        keys::end_clustering(&mut clustering);
        let mut cells = Vec::with_capacity(values.len());
        for (name, value) in values {
            let column = table.column(name).filter(|column| column.kind == ColumnKind::Regular);
            if let Some(column) = column {
                put_cells(column, value, &mut cells)?;
            }
        }
        cells.sort();
        let header = RowHeader { liveness: Some(Liveness::new(self.timestamp_micros)), ..RowHeader::EMPTY };
        self.begin(&partition);
        self.builder.row(&clustering, self.timestamp_micros, &header, |row| {
            for (column, path, value) in &cells {
                row.push_cell(&Cell {
                    column: *column,
                    path: path.as_deref(),
                    timestamp_micros: self.timestamp_micros,
                    kind: CellKind::Live,
                    value,
                });
            }
        });
        Ok(())
    }

    /// Deletes what a partition holds so far.
    pub(crate) fn delete_partition(&mut self, partition: &[&[u8]]) {
        self.begin(partition);
        self.builder.partition_deletion(self.deletion());
    }

    /// Deletes what a partition holds so far of the rows that have this first clustering column.
    ///
    /// # Errors
    /// The table has no clustering column.
    pub(crate) fn delete_rows(&mut self, partition: &[&[u8]], first: &[u8]) -> Result<(), CqlError> {
        let table = self.table;
        let column = table.clustering_key().next();
        let column = column.ok_or_else(|| CqlError::Server(format!("{} has no rows", table.name)))?;
        let mut prefix = Vec::new();
        keys::put_component(column, first, &mut prefix)?;
        let slice = ClusteringSlice {
            start: [&prefix[..], &[BELOW]].concat(),
            end: [&prefix[..], &[ABOVE]].concat(),
        };
        self.begin(partition);
        self.builder.range_deletion(&slice, self.deletion());
        Ok(())
    }

    const fn deletion(&self) -> Deletion {
        Deletion { timestamp_micros: self.timestamp_micros - 1, deleted_at_seconds: 0 }
    }

    fn begin(&mut self, partition: &[&[u8]]) {
        let key = keys::partition_key(partition);
        if self.partition.as_ref() != Some(&key) {
            self.end();
            self.builder.begin(self.table.id, self.table.epoch, &key);
            self.partition = Some(key);
        }
    }

    fn end(&mut self) {
        if self.partition.take().is_some() {
            self.mutations.push(self.builder.view().bytes().to_vec());
        }
    }

    /// The mutations.
    pub(crate) fn into_mutations(mut self) -> Vec<Vec<u8>> {
        self.end();
        self.mutations
    }
}

/// Column, path and value of a cell.
type RawCell = (ColumnId, Option<Vec<u8>>, Vec<u8>);

/// The cells of a column's value: one, or one for each element of a collection.
fn put_cells(column: &Column, value: &[u8], cells: &mut Vec<RawCell>) -> Result<(), CqlError> {
    if !column.cql_type.is_multi_cell() {
        cells.push((column.id, None, value.to_vec()));
        return Ok(());
    }
    let malformed = || CqlError::Server(format!("a malformed value for {}", column.name));
    let mut rest = value;
    let count = read_length(&mut rest).ok_or_else(malformed)?;
    for _ in 0..count {
        let mut next = || read_bytes(&mut rest).flatten().map(<[u8]>::to_vec).ok_or_else(malformed);
        let mut path = Vec::new();
        let value = match &column.cql_type {
            CqlType::Set { element, .. } => {
                encode_component(element, false, Some(&next()?), &mut path)?;
                Vec::new()
            }
            CqlType::Map { key, .. } => {
                encode_component(key, false, Some(&next()?), &mut path)?;
                next()?
            }
            _ => {
                return Err(CqlError::Server(format!("no system table may have a {}", column.cql_type)));
            }
        };
        cells.push((column.id, Some(path), value));
    }
    Ok(())
}

/// A text as a value.
pub(crate) fn text(value: &str) -> Vec<u8> {
    value.as_bytes().to_vec()
}

/// An `int` as a value.
pub(super) fn int(value: i32) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

/// A `bigint` or `timestamp` as a value.
pub(super) fn bigint(value: i64) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

/// A `double` as a value.
pub(super) fn double(value: f64) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

/// A `float` as a value.
pub(super) fn float(value: f32) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

/// A `boolean` as a value.
pub(super) fn boolean(value: bool) -> Vec<u8> {
    vec![u8::from(value)]
}

/// A list of texts, or a set of texts in their order, as a value.
pub(super) fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Vec<u8>, CqlError> {
    Ok(elements_to_wire(values.into_iter().map(str::as_bytes))?)
}

/// A map of texts as a value.
pub(super) fn text_map(options: &Options) -> Result<Vec<u8>, CqlError> {
    Ok(map_to_wire(options.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))?)
}
