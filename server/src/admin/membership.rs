//! What operators do with the members of the cluster.

use super::{Answer, Failed, Target, on_event_loop, operations};
use crate::shared::Shared;
use axum::extract::{Query, State};
use axum::response::Json;
use dodona_cluster::liveness::Liveness;
use dodona_cluster::streaming::Rebuild;
use dodona_types::Token;
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

/// Takes a member that is down out of the cluster at once, without anyone fetching what it held.
pub(super) async fn assassinate((State(shared), Query(target)): Request) -> Answer {
    let name = target.host.as_deref().unwrap_or_default();
    let placement = shared.node.placement();
    let mut meant = placement.ring.members().iter().filter(|member| member.is_called(name));
    let (Some(member), None) = (meant.next(), meant.next()) else {
        return Err(Failed::Refused(format!(
            "`{name}` is the address or host id of no one member: see `status`"
        )));
    };
    let host = member.host;
    if host == shared.node.info.identity.host || shared.node.gossiper.live().is_alive(host) {
        return Err(Failed::Refused(format!("{host} is alive: use decommission on it")));
    }
    let node = Arc::clone(&shared.node);
    on_event_loop(&shared, async move { node.assassinate(host).await }).await??;
    Ok(Json(json!({})))
}

/// Goes on as if this node, or the one that is named, had not begun to leave or to move.
pub(super) async fn stay((State(shared), Query(target)): Request) -> Answer {
    let host = match &target.host {
        None => shared.node.info.identity.host,
        Some(text) => {
            text.parse().map_err(|_| Failed::Refused(format!("`{text}` is no host id: see `status`")))?
        }
    };
    let node = Arc::clone(&shared.node);
    on_event_loop(&shared, async move { node.stay(host).await }).await??;
    Ok(Json(json!({})))
}

/// Gives this node another token, if it has one alone.
pub(super) async fn move_to((State(shared), Query(target)): Request) -> Answer {
    let text = target.token.as_deref().unwrap_or_default();
    let token: i64 = text.parse().map_err(|_| Failed::Refused(format!("`{text}` is no token")))?;
    let node = Arc::clone(&shared.node);
    let placement = node.placement();
    let member = &placement.ring.members()[placement.local];
    if member.tokens.len() > 1 {
        return Err(Failed::Refused("This node has more than one token and cannot be moved thusly.".into()));
    }
    if member.tokens == [Token(token)] {
        return Err(Failed::Refused(format!("the node has the token {token} already")));
    }
    on_event_loop(&shared, async move { node.move_to(vec![Token(token)]).await }).await??;
    Ok(Json(json!({})))
}

/// Has a node that joins try at once to fetch what it lacks, and waits until it has joined.
pub(super) async fn resume_bootstrap(State(shared): State<Arc<Shared>>) -> Answer {
    let node = Arc::clone(&shared.node);
    let joined = on_event_loop(&shared, async move { node.resume_joining().await }).await??;
    Ok(Json(json!({ "joined": joined })))
}

/// Fetches what this node holds from others that hold it as well.
pub(super) async fn rebuild((State(shared), Query(target)): Request) -> Answer {
    let rebuild = Rebuild {
        keyspace: target.keyspace,
        from: target.data_center,
        not_from_own: target.not_from_own.unwrap_or(false),
    };
    let node = Arc::clone(&shared.node);
    on_event_loop(&shared, async move { node.rebuild(&rebuild).await }).await??;
    Ok(Json(json!({})))
}

async fn take_out(shared: Arc<Shared>, host: Uuid) -> Answer {
    let node = Arc::clone(&shared.node);
    on_event_loop(&shared, async move { node.take_out(host).await }).await??;
    Ok(Json(json!({})))
}
