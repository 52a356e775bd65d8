//! Counts answers of replicas, and turns too few of them into the error that clients are told.

use super::plan::{Plan, Target};
use crate::error::{ClusterError, Failure, WriteKind};
use dodona_storage::StorageError;

/// The answers to one request so far.
pub(super) struct Gather<'a> {
    plan: &'a Plan,
    received: u32,
    /// Answers from each data centre of the plan's shares.
    by_share: Vec<u32>,
    failures: Vec<Failure>,
    spared: u32,
}

impl<'a> Gather<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        Self { plan, received: 0, by_share: vec![0; plan.shares.len()], failures: Vec::new(), spared: 0 }
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
            self.failures.push(Failure {
                replica: target.internode.ip(),
                too_many_tombstones: matches!(
                    error,
                    ClusterError::Storage(StorageError::TooManyTombstones { .. })
                ),
                reason: error.to_string(),
            });
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
        !self.failures.is_empty() && self.plan.block_for + self.failures.len() as u32 > self.plan.candidates()
    }

    /// The end of a write (Cassandra `AbstractWriteResponseHandler.get`).
    pub(super) fn write_result(self, kind: WriteKind) -> Result<(), ClusterError> {
        if self.is_enough() {
            return Ok(());
        }
        let (hopeless, received) = (self.is_hopeless(), self.received());
        let Self { plan: Plan { consistency, block_for, .. }, failures, .. } = self;
        let (consistency, block_for) = (*consistency, *block_for);
        Err(if hopeless {
            ClusterError::WriteFailure { consistency, received, block_for, failures, kind }
        } else {
            ClusterError::WriteTimeout { consistency, received, block_for, kind }
        })
    }

    /// The end of a read (Cassandra `ReadCallback.awaitResults`): `data_present` says whether the
    /// data themselves are among the answers.
    pub(super) fn read_result(self, data_present: bool) -> Result<(), ClusterError> {
        if self.is_enough() && data_present {
            return Ok(());
        }
        let received = self.received();
        let Self { plan: Plan { consistency, block_for, .. }, failures, .. } = self;
        let (consistency, block_for) = (*consistency, *block_for);
        Err(if failures.is_empty() {
            ClusterError::ReadTimeout { consistency, received, block_for, data_present }
        } else {
            ClusterError::ReadFailure { consistency, received, block_for, failures, data_present }
        })
    }
}
