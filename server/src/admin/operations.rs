//! What operators have done to tables.

use super::{Answer, Failed, Target, each_table, on_event_loop, on_tables, tables_of};
use crate::shared::{Phase, Shared};
use axum::extract::{Query, State};
use axum::response::Json;
use dodona_storage::sstable::verify::Damage;
use dodona_types::Token;
use dodona_types::token::TokenRange;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

type Request = (State<Arc<Shared>>, Query<Target>);

const MIB: u64 = 1 << 20;

/// Kinds of compactions that can be stopped, by the names of Cassandra's `OperationType`.
const KINDS: [(&str, &str); 4] = [
    ("COMPACTION", "Compaction"),
    ("TOMBSTONE_COMPACTION", "Tombstone Compaction"),
    ("GARBAGE_COLLECT", "Remove deleted data"),
    ("CLEANUP", "Cleanup"),
];

pub(super) async fn flush((State(shared), Query(target)): Request) -> Answer {
    each_table(&shared, &target, |engine, table| engine.flush(table)).await
}

/// The ring from one token to another, both included; `None` for all of it.
fn range_of(target: &Target) -> Option<TokenRange> {
    if target.start_token.is_none() && target.end_token.is_none() {
        return None;
    }
    let start = target.start_token.map_or(Token::MIN, |token| Token(token.saturating_sub(1)));
    Some(TokenRange { start, end: target.end_token.map_or(Token::MAX, Token) })
}

pub(super) async fn compact((State(shared), Query(target)): Request) -> Answer {
    let range = range_of(&target);
    each_table(&shared, &target, move |engine, table| {
        engine.flush(table)?;
        engine.compact_all(table, range)
    })
    .await
}

pub(super) async fn collect_garbage((State(shared), Query(target)): Request) -> Answer {
    let cells = match target.granularity.as_deref().map(str::to_ascii_uppercase).as_deref() {
        None | Some("ROW") => false,
        Some("CELL") => true,
        Some(other) => return Err(Failed::Refused(format!("`{other}` is neither ROW nor CELL"))),
    };
    each_table(&shared, &target, move |engine, table| engine.collect_garbage(table, cells)).await
}

pub(super) async fn clean_up((State(shared), Query(target)): Request) -> Answer {
    let tables = tables_of(&shared, &target)?;
    let (mut files, mut bytes) = (0, 0);
    for (_, _, table) in tables.iter().cloned() {
        let node = Arc::clone(&shared.node);
        let cleaned = on_event_loop(&shared, async move { node.clean_up(table).await }).await??;
        files += cleaned.files;
        bytes += cleaned.bytes;
    }
    Ok(Json(json!({ "tables": tables.len(), "files": files, "removed_bytes": bytes })))
}

fn damage_json(damage: &Damage) -> Value {
    json!({ "file": damage.path, "offset": damage.offset, "bytes": damage.bytes, "reason": damage.reason })
}

pub(super) async fn verify((State(shared), Query(target)): Request) -> Answer {
    let tables = on_tables(&shared, &target, |engine, (keyspace, name, table)| {
        let files = engine.files(*table)?.len();
        let damages: Vec<Value> = engine.verify(*table)?.iter().map(damage_json).collect();
        Ok(json!({ "keyspace": keyspace, "table": name, "files": files, "damages": damages }))
    });
    Ok(Json(json!({ "tables": tables.await? })))
}

pub(super) async fn scrub((State(shared), Query(target)): Request) -> Answer {
    let keep = format!("pre-scrub-{}", shared.node.env.clock.wall_micros() / 1_000);
    let tables = on_tables(&shared, &target, move |engine, (keyspace, name, table)| {
        let scrubbed = engine.scrub(*table, &keep)?;
        let rebuilt = scrubbed.rebuilt.iter().map(|(path, salvaged)| {
            let lost: Vec<Value> = salvaged.lost.iter().map(damage_json).collect();
            json!({ "file": path, "partitions": salvaged.partitions, "rows": salvaged.rows, "lost": lost })
        });
        let rebuilt: Vec<Value> = rebuilt.collect();
        let (files, kept_in) = (scrubbed.files, &scrubbed.kept_in);
        Ok(
            json!({ "keyspace": keyspace, "table": name, "files": files, "rebuilt": rebuilt, "kept_in": kept_in }),
        )
    });
    Ok(Json(json!({ "tables": tables.await? })))
}

