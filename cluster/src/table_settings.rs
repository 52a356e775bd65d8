//! What the engine is told of a table, from the options that its users gave it.

use crate::error::ClusterError;
use dodona_storage::compaction::CompactionSettings;
use dodona_storage::sstable::WriterOptions;
use dodona_storage::sstable::compression::Compression;
use dodona_storage::sstable::statistics::{DroppedColumn, StoredColumn};
use dodona_storage::{RowShape, TableSettings};
use dodona_types::CqlType;
use dodona_types::schema::{Column, ColumnKind, Options, Table};
use std::sync::Arc;
use std::time::Duration;

/// What the engine needs to know of a table.
///
/// # Errors
/// An option of the table is not valid.
pub fn table_settings(table: &Table, volatile: bool) -> Result<TableSettings, ClusterError> {
    let params = &table.params;
    let columns = table.columns.iter().map(|column| StoredColumn {
        id: column.id.0,
        name: column.name.to_string(),
        cql_type: column.cql_type.to_string(),
        role: role(column),
        fields: fields(&column.cql_type),
    });
    let dropped = table.dropped_columns.iter().map(|(name, dropped)| DroppedColumn {
        name: name.to_string(),
        dropped_at_micros: dropped.dropped_at_micros,
    });
    let (block_bytes, long_block_bytes) = block_bytes(&params.compression).map_err(ClusterError::Invalid)?;
    let flush_period = params.memtable_flush_period_in_ms;
    Ok(TableSettings {
        id: table.id,
        name: format!("{}.{}", table.keyspace, table.name),
        columns: columns.collect(),
        dropped_columns: dropped.collect(),
        dropped_cells: table.dropped_cells(),
        shape: (!table.is_counter()).then(|| Arc::new(row_shape(table))),
        gc_grace_seconds: params.gc_grace_seconds,
        writer: WriterOptions {
            compression: compression(&params.compression).map_err(ClusterError::Invalid)?,
            block_bytes,
            long_block_bytes,
            filter_false_positives: params.bloom_filter_fp_chance,
            watch: None,
        },
        compaction: CompactionSettings::from_options(&params.compaction).map_err(ClusterError::Invalid)?,
        flush_period: (flush_period > 0).then(|| Duration::from_millis(flush_period.into())),
        volatile,
        incremental_backups: params.incremental_backups,
        limits_tombstones: limits_tombstones(&table.keyspace),
    })
}

/// What a column is for: a file of another table fits if its columns are for the same.
fn role(column: &Column) -> String {
    let order = if column.descending { " desc" } else { "" };
    match column.kind {
        ColumnKind::PartitionKey => format!("partition key {}", column.position),
        ColumnKind::Clustering => format!("clustering {}{order}", column.position),
        ColumnKind::Static => "static".into(),
        ColumnKind::Regular => "regular".into(),
    }
}

/// The fields of the user-defined types in a type.
fn fields(cql_type: &CqlType) -> Vec<String> {
    let mut found = Vec::new();
    if let CqlType::UserDefined { definition, .. } = cql_type {
        let fields = definition.fields.iter().map(|(name, ty)| format!("{name} {ty}"));
        found.push(fields.collect::<Vec<_>>().join(", "));
    }
    found.extend(cql_type.inner().flat_map(fields));
    found
}

/// True if reads of a keyspace's tables are warned of tombstones and fail for too many: not those of the
/// node's own (Cassandra: `SchemaConstants.isLocalSystemKeyspace`).
#[must_use]
pub fn limits_tombstones(keyspace: &str) -> bool {
    !matches!(keyspace, "system" | "system_schema")
}

/// What rows of the table can have.
fn row_shape(table: &Table) -> RowShape {
    let of_kind = |kind: ColumnKind| {
        let mut columns: Vec<_> = table.columns.iter().filter(|it| it.kind == kind).map(|it| it.id).collect();
        columns.sort_unstable();
        columns
    };
    RowShape {
        columns: of_kind(ColumnKind::Regular),
        statics: of_kind(ColumnKind::Static),
        one_row: table.clustering_key().next().is_none(),
        is_plain: !table.columns.iter().any(|column| column.cql_type.is_multi_cell()),
    }
}

/// The compression that `WITH compression = {...}` asks for.
///
/// # Errors
/// What is wrong, as Cassandra says it.
pub fn compression(options: &Options) -> Result<Compression, String> {
    if options.get("enabled").is_some_and(|enabled| enabled.eq_ignore_ascii_case("false")) {
        return Ok(Compression::None);
    }
    let Some(class) = options.get("class") else {
        return Ok(Compression::None);
    };
    match class.rsplit('.').next().unwrap_or_default() {
        "" | "NoopCompressor" => Ok(Compression::None),
        "LZ4Compressor" => Ok(Compression::Lz4),
        "ZstdCompressor" => {
            let level = options.get("compression_level").map_or(Ok(3), |level| level.parse());
            level
                .map(Compression::Zstd)
                .map_err(|_| "Invalid value for compression_level of ZstdCompressor".into())
        }
        "SnappyCompressor" => Ok(Compression::Snappy),
        "DeflateCompressor" => Ok(Compression::Deflate),
        _ => Err(format!("Could not create Compression for type {class}")),
    }
}

/// The lengths of short and of long blocks.
fn block_bytes(options: &Options) -> Result<(usize, usize), String> {
    let Some(text) = options.get("chunk_length_in_kb") else {
        return Ok((4 << 10, 16 << 10));
    };
    let kib: usize = text.parse().map_err(|_| format!("Invalid value for chunk_length_in_kb: {text}"))?;
    if !kib.is_power_of_two() {
        return Err("chunk_length_in_kb must be a power of 2".into());
    }
    // A quarter of it where that compresses nearly as well: a read decompresses less.
    let clamped = |bytes: usize| bytes.clamp(4 << 10, 1 << 20);
    Ok((clamped(kib << 8), clamped(kib << 10)))
}
