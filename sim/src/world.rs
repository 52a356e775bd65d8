//! What scenarios share: a table, mutations of its rows, and reads of them.

use crate::invariants::Seen;
use crate::model::{Action, RowId};
use dodona_cluster::coordinator::Timeouts;
use dodona_cluster::metadata::SchemaChange;
use dodona_cluster::node::Builtin;
use dodona_cluster::ring::Member;
use dodona_cluster::{ClusterError, Node, NodeSettings};
use dodona_storage::{EngineSettings, Page, SyncMode};
use dodona_types::cell::CellKind;
use dodona_types::comparable::encode_component;
use dodona_types::key::ROW_END;
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::row::RowHeader;
use dodona_types::schema::{Column, ColumnKind, Keyspace, Options, Table, TableParams};
use dodona_types::{
    Cell, ColumnId, Consistency, CqlType, Deletion, KeyRef, LiveRow, MutationBuilder, PartitionKey,
    RowVisitor, TableId,
};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The table of every scenario.
pub const TABLE: TableId = TableId(Uuid::from_u128(0x5eed));
/// The table of counters.
pub const COUNTERS: TableId = TableId(Uuid::from_u128(0xc0de));
const VALUE: ColumnId = ColumnId(2);
/// Partitions and rows of each that the work is spread over.
pub const PARTITIONS: u64 = 6;
/// Rows of each partition.
pub const ROWS: u64 = 8;

/// SimpleStrategy, with so many replicas.
#[must_use]
pub fn simple(replication_factor: u32) -> Options {
    Options::from([
        ("class".to_owned(), "org.apache.cassandra.locator.SimpleStrategy".to_owned()),
        ("replication_factor".to_owned(), replication_factor.to_string()),
    ])
}

/// Creates a keyspace with a table as that of every scenario is, but for its id and what `change` does,
/// once that one is there.
///
/// # Errors
/// The schema could not be changed.
pub async fn create_alike(
    node: &Node,
    keyspace: &str,
    id: TableId,
    replication: Options,
    change: impl FnOnce(&mut Table),
) -> Result<(), ClusterError> {
    let schema = node.schema();
    let (None, Some(like)) = (schema.table(keyspace, "t"), schema.table("sim", "t")) else { return Ok(()) };
    let mut table = Table { id, keyspace: keyspace.into(), ..(**like).clone() };
    change(&mut table);
    let changes = vec![
        SchemaChange::PutKeyspace(empty(keyspace, replication)),
        SchemaChange::PutTable(Box::new(table)),
    ];
    node.change_schema(schema.epoch, changes).await.map(drop)
}

/// A keyspace without tables.
#[must_use]
pub fn empty(name: &str, replication: Options) -> Keyspace {
    let (tables, types) = (BTreeMap::new(), BTreeMap::new());
    Keyspace { name: name.into(), replication, durable_writes: true, tables, types }
}

/// Waits until all nodes have come here.
pub async fn all_of(here: &Mutex<usize>, nodes: usize) {
    *here.lock() += 1;
    while *here.lock() < nodes {
        dodona_env::clock::sleep(Duration::from_millis(50)).await;
    }
}

/// Creates keyspace and table on a node, unless they are there.
///
/// # Errors
/// The schema could not be changed.
pub async fn create_table(
    node: &Node,
    replication: Options,
    gc_grace_seconds: u32,
) -> Result<(), ClusterError> {
    let schema = node.schema();
    if schema.table("sim", "t").is_some() {
        return Ok(());
    }
    let keyspace = empty("sim", replication);
    let column = |id, name: &str, cql_type, kind| Column {
        id: ColumnId(id),
        name: name.into(),
        cql_type,
        kind,
        position: 0,
        descending: false,
    };
    let table = Table {
        id: TABLE,
        keyspace: "sim".into(),
        name: "t".into(),
        epoch: 0,
        columns: vec![
            column(0, "k", CqlType::Tinyint, ColumnKind::PartitionKey),
            column(1, "c", CqlType::Tinyint, ColumnKind::Clustering),
            column(2, "v", CqlType::Bigint, ColumnKind::Regular),
        ],
        next_column: 3,
        dropped_columns: BTreeMap::new(),
        compact_storage: None,
        params: TableParams { gc_grace_seconds, ..TableParams::default() },
    };
    let counters = Table {
        id: COUNTERS,
        name: "n".into(),
        columns: vec![
            column(0, "k", CqlType::Tinyint, ColumnKind::PartitionKey),
            column(1, "n", CqlType::Counter, ColumnKind::Regular),
        ],
        next_column: 2,
        ..table.clone()
    };
    let changes = vec![
        SchemaChange::PutKeyspace(keyspace),
        SchemaChange::PutTable(Box::new(table)),
        SchemaChange::PutTable(Box::new(counters)),
    ];
    match node.change_schema(schema.epoch, changes).await {
        // Another node was first, with the same tables.
        Err(ClusterError::SchemaConflict) => Ok(()),
        changed => changed.map(drop),
    }
}

/// How long tombstones are kept where they are to be purged while a run lasts, in seconds.
pub const SHORT_GRACE: u32 = 5;

