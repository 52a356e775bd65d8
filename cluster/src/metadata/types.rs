//! What Raft is of here, and names of its types.

use super::runtime::Runtime;
use super::state::{Change, Metadata, Outcome};
use openraft::alias;
use std::sync::Arc;

openraft::declare_raft_types!(
/// What Raft is of, here.
    #[derive(serde::Serialize, serde::Deserialize)]
    pub TypeConfig:
        D = Change,
        R = Outcome,
        NodeId = u64,
        Node = openraft::EmptyNode,
        LeaderId = openraft::impls::leader_id_std::LeaderId<Self::Term, Self::NodeId>,
        AsyncRuntime = Runtime,
);

/// The place of an entry.
pub type LogId = alias::LogIdOf<TypeConfig>;
/// A vote.
pub type Vote = alias::VoteOf<TypeConfig>;
/// An entry.
pub type Entry = alias::EntryOf<TypeConfig>;
/// Who votes.
pub type StoredMembership = alias::StoredMembershipOf<TypeConfig>;
/// What a snapshot covers.
pub type SnapshotMeta = alias::SnapshotMetaOf<TypeConfig>;
/// A snapshot.
pub type Snapshot = alias::SnapshotOf<TypeConfig, Arc<Metadata>>;
