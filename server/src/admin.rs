//! The service for operators: HTTP with JSON, metrics in the text format of Prometheus.
//!
//! `GET /metrics`, `/health`, `/api/v1/{version,status,info,tablestats,compactionstats,cluster}`;
//! `POST /api/v1/{flush,compact,snapshot,drain}` with `?keyspace=…&table=…&tag=…`.

use crate::metrics::gauge;
use crate::shared::{Phase, Shared};
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use dodona_env::net::{Listener, Stream};
use dodona_storage::{Engine, StorageError};
use dodona_types::TableId;
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The release that Dodona is compatible with, as drivers read it.
const RELEASE_VERSION: &str = "5.0.6";

/// Serves operators until the server stops.
pub(crate) async fn serve(shared: Arc<Shared>, listener: Box<dyn Listener>) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .route("/api/v1/version", get(version))
        .route("/api/v1/status", get(status))
        .route("/api/v1/info", get(info))
        .route("/api/v1/cluster", get(cluster))
        .route("/api/v1/tablestats", get(table_statistics))
        .route("/api/v1/compactionstats", get(compaction_statistics))
        .route("/api/v1/flush", post(flush))
        .route("/api/v1/compact", post(compact))
        .route("/api/v1/snapshot", post(snapshot))
        .route("/api/v1/drain", post(drain))
        .with_state(shared);
    if let Err(error) = axum::serve(Operators(listener), router).await {
        tracing::error!(%error, "the service for operators ended");
    }
}

struct Operators(Box<dyn Listener>);

impl axum::serve::Listener for Operators {
    type Io = Box<dyn Stream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.0.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    tracing::warn!(%error, "an operator's connection could not be accepted");
                    dodona_env::clock::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// Which tables an operator means.
#[derive(Debug, Default, Deserialize)]
struct Target {
    keyspace: Option<String>,
    table: Option<String>,
    /// The name of a snapshot.
    tag: Option<String>,
}

/// Why a request of an operator failed.
enum Failed {
    NotFound(String),
    Internal(String),
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::NotFound(error) => (StatusCode::NOT_FOUND, error),
            Self::Internal(error) => (StatusCode::INTERNAL_SERVER_ERROR, error),
        };
        (status, Json(json!({ "error": error }))).into_response()
    }
}

impl From<StorageError> for Failed {
    fn from(error: StorageError) -> Self {
        Self::Internal(error.to_string())
    }
}

type Answer = Result<Json<Value>, Failed>;

async fn metrics(State(shared): State<Arc<Shared>>) -> String {
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
        ("dodona_block_cache_hits", "Blocks found in the cache.", hits),
        ("dodona_block_cache_misses", "Blocks not found in the cache.", misses),
        ("dodona_prepared_statements", "Prepared statements kept.", prepared as u64),
        ("dodona_prepared_statements_evicted", "Prepared statements forgotten for lack of room.", evicted),
    ];
    for (name, help, value) in gauges {
        gauge(&mut out, name, help, value);
    }
    out
}

async fn health(State(shared): State<Arc<Shared>>) -> (StatusCode, Json<Value>) {
    let failure = shared.failure.borrow().clone();
    let phase = *shared.phase.borrow();
    match failure {
        None if phase == Phase::Serving => (StatusCode::OK, Json(json!({ "status": "serving" }))),
        None => {
            let status = if phase == Phase::Drained { "drained" } else { "stopping" };
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": status })))
        }
        Some(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "failed", "reason": reason })))
        }
    }
}

async fn version() -> Json<Value> {
    Json(json!({ "dodona": env!("CARGO_PKG_VERSION"), "release_version": RELEASE_VERSION }))
}

async fn status(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let placement = shared.node.placement();
    let load = disk_bytes(&shared.node.engine);
    let members: Vec<Value> = placement
        .ring
        .members()
        .iter()
        .enumerate()
        .map(|(index, member)| {
            json!({
                "address": member.native.ip(),
                "host_id": member.host,
                "data_center": member.data_center,
                "rack": member.rack,
                "tokens": member.tokens.len(),
                "load_bytes": (index == placement.local).then_some(load),
                "status": "UN",
            })
        })
        .collect();
    Json(json!({ "members": members }))
}

