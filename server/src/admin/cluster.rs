//! What the node knows of the cluster: its members, their tokens, who answers.

use super::ownership::{self, Ownership};
use super::{Answer, Failed, Target};
use crate::load::disk_bytes;
use crate::shared::{Phase, Shared};
use axum::extract::{Query, State};
use axum::response::Json;
use dodona_cluster::gossip::endpoints::Endpoint;
use dodona_cluster::gossip::state::{EndpointState, Key};
use dodona_cluster::placement::Placement;
use dodona_cluster::ring::{Member, Status};
use dodona_query::key_text::key_of_text;
use dodona_types::schema::{Keyspace, Table};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use uuid::Uuid;

type Request = (State<Arc<Shared>>, Query<Target>);

/// The members and what gossip says of them, at one moment.
struct Members {
    placement: Arc<Placement>,
    endpoints: Vec<Endpoint>,
    own: Uuid,
}

impl Members {
    fn of(shared: &Shared) -> Self {
        let node = &shared.node;
        Self {
            placement: node.placement(),
            endpoints: node.gossiper.endpoints(),
            own: node.info.identity.host,
        }
    }

    fn all(&self) -> &[Member] {
        self.placement.ring.members()
    }

    fn endpoint(&self, host: Uuid) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.host == host)
    }

    fn is_alive(&self, host: Uuid) -> bool {
        host == self.own || self.endpoint(host).is_some_and(|endpoint| endpoint.alive)
    }

    fn told(&self, host: Uuid, key: Key) -> Option<&str> {
        self.endpoint(host)?.state.as_ref()?.value(key)
    }

    /// The address that operators know a member by: with its port only where another has the same.
    fn address(&self, member: &Member) -> String {
        let ip = member.internode.ip();
        let with_it = self.all().iter().filter(|other| other.internode.ip() == ip).count();
        if with_it > 1 { member.internode.to_string() } else { ip.to_string() }
    }

    /// The same of a host that may be a member no more.
    fn address_of(&self, host: Uuid) -> String {
        let member = self.placement.ring.member(host);
        member.map_or_else(|| host.to_string(), |member| self.address(member))
    }

    /// Their addresses, sorted by whatever `what` gives for each.
    fn by<T: Ord>(&self, what: impl Fn(&Member) -> Option<T>) -> BTreeMap<T, Vec<String>> {
        let mut sorted: BTreeMap<T, Vec<String>> = BTreeMap::new();
        for member in self.all() {
            if let Some(key) = what(member) {
                sorted.entry(key).or_default().push(self.address(member));
            }
        }
        sorted
    }
}

const fn letter(status: Status) -> char {
    match status {
        Status::Normal => 'N',
        Status::Joining | Status::Arriving | Status::Replacing(_) | Status::Succeeding(_) => 'J',
        Status::Leaving | Status::Removing | Status::Departing => 'L',
        Status::Moving | Status::Moved => 'M',
    }
}

pub(super) async fn status((State(shared), Query(target)): Request) -> Answer {
    let members = Members::of(&shared);
    let (parts, note) = match ownership::of(&members.placement, target.keyspace.as_deref())? {
        Ownership::Parts(parts) => (Some(parts), None),
        Ownership::Unknown(note) => (None, Some(note)),
    };
    let own_load = disk_bytes(&shared.node.engine);
    let described = members.all().iter().enumerate().map(|(index, member)| {
        let told = members.told(member.host, Key::LOAD).and_then(|load| load.parse().ok());
        let load = if member.host == members.own { Some(own_load) } else { told };
        let up = if members.is_alive(member.host) { 'U' } else { 'D' };
        let tokens: Vec<String> = member.tokens.iter().map(ToString::to_string).collect();
        json!({
            "address": members.address(member),
            "internode": member.internode,
            "native": member.native,
            "host_id": member.host,
            "data_center": member.data_center,
            "rack": member.rack,
            "tokens": tokens,
            "load_bytes": load,
            "owns": parts.as_ref().map(|parts| parts[index]),
            "status": format!("{up}{}", letter(member.status)),
        })
    });
    let starts = *shared.phase.borrow() == Phase::Starting;
    Ok(Json(json!({ "members": described.collect::<Vec<_>>(), "note": note, "starting": starts })))
}

