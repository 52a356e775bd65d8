//! Why a request could not be served, as the native protocol tells clients.

use dodona_storage::StorageError;
use dodona_types::Consistency;
use std::net::IpAddr;
use thiserror::Error;

/// What kind of write an error is of: clients decide by it whether to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteKind {
    /// One partition, or what a conditional write has chosen.
    Simple,
    /// A logged batch.
    Batch,
    /// Several partitions that happen one by one.
    UnloggedBatch,
    /// Counters: making it again may count twice.
    Counter,
}

/// A replica that refused or failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Where it listens to other nodes.
    pub replica: IpAddr,
    /// It met too many tombstones.
    pub too_many_tombstones: bool,
    /// What it said.
    pub reason: String,
}

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
        /// What was written.
        kind: WriteKind,
    },
    /// Too few members have said in time that they keep a logged batch: it may be written or not.
    #[error("Operation timed out - received only {received} responses.")]
    BatchLogTimeout {
        /// The level that keeping it asks for, whatever that of the batch is.
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
    #[error("Operation failed - received {received} responses and {} failures: {}", failures.len(), first(failures))]
    WriteFailure {
        /// The level asked for.
        consistency: Consistency,
        /// Acknowledgements received.
        received: u32,
        /// Acknowledgements needed.
        block_for: u32,
        /// Replicas that failed.
        failures: Vec<Failure>,
        /// What was written.
        kind: WriteKind,
    },
    /// Replicas failed a read.
    #[error("Operation failed - received {received} responses and {} failures: {}", failures.len(), first(failures))]
    ReadFailure {
        /// The level asked for.
        consistency: Consistency,
        /// Answers received.
        received: u32,
        /// Answers needed.
        block_for: u32,
        /// Replicas that failed.
        failures: Vec<Failure>,
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

fn first(failures: &[Failure]) -> &str {
    failures.first().map_or("", |failure| &failure.reason)
}

impl ClusterError {
    /// The error of a read that has met more tombstones than it may, in several parts.
    #[must_use]
    pub const fn too_many_tombstones(at_most: u64) -> Self {
        Self::Storage(StorageError::TooManyTombstones { at_most })
    }
}
