//! What operators do with the members of the cluster.

use super::{Answer, Failed, Target, on_event_loop, operations};
use crate::shared::Shared;
use axum::extract::{Query, State};
use axum::response::Json;
use dodona_cluster::liveness::Liveness;
use dodona_cluster::ring::{Member, Status};
use dodona_cluster::streaming::Rebuild;
use dodona_types::Token;
use dodona_types::token::TokenRange;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How often it is looked for what nobody is at.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// The pause before another try.
const TRY_AGAIN: Duration = Duration::from_secs(10);

type Request = (State<Arc<Shared>>, Query<Target>);

/// Takes this node out of the cluster, once others have what it holds; only with `force` if too few would stay for the copies
/// of a keyspace. Clients are sent away before the last step, after which no member would listen to their requests. Then it serves
/// operators alone, until it is stopped.
pub(super) async fn decommission((State(shared), Query(target)): Request) -> Answer {
    let node = Arc::clone(&shared.node);
    if !target.force.unwrap_or(false) {
        node.refuse_too_few_copies()?;
    }
    let host = node.info.identity.host;
    let _attending = node.attend(host);
    on_event_loop(&shared, async move { node.hand_over().await }).await??;
    depart(shared).await
}

/// The last step of leaving, once others have what this node holds.
async fn depart(shared: Arc<Shared>) -> Answer {
    operations::send_clients_away(&shared).await;
    drop(take_out(Arc::clone(&shared), shared.node.info.identity.host).await?);
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
    let ranges = target.tokens.as_deref().map_or_else(|| Ok(Vec::new()), ranges_of)?;
    if !ranges.is_empty() && target.keyspace.is_none() {
        return Err(Failed::Refused("Cannot specify tokens without keyspace.".into()));
    }
    let sources = target.sources.as_deref().map_or_else(|| Ok(Vec::new()), addresses_of)?;
    let rebuild = Rebuild {
        keyspace: target.keyspace,
        from: target.data_center,
        not_from_own: target.not_from_own.unwrap_or(false),
        ranges,
        sources,
    };
    let node = Arc::clone(&shared.node);
    on_event_loop(&shared, async move { node.rebuild(&rebuild).await }).await??;
    Ok(Json(json!({})))
}

/// Goes on with what a member has begun and nobody is at, as after a loss of power or an error on the way.
pub(crate) async fn go_on(shared: Arc<Shared>) {
    let node = Arc::clone(&shared.node);
    while !node.has_left() {
        dodona_env::clock::sleep(LOOK_PERIOD).await;
        let Some(host) = node.unattended() else { continue };
        tracing::info!(%host, "what a member has begun is brought to its end");
        let done = finish(&shared, host).await;
        if let Err(error) = done {
            tracing::info!(%host, ?error, "that has to wait");
            dodona_env::clock::sleep(TRY_AGAIN).await;
        }
    }
}

/// Brings to its end what a member has begun, as long as it has not given that up: nothing is begun here.
async fn finish(shared: &Arc<Shared>, host: Uuid) -> Result<(), Failed> {
    let node = &shared.node;
    let _attending = node.attend(host);
    if host != node.info.identity.host {
        return Ok(node.complete(host, Status::Normal).await?);
    }
    node.complete(host, Status::Departing).await?;
    let status = node.metadata().metadata().member(host).map(|member| member.status);
    if status == Some(Status::Departing) {
        drop(depart(Arc::clone(shared)).await?);
    }
    Ok(())
}

/// The members that are being removed.
fn removed(shared: &Shared) -> Vec<Member> {
    let placement = shared.node.placement();
    let is_removed = |member: &&Member| matches!(member.status, Status::Removing);
    placement.ring.members().iter().filter(is_removed).cloned().collect()
}

/// Which members are being removed.
pub(super) async fn removal(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let of = |member: &Member| json!({ "address": member.internode.ip().to_string(), "host": member.host.to_string() });
    Json(json!({ "removed": removed(&shared).iter().map(of).collect::<Vec<_>>() }))
}

/// Takes the members out of the cluster at once that are being removed, whatever others have not fetched yet.
pub(super) async fn force_removal(State(shared): State<Arc<Shared>>) -> Answer {
    let removed = removed(&shared);
    if removed.is_empty() {
        return Err(Failed::Refused("No nodes to force removal on, call 'removenode' first".into()));
    }
    for member in removed {
        let node = Arc::clone(&shared.node);
        on_event_loop(&shared, async move { node.assassinate(member.host).await }).await??;
    }
    Ok(Json(json!({})))
}

/// Ranges of tokens as Cassandra's nodetool takes them: `(start,end],(start,end]`.
fn ranges_of(text: &str) -> Result<Vec<TokenRange>, Failed> {
    let refused = || Failed::Refused(format!("`{text}` are no ranges of tokens: (start,end],(start,end]"));
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let inner = compact.strip_prefix('(').and_then(|rest| rest.strip_suffix(']')).ok_or_else(refused)?;
    inner
        .split("],(")
        .map(|range| {
            let (start, end) = range.split_once(',').ok_or_else(refused)?;
            let token = |text: &str| text.parse().map(Token).map_err(|_| refused());
            Ok(TokenRange { start: token(start)?, end: token(end)? })
        })
        .collect()
}

fn addresses_of(text: &str) -> Result<Vec<IpAddr>, Failed> {
    let address = |one: &str| {
        one.trim().parse().map_err(|_| Failed::Refused(format!("Unknown host specified {}", one.trim())))
    };
    text.split(',').map(address).collect()
}

async fn take_out(shared: Arc<Shared>, host: Uuid) -> Answer {
    let node = Arc::clone(&shared.node);
    on_event_loop(&shared, async move { node.take_out(host).await }).await??;
    Ok(Json(json!({})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_tokens_are_read_as_cassandra_writes_them() {
        let range = |start, end| TokenRange { start: Token(start), end: Token(end) };
        let read = |text| ranges_of(text).ok();
        assert_eq!(read("(-5,7]"), Some(vec![range(-5, 7)]));
        assert_eq!(read("(1, 2], (9,-9]"), Some(vec![range(1, 2), range(9, -9)]));
        for text in ["", "1,2", "(1,2)", "[1,2]", "(1]", "(1,2],", "(1,2](3,4]", "(a,2]"] {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
