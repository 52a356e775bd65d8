//! What a node tells of itself by gossip.

use super::settings::NodeSettings;
use crate::error::ClusterError;
use crate::gossip::protocol::GossipSettings;
use crate::gossip::state::Key;
use crate::gossip::worker::Gossiper;
use crate::identity::Identity;
use crate::message::NEWEST;
use crate::ring::{Member, Status};
use crate::transport::Peers;
use dodona_env::Env;
use std::sync::Arc;

/// The release that nodes say they are of: the one that clients are told.
pub const RELEASE_VERSION: &str = "5.0.6";

pub(super) fn gossiper(
    env: &Env,
    settings: &NodeSettings,
    identity: &Identity,
    peers: &Arc<Peers>,
) -> Result<Arc<Gossiper>, ClusterError> {
    let settings = GossipSettings {
        cluster: identity.cluster,
        host: identity.host,
        address: settings.internode,
        seeds: settings.seeds.clone(),
    };
    Gossiper::new(env.clone(), Arc::clone(peers), settings)
}

/// What a member tells of itself.
pub(super) fn tell_of(gossiper: &Gossiper, member: &Member) {
    let status = match member.status {
        Status::Joining => "BOOT",
        Status::Replacing(_) => "BOOT_REPLACE",
        Status::Arriving | Status::Succeeding(_) | Status::Moved | Status::Normal => "NORMAL",
        Status::Moving => "MOVING",
        Status::Leaving | Status::Departing => "LEAVING",
        Status::Removing => "removing",
    };
    let first = member.tokens.first().map_or_else(String::new, ToString::to_string);
    for (key, value) in [
        (Key::STATUS, format!("{status},{first}")),
        (Key::DC, member.data_center.clone()),
        (Key::RACK, member.rack.clone()),
        (Key::RELEASE_VERSION, RELEASE_VERSION.to_owned()),
        (Key::INTERNAL_ADDRESS, member.internode.to_string()),
        (Key::NATIVE_ADDRESS, member.native.to_string()),
        (Key::NET_VERSION, NEWEST.to_string()),
        (Key::HOST_ID, member.host.to_string()),
    ] {
        gossiper.set(key, value);
    }
}
