//! The metadata log: every change of the schema, in one order.
//!
//! An entry is data: the schema epoch it was worked out against, and new definitions. One whose
//! epoch is not the present one is refused, and the statement is worked out again.

pub mod local;

use crate::error::ClusterError;
use dodona_env::net::BoxFuture;
use dodona_types::UserType;
use dodona_types::schema::{Keyspace, Schema, Table};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One change of one definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SchemaChange {
    /// Creates a keyspace, or changes its replication and durability; its tables and types stay.
    PutKeyspace(Keyspace),
    /// Drops a keyspace and what is in it.
    DropKeyspace(Arc<str>),
    /// Creates or changes a table.
    PutTable(Box<Table>),
    /// Drops a table: keyspace and name.
    DropTable(Arc<str>, Arc<str>),
    /// Creates or changes a type.
    PutType(UserType),
    /// Drops a type: keyspace and name.
    DropType(Arc<str>, Arc<str>),
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The epoch of the schema that the change was worked out against.
    pub expected_epoch: u64,
    /// The changes, applied as one.
    pub changes: Vec<SchemaChange>,
}

/// The log.
pub trait MetadataLog: Send + Sync {
    /// The schema at the last applied entry.
    fn schema(&self) -> Arc<Schema>;

    /// Appends an entry. Resolves to the new schema once the entry is durable.
    fn append(&self, entry: Entry) -> BoxFuture<'_, Result<Arc<Schema>, ClusterError>>;
}

/// The schema behind an entry. Tables that change take the new epoch.
///
/// # Errors
/// [`ClusterError::SchemaConflict`] if the entry was worked out against another epoch.
pub fn apply(schema: &Schema, entry: &Entry) -> Result<Schema, ClusterError> {
    if entry.expected_epoch != schema.epoch {
        return Err(ClusterError::SchemaConflict);
    }
    let mut next = schema.clone();
    next.epoch += 1;
    for change in &entry.changes {
        apply_change(&mut next, change)?;
    }
    Ok(next)
}

fn apply_change(schema: &mut Schema, change: &SchemaChange) -> Result<(), ClusterError> {
    let epoch = schema.epoch;
    match change {
        SchemaChange::PutKeyspace(new) => {
            let mut keyspace = new.clone();
            if let Some(old) = schema.keyspaces.get(&new.name) {
                keyspace.tables = old.tables.clone();
                keyspace.types = old.types.clone();
            }
            schema.keyspaces.insert(new.name.clone(), Arc::new(keyspace));
        }
        SchemaChange::DropKeyspace(name) => {
            schema.keyspaces.remove(name);
        }
        SchemaChange::PutTable(table) => {
            let mut table = Table::clone(table);
            table.epoch = epoch;
            keyspace(schema, &table.keyspace.clone())?.tables.insert(table.name.clone(), Arc::new(table));
        }
        SchemaChange::DropTable(in_keyspace, name) => {
            keyspace(schema, in_keyspace)?.tables.remove(name);
        }
        SchemaChange::PutType(definition) => {
            let definition = Arc::new(definition.clone());
            keyspace(schema, &definition.keyspace)?
                .types
                .insert(definition.name.clone(), Arc::clone(&definition));
        }
        SchemaChange::DropType(in_keyspace, name) => {
            keyspace(schema, in_keyspace)?.types.remove(name);
        }
    }
    Ok(())
}

fn keyspace<'a>(schema: &'a mut Schema, name: &Arc<str>) -> Result<&'a mut Keyspace, ClusterError> {
    schema
        .keyspaces
        .get_mut(name)
        .map(Arc::make_mut)
        .ok_or_else(|| ClusterError::Invalid(format!("keyspace '{name}' does not exist")))
}
