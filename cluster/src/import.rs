//! Takes files of snapshots and backups in: into this node, or by their rows into all that hold them. And what
//! archived commit logs hold.

use crate::error::ClusterError;
use crate::node::Node;
use crate::on_engine::on_engine;
use crate::replication::Replication;
use crate::streaming::walk::Walk;
use dodona_storage::engine::import::{ImportOptions, Imported, Staged};
use dodona_storage::engine::restore::Restored;
use dodona_storage::reconcile::Answer;
use dodona_storage::{Engine, StorageError};
use dodona_types::read_command::PartitionRange;
use dodona_types::schema::Table;
use dodona_types::{Consistency, TableId};
use std::sync::Arc;
use std::time::Duration;

/// Bytes that are read and sent at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// How often a write is tried that replicas do not take in time.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_millis(500);

/// Files to be taken in, and how.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// Directories that hold them: absolute, or in the data directory.
    pub directories: Vec<String>,
    /// Read and check every byte first.
    pub verify: bool,
    /// Take in what belongs to other nodes alone.
    pub any_token: bool,
    /// Leave the files where they are.
    pub copy: bool,
    /// Write what they hold to all its replicas, instead of having the files count here.
    pub everywhere: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The files that count now; none if rows were sent.
    pub imported: Imported,
    /// Partitions that were sent, or parts of them.
    pub sent: u64,
}

impl Node {
    /// Takes files into a table.
    ///
    /// # Errors
    /// A file is damaged, does not fit, or holds what belongs to others: nothing has changed then. Rows
    /// that are sent: a replica is down or does not take them; what was sent before stays, and may be
    /// sent again.
    pub async fn import(&self, table: TableId, import: Import) -> Result<Outcome, ClusterError> {
        self.catch_up()?;
        let placement = self.placement();
        let definition =
            Arc::clone(placement.schema.table_by_id(table).ok_or(StorageError::NoSuchTable(table))?);
        let is_free = import.any_token || import.everywhere;
        let options = ImportOptions {
            verify: import.verify,
            within: if is_free { None } else { Some(placement.held(table)?) },
            copy: import.copy,
        };
        let Import { directories, everywhere, .. } = import;
        let staging = options.clone();
        let stage = move |engine: &Engine| engine.stage(table, &directories, &staging);
        let staged = on_engine(&self.env.tasks, &self.engine, stage).await?;
        if everywhere {
            return self.send(&definition, staged).await;
        }
        if definition.is_counter() {
            self.coordinator.count_anew().await?;
        }
        let publish = move |engine: &Engine| engine.publish_staged(staged, &options);
        let imported = on_engine(&self.env.tasks, &self.engine, publish).await?;
        tracing::info!(
            table = %format!("{}.{}", definition.keyspace, definition.name),
            files = imported.files,
            bytes = imported.bytes,
            "files were imported"
        );
        Ok(Outcome { imported, sent: 0 })
    }

    /// Restores what the settings say of archived commit logs, of the tables that it is not for this node alone
    /// to know. To be called before anybody is served.
    ///
    /// # Errors
    /// An archived file is damaged or cannot be had; mutations do not fit their table.
    pub async fn restore(&self) -> Result<Restored, ClusterError> {
        let settings = self.settings.restore.clone();
        if settings.directories.is_empty() {
            return Ok(Restored::default());
        }
        let schema = self.schema();
        let local: Vec<String> = schema
            .keyspaces
            .values()
            .filter(|keyspace| {
                Replication::from_options(&keyspace.replication)
                    .is_ok_and(|replication| replication.is_local())
            })
            .map(|keyspace| format!("{}.", keyspace.name))
            .collect();
        let is_wanted = move |name: &str| !local.iter().any(|keyspace| name.starts_with(keyspace));
        let restore = move |engine: &Engine| engine.restore(&settings, &is_wanted);
        let restored = on_engine(&self.env.tasks, &self.engine, restore).await?;
        if restored.segments > 0 {
            self.coordinator.count_anew().await?;
            tracing::info!(
                segments = restored.segments,
                mutations = restored.mutations,
                later = restored.later,
                of_unknown_tables = restored.unknown,
                "archived commit logs were restored"
            );
        }
        Ok(restored)
    }

    /// Writes what staged files hold to all replicas, with its timestamps and deletions. The files, and those
    /// that they are made of, are left as they are.
    async fn send(&self, table: &Table, staged: Staged) -> Result<Outcome, ClusterError> {
        let staged = Arc::new(staged);
        let sent = self.send_all(table, &staged).await;
        if let Some(staged) = Arc::into_inner(staged) {
            let discard = move |engine: &Engine| {
                engine.discard_staged(staged);
                Ok(())
            };
            on_engine(&self.env.tasks, &self.engine, discard).await?;
        }
        Ok(Outcome { sent: sent?, ..Outcome::default() })
    }

    async fn send_all(&self, table: &Table, staged: &Arc<Staged>) -> Result<u64, ClusterError> {
        let mut walk = Walk::new(table, &PartitionRange::all(), self.env.clock.wall_seconds());
        let mut sent = 0;
        loop {
            let (staged, command) = (Arc::clone(staged), walk.command().clone());
            let read = move |engine: &Engine| engine.read_staged(&staged, &command, CHUNK_BYTES);
            let bytes = on_engine(&self.env.tasks, &self.engine, read).await?;
            let answer = Answer::parse(&bytes).map_err(StorageError::from)?;
            let mutations: Vec<Vec<u8>> =
                answer.parts.iter().map(|part| part.mutation.bytes().to_vec()).collect();
            self.write_to_all(&mutations).await?;
            sent += mutations.len() as u64;
            if !walk.advance(&answer) {
                return Ok(sent);
            }
        }
    }

    async fn write_to_all(&self, mutations: &[Vec<u8>]) -> Result<(), ClusterError> {
        if mutations.is_empty() {
            return Ok(());
        }
        for _ in 1..TRIES {
            match self.coordinator.write(mutations, Consistency::All).await {
                // Replicas have more to do than they can: they get time.
                Err(ClusterError::WriteTimeout { .. }) => dodona_env::clock::sleep(PAUSE).await,
                written => return written,
            }
        }
        self.coordinator.write(mutations, Consistency::All).await
    }
}
