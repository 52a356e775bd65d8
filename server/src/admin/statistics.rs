//! What the node is and holds.

use crate::load::disk_bytes;
use crate::metrics::gauge;
use crate::shared::{Phase, Shared};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use dodona_cluster::node::RELEASE_VERSION;
use dodona_storage::Engine;
use dodona_storage::files_per_read::MOST_FILES;
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::Arc;

pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> String {
    let mut out = String::with_capacity(16 << 10);
    shared.metrics.render(&mut out);
    let engine = &shared.node.engine;
    let (cache_bytes, hits, misses) = engine.cache_statistics();
    let (prepared, evicted) = shared.processor.statements().counts();
    let gauges = [
        (
            "dodona_bytes_in_flight",
            "Bytes of requests and answers in flight.",
            shared.admission.in_flight() as u64,
        ),
        ("dodona_memtable_bytes", "Bytes in memtables.", engine.memtable_bytes()),
        ("dodona_commit_log_bytes", "Bytes of the commit log.", engine.commit_log_bytes()),
        ("dodona_block_cache_bytes", "Bytes in the block cache.", cache_bytes),
        ("dodona_index_bytes", "Bytes of filters and indexes of open files.", engine.index_bytes()),
        ("dodona_block_cache_hits", "Blocks found in the cache.", hits),
        ("dodona_block_cache_misses", "Blocks not found in the cache.", misses),
        (
            "dodona_clock_offset_microseconds",
            "The furthest that the clock of another member is off from this node's.",
            shared.node.clock_offset_micros(),
        ),
        (
            "dodona_late_repairs",
            "Tables with ranges that were not repaired by themselves within gc_grace_seconds.",
            shared.node.repairs.late.tables() as u64,
        ),
        ("dodona_prepared_statements", "Prepared statements kept.", prepared as u64),
        ("dodona_prepared_statements_evicted", "Prepared statements forgotten for lack of room.", evicted),
    ];
    for (name, help, value) in gauges {
        gauge(&mut out, name, help, value);
    }
    files_per_read(&mut out, &shared.node.engine);
    out
}

/// How many files reads of one partition have looked into, of all tables, as a histogram.
fn files_per_read(out: &mut String, engine: &Engine) {
    const NAME: &str = "dodona_sstables_per_read";
    let mut counts = vec![0; MOST_FILES + 1];
    for table in engine.table_ids() {
        let of_table = engine.table_statistics(table).map(|it| it.files_per_read).unwrap_or_default();
        counts.iter_mut().zip(of_table).for_each(|(sum, count)| *sum += count);
    }
    let _ = writeln!(
        out,
        "# HELP {NAME} Files that reads of one partition looked into; not those of one memtable."
    );
    let _ = writeln!(out, "# TYPE {NAME} histogram");
    let (mut reads, mut files) = (0, 0);
    for (number, count) in counts.iter().enumerate() {
        reads += count;
        files += count * number as u64;
        if number < MOST_FILES && number.next_power_of_two() == number.max(1) {
            let _ = writeln!(out, "{NAME}_bucket{{le=\"{number}\"}} {reads}");
        }
    }
    let _ = writeln!(out, "{NAME}_bucket{{le=\"+Inf\"}} {reads}");
    let _ = writeln!(out, "{NAME}_sum {files}\n{NAME}_count {reads}");
}

pub(super) async fn health(State(shared): State<Arc<Shared>>) -> (StatusCode, Json<Value>) {
    let failure = shared.failure.borrow().clone();
    let phase = *shared.phase.borrow();
    match failure {
        None if phase == Phase::Serving => (StatusCode::OK, Json(json!({ "status": "serving" }))),
        None => {
            let status = match phase {
                Phase::Starting => "starting",
                Phase::Drained => "drained",
                _ => "stopping",
            };
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": status })))
        }
        Some(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "failed", "reason": reason })))
        }
    }
}

pub(super) async fn version() -> Json<Value> {
    Json(json!({ "dodona": env!("CARGO_PKG_VERSION"), "release_version": RELEASE_VERSION }))
}

pub(super) async fn info(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let (node, engine) = (&shared.node, &shared.node.engine);
    let (cache_bytes, hits, misses) = engine.cache_statistics();
    let member = &node.info.member;
    Json(json!({
        "host_id": node.info.identity.host,
        "data_center": member.data_center,
        "rack": member.rack,
        "native": member.native,
        "load_bytes": disk_bytes(engine),
        "uptime_seconds": node.env.clock.mono().as_secs(),
        "memtable_bytes": engine.memtable_bytes(),
        "commit_log_bytes": engine.commit_log_bytes(),
        "block_cache": { "bytes": cache_bytes, "capacity": engine.settings().block_cache_bytes,
                         "hits": hits, "misses": misses },
        "connections": shared.metrics.sum(|core| core.connections.get()),
    }))
}

pub(super) async fn compaction_statistics(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let (running, completed, flushed) = shared.node.engine.compaction_progress();
    let running: Vec<Value> = running
        .iter()
        .map(|compaction| {
            json!({
                "table": compaction.table,
                "kind": compaction.kind,
                "inputs": compaction.inputs,
                "total_bytes": compaction.total_bytes,
                "written_bytes": compaction.written_bytes(),
            })
        })
        .collect();
    Json(json!({ "running": running, "completed": completed, "flushed": flushed }))
}
