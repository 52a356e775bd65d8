//! The keyspaces that every node has: what drivers, tools and operators read.
//!
//! Their tables are defined in CQL as Cassandra 5.0 has them (`definitions/`), with Cassandra's
//! ids, and go through the same analysis as anybody's. Most are volatile: kept in memory alone and
//! made from what the node knows (`refresh`), at its start and whenever that changes. The
//! rest ([`is_volatile`] is false) are tables like any other.

mod cluster_view;
mod engine_view;
mod estimates;
mod node_rows;
mod repair_view;
mod rows;
mod schema_rows;
mod server_view;
mod table_view;

use crate::ast::Statement;
use crate::error::CqlError;
use crate::host::Host;
use crate::parser::parse_statement;
use crate::statement::schema::builtin_table;
use crate::system_keyspaces::{DEFINITIONS, Kind};
use dodona_cluster::ClusterError;
use dodona_cluster::node::Builtin;
use dodona_types::TableId;
use dodona_types::schema::{Keyspace, Options, Schema, Table};
use md5::{Digest, Md5};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

pub use crate::server_view::{ClientView, LogLine, PoolView, RunningView, ServerView};
pub use crate::system_keyspaces::{
    is_local_system_keyspace, is_system_keyspace, is_virtual_keyspace, is_volatile,
};
pub(crate) use rows::Rows;

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
    builtin.describe = Some(crate::create_text::text_of_backup);
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

/// What the tables show of schema and ring.
pub(crate) struct Shown {
    schema: Arc<Schema>,
    members: u64,
    /// Changes since the tables of the schema were made anew as a whole.
    changes: usize,
}

/// Brings every table that depends on the schema or the ring up to what they are now.
pub(crate) fn refresh(host: &Host, shown: &mut Option<Shown>) -> Result<(), CqlError> {
    let placement = host.node.placement();
    let (schema, members) = (&placement.schema, placement.version);
    let is_present = |shown: &Shown| (shown.schema.epoch, shown.members) == (schema.epoch, members);
    if shown.as_ref().is_some_and(is_present) {
        return Ok(());
    }
    let fill = Fill { host, schema, timestamp_micros: host.node.timestamps.next() };
    // After an error all of it is made anew.
    let changes = match shown.take() {
        // Each change leaves tombstones behind.
        Some(before) if before.changes < 100 + schema.tables().count() => {
            schema_rows::change(&fill, &before.schema)?;
            before.changes + 1
        }
        _ => {
            schema_rows::refill(&fill)?;
            0
        }
    };
    node_rows::refill_local(&fill)?;
    *shown = Some(Shown { schema: Arc::clone(schema), members, changes });
    Ok(())
}

/// Makes the content of a table anew that is worked out when it is read. `prepared` counts the prepared
/// statements that are kept, and those that had to go.
pub(crate) fn refill_on_read(
    host: &Host,
    table: &Table,
    prepared: impl Fn() -> (usize, u64),
) -> Result<(), CqlError> {
    if !is_system_keyspace(&table.keyspace) {
        return Ok(());
    }
    let schema = host.node.schema();
    let fill = Fill { host, schema: &schema, timestamp_micros: host.node.timestamps.next() };
    match (&*table.keyspace, &*table.name) {
        ("system_views", "batch_metrics") => engine_view::refill_batch_metrics(&fill),
        ("system_views", "caches") => engine_view::refill_caches(&fill),
        ("system_views", "cql_metrics") => engine_view::refill_cql_metrics(&fill, prepared()),
        ("system_views", "sstable_tasks") => engine_view::refill_sstable_tasks(&fill),
        ("system_views", "thread_pools") => engine_view::refill_thread_pools(&fill),
        ("system_views", "gossip_info") => cluster_view::refill_gossip_info(&fill),
        ("system_views", "pending_hints") => cluster_view::refill_pending_hints(&fill),
        ("system_views", "streaming") => cluster_view::refill_streaming(&fill),
        ("system_views", "internode_inbound") => cluster_view::refill_internode_inbound(&fill),
        ("system_views", "internode_outbound") => cluster_view::refill_internode_outbound(&fill),
        ("system_views", "clients") => server_view::refill_clients(&fill),
        ("system_views", "queries") => server_view::refill_queries(&fill),
        ("system_views", "settings") => server_view::refill_settings(&fill),
        ("system_views", "system_logs") => server_view::refill_log(&fill),
        ("system_views", "system_properties") => server_view::refill_properties(&fill),
        ("system_views", "repairs") => repair_view::refill_repairs(&fill),
        ("system_views", "repair_sessions") => repair_view::refill_sessions(&fill),
        ("system_views", "repair_jobs") => repair_view::refill_jobs(&fill),
        ("system_views", "repair_participates") => repair_view::refill_participates(&fill),
        ("system_views", "repair_validations") => repair_view::refill_validations(&fill),
        ("system_views", view) => table_view::refill(&fill, view),
        ("system", "size_estimates" | "table_estimates") => estimates::refill(&fill),
        ("system", "peers" | "peers_v2") => node_rows::refill_peers(&fill),
        _ => Ok(()),
    }
}

