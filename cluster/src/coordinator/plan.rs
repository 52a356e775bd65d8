//! Which replicas a request goes to, and how many must answer.

use super::latency::Latencies;
use crate::error::ClusterError;
use crate::liveness::Liveness;
use crate::placement::Placement;
use crate::replication::Replication;
use crate::ring::MemberIndex;
use dodona_types::{Consistency, TableId, Token};
use std::net::SocketAddr;
use uuid::Uuid;

/// A replica that a request concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its host id.
    pub host: Uuid,
    /// Its place among the ring's members.
    pub member: MemberIndex,
    /// True for this node.
    pub local: bool,
    /// Where it is reached.
    pub internode: SocketAddr,
    /// True in this node's data centre.
    pub near: bool,
    /// Its data centre ([`crate::ring::Ring::center`]).
    pub center: MemberIndex,
    /// Its data centre's place in [`Plan::shares`], if that has any.
    pub share: usize,
    /// True if it is believed to answer.
    pub alive: bool,
    /// True if it will hold the partition and does not yet.
    pub pending: bool,
}

/// How many of a data centre's replicas must answer at EACH_QUORUM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The data centre.
    pub data_center: String,
    /// How many.
    pub block_for: u32,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The version of the members that it is made by.
    pub members: u64,
    /// The level asked for.
    pub consistency: Consistency,
    /// The replicas. For a read those that may be asked, the best first.
    pub replicas: Vec<Target>,
    /// How many must answer.
    pub block_for: u32,
    /// What each data centre must answer, at EACH_QUORUM of a strategy that knows them.
    pub shares: Vec<Share>,
}

/// How a write deals with replicas to come, or that go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// They are written to and waited for.
    Awaited,
    /// They are written to: a defect for simulations.
    Written,
    /// They are forgotten: a defect for simulations.
    Forgotten,
}

/// What plans may get wrong: for simulations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Defects {
    /// Dead replicas count as alive.
    pub counts_dead: bool,
    /// EACH_QUORUM takes answers from anywhere.
    pub forgets_shares: bool,
    /// Answers of other data centres count as near.
    pub takes_all_for_near: bool,
}

/// What a plan is made of.
#[derive(Clone, Copy)]
pub struct Planner<'a> {
    /// Who holds what.
    pub placement: &'a Placement,
    /// Who answers.
    pub liveness: &'a dyn Liveness,
    /// True if a hint may stand for a replica at level ANY.
    pub keeps_hints: bool,
    /// Defects for simulations.
    pub defects: Defects,
    /// How those to come, or that go, are dealt with.
    pub pending: Pending,
}

/// True if only answers from this node's data centre count.
const fn is_near_only(consistency: Consistency) -> bool {
    matches!(consistency, Consistency::LocalOne | Consistency::LocalQuorum | Consistency::LocalSerial)
}

