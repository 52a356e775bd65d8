//! Snapshots that a node takes by itself, before a table is truncated or dropped, with Cassandra's
//! names (`auto_snapshot`).

use dodona_env::Env;
use dodona_storage::engine::snapshot::SnapshotRequest;
use dodona_storage::{Engine, StorageError};
use dodona_types::schema::{Schema, Table};
use dodona_types::value::format_timestamp;
use std::sync::Arc;
use std::time::Duration;

/// Writes the statements that make a table again.
pub type Describe = fn(&Schema, &Table) -> String;

/// What comes before the time in a snapshot's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The table is truncated.
    Truncated,
    /// The table is dropped.
    Dropped,
}

/// Whether and how a node takes snapshots by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AutoSnapshot {
    /// It does, of tables that allow it.
    pub enabled: bool,
    /// How long they are kept; for ever if nothing is said.
    pub ttl: Option<Duration>,
}

/// Takes snapshots.
#[derive(Clone)]
pub struct Snapshots {
    env: Env,
    engine: Arc<Engine>,
    settings: AutoSnapshot,
    describe: Option<Describe>,
}

/// A time in ISO 8601, as [`SnapshotRequest`] has them.
#[must_use]
pub fn iso(millis: i64) -> String {
    format_timestamp(millis).replacen(' ', "T", 1)
}

impl Snapshots {
    /// Takes snapshots of an engine's tables, with what `describe` writes of them.
    #[must_use]
    pub const fn new(
        env: Env,
        engine: Arc<Engine>,
        settings: AutoSnapshot,
        describe: Option<Describe>,
    ) -> Self {
        Self { env, engine, settings, describe }
    }

    /// True if a snapshot of the table is due before it is emptied.
    #[must_use]
    pub fn are_due(&self, table: &Table) -> bool {
        self.settings.enabled && table.params.allow_auto_snapshot
    }

    /// Takes a snapshot of a table that is about to be emptied, if one is due. Waits for the disk.
    ///
    /// # Errors
    /// The engine cannot.
    pub fn before(&self, reason: Reason, schema: &Schema, table: &Table) -> Result<(), StorageError> {
        if !self.are_due(table) {
            return Ok(());
        }
        let millis = self.env.clock.wall_micros() / 1_000;
        let prefix = match reason {
            Reason::Truncated => "truncated",
            Reason::Dropped => "dropped",
        };
        let name = format!("{prefix}-{millis}-{}", table.name);
        let expires_at = self
            .settings
            .ttl
            .map(|ttl| iso(millis.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX))));
        let request = SnapshotRequest {
            name: &name,
            created_at: &iso(millis),
            expires_at: expires_at.as_deref(),
            schema: &self.describe.map_or_else(String::new, |describe| describe(schema, table)),
            skip_flush: false,
        };
        let files = self.engine.snapshot(table.id, request)?;
        tracing::info!(table = %format!("{}.{}", table.keyspace, table.name), name, files, "a snapshot was taken");
        Ok(())
    }

    /// Removes snapshots whose time is over. Waits for the disk.
    ///
    /// # Errors
    /// The operating system's.
    pub fn clear_expired(&self) -> Result<usize, StorageError> {
        self.engine.clear_expired_snapshots(&iso(self.env.clock.wall_micros() / 1_000))
    }
}
