//! The content of `system.local`, `system.peers` and `system.peers_v2`: by these drivers know the
//! cluster.

use super::rows::{inet, int, text, texts};
use super::{Fill, uuid};
use crate::error::CqlError;
use dodona_cluster::node::RELEASE_VERSION;
use dodona_cluster::ring::Member;
use dodona_types::token::PARTITIONER;
use std::collections::BTreeSet;

/// The version of CQL.
const CQL_VERSION: &str = "3.4.7";
/// The newest version of the native protocol.
const PROTOCOL_VERSION: &str = "5";

pub(super) fn refill(fill: &Fill<'_>) -> Result<(), CqlError> {
    let placement = fill.host.node.placement();
    let members = placement.ring.members();
    if let Some(local) = members.get(placement.local) {
        put_local(fill, local)?;
    }
    let is_peer =
        |(index, _): &(usize, &Member)| *index != placement.local && placement.ring.is_shown(*index);
    let peers = || members.iter().enumerate().filter(is_peer).map(|(_, peer)| peer);
    fill.replace("system", "peers", |rows| {
        peers().try_for_each(|peer| {
            let mut values = common(fill, peer)?;
            values.push(("peer", inet(peer.internode.ip())));
            values.push(("rpc_address", inet(peer.native.ip())));
            rows.put(&values)
        })
    })?;
    fill.replace("system", "peers_v2", |rows| {
        peers().try_for_each(|peer| {
            let mut values = common(fill, peer)?;
            values.push(("peer", inet(peer.internode.ip())));
            values.push(("peer_port", int(peer.internode.port().into())));
            values.push(("native_address", inet(peer.native.ip())));
            values.push(("native_port", int(peer.native.port().into())));
            rows.put(&values)
        })
    })
}

/// What all three tables tell of a member.
fn common(fill: &Fill<'_>, member: &Member) -> Result<Vec<(&'static str, Vec<u8>)>, CqlError> {
    let tokens: BTreeSet<String> = member.tokens.iter().map(ToString::to_string).collect();
    Ok(vec![
        ("data_center", text(&member.data_center)),
        ("host_id", uuid(member.host)),
        ("rack", text(&member.rack)),
        ("release_version", text(RELEASE_VERSION)),
        ("schema_version", uuid(fill.schema.version())),
        ("tokens", texts(tokens.iter().map(String::as_str))?),
    ])
}

fn put_local(fill: &Fill<'_>, member: &Member) -> Result<(), CqlError> {
    let generation = i32::try_from(fill.host.started_at_seconds).unwrap_or(i32::MAX);
    fill.replace("system", "local", |rows| {
        let mut values = common(fill, member)?;
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
