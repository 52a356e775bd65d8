//! A copy of a data directory is no node of its own: it has the host id of the node it was copied
//! from, and two of one id would both vote, and both write to the same replica's place.

use crate::error::ClusterError;
use crate::identity::Identity;
use crate::metadata::store::Store;
use crate::node::NodeSettings;
use crate::transport::{Introduction, Link};
use dodona_env::Env;
use uuid::Uuid;

/// Refuses a node that moves to another address while a node with its host id still runs at the one
/// that the metadata log knows.
///
/// # Errors
/// It does; or the log cannot be read.
pub(crate) async fn refuse_copy(
    env: &Env,
    settings: &NodeSettings,
    identity: &Identity,
) -> Result<(), ClusterError> {
    let known_at = Store::known_at(&*env.disk, &settings.first_member(identity))?;
    let Some(address) = known_at.filter(|address| *address != settings.internode) else { return Ok(()) };
    // Under its own id it would be refused without learning who it met.
    let stranger = Introduction::new(Uuid::nil(), env.random.uuid_v4());
    let link = Link::new(env.clone(), stranger, settings.internode_tls.clone());
    match link.who_is_at(address).await {
        Some(host) if host == identity.host => Err(ClusterError::Invalid(format!(
            "the node {host} runs at {address} already, and this is its data directory, copied: stop that node if it is to \
             run here, or start a new node with an empty data directory"
        ))),
        _ => Ok(()),
    }
}
