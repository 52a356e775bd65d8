//! What members ask each other about the metadata log. The payload of a
//! [`crate::message::Body::Metadata`] is a [`Request`], of its answer an [`Answer`], both as JSON.

use super::state::{Change, Metadata, Outcome};
use super::types::{self, TypeConfig};
use crate::error::ClusterError;
use crate::gossip::mark::Mark;
use crate::ring::Member;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// A request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Raft: entries of the leader.
    Append(openraft::raft::AppendEntriesRequest<TypeConfig>),
    /// Raft: a candidate wants a vote.
    Vote(openraft::raft::VoteRequest<TypeConfig>),
    /// Raft: a candidate asks whether it would get one.
    PreVote(openraft::raft::VoteRequest<TypeConfig>),
    /// Raft: the whole metadata, for a voter that is far behind.
    Snapshot(types::Vote, types::SnapshotMeta, Arc<Metadata>),
    /// Append a change, as the leader.
    Change(Change),
    /// Send the metadata, if they are newer than this version.
    Pull(u64),
    /// Answer once at least this version is applied.
    Reach(u64),
    /// Which cluster is this?
    Who,
    /// What time is it?
    Time,
    /// Fetch what this member is to hold by the change that is under way, and say whether it has.
    Fetch,
    /// Take a new member in, whose tokens are yet to be chosen.
    Join(Box<Member>, usize),
    /// Take a new member in, in the place of the one with this host id or address.
    Replace(Box<Member>, String),
    /// How far was the disk of this member, as others remember it?
    Known(Uuid),
    /// Of Raft, for the member of this number: another one may have its address by now.
    For(u64, Box<Request>),
    /// The same, or a change to be appended, of a log that was recovered ([`Metadata::recovery`]): first which one it is.
    /// Whoever has another one has no part in it.
    Since(u64, u64, Box<Request>),
}

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Request::Append`].
    Append(openraft::raft::AppendEntriesResponse<TypeConfig>),
    /// To [`Request::Vote`] and [`Request::PreVote`].
    Vote(openraft::raft::VoteResponse<TypeConfig>),
    /// To [`Request::Snapshot`].
    Snapshot(openraft::raft::SnapshotResponse<TypeConfig>),
    /// To [`Request::Change`].
    Changed(Outcome),
    /// To [`Request::Change`]: another member leads, if it is known which.
    NotLeader(Option<u64>),
    /// To [`Request::Pull`]: newer metadata.
    Metadata(Arc<Metadata>),
    /// To [`Request::Pull`] and [`Request::Reach`]: this version is applied. To [`Request::Fetch`]: and
    /// everything is fetched.
    Version(u64),
    /// To [`Request::Who`]: the cluster's id and name.
    Cluster(Uuid, String),
    /// To [`Request::Time`]: microseconds since the epoch.
    Time(i64),
    /// To [`Request::Known`]: as far as this.
    Known(Mark),
    /// To [`Request::Join`]: the metadata with the new member.
    Joined(Uuid, Arc<Metadata>),
    /// To [`Request::Fetch`]: that is going on.
    Fetching,
    /// It could not be done now, and why.
    Failed(String),
    /// It cannot be done, and why.
    Refused(String),
}

impl Request {
    /// The request as one for the member of this number alone, and of this log ([`Metadata::recovery`]).
    #[must_use]
    pub fn to(self, number: u64, recovery: u64) -> Self {
        match recovery {
            0 => Self::For(number, Box::new(self)),
            _ => Self::Since(recovery, number, Box::new(self)),
        }
    }
}

/// The bytes of a request or an answer.
#[must_use]
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    // What these types hold has a form in JSON.
    serde_json::to_vec(message).unwrap_or_default()
}

/// A request or an answer of these bytes.
///
/// # Errors
/// They are none, or say something that only a later release knows.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ClusterError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let kind = if error.is_data() { " that this release does not understand" } else { "" };
        ClusterError::Peer(format!("a message about the metadata log{kind}: {error}"))
    })
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
