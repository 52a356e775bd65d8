//! What is counted of the requests that go to each peer and come from it. Answers come back on the
//! connections of their requests, and are not counted.

use super::queue::Outstanding;
use dodona_env::collections::HashMap;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use uuid::Uuid;

/// Peers that are counted, at most: addresses change, and anybody may claim to be a node.
const PEERS: usize = 4_096;

/// A count of requests and of their bytes.
#[derive(Debug, Default)]
pub struct Requests {
    count: AtomicU64,
    bytes: AtomicU64,
}

impl Requests {
    pub(super) fn add(&self, count: u64, bytes: usize) {
        self.count.fetch_add(count, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// How many, and their bytes.
    #[must_use]
    pub fn get(&self) -> (u64, u64) {
        (self.count.load(Relaxed), self.bytes.load(Relaxed))
    }
}

/// What goes to a peer.
#[derive(Debug, Default)]
pub struct Outbound {
    /// Requests that were written to a connection.
    pub sent: Requests,
    /// Connections that were begun.
    pub attempts: AtomicU64,
    /// Those of them that the peer took.
    pub connected: AtomicU64,
    /// Connections that are open.
    pub open: AtomicU64,
    /// Requests that were refused because too many wait.
    pub refused: AtomicU64,
    /// Requests whose connection broke before they were answered.
    pub failed: AtomicU64,
    /// Requests that nobody waited for any more when they could have been written.
    pub expired: AtomicU64,
    /// Bytes that wait to be written or answered, of each lane.
    pub outstanding: [Outstanding; 3],
}

/// What comes from a peer.
#[derive(Debug, Default)]
pub struct Inbound {
    /// Requests that came.
    pub received: Requests,
    /// Those of them that were answered.
    pub processed: Requests,
    /// Those of them that took longer than the peer waits, or were not begun as they had waited here for so long.
    pub expired: Requests,
}

/// What is counted of the traffic with all peers.
#[derive(Debug, Default)]
pub struct Traffic {
    outbound: Mutex<HashMap<SocketAddr, Arc<Outbound>>>,
    inbound: Mutex<HashMap<Uuid, Arc<Inbound>>>,
}

/// What is counted of a peer. Of one beyond the bound it is counted for nobody.
fn counted<K: Eq + std::hash::Hash, T: Default>(peers: &mut HashMap<K, Arc<T>>, peer: K) -> Arc<T> {
    if peers.len() >= PEERS && !peers.contains_key(&peer) {
        return Arc::default();
    }
    Arc::clone(peers.entry(peer).or_default())
}

impl Traffic {
    pub(super) fn to(&self, peer: SocketAddr) -> Arc<Outbound> {
        counted(&mut self.outbound.lock(), peer)
    }

    pub(super) fn from(&self, peer: Uuid) -> Arc<Inbound> {
        counted(&mut self.inbound.lock(), peer)
    }

    /// What goes to a peer, if anything did.
    #[must_use]
    pub fn outbound(&self, peer: SocketAddr) -> Option<Arc<Outbound>> {
        self.outbound.lock().get(&peer).cloned()
    }

    /// What comes from a peer, if anything did.
    #[must_use]
    pub fn inbound(&self, peer: Uuid) -> Option<Arc<Inbound>> {
        self.inbound.lock().get(&peer).cloned()
    }
}
