//! The log of a node that is alone: a file.
//!
//! ```text
//! file   := magic "DODONAML", version u16, record*
//! record := crc32c u32 of (length, JSON), length u32, JSON
//! ```
//! The first record of a file is the whole schema ([`Schema`]), each further one an [`Entry`].
//! Every start writes a new file with the schema it found.

use super::{Entry, MetadataLog, apply};
use crate::error::ClusterError;
use arc_swap::ArcSwap;
use dodona_env::disk::DiskWriter;
use dodona_env::net::BoxFuture;
use dodona_env::{Disk, Tasks};
use dodona_storage::StorageError;
use dodona_types::codec::Reader;
use dodona_types::schema::Schema;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::sync::Arc;

const DIRECTORY: &str = "metadata";
const FILE: &str = "metadata/log";
const MAGIC: &[u8; 8] = b"DODONAML";
const VERSION: u16 = 1;

/// A metadata log in one file.
pub struct LocalLog {
    inner: Arc<Inner>,
    tasks: Tasks,
}

struct Inner {
    schema: ArcSwap<Schema>,
    writer: Mutex<Writer>,
}

struct Writer {
    file: Arc<dyn DiskWriter>,
    failed: bool,
}

impl LocalLog {
    /// Reads the log, or begins an empty one.
    ///
    /// # Errors
    /// The operating system's; the log is damaged or of a newer version.
    pub fn open(disk: &dyn Disk, tasks: Tasks) -> Result<Self, ClusterError> {
        disk.create_dir_all(DIRECTORY).map_err(|error| failed("creating", DIRECTORY, error))?;
        let schema = match disk.read(FILE) {
            Ok(bytes) => read_schema(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Schema::default(),
            Err(error) => return Err(failed("reading", FILE, error)),
        };
        let file = begin_file(disk, &schema).map_err(|error| failed("writing", FILE, error))?;
        let inner = Inner {
            schema: ArcSwap::from_pointee(schema),
            writer: Mutex::new(Writer { file, failed: false }),
        };
        Ok(Self { inner: Arc::new(inner), tasks })
    }
}

fn failed(action: &'static str, path: &str, source: io::Error) -> ClusterError {
    StorageError::Io { action, path: path.to_owned(), source: Arc::new(source) }.into()
}

/// Writes a file with the schema under another name, and renames it once it is durable. The
/// writer goes on under the new name.
fn begin_file(disk: &dyn Disk, schema: &Schema) -> io::Result<Arc<dyn DiskWriter>> {
    let temporary = format!("{FILE}.tmp");
    match disk.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&temporary)?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    put_record(&mut bytes, schema);
    file.append(&bytes)?;
    file.sync()?;
    disk.rename(&temporary, FILE)?;
    disk.sync_dir(DIRECTORY)?;
    Ok(file)
}

fn put_record(out: &mut Vec<u8>, value: &impl Serialize) {
    let json = serde_json::to_vec(value).unwrap_or_default();
    let length = (json.len() as u32).to_le_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&length), &json);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&length);
    out.extend_from_slice(&json);
}

fn read_record<T: DeserializeOwned>(reader: &mut Reader<'_>) -> Option<T> {
    let crc = reader.u32().ok()?;
    let length = reader.u32().ok()?;
    let json = reader.bytes(length as usize).ok()?;
    let expected = crc32c::crc32c_append(crc32c::crc32c(&length.to_le_bytes()), json);
    if crc == expected { serde_json::from_slice(json).ok() } else { None }
}

fn read_schema(bytes: &[u8]) -> Result<Schema, ClusterError> {
    let damaged = |offset: usize, reason: &str| {
        ClusterError::Storage(StorageError::Corrupt {
            path: FILE.into(),
            offset: offset as u64,
            reason: reason.into(),
        })
    };
    let mut reader = Reader::new(bytes);
    if reader.bytes(8).ok() != Some(MAGIC) {
        return Err(damaged(0, "not a metadata log"));
    }
    let found = reader.u16().map_err(StorageError::from)?;
    if found > VERSION {
        return Err(StorageError::NewerFormat { path: FILE.into(), found, supported: VERSION }.into());
    }
    let at = reader.position();
    let mut schema: Schema =
        read_record(&mut reader).ok_or_else(|| damaged(at, "the schema's checksum does not match"))?;
    while !reader.is_empty() {
        let at = reader.position();
        let Some(entry) = read_record::<Entry>(&mut reader) else {
            // A torn entry at the end was never acknowledged; one with others behind it was.
            let more = (at + 1..bytes.len())
                .any(|at| read_record::<Entry>(&mut Reader::new(&bytes[at..])).is_some());
            if more {
                return Err(damaged(at, "an entry's checksum does not match"));
            }
            break;
        };
        schema = apply(&schema, &entry)?;
    }
    Ok(schema)
}

impl MetadataLog for LocalLog {
    fn schema(&self) -> Arc<Schema> {
        self.inner.schema.load_full()
    }

    fn append(&self, entry: Entry) -> BoxFuture<'_, Result<Arc<Schema>, ClusterError>> {
        let inner = Arc::clone(&self.inner);
        let work = move || inner.append(&entry);
        Box::pin(async move {
            match self.tasks.blocking(work).await {
                Ok(result) => result,
                Err(error) => Err(ClusterError::Invalid(error.to_string())),
            }
        })
    }
}

impl Inner {
    fn append(&self, entry: &Entry) -> Result<Arc<Schema>, ClusterError> {
        let mut writer = self.writer.lock();
        if writer.failed {
            return Err(ClusterError::Invalid(
                "the metadata log could not be written earlier: restart the node".into(),
            ));
        }
        let next = Arc::new(apply(&self.schema.load(), entry)?);
        let mut bytes = Vec::new();
        put_record(&mut bytes, entry);
        if let Err(error) = writer.file.append(&bytes).and_then(|()| writer.file.sync()) {
            // Whether the entry is on disk is unknown: only a restart may decide.
            writer.failed = true;
            return Err(failed("writing", FILE, error));
        }
        self.schema.store(Arc::clone(&next));
        Ok(next)
    }
}
