//! What is counted of the requests between a node and the others.

use super::Node;
use crate::transport::traffic::{Inbound, Outbound};
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

impl Node {
    /// What went to a peer, if anything did, and how many requests wait to go there.
    #[must_use]
    pub fn outbound(&self, peer: SocketAddr) -> Option<(Arc<Outbound>, usize)> {
        self.peers.link().traffic.outbound(peer).map(|counts| (counts, self.peers.pending(peer)))
    }

    /// What came from a peer, if anything did.
    #[must_use]
    pub fn inbound(&self, host: Uuid) -> Option<Arc<Inbound>> {
        self.peers.link().traffic.inbound(host)
    }
}
