//! Which members answer, as far as this node knows.

use uuid::Uuid;

/// Tells which members are believed to be alive. Gossip and failure detection stand behind it.
pub trait Liveness: Send + Sync {
    /// True if the member with this host id is believed to be alive. A node is alive to itself.
    fn is_alive(&self, host: Uuid) -> bool;
}

/// Believes that everybody is alive: for a node that is alone.
pub struct AllAlive;

impl Liveness for AllAlive {
    fn is_alive(&self, _: Uuid) -> bool {
        true
    }
}