pub(super) async fn stop((State(shared), Query(target)): Request) -> Answer {
    let kind = match target.kind.as_deref() {
        None => None,
        Some(name) => match KINDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, kind)) => Some(*kind),
            None => {
                let known = KINDS.map(|(name, _)| name).join(", ");
                return Err(Failed::Refused(format!("`{name}` cannot be stopped: it is none of {known}")));
            }
        },
    };
    Ok(Json(json!({ "stopped": shared.node.engine.stop_compactions(kind) })))
}

pub(super) async fn compaction_throughput(State(shared): State<Arc<Shared>>) -> Json<Value> {
    rate_json(shared.node.engine.compaction_rate())
}

pub(super) async fn set_compaction_throughput((State(shared), Query(target)): Request) -> Answer {
    shared.node.engine.set_compaction_rate(rate_of(&target)?);
    Ok(Json(json!({})))
}

pub(super) async fn stream_throughput(State(shared): State<Arc<Shared>>) -> Json<Value> {
    rate_json(shared.node.stream_throttle().rate())
}

pub(super) async fn set_stream_throughput((State(shared), Query(target)): Request) -> Answer {
    shared.node.stream_throttle().set_rate(rate_of(&target)?);
    Ok(Json(json!({})))
}

pub(super) async fn trace_probability(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({ "probability": shared.trace_share.get() }))
}

pub(super) async fn set_trace_probability((State(shared), Query(target)): Request) -> Answer {
    let missing = || Failed::Refused("`probability` is missing: from 0 to 1".into());
    let probability = target.probability.ok_or_else(missing)?;
    shared.trace_share.set(probability).map_err(|error| Failed::Refused(error.into()))?;
    Ok(Json(json!({})))
}

fn rate_json(bytes_per_second: u64) -> Json<Value> {
    Json(json!({ "mib_per_second": bytes_per_second as f64 / MIB as f64 }))
}

/// The bytes a second that an operator wants.
fn rate_of(target: &Target) -> Result<u64, Failed> {
    let missing = || Failed::Refused("`throughput` is missing: MiB a second, 0 for no limit".into());
    Ok(target.throughput.ok_or_else(missing)?.saturating_mul(MIB))
}

pub(super) async fn automatic_compaction((State(shared), Query(target)): Request) -> Answer {
    let tables = on_tables(&shared, &target, |engine, (keyspace, name, table)| {
        let automatic = engine.has_automatic_compaction(*table)?;
        Ok(json!({ "keyspace": keyspace, "table": name, "automatic": automatic }))
    });
    Ok(Json(json!({ "tables": tables.await? })))
}

pub(super) async fn set_automatic_compaction((State(shared), Query(target)): Request) -> Answer {
    let Some(automatic) = target.automatic else {
        return Err(Failed::Refused("`automatic` is missing: true or false".into()));
    };
    each_table(&shared, &target, move |engine, table| engine.set_automatic_compaction(table, Some(automatic)))
        .await
}

/// Ends all connections once what is in flight is answered, takes no others, and brings everything
/// to the disk. The process goes on for operators, until it is stopped.
pub(super) async fn drain(State(shared): State<Arc<Shared>>) -> Answer {
    send_clients_away(&shared).await;
    let node = Arc::clone(&shared.node);
    let drained = on_event_loop(&shared, async move { node.drain().await }).await?;
    drained.map_err(|error| Failed::Internal(error.to_string()))?;
    Ok(Json(json!({})))
}

/// Takes certificates into use whose files have changed.
pub(super) async fn reload_certificates(State(shared): State<Arc<Shared>>) -> Answer {
    let certificates = Arc::clone(&shared.certificates);
    let reloaded = shared.node.env.tasks.blocking(move || certificates.reload()).await;
    reloaded.map_err(|error| Failed::Internal(error.to_string()))?.map_err(Failed::Refused)?;
    Ok(Json(json!({})))
}

/// Ends all connections once what is in flight is answered, and takes no others.
pub(super) async fn send_clients_away(shared: &Shared) {
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
}
