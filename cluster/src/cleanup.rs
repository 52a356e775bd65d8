//! Removes what a node does not hold any more: after others have joined, or a keyspace is replicated
//! in another way.

use crate::error::ClusterError;
use crate::metadata::{Change, MetadataLog, Outcome};
use crate::node::Node;
use dodona_storage::engine::cleanup::CleanedUp;
use dodona_storage::{Engine, StorageError};
use dodona_types::TableId;
use std::sync::Arc;

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
            let files = self.on_engine(move |engine| engine.files_to_clean_up(table)).await?;
            // These files have nothing that a later owner of theirs was given: nobody knew of one.
            let change = Change::Confirm { epoch: placement.schema.epoch, members: placement.version };
            match self.metadata.append(change).await? {
                Outcome::Applied(_) => {}
                Outcome::Conflict => continue,
                Outcome::Busy(reason) | Outcome::Refused(reason) => {
                    return Err(ClusterError::Invalid(reason));
                }
            }
            return self.on_engine(move |engine| engine.clean_up(table, &files, &held)).await;
        }
        Err(ClusterError::Invalid("schema and members change all the time".into()))
    }

    /// Does work on the engine where it may block.
    pub(crate) async fn on_engine<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, ClusterError> {
        let engine = Arc::clone(&self.engine);
        let done = self.env.tasks.blocking(move || work(&engine)).await;
        Ok(done.map_err(|error| ClusterError::Invalid(error.to_string()))??)
    }
}
