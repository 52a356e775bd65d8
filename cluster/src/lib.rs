//! The cluster: which node holds what, and how a request reaches enough of them.
//!
//! * [`node`] starts a node from its [`dodona_env::Env`] and settings.
//! * [`metadata`] is the log of schema changes; [`ring`] and [`replication`] place partitions, and
//!   [`placement`] is what both come to at one schema.
//! * [`coordinator`] sends requests to replicas and gathers answers; [`replica`] executes them on
//!   the local engine; [`paxos`] orders conditional writes,
//!   [`counter`] counts; [`transport`] carries them between nodes as [`message`]s.
//! * [`gossip`] tells who is alive; [`allocation`] chooses the tokens of those that join; [`hints`] keep
//!   what a member missed, [`batch_log`] what a batch has still to do.
//!
//! It does not know CQL text.
#![forbid(unsafe_code)]

pub mod allocation;
pub mod batch_log;
pub mod coordinator;
pub mod counter;
pub mod error;
pub mod gossip;
pub mod hints;
pub mod liveness;
pub mod message;
pub mod metadata;
pub mod node;
pub mod paxos;
pub mod placement;
pub mod replica;
pub mod replication;
pub mod ring;
pub mod timestamp;
pub mod transport;

pub use dodona_storage::{EngineSettings, Page};
pub use error::ClusterError;
pub use node::{Node, NodeInfo, NodeSettings};
