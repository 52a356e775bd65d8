//! Removes what a node does not hold any more: after others have joined, or a keyspace is replicated
//! in another way.

use crate::error::ClusterError;
use crate::node::Node;
use crate::on_engine::on_engine;
use dodona_storage::Engine;
use dodona_storage::engine::cleanup::CleanedUp;
use dodona_types::TableId;

/// Tries while schema or members change.
const TRIES: usize = 10;

impl Node {
    /// Removes from a table what other nodes hold and this one does not.
    ///
    /// # Errors
    /// A member joins or leaves; the metadata log has no quorum; the engine cannot.
    pub async fn clean_up(&self, table: TableId) -> Result<CleanedUp, ClusterError> {
        for _ in 0..TRIES {
            self.catch_up()?;
            let placement = self.placement();
            if placement.ring.is_changing() {
                return Err(ClusterError::Invalid(
                    "a member joins or leaves the cluster: what this node will hold is not settled; clean up \
                     afterwards"
                        .into(),
                ));
            }
            let held = placement.held(table)?;
            if held.iter().any(|range| range.start == range.end) {
                return Ok(CleanedUp::default());
            }
            let files =
                on_engine(&self.env.tasks, &self.engine, move |engine| engine.files_to_clean_up(table))
                    .await?;
            // These files have nothing that a later owner of theirs was given: nobody knew of one.
            if !self.is_newest(placement.schema.epoch, placement.version).await? {
                continue;
            }
            if placement.schema.table_by_id(table).is_some_and(|table| table.is_counter()) {
                // What this node counted last goes, and may not be all there again if it is to hold it once more.
                self.coordinator.count_anew().await?;
            }
            let clean_up = move |engine: &Engine| engine.clean_up(table, &files, &held);
            return on_engine(&self.env.tasks, &self.engine, clean_up).await;
        }
        Err(ClusterError::Invalid("schema and members change all the time".into()))
    }
}
