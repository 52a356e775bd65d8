//! Who would be asked, told without asking: for EXPLAIN.

use super::Coordinator;
use super::plan::{Plan, Planner, Target};
use crate::batch_log::possible_keepers;
use crate::error::ClusterError;
pub use dodona_storage::engine::sources::{HoldingMemtable, PossibleFile, ReadSources};
use dodona_types::read_command::PartitionRange;
use dodona_types::{Consistency, TableId, Token};
use std::net::SocketAddr;

/// Who would be asked for a partition.
#[derive(Clone, Debug)]
pub struct Asked {
    /// All replicas. Those that a read asks first come first, as many as must answer.
    pub replicas: Vec<Target>,
    /// How many must answer.
    pub block_for: u32,
    /// Why the request would fail at once: too few of them are alive.
    pub unavailable: Option<ClusterError>,
}

/// Who would keep a logged batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keepers {
    /// Those that may.
    pub members: Vec<SocketAddr>,
    /// How many of them do.
    pub count: usize,
}

impl Asked {
    /// True if this node is the only replica.
    #[must_use]
    pub fn is_only_here(&self) -> bool {
        matches!(self.replicas.as_slice(), [Target { local: true, .. }])
    }

    /// True if this node is among those that are asked first.
    #[must_use]
    pub fn begins_here(&self) -> bool {
        self.unavailable.is_none() && self.replicas.iter().take(self.block_for as usize).any(|it| it.local)
    }

    /// All replicas of a token, as a plan has them.
    fn by(
        planner: &Planner<'_>,
        table: TableId,
        token: Token,
        consistency: Consistency,
        plan: impl FnOnce(&Planner<'_>) -> Result<Plan, ClusterError>,
    ) -> Result<Self, ClusterError> {
        let mut all = planner.replicas(table, token, consistency)?;
        match plan(planner) {
            Ok(plan) => {
                all.replicas.retain(|one| plan.replicas.iter().all(|other| other.host != one.host));
                let replicas = [plan.replicas, all.replicas].concat();
                Ok(Self { replicas, block_for: plan.block_for, unavailable: None })
            }
            Err(error @ ClusterError::Unavailable { .. }) => {
                Ok(Self { replicas: all.replicas, block_for: all.block_for, unavailable: Some(error) })
            }
            Err(error) => Err(error),
        }
    }
}

impl Coordinator {
    /// Who would be asked for a partition of a read. That a read which one replica answers stays on this
    /// node, if it is one, holds here as well: it comes first.
    ///
    /// # Errors
    /// The table is not known.
    pub fn asked_to_read(
        &self,
        table: TableId,
        token: Token,
        consistency: Consistency,
    ) -> Result<Asked, ClusterError> {
        let read = |planner: &Planner<'_>| planner.read(table, token, consistency, &self.latencies);
        Asked::by(&self.planner(&self.placement.load()), table, token, consistency, read)
    }

    /// Who would be written to: all replicas, and those to come.
    ///
    /// # Errors
    /// The table is not known.
    pub fn asked_to_write(
        &self,
        table: TableId,
        token: Token,
        consistency: Consistency,
    ) -> Result<Asked, ClusterError> {
        let write = |planner: &Planner<'_>| planner.write(table, token, consistency);
        Asked::by(&self.planner(&self.placement.load()), table, token, consistency, write)
    }

    /// The replica that would lead a change of counters.
    #[must_use]
    pub fn asked_to_count(&self, asked: &Asked) -> Option<Target> {
        self.leader_of(&asked.replicas)
    }

    /// The members that would keep a logged batch.
    #[must_use]
    pub fn asked_to_keep(&self) -> Keepers {
        let placement = self.placement.load();
        let members = placement.ring.members();
        let (racks, count) = possible_keepers(members, placement.local, &*self.liveness);
        Keepers { members: racks.concat().into_iter().map(|index| members[index].internode).collect(), count }
    }

    /// The parts of the ring of which a range is read one after another, each with who would be asked.
    ///
    /// # Errors
    /// The table is not known.
    pub fn asked_to_read_range(
        &self,
        table: TableId,
        range: &PartitionRange,
        consistency: Consistency,
    ) -> Result<Vec<(PartitionRange, Asked)>, ClusterError> {
        let placement = self.placement.load();
        let planner = self.planner(&placement);
        let mut parts: Vec<(PartitionRange, Asked)> = Vec::new();
        for (part, end) in super::range::parts_of(&placement, range) {
            let read = |planner: &Planner<'_>| planner.read(table, end, consistency, &self.latencies);
            let asked = Asked::by(&planner, table, end, consistency, read)?;
            match parts.last_mut() {
                Some((last, present)) if present.replicas == asked.replicas => last.end = part.end,
                _ => parts.push((part, asked)),
            }
        }
        Ok(parts)
    }
}
