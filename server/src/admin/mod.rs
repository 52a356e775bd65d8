//! The service for operators: HTTP with JSON, metrics in the text format of Prometheus.
//!
//! `GET /metrics`, `/health`, and below `/api/v1/` `version`, `status`, `info`, `cluster`, `gossip`,
//! `ranges`, `endpoints`, `network`, `hints`, `tablestats`, `tablehistograms`, `proxyhistograms`,
//! `compactionstats`, `snapshots`, `compactionthroughput`, `autocompaction`, `backup`, `repairs`, `repairsessions`,
//! `streamthroughput`, `traceprobability`; `POST` below `/api/v1/` `flush`, `compact`, `garbagecollect`, `cleanup`, `verify`,
//! `scrub`, `snapshot`, `clearsnapshot`, `import`, `backup`, `compactionthroughput`, `autocompaction`, `stop`, `drain`,
//! `hints`, `truncatehints`, `repair`, `cancelrepair`, `streamthroughput`, `traceprobability`, `reloadssl`, `decommission`, `removenode`,
//! `resumebootstrap`. Which tables are meant, and the rest, is in the query: see [`Target`]. A node that starts or joins
//! answers what is asked with `GET`, and `resumebootstrap`.

mod cluster;
mod hints;
mod imports;
mod membership;
mod operations;
mod ownership;
mod repair;
mod snapshots;
mod statistics;
mod tables;

pub(crate) use membership::go_on;

use crate::shared::{Phase, Shared};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use dodona_cluster::ClusterError;
use dodona_env::net::{Listener, Stream};
use dodona_storage::{Engine, StorageError};
use dodona_types::token::TokenRange;
use dodona_types::{TableId, Token};
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;

/// Serves operators until the server stops.
pub(crate) async fn serve(shared: Arc<Shared>, listener: Box<dyn Listener>) {
    let is_open_to_others = listener.local_addr().is_ok_and(|address| !address.ip().is_loopback());
    let refuses_changes = is_open_to_others && !shared.settings.allow_remote_administration;
    let router = Router::new()
        .route("/metrics", get(statistics::metrics))
        .route("/health", get(statistics::health))
        .nest("/api/v1", api())
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), refuse_before_it_serves))
        .layer(middleware::from_fn_with_state(refuses_changes, refuse_changes))
        .with_state(shared);
    if let Err(error) = axum::serve(Operators(listener), router).await {
        tracing::error!(%error, "the service for operators ended");
    }
}

/// Whoever reaches an address that is not this machine's alone may look, and change nothing: nobody has to say who they are.
async fn refuse_changes(State(refuses): State<bool>, request: Request, next: middleware::Next) -> Response {
    if refuses && request.method() != Method::GET {
        let reason = "whoever reaches this address could change the cluster: set allow_remote_administration = true \
                      (--allow-remote-administration) if that network is yours alone, or ask at a loopback address";
        return Failed::Forbidden(reason.into()).into_response();
    }
    next.run(request).await
}

/// Lets a node that starts do nothing but what belongs to that.
async fn refuse_before_it_serves(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: middleware::Next,
) -> Response {
    let is_harmless = request.method() == Method::GET || request.uri().path().ends_with("/resumebootstrap");
    if !is_harmless && *shared.phase.borrow() == Phase::Starting {
        let reason = "the node joins its cluster or starts: `nodetool netstats` shows how far it is";
        return Failed::Unready(reason.into()).into_response();
    }
    next.run(request).await
}

