//! Changes of the schema.

use crate::error::ClusterError;
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

/// True if other members hold what is in a keyspace behind the changes.
#[must_use]
pub fn alters_replication(schema: &Schema, changes: &[SchemaChange]) -> bool {
    changes.iter().any(|change| match change {
        SchemaChange::PutKeyspace(new) => {
            schema.keyspace(&new.name).is_some_and(|old| old.replication != new.replication)
        }
        _ => false,
    })
}

/// The schema behind changes. Tables that change take the new epoch.
///
/// # Errors
/// [`ClusterError::SchemaConflict`] if the changes were worked out against another epoch.
pub fn apply(schema: &Schema, expected_epoch: u64, changes: &[SchemaChange]) -> Result<Schema, ClusterError> {
    if expected_epoch != schema.epoch {
        return Err(ClusterError::SchemaConflict);
    }
    let mut next = schema.clone();
    next.epoch += 1;
    for change in changes {
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
