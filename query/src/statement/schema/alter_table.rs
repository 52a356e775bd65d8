//! ALTER TABLE.

use super::compact::drop_compact_storage;
use super::compatible::{expand_user_types, holds_values_of};
use super::properties::Properties;
use super::table::{check_table, column_type, has_multi_cell_fields};
use super::{Planner, Work, check_modifiable};
use crate::ast::{AlterTable, ColumnDefinition, Property, TableChange};
use crate::error::{CqlError, invalid};
use crate::outcome::{ChangeKind, ChangeTarget};
use crate::statement::not_yet;
use dodona_cluster::metadata::SchemaChange;
use dodona_types::schema::{Column, ColumnKind, DroppedColumn, Keyspace, Table};
use dodona_types::{ColumnId, CqlType};
use std::sync::Arc;

impl Planner<'_> {
    pub(super) fn alter_table(&self, alter: &AlterTable) -> Result<Work, CqlError> {
        let keyspace_name = self.keyspace_of(&alter.table)?;
        let name = &alter.table.name;
        check_modifiable(&keyspace_name, "ALTER", || format!("table {keyspace_name}.{name}"))?;
        let keyspace = self.schema.keyspace(&keyspace_name);
        let Some((keyspace, old)) =
            keyspace.and_then(|keyspace| Some((keyspace, keyspace.tables.get(name.as_str())?)))
        else {
            if alter.if_exists {
                return Ok(Work::default());
            }
            return invalid(format!("Table '{keyspace_name}.{name}' doesn't exist"));
        };
        let mut table = Table::clone(old);
        match &alter.change {
            TableChange::Add { if_not_exists, columns } => {
                for column in columns {
                    add_column(&mut table, keyspace, column, *if_not_exists)?;
                }
            }
            TableChange::Drop { if_exists, columns, timestamp } => {
                let at = timestamp.unwrap_or_else(|| self.host.node.timestamps.next());
                for column in columns {
                    drop_column(&mut table, column, *if_exists, at)?;
                }
            }
            TableChange::Rename { columns, .. } => {
                for (from, to) in columns {
                    rename_column(&mut table, from, to)?;
                }
            }
            TableChange::Properties(properties) => put_properties(&mut table, properties)?,
            TableChange::ColumnType(..) => return invalid("Altering column types is no longer supported"),
            TableChange::Mask { .. } => return not_yet("Dynamic data masking is"),
            TableChange::Constraints { .. } => return not_yet("CHECK constraints are"),
            TableChange::DropCompactStorage => {
                drop_compact_storage(&mut table, self.host.guardrails().drop_compact_storage_enabled)?;
            }
        }
        table.sort_columns();
        check_table(&table)?;
        if table == **old {
            return Ok(Work::default());
        }
        let target = ChangeTarget::Table(Arc::clone(&table.name));
        let changes = vec![SchemaChange::PutTable(Box::new(table))];
        Ok(Work::new(changes, ChangeKind::Updated, &keyspace.name, target))
    }
}

fn add_column(
    table: &mut Table,
    keyspace: &Keyspace,
    definition: &ColumnDefinition,
    if_not_exists: bool,
) -> Result<(), CqlError> {
    let name = &definition.name;
    let cql_type = column_type(definition, keyspace)?;
    if table.column(name).is_some() {
        if if_not_exists {
            return Ok(());
        }
        return invalid(format!("Column with name '{name}' already exists"));
    }
    if table.compact_storage.is_some() {
        return invalid("Cannot add new column to a COMPACT STORAGE table");
    }
    if definition.is_static && table.clustering_key().next().is_none() {
        return invalid(
            "Static columns are only useful (and thus allowed) if the table has at least one clustering column",
        );
    }
    if has_multi_cell_fields(&cql_type) {
        return invalid(format!(
            "Non-frozen UDTs with nested non-frozen collections are not supported for column {name}"
        ));
    }
    let kind = if definition.is_static { ColumnKind::Static } else { ColumnKind::Regular };
    check_dropped(table, name, &cql_type, kind)?;
    if table.is_counter() != cql_type.is_counter() {
        let (column, of) =
            if table.is_counter() { ("non counter", "counter") } else { ("counter", "non counter") };
        return Err(CqlError::Config(format!(
            "{}.{}: Cannot have a {column} column (\"{name}\") in a {of} table",
            table.keyspace, table.name
        )));
    }
    // One that comes back is the column that it was: what is newer than its drop is seen again.
    let id = table.dropped_columns.get(name.as_str()).map(|dropped| dropped.column.id);
    let id = id.unwrap_or_else(|| {
        table.next_column += 1;
        ColumnId(table.next_column - 1)
    });
    table.columns.push(Column {
        id,
        name: name.as_str().into(),
        cql_type,
        kind,
        position: 0,
        descending: false,
    });
    Ok(())
}

