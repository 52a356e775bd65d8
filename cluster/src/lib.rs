//! The cluster: which node holds what, and how a request reaches enough of them.
//!
//! * [`node`] starts a node from its [`dodona_env::Env`] and settings.
//! * [`metadata`] is the log of what schema and members are, that members agree on, and `recovery` what is left if most of those are lost; [`membership`] is
//!   how a node becomes one, unless its clock is off from theirs or it has been one before, with [`streaming`] of what it is to hold; [`import`] takes files in; [`ring`] and [`replication`] place partitions, and
//!   [`placement`] is what both come to at one schema.
//! * [`coordinator`] sends requests to replicas and gathers answers; [`replica`] executes them on
//!   the local engine; [`paxos`] orders conditional writes,
//!   [`counter`] counts; [`disk_usage`] is known of replicas; [`snapshots`] are taken before a table is emptied; [`hints`] keep what replicas missed, [`batch_log`] what
//!   is to happen as a whole; [`gossip`] tells who is alive;
//!   [`transport`] carries them between nodes as [`message`]s.
//!
//! It does not know CQL text.
#![forbid(unsafe_code)]

pub mod allocation;
pub mod batch_log;
mod cleanup;
mod clock_offset;
pub mod coordinator;
mod copied;
pub mod counter;
pub mod disk_usage;
pub mod error;
#[doc(hidden)]
pub mod foreign;
mod founding;
#[cfg(test)]
mod golden_tests;
pub mod gossip;
pub mod heartbeat;
pub mod hints;
pub mod identity;
pub mod import;
pub mod liveness;
pub mod membership;
pub mod message;
pub mod metadata;
pub mod node;
pub mod old_data;
mod on_engine;
pub mod paxos;
pub mod placement;
mod recovery;
pub mod repair;
pub mod replica;
pub mod replication;
pub mod ring;
pub mod snapshots;
mod stream_sessions;
pub mod streaming;
pub mod table_settings;
#[cfg(test)]
mod testing;
pub mod timestamp;
pub mod trace;
pub mod transport;
mod truncations;

pub use dodona_storage::sstable::partition_bounds::PartitionBounds;
pub use dodona_storage::{EngineSettings, Page};
pub use error::ClusterError;
pub use node::{Node, NodeInfo, NodeSettings};
