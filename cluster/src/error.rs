//! Why a request could not be served, as the native protocol tells clients.

use dodona_storage::StorageError;
use dodona_types::Consistency;
use thiserror::Error;

/// An error of a coordinator.
#[derive(Clone, Debug, Error)]
pub enum ClusterError {
    /// Too few replicas are alive: nothing was sent.
    #[error(
        "Cannot achieve consistency level {consistency}{}",
        data_center.as_ref().map_or_else(String::new, |name| format!(" in DC {name}"))
    )]
    Unavailable {
        /// The level asked for.
        consistency: Consistency,
        /// Replicas it needs.
        required: u32,
        /// Replicas alive.
        alive: u32,
        /// The data centre that has too few, if only one was counted.
        data_center: Option<String>,
    },
    /// Too few replicas acknowledged a write in time: it may or may not be applied.
    #[error("Operation timed out - received only {received} responses.")]
    WriteTimeout {
        /// The level asked for.
        consistency: Consistency,
        /// Acknowledgements received.
        received: u32,
        /// Acknowledgements needed.
        block_for: u32,
    },
    /// Too few members have said in time that they keep a logged batch: it may be written or not.
    #[error("Operation timed out - received only {received} responses.")]
    BatchLogTimeout {
        /// The level asked for.
        consistency: Consistency,
        /// Members that keep it.
        received: u32,
        /// Members that are to keep it.
        block_for: u32,
    },
    /// A conditional request was not decided in time: nothing was written under its own ballot.
    #[error(
        "CAS operation timed out: received {received} of {block_for} required responses after {contentions} contention retries"
    )]
    CasTimeout {
        /// The level asked for.
        consistency: Consistency,
        /// Promises received.
        received: u32,
        /// Promises needed.
        block_for: u32,
        /// How often another request was in the way.
        contentions: u32,
    },
    /// A conditional write was proposed, and too few replicas said in time that they accepted it:
    /// it may be chosen later.
    #[error("CAS operation result is unknown - proposal accepted by {received} but not a quorum.")]
    CasUnknown {
        /// The level asked for.
        consistency: Consistency,
        /// Acceptances received.
        received: u32,
        /// Acceptances needed.
        block_for: u32,
    },
    /// Too few replicas answered a read in time.
    #[error("Operation timed out - received only {received} responses.")]
    ReadTimeout {
        /// The level asked for.
        consistency: Consistency,
        /// Answers received.
        received: u32,
        /// Answers needed.
        block_for: u32,
        /// True if the data were among them.
        data_present: bool,
    },
    /// Replicas refused or failed a write.
    #[error("Operation failed - received {received} responses and {failures} failures: {reason}")]
    WriteFailure {
        /// The level asked for.
        consistency: Consistency,
        /// Acknowledgements received.
        received: u32,
        /// Acknowledgements needed.
        block_for: u32,
        /// Replicas that failed.
        failures: u32,
        /// What the first of them said.
        reason: String,
    },
    /// Replicas failed a read.
    #[error("Operation failed - received {received} responses and {failures} failures: {reason}")]
    ReadFailure {
        /// The level asked for.
        consistency: Consistency,
        /// Answers received.
        received: u32,
        /// Answers needed.
        block_for: u32,
        /// Replicas that failed.
        failures: u32,
        /// What the first of them said.
        reason: String,
        /// One of them met too many tombstones.
        too_many_tombstones: bool,
        /// True if the data were among the answers.
        data_present: bool,
    },
    /// The schema has changed since the change was worked out.
    #[error("the schema changed at the same time: try again")]
    SchemaConflict,
    /// Too few of the members that vote on the metadata log answer: schema and membership cannot
    /// change now. What was asked for may still come.
    #[error("the schema and the membership cannot be changed now: {0}")]
    NoMetadataQuorum(String),
    /// Replicas were chosen by members that have changed since, to this version: choose again.
    #[error("the members of the cluster have changed, to version {0}: try again")]
    Stale(u64),
    /// The request cannot be served as it is.
    #[error("{0}")]
    Invalid(String),
    /// The engine failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A peer is not reached, does not answer in time, or sent what does not follow the protocol between
    /// nodes.
    #[error("{0}")]
    Peer(String),
    /// A peer is not spoken with because of TLS: what is wrong, and what to do.
    #[error("{0}")]
    Tls(String),
    /// A peer and this node do not belong together, as long as nobody changes that: they are of different clusters, or of
    /// releases that have no version of the protocol between nodes in common. What is wrong, and what to do.
    #[error("{0}")]
    Unwelcome(String),
}

impl ClusterError {
    /// True if an operator has to do something before the peer is spoken with.
    #[must_use]
    pub const fn is_for_operators(&self) -> bool {
        matches!(self, Self::Tls(_) | Self::Unwelcome(_))
    }
}

impl ClusterError {
    /// The error of a read that has met more tombstones than it may, in several parts.
    #[must_use]
    pub const fn too_many_tombstones(at_most: u64) -> Self {
        Self::Storage(StorageError::TooManyTombstones { at_most })
    }
}
