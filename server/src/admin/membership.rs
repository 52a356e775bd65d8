//! What operators do with the members of the cluster.

use super::{Answer, Failed, Target, on_event_loop, operations};
use crate::shared::Shared;
use axum::extract::{Query, State};
use axum::response::Json;
use dodona_cluster::liveness::Liveness;
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

type Request = (State<Arc<Shared>>, Query<Target>);

/// Takes this node out of the cluster, once others have what it holds. Clients are sent away before the last step, after
/// which no member would listen to their requests. Then it serves operators alone, until it is stopped.
pub(super) async fn decommission(State(shared): State<Arc<Shared>>) -> Answer {
    let node = Arc::clone(&shared.node);
    on_event_loop(&shared, async move { node.hand_over().await }).await??;
    operations::send_clients_away(&shared).await;
    let host = shared.node.info.identity.host;
    drop(take_out(Arc::clone(&shared), host).await?);
    operations::drain(State(shared)).await
}

/// Takes a member that is down out of the cluster.
pub(super) async fn remove_node((State(shared), Query(target)): Request) -> Answer {
    let Some(text) = &target.host else {
        return Err(Failed::Refused("`host` is missing: the id that `status` shows".into()));
    };
    let host: Uuid =
        text.parse().map_err(|_| Failed::Refused(format!("`{text}` is no host id: see `status`")))?;
    if host == shared.node.info.identity.host {
        return Err(Failed::Refused("this is the node itself: use decommission".into()));
    }
    if shared.node.gossiper.live().is_alive(host) {
        return Err(Failed::Refused(format!("{host} is alive: use decommission on it")));
    }
    take_out(shared, host).await
}

async fn take_out(shared: Arc<Shared>, host: Uuid) -> Answer {
    let node = Arc::clone(&shared.node);
    on_event_loop(&shared, async move { node.take_out(host).await }).await??;
    Ok(Json(json!({})))
}
