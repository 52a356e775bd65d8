//! The content of the tables of `system_views` that tell of other nodes and of snapshots.

use super::engine_view::{count, small};
use super::rows::{bigint, boolean, float, inet, int, text, texts};
use super::{Fill, timeuuid, uuid};
use crate::error::CqlError;
use dodona_cluster::coordinator::served::Snapshot;
use dodona_cluster::gossip::endpoints::Endpoint;
use dodona_cluster::ring::Member;
use dodona_cluster::streaming::history::Purpose;
use dodona_types::value::parse_timestamp;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What gossip knows of the members, under the names that Cassandra has for it.
pub(super) fn refill_gossip_info(fill: &Fill<'_>) -> Result<(), CqlError> {
    fill.replace("system_views", "gossip_info", |rows| {
        for Endpoint { address, state, .. } in fill.host.node.gossiper.endpoints() {
            let state = state.unwrap_or_default();
            let told: Vec<(String, String, Vec<u8>, Vec<u8>)> = state
                .values
                .iter()
                .map(|(key, told)| {
                    let name = key.to_string().to_lowercase();
                    let version = int(i32::try_from(told.version.0).unwrap_or(i32::MAX));
                    (format!("{name}_version"), name, version, text(&told.value))
                })
                .collect();
            let mut values = vec![
                ("address", inet(address.ip())),
                ("port", int(address.port().into())),
                ("hostname", text(&address.ip().to_string())),
                ("generation", int(i32::try_from(state.generation.0).unwrap_or(i32::MAX))),
                ("heartbeat", int(i32::try_from(state.heartbeat.0).unwrap_or(i32::MAX))),
            ];
            for (version_name, name, version, value) in &told {
                values.push((version_name, version.clone()));
                values.push((name, value.clone()));
            }
            rows.put(&values)?;
        }
        Ok(())
    })
}

pub(super) fn refill_pending_hints(fill: &Fill<'_>) -> Result<(), CqlError> {
    let node = &fill.host.node;
    let (placement, endpoints) = (node.placement(), node.gossiper.endpoints());
    let unknown = || text("Unknown");
    fill.replace("system_views", "pending_hints", |rows| {
        for (host, pending) in node.hints.pending() {
            let mut values = vec![
                ("host_id", uuid(host)),
                ("files", small(pending.files)),
                ("newest", bigint(pending.newest_seconds.saturating_mul(1_000))),
                ("oldest", bigint(pending.oldest_seconds.saturating_mul(1_000))),
            ];
            match placement.ring.member(host) {
                None => values.extend(["dc", "rack", "status"].map(|name| (name, unknown()))),
                Some(member) => {
                    let is_up = endpoints.iter().any(|other| other.host == host && other.alive);
                    values.extend([
                        ("address", inet(member.internode.ip())),
                        ("port", int(member.internode.port().into())),
                        ("dc", text(&member.data_center)),
                        ("rack", text(&member.rack)),
                        ("status", text(if is_up { "UP" } else { "DOWN" })),
                    ]);
                }
            }
            rows.put(&values)?;
        }
        Ok(())
    })
}

/// What this node has fetched from others, and fetches.
pub(super) fn refill_streaming(fill: &Fill<'_>) -> Result<(), CqlError> {
    let node = &fill.host.node;
    let now = node.env.clock.wall_micros();
    fill.replace("system_views", "streaming", |rows| {
        for fetch in node.fetches() {
            let until = fetch.ended.as_ref().map_or(now, |(at, _)| *at);
            let [began, last] = [fetch.began_micros, until].map(|micros| bigint(micros.div_euclid(1_000)));
            let done = fetch.ranges_done as f32 / (fetch.ranges as f32).max(1.0);
            let (status, at, percentage) = match &fetch.ended {
                None => ("start", "status_start_timestamp", done.min(0.99) * 100.0),
                Some((_, None)) => ("success", "status_success_timestamp", 100.0),
                Some((_, Some(_))) => ("failure", "status_failure_timestamp", 100.0),
            };
            let peers: Vec<String> = fetch.peers.iter().map(with_slash).collect();
            let mut values = vec![
                ("id", uuid(timeuuid(fill, fetch.began_micros, fetch.number))),
                ("bytes_received", count(fetch.bytes)),
                ("files_received", count(fetch.files)),
                ("duration_millis", bigint((until - fetch.began_micros).max(0) / 1_000)),
                ("follower", boolean(false)),
                ("last_updated_at", last.clone()),
                ("operation", text(operation(fetch.purpose))),
                ("peers", texts(peers.iter().map(String::as_str))?),
                ("progress_percentage", float(percentage)),
                ("status", text(status)),
                ("status_init_timestamp", began.clone()),
                ("status_start_timestamp", began),
            ];
            if let Some((_, failure)) = &fetch.ended {
                values.push((at, last));
                values.extend(failure.as_deref().map(|failure| ("failure_cause", text(failure))));
            }
            rows.put(&values)?;
        }
        Ok(())
    })
}

