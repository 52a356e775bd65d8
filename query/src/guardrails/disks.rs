//! The disks of those that are written to.

use dodona_cluster::Node;
use dodona_cluster::gossip::disk_usages::DiskUsage;
use dodona_types::Token;
use dodona_types::schema::Table;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// Seconds between two warnings that disks of replicas are stuffed (Cassandra's).
const WARNING_SECONDS: i64 = 30 * 60;

/// What is known of the disks of replicas.
pub(crate) struct Disks {
    node: Arc<Node>,
    /// Seconds since the epoch from which on clients are warned again.
    warns_at: AtomicI64,
}

impl Disks {
    pub(crate) const fn new(node: Arc<Node>) -> Self {
        Self { node, warns_at: AtomicI64::new(i64::MIN) }
    }

    /// How full the fullest disk of those is that a partition is written to.
    #[inline]
    pub(super) fn of(&self, table: &Table, key: &[u8]) -> DiskUsage {
        if self.node.gossiper.disk_usages().are_spacious() {
            return DiskUsage::Spacious;
        }
        self.node.disk_usage_of(table.id, Token::of_key(key))
    }

    /// True if a client is to be warned, and others are not for a while.
    pub(super) fn warns(&self) -> bool {
        let now = self.node.env.clock.wall_seconds();
        let due = self.warns_at.load(Relaxed);
        let next = now.saturating_add(WARNING_SECONDS);
        now >= due && self.warns_at.compare_exchange(due, next, Relaxed, Relaxed).is_ok()
    }
}
