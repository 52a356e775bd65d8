//! Snapshots.

use super::{Answer, Failed, Named, Target, tables_of};
use crate::shared::Shared;
use axum::extract::{Query, State};
use axum::response::Json;
use dodona_cluster::snapshots::iso;
use dodona_query::create_text::text_of_backup;
use dodona_storage::engine::snapshot::{Snapshot, SnapshotRequest};
use dodona_types::TableId;
use serde_json::{Value, json};
use std::sync::Arc;

/// The least time that a snapshot is kept (Cassandra's `snapshot_min_allowed_ttl_seconds`).
const LEAST_TTL_SECONDS: u64 = 60;

pub(super) async fn take(State(shared): State<Arc<Shared>>, Query(target): Query<Target>) -> Answer {
    let millis = shared.node.env.clock.wall_micros() / 1_000;
    let tag = target.tag.clone().unwrap_or_else(|| millis.to_string());
    if tag.is_empty() || tag.contains(['/', '\\', '\0']) || tag.starts_with('.') {
        return Err(Failed::Refused(format!("`{tag}` cannot be the name of a snapshot")));
    }
    if target.ttl_seconds.is_some_and(|ttl| ttl < LEAST_TTL_SECONDS) {
        let least = format!("ttl for snapshot must be at least {LEAST_TTL_SECONDS} seconds");
        return Err(Failed::Refused(least));
    }
    let ends = |ttl: u64| iso(millis.saturating_add_unsigned(ttl.saturating_mul(1_000)));
    let (created_at, expires_at) = (iso(millis), target.ttl_seconds.map(ends));
    let tables = tables_of_list(&shared, &target)?;
    let (schema, engine) = (shared.node.schema(), Arc::clone(&shared.node.engine));
    let (name, skip_flush) = (tag.clone(), target.skip_flush.unwrap_or(false));
    let taken = shared.node.env.tasks.blocking(move || {
        let ids: Vec<TableId> = tables.iter().map(|(_, _, table)| *table).collect();
        engine.check_snapshot_name(&ids, &name)?;
        for id in ids {
            let text =
                schema.table_by_id(id).map_or_else(String::new, |table| text_of_backup(&schema, table));
            let request = SnapshotRequest {
                name: &name,
                created_at: &created_at,
                expires_at: expires_at.as_deref(),
                schema: &text,
                skip_flush,
            };
            engine.snapshot(id, request)?;
        }
        Ok::<(), dodona_storage::StorageError>(())
    });
    taken.await.map_err(|error| Failed::Internal(error.to_string()))??;
    Ok(Json(json!({ "snapshot": tag })))
}

/// The tables that an operator means by a list of keyspaces and tables, or as elsewhere.
fn tables_of_list(shared: &Shared, target: &Target) -> Result<Vec<Named>, Failed> {
    let Some(list) = &target.list else { return tables_of(shared, target) };
    let mut tables = Vec::new();
    for name in list.split(',').filter(|name| !name.is_empty()) {
        let (keyspace, table) = match name.split_once('.') {
            Some((keyspace, table)) => (keyspace, Some(table.to_owned())),
            None => (name, None),
        };
        let one = Target { keyspace: Some(keyspace.to_owned()), table, ..Target::default() };
        tables.extend(tables_of(shared, &one)?);
    }
    tables.sort();
    tables.dedup();
    Ok(tables)
}

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Answer {
    let schema = shared.node.schema();
    let engine = Arc::clone(&shared.node.engine);
    let listed = shared.node.env.tasks.blocking(move || engine.snapshots()).await;
    let listed = listed.map_err(|error| Failed::Internal(error.to_string()))??;
    let json_of = |snapshot: Snapshot| {
        let table = schema.table_by_id(snapshot.table);
        let (keyspace, name) = match (table, snapshot.table_name.split_once('.')) {
            (Some(table), _) => (table.keyspace.to_string(), table.name.to_string()),
            (None, Some((keyspace, name))) => (keyspace.to_owned(), name.to_owned()),
            (None, None) => ("?".to_owned(), snapshot.table.to_string()),
        };
        json!({
            "name": snapshot.name,
            "keyspace": keyspace,
            "table": name,
            "true_bytes": snapshot.own_bytes,
            "disk_bytes": snapshot.bytes,
            "created_at": snapshot.created_at,
            "expires_at": snapshot.expires_at,
        })
    };
    let snapshots: Vec<Value> = listed.into_iter().map(json_of).collect();
    Ok(Json(json!({ "snapshots": snapshots })))
}

pub(super) async fn clear(State(shared): State<Arc<Shared>>, Query(target): Query<Target>) -> Answer {
    // Keyspaces by name: snapshots of dropped tables are cleared as well.
    let schema = shared.node.schema();
    let engine = Arc::clone(&shared.node.engine);
    let Target { tag, keyspace, before_millis, .. } = target;
    if let Some(keyspace) = &keyspace
        && schema.keyspace(keyspace).is_none()
    {
        return Err(Failed::NotFound(format!("Keyspace {keyspace} does not exist")));
    }
    let before = before_millis.map(iso);
    let is_meant = move |snapshot: &Snapshot| {
        let name = schema.table_by_id(snapshot.table).map(|table| table.keyspace.to_string());
        let name = name.or_else(|| Some(snapshot.table_name.split_once('.')?.0.to_owned()));
        tag.as_ref().is_none_or(|tag| snapshot.name == *tag)
            && (keyspace.is_none() || keyspace == name)
            && before
                .as_ref()
                .is_none_or(|before| !snapshot.created_at.is_empty() && snapshot.created_at < *before)
    };
    let cleared = shared.node.env.tasks.blocking(move || engine.clear_snapshots(is_meant)).await;
    let cleared = cleared.map_err(|error| Failed::Internal(error.to_string()))??;
    Ok(Json(json!({ "cleared": cleared })))
}

/// Whether files that come new are backed up.
pub(super) async fn backup(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({ "running": shared.node.engine.backs_up() }))
}

pub(super) async fn set_backup(State(shared): State<Arc<Shared>>, Query(target): Query<Target>) -> Answer {
    let Some(automatic) = target.automatic else {
        return Err(Failed::Refused("`automatic` is missing: true or false".into()));
    };
    shared.node.engine.set_backs_up(automatic);
    Ok(Json(json!({})))
}
