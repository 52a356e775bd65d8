//! Snapshots: hard links to a table's files, with a manifest and the table's schema beside them, as
//! Cassandra has them.

use super::Engine;
use crate::error::{IoContext, Result, StorageError};
use crate::sstable::verify::Damage;
use dodona_types::TableId;
use serde::{Deserialize, Serialize};

const DIRECTORY: &str = "snapshots";

/// `manifest.json` of a snapshot (Cassandra `SnapshotManifest`, and the table's name).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotManifest {
    /// The names of the files.
    pub files: Vec<String>,
    /// When it was taken, in ISO 8601.
    pub created_at: String,
    /// When it is to go, if ever.
    pub expires_at: Option<String>,
    /// It goes at the next start.
    pub ephemeral: bool,
    /// Keyspace and name of the table, which may be gone by the time someone looks.
    #[serde(default)]
    pub table: String,
}

/// A snapshot to be taken.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotRequest<'a> {
    /// Its name.
    pub name: &'a str,
    /// Now, in ISO 8601, in UTC to the millisecond: texts of such times are in their order.
    pub created_at: &'a str,
    /// When it is to go, likewise.
    pub expires_at: Option<&'a str>,
    /// The statements that make the table again.
    pub schema: &'a str,
    /// What is in memory alone is left out.
    pub skip_flush: bool,
}

/// A snapshot of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// The table.
    pub table: TableId,
    /// Keyspace and name of the table, if the snapshot says so.
    pub table_name: String,
    /// When it is to go, in ISO 8601, if ever.
    pub expires_at: Option<String>,
    /// When it was taken, in ISO 8601; empty if that was not finished.
    pub created_at: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes of those that are not the table's any more: what clearing it gives back.
    pub own_bytes: u64,
}

fn directory_of(name: &str, table: TableId) -> String {
    format!("{DIRECTORY}/{name}/{table}")
}

impl Engine {
    /// Checks that tables have no snapshot of a name yet.
    ///
    /// # Errors
    /// One has; the operating system's.
    pub fn check_snapshot_name(&self, tables: &[TableId], name: &str) -> Result<()> {
        for table in tables {
            if !self.names_in(&directory_of(name, *table))?.is_empty() {
                return Err(StorageError::Refused(format!("Snapshot {name} already exists.")));
            }
        }
        Ok(())
    }

    /// Flushes a table, unless that is to be left out, and links its files into
    /// `snapshots/NAME/TABLE`, with `manifest.json` and `schema.cql`. Returns the number of files.
    ///
    /// # Errors
    /// The snapshot exists; the operating system's.
    pub fn snapshot(&self, table: TableId, request: SnapshotRequest<'_>) -> Result<usize> {
        let SnapshotRequest { name, created_at, expires_at, schema, skip_flush } = request;
        self.check_snapshot_name(&[table], name)?;
        let directory = directory_of(name, table);
        if !skip_flush {
            self.flush(table)?;
        }
        // The view keeps its files from being removed until they are linked.
        let store = self.store(table)?;
        let view = store.view.load_full();
        let disk = &self.env.disk;
        disk.create_dir_all(&directory).during("creating", &directory)?;
        let mut manifest = SnapshotManifest {
            created_at: created_at.to_owned(),
            expires_at: expires_at.map(str::to_owned),
            table: store.settings.load().name.clone(),
            ..SnapshotManifest::default()
        };
        for sstable in &view.sstables {
            let file = format!("{}.sst", sstable.id().0);
            let link = format!("{directory}/{file}");
            disk.hard_link(sstable.path(), &link).during("linking", &link)?;
            manifest.files.push(file);
        }
        disk.sync_dir(&directory).during("syncing", &directory)?;
        let path = format!("{directory}/schema.cql");
        disk.replace(&path, schema.as_bytes()).during("writing", &path)?;
        // It counts as complete once its manifest is there.
        let path = format!("{directory}/manifest.json");
        let json = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
        disk.replace(&path, &json).during("writing", &path)?;
        Ok(view.sstables.len())
    }

    pub(super) fn names_in(&self, directory: &str) -> Result<Vec<String>> {
        match self.env.disk.list(directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            names => names.during("listing", directory),
        }
    }

    /// All snapshots, by name and table.
    ///
    /// # Errors
    /// The operating system's.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let mut snapshots = Vec::new();
        for name in self.names_in(DIRECTORY)? {
            let Some(name) = name.strip_suffix('/') else { continue };
            for table in self.names_in(&format!("{DIRECTORY}/{name}"))? {
                if let Ok(table) = table.trim_end_matches('/').parse() {
                    snapshots.push(self.one_snapshot(name, TableId(table))?);
                }
            }
        }
        Ok(snapshots)
    }

    fn one_snapshot(&self, name: &str, table: TableId) -> Result<Snapshot> {
        let directory = directory_of(name, table);
        let live: Vec<String> =
            self.files(table).unwrap_or_default().into_iter().map(|(path, _)| path).collect();
        let manifest = self.env.disk.read(&format!("{directory}/manifest.json")).unwrap_or_default();
        let manifest: SnapshotManifest = serde_json::from_slice(&manifest).unwrap_or_default();
        let mut snapshot = Snapshot {
            name: name.to_owned(),
            table,
            table_name: manifest.table,
            expires_at: manifest.expires_at,
            created_at: manifest.created_at,
            bytes: 0,
            own_bytes: 0,
        };
        for file in self.names_in(&directory)?.iter().filter(|file| file.ends_with(".sst")) {
            let path = format!("{directory}/{file}");
            let bytes = self.env.disk.open(&path).and_then(|file| file.len()).during("opening", &path)?;
            snapshot.bytes += bytes;
            if !live.iter().any(|live| live.ends_with(file.as_str())) {
                snapshot.own_bytes += bytes;
            }
        }
        Ok(snapshot)
    }

    /// Removes snapshots that expired before `now`, in ISO 8601. Returns how many tables' went.
    ///
    /// # Errors
    /// The operating system's.
    pub fn clear_expired_snapshots(&self, now: &str) -> Result<usize> {
        self.clear_snapshots(|snapshot| snapshot.expires_at.as_deref().is_some_and(|end| end <= now))
    }

    /// Removes the snapshots that are meant. Returns how many tables' went.
    ///
    /// # Errors
    /// The operating system's.
    pub fn clear_snapshots(&self, is_meant: impl Fn(&Snapshot) -> bool) -> Result<usize> {
        let mut cleared = 0;
        for snapshot in self.snapshots()?.into_iter().filter(is_meant) {
            let directory = directory_of(&snapshot.name, snapshot.table);
            self.env.disk.remove_dir_all(&directory).during("removing", &directory)?;
            let above = format!("{DIRECTORY}/{}", snapshot.name);
            if self.names_in(&above)?.is_empty() {
                self.env.disk.remove_dir_all(&above).during("removing", &above)?;
            }
            cleared += 1;
        }
        Ok(cleared)
    }

    /// Reads every byte of every file of a table and checks it. What is damaged is in the answer.
    ///
    /// # Errors
    /// The engine does not know the table; the operating system's.
    pub fn verify(&self, table: TableId) -> Result<Vec<Damage>> {
        let view = self.store(table)?.view.load_full();
        let mut damages = Vec::new();
        for sstable in &view.sstables {
            damages.extend(sstable.verify()?);
        }
        Ok(damages)
    }
}
