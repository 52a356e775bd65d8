//! Agreement on the order of changes: openraft, on this node's environment.
//!
//! [`log`] and [`machine`] keep what it keeps in the [`super::store`], [`network`] carries its
//! messages; its tasks run by [`super::runtime`].

pub mod log;
pub mod machine;
pub mod network;

/// The running core.
pub type Raft = openraft::Raft<super::types::TypeConfig, machine::Machine>;
