//! What tables hold, and how they are used.

use super::{Answer, Target, tables_of};
use crate::shared::Shared;
use axum::extract::{Query, State};
use axum::response::Json;
use dodona_cluster::coordinator::served::ByPaxos;
use dodona_storage::StorageError;
use dodona_storage::engine::statistics::TableStatistics;
use dodona_storage::metrics::{Distribution, Operation, PerRead, Summary};
use dodona_types::TableId;
use serde_json::{Value, json};
use std::sync::Arc;

/// What there is to tell of each table that is meant, with its name.
fn of_each(
    shared: &Shared,
    target: &Target,
    tell: impl Fn(TableId, &TableStatistics) -> Result<Value, StorageError>,
) -> Answer {
    let mut tables = Vec::new();
    for (keyspace, name, id) in tables_of(shared, target)? {
        let mut table = tell(id, &shared.node.engine.table_statistics(id)?)?;
        table["keyspace"] = keyspace.into();
        table["table"] = name.into();
        tables.push(table);
    }
    Ok(Json(json!({ "tables": tables })))
}

pub(super) async fn statistics(State(shared): State<Arc<Shared>>, Query(target): Query<Target>) -> Answer {
    let engine = &shared.node.engine;
    of_each(&shared, &target, |id, statistics| {
        Ok(json!({
            "sstables": statistics.sstables,
            "disk_bytes": statistics.disk_bytes,
            "repaired_bytes": statistics.repaired_bytes,
            "pending_bytes": statistics.pending_bytes,
            "uncompressed_bytes": statistics.uncompressed_bytes,
            "max_partition_bytes": statistics.max_partition_bytes,
            "partitions": statistics.partitions,
            "rows": statistics.rows,
            "tombstones": statistics.tombstones,
            "memtable_partitions": statistics.memtable_partitions,
            "memtable_bytes": statistics.memtable_bytes,
            "memtable_operations": statistics.memtable_operations,
            "index_bytes": statistics.index_bytes,
            "sstables_per_read": statistics.files_per_read,
            "reads": used(&engine.operations(id, Operation::Read)?),
            "scans": used(&engine.operations(id, Operation::Scan)?),
            "writes": used(&engine.operations(id, Operation::Write)?),
            "rows_per_read": met(&engine.met_by_reads(id, PerRead::Rows)?),
            "tombstones_per_read": met(&engine.met_by_reads(id, PerRead::Tombstones)?),
        }))
    })
}

fn used(summary: &Summary) -> Value {
    json!({
        "count": summary.count,
        "per_second": summary.per_second,
        "mean_nanos": summary.nanos.mean(),
    })
}

fn met(met: &Distribution) -> Value {
    json!({ "mean": met.mean(), "max": met.max() })
}

/// The parts of values that histograms are told by; the least and the greatest follow.
const PARTS: [f64; 5] = [0.5, 0.75, 0.95, 0.98, 0.99];

pub(super) async fn histograms(State(shared): State<Arc<Shared>>, Query(target): Query<Target>) -> Answer {
    let engine = &shared.node.engine;
    of_each(&shared, &target, |id, statistics| {
        Ok(json!({
            "parts": PARTS,
            "sstables": files(statistics),
            "write_nanos": percentiles(&engine.operations(id, Operation::Write)?.nanos),
            "read_nanos": percentiles(&engine.operations(id, Operation::Read)?.nanos),
            "max_partition_bytes": statistics.max_partition_bytes,
        }))
    })
}

/// How long requests of clients took, on all tables together.
pub(super) async fn of_clients(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let coordinator = &shared.node.coordinator;
    let on_all = |operation| percentiles(&coordinator.served_on_all(operation));
    let by_paxos = |what| percentiles(&coordinator.served_by_paxos(what));
    Json(json!({
        "parts": PARTS,
        "read_nanos": on_all(Operation::Read),
        "write_nanos": on_all(Operation::Write),
        "scan_nanos": on_all(Operation::Scan),
        "conditional_read_nanos": by_paxos(ByPaxos::Read),
        "conditional_write_nanos": by_paxos(ByPaxos::Write),
    }))
}

fn percentiles(values: &Distribution) -> Vec<u64> {
    let parts = PARTS.iter().map(|part| values.percentile(*part));
    parts.chain([values.min(), values.max()]).collect()
}

/// The same of the files that reads looked into, of which each number is counted.
fn files(statistics: &TableStatistics) -> Vec<usize> {
    let counts = &statistics.files_per_read;
    let total: u64 = counts.iter().sum();
    let at = |part: f64| {
        let (wanted, mut sum) = ((total as f64 * part).ceil(), 0);
        let place = counts.iter().position(|count| {
            sum += count;
            sum as f64 >= wanted
        });
        place.filter(|_| total > 0).unwrap_or(0)
    };
    let least = counts.iter().position(|count| *count > 0).unwrap_or(0);
    let most = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
    PARTS.iter().map(|part| at(*part)).chain([least, most]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_parts_of_the_reads() {
        let of = |files_per_read| files(&TableStatistics { files_per_read, ..TableStatistics::default() });
        assert_eq!(of(vec![0, 50, 30, 16, 0, 4]), [1, 2, 3, 5, 5, 1, 5]);
        assert_eq!(of(vec![0; 8]), [0; 7]);
    }
}