pub(super) async fn gossip(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let members = Members::of(&shared);
    let described = members.endpoints.iter().map(|endpoint| {
        let state = endpoint.state.clone().unwrap_or_default();
        let values = state.values.iter().map(
            |(key, told)| json!({ "key": key.to_string(), "version": told.version.0, "value": told.value }),
        );
        json!({
            "address": endpoint.address,
            "host_id": endpoint.host,
            "alive": endpoint.alive,
            "generation": state.generation.0,
            "heartbeat": state.heartbeat.0,
            "values": values.collect::<Vec<_>>(),
        })
    });
    let own = members.endpoint(members.own).and_then(|endpoint| endpoint.state.as_ref());
    let is_running = !own.is_some_and(EndpointState::is_shut_down);
    Json(json!({ "running": is_running, "endpoints": described.collect::<Vec<_>>() }))
}

pub(super) async fn cluster(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let node = &shared.node;
    let members = Members::of(&shared);
    // What the dead said last need not be so any more.
    let told = |key| {
        members.by(|member| {
            let told = members.told(member.host, key).filter(|_| members.is_alive(member.host));
            told.map(str::to_owned)
        })
    };
    let dead = members.by(|member| (!members.is_alive(member.host)).then_some(()));
    let with = |is_so: fn(Status) -> bool| members.all().iter().filter(|member| is_so(member.status)).count();
    Json(json!({
        "name": node.info.cluster_name,
        "cluster_id": node.info.identity.cluster,
        "partitioner": dodona_types::token::PARTITIONER,
        "schema_epoch": node.schema_epoch(),
        "members": members.all().len(),
        "live": members.all().iter().filter(|member| members.is_alive(member.host)).count(),
        "joining": with(Status::is_new),
        "moving": with(|status| matches!(status, Status::Moving | Status::Moved)),
        "leaving": with(|status| matches!(status, Status::Leaving | Status::Removing)),
        "schema_versions": told(Key::SCHEMA),
        "unreachable": dead.into_values().next().unwrap_or_default(),
        "versions": told(Key::RELEASE_VERSION),
        "data_centers": data_centers(&members),
        "keyspaces": keyspaces(&members.placement),
    }))
}

fn data_centers(members: &Members) -> Vec<Value> {
    let mut counted: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for member in members.all() {
        let (nodes, down) = counted.entry(&member.data_center).or_default();
        *nodes += 1;
        *down += u32::from(!members.is_alive(member.host));
    }
    let described = counted.into_iter();
    described.map(|(name, (nodes, down))| json!({ "name": name, "nodes": nodes, "down": down })).collect()
}

fn keyspaces(placement: &Placement) -> Vec<Value> {
    let described = placement.schema.keyspaces.values().map(|keyspace| {
        let mut options = keyspace.replication.clone();
        let class = options.remove("class");
        json!({ "name": keyspace.name, "class": class, "options": options })
    });
    described.collect()
}

/// The keyspace that is asked for.
fn keyspace_of(placement: &Placement, target: &Target) -> Result<Arc<Keyspace>, Failed> {
    let name = target.keyspace.as_deref().unwrap_or_default();
    let keyspace = placement.schema.keyspace(name).cloned();
    keyspace.ok_or_else(|| Failed::NotFound(format!("there is no keyspace {name}")))
}

