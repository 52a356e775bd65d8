//! Counts answers of replicas, and turns too few of them into the error that clients are told.

use super::plan::{Plan, Target};
use crate::error::ClusterError;
use dodona_storage::StorageError;

/// The answers to one request so far.
pub(super) struct Gather<'a> {
    plan: &'a Plan,
    received: u32,
    /// Answers from each data centre of the plan's shares.
    by_share: Vec<u32>,
    failures: u32,
    reason: Option<String>,
    too_many_tombstones: bool,
    spared: u32,
}

impl<'a> Gather<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            received: 0,
            by_share: vec![0; plan.shares.len()],
            failures: 0,
            reason: None,
            too_many_tombstones: false,
            spared: 0,
        }
    }

    /// Takes an answer.
    pub(super) fn take(&mut self, target: &Target) {
        if self.plan.counts(target) {
            self.received += 1;
            if let Some(count) = self.by_share.get_mut(target.share) {
                *count += 1;
            }
        }
    }

    /// Takes an error: a replica that is not reached is one that did not answer; one that says no
    /// has failed.
    pub(super) fn fail(&mut self, target: &Target, error: &ClusterError) {
        if !matches!(error, ClusterError::Peer(_)) && self.plan.counts(target) {
            self.failures += 1;
            self.reason.get_or_insert_with(|| error.to_string());
            let met = matches!(error, ClusterError::Storage(StorageError::TooManyTombstones { .. }));
            self.too_many_tombstones |= met;
        }
    }

    /// Answers that count: of a data centre no more than it must give.
    pub(super) fn received(&self) -> u32 {
        if self.by_share.is_empty() {
            return self.received;
        }
        self.by_share.iter().zip(&self.plan.shares).map(|(count, share)| (*count).min(share.block_for)).sum()
    }

    /// True if an answer of this replica would bring the level nearer: at EACH_QUORUM another one of its data centre is
    /// still wanted.
    pub(super) fn lacks(&self, target: &Target) -> bool {
        if self.plan.shares.is_empty() {
            return self.plan.counts(target);
        }
        let share = self.plan.shares.get(target.share).zip(self.by_share.get(target.share));
        share.is_some_and(|(share, count)| *count < share.block_for)
    }

    /// True once the level is reached.
    pub(super) fn is_enough(&self) -> bool {
        self.received() + self.spared >= self.plan.block_for
    }

    /// Wants one answer less, if there are several: a defect for simulations.
    pub(super) fn spare_one(&mut self) {
        self.spared = u32::from(self.plan.block_for > 1);
    }

    /// True once so many replicas have failed that the level cannot be reached.
    pub(super) fn is_hopeless(&self) -> bool {
        self.failures > 0 && self.plan.block_for + self.failures > self.plan.candidates()
    }

    /// The end of a write (Cassandra `AbstractWriteResponseHandler.get`).
    pub(super) fn write_result(self) -> Result<(), ClusterError> {
        if self.is_enough() {
            return Ok(());
        }
        let (hopeless, received) = (self.is_hopeless(), self.received());
        let Self { plan: Plan { consistency, block_for, .. }, failures, reason, .. } = self;
        let (consistency, block_for) = (*consistency, *block_for);
        match reason {
            Some(reason) if hopeless => {
                Err(ClusterError::WriteFailure { consistency, received, block_for, failures, reason })
            }
            _ => Err(ClusterError::WriteTimeout { consistency, received, block_for }),
        }
    }

    /// The end of a read (Cassandra `ReadCallback.awaitResults`): `data_present` says whether the
    /// data themselves are among the answers.
    pub(super) fn read_result(self, data_present: bool) -> Result<(), ClusterError> {
        if self.is_enough() && data_present {
            return Ok(());
        }
        let received = self.received();
        let Self { plan: Plan { consistency, block_for, .. }, failures, reason, too_many_tombstones, .. } =
            self;
        let (consistency, block_for) = (*consistency, *block_for);
        match reason {
            Some(reason) => Err(ClusterError::ReadFailure {
                consistency,
                received,
                block_for,
                failures,
                reason,
                too_many_tombstones,
                data_present,
            }),
            None => Err(ClusterError::ReadTimeout { consistency, received, block_for, data_present }),
        }
    }
}
