//! What a repair is to do, and what came of it.

use dodona_types::token::TokenRange;
use uuid::Uuid;

/// What is to be repaired of a table.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only ranges of which this node is the first replica: run on every node, that is each range once.
    pub primary: bool,
    /// Only this part of the ring.
    pub range: Option<TokenRange>,
    /// Only between replicas in these data centres, this node's among them; empty for all.
    pub data_centers: Vec<String>,
    /// Only with these members, this node among them; empty for all.
    pub hosts: Vec<Uuid>,
    /// Leave out replicas that are down, instead of giving up.
    pub force: bool,
    /// Only this node fetches.
    pub pull: bool,
    /// Compare, and change nothing.
    pub preview: bool,
    /// Only what is not repaired yet, which is repaired afterwards.
    pub incremental: bool,
    /// With `preview`: only what is repaired.
    pub validate: bool,
    /// Replicas hash one after another, so that one of them at least is as quick as ever.
    pub sequential: bool,
    /// Tables that are repaired at once, if several are asked for; 0 as 1.
    pub job_threads: usize,
}

impl Options {
    /// Of a node that sees to each range of which it is the first replica.
    #[must_use]
    pub fn primary() -> Self {
        Self { primary: true, ..Self::default() }
    }

    /// True if all replicas hold the same afterwards.
    pub(super) const fn is_complete(&self) -> bool {
        self.data_centers.is_empty() && self.hosts.is_empty() && !self.force && !self.pull && !self.preview
    }
}

/// What came of a repair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Ranges that were compared.
    pub ranges: usize,
    /// Parts of them in which replicas differed.
    pub differing: usize,
    /// Partitions, or pieces of them, that replicas fetched.
    pub partitions: u64,
    /// Bytes that replicas fetched.
    pub bytes: u64,
}

impl Outcome {
    /// Adds another one.
    pub const fn add(&mut self, other: Self) {
        self.ranges += other.ranges;
        self.differing += other.differing;
        self.partitions += other.partitions;
        self.bytes += other.bytes;
    }
}
