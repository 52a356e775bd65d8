//! Keyspaces, tables and their columns, as every layer sees them.

mod compact;

pub use compact::CompactStorage;

use crate::cell::ColumnId;
use crate::cql_type::{CqlType, UserType};
use crate::hidden::HiddenCells;
use crate::mutation::TableId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// A string-to-string option map, as `WITH compaction = {...}` gives it.
pub type Options = BTreeMap<String, String>;

/// The whole schema at one epoch. Immutable; a change makes a new one that shares what is equal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// The number of changes that led here.
    pub epoch: u64,
    /// Keyspaces by name.
    pub keyspaces: BTreeMap<Arc<str>, Arc<Keyspace>>,
}

impl Schema {
    /// The keyspace of this name.
    #[must_use]
    pub fn keyspace(&self, name: &str) -> Option<&Arc<Keyspace>> {
        self.keyspaces.get(name)
    }

    /// The table of this name.
    #[must_use]
    pub fn table(&self, keyspace: &str, name: &str) -> Option<&Arc<Table>> {
        self.keyspaces.get(keyspace)?.tables.get(name)
    }

    /// The table with this id.
    #[must_use]
    pub fn table_by_id(&self, id: TableId) -> Option<&Arc<Table>> {
        self.tables().find(|table| table.id == id)
    }

    /// All tables, by keyspace and name.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.keyspaces.values().flat_map(|keyspace| keyspace.tables.values())
    }

    /// The schema version that drivers compare between nodes: a UUID made of the epoch.
    #[must_use]
    pub fn version(&self) -> Uuid {
        let mut bytes = *b"dodona\x40\0\x80\0\0\0\0\0\0\0";
        bytes[8..].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[8] = 0x80;
        Uuid::from_bytes(bytes)
    }
}

/// A keyspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyspace {
    /// Its name, without quotes.
    pub name: Arc<str>,
    /// The replication strategy's options with its full class name under `class`.
    pub replication: Options,
    /// False if writes skip the commit log.
    pub durable_writes: bool,
    /// Tables by name.
    pub tables: BTreeMap<Arc<str>, Arc<Table>>,
    /// User-defined types by name.
    pub types: BTreeMap<Arc<str>, Arc<UserType>>,
}

/// What a column is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ColumnKind {
    /// A component of the partition key.
    PartitionKey,
    /// A component of the clustering key.
    Clustering,
    /// One value a partition.
    Static,
    /// One value a row.
    Regular,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its number, never reused within the table.
    pub id: ColumnId,
    /// Its name, without quotes.
    pub name: Arc<str>,
    /// Its type.
    pub cql_type: CqlType,
    /// What it is for.
    pub kind: ColumnKind,
    /// The place among the components of its key, from 0; 0 for columns outside keys.
    pub position: u16,
    /// For clustering columns: greatest first.
    pub descending: bool,
}

/// A column that was dropped: what was written to it before must stay hidden.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DroppedColumn {
    /// The column as it was.
    pub column: Column,
    /// Microseconds since the epoch.
    pub dropped_at_micros: i64,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its id.
    pub id: TableId,
    /// Its keyspace's name.
    pub keyspace: Arc<str>,
    /// Its name, without quotes.
    pub name: Arc<str>,
    /// The schema epoch at which it last changed.
    pub epoch: u64,
    /// The columns: partition key and clustering key by position, then static columns by name,
    /// then regular ones by name.
    pub columns: Vec<Column>,
    /// The number the next added column gets.
    pub next_column: u32,
    /// Dropped columns by name.
    pub dropped_columns: BTreeMap<Arc<str>, DroppedColumn>,
    /// Options.
    pub params: TableParams,
    /// `COMPACT STORAGE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compact_storage: Option<CompactStorage>,
}

/// What columns of one kind are ordered by: the first eight bytes of their names as a signed number, then the names
/// (Cassandra `ColumnIdentifier.compareTo`). Names that do not begin with ASCII come first.
#[must_use]
pub fn name_order(name: &str) -> (i64, &str) {
    let mut prefix = [0; 8];
    let length = name.len().min(8);
    prefix[..length].copy_from_slice(&name.as_bytes()[..length]);
    (i64::from_be_bytes(prefix), name)
}

