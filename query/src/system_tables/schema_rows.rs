//! The content of `system_schema` and `system_virtual_schema` (Cassandra `SchemaKeyspace`).
//!
//! Of indexes, triggers, views, functions, aggregates and masks there are none yet: their tables
//! stay empty.

use super::rows::{Rows, bigint, boolean, double, int, text, text_map, texts};
use super::{Fill, is_virtual_keyspace, uuid};
use crate::error::CqlError;
use dodona_types::UserType;
use dodona_types::schema::{Column, ColumnKind, Keyspace, Options, Schema, Table, TableParams};
use dodona_types::value::write_bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

const SCHEMA: &str = "system_schema";
const VIRTUAL_SCHEMA: &str = "system_virtual_schema";

/// Makes all of it anew.
pub(super) fn refill(fill: &Fill<'_>) -> Result<(), CqlError> {
    let (of_virtual, others): (Vec<&Arc<Keyspace>>, Vec<_>) =
        fill.schema.keyspaces.values().partition(|keyspace| is_virtual_keyspace(&keyspace.name));
    fill.replace(SCHEMA, "keyspaces", |rows| {
        others.iter().try_for_each(|keyspace| put_keyspace(rows, keyspace))
    })?;
    let tables = || others.iter().flat_map(|keyspace| keyspace.tables.values());
    fill.replace(SCHEMA, "tables", |rows| tables().try_for_each(|table| put_table(rows, table)))?;
    fill.replace(SCHEMA, "columns", |rows| tables().try_for_each(|table| put_columns(rows, table)))?;
    fill.replace(SCHEMA, "dropped_columns", |rows| {
        tables().try_for_each(|table| put_dropped_columns(rows, table))
    })?;
    let mut types = others.iter().flat_map(|keyspace| keyspace.types.values().map(|ty| (&keyspace.name, ty)));
    fill.replace(SCHEMA, "types", |rows| types.try_for_each(|(keyspace, ty)| put_type(rows, keyspace, ty)))?;

    fill.replace(VIRTUAL_SCHEMA, "keyspaces", |rows| {
        of_virtual.iter().try_for_each(|keyspace| rows.put(&[("keyspace_name", text(&keyspace.name))]))
    })?;
    let tables = || of_virtual.iter().flat_map(|keyspace| keyspace.tables.values());
    fill.replace(VIRTUAL_SCHEMA, "tables", |rows| {
        tables().try_for_each(|table| {
            rows.put(&[
                ("keyspace_name", text(&table.keyspace)),
                ("table_name", text(&table.name)),
                ("comment", text(&table.params.comment)),
            ])
        })
    })?;
    fill.replace(VIRTUAL_SCHEMA, "columns", |rows| tables().try_for_each(|table| put_columns(rows, table)))
}

/// Puts what has become of a schema in place of what it was. Nobody changes virtual keyspaces.
pub(super) fn change(fill: &Fill<'_>, before: &Schema) -> Result<(), CqlError> {
    differences(&before.keyspaces, &fill.schema.keyspaces)
        .try_for_each(|(name, before, now)| change_keyspace(fill, name, before, now))
}

fn change_keyspace(
    fill: &Fill<'_>,
    name: &str,
    before: Option<&Keyspace>,
    now: Option<&Keyspace>,
) -> Result<(), CqlError> {
    let key = [name.as_bytes()];
    fill.change(SCHEMA, "keyspaces", |rows| {
        rows.delete_partition(&key);
        now.map_or(Ok(()), |keyspace| put_keyspace(rows, keyspace))
    })?;
    let none = BTreeMap::new();
    let (old, new) =
        (before.map_or(&none, |keyspace| &keyspace.tables), now.map_or(&none, |keyspace| &keyspace.tables));
    let tables: Vec<_> = differences(old, new).map(|(table, _, now)| (table, now)).collect();
    let change_tables = |shown: &str, put: fn(&mut Rows<'_>, &Table) -> Result<(), CqlError>| {
        fill.change(SCHEMA, shown, |rows| {
            tables.iter().try_for_each(|(table, now)| {
                rows.delete_rows(&key, table.as_bytes())?;
                now.map_or(Ok(()), |table| put(rows, table))
            })
        })
    };
    change_tables("tables", put_table)?;
    change_tables("columns", put_columns)?;
    change_tables("dropped_columns", put_dropped_columns)?;
    let none = BTreeMap::new();
    let (old, new) =
        (before.map_or(&none, |keyspace| &keyspace.types), now.map_or(&none, |keyspace| &keyspace.types));
    fill.change(SCHEMA, "types", |rows| {
        differences(old, new).try_for_each(|(ty, _, now)| {
            rows.delete_rows(&key, ty.as_bytes())?;
            now.map_or(Ok(()), |ty| put_type(rows, name, ty))
        })
    })
}

/// What is not the same in both, by names: what it was, and what it is now.
fn differences<'a, T: PartialEq>(
    before: &'a BTreeMap<Arc<str>, Arc<T>>,
    now: &'a BTreeMap<Arc<str>, Arc<T>>,
) -> impl Iterator<Item = (&'a str, Option<&'a T>, Option<&'a T>)> {
    let is_same = |a: &Arc<T>, b: &Arc<T>| Arc::ptr_eq(a, b) || a == b;
    let changed = now.iter().filter_map(move |(name, value)| {
        let old = before.get(name);
        (!old.is_some_and(|old| is_same(old, value))).then_some((
            &**name,
            old.map(|old| &**old),
            Some(&**value),
        ))
    });
    let gone = before.iter().filter(|(name, _)| !now.contains_key(*name));
    changed.chain(gone.map(|(name, old)| (&**name, Some(&**old), None)))
}

