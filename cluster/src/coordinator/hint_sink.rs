//! Where a coordinator leaves what a replica has missed.

use crate::hints::Hints;
use uuid::Uuid;

/// Takes mutations for members that did not take them themselves.
pub trait HintSink: Send + Sync {
    /// Keeps a mutation for the member with this host id until that member has it. Must not wait.
    fn hint(&self, host: Uuid, mutation: &[u8]);

    /// True if hints are kept, so that one may stand for a replica at level ANY.
    fn keeps(&self) -> bool {
        true
    }
}

/// Keeps no hints: for a node that is alone.
pub struct NoHints;

impl HintSink for NoHints {
    fn hint(&self, _: Uuid, _: &[u8]) {}

    fn keeps(&self) -> bool {
        false
    }
}

impl HintSink for Hints {
    fn hint(&self, host: Uuid, mutation: &[u8]) {
        // What is refused is counted.
        let _ = self.write(host, mutation);
    }
}
