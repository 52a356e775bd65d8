//! Truncations: of a table, on all nodes, which all have to be alive (Cassandra
//! `StorageProxy.truncateBlocking`).

use super::Coordinator;
use super::write::expect_mutated;
use crate::error::ClusterError;
use crate::message::Body;
use dodona_types::{Consistency, TableId};
use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use std::time::Duration;

/// How long a node may take (`truncate_request_timeout`).
const TIMEOUT: Duration = Duration::from_secs(60);

impl Coordinator {
    /// Removes all rows of a table everywhere.
    ///
    /// # Errors
    /// A node is down; or one of them does not do it, or does not answer in time: some have done it
    /// then.
    pub async fn truncate(&self, table: TableId) -> Result<(), ClusterError> {
        let placement = self.placement.load_full();
        let members = placement.ring.members();
        let here = members[placement.local].host;
        let is_local = placement.replication_of(table)?.is_local();
        let others: Vec<_> = members.iter().filter(|member| member.host != here && !is_local).collect();
        let alive = others.iter().filter(|member| self.liveness.is_alive(member.host)).count();
        if alive < others.len() {
            return Err(ClusterError::Unavailable {
                consistency: Consistency::All,
                required: others.len() as u32 + 1,
                alive: alive as u32 + 1,
                data_center: None,
            });
        }
        let ask_others = |body: fn(Vec<u8>) -> Body| {
            let asked = others.iter().map(move |member| {
                let body = body(table.0.as_bytes().to_vec());
                async move { expect_mutated(self.peers.ask(member.internode, body, TIMEOUT).await) }
            });
            join_all(asked).map(|answers| answers.into_iter().collect::<Result<(), _>>())
        };
        // What a replica missed before must not come to it afterwards, from whichever node.
        let void = || join(self.void(table), ask_others(Body::VoidHints));
        let (here, there) = void().await;
        here.and(there)?;
        if self.placement.load().ring.is_changing() {
            // Who leaves may have handed hints to one that had heard of this already.
            let (here, there) = void().await;
            here.and(there)?;
        }
        if self.env.mutants.has("truncation-is-local") {
            return Ok(self.replica.truncate(table).await?);
        }
        let (here, there) = join(self.replica.truncate(table), ask_others(Body::Truncate)).await;
        here.map_err(ClusterError::from).and(there)
    }

    /// Has nothing of a table come from this node any more that others have missed: neither hints nor kept batches.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) async fn void(&self, table: TableId) -> Result<(), ClusterError> {
        self.batches.void(table).await?;
        self.hints.void(table).await
    }
}