pub(super) async fn ranges((State(shared), Query(target)): Request) -> Answer {
    let members = Members::of(&shared);
    let placement = &members.placement;
    let replication = ownership::replication_of(&keyspace_of(placement, &target)?)?;
    let described = placement.ring.ranges().map(|range| {
        let replicas = replication.replicas(&placement.ring, range.end, placement.local).into_iter();
        let replicas = replicas.map(|index| &members.all()[index]).map(|member| {
            json!({
                "address": members.address(member),
                "native": member.native.ip(),
                "data_center": member.data_center,
                "rack": member.rack,
            })
        });
        let (start, end) = (range.start.to_string(), range.end.to_string());
        json!({ "start": start, "end": end, "replicas": replicas.collect::<Vec<_>>() })
    });
    let version = shared.node.schema().version();
    Ok(Json(json!({ "schema_version": version, "ranges": described.collect::<Vec<_>>() })))
}

pub(super) async fn endpoints((State(shared), Query(target)): Request) -> Answer {
    let members = Members::of(&shared);
    let placement = &members.placement;
    let keyspace = keyspace_of(placement, &target)?;
    let name = target.table.as_deref().unwrap_or_default();
    let table: Option<&Arc<Table>> = keyspace.tables.get(name);
    let table =
        table.ok_or_else(|| Failed::NotFound(format!("there is no table {}.{name}", keyspace.name)))?;
    let key = key_of_text(table, target.key.as_deref().unwrap_or_default());
    let key = key.map_err(|error| Failed::Refused(error.to_string()))?;
    let replicas = placement.replicas(table.id, key.token());
    let replicas = replicas.map_err(|error| Failed::Internal(error.to_string()))?;
    let addresses: Vec<String> =
        replicas.into_iter().map(|index| members.address(&members.all()[index])).collect();
    Ok(Json(json!({ "token": key.token().to_string(), "endpoints": addresses })))
}

pub(super) async fn network(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let node = &shared.node;
    let members = Members::of(&shared);
    let mode = match members.all()[members.placement.local].status {
        _ if *shared.phase.borrow() == Phase::Drained => "DRAINED",
        Status::Normal if *shared.phase.borrow() == Phase::Starting => "STARTING",
        Status::Normal => "NORMAL",
        Status::Joining | Status::Arriving | Status::Replacing(_) | Status::Succeeding(_) => "JOINING",
        Status::Leaving | Status::Removing | Status::Departing => "LEAVING",
        Status::Moving | Status::Moved => "MOVING",
    };
    let now = node.env.clock.wall_seconds();
    let waiting: Vec<Value> = node
        .hints
        .pending()
        .into_iter()
        .map(|(host, pending)| {
            let member = members.placement.ring.member(host);
            json!({
                "address": members.address_of(host),
                "host_id": host,
                "alive": members.is_alive(host),
                "files": pending.files,
                "bytes": pending.bytes,
                "oldest_age_seconds": now - pending.oldest_seconds,
                "oldest_seconds": pending.oldest_seconds,
                "newest_seconds": pending.newest_seconds,
                "data_center": member.map(|member| &member.data_center),
                "rack": member.map(|member| &member.rack),
            })
        })
        .collect();
    let counts = node.hints.counts();
    let fetched = |count: &AtomicU64| count.load(Relaxed);
    Json(json!({
        "mode": mode,
        "fetched": {
            "ranges": fetched(&node.streaming.ranges),
            "ranges_done": fetched(&node.streaming.ranges_done),
            "ranges_kept": fetched(&node.streaming.ranges_kept),
            "resumed": fetched(&node.streaming.resumed),
            "files": fetched(&node.streaming.files),
            "partitions": fetched(&node.streaming.partitions),
            "bytes": fetched(&node.streaming.bytes),
        },
        "sent_bytes": node.streamed_bytes(),
        "hints": {
            "handed_off": node.hints.switches().is_enabled(),
            "waiting": waiting,
            "written": counts.written,
            "refused": counts.refused,
            "lost": counts.lost,
            "delivered": counts.delivered,
            "handed_on": counts.handed_on,
            "expired": counts.expired,
        },
    }))
}
