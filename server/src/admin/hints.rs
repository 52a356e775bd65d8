//! What operators do with hints.

use super::{Answer, Failed, on_event_loop};
use crate::shared::Shared;
use axum::extract::{Query, State};
use axum::response::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// What is to be changed.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Change {
    /// `true` or `false`: hints are kept, for the members of the data centre if one is given.
    enabled: Option<bool>,
    data_center: Option<String>,
    /// `true` or `false`: none is delivered.
    paused: Option<bool>,
    /// How long hints are gathered for a member.
    max_window_ms: Option<u64>,
    /// KiB a second that are delivered to a member; 0 for no limit.
    kib_per_second: Option<u64>,
}

/// Whose hints are meant.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Of {
    /// Addresses or host ids, set apart by commas; all without it.
    hosts: Option<String>,
}

pub(super) async fn state(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let switches = shared.node.hints.switches();
    Json(json!({
        "enabled": switches.is_enabled(),
        "disabled_data_centers": switches.disabled_data_centers(),
        "paused": switches.is_paused(),
        "max_window_ms": u64::try_from(switches.max_window().as_millis()).unwrap_or(u64::MAX),
        "bytes_per_second": switches.rate(),
    }))
}

pub(super) async fn change((State(shared), Query(change)): (State<Arc<Shared>>, Query<Change>)) -> Answer {
    let switches = shared.node.hints.switches();
    match (change.enabled, &change.data_center) {
        (Some(enabled), Some(name)) => switches.enable_data_center(name, enabled),
        (Some(enabled), None) => switches.enable(enabled),
        (None, Some(_)) => return Err(Failed::Refused("`enabled` is missing: true or false".into())),
        (None, None) => {}
    }
    if let Some(paused) = change.paused {
        switches.pause(paused);
    }
    if let Some(ms) = change.max_window_ms {
        switches.set_max_window(Duration::from_millis(ms));
    }
    if let Some(kib) = change.kib_per_second {
        switches.set_rate(kib.saturating_mul(1 << 10));
    }
    Ok(Json(json!({})))
}

/// Drops what waits for some members, or for all.
pub(super) async fn truncate((State(shared), Query(of)): (State<Arc<Shared>>, Query<Of>)) -> Answer {
    let targets = of.hosts.as_deref().map(|hosts| targets_of(&shared, hosts)).transpose()?;
    let hints = shared.node.hints.clone();
    on_event_loop(&shared, async move { hints.truncate(targets).await }).await??;
    Ok(Json(json!({})))
}

/// The host ids of all members that are called by one of these names.
fn targets_of(shared: &Shared, names: &str) -> Result<Vec<Uuid>, Failed> {
    let placement = shared.node.placement();
    let mut targets = Vec::new();
    for name in names.split(',') {
        let before = targets.len();
        let members = placement.ring.members().iter().filter(|member| member.is_called(name));
        targets.extend(members.map(|member| member.host));
        if targets.len() == before {
            return Err(Failed::Refused(format!(
                "`{name}` is the address or host id of no member: see `status`"
            )));
        }
    }
    Ok(targets)
}
