//! The content of `system.size_estimates` and `system.table_estimates`: tools that read whole
//! tables in parallel (Spark, Trino) cut the ring by them.

use super::Fill;
use super::rows::{Rows, bigint, text};
use crate::error::CqlError;
use dodona_cluster::ClusterError;
use dodona_cluster::replication::Replication;
use dodona_types::Token;
use dodona_types::schema::Table;
use std::sync::Arc;

/// A part of the ring that does not wrap, as text, and its share of the whole ring.
struct Part {
    start: String,
    end: String,
    share: f64,
}

pub(super) fn refill(fill: &Fill<'_>) -> Result<(), CqlError> {
    let (parts, tables) = (local_parts(fill), estimated_tables(fill)?);
    fill.replace("system", "size_estimates", |rows| put_all(rows, &parts, &tables, &[None]))?;
    fill.replace("system", "table_estimates", |rows| {
        put_all(rows, &parts, &tables, &[Some("primary"), Some("local_primary")])
    })
}

/// A table, its partitions and their bytes.
type Estimate<'a> = (&'a Arc<Table>, f64, f64);

fn estimated_tables<'a>(fill: &Fill<'a>) -> Result<Vec<Estimate<'a>>, CqlError> {
    let mut tables = Vec::new();
    for keyspace in fill.schema.keyspaces.values() {
        if Replication::from_options(&keyspace.replication) == Ok(Replication::Local) {
            continue;
        }
        for table in keyspace.tables.values() {
            let statistics = fill.host.node.engine.table_statistics(table.id).map_err(ClusterError::from)?;
            let partitions = statistics.partitions as f64 + statistics.memtable_partitions as f64;
            let bytes = statistics.uncompressed_bytes as f64 + statistics.memtable_bytes as f64;
            tables.push((table, partitions, bytes));
        }
    }
    Ok(tables)
}

fn put_all(
    rows: &mut Rows<'_>,
    parts: &[Part],
    tables: &[Estimate<'_>],
    range_types: &[Option<&str>],
) -> Result<(), CqlError> {
    let all: f64 = parts.iter().map(|part| part.share).sum();
    for (table, partitions, bytes) in tables {
        let mean = if *partitions > 0.0 { bytes / partitions } else { 0.0 };
        for (part, range_type) in parts.iter().flat_map(|part| range_types.iter().map(move |ty| (part, ty))) {
            let mut values = vec![
                ("keyspace_name", text(&table.keyspace)),
                ("table_name", text(&table.name)),
                ("range_start", text(&part.start)),
                ("range_end", text(&part.end)),
                ("mean_partition_size", bigint(mean as i64)),
                ("partitions_count", bigint((partitions * part.share / all).round() as i64)),
            ];
            values.extend(range_type.map(|range_type| ("range_type", text(range_type))));
            rows.put(&values)?;
        }
    }
    Ok(())
}

/// The ranges of which this node is the first owner; one that wraps counts as two.
fn local_parts(fill: &Fill<'_>) -> Vec<Part> {
    let placement = fill.host.node.placement();
    let mut parts = Vec::new();
    let mut put = |start: Token, end: Token| {
        let width = end.ordinal().wrapping_sub(start.ordinal());
        // The end of the ring is written like its start.
        let end = if end == Token::MAX { Token::MIN } else { end };
        if width > 0 {
            parts.push(Part {
                start: start.to_string(),
                end: end.to_string(),
                share: width as f64 / u64::MAX as f64,
            });
        }
    };
    for range in placement.ring.ranges() {
        if placement.ring.walk(range.end).next() != Some(placement.local) {
            continue;
        }
        if range.start < range.end {
            put(range.start, range.end);
        } else {
            put(range.start, Token::MAX);
            put(Token::MIN, range.end);
        }
    }
    parts
}