/// A column that was dropped may come back with values of the same kind: other nodes' files and
/// clients may hold the old ones still.
fn check_dropped(table: &Table, name: &str, cql_type: &CqlType, kind: ColumnKind) -> Result<(), CqlError> {
    let Some(DroppedColumn { column: dropped, .. }) = table.dropped_columns.get(name) else {
        return Ok(());
    };
    if !holds_values_of(cql_type, &dropped.cql_type) {
        return invalid(format!(
            "Cannot re-add previously dropped column '{name}' of type {cql_type}, incompatible with previous type {}",
            dropped.cql_type
        ));
    }
    if kind != dropped.kind {
        let kind_name = |kind| {
            if kind == ColumnKind::Static { "STATIC" } else { "REGULAR" }
        };
        return invalid(format!(
            "Cannot re-add previously dropped column '{name}' of kind {}, incompatible with previous kind {}",
            kind_name(kind),
            kind_name(dropped.kind)
        ));
    }
    if dropped.cql_type.is_counter() {
        return invalid(format!("Cannot re-add previously dropped counter column {name}"));
    }
    Ok(())
}

fn drop_column(table: &mut Table, name: &str, if_exists: bool, at_micros: i64) -> Result<(), CqlError> {
    let Some(place) = table.columns.iter().position(|column| &*column.name == name) else {
        if if_exists {
            return Ok(());
        }
        return invalid(format!("Column {name} was not found in table '{}.{}'", table.keyspace, table.name));
    };
    let column = &table.columns[place];
    if matches!(column.kind, ColumnKind::PartitionKey | ColumnKind::Clustering) {
        return invalid(format!("Cannot drop PRIMARY KEY column {name}"));
    }
    if table.compact_storage.is_some() && column.kind == ColumnKind::Regular {
        return invalid("Cannot drop the value of a COMPACT STORAGE table");
    }
    if let CqlType::UserDefined { frozen: false, .. } = column.cql_type {
        return invalid(format!("Cannot drop non-frozen column {name} of user type {}", column.cql_type));
    }
    let mut column = table.columns.remove(place);
    column.cql_type = expand_user_types(&column.cql_type);
    let dropped = DroppedColumn { column, dropped_at_micros: at_micros };
    table.dropped_columns.insert(Arc::clone(&dropped.column.name), dropped);
    Ok(())
}

fn rename_column(table: &mut Table, from: &str, to: &str) -> Result<(), CqlError> {
    let Some(column) = table.visible_column(from) else {
        return invalid(format!("Undefined column name {from} in table {}.{}", table.keyspace, table.name));
    };
    if matches!(column.kind, ColumnKind::Static | ColumnKind::Regular) {
        return invalid(format!("Cannot rename non PRIMARY KEY column {from}"));
    }
    if table.column(to).is_some() {
        return invalid(format!(
            "Cannot rename column {from} to {to} in table '{}.{}'; another column with that name already exists",
            table.keyspace, table.name
        ));
    }
    for column in table.columns.iter_mut().filter(|column| &*column.name == from) {
        column.name = to.into();
    }
    Ok(())
}

fn put_properties(table: &mut Table, properties: &[Property]) -> Result<(), CqlError> {
    let properties = Properties::new(properties);
    properties.put_into(&mut table.params)?;
    properties.check_table(&table.params)?;
    if properties.text("id")?.is_some() {
        return Err(CqlError::Config("Cannot alter table id.".into()));
    }
    if table.is_counter() && table.params.default_time_to_live > 0 {
        return invalid("Cannot set default_time_to_live on a table with counters");
    }
    Ok(())
}
