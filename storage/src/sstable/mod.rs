//! SSTables: sorted, immutable files of partitions.

pub mod block;
mod block_size;
mod blocks;
pub mod cache;
pub mod compression;
pub mod cursor;
pub mod filter;
pub mod format;
pub mod partition_bounds;
pub mod reader;
pub mod salvage;
pub mod statistics;
pub mod verify;
pub mod writer;

pub use reader::Sstable;
pub use statistics::{FileSummary, Statistics, Summary};
pub use writer::{SstableWriter, WriterOptions};

use dodona_env::Env;
use dodona_types::TableId;
use uuid::Uuid;

/// Identifies a file: a UUID that sorts by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct SstableId(pub Uuid);

impl SstableId {
    /// The id of a file that is begun now.
    #[must_use]
    pub(crate) fn of_now(env: &Env) -> Self {
        Self(env.random.uuid_v7(env.clock.wall_micros()))
    }

    /// Seconds since the epoch at which the file was begun.
    #[must_use]
    pub fn written_at_seconds(self) -> i64 {
        let millis = self.0.as_u128() >> 80;
        i64::try_from(millis / 1_000).unwrap_or(0)
    }
}

/// The directory of all tables.
pub const DIRECTORY: &str = "tables";

/// The directory of a table's files.
#[must_use]
pub fn directory_of(table: TableId) -> String {
    format!("{DIRECTORY}/{table}")
}

/// The path of a file.
#[must_use]
pub fn path_of(table: TableId, id: SstableId) -> String {
    format!("{DIRECTORY}/{table}/{}.sst", id.0)
}

/// The path of a file that is being written.
#[must_use]
pub fn temporary_path_of(table: TableId, id: SstableId) -> String {
    format!("{DIRECTORY}/{table}/{}.tmp", id.0)
}