fn put_keyspace(rows: &mut Rows<'_>, keyspace: &Keyspace) -> Result<(), CqlError> {
    rows.put(&[
        ("keyspace_name", text(&keyspace.name)),
        ("durable_writes", boolean(keyspace.durable_writes)),
        ("replication", text_map(&keyspace.replication)?),
    ])
}

fn put_table(rows: &mut Rows<'_>, table: &Table) -> Result<(), CqlError> {
    let params = &table.params;
    let mut values = vec![
        ("keyspace_name", text(&table.keyspace)),
        ("table_name", text(&table.name)),
        ("flags", texts(table.flags().into_iter())?),
        ("id", uuid(table.id.0)),
        // They mean nothing any more, but drivers may read them.
        ("dclocal_read_repair_chance", double(0.0)),
        ("read_repair_chance", double(0.0)),
    ];
    put_params(params, &mut values)?;
    rows.put(&values)
}

/// Options as Cassandra keeps them: the younger ones only where they are not as by default.
fn put_params(params: &TableParams, values: &mut Vec<(&str, Vec<u8>)>) -> Result<(), CqlError> {
    let number = |value: u32| int(i32::try_from(value).unwrap_or(i32::MAX));
    values.extend([
        ("additional_write_policy", text(&params.additional_write_policy)),
        ("bloom_filter_fp_chance", double(params.bloom_filter_fp_chance)),
        ("caching", text_map(&params.caching)?),
        ("comment", text(&params.comment)),
        ("compaction", text_map(&params.compaction)?),
        ("compression", text_map(&params.compression)?),
        ("crc_check_chance", double(params.crc_check_chance)),
        ("default_time_to_live", number(params.default_time_to_live)),
        ("extensions", blob_map(params)?),
        ("gc_grace_seconds", number(params.gc_grace_seconds)),
        ("max_index_interval", number(params.max_index_interval)),
        ("memtable_flush_period_in_ms", number(params.memtable_flush_period_in_ms)),
        ("min_index_interval", number(params.min_index_interval)),
        ("read_repair", text(&params.read_repair)),
        ("speculative_retry", text(&params.speculative_retry)),
    ]);
    if !params.allow_auto_snapshot {
        values.push(("allow_auto_snapshot", boolean(false)));
    }
    if !params.incremental_backups {
        values.push(("incremental_backups", boolean(false)));
    }
    if params.memtable != "default" {
        values.push(("memtable", text(&params.memtable)));
    }
    Ok(())
}

fn blob_map(params: &TableParams) -> Result<Vec<u8>, CqlError> {
    if params.extensions.is_empty() {
        return text_map(&Options::new());
    }
    let mut out = int(i32::try_from(params.extensions.len()).unwrap_or(i32::MAX));
    for (name, value) in &params.extensions {
        write_bytes(Some(name.as_bytes()), &mut out)?;
        write_bytes(Some(value), &mut out)?;
    }
    Ok(out)
}

fn kind_name(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::PartitionKey => "partition_key",
        ColumnKind::Clustering => "clustering",
        ColumnKind::Static => "static",
        ColumnKind::Regular => "regular",
    }
}

fn put_columns(rows: &mut Rows<'_>, table: &Table) -> Result<(), CqlError> {
    table.columns.iter().try_for_each(|column| put_column(rows, table, column))
}

fn put_column(rows: &mut Rows<'_>, table: &Table, column: &Column) -> Result<(), CqlError> {
    let order = match (column.kind, column.descending) {
        (ColumnKind::Clustering, false) => "asc",
        (ColumnKind::Clustering, true) => "desc",
        _ => "none",
    };
    let is_key = matches!(column.kind, ColumnKind::PartitionKey | ColumnKind::Clustering);
    rows.put(&[
        ("keyspace_name", text(&table.keyspace)),
        ("table_name", text(&table.name)),
        ("column_name", text(&column.name)),
        ("clustering_order", text(order)),
        ("column_name_bytes", text(&column.name)),
        ("kind", text(kind_name(column.kind))),
        ("position", int(if is_key { i32::from(column.position) } else { -1 })),
        ("type", text(&column.cql_type.to_string())),
    ])
}

fn put_dropped_columns(rows: &mut Rows<'_>, table: &Table) -> Result<(), CqlError> {
    table.dropped_columns.values().try_for_each(|dropped| {
        rows.put(&[
            ("keyspace_name", text(&table.keyspace)),
            ("table_name", text(&table.name)),
            ("column_name", text(&dropped.column.name)),
            ("dropped_time", bigint(dropped.dropped_at_micros.div_euclid(1_000))),
            ("kind", text(kind_name(dropped.column.kind))),
            ("type", text(&dropped.column.cql_type.to_string())),
        ])
    })
}

fn put_type(rows: &mut Rows<'_>, keyspace: &str, definition: &UserType) -> Result<(), CqlError> {
    let types: Vec<String> = definition.fields.iter().map(|(_, ty)| ty.to_string()).collect();
    rows.put(&[
        ("keyspace_name", text(keyspace)),
        ("type_name", text(&definition.name)),
        ("field_names", texts(definition.fields.iter().map(|(field, _)| &**field))?),
        ("field_types", texts(types.iter().map(String::as_str))?),
    ])
}
