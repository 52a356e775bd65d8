//! Events of the cluster: what changed in the schema, which nodes came, went, or answer again,
//! whoever made it happen.

use crate::convert::schema_change;
use crate::shared::Shared;
use dodona_cluster::gossip::state::Key;
use dodona_protocol::response::{Event, StatusChange, TopologyChange};
use dodona_query::outcome::{ChangeKind, ChangeTarget, SchemaEvent};
use dodona_types::schema::{Keyspace, Schema, Table};
use dodona_types::{Token, UserType};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

/// Tells clients of changes of the schema, one after another.
pub(crate) async fn follow_schema(shared: Arc<Shared>) {
    let mut epochs = shared.node.watch_schema();
    let mut before = shared.node.schema();
    while epochs.changed().await.is_ok() {
        let now = shared.node.schema();
        for event in differences(&before, &now) {
            // Nobody may be listening.
            let _ = shared.events.send(Event::Schema(schema_change(&event)));
        }
        before = now;
    }
}

/// What clients are to look at again.
fn differences(before: &Schema, now: &Schema) -> Vec<SchemaEvent> {
    let mut events = Vec::new();
    for (name, keyspace) in &before.keyspaces {
        if !now.keyspaces.contains_key(name) {
            events.push(event(ChangeKind::Dropped, ChangeTarget::Keyspace, keyspace));
        }
    }
    for (name, keyspace) in &now.keyspaces {
        match before.keyspaces.get(name) {
            None => {
                events.push(event(ChangeKind::Created, ChangeTarget::Keyspace, keyspace));
                definitions(&BTreeMap::new(), &BTreeMap::new(), keyspace, &mut events);
            }
            Some(old) if Arc::ptr_eq(old, keyspace) => {}
            Some(old) => within(old, keyspace, &mut events),
        }
    }
    events
}

fn within(before: &Keyspace, now: &Keyspace, events: &mut Vec<SchemaEvent>) {
    if (&before.replication, before.durable_writes) != (&now.replication, now.durable_writes) {
        events.push(event(ChangeKind::Updated, ChangeTarget::Keyspace, now));
    }
    definitions(&before.types, &before.tables, now, events);
}

/// What is in a keyspace, beside the types and tables that were in it before.
fn definitions(
    types: &BTreeMap<Arc<str>, Arc<UserType>>,
    tables: &BTreeMap<Arc<str>, Arc<Table>>,
    now: &Keyspace,
    events: &mut Vec<SchemaEvent>,
) {
    named(types, &now.types, now, ChangeTarget::Type, events);
    named(tables, &now.tables, now, ChangeTarget::Table, events);
}

fn named<T: PartialEq>(
    before: &BTreeMap<Arc<str>, Arc<T>>,
    now: &BTreeMap<Arc<str>, Arc<T>>,
    keyspace: &Keyspace,
    target: fn(Arc<str>) -> ChangeTarget,
    events: &mut Vec<SchemaEvent>,
) {
    for name in before.keys().filter(|name| !now.contains_key(*name)) {
        events.push(event(ChangeKind::Dropped, target(Arc::clone(name)), keyspace));
    }
    for (name, definition) in now {
        let change = match before.get(name) {
            None => ChangeKind::Created,
            Some(old) if Arc::ptr_eq(old, definition) || old == definition => continue,
            Some(_) => ChangeKind::Updated,
        };
        events.push(event(change, target(Arc::clone(name)), keyspace));
    }
}

fn event(change: ChangeKind, target: ChangeTarget, keyspace: &Keyspace) -> SchemaEvent {
    SchemaEvent { change, target, keyspace: Arc::clone(&keyspace.name) }
}

/// A full member, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    /// Where clients reach it.
    address: SocketAddr,
    /// It serves them. None of this node itself, of which nobody has to be told that.
    up: Option<bool>,
    tokens: Vec<Token>,
}

fn members(shared: &Shared) -> BTreeMap<Uuid, Shown> {
    let placement = shared.node.placement();
    let serves: BTreeMap<Uuid, bool> = shared
        .node
        .gossiper
        .endpoints()
        .into_iter()
        .map(|endpoint| {
            let ready = endpoint.state.is_some_and(|state| state.value(Key::RPC_READY) == Some("true"));
            (endpoint.host, endpoint.alive && ready)
        })
        .collect();
    let members = placement.ring.members().iter().enumerate();
    let shown = members.filter(|(index, _)| *index == placement.local || placement.ring.is_shown(*index));
    shown
        .map(|(index, member)| {
            let serves = serves.get(&member.host).copied().unwrap_or(false);
            let up = (index != placement.local).then_some(serves);
            (member.host, Shown { address: member.native, up, tokens: member.tokens.clone() })
        })
        .collect()
}

/// Tells clients of nodes that come, go, stop answering or answer again.
pub(crate) async fn follow_members(shared: Arc<Shared>) {
    let mut versions = shared.node.watch_members();
    let mut gossip = shared.node.gossiper.subscribe();
    let mut before = members(&shared);
    loop {
        tokio::select! {
            biased;
            changed = versions.changed() => if changed.is_err() { return },
            event = gossip.recv() => {
                if matches!(event, Err(tokio::sync::broadcast::error::RecvError::Closed)) {
                    return;
                }
            }
        }
        let now = members(&shared);
        if now == before {
            continue;
        }
        // Clients that hear of it read these tables at once.
        if let Err(error) = shared.processor.refresh_system_tables() {
            tracing::error!(%error, "the system tables could not be filled");
        }
        for event in changes(&before, &now) {
            // Nobody may be listening.
            let _ = shared.events.send(event);
        }
        before = now;
    }
}

fn changes(before: &BTreeMap<Uuid, Shown>, now: &BTreeMap<Uuid, Shown>) -> Vec<Event> {
    let mut events = Vec::new();
    for (host, gone) in before {
        if !now.contains_key(host) {
            events.push(Event::Topology(TopologyChange::RemovedNode, gone.address));
        }
    }
    for (host, Shown { address, up, tokens }) in now {
        let was = before.get(host);
        match was {
            None if up.is_some() => events.push(Event::Topology(TopologyChange::NewNode, *address)),
            Some(was) if was.tokens != *tokens => {
                events.push(Event::Topology(TopologyChange::MovedNode, *address));
            }
            _ => {}
        }
        match (was.and_then(|was| was.up).unwrap_or(false), up.unwrap_or(false)) {
            (false, true) => events.push(Event::Status(StatusChange::Up, *address)),
            (true, false) => events.push(Event::Status(StatusChange::Down, *address)),
            _ => {}
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_new_before_it_is_up_and_gone_without_being_down() {
        let (host, address) = (Uuid::from_u128(1), SocketAddr::from(([127, 0, 0, 2], 9042)));
        let shown = |up, token| Shown { address, up: Some(up), tokens: vec![Token(token)] };
        let (none, up) = (BTreeMap::new(), BTreeMap::from([(host, shown(true, 1))]));
        let new = Event::Topology(TopologyChange::NewNode, address);
        assert_eq!(changes(&none, &up), [new, Event::Status(StatusChange::Up, address)]);
        assert_eq!(changes(&up, &none), [Event::Topology(TopologyChange::RemovedNode, address)]);
        let moved = BTreeMap::from([(host, shown(true, 2))]);
        assert_eq!(changes(&up, &moved), [Event::Topology(TopologyChange::MovedNode, address)]);
        let down = BTreeMap::from([(host, shown(false, 1))]);
        assert_eq!(changes(&up, &down), [Event::Status(StatusChange::Down, address)]);
    }
}