/// The name that Cassandra has for it.
const fn operation(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Join => "Bootstrap",
        Purpose::Move => "Relocation",
        Purpose::Leave => "Unbootstrap",
        Purpose::Remove => "Restore replica count",
        Purpose::Rebuild => "Rebuild",
    }
}

/// An address as Cassandra writes one of which it has no name.
pub(super) fn with_slash(address: &SocketAddr) -> String {
    format!("/{address}")
}

/// Requests that go to other members.
pub(super) fn refill_internode_outbound(fill: &Fill<'_>) -> Result<(), CqlError> {
    let node = &fill.host.node;
    of_members(fill, "internode_outbound", |member| {
        let (counts, pending) = node.outbound(member.internode)?;
        let number = |of: &AtomicU64| count(of.load(Relaxed));
        let (sent, sent_bytes) = counts.sent.get();
        Some(vec![
            ("active_connections", number(&counts.open)),
            ("connection_attempts", number(&counts.attempts)),
            ("successful_connection_attempts", number(&counts.connected)),
            ("error_count", number(&counts.failed)),
            ("overload_count", number(&counts.refused)),
            ("pending_count", count(pending as u64)),
            ("sent_count", count(sent)),
            ("sent_bytes", count(sent_bytes)),
        ])
    })
}

/// Requests that come from other members.
pub(super) fn refill_internode_inbound(fill: &Fill<'_>) -> Result<(), CqlError> {
    let node = &fill.host.node;
    of_members(fill, "internode_inbound", |member| {
        let counts = node.inbound(member.host)?;
        let mut values = Vec::new();
        for ([number, bytes], of) in [
            (["received_count", "received_bytes"], &counts.received),
            (["processed_count", "processed_bytes"], &counts.processed),
            (["expired_count", "expired_bytes"], &counts.expired),
        ] {
            let (requests, of_bytes) = of.get();
            values.extend([(number, count(requests)), (bytes, count(of_bytes))]);
        }
        Some(values)
    })
}

/// A row for each other member of which there is something to tell.
fn of_members(
    fill: &Fill<'_>,
    view: &str,
    values: impl Fn(&Member) -> Option<Vec<(&'static str, Vec<u8>)>>,
) -> Result<(), CqlError> {
    let placement = fill.host.node.placement();
    fill.replace("system_views", view, |rows| {
        for (index, member) in placement.ring.members().iter().enumerate() {
            let told = if index == placement.local { None } else { values(member) };
            let Some(mut row) = told else { continue };
            row.extend([
                ("address", inet(member.internode.ip())),
                ("port", int(member.internode.port().into())),
                ("dc", text(&member.data_center)),
                ("rack", text(&member.rack)),
            ]);
            rows.put(&row)?;
        }
        Ok(())
    })
}

pub(super) fn refill_snapshots(fill: &Fill<'_>, snapshots: &[Snapshot]) -> Result<(), CqlError> {
    fill.replace("system_views", "snapshots", |rows| {
        for snapshot in snapshots {
            // One that was not finished has neither a time nor, maybe, a table's name.
            let name = fill.schema.table_by_id(snapshot.table).map_or_else(
                || snapshot.table_name.clone(),
                |table| format!("{}.{}", table.keyspace, table.name),
            );
            let (keyspace, table) = name.split_once('.').unwrap_or(("?", "?"));
            let mut values = vec![
                ("name", text(&snapshot.name)),
                ("keyspace_name", text(keyspace)),
                ("table_name", text(table)),
                ("ephemeral", boolean(false)),
                ("size_on_disk", count(snapshot.bytes)),
                ("true_size", count(snapshot.own_bytes)),
            ];
            let times =
                [("created_at", Some(&snapshot.created_at)), ("expires_at", snapshot.expires_at.as_ref())];
            for (column, time) in times {
                let millis = time.and_then(|time| parse_timestamp(time).ok());
                values.extend(millis.map(|millis| (column, bigint(millis))));
            }
            rows.put(&values)?;
        }
        Ok(())
    })
}
