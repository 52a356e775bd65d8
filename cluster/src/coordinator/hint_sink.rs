//! Where a coordinator leaves what a replica has missed.

use crate::error::ClusterError;
use crate::hints::Hints;
use dodona_env::net::BoxFuture;
use dodona_types::TableId;
use uuid::Uuid;

/// Takes mutations for members that did not take them themselves.
pub trait HintSink: Send + Sync {
    /// Keeps a mutation for the member with this host id until that member has it, unless its table was truncated since
    /// `era`, when its write began. Must not wait. False if it cannot be kept: too many wait, or for too long.
    fn hint(&self, host: Uuid, mutation: &[u8], era: u64) -> bool;

    /// The present moment, in the order of truncations.
    fn era(&self) -> u64 {
        0
    }

    /// Has no hint of a table delivered any more that is there, or is of a write that is under way.
    ///
    /// # Errors
    /// The operating system's.
    fn void(&self, _: TableId) -> BoxFuture<'_, Result<(), ClusterError>> {
        Box::pin(async { Ok(()) })
    }

    /// True if hints are kept, so that one may stand for a replica at level ANY.
    fn keeps(&self) -> bool {
        true
    }
}

/// Keeps no hints: for a node that is alone.
pub struct NoHints;

impl HintSink for NoHints {
    fn hint(&self, _: Uuid, _: &[u8], _: u64) -> bool {
        false
    }

    fn keeps(&self) -> bool {
        false
    }
}

impl HintSink for Hints {
    fn hint(&self, host: Uuid, mutation: &[u8], era: u64) -> bool {
        // What is refused is counted. What was truncated is nowhere, as it should be.
        self.is_void(mutation, era) || self.write(host, mutation)
    }

    fn era(&self) -> u64 {
        Self::era(self)
    }

    fn keeps(&self) -> bool {
        self.switches().is_enabled()
    }

    fn void(&self, table: TableId) -> BoxFuture<'_, Result<(), ClusterError>> {
        Box::pin(Self::void(self, table))
    }
}
