//! The content of the tables of `system_views` that have a row for each table on this node.

use super::Fill;
use super::engine_view::{MEBIBYTE, count};
use super::rows::{double, text};
use crate::error::CqlError;
use dodona_cluster::ClusterError;
use dodona_cluster::coordinator::served::{Operation, PerRead, Summary, TableStatistics};
use dodona_types::TableId;

/// A column's name and value.
type Value = (&'static str, Vec<u8>);

/// Makes the content of such a table anew; of others nothing.
pub(super) fn refill(fill: &Fill<'_>, view: &str) -> Result<(), CqlError> {
    match view {
        "coordinator_read_latency" => served(fill, view, Operation::Read),
        "coordinator_scan_latency" => served(fill, view, Operation::Scan),
        "coordinator_write_latency" => served(fill, view, Operation::Write),
        "local_read_latency" => local(fill, view, Operation::Read),
        "local_scan_latency" => local(fill, view, Operation::Scan),
        "local_write_latency" => local(fill, view, Operation::Write),
        "rows_per_read" => per_read(fill, view, PerRead::Rows),
        "tombstones_per_read" => per_read(fill, view, PerRead::Tombstones),
        "disk_usage" => statistics(fill, view, |it| mebibytes(it.disk_bytes)),
        "max_partition_size" => {
            statistics(fill, view, |it| it.max_partition_bytes.map(mebibytes).unwrap_or_default())
        }
        "max_sstable_size" => statistics(fill, view, |it| mebibytes(it.max_sstable_bytes)),
        "max_sstable_duration" => {
            statistics(fill, view, |it| vec![("max_sstable_duration", count(it.max_sstable_micros / 1_000))])
        }
        _ => Ok(()),
    }
}

/// Puts a row for each table that is not virtual.
fn of_each_table(
    fill: &Fill<'_>,
    view: &str,
    values: impl Fn(TableId) -> Result<Vec<Value>, ClusterError>,
) -> Result<(), CqlError> {
    fill.replace("system_views", view, |rows| {
        for table in fill.schema.tables().filter(|table| !super::is_virtual_keyspace(&table.keyspace)) {
            let mut row = values(table.id)?;
            row.push(("keyspace_name", text(&table.keyspace)));
            row.push(("table_name", text(&table.name)));
            rows.put(&row)?;
        }
        Ok(())
    })
}

/// Latencies of clients' requests.
fn served(fill: &Fill<'_>, view: &str, operation: Operation) -> Result<(), CqlError> {
    let coordinator = &fill.host.node.coordinator;
    of_each_table(fill, view, |table| Ok(latency(&coordinator.served(table, operation))))
}

/// Latencies of this node's replica.
fn local(fill: &Fill<'_>, view: &str, operation: Operation) -> Result<(), CqlError> {
    let engine = &fill.host.node.engine;
    of_each_table(fill, view, |table| Ok(latency(&engine.operations(table, operation)?)))
}

fn latency(summary: &Summary) -> Vec<Value> {
    // To the nanosecond: much of what Cassandra rounds to microseconds would be none.
    let millis = |nanos: u64| double(nanos as f64 / 1e6);
    vec![
        ("count", count(summary.count)),
        ("max_ms", millis(summary.nanos.max())),
        ("p50th_ms", millis(summary.nanos.percentile(0.5))),
        ("p99th_ms", millis(summary.nanos.percentile(0.99))),
        ("per_second", double((summary.per_second * 1e3).round() / 1e3)),
    ]
}

/// What reads by this node's replica have met.
fn per_read(fill: &Fill<'_>, view: &str, what: PerRead) -> Result<(), CqlError> {
    let engine = &fill.host.node.engine;
    of_each_table(fill, view, |table| {
        let reads = [Operation::Read, Operation::Scan];
        let mut number = 0;
        for operation in reads {
            number += engine.operations(table, operation)?.count;
        }
        let met = engine.met_by_reads(table, what)?;
        Ok(vec![
            ("count", count(number)),
            ("max", double(met.max() as f64)),
            ("p50th", double(met.percentile(0.5) as f64)),
            ("p99th", double(met.percentile(0.99) as f64)),
        ])
    })
}

fn statistics(
    fill: &Fill<'_>,
    view: &str,
    values: impl Fn(&TableStatistics) -> Vec<Value>,
) -> Result<(), CqlError> {
    let engine = &fill.host.node.engine;
    of_each_table(fill, view, |table| Ok(values(&engine.table_statistics(table)?)))
}

/// As Cassandra has it, rounded up.
fn mebibytes(bytes: u64) -> Vec<Value> {
    vec![("mebibytes", count(bytes.div_ceil(MEBIBYTE)))]
}
