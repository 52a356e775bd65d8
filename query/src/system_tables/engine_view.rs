//! The content of the tables of `system_views` that show what the node does: its caches, tasks, batches and files.
//! A column whose number nobody keeps is null.

use super::rows::{bigint, double, int, text};
use super::{Fill, timeuuid, uuid};
use crate::ast::BatchKind;
use crate::error::CqlError;
use crate::server_view::PoolView;

pub(super) const MEBIBYTE: u64 = 1 << 20;

pub(super) fn refill_caches(fill: &Fill<'_>) -> Result<(), CqlError> {
    let engine = &fill.host.node.engine;
    let (bytes, hits, misses) = engine.cache_statistics();
    let requests = hits + misses;
    fill.replace("system_views", "caches", |rows| {
        let mut values = vec![
            // Cassandra's cache of pieces of files.
            ("name", text("chunks")),
            ("capacity_bytes", count(engine.settings().block_cache_bytes as u64)),
            ("entry_count", small(engine.cache_entries())),
            ("hit_count", count(hits)),
            ("request_count", count(requests)),
            ("size_bytes", count(bytes)),
        ];
        if requests > 0 {
            values.push(("hit_ratio", double(hits as f64 / requests as f64)));
        }
        rows.put(&values)
    })
}

pub(super) fn refill_cql_metrics(fill: &Fill<'_>, prepared: (usize, u64)) -> Result<(), CqlError> {
    fill.replace("system_views", "cql_metrics", |rows| {
        let mut metrics = vec![
            ("prepared_statements_count", prepared.0 as f64),
            ("prepared_statements_evicted", prepared.1 as f64),
        ];
        if let Some(server) = fill.host.server_view.get() {
            let (regular, prepared) = server.executed();
            let all = regular + prepared;
            metrics.push(("prepared_statements_executed", prepared as f64));
            let ratio = if all == 0 { 0.0 } else { prepared as f64 / all as f64 };
            metrics.push(("prepared_statements_ratio", ratio));
            metrics.push(("regular_statements_executed", regular as f64));
        }
        metrics
            .iter()
            .try_for_each(|(name, value)| rows.put(&[("name", text(name)), ("value", double(*value))]))
    })
}

pub(super) fn refill_batch_metrics(fill: &Fill<'_>) -> Result<(), CqlError> {
    let kinds = [
        ("partitions_per_logged_batch", BatchKind::Logged),
        ("partitions_per_unlogged_batch", BatchKind::Unlogged),
        ("partitions_per_counter_batch", BatchKind::Counter),
    ];
    let now = fill.host.node.env.clock.mono();
    fill.replace("system_views", "batch_metrics", |rows| {
        kinds.iter().try_for_each(|(name, kind)| {
            let partitions = fill.host.batch_partitions.lately(*kind, now);
            let part = |part| double(partitions.percentile(part) as f64);
            rows.put(&[
                ("name", text(name)),
                ("max", count(partitions.max())),
                ("p50th", part(0.5)),
                ("p99th", part(0.99)),
                ("p999th", part(0.999)),
            ])
        })
    })
}

pub(super) fn refill_sstable_tasks(fill: &Fill<'_>) -> Result<(), CqlError> {
    let engine = &fill.host.node.engine;
    let (running, _, _) = engine.compaction_progress();
    fill.replace("system_views", "sstable_tasks", |rows| {
        running.iter().try_for_each(|task| {
            let (keyspace, table) = task.table.split_once('.').unwrap_or(("*", &task.table));
            let (progress, total) = (task.written_bytes(), task.total_bytes);
            let directory = fill.schema.table(keyspace, table).map(|it| engine.directory_of(it.id));
            rows.put(&[
                ("keyspace_name", text(keyspace)),
                ("table_name", text(table)),
                ("task_id", uuid(timeuuid(fill, fill.host.started_at_seconds * 1_000_000, task.number))),
                ("completion_ratio", double(if total == 0 { 1.0 } else { progress as f64 / total as f64 })),
                ("kind", text(&task.kind.to_lowercase())),
                ("progress", count(progress)),
                ("sstables", small(task.inputs)),
                ("target_directory", text(&directory.unwrap_or_default())),
                ("total", count(total)),
                ("unit", text("bytes")),
            ])
        })
    })
}

pub(super) fn refill_thread_pools(fill: &Fill<'_>) -> Result<(), CqlError> {
    let engine = &fill.host.node.engine;
    let (running, completed, flushed) = engine.compaction_progress();
    let (flushing, waiting) = engine.flushes();
    let mut pools = vec![
        PoolView {
            name: "CompactionExecutor",
            active: running.len() as u64,
            limit: Some(engine.settings().concurrent_compactors as u64),
            // They look for what is due: nothing is put into a queue for them.
            pending: 0,
            completed,
        },
        PoolView {
            name: "MemtableFlushWriter",
            active: flushing as u64,
            limit: None,
            pending: waiting as u64,
            completed: flushed,
        },
    ];
    pools.extend(fill.host.server_view.get().map(|server| server.requests()));
    fill.replace("system_views", "thread_pools", |rows| {
        pools.iter().try_for_each(|pool| {
            let small = |value: u64| small(usize::try_from(value).unwrap_or(usize::MAX));
            let mut values = vec![
                ("name", text(pool.name)),
                ("active_tasks", small(pool.active)),
                ("pending_tasks", small(pool.pending)),
                ("completed_tasks", count(pool.completed)),
                // Who finds no room waits in a queue, and is pending: nobody is blocked.
                ("blocked_tasks", count(0)),
                ("blocked_tasks_all_time", count(0)),
            ];
            values.extend(pool.limit.map(|limit| ("active_tasks_limit", small(limit))));
            rows.put(&values)
        })
    })
}

pub(super) fn count(value: u64) -> Vec<u8> {
    bigint(i64::try_from(value).unwrap_or(i64::MAX))
}

pub(super) fn small(value: usize) -> Vec<u8> {
    int(i32::try_from(value).unwrap_or(i32::MAX))
}
