//! Keeps a member that has lost its disk from beginning a second cluster in its old place.
//!
//! A node whose data directory is empty and which is its own first seed begins a cluster. If it was a member of one, and was told
//! of nobody else, it cannot know that; but the other members still look for theirs at its address. So it listens for a moment
//! before it begins, and goes on to do so as long as it is alone with a cluster that is still empty.

use crate::error::ClusterError;
use crate::node::Node;
use crate::transport::{Introduction, Link};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long a node listens before it begins a cluster: members gossip once a second, with a lost one now and then, and with a
/// seed nearly always.
pub(crate) const LISTEN: Duration = Duration::from_secs(1);

fn why(other: Introduction, address: SocketAddr) -> String {
    format!(
        "{} of the cluster {} takes this node for a member of its own, at {address}: if this node has lost its data, start \
         it with an empty data directory, with --replace {address} and with --seeds that name another member; if it is to \
         be a new cluster, take that member out of the other one first (nodetool removenode there), or choose another address",
        other.host, other.cluster
    )
}

/// Refuses to begin a cluster where members of another one look for theirs. Takes as long as it listens: others are asked
/// meanwhile.
///
/// # Errors
/// One of them does.
pub(crate) async fn refuse_second_cluster(
    link: &Link,
    address: SocketAddr,
    lasts: Duration,
) -> Result<(), ClusterError> {
    let listens = async {
        if address.port() == 0 {
            // Nobody can join it.
            return None;
        }
        link.meets_another_cluster(address, lasts).await.unwrap_or_else(|error| {
            tracing::debug!(%address, %error, "it is not known whether members of another cluster look for one here");
            None
        })
    };
    let began = link.env.clock.mono();
    let met = listens.await;
    if let Some(other) = met {
        return Err(ClusterError::Invalid(why(other, address)));
    }
    dodona_env::clock::sleep(lasts.saturating_sub(link.env.clock.mono().saturating_sub(began))).await;
    Ok(())
}

impl Node {
    /// Stops the node if a member of another cluster takes it for one of its own, as long as it is alone in a cluster that it
    /// has just begun.
    pub(crate) async fn refuse_second_cluster(self: Arc<Self>) {
        let is_alone = || self.placement().ring.members().len() == 1;
        // Behind the first version there is something to lose.
        if !is_alone() || self.metadata().metadata().version > 1 {
            return;
        }
        let mut elsewhere = self.peers.link().elsewhere.subscribe();
        while elsewhere.changed().await.is_ok() && is_alone() {
            let met = *elsewhere.borrow_and_update();
            if let Some(other) = met {
                return self.fail(&why(other, self.addresses().0));
            }
        }
    }
}
