//! The storage engine: a log-structured merge tree per table behind one commit log.
//!
//! It knows partition keys as bytes with a token, clustering keys as comparable bytes, columns as
//! numbers and values as bytes. It does not know CQL types, consistency levels or the network.
//!
//! * [`engine`] applies mutations, executes reads, flushes and compacts.
//! * [`commit_log`] makes writes survive the process, [`memtable`] holds them in order,
//!   [`sstable`] files hold them for good, [`manifest`] says which files count.
//! * [`mapping`] makes what comes from elsewhere a table's.
//! * [`scan`] merges memtables and files into one stream; [`read`] shows its live rows; [`purge`]
//!   says what a compaction may leave out.
#![forbid(unsafe_code)]

mod arriving;
pub mod commit_log;
pub mod compaction;
pub mod engine;
#[cfg(test)]
mod engine_tests;
pub mod error;
pub mod files_per_read;
pub mod item;
pub mod journal;
pub mod manifest;
pub mod mapping;
pub mod memtable;
pub mod metrics;
#[cfg(all(test, shuttle))]
mod models;
mod named;
#[cfg(test)]
mod named_tests;
pub mod page;
pub mod purge;
pub mod read;
pub mod reconcile;
pub mod repair_state;
pub mod scan;
pub mod settings;
pub mod shape;
pub mod source;
pub mod sstable;
mod sync;
pub mod table;
pub mod tombstones;

pub use engine::Engine;
pub use engine::compact::Compaction;
pub use engine::maintain::Maintained;
pub use engine::recovery::{DirectoryLock, Recovered};
pub use error::StorageError;
pub use page::Page;
pub use repair_state::{Part, RepairState};
pub use settings::{EngineSettings, SyncMode};
pub use shape::RowShape;
pub use table::TableSettings;
pub use tombstones::TombstoneRules;
