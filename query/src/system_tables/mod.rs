//! The keyspaces that every node has: what drivers, tools and operators read.
//!
//! Their tables are defined in CQL as Cassandra 5.0 has them (`definitions/`), with Cassandra's
//! ids, and go through the same analysis as anybody's. Most are volatile: kept in memory alone and
//! made anew from what the node knows (`refill`), at its start and whenever that changes. The
//! rest ([`is_volatile`] is false) are tables like any other.

mod estimates;
mod node_rows;
mod rows;
mod schema_rows;
mod server_view;

use crate::ast::Statement;
use crate::error::CqlError;
use crate::parser::parse_statement;
use crate::processor::Processor;
use crate::statement::schema::builtin_table;
use dodona_cluster::node::Builtin;
use dodona_types::TableId;
use dodona_types::schema::{Keyspace, Options, Schema, Table};
use md5::{Digest, Md5};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

pub(crate) use rows::Rows;
pub use server_view::{ClientView, ServerView};

/// A keyspace and the text of its tables' definitions. The numbers of columns are their places in
/// the text: durable tables get new columns at the end.
struct Definition {
    name: &'static str,
    kind: Kind,
    tables: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Every node has its own; no statement changes its schema.
    Local,
    /// Like local, but in no table of `system_schema`.
    Virtual,
    /// Placed on the ring, by `SimpleStrategy` with so many copies until an operator alters that.
    Distributed(u8),
}

macro_rules! definition {
    ($name:literal, $kind:expr) => {
        Definition { name: $name, kind: $kind, tables: include_str!(concat!("definitions/", $name, ".cql")) }
    };
}

const DEFINITIONS: [Definition; 7] = [
    definition!("system", Kind::Local),
    definition!("system_schema", Kind::Local),
    definition!("system_virtual_schema", Kind::Virtual),
    definition!("system_views", Kind::Virtual),
    definition!("system_auth", Kind::Distributed(1)),
    definition!("system_distributed", Kind::Distributed(3)),
    definition!("system_traces", Kind::Distributed(2)),
];

/// Local tables that are kept on disk.
const DURABLE: [&str; 5] =
    ["batches", "compaction_history", "paxos", "paxos_repair_history", "prepared_statements"];

fn kind_of(keyspace: &str) -> Option<Kind> {
    // Most names are not the server's.
    if !keyspace.starts_with("system") {
        return None;
    }
    DEFINITIONS.iter().find(|definition| definition.name == keyspace).map(|definition| definition.kind)
}

/// True if the server made the keyspace.
#[must_use]
pub fn is_system_keyspace(keyspace: &str) -> bool {
    kind_of(keyspace).is_some()
}

/// True if every node has the keyspace for itself: nobody may change its schema.
#[must_use]
pub fn is_local_system_keyspace(keyspace: &str) -> bool {
    matches!(kind_of(keyspace), Some(Kind::Local | Kind::Virtual))
}

/// True if the keyspace is virtual: `system_virtual_schema` describes it, and not `system_schema`.
#[must_use]
pub fn is_virtual_keyspace(keyspace: &str) -> bool {
    kind_of(keyspace) == Some(Kind::Virtual)
}

/// True if the server makes the table's content: it is kept in memory alone, and not for clients
/// to change.
#[must_use]
pub fn is_volatile(table: &Table) -> bool {
    is_local_system_keyspace(&table.keyspace)
        && !(&*table.keyspace == "system" && DURABLE.contains(&&*table.name))
}

