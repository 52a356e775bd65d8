//! The content of `system.local`, `system.peers` and `system.peers_v2`: by these drivers know the
//! cluster.

use super::rows::{inet, int, text, texts};
use super::{Fill, uuid as bytes_of};
use crate::error::CqlError;
use dodona_cluster::gossip::state::Key;
use dodona_cluster::node::RELEASE_VERSION;
use dodona_cluster::ring::Member;
use dodona_types::token::PARTITIONER;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The version of CQL.
const CQL_VERSION: &str = "3.4.7";
/// The newest version of the native protocol.
const PROTOCOL_VERSION: &str = "5";

pub(super) fn refill_local(fill: &Fill<'_>) -> Result<(), CqlError> {
    let placement = fill.host.node.placement();
    placement.ring.members().get(placement.local).map_or(Ok(()), |local| put_local(fill, local))
}

/// Both tables of peers: what the metadata log knows of them, and of which schema each says itself that it is.
/// Drivers wait by that until all nodes have a change of it.
pub(super) fn refill_peers(fill: &Fill<'_>) -> Result<(), CqlError> {
    let placement = fill.host.node.placement();
    let members = placement.ring.members();
    let versions = versions_told(fill);
    let version_of = |peer: &Member| versions.get(&peer.host).copied();
    let is_peer =
        |(index, _): &(usize, &Member)| *index != placement.local && placement.ring.is_shown(*index);
    let peers = || members.iter().enumerate().filter(is_peer).map(|(_, peer)| peer);
    fill.replace("system", "peers", |rows| {
        peers().try_for_each(|peer| {
            let mut values = common(peer, version_of(peer))?;
            values.push(("peer", inet(peer.internode.ip())));
            values.push(("rpc_address", inet(peer.native.ip())));
            rows.put(&values)
        })
    })?;
    fill.replace("system", "peers_v2", |rows| {
        peers().try_for_each(|peer| {
            let mut values = common(peer, version_of(peer))?;
            values.push(("peer", inet(peer.internode.ip())));
            values.push(("peer_port", int(peer.internode.port().into())));
            values.push(("native_address", inet(peer.native.ip())));
            values.push(("native_port", int(peer.native.port().into())));
            rows.put(&values)
        })
    })
}

/// The version of the schema that each node has told.
fn versions_told(fill: &Fill<'_>) -> BTreeMap<Uuid, Uuid> {
    let endpoints = fill.host.node.gossiper.endpoints().into_iter();
    let told = endpoints
        .filter_map(|endpoint| Some((endpoint.host, endpoint.state?.value(Key::SCHEMA)?.parse().ok()?)));
    told.collect()
}

/// What all three tables tell of a member.
fn common(member: &Member, schema_version: Option<Uuid>) -> Result<Vec<(&'static str, Vec<u8>)>, CqlError> {
    let tokens: BTreeSet<String> = member.tokens.iter().map(ToString::to_string).collect();
    let mut values = vec![
        ("data_center", text(&member.data_center)),
        ("host_id", bytes_of(member.host)),
        ("rack", text(&member.rack)),
        ("release_version", text(RELEASE_VERSION)),
        ("tokens", texts(tokens.iter().map(String::as_str))?),
    ];
    values.extend(schema_version.map(|version| ("schema_version", bytes_of(version))));
    Ok(values)
}

fn put_local(fill: &Fill<'_>, member: &Member) -> Result<(), CqlError> {
    let generation = i32::try_from(fill.host.started_at_seconds).unwrap_or(i32::MAX);
    fill.replace("system", "local", |rows| {
        let mut values = common(member, Some(fill.schema.version()))?;
        values.extend([
            ("key", text("local")),
            ("bootstrapped", text("COMPLETED")),
            ("broadcast_address", inet(member.internode.ip())),
            ("broadcast_port", int(member.internode.port().into())),
            ("cluster_name", text(&fill.host.node.info.cluster_name)),
            ("cql_version", text(CQL_VERSION)),
            ("gossip_generation", int(generation)),
            ("listen_address", inet(member.internode.ip())),
            ("listen_port", int(member.internode.port().into())),
            ("native_protocol_version", text(PROTOCOL_VERSION)),
            ("partitioner", text(PARTITIONER)),
            ("rpc_address", inet(member.native.ip())),
            ("rpc_port", int(member.native.port().into())),
        ]);
        rows.put(&values)
    })
}
