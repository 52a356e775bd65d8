//! Clients that change the schema, all at once: keyspaces come, go and are replicated elsewhere, tables
//! come and go, and so do their columns.

use crate::invariants::schema::{Definition, Effects, Schemas};
use crate::trace::Trace;
use dodona_cluster::Node;
use dodona_cluster::metadata::SchemaChange;
use dodona_env::Random;
use dodona_types::schema::{
    Column, ColumnKind, DroppedColumn, Keyspace, Options, Schema, Table, TableParams,
};
use dodona_types::{ColumnId, CqlType, TableId};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const KEYSPACES: [&str; 2] = ["defined", "redefined"];
const TABLES: [&str; 3] = ["a", "b", "c"];
const COLUMNS: [&str; 3] = ["p", "q", "r"];
/// How long a client waits until it takes a change for one that may come or not.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// What all clients know.
#[derive(Default)]
pub struct Known {
    schemas: Mutex<Schemas>,
    /// The version that each node has in the end.
    versions: Mutex<BTreeMap<usize, u64>>,
}

impl Known {
    /// Changes that were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.schemas.lock().acknowledged
    }

    /// Judges all metadata that any node had.
    ///
    /// # Errors
    /// The promise that was broken.
    pub fn judge(&self) -> Result<u64, String> {
        self.schemas.lock().judge()
    }
}

/// A client on a node.
pub struct Client {
    /// The node that it asks.
    pub node: Arc<Node>,
    /// Its choices.
    pub random: Random,
    /// The node's number.
    pub index: usize,
    /// What all know.
    pub known: Arc<Known>,
    /// What it saw goes here.
    pub trace: Trace,
}

