//! Which hints are void: those of a table that was truncated after they were made, or after the write was begun that they
//! are of. A truncation would not last if they were delivered behind it.
//!
//! Files of hints are numbered in their order. What is void is kept in the file `hints/voided`: for a table, the number below
//! which files may hold such hints. It goes with the last of these files.

use crate::error::ClusterError;
use crate::truncations::Truncations;
use dodona_env::Disk;
use dodona_storage::StorageError;
use dodona_types::TableId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use uuid::Uuid;

const FILE: &str = "hints/voided";

/// What is void.
#[derive(Debug, Default)]
pub(super) struct Voided {
    /// Those by which hints of writes that are under way will be void.
    pub(super) truncations: Truncations,
    /// Hints of a table in files with lower numbers.
    below: BTreeMap<Uuid, u64>,
}

/// As the file has it.
#[derive(Serialize, Deserialize)]
struct Kept {
    below: BTreeMap<Uuid, u64>,
    checksum: String,
}

fn failed(action: &'static str, source: io::Error) -> StorageError {
    StorageError::Io { action, path: FILE.into(), source: Arc::new(source) }
}

fn checksum(below: &BTreeMap<Uuid, u64>) -> String {
    let bytes: Vec<u8> = below
        .iter()
        .flat_map(|(table, number)| table.into_bytes().into_iter().chain(number.to_le_bytes()))
        .collect();
    format!("{:08x}", crc32c::crc32c(&bytes))
}

impl Voided {
    /// What an earlier life of the node kept, if it has files left that are numbered from `oldest` on.
    ///
    /// # Errors
    /// The operating system's; the file is damaged.
    pub(super) fn open(disk: &dyn Disk, oldest: Option<u64>) -> Result<Self, ClusterError> {
        let bytes = match disk.read(FILE) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed("reading", error).into()),
        };
        let damaged = |reason: String| StorageError::Corrupt { path: FILE.into(), offset: 0, reason };
        let mut kept: Kept = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if kept.checksum != checksum(&kept.below) {
            return Err(damaged("the checksum does not match".into()).into());
        }
        kept.below.retain(|_, below| oldest.is_some_and(|oldest| oldest < *below));
        Ok(Self { below: kept.below, ..Self::default() })
    }

    /// The number that files have at least from now on.
    pub(super) fn next_number(&self) -> u64 {
        self.below.values().copied().max().unwrap_or_default()
    }

    /// True if a hint in the file of this number is void.
    pub(super) fn is_void_in(&self, table: TableId, number: u64) -> bool {
        self.below.get(&table.0).is_some_and(|below| number < *below)
    }

    /// What is in files below this number is void, of which there are some from `oldest` on. What is to be on disk of that.
    pub(super) fn void(&mut self, table: TableId, below: u64, oldest: u64) -> Vec<u8> {
        self.below.retain(|_, below| oldest < *below);
        self.below.insert(table.0, below);
        let kept = Kept { checksum: checksum(&self.below), below: self.below.clone() };
        serde_json::to_vec_pretty(&kept).unwrap_or_default()
    }
}

/// Keeps what [`Voided::void`] gave.
///
/// # Errors
/// The operating system's.
pub(super) fn keep(disk: &dyn Disk, bytes: &[u8]) -> Result<(), StorageError> {
    disk.replace(FILE, bytes).map_err(|error| failed("writing", error))
}