impl Table {
    /// The column of this name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| &*column.name == name)
    }

    /// The column with this number.
    #[must_use]
    pub fn column_by_id(&self, id: ColumnId) -> Option<&Column> {
        self.columns.iter().find(|column| column.id == id)
    }

    /// The columns of one kind, in order.
    pub fn columns_of(&self, kind: ColumnKind) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(move |column| column.kind == kind)
    }

    /// The partition key's columns, in order.
    pub fn partition_key(&self) -> impl Iterator<Item = &Column> {
        self.columns_of(ColumnKind::PartitionKey)
    }

    /// The clustering key's columns, in order.
    pub fn clustering_key(&self) -> impl Iterator<Item = &Column> {
        self.columns_of(ColumnKind::Clustering)
    }

    /// True if the table has static columns.
    #[must_use]
    pub fn has_static_columns(&self) -> bool {
        self.columns_of(ColumnKind::Static).next().is_some()
    }

    /// True if the table holds counters.
    #[must_use]
    pub fn is_counter(&self) -> bool {
        self.columns.iter().any(|column| column.cql_type == CqlType::Counter)
    }

    /// What reads do not see: all of columns that were dropped, and what was written until then to those that
    /// came back with their number.
    #[must_use]
    pub fn hidden_cells(&self) -> HiddenCells {
        let hidden = self.dropped_columns.iter().map(|(name, dropped)| {
            let id = dropped.column.id;
            let is_back = self.column(name).is_some_and(|column| column.id == id);
            (id, if is_back { dropped.dropped_at_micros } else { i64::MAX })
        });
        HiddenCells::new(hidden.collect())
    }

    /// Cells that no read will ever see, whether their columns are added again or not: those from before the drops.
    #[must_use]
    pub fn dropped_cells(&self) -> HiddenCells {
        let dropped = self.dropped_columns.values();
        HiddenCells::new(dropped.map(|dropped| (dropped.column.id, dropped.dropped_at_micros)).collect())
    }

    /// Puts the columns into the order that [`Self::columns`] promises.
    pub fn sort_columns(&mut self) {
        self.columns.sort_by(|a, b| {
            (a.kind, a.position, name_order(&a.name)).cmp(&(b.kind, b.position, name_order(&b.name)))
        });
    }
}

/// A table's options, with Cassandra's names and defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableParams {
    /// Read repair and speculation thresholds for writes.
    pub additional_write_policy: String,
    /// Takes a snapshot before a drop or truncation.
    pub allow_auto_snapshot: bool,
    /// False positives of the filter, 0 to 1.
    pub bloom_filter_fp_chance: f64,
    /// `keys` and `rows_per_partition`.
    pub caching: Options,
    /// Change data capture.
    pub cdc: bool,
    /// Free text.
    pub comment: String,
    /// The strategy's full class name under `class`, and its options.
    pub compaction: Options,
    /// The compressor's class name under `class` and its options; `enabled` `false` for none.
    pub compression: Options,
    /// The chance that a checksum is verified, 0 to 1. Dodona always verifies.
    pub crc_check_chance: f64,
    /// Seconds; 0 for none.
    pub default_time_to_live: u32,
    /// Opaque to the server.
    pub extensions: BTreeMap<String, Vec<u8>>,
    /// Seconds that a tombstone is kept.
    pub gc_grace_seconds: u32,
    /// Keeps a hard link of every new table file.
    pub incremental_backups: bool,
    /// Kept for compatibility.
    pub max_index_interval: u32,
    /// The memtable's configuration name.
    pub memtable: String,
    /// Milliseconds; 0 for none.
    pub memtable_flush_period_in_ms: u32,
    /// Kept for compatibility.
    pub min_index_interval: u32,
    /// `BLOCKING` or `NONE`.
    pub read_repair: String,
    /// When a second replica is asked.
    pub speculative_retry: String,
}

impl Default for TableParams {
    fn default() -> Self {
        let options = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        Self {
            additional_write_policy: "99p".into(),
            allow_auto_snapshot: true,
            bloom_filter_fp_chance: 0.01,
            caching: options(&[("keys", "ALL"), ("rows_per_partition", "NONE")]),
            cdc: false,
            comment: String::new(),
            compaction: options(&[
                ("class", "org.apache.cassandra.db.compaction.UnifiedCompactionStrategy"),
                ("max_sstables_to_compact", "64"),
                ("min_sstable_size", "100MiB"),
                ("scaling_parameters", "T4"),
                ("sstable_growth", "0.3333333333333333"),
                ("target_sstable_size", "1GiB"),
            ]),
            compression: options(&[
                ("chunk_length_in_kb", "16"),
                ("class", "org.apache.cassandra.io.compress.LZ4Compressor"),
            ]),
            crc_check_chance: 1.0,
            default_time_to_live: 0,
            extensions: BTreeMap::new(),
            gc_grace_seconds: 864_000,
            incremental_backups: true,
            max_index_interval: 2048,
            memtable: "default".into(),
            memtable_flush_period_in_ms: 0,
            min_index_interval: 128,
            read_repair: "BLOCKING".into(),
            speculative_retry: "99p".into(),
        }
    }
}
