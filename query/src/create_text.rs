//! The CQL that makes a keyspace, a type or a table again, letter for letter as Cassandra 5.0
//! writes it for DESCRIBE (`KeyspaceMetadata`, `TableMetadata`, `TableParams.toCqlString`).

use dodona_types::cql_type::quote_identifier;
use dodona_types::schema::{
    Column, ColumnKind, DroppedColumn, Keyspace, Options, Schema, Table, TableParams,
};
use dodona_types::value::format_double;
use dodona_types::{CqlType, UserType};
use std::fmt::Write as _;

/// What is described, beside its definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// Ids and dropped columns too: what a backup's files need.
    pub internals: bool,
    /// It is a virtual keyspace or table: there is no statement that makes it.
    pub is_virtual: bool,
}

/// The statement that makes the keyspace, without what is in it.
#[must_use]
pub fn keyspace_text(keyspace: &Keyspace, options: TextOptions) -> String {
    let name = quote_identifier(&keyspace.name);
    if options.is_virtual {
        return not_recreatable(
            &format!("Keyspace {name} is a virtual keyspace"),
            &format!("VIRTUAL KEYSPACE {name};"),
        );
    }
    let class = keyspace.replication.get("class").map_or("", String::as_str);
    let mut replication =
        format!("{{'class': {}", quote(class.strip_prefix(LOCATOR_PACKAGE).unwrap_or(class)));
    for (option, value) in keyspace.replication.iter().filter(|(option, _)| *option != "class") {
        let _ = write!(replication, ", {}: {}", quote(option), quote(value));
    }
    // Two blanks before AND, as in Cassandra.
    format!(
        "CREATE KEYSPACE {name} WITH replication = {replication}}}  AND durable_writes = {};",
        keyspace.durable_writes
    )
}

const LOCATOR_PACKAGE: &str = "org.apache.cassandra.locator.";

fn not_recreatable(what: &str, structure: &str) -> String {
    format!(
        "/*\nWarning: {what} and cannot be recreated with CQL.\nStructure, for reference:\n{structure}\n*/"
    )
}

/// The statement that makes the type.
#[must_use]
pub fn type_text(definition: &UserType) -> String {
    let fields: Vec<String> =
        definition.fields.iter().map(|(field, ty)| format!("    {} {ty}", quote_identifier(field))).collect();
    format!(
        "CREATE TYPE {}.{} (\n{}\n);",
        quote_identifier(&definition.keyspace),
        quote_identifier(&definition.name),
        fields.join(",\n")
    )
}

/// The statements that make a table again with its id, for a backup: the types of its keyspace, then
/// the table.
#[must_use]
pub fn text_of_backup(schema: &Schema, table: &Table) -> String {
    let options = TextOptions { internals: true, is_virtual: false };
    let mut text = String::new();
    if let Some(keyspace) = schema.keyspace(&table.keyspace) {
        for user_type in types_in_order(keyspace) {
            text.push_str(&type_text(user_type));
            text.push_str("\n\n");
        }
    }
    let order = table.clustering_key().filter(|column| !table.is_hidden(column));
    text.push_str(&table_statements(table, options, order.map(order_of).collect()));
    text.push('\n');
    text
}

/// The statement that makes the table; with internals also those that drop and add its columns
/// as they were dropped and added.
#[must_use]
pub fn table_text(table: &Table, options: TextOptions) -> String {
    let text = table_statements(table, options, table.clustering_key().map(order_of).collect());
    let name = table_name(table);
    if options.is_virtual {
        return not_recreatable(&format!("Table {name} is a virtual table"), &text);
    }
    if table.compact_storage.is_some() {
        return format!(
            "/*\nWarning: Table {name} omitted because it has constructs not compatible with CQL (was created via legacy API).\nApproximate structure, for reference:\n(this should not be used to reproduce this schema)\n\n{text}\n*/"
        );
    }
    text
}

fn table_name(table: &Table) -> String {
    format!("{}.{}", quote_identifier(&table.keyspace), quote_identifier(&table.name))
}

fn table_statements(table: &Table, options: TextOptions, order: Vec<String>) -> String {
    let name = table_name(table);
    let kind = if options.is_virtual { "VIRTUAL" } else { "CREATE" };
    let dropped = if options.internals { dropped_columns(table) } else { Vec::new() };
    let mut text = format!("{kind} TABLE {name} (\n{}\n) WITH ", column_lines(table, &dropped).join(",\n"));
    let mut properties = Vec::new();
    if table.compact_storage.is_some() {
        properties.push("COMPACT STORAGE".to_owned());
    }
    if options.internals {
        properties.push(format!("ID = {}", table.id.0));
    }
    if !order.is_empty() {
        properties.push(format!("CLUSTERING ORDER BY ({})", order.join(", ")));
    }
    if options.is_virtual {
        properties.push(format!("comment = {}", quote(&table.params.comment)));
    } else {
        properties.extend(params(&table.params));
    }
    text.push_str(&properties.join("\n    AND "));
    text.push(';');
    for dropped in dropped {
        let column = quote_identifier(&dropped.column.name);
        let _ =
            write!(text, "\nALTER TABLE {name} DROP {column} USING TIMESTAMP {};", dropped.dropped_at_micros);
        if let Some(again) = table.column(&dropped.column.name) {
            let _ = write!(text, "\nALTER TABLE {name} ADD {};", column_text(again));
        }
    }
    text
}