impl Client {
    /// Looks at everything that the node comes to have.
    ///
    /// # Errors
    /// The promise that was broken.
    pub async fn watch(&self) -> Result<(), String> {
        let mut news = self.node.metadata().watch();
        loop {
            let metadata = self.node.metadata().metadata();
            self.trace.note(&format!("{} metadata {}", self.index, metadata.version));
            self.known.schemas.lock().observe(self.index, &metadata)?;
            if news.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    /// Changes the schema until `until` says so.
    ///
    /// # Errors
    /// The promise that was broken.
    pub async fn run(&self, until: impl Fn() -> bool) -> Result<(), String> {
        while !until() {
            let schema = self.node.schema();
            let (changes, effects) = self.choose(&schema);
            let change = self.known.schemas.lock().begin(schema.epoch, effects);
            let changed = self.node.change_schema(schema.epoch, changes);
            if let Ok(Ok(_)) = tokio::time::timeout(PATIENCE, changed).await {
                self.known.schemas.lock().acknowledge(change)?;
            }
            dodona_env::clock::sleep(Duration::from_millis(self.random.below(600))).await;
        }
        Ok(())
    }

    fn one_of<'a>(&self, names: &[&'a str]) -> &'a str {
        names[self.random.below(names.len() as u64) as usize]
    }

    fn choose(&self, schema: &Schema) -> (Vec<SchemaChange>, Effects) {
        let keyspace = self.one_of(&KEYSPACES);
        let Some(present) = schema.keyspace(keyspace) else { return self.put_keyspace(keyspace) };
        match self.random.below(16) {
            0 => {
                let mut effects: Effects = present.tables.values().flat_map(|table| dropped(table)).collect();
                effects.insert(Definition::Keyspace(keyspace.into()), None);
                return (vec![SchemaChange::DropKeyspace(keyspace.into())], effects);
            }
            1 | 2 => return self.put_keyspace(keyspace),
            _ => {}
        }
        let name = self.one_of(&TABLES);
        let Some(table) = present.tables.get(name) else { return self.create_table(keyspace, name) };
        if self.random.chance(0.15) {
            let effects = dropped(table).into_iter().collect();
            return (vec![SchemaChange::DropTable(keyspace.into(), name.into())], effects);
        }
        self.change_column(table)
    }

    fn put_keyspace(&self, name: &str) -> (Vec<SchemaChange>, Effects) {
        let replication = Options::from([
            ("class".to_owned(), "org.apache.cassandra.locator.SimpleStrategy".to_owned()),
            ("replication_factor".to_owned(), (1 + self.random.below(3)).to_string()),
        ]);
        let effects = Effects::from([(Definition::Keyspace(name.into()), Some(format!("{replication:?}")))]);
        let keyspace = Keyspace {
            name: name.into(),
            replication,
            durable_writes: true,
            tables: BTreeMap::new(),
            types: BTreeMap::new(),
        };
        (vec![SchemaChange::PutKeyspace(keyspace)], effects)
    }

    fn create_table(&self, keyspace: &str, name: &str) -> (Vec<SchemaChange>, Effects) {
        let table = Table {
            id: TableId(self.random.uuid_v4()),
            keyspace: keyspace.into(),
            name: name.into(),
            epoch: 0,
            columns: vec![column(0, "k", ColumnKind::PartitionKey)],
            next_column: 1,
            dropped_columns: BTreeMap::new(),
            compact_storage: None,
            params: TableParams::default(),
        };
        let definition = Definition::Table(keyspace.into(), name.into());
        let effects = Effects::from([(definition, Some(table.id.0.to_string()))]);
        (vec![SchemaChange::PutTable(Box::new(table))], effects)
    }

    /// Adds a column, or drops it if it is there, as ALTER TABLE does.
    fn change_column(&self, table: &Table) -> (Vec<SchemaChange>, Effects) {
        let name = self.one_of(&COLUMNS);
        let mut table = table.clone();
        let number = match table.columns.iter().position(|column| &*column.name == name) {
            Some(place) => {
                let column = table.columns.remove(place);
                let dropped = DroppedColumn { column, dropped_at_micros: self.node.timestamps.next() };
                table.dropped_columns.insert(name.into(), dropped);
                None
            }
            None => {
                table.columns.push(column(table.next_column, name, ColumnKind::Regular));
                table.next_column += 1;
                Some((table.next_column - 1).to_string())
            }
        };
        let effects = Effects::from([(Definition::Column(table.id.0, name.into()), number)]);
        (vec![SchemaChange::PutTable(Box::new(table))], effects)
    }

    /// After everything is healed: all nodes come to the same version, and each has the tables of its
    /// schema.
    ///
    /// # Errors
    /// The promise that was broken.
    pub async fn converge(&self, nodes: usize) -> Result<(), String> {
        // Changes that nobody waits for any more come to their end.
        dodona_env::clock::sleep(PATIENCE * 2).await;
        loop {
            let version = self.node.metadata().metadata().version;
            self.known.versions.lock().insert(self.index, version);
            dodona_env::clock::sleep(Duration::from_secs(1)).await;
            // A disk that was slow may still have to do what it was given before.
            let uses = self.node.schema_epoch();
            let versions = self.known.versions.lock();
            if uses == self.node.metadata().metadata().schema.epoch
                && versions.len() == nodes
                && versions.values().all(|other| *other == version)
            {
                break;
            }
        }
        let schema = self.node.schema();
        let defined: BTreeSet<TableId> = schema.tables().map(|table| table.id).collect();
        let held: BTreeSet<TableId> = self.node.engine.table_ids().into_iter().collect();
        if defined != held {
            return Err(format!(
                "node {} holds the tables {held:?}, and its schema has {defined:?}",
                self.index
            ));
        }
        let known = self.node.metadata().metadata();
        if schema.epoch != known.schema.epoch {
            return Err(format!(
                "node {} uses epoch {} and has {}",
                self.index, schema.epoch, known.schema.epoch
            ));
        }
        Ok(())
    }
}

fn column(number: u32, name: &str, kind: ColumnKind) -> Column {
    let (id, name, cql_type) = (ColumnId(number), name.into(), CqlType::Bigint);
    Column { id, name, cql_type, kind, position: 0, descending: false }
}

/// What is gone with a table.
fn dropped(table: &Table) -> Vec<(Definition, Option<String>)> {
    let columns = COLUMNS.iter().map(|name| Definition::Column(table.id.0, (*name).into()));
    let itself = Definition::Table(table.keyspace.to_string(), table.name.to_string());
    columns.chain([itself]).map(|definition| (definition, None)).collect()
}