/// The definitions of all keyspaces that every node has, for [`dodona_cluster::Node::start`].
#[must_use]
pub fn builtin() -> Builtin {
    let mut builtin = Builtin::default();
    for definition in &DEFINITIONS {
        let mut keyspace = Keyspace {
            name: definition.name.into(),
            replication: replication(definition.kind),
            durable_writes: true,
            tables: BTreeMap::new(),
            types: BTreeMap::new(),
        };
        for text in definition.tables.split_inclusive(";\n") {
            match table_of(&keyspace, text) {
                Ok(table) => {
                    if is_volatile(&table) {
                        builtin.volatile.insert(table.id);
                    }
                    keyspace.tables.insert(Arc::clone(&table.name), Arc::new(table));
                }
                // The tests see every definition.
                Err(error) => tracing::error!(%error, text, "a wrong definition of a system table"),
            }
        }
        builtin.keyspaces.push(keyspace);
    }
    builtin
}

fn replication(kind: Kind) -> Options {
    let class = |name: &str| ("class".to_owned(), format!("org.apache.cassandra.locator.{name}"));
    match kind {
        Kind::Local | Kind::Virtual => Options::from([class("LocalStrategy")]),
        Kind::Distributed(copies) => {
            Options::from([class("SimpleStrategy"), ("replication_factor".to_owned(), copies.to_string())])
        }
    }
}

fn table_of(keyspace: &Keyspace, text: &str) -> Result<Table, CqlError> {
    let parsed = parse_statement(text).map_err(|error| CqlError::Syntax(error.to_string()))?;
    match parsed.statement {
        Statement::CreateTable(create) => {
            builtin_table(&create, keyspace, id_of(&keyspace.name, &create.table.name))
        }
        _ => Err(CqlError::Server("not a CREATE TABLE".into())),
    }
}

/// The id of a table that every node has: the same on all, and Cassandra's
/// (`TableId.unsafeDeterministic`, a version 3 UUID of keyspace and table).
fn id_of(keyspace: &str, table: &str) -> TableId {
    let digest = Md5::new().chain_update(keyspace).chain_update(table).finalize();
    TableId(uuid::Builder::from_md5_bytes(digest.into()).into_uuid())
}

/// Makes the content of every table anew that depends on the schema or the ring.
pub(crate) fn refill(processor: &Processor) -> Result<(), CqlError> {
    let schema = processor.node.schema();
    let fill = Fill { processor, schema: &schema, timestamp_micros: processor.node.timestamps.next() };
    schema_rows::refill(&fill)?;
    node_rows::refill(&fill)
}

/// Makes the content of a table anew that is worked out when it is read.
pub(crate) fn refill_on_read(processor: &Processor, table: &Table) -> Result<(), CqlError> {
    if kind_of(&table.keyspace).is_none() {
        return Ok(());
    }
    let schema = processor.node.schema();
    let fill = Fill { processor, schema: &schema, timestamp_micros: processor.node.timestamps.next() };
    match (&*table.keyspace, &*table.name) {
        ("system_views", "clients") => server_view::refill_clients(&fill),
        ("system_views", "settings") => server_view::refill_settings(&fill),
        ("system", "size_estimates" | "table_estimates") => estimates::refill(&fill),
        _ => Ok(()),
    }
}

/// What content is made of.
struct Fill<'a> {
    processor: &'a Processor,
    schema: &'a Schema,
    /// The timestamp of every cell.
    timestamp_micros: i64,
}

impl Fill<'_> {
    /// Replaces the rows of a table, if the node has it.
    fn replace(
        &self,
        keyspace: &str,
        table: &str,
        put_rows: impl FnOnce(&mut Rows<'_>) -> Result<(), CqlError>,
    ) -> Result<(), CqlError> {
        let Some(table) = self.schema.table(keyspace, table) else {
            return Ok(());
        };
        let mut rows = Rows::new(table, self.timestamp_micros);
        put_rows(&mut rows)?;
        let engine = &self.processor.node.engine;
        engine.replace_volatile(table.id, rows.mutations()).map_err(dodona_cluster::ClusterError::from)?;
        Ok(())
    }
}

/// A UUID as a value.
fn uuid(value: Uuid) -> Vec<u8> {
    value.as_bytes().to_vec()
}

#[cfg(test)]
#[path = "system_tables_tests.rs"]
mod tests;
