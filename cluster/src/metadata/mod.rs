//! The metadata log: every change of the schema and of the membership, in one order.
//!
//! * A [`Change`] is data: what it was worked out against, and new definitions. [`Metadata`] is what
//!   all changes come to; applying one is a pure function. One whose premise no longer holds is
//!   refused, and whoever made it works it out again.
//! * Up to [`MAX_VOTERS`] members agree on the order by [`raft`]; each keeps the log in a [`store`].
//!   The others pull what was applied, from any member ([`message::Request::Pull`]).
//! * [`MetadataLog`] is the seam to the rest of the node.

pub mod log;
pub mod message;
pub mod raft;
pub mod runtime;
pub mod schema_change;
pub mod state;
pub mod store;
pub mod types;

use crate::error::ClusterError;
use dodona_env::net::BoxFuture;
use dodona_env::watch;
pub use schema_change::SchemaChange;
pub use state::{Change, Metadata, Outcome};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Members that vote on the log, at most.
pub const MAX_VOTERS: usize = 5;

/// The log.
pub trait MetadataLog: Send + Sync {
    /// What all changes applied here come to.
    fn metadata(&self) -> Arc<Metadata>;

    /// The version of what is applied here, and news of it.
    fn watch(&self) -> watch::Receiver<u64>;

    /// Groups of members, by their numbers, as the log is here: a majority of each has to agree on what comes next. There
    /// are two while it changes who votes.
    fn quorums(&self) -> Vec<BTreeSet<u64>>;

    /// Appends a change. Resolves to what came of it once it is durable and applied here.
    fn append(&self, change: Change) -> BoxFuture<'_, Result<Outcome, ClusterError>>;

    /// Waits until at least this version is applied here, and asks others for it meanwhile.
    fn reach(&self, version: u64) -> BoxFuture<'_, Result<(), ClusterError>>;
}
