//! Changes of counters: one replica leads each.

use super::plan::Plan;
use super::{Coordinator, expect_mutated};
use crate::counter::CounterUpdate;
use crate::error::ClusterError;
use crate::message::Body;
use dodona_types::{Consistency, Token};

impl Coordinator {
    /// Adds to counters, and returns once as many replicas have it as the level asks for.
    ///
    /// # Errors
    /// Too few replicas exist or answer in time: the change may be made or not, and making it again
    /// may make it twice.
    pub async fn count(&self, update: &CounterUpdate, consistency: Consistency) -> Result<(), ClusterError> {
        let plan = self.plan(update.table, Token::of_key(&update.key), consistency)?;
        if let (false, Some(leader)) =
            (plan.replicas.iter().any(|replica| replica.local), plan.replicas.first())
        {
            let mut body = vec![consistency as u8];
            body.extend_from_slice(&update.encode());
            let asked = self.peers.ask(leader.internode, Body::Count(body), self.timeouts.write).await;
            return expect_mutated(asked);
        }
        self.lead(&plan, update).await
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
        // Here it is applied again, which changes nothing.
        self.write_one(plan, &mutation).await
    }
}
