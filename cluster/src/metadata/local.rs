//! The log of a node that is alone: a file.
//!
//! It is a [`dodona_storage::journal`]. The first record of a file is the whole schema ([`Schema`]), each further one an [`Entry`].
//! Every start writes a new file with the schema it found, and so does a node that runs when the
//! file has become long or a full disk did not take a record.

use super::{Entry, MetadataLog, apply};
use crate::error::ClusterError;
use arc_swap::ArcSwap;
use dodona_env::net::BoxFuture;
use dodona_env::{Disk, Tasks};
use dodona_storage::StorageError;
use dodona_storage::journal::{self, Format, Journal};
use dodona_types::schema::Schema;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

const DIRECTORY: &str = "metadata";
const FILE: &str = "metadata/log";
const FORMAT: Format = Format { magic: *b"DODONAML", version: 2, marked_since: 2, name: "the metadata log" };

/// A metadata log in one file.
pub struct LocalLog {
    inner: Arc<Inner>,
    tasks: Tasks,
}

struct Inner {
    disk: Arc<dyn Disk>,
    schema: ArcSwap<Schema>,
    journal: Mutex<Journal>,
}

impl LocalLog {
    /// Reads the log, or begins an empty one.
    ///
    /// # Errors
    /// The operating system's; the log is damaged or of a newer version.
    pub fn open(disk: Arc<dyn Disk>, tasks: Tasks) -> Result<Self, ClusterError> {
        disk.create_dir_all(DIRECTORY).map_err(|error| failed("creating", DIRECTORY, error))?;
        let schema = match disk.read(FILE) {
            Ok(bytes) => read_schema(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Schema::default(),
            Err(error) => return Err(failed("reading", FILE, error)),
        };
        let journal = begin(&*disk, &schema)?;
        let inner = Inner { disk, schema: ArcSwap::from_pointee(schema), journal: Mutex::new(journal) };
        Ok(Self { inner: Arc::new(inner), tasks })
    }
}

fn failed(action: &'static str, path: &str, source: io::Error) -> ClusterError {
    StorageError::Io { action, path: path.to_owned(), source: Arc::new(source) }.into()
}

/// Writes a file with the schema under another name, and renames it once it is durable. The
/// writer goes on under the new name.
fn begin(disk: &dyn Disk, schema: &Schema) -> Result<Journal, ClusterError> {
    let temporary = format!("{FILE}.tmp");
    let payload = serde_json::to_vec(schema).unwrap_or_default();
    let mut journal = Journal::begin(disk, &FORMAT, &temporary, [payload])?;
    disk.rename(&temporary, FILE).map_err(|error| failed("renaming", &temporary, error))?;
    disk.sync_dir(DIRECTORY).map_err(|error| failed("syncing", DIRECTORY, error))?;
    journal.renamed(FILE);
    Ok(journal)
}

fn read_schema(bytes: &[u8]) -> Result<Schema, ClusterError> {
    let damaged = |at: u64, reason: String| {
        ClusterError::Storage(StorageError::Corrupt { path: FILE.into(), offset: at, reason })
    };
    let mut records = journal::read(&FORMAT, FILE, bytes)?.into_iter();
    let (at, first) = records.next().ok_or_else(|| damaged(0, "there is no schema".into()))?;
    let mut schema = serde_json::from_slice(first).map_err(|error| damaged(at, error.to_string()))?;
    for (at, payload) in records {
        let entry: Entry = serde_json::from_slice(payload).map_err(|error| damaged(at, error.to_string()))?;
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
        let mut journal = self.journal.lock();
        let next = Arc::new(apply(&self.schema.load(), entry)?);
        if journal.needs_successor() {
            *journal = begin(&*self.disk, &self.schema.load())?;
        }
        journal.append(&serde_json::to_vec(entry).unwrap_or_default(), true)?;
        self.schema.store(Arc::clone(&next));
        Ok(next)
    }
}
