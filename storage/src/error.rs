//! What can go wrong in the engine, by what the caller must do.

use dodona_types::codec::DecodeError;
use std::io;
use std::sync::Arc;
use thiserror::Error;

/// An error of the engine.
#[derive(Clone, Debug, Error)]
pub enum StorageError {
    /// The disk is full: the write was refused, reads go on. Free space and try again.
    #[error("no space left on the data disk: the write was refused")]
    NoSpace,
    /// The operating system refused an operation on a file.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file, relative to the data directory.
        path: String,
        /// The operating system's error.
        source: Arc<io::Error>,
    },
    /// A file does not hold what was written to it.
    #[error("{path} is damaged at byte {offset}: {reason}")]
    Corrupt {
        /// The file, relative to the data directory.
        path: String,
        /// Where in the file.
        offset: u64,
        /// What does not fit.
        reason: String,
    },
    /// A file was written by a newer version.
    #[error(
        "{path} has format version {found}, newer than {supported}, the newest that this version of Dodona reads: start the version that wrote it, or restore a snapshot"
    )]
    NewerFormat {
        /// The file, relative to the data directory.
        path: String,
        /// Its version.
        found: u16,
        /// The newest version known.
        supported: u16,
    },
    /// The data directory is used by another process.
    #[error(
        "the data directory is in use by another process: stop it, or choose another directory with --data"
    )]
    InUse,
    /// The read needs the disk, and was told not to wait for it: do it where it may.
    #[error("the read needs the disk")]
    NeedsDisk,
    /// The table is not known to the engine.
    #[error("no table {0}")]
    NoSuchTable(dodona_types::TableId),
    /// Bytes that came from elsewhere in the process do not follow their format.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The commit log failed before and takes no more writes.
    #[error("the commit log has failed: {0}")]
    LogFailed(String),
    /// What was asked for cannot be done.
    #[error("{0}")]
    Refused(String),
    /// Someone wanted the work to end before it was done.
    #[error("{0} was stopped")]
    Stopped(&'static str),
    /// A read met more tombstones than it may.
    #[error("the read met more than {at_most} tombstones (see tombstone_failure_threshold)")]
    TooManyTombstones {
        /// How many it may meet.
        at_most: u64,
    },
    /// A bound of the engine was passed.
    #[error("{0}")]
    TooLarge(String),
}

/// The engine's result.
pub type Result<T, E = StorageError> = std::result::Result<T, E>;

/// Names the file and the action of an error of the operating system.
pub(crate) trait IoContext<T> {
    fn during(self, action: &'static str, path: &str) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn during(self, action: &'static str, path: &str) -> Result<T> {
        self.map_err(|source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::NoSpace,
            _ => StorageError::Io { action, path: path.to_owned(), source: Arc::new(source) },
        })
    }
}

/// An error of damage at a place in a file.
pub(crate) fn corrupt(path: &str, offset: u64, reason: impl Into<String>) -> StorageError {
    StorageError::Corrupt { path: path.to_owned(), offset, reason: reason.into() }
}