fn api() -> Router<Arc<Shared>> {
    Router::new()
        .route("/version", get(statistics::version))
        .route("/status", get(cluster::status))
        .route("/info", get(statistics::info))
        .route("/cluster", get(cluster::cluster))
        .route("/gossip", get(cluster::gossip))
        .route("/ranges", get(cluster::ranges))
        .route("/endpoints", get(cluster::endpoints))
        .route("/network", get(cluster::network))
        .route("/hints", get(hints::state).post(hints::change))
        .route("/truncatehints", post(hints::truncate))
        .route("/tablestats", get(tables::statistics))
        .route("/tablehistograms", get(tables::histograms))
        .route("/proxyhistograms", get(tables::of_clients))
        .route("/compactionstats", get(statistics::compaction_statistics))
        .route("/flush", post(operations::flush))
        .route("/compact", post(operations::compact))
        .route("/garbagecollect", post(operations::collect_garbage))
        .route("/cleanup", post(operations::clean_up))
        .route("/verify", post(operations::verify))
        .route("/scrub", post(operations::scrub))
        .route("/repair", post(repair::repair))
        .route("/repairs", get(repair::standings))
        .route("/repairsessions", get(repair::sessions))
        .route("/cancelrepair", post(repair::cancel))
        .route(
            "/streamthroughput",
            get(operations::stream_throughput).post(operations::set_stream_throughput),
        )
        .route(
            "/traceprobability",
            get(operations::trace_probability).post(operations::set_trace_probability),
        )
        .route("/stop", post(operations::stop))
        .route("/drain", post(operations::drain))
        .route("/reloadssl", post(operations::reload_certificates))
        .route("/decommission", post(membership::decommission))
        .route("/removenode", post(membership::remove_node))
        .route("/removal", get(membership::removal).post(membership::force_removal))
        .route("/assassinate", post(membership::assassinate))
        .route("/abortdecommission", post(membership::stay))
        .route("/move", post(membership::move_to))
        .route("/rebuild", post(membership::rebuild))
        .route("/resumebootstrap", post(membership::resume_bootstrap))
        .route(
            "/compactionthroughput",
            get(operations::compaction_throughput).post(operations::set_compaction_throughput),
        )
        .route(
            "/autocompaction",
            get(operations::automatic_compaction).post(operations::set_automatic_compaction),
        )
        .route("/snapshots", get(snapshots::list))
        .route("/snapshot", post(snapshots::take))
        .route("/clearsnapshot", post(snapshots::clear))
        .route("/import", post(imports::import))
        .route("/backup", get(snapshots::backup).post(snapshots::set_backup))
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

/// Which tables an operator means, and what else there is to say.
#[derive(Debug, Default, Deserialize)]
struct Target {
    keyspace: Option<String>,
    table: Option<String>,
    /// A partition key, as text.
    key: Option<String>,
    /// The name of a snapshot.
    tag: Option<String>,
    /// Keyspaces, or tables with theirs, set apart by commas.
    list: Option<String>,
    /// A snapshot is of files alone.
    skip_flush: Option<bool>,
    /// Seconds that a snapshot is kept.
    ttl_seconds: Option<u64>,
    /// Only snapshots from before: milliseconds since the epoch.
    before_millis: Option<i64>,
    /// The first and the last token of a range.
    start_token: Option<i64>,
    end_token: Option<i64>,
    /// `ROW` or `CELL`: what garbage collection removes.
    granularity: Option<String>,
    /// MiB a second.
    throughput: Option<u64>,
    /// The share of requests that are traced.
    probability: Option<f64>,
    /// `true` or `false`: tables are compacted without being asked to.
    automatic: Option<bool>,
    /// A kind of compaction.
    kind: Option<String>,
    /// The id or address of a member.
    host: Option<String>,
    /// What is asked for is done although it leaves a keyspace with too few copies.
    force: Option<bool>,
    /// A token.
    token: Option<String>,
    /// A data centre.
    data_center: Option<String>,
    /// Nothing is to come from the node's own data centre.
    not_from_own: Option<bool>,
    /// Ranges of tokens: `(start,end],(start,end]`.
    tokens: Option<String>,
    /// Addresses of members, set apart by commas.
    sources: Option<String>,
}

impl Target {
    /// The range that is meant, if one is.
    fn range(&self) -> Result<Option<TokenRange>, Failed> {
        match (self.start_token, self.end_token) {
            (None, None) => Ok(None),
            (Some(start), Some(end)) => Ok(Some(TokenRange { start: Token(start), end: Token(end) })),
            _ => Err(Failed::Refused("a range has a start token and an end token".into())),
        }
    }
}

/// Why a request of an operator failed.
#[derive(Debug)]
enum Failed {
    NotFound(String),
    Refused(String),
    Forbidden(String),
    /// It may do so later.
    Unready(String),
    Internal(String),
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::NotFound(error) => (StatusCode::NOT_FOUND, error),
            Self::Refused(error) => (StatusCode::BAD_REQUEST, error),
            Self::Forbidden(error) => (StatusCode::FORBIDDEN, error),
            Self::Unready(error) => (StatusCode::SERVICE_UNAVAILABLE, error),
            Self::Internal(error) => (StatusCode::INTERNAL_SERVER_ERROR, error),
        };
        (status, Json(json!({ "error": error }))).into_response()
    }
}

impl From<StorageError> for Failed {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Refused(reason) => Self::Refused(reason),
            error => Self::Internal(error.to_string()),
        }
    }
}

impl From<ClusterError> for Failed {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::Invalid(reason) => Self::Refused(reason),
            ClusterError::Storage(error) => error.into(),
            error => Self::Internal(error.to_string()),
        }
    }
}

type Answer = Result<Json<Value>, Failed>;

/// Has the node's event loop do something: the work goes on if the operator does not wait for it.
async fn on_event_loop<T: Send + 'static>(
    shared: &Shared,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Failed> {
    shared.errands.run(work).await.ok_or_else(|| Failed::Internal("the server stops".into()))
}

/// A table that an operator means: keyspace, name and id.
type Named = (String, String, TableId);

/// Does blocking work on each table that an operator means. Gives what it comes to.
async fn on_tables<T: Send + 'static>(
    shared: &Shared,
    target: &Target,
    work: impl Fn(&Engine, &Named) -> Result<T, StorageError> + Send + 'static,
) -> Result<Vec<T>, Failed> {
    let tables = tables_of(shared, target)?;
    let engine = Arc::clone(&shared.node.engine);
    let done =
        shared.node.env.tasks.blocking(move || tables.iter().map(|table| work(&engine, table)).collect());
    let done: Result<Vec<T>, StorageError> =
        done.await.map_err(|error| Failed::Internal(error.to_string()))?;
    Ok(done?)
}

/// Does blocking work on each table that an operator means.
async fn each_table(
    shared: &Shared,
    target: &Target,
    work: impl Fn(&Engine, TableId) -> Result<(), StorageError> + Send + 'static,
) -> Answer {
    let done = on_tables(shared, target, move |engine, (_, _, table)| work(engine, *table)).await?;
    Ok(Json(json!({ "tables": done.len() })))
}

/// Keyspace, name and id of the tables that an operator means.
fn tables_of(shared: &Shared, target: &Target) -> Result<Vec<Named>, Failed> {
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
