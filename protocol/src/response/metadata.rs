//! Metadata of results and of bind markers.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use dodona_types::CqlType;

use crate::error::DecodeError;
use crate::primitives::{Reader, put_int, put_short, put_string};
use crate::types_option::{put_type, read_type};
use crate::version::Version;

/// Bits of `<flags>` of metadata (native_protocol_v5 section 4.2.5.2).
pub(super) mod flag {
    pub(in crate::response) const GLOBAL_TABLES_SPEC: i32 = 0x0001;
    pub(in crate::response) const HAS_MORE_PAGES: i32 = 0x0002;
    pub(in crate::response) const NO_METADATA: i32 = 0x0004;
    /// From version 5 on.
    pub(in crate::response) const METADATA_CHANGED: i32 = 0x0008;
}

/// The least bytes of a column: the length of its name and its type.
const MIN_COLUMN_BYTES: usize = 4;

/// A column of a result, or a bind marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    /// The table's keyspace.
    pub keyspace: Arc<str>,
    /// The table.
    pub table: Arc<str>,
    /// Name of the column, alias, selected expression or bind marker.
    pub name: Arc<str>,
    /// Its type.
    pub cql_type: CqlType,
}

/// The columns of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultMetadata {
    /// The columns, in the order of their values.
    pub columns: Vec<ColumnSpec>,
}

/// The bind markers of a prepared statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreparedMetadata {
    /// The markers, in the order of their values.
    pub columns: Vec<ColumnSpec>,
    /// For each column of the partition key its marker's position; empty if not all have one
    /// (from version 4 on).
    pub partition_key_indexes: Vec<u16>,
}

impl PreparedMetadata {
    /// Appends the metadata.
    pub fn encode(&self, version: Version, out: &mut BytesMut) {
        put_int(out, table_flag(&self.columns));
        put_int(out, count(self.columns.len()));
        if version >= Version::V4 {
            put_int(out, count(self.partition_key_indexes.len()));
            for &index in &self.partition_key_indexes {
                put_short(out, index);
            }
        }
        put_columns(out, &self.columns, version);
    }

    /// Decodes the metadata.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let flags = reader.int()?;
        let column_count = reader.length()?;
        let mut partition_key_indexes = Vec::new();
        if version >= Version::V4 {
            let key_count = reader.length()?;
            reader.expect_elements(key_count, size_of::<u16>())?;
            partition_key_indexes = (0..key_count).map(|_| reader.short()).collect::<Result<_, _>>()?;
        }
        let columns = if flags & flag::NO_METADATA == 0 {
            read_columns(reader, column_count, flags & flag::GLOBAL_TABLES_SPEC != 0)?
        } else {
            Vec::new()
        };
        Ok(Self { columns, partition_key_indexes })
    }
}

/// The metadata of a result, encoded once for every version, so that a response copies it.
#[derive(Clone, Debug)]
pub struct EncodedMetadata {
    pub(super) column_count: usize,
    /// `GLOBAL_TABLES_SPEC` or nothing.
    pub(super) flags: i32,
    /// `[<global_table_spec>]<col_spec_1>…` by [`Version::index`].
    columns: [Bytes; Version::ALL.len()],
}

impl EncodedMetadata {
    /// Encodes `metadata`.
    #[must_use]
    pub fn new(metadata: &ResultMetadata) -> Self {
        let mut columns = Version::ALL.map(|version| {
            let mut out = BytesMut::new();
            put_columns(&mut out, &metadata.columns, version);
            out.freeze()
        });
        for index in 1..columns.len() {
            if columns[index] == columns[index - 1] {
                columns[index] = columns[index - 1].clone();
            }
        }
        Self { column_count: metadata.columns.len(), flags: table_flag(&metadata.columns), columns }
    }

    /// The encoded columns, which are also what a result_metadata_id may be a hash of.
    #[must_use]
    pub fn columns(&self, version: Version) -> &[u8] {
        &self.columns[version.index()]
    }

    /// How many columns there are.
    #[must_use]
    pub const fn column_count(&self) -> usize {
        self.column_count
    }

    /// Appends the metadata as in a Prepared result. A statement without a result has none.
    pub(super) fn encode_prepared(&self, version: Version, out: &mut BytesMut) {
        let flags = if self.column_count == 0 { flag::NO_METADATA } else { self.flags };
        put_int(out, flags);
        put_int(out, count(self.column_count));
        if self.column_count > 0 {
            out.put_slice(self.columns(version));
        }
    }
}

/// `GLOBAL_TABLES_SPEC` if all columns are of one table.
fn table_flag(columns: &[ColumnSpec]) -> i32 {
    let Some(first) = columns.first() else { return 0 };
    let same = columns.iter().all(|column| column.keyspace == first.keyspace && column.table == first.table);
    if same { flag::GLOBAL_TABLES_SPEC } else { 0 }
}

fn put_columns(out: &mut BytesMut, columns: &[ColumnSpec], version: Version) {
    let global = table_flag(columns) != 0;
    for (index, column) in columns.iter().enumerate() {
        if !global || index == 0 {
            put_string(out, &column.keyspace);
            put_string(out, &column.table);
        }
        put_string(out, &column.name);
        put_type(out, &column.cql_type, version);
    }
}

/// Reads `count` columns, after the table they have in common if `global`.
pub(super) fn read_columns(
    reader: &mut Reader<'_>,
    count: usize,
    global: bool,
) -> Result<Vec<ColumnSpec>, DecodeError> {
    if count == 0 && reader.rest().is_empty() {
        return Ok(Vec::new());
    }
    let table = |reader: &mut Reader<'_>| Ok((Arc::from(reader.string()?), Arc::from(reader.string()?)));
    let common: Option<(Arc<str>, Arc<str>)> = if global { Some(table(reader)?) } else { None };
    reader.expect_elements(count, MIN_COLUMN_BYTES)?;
    let mut columns = Vec::with_capacity(count);
    for _ in 0..count {
        let (keyspace, table) = match &common {
            Some(common) => common.clone(),
            None => table(reader)?,
        };
        columns.push(ColumnSpec {
            keyspace,
            table,
            name: reader.string()?.into(),
            cql_type: read_type(reader)?,
        });
    }
    Ok(columns)
}

/// A number of columns as an `[int]`; the schema allows far fewer than 2^31.
pub(super) fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}