impl Planner<'_> {
    /// The plan of a write: to all replicas, and to those to come (Cassandra
    /// `ConsistencyLevel.blockForWrite`, `ReplicaPlans.forWrite`).
    ///
    /// # Errors
    /// [`ClusterError::Unavailable`] if too few of them are alive for the level.
    pub fn write(
        &self,
        table: TableId,
        token: Token,
        consistency: Consistency,
    ) -> Result<Plan, ClusterError> {
        let mut plan = self.replicas(table, token, consistency)?;
        let pending = match self.pending {
            Pending::Forgotten => Vec::new(),
            Pending::Awaited | Pending::Written => self.placement.pending(table, token)?,
        };
        for member in pending {
            let target = Target { pending: true, ..self.target(member, &plan.shares) };
            if consistency == Consistency::LocalSerial && !target.near {
                continue;
            }
            if consistency != Consistency::Any && (target.near || !is_near_only(consistency)) {
                plan.block_for += 1;
            }
            if self.pending == Pending::Written {
                plan.block_for = plan.block_for.saturating_sub(1);
            }
            if let Some(share) = plan.shares.get_mut(target.share) {
                share.block_for += 1;
            }
            plan.replicas.push(target);
        }
        if consistency == Consistency::Any && self.keeps_hints {
            return Ok(plan);
        }
        self.assure(plan)
    }

    /// The plan of a read of one partition: of replicas that are alive, this node first, then those
    /// of its data centre, then the fastest.
    ///
    /// # Errors
    /// [`ClusterError::Unavailable`] if too few of them are alive for the level.
    pub fn read(
        &self,
        table: TableId,
        token: Token,
        consistency: Consistency,
        latencies: &Latencies,
    ) -> Result<Plan, ClusterError> {
        let mut plan = self.assure(self.replicas(table, token, consistency)?)?;
        plan.replicas.retain(|target| target.alive && (target.near || !is_near_only(consistency)));
        if plan.replicas.len() > 1 {
            let look = latencies.look();
            plan.replicas
                .sort_by_cached_key(|target| (!target.local, !target.near, look.micros(target.host)));
        }
        // At EACH_QUORUM those come first that make up each data centre's share.
        let mut left: Vec<u32> = plan.shares.iter().map(|share| share.block_for).collect();
        plan.replicas.sort_by_cached_key(|target| match left.get_mut(target.share) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            count => count.is_some(),
        });
        Ok(plan)
    }

    /// The members to come, or that go, that have to have what is read at a level.
    ///
    /// # Errors
    /// The table is not known.
    pub(super) fn pending(
        &self,
        table: TableId,
        token: Token,
        consistency: Consistency,
    ) -> Result<Vec<Target>, ClusterError> {
        if self.pending == Pending::Forgotten {
            return Ok(Vec::new());
        }
        let members = self.placement.pending(table, token)?.into_iter();
        let targets = members.map(|member| Target { pending: true, ..self.target(member, &[]) });
        Ok(targets.filter(|target| target.near || !is_near_only(consistency)).collect())
    }

    pub(super) fn replicas(
        &self,
        table: TableId,
        token: Token,
        consistency: Consistency,
    ) -> Result<Plan, ClusterError> {
        let Placement { ring, local, .. } = self.placement;
        let replication = self.placement.replication_of(table)?;
        let shares = if self.defects.forgets_shares { Vec::new() } else { shares(replication, consistency) };
        let mut replicas: Vec<Target> = replication
            .replicas(ring, token, *local)
            .into_iter()
            .map(|member| self.target(member, &shares))
            .collect();
        if consistency == Consistency::LocalSerial {
            // Elsewhere others may agree on something else at the same time.
            replicas.retain(|target| target.near);
        }
        let block_for = replication.block_for(consistency, &ring.members()[*local].data_center);
        Ok(Plan { members: self.placement.version, consistency, replicas, block_for, shares })
    }

    fn target(&self, index: MemberIndex, shares: &[Share]) -> Target {
        let Placement { ring, local, .. } = self.placement;
        let member = &ring.members()[index];
        let (is_local, center) = (index == *local, ring.center(index));
        Target {
            host: member.host,
            member: index,
            local: is_local,
            internode: member.internode,
            near: is_local || self.defects.takes_all_for_near || center == ring.center(*local),
            center,
            share: shares.iter().position(|share| share.data_center == member.data_center).unwrap_or(0),
            alive: is_local || self.defects.counts_dead || self.liveness.is_alive(member.host),
            pending: false,
        }
    }

    /// Refuses a plan that cannot succeed (Cassandra `assureSufficientLiveReplicas`).
    fn assure(&self, plan: Plan) -> Result<Plan, ClusterError> {
        let Plan { consistency, block_for, .. } = plan;
        let alive = |counts: &dyn Fn(&Target) -> bool| {
            plan.replicas.iter().filter(|target| target.alive && counts(target)).count() as u32
        };
        let unavailable = |required, alive, data_center| {
            Err(ClusterError::Unavailable { consistency, required, alive, data_center })
        };
        for (index, share) in plan.shares.iter().enumerate() {
            let there = alive(&|target| target.share == index);
            // Those to come are needed by the sum alone.
            let pending = plan.replicas.iter().filter(|target| target.pending && target.share == index);
            let required = share.block_for.saturating_sub(pending.count() as u32);
            if there < required {
                return unavailable(required, there, Some(share.data_center.clone()));
            }
        }
        let alive = alive(&|target| plan.counts(target));
        // One near replica serves, whatever is to come.
        let required = if consistency == Consistency::LocalOne { 1 } else { block_for };
        if alive < required {
            return unavailable(required, alive, None);
        }
        Ok(plan)
    }
}

fn shares(replication: &Replication, consistency: Consistency) -> Vec<Share> {
    match (replication, consistency) {
        (Replication::NetworkTopology { factors }, Consistency::EachQuorum) => factors
            .iter()
            .filter(|(_, factor)| **factor > 0)
            .map(|(name, factor)| Share { data_center: name.clone(), block_for: factor / 2 + 1 })
            .collect(),
        _ => Vec::new(),
    }
}

impl Plan {
    /// True if this node is the only replica.
    #[must_use]
    pub fn only_local(&self) -> bool {
        matches!(self.replicas.as_slice(), [Target { local: true, .. }])
    }

    /// True if an answer of this replica counts for the level.
    #[must_use]
    pub const fn counts(&self, target: &Target) -> bool {
        target.near || !is_near_only(self.consistency)
    }

    /// The replicas whose answers count.
    #[must_use]
    pub fn candidates(&self) -> u32 {
        self.replicas.iter().filter(|target| self.counts(target)).count() as u32
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
pub(crate) mod tests;
