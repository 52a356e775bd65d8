//! Tells the rest of the node who is alive.

use crate::liveness::Liveness;
use arc_swap::ArcSwap;
use std::sync::Arc;
use uuid::Uuid;

/// The members that gossip believes to be alive. Many threads read it without a lock.
pub struct LiveMembers {
    local: Uuid,
    /// Sorted.
    others: ArcSwap<Vec<Uuid>>,
}

impl LiveMembers {
    /// Nobody but this node.
    #[must_use]
    pub fn new(local: Uuid) -> Self {
        Self { local, others: ArcSwap::default() }
    }

    /// Makes these sorted host ids the ones that are alive, besides this node.
    pub(super) fn publish(&self, others: Vec<Uuid>) {
        debug_assert!(others.is_sorted());
        self.others.store(Arc::new(others));
    }
}

impl Liveness for LiveMembers {
    fn is_alive(&self, host: Uuid) -> bool {
        host == self.local || self.others.load().binary_search(&host).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_node_and_those_that_were_published_are_alive() {
        let live = LiveMembers::new(Uuid::from_u128(5));
        let alive = |ids: [u128; 4]| ids.map(|id| live.is_alive(Uuid::from_u128(id)));
        assert_eq!(alive([1, 5, 6, 7]), [false, true, false, false]);
        live.publish(vec![Uuid::from_u128(1), Uuid::from_u128(7)]);
        assert_eq!(alive([1, 5, 6, 7]), [true, true, false, true]);
    }
}
