//! Who a node is: a file in its data directory.

use crate::error::ClusterError;
use dodona_env::Disk;
use dodona_storage::StorageError;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use uuid::Uuid;

const FILE: &str = "node.json";

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The node.
    pub host: Uuid,
    /// The cluster.
    pub cluster: Uuid,
}

/// The identity as its file has it.
#[derive(Serialize, Deserialize)]
struct IdentityFile {
    #[serde(flatten)]
    identity: Identity,
    /// Absent in files of the first versions.
    checksum: Option<String>,
}

impl Identity {
    fn checksum(&self) -> String {
        let bytes = [self.host.into_bytes(), self.cluster.into_bytes()].concat();
        format!("{:08x}", crc32c::crc32c(&bytes))
    }

    /// Reads it. None in a new data directory.
    ///
    /// # Errors
    /// The operating system's; the file is damaged.
    pub fn read(disk: &dyn Disk) -> Result<Option<Self>, ClusterError> {
        let bytes = match disk.read(FILE) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("reading", error)),
        };
        let damaged = |reason: String| StorageError::Corrupt {
            path: FILE.into(),
            offset: 0,
            reason: format!("not a node's identity: {reason}"),
        };
        let file: IdentityFile =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        match file.checksum {
            Some(checksum) if checksum != file.identity.checksum() => {
                Err(damaged("the checksum does not match".into()).into())
            }
            _ => Ok(Some(file.identity)),
        }
    }

    /// Writes it, durably.
    ///
    /// # Errors
    /// The operating system's.
    pub fn write(&self, disk: &dyn Disk) -> Result<(), ClusterError> {
        let file = IdentityFile { checksum: Some(self.checksum()), identity: self.clone() };
        let json = serde_json::to_vec_pretty(&file).unwrap_or_default();
        disk.replace(FILE, &json).map_err(|error| failed("writing", error))
    }
}

fn failed(action: &'static str, source: io::Error) -> ClusterError {
    StorageError::Io { action, path: FILE.into(), source: Arc::new(source) }.into()
}