async fn info(State(shared): State<Arc<Shared>>) -> Json<Value> {
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

async fn cluster(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let node = &shared.node;
    let members = node.placement().ring.members().len();
    Json(json!({
        "name": node.info.cluster_name,
        "cluster_id": node.info.identity.cluster,
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "schema_epoch": node.schema_epoch(),
        "members": members,
    }))
}

async fn table_statistics(State(shared): State<Arc<Shared>>, Query(target): Query<Target>) -> Answer {
    let mut tables = Vec::new();
    for (keyspace, name, id) in tables_of(&shared, &target)? {
        let statistics = shared.node.engine.table_statistics(id)?;
        tables.push(json!({
            "keyspace": keyspace,
            "table": name,
            "sstables": statistics.sstables,
            "disk_bytes": statistics.disk_bytes,
            "uncompressed_bytes": statistics.uncompressed_bytes,
            "partitions": statistics.partitions,
            "rows": statistics.rows,
            "tombstones": statistics.tombstones,
            "memtable_partitions": statistics.memtable_partitions,
            "memtable_bytes": statistics.memtable_bytes,
            "memtable_operations": statistics.memtable_operations,
            "index_bytes": statistics.index_bytes,
        }));
    }
    Ok(Json(json!({ "tables": tables })))
}

async fn compaction_statistics(State(shared): State<Arc<Shared>>) -> Json<Value> {
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

async fn flush(State(shared): State<Arc<Shared>>, Query(target): Query<Target>) -> Answer {
    each_table(&shared, &target, |engine, table| engine.flush(table)).await
}

async fn compact(State(shared): State<Arc<Shared>>, Query(target): Query<Target>) -> Answer {
    each_table(&shared, &target, |engine, table| engine.compact_all(table, None)).await
}

async fn snapshot(State(shared): State<Arc<Shared>>, Query(target): Query<Target>) -> Answer {
    let millis = shared.node.env.clock.wall_micros() / 1_000;
    let tag = target.tag.clone().unwrap_or_else(|| millis.to_string());
    if tag.is_empty() || tag.contains(['/', '\\', '\0']) || tag.starts_with('.') {
        return Err(Failed::NotFound(format!("`{tag}` cannot be the name of a snapshot")));
    }
    let name = tag.clone();
    let taken = each_table(&shared, &target, move |engine, table| engine.snapshot(table, &name).map(drop));
    taken.await.map(|_| Json(json!({ "snapshot": tag })))
}

/// Ends all connections once what is in flight is answered, takes no others, and brings everything
/// to the disk. The process goes on for operators, until it is stopped.
async fn drain(State(shared): State<Arc<Shared>>) -> Answer {
    shared.phase.send_if_modified(|phase| {
        let serving = *phase == Phase::Serving;
        if serving {
            *phase = Phase::Drained;
        }
        serving
    });
    let gone = async {
        while !shared.registry.is_empty() {
            dodona_env::clock::sleep(Duration::from_millis(1)).await;
        }
    };
    let seconds = Duration::from_secs(shared.settings.shutdown_seconds);
    if tokio::time::timeout(seconds, gone).await.is_err() {
        tracing::warn!("some clients did not take their answers in time");
    }
    shared.node.drain().await.map_err(|error| Failed::Internal(error.to_string()))?;
    Ok(Json(json!({})))
}

/// Does blocking work on each table that an operator means.
async fn each_table(
    shared: &Shared,
    target: &Target,
    work: impl Fn(&Engine, TableId) -> Result<(), StorageError> + Send + 'static,
) -> Answer {
    let tables = tables_of(shared, target)?;
    let (count, engine) = (tables.len(), Arc::clone(&shared.node.engine));
    let done = shared
        .node
        .env
        .tasks
        .blocking(move || tables.iter().try_for_each(|(_, _, table)| work(&engine, *table)));
    done.await.map_err(|error| Failed::Internal(error.to_string()))??;
    Ok(Json(json!({ "tables": count })))
}

/// Keyspace, name and id of the tables that an operator means.
fn tables_of(shared: &Shared, target: &Target) -> Result<Vec<(String, String, TableId)>, Failed> {
    let schema = shared.node.schema();
    let wanted = |given: &Option<String>, name: &str| given.as_deref().is_none_or(|given| given == name);
    let known = shared.node.engine.table_ids();
    let tables: Vec<_> = schema
        .tables()
        .filter(|table| wanted(&target.keyspace, &table.keyspace) && wanted(&target.table, &table.name))
        .filter(|table| known.contains(&table.id))
        .map(|table| (table.keyspace.to_string(), table.name.to_string(), table.id))
        .collect();
    if tables.is_empty() && (target.keyspace.is_some() || target.table.is_some()) {
        let keyspace = target.keyspace.as_deref().unwrap_or("*");
        let table = target.table.as_deref().unwrap_or("*");
        return Err(Failed::NotFound(format!("there is no table {keyspace}.{table}")));
    }
    Ok(tables)
}

fn disk_bytes(engine: &Engine) -> u64 {
    let bytes = |table| engine.table_statistics(table).map_or(0, |statistics| statistics.disk_bytes);
    engine.table_ids().into_iter().map(bytes).sum()
}
