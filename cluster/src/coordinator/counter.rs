//! Changes of counters: one replica leads each.

use super::Coordinator;
use super::plan::{Plan, Target};
use super::write::{expect_mutated, in_doubt};
use crate::counter::CounterUpdate;
use crate::error::{ClusterError, Failure, WriteKind};
use crate::message::Body;
use dodona_storage::StorageError;
use dodona_types::{Consistency, MutationView, Token};

impl Coordinator {
    /// Adds to counters, and returns once as many replicas have it as the level asks for.
    ///
    /// # Errors
    /// Too few replicas are alive or answer in time: the change may be made or not, and making it
    /// again may make it twice.
    pub async fn count(&self, update: &CounterUpdate, consistency: Consistency) -> Result<(), ClusterError> {
        loop {
            match self.try_count(update, consistency).await {
                // Whoever was asked has not counted.
                Err(ClusterError::Stale(version)) => self.follow_members(version).await?,
                counted => return counted,
            }
        }
    }

    /// Makes several changes at the same time. All come to their end, whatever becomes of one of them.
    ///
    /// # Errors
    /// As [`Self::count`], of the first that fails.
    pub async fn count_all(
        &self,
        updates: &[CounterUpdate],
        consistency: Consistency,
    ) -> Result<(), ClusterError> {
        let counted = updates.iter().map(|update| self.count(update, consistency));
        futures_util::future::join_all(counted).await.into_iter().collect()
    }

    async fn try_count(&self, update: &CounterUpdate, consistency: Consistency) -> Result<(), ClusterError> {
        let token = Token::of_key(&update.key);
        let plan = self.plan(update.table, token, consistency)?;
        let block_for = plan.block_for;
        let Some(leader) = self.leader_of(&plan.replicas) else {
            // Enough of those to come may be alive, but none of them can count.
            let alive = 0;
            return Err(ClusterError::Unavailable {
                consistency,
                required: block_for,
                alive,
                data_center: None,
            });
        };
        if leader.local {
            return self.lead(&plan, update).await;
        }
        let mut body = vec![consistency as u8];
        body.extend_from_slice(&update.encode());
        let (asked_at, kind) = (self.env.clock.mono(), WriteKind::Counter);
        let asked = self
            .peers
            .ask_chosen(plan.members, leader.internode, Body::Count(body), self.timeouts.write)
            .await;
        match asked {
            Ok(_) => self.latencies.note_answer(leader.host, asked_at),
            Err(ClusterError::Stale(version)) => return Err(ClusterError::Stale(version)),
            // Another one leads the next time.
            Err(_) => self.latencies.note_failure(leader.host, self.timeouts.write),
        }
        expect_mutated(asked).map_err(|error| match error {
            ClusterError::Peer(_) => ClusterError::WriteTimeout { consistency, received: 0, block_for, kind },
            error => {
                let (replica, reason) = (leader.internode.ip(), error.to_string());
                let failures = vec![Failure { replica, too_many_tombstones: false, reason }];
                ClusterError::WriteFailure { consistency, received: 0, block_for, failures, kind }
            }
        })
    }

    /// The replica that counts: this node, if it is one; else one that is near and answers fast.
    pub(super) fn leader_of(&self, replicas: &[Target]) -> Option<Target> {
        let leaders = replicas.iter().filter(|target| target.alive && !target.pending);
        let look = self.latencies.look();
        leaders.min_by_key(|target| (!target.local, !target.near, look.micros(target.host))).copied()
    }

    /// Does what the coordinator of another node asks of this replica.
    ///
    /// # Errors
    /// The request is malformed; else as [`Self::count`].
    pub(crate) async fn count_for_peer(&self, request: &[u8]) -> Result<(), ClusterError> {
        let malformed = || ClusterError::Peer("a malformed change of counters".into());
        let (level, update) = request.split_first().ok_or_else(malformed)?;
        let consistency = Consistency::from_code(u16::from(*level)).ok_or_else(malformed)?;
        let update = CounterUpdate::decode(update).map_err(|error| ClusterError::Peer(error.to_string()))?;
        let plan = self.plan(update.table, Token::of_key(&update.key), consistency)?;
        self.lead(&plan, &update).await
    }

    async fn lead(&self, plan: &Plan, update: &CounterUpdate) -> Result<(), ClusterError> {
        let (mutation, position) = self.leader.count(update, self.timestamps.next()).await?;
        if plan.only_local() {
            return self.wait_safe(position).await;
        }
        // Here it is applied again, which changes nothing; a hint of the sum may be, too.
        let view = MutationView::parse(&mutation).map_err(StorageError::from)?;
        let mut plan = plan.clone();
        loop {
            match self.write_planned(std::slice::from_ref(&plan), &[view], WriteKind::Counter).await {
                Err(ClusterError::Stale(version)) => {
                    // It is counted: what remains is to bring the sum to the replicas.
                    self.follow_members(version).await.map_err(|_| ClusterError::WriteTimeout {
                        consistency: plan.consistency,
                        received: 0,
                        block_for: plan.block_for,
                        kind: WriteKind::Counter,
                    })?;
                    let again = self.plan(update.table, view.key.token, plan.consistency);
                    plan = again.map_err(|error| in_doubt(error, WriteKind::Counter))?;
                }
                written => return written,
            }
        }
    }
}