/// Dropped columns, the first dropped first.
fn dropped_columns(table: &Table) -> Vec<&DroppedColumn> {
    let mut dropped: Vec<&DroppedColumn> = table.dropped_columns.values().collect();
    dropped.sort_by_key(|dropped| dropped.dropped_at_micros);
    dropped
}

fn column_text(column: &Column) -> String {
    let suffix = if column.kind == ColumnKind::Static { " static" } else { "" };
    format!("{} {}{suffix}", quote_identifier(&column.name), column.cql_type)
}

/// The columns in Cassandra's order, where those of one cell stand before those of many.
fn column_lines(table: &Table, dropped: &[&DroppedColumn]) -> Vec<String> {
    let was_dropped = |column: &Column| dropped.iter().any(|dropped| dropped.column.name == column.name);
    let partition: Vec<_> = table.partition_key().map(|column| quote_identifier(&column.name)).collect();
    let clustering = table.clustering_key().filter(|column| !table.is_hidden(column));
    let clustering: Vec<_> = clustering.map(|column| quote_identifier(&column.name)).collect();
    let is_compact = table.compact_storage.is_some();
    let is_lone = partition.len() == 1 && clustering.is_empty() && !is_compact;
    let mut lines = Vec::new();
    for kind in [ColumnKind::PartitionKey, ColumnKind::Clustering, ColumnKind::Static, ColumnKind::Regular] {
        for multi_cell in [false, true] {
            let of_kind = table
                .visible_columns()
                .filter(|column| column.kind == kind && column.cql_type.is_multi_cell() == multi_cell);
            for column in of_kind.filter(|column| !was_dropped(column)) {
                let key = if is_lone && kind == ColumnKind::PartitionKey { " PRIMARY KEY" } else { "" };
                // That the values of a compact table are static is not shown.
                let text = column_text(column);
                let text = if is_compact { text.trim_end_matches(" static") } else { &text };
                lines.push(format!("    {text}{key}"));
            }
        }
    }
    lines.extend(dropped.iter().map(|dropped| format!("    {}", column_text(&dropped.column))));
    if !is_lone {
        let partition =
            if partition.len() > 1 { format!("({})", partition.join(", ")) } else { partition.concat() };
        let key: Vec<_> = std::iter::once(partition.into()).chain(clustering).collect();
        lines.push(format!("    PRIMARY KEY ({})", key.join(", ")));
    }
    lines
}

fn order_of(column: &Column) -> String {
    format!("{} {}", quote_identifier(&column.name), if column.descending { "DESC" } else { "ASC" })
}

fn params(params: &TableParams) -> Vec<String> {
    let extensions: Vec<String> = params
        .extensions
        .iter()
        .map(|(name, bytes)| {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{}: 0x{hex}", quote(name))
        })
        .collect();
    vec![
        format!("additional_write_policy = {}", quote(&params.additional_write_policy)),
        format!("allow_auto_snapshot = {}", params.allow_auto_snapshot),
        format!("bloom_filter_fp_chance = {}", format_double(params.bloom_filter_fp_chance)),
        format!("caching = {}", map(&params.caching)),
        format!("cdc = {}", params.cdc),
        format!("comment = {}", quote(&params.comment)),
        format!("compaction = {}", map(&params.compaction)),
        format!("compression = {}", map(&params.compression)),
        format!("memtable = {}", quote(&params.memtable)),
        format!("crc_check_chance = {}", format_double(params.crc_check_chance)),
        format!("default_time_to_live = {}", params.default_time_to_live),
        format!("extensions = {{{}}}", extensions.join(", ")),
        format!("gc_grace_seconds = {}", params.gc_grace_seconds),
        format!("incremental_backups = {}", params.incremental_backups),
        format!("max_index_interval = {}", params.max_index_interval),
        format!("memtable_flush_period_in_ms = {}", params.memtable_flush_period_in_ms),
        format!("min_index_interval = {}", params.min_index_interval),
        format!("read_repair = {}", quote(&params.read_repair)),
        format!("speculative_retry = {}", quote(&params.speculative_retry)),
    ]
}

fn map(options: &Options) -> String {
    let entries: Vec<String> =
        options.iter().map(|(name, value)| format!("{}: {}", quote(name), quote(value))).collect();
    format!("{{{}}}", entries.join(", "))
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The keyspace's types, each behind those that it uses.
#[must_use]
pub fn types_in_order(keyspace: &Keyspace) -> Vec<&UserType> {
    let mut order = Vec::new();
    for definition in keyspace.types.values() {
        put_with_uses(keyspace, definition, &mut order);
    }
    order
}

fn put_with_uses<'a>(keyspace: &'a Keyspace, definition: &'a UserType, order: &mut Vec<&'a UserType>) {
    if order.iter().any(|placed| placed.name == definition.name) {
        return;
    }
    for (_, ty) in &definition.fields {
        put_used(keyspace, ty, order);
    }
    order.push(definition);
}

fn put_used<'a>(keyspace: &'a Keyspace, cql_type: &'a CqlType, order: &mut Vec<&'a UserType>) {
    if let CqlType::UserDefined { definition, .. } = cql_type {
        // The keyspace's own definition is the same: types cannot hold each other in a circle.
        if let Some(own) = keyspace.types.get(&definition.name) {
            put_with_uses(keyspace, own, order);
        }
        return;
    }
    cql_type.inner().for_each(|inner| put_used(keyspace, inner, order));
}