/// Makes the content of a table anew that takes a look at the disk, where that may wait.
pub(crate) async fn refill_from_disk(host: &Host, table: &Table) -> Result<(), CqlError> {
    if !is_from_disk(table) {
        return Ok(());
    }
    let engine = Arc::clone(&host.node.engine);
    let snapshots = host.node.env.tasks.blocking(move || engine.snapshots()).await;
    let snapshots = snapshots.map_err(|error| CqlError::Server(error.to_string()))?;
    let schema = host.node.schema();
    let fill = Fill { host, schema: &schema, timestamp_micros: host.node.timestamps.next() };
    cluster_view::refill_snapshots(&fill, &snapshots.map_err(ClusterError::from)?)
}

/// True of a table whose content takes a look at the disk.
pub(crate) fn is_from_disk(table: &Table) -> bool {
    (&*table.keyspace, &*table.name) == ("system_views", "snapshots")
}

/// What content is made of.
struct Fill<'a> {
    host: &'a Host,
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
        self.put(keyspace, table, put_rows, true)
    }

    /// Changes rows of a table, if the node has it.
    fn change(
        &self,
        keyspace: &str,
        table: &str,
        put_rows: impl FnOnce(&mut Rows<'_>) -> Result<(), CqlError>,
    ) -> Result<(), CqlError> {
        self.put(keyspace, table, put_rows, false)
    }

    fn put(
        &self,
        keyspace: &str,
        table: &str,
        put_rows: impl FnOnce(&mut Rows<'_>) -> Result<(), CqlError>,
        replaces: bool,
    ) -> Result<(), CqlError> {
        let Some(table) = self.schema.table(keyspace, table) else {
            return Ok(());
        };
        let mut rows = Rows::new(table, self.timestamp_micros);
        put_rows(&mut rows)?;
        let (engine, mutations) = (&self.host.node.engine, rows.into_mutations());
        let put = if replaces {
            engine.replace_volatile(table.id, &mutations)
        } else {
            engine.change_volatile(table.id, &mutations)
        };
        Ok(put.map_err(ClusterError::from)?)
    }
}

/// A timeuuid of this node: of a time, and of a number of what began then.
fn timeuuid(fill: &Fill<'_>, wall_micros: i64, number: u64) -> Uuid {
    let (seconds, micros) = (wall_micros.div_euclid(1_000_000), wall_micros.rem_euclid(1_000_000));
    let nanos = u32::try_from(micros * 1_000).unwrap_or(0);
    let at = uuid::Timestamp::from_unix(uuid::NoContext, seconds.max(0).cast_unsigned(), nanos);
    let node = *fill.host.node.info.identity.host.as_bytes();
    let node = [node[0] | 1, node[1], node[2], node[3], node[4], node[5]];
    uuid::Builder::from_gregorian_timestamp(at.to_gregorian().0.wrapping_add(number), 0, &node).into_uuid()
}

/// A UUID as a value.
fn uuid(value: Uuid) -> Vec<u8> {
    value.as_bytes().to_vec()
}

#[cfg(test)]
#[path = "system_tables_tests.rs"]
mod tests;
