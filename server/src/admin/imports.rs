//! Files of snapshots and backups that are taken in.

use super::{Answer, Failed, Target, on_event_loop, tables_of};
use crate::shared::Shared;
use axum::extract::{Query, State};
use axum::response::Json;
use dodona_cluster::import::Import;
use dodona_storage::Engine;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// What an operator wants to have imported.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    keyspace: String,
    table: String,
    /// Directories, one a line; without any, where the node itself looks for files of the table.
    directories: Option<String>,
    /// Do not read every byte first.
    #[serde(default)]
    no_verify: bool,
    /// Take in what belongs to other nodes alone.
    #[serde(default)]
    no_tokens: bool,
    /// Leave the files where they are.
    #[serde(default)]
    copy: bool,
    /// Send rows to all that hold them.
    #[serde(default)]
    everywhere: bool,
}

pub(super) async fn import(State(shared): State<Arc<Shared>>, Query(wanted): Query<Wanted>) -> Answer {
    let target = Target { keyspace: Some(wanted.keyspace), table: Some(wanted.table), ..Target::default() };
    let [(_, _, table)] =
        tables_of(&shared, &target)?.try_into().map_err(|_| Failed::Refused("name one table".into()))?;
    let directories = match &wanted.directories {
        Some(lines) => lines.lines().map(str::to_owned).collect(),
        None => vec![Engine::upload_directory(table)],
    };
    let import = Import {
        directories,
        verify: !wanted.no_verify,
        any_token: wanted.no_tokens,
        copy: wanted.copy,
        everywhere: wanted.everywhere,
    };
    let node = Arc::clone(&shared.node);
    let outcome = on_event_loop(&shared, async move { node.import(table, import).await }).await??;
    let imported = outcome.imported;
    Ok(Json(json!({
        "files": imported.files,
        "linked": imported.linked,
        "known": imported.known,
        "bytes": imported.bytes,
        "sent": outcome.sent,
    })))
}
