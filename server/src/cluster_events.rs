//! Events of the cluster: what changed in the schema, which nodes came, went, or answer again,
//! whoever made it happen.

use crate::convert::schema_change;
use crate::shared::Shared;
use dodona_cluster::gossip::state::Key;
use dodona_protocol::response::{Event, StatusChange, TopologyChange};
use dodona_query::outcome::{ChangeKind, ChangeTarget, SchemaEvent};
use dodona_types::UserType;
use dodona_types::schema::{Keyspace, Schema, Table};
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

/// The other full members: where clients reach each, and whether it serves them.
fn members(shared: &Shared) -> BTreeMap<Uuid, (SocketAddr, bool)> {
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
    let others = members.filter(|(index, _)| *index != placement.local && placement.ring.is_shown(*index));
    others
        .map(|(_, member)| (member.host, (member.native, serves.get(&member.host).copied().unwrap_or(false))))
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

fn changes(
    before: &BTreeMap<Uuid, (SocketAddr, bool)>,
    now: &BTreeMap<Uuid, (SocketAddr, bool)>,
) -> Vec<Event> {
    let mut events = Vec::new();
    for (host, (address, _)) in before {
        if !now.contains_key(host) {
            events.push(Event::Topology(TopologyChange::RemovedNode, *address));
        }
    }
    for (host, (address, up)) in now {
        let was_up = before.get(host).map(|(_, up)| *up);
        if was_up.is_none() {
            events.push(Event::Topology(TopologyChange::NewNode, *address));
        }
        match (was_up.unwrap_or(false), *up) {
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
        let (none, up) = (BTreeMap::new(), BTreeMap::from([(host, (address, true))]));
        let new = Event::Topology(TopologyChange::NewNode, address);
        assert_eq!(changes(&none, &up), [new, Event::Status(StatusChange::Up, address)]);
        assert_eq!(changes(&up, &none), [Event::Topology(TopologyChange::RemovedNode, address)]);
        let down = BTreeMap::from([(host, (address, false))]);
        assert_eq!(changes(&up, &down), [Event::Status(StatusChange::Down, address)]);
    }
}
