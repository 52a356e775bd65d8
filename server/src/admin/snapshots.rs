//! Snapshots.

use super::{Answer, Failed, Target, each_table, tables_of};
use crate::shared::Shared;
use axum::extract::{Query, State};
use axum::response::Json;
use dodona_query::create_text::{TextOptions, table_text, types_in_order};
use dodona_types::TableId;
use dodona_types::schema::Schema;
use dodona_types::value::format_timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) async fn take(State(shared): State<Arc<Shared>>, Query(target): Query<Target>) -> Answer {
    let millis = shared.node.env.clock.wall_micros() / 1_000;
    let tag = target.tag.clone().unwrap_or_else(|| millis.to_string());
    if tag.is_empty() || tag.contains(['/', '\\', '\0']) || tag.starts_with('.') {
        return Err(Failed::Refused(format!("`{tag}` cannot be the name of a snapshot")));
    }
    let created_at = format_timestamp(millis).replacen(' ', "T", 1);
    let schema = shared.node.schema();
    let texts: BTreeMap<TableId, String> = tables_of(&shared, &target)?
        .into_iter()
        .map(|(keyspace, name, id)| (id, schema_text(&schema, &keyspace, &name)))
        .collect();
    let name = tag.clone();
    let taken = each_table(&shared, &target, move |engine, table| {
        let text = texts.get(&table).map_or("", String::as_str);
        engine.snapshot(table, &name, &created_at, text).map(drop)
    });
    taken.await.map(|_| Json(json!({ "snapshot": tag })))
}

/// The statements that make a table again with its id: the types of its keyspace, then the table.
fn schema_text(schema: &Schema, keyspace: &str, name: &str) -> String {
    let options = TextOptions { internals: true, is_virtual: false };
    let mut text = String::new();
    if let Some(keyspace) = schema.keyspace(keyspace) {
        for user_type in types_in_order(keyspace) {
            text.push_str(&dodona_query::create_text::type_text(user_type));
            text.push_str("\n\n");
        }
    }
    if let Some(table) = schema.table(keyspace, name) {
        text.push_str(&table_text(table, options));
        text.push('\n');
    }
    text
}

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Answer {
    let schema = shared.node.schema();
    let engine = Arc::clone(&shared.node.engine);
    let listed = shared.node.env.tasks.blocking(move || engine.snapshots()).await;
    let listed = listed.map_err(|error| Failed::Internal(error.to_string()))??;
    let snapshots: Vec<Value> = listed
        .into_iter()
        .map(|snapshot| {
            let table = schema.tables().find(|table| table.id == snapshot.table);
            let keyspace = table.map_or_else(|| "?".to_owned(), |table| table.keyspace.to_string());
            let name = table.map_or_else(|| snapshot.table.to_string(), |table| table.name.to_string());
            json!({
                "name": snapshot.name,
                "keyspace": keyspace,
                "table": name,
                "true_bytes": snapshot.own_bytes,
                "disk_bytes": snapshot.bytes,
                "created_at": snapshot.created_at,
            })
        })
        .collect();
    Ok(Json(json!({ "snapshots": snapshots })))
}

pub(super) async fn clear(State(shared): State<Arc<Shared>>, Query(target): Query<Target>) -> Answer {
    let tables = match target.keyspace {
        None => None,
        Some(_) => Some(tables_of(&shared, &target)?.into_iter().map(|(_, _, id)| id).collect::<Vec<_>>()),
    };
    let engine = Arc::clone(&shared.node.engine);
    let tag = target.tag;
    let cleared = shared
        .node
        .env
        .tasks
        .blocking(move || engine.clear_snapshots(tag.as_deref(), tables.as_deref()))
        .await;
    let cleared = cleared.map_err(|error| Failed::Internal(error.to_string()))??;
    Ok(Json(json!({ "cleared": cleared })))
}
