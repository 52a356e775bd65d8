//! Which replicas a request goes to, and how many must answer.

use crate::error::ClusterError;
use crate::placement::Placement;
use dodona_types::{Consistency, TableId, Token};
use std::net::SocketAddr;

/// A replica that a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// True for this node.
    pub local: bool,
    /// Where it is reached.
    pub internode: SocketAddr,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The level asked for.
    pub consistency: Consistency,
    /// The replicas.
    pub replicas: Vec<Target>,
    /// How many must answer.
    pub block_for: u32,
}

impl Plan {
    /// The plan for a partition of a table.
    ///
    /// # Errors
    /// [`ClusterError::Unavailable`] if there are too few replicas for the level.
    pub fn new(
        placement: &Placement,
        table: TableId,
        token: Token,
        consistency: Consistency,
    ) -> Result<Self, ClusterError> {
        let replication = placement.replication_of(table)?;
        let members = placement.ring.members();
        let replicas: Vec<Target> = replication
            .replicas(&placement.ring, token, placement.local)
            .into_iter()
            .filter(|index| {
                // Elsewhere others may agree on something else at the same time.
                consistency != Consistency::LocalSerial
                    || members[*index].data_center == members[placement.local].data_center
            })
            .map(|index| Target { local: index == placement.local, internode: members[index].internode })
            .collect();
        let required = replication.block_for(consistency, &members[placement.local].data_center);
        let alive = replicas.len() as u32;
        if alive < required {
            return Err(ClusterError::Unavailable { consistency, required, alive });
        }
        Ok(Self { consistency, replicas, block_for: required })
    }

    /// True if this node is the only replica.
    #[must_use]
    pub fn only_local(&self) -> bool {
        matches!(self.replicas.as_slice(), [Target { local: true, .. }])
    }

    /// For a read over many partitions: every member is asked, and as many may stay silent as
    /// each partition's level allows.
    pub fn ask_all_members(&mut self, placement: &Placement) {
        let silent = self.replicas.len() as u32 - self.block_for;
        let members = placement.ring.members();
        self.replicas = members
            .iter()
            .enumerate()
            .map(|(index, member)| Target { local: index == placement.local, internode: member.internode })
            .collect();
        self.block_for = (members.len() as u32).saturating_sub(silent).max(1);
    }
}