/// Settings of an engine of which little fits into memory.
#[must_use]
pub fn small_engine(sync_mode: SyncMode) -> EngineSettings {
    EngineSettings {
        sync_mode,
        memtable_bytes: 8_000,
        block_cache_bytes: 64 << 10,
        commit_log_bytes: 48_000,
        segment_bytes: 6_000,
        compaction_bytes_per_second: 0,
        concurrent_compactors: 2,
        step_bytes: 1 << 20,
        ..EngineSettings::default()
    }
}

/// Settings of one of the members of a cluster that all begin together.
#[must_use]
pub fn settings_of(members: Vec<Member>, index: usize, sync_mode: SyncMode) -> NodeSettings {
    let here = &members[index];
    NodeSettings {
        cluster_name: "sim".into(),
        data_center: here.data_center.clone(),
        rack: here.rack.clone(),
        native: here.native,
        internode: here.internode,
        num_tokens: here.tokens.len(),
        members,
        engine: small_engine(sync_mode),
        timeouts: TIMEOUTS,
        ..NodeSettings::default()
    }
}

/// How long coordinators wait where messages take 20 ms at most.
pub const TIMEOUTS: Timeouts = Timeouts {
    read: Duration::from_millis(500),
    write: Duration::from_millis(500),
    contention: Duration::from_millis(1_500),
};

/// The tables of Paxos and of the batch log, and nothing else of what every node has.
#[must_use]
pub fn builtin() -> Builtin {
    let mut builtin = dodona_query::system_tables::builtin();
    builtin.volatile.clear();
    builtin.keyspaces.retain(|keyspace| &*keyspace.name == "system");
    for keyspace in &mut builtin.keyspaces {
        keyspace.tables.retain(|name, _| matches!(&**name, "paxos" | "batches"));
    }
    builtin
}

fn clustering(row: u8) -> Vec<u8> {
    let mut out = Vec::new();
    // One byte is a valid tinyint.
    let encoded = encode_component(&CqlType::Tinyint, false, Some(&[row]), &mut out);
    debug_assert!(encoded.is_ok());
    out.push(ROW_END);
    out
}

/// The encoded mutation of an attempt.
#[must_use]
pub fn mutation(row: RowId, timestamp: i64, action: Action, now_seconds: i64) -> Vec<u8> {
    mutation_in(TABLE, row, timestamp, action, now_seconds)
}

/// The same in another table that is alike.
#[must_use]
pub fn mutation_in(table: TableId, row: RowId, timestamp: i64, action: Action, now_seconds: i64) -> Vec<u8> {
    let mut builder = MutationBuilder::new();
    builder.begin(table, 1, &[row.0]);
    match action {
        Action::Put(value) => builder.row(&clustering(row.1), timestamp, &RowHeader::EMPTY, |row| {
            let value = value.to_be_bytes();
            row.push_cell(&Cell {
                column: VALUE,
                path: None,
                timestamp_micros: timestamp,
                kind: CellKind::Live,
                value: &value,
            });
        }),
        Action::Delete => {
            let deletion = Deletion { timestamp_micros: timestamp, deleted_at_seconds: now_seconds };
            builder.row(&clustering(row.1), timestamp, &RowHeader { deletion, ..RowHeader::EMPTY }, |_| {});
        }
    }
    builder.view().bytes().to_vec()
}

/// Reads the rows of a partition through the coordinator.
///
/// # Errors
/// The read failed.
pub async fn read_partition(
    node: &Arc<Node>,
    partition: u8,
    consistency: Consistency,
) -> Result<BTreeMap<u8, (i64, u64)>, ClusterError> {
    read_in(node, TABLE, partition, consistency).await
}

/// The same of another table that is alike.
///
/// # Errors
/// The read failed.
pub async fn read_in(
    node: &Arc<Node>,
    table: TableId,
    partition: u8,
    consistency: Consistency,
) -> Result<BTreeMap<u8, (i64, u64)>, ClusterError> {
    let partition = PartitionSelection::Key(PartitionKey::new(vec![partition].into()));
    let command = ReadCommand::everything(table, 1, partition, node.env.clock.wall_seconds());
    let page = node.coordinator.read_page(command, consistency, usize::MAX).await?;
    rows_of(&page)
}

/// The rows of a page: by number, timestamp and value.
///
/// # Errors
/// A row does not decode.
pub fn rows_of(page: &Page) -> Result<BTreeMap<u8, (i64, u64)>, ClusterError> {
    let mut rows = Rows::default();
    if page.show(0, &mut rows).map_err(ClusterError::from)?.is_break() {
        return Err(ClusterError::Peer("a row that does not decode".into()));
    }
    Ok(rows.0)
}

/// A row of what [`read_partition`] gave.
#[must_use]
pub fn seen(rows: &BTreeMap<u8, (i64, u64)>, row: RowId) -> Seen {
    rows.get(&row.1).copied()
}

#[derive(Default)]
struct Rows(BTreeMap<u8, (i64, u64)>);

impl RowVisitor for Rows {
    fn partition(&mut self, _: KeyRef<'_>, _: Option<&LiveRow<'_>>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn row(&mut self, clustering: &[u8], row: &LiveRow<'_>) -> ControlFlow<()> {
        let number = (0..ROWS as u8).find(|number| self::clustering(*number) == clustering);
        let cell = row.cells().next();
        let value = cell
            .and_then(|cell| Some((cell.timestamp_micros, u64::from_be_bytes(cell.value.try_into().ok()?))));
        match (number, value) {
            (Some(number), Some(value)) => {
                self.0.insert(number, value);
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Break(()),
        }
    }
}
