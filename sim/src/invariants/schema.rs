//! All nodes have the same metadata at the same version; versions never go back on a node; a change of
//! the schema that was acknowledged is there, from the very epoch on that it was worked out for; numbers
//! of columns are never used again.

use dodona_cluster::metadata::Metadata;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// What a definition is known by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Definition {
    /// A keyspace: its replication.
    Keyspace(String),
    /// A table of a keyspace: its id.
    Table(String, String),
    /// A column of the table with this id: its number.
    Column(Uuid, String),
}

/// What a change makes of definitions: none for those that it drops.
pub type Effects = BTreeMap<Definition, Option<String>>;

struct Change {
    expected_epoch: u64,
    effects: Effects,
    is_acknowledged: bool,
}

/// The metadata that nodes had, and the changes that were tried.
#[derive(Default)]
pub struct Schemas {
    seen: BTreeMap<u64, Arc<Metadata>>,
    /// By node, the newest version that it has had.
    newest: BTreeMap<usize, u64>,
    changes: Vec<Change>,
    /// Changes that were acknowledged.
    pub acknowledged: u64,
}

impl Schemas {
    /// Notes what a node has.
    ///
    /// # Errors
    /// It had more before, or another node had something else at that version.
    pub fn observe(&mut self, node: usize, metadata: &Arc<Metadata>) -> Result<(), String> {
        let version = metadata.version;
        let newest = self.newest.entry(node).or_insert(version);
        if *newest > version {
            return Err(format!(
                "node {node} has version {version} of the metadata, and had {newest} before"
            ));
        }
        *newest = version;
        let first = self.seen.entry(version).or_insert_with(|| Arc::clone(metadata));
        if first != metadata {
            return Err(format!(
                "node {node} has other metadata of version {version} than another node: {metadata:?} and {first:?}"
            ));
        }
        Ok(())
    }

    /// Notes a change before it is tried.
    pub fn begin(&mut self, expected_epoch: u64, effects: Effects) -> usize {
        self.changes.push(Change { expected_epoch, effects, is_acknowledged: false });
        self.changes.len() - 1
    }

    /// Notes that a change was acknowledged.
    ///
    /// # Errors
    /// Another one was that was worked out for the same epoch.
    pub fn acknowledge(&mut self, index: usize) -> Result<(), String> {
        let epoch = self.changes[index].expected_epoch;
        if self.changes.iter().any(|change| change.is_acknowledged && change.expected_epoch == epoch) {
            return Err(format!("two changes of the schema of epoch {epoch} were acknowledged"));
        }
        self.changes[index].is_acknowledged = true;
        self.acknowledged += 1;
        Ok(())
    }

    /// Judges all metadata that any node had. Returns how many versions there were.
    ///
    /// # Errors
    /// The promise that was broken.
    pub fn judge(&self) -> Result<u64, String> {
        let mut numbers = Numbers::default();
        for metadata in self.seen.values() {
            self.judge_effects(metadata)?;
            numbers.judge(metadata)?;
        }
        Ok(self.seen.len() as u64)
    }

    /// What was acknowledged last of each definition is there, unless a later change, which may have
    /// happened, touched it too.
    fn judge_effects(&self, metadata: &Metadata) -> Result<(), String> {
        let epoch = metadata.schema.epoch;
        let mut last: BTreeMap<&Definition, Vec<&Change>> = BTreeMap::new();
        for change in self.changes.iter().filter(|change| change.expected_epoch < epoch) {
            for definition in change.effects.keys() {
                last.entry(definition).or_default().push(change);
            }
        }
        for (definition, changes) in last {
            let acknowledged = changes.iter().filter(|change| change.is_acknowledged);
            let Some(change) = acknowledged.max_by_key(|change| change.expected_epoch) else { continue };
            if changes.iter().any(|other| other.expected_epoch > change.expected_epoch) {
                continue;
            }
            let (is, wanted) = (present(metadata, definition), &change.effects[definition]);
            if is != *wanted {
                return Err(format!(
                    "{definition:?} is {is:?} at epoch {epoch}, although {wanted:?} was acknowledged of epoch {}",
                    change.expected_epoch
                ));
            }
        }
        Ok(())
    }
}

/// What a definition is in the metadata; none if it is not there.
fn present(metadata: &Metadata, definition: &Definition) -> Option<String> {
    let schema = &metadata.schema;
    match definition {
        Definition::Keyspace(name) => Some(format!("{:?}", schema.keyspace(name)?.replication)),
        Definition::Table(keyspace, name) => Some(schema.table(keyspace, name)?.id.0.to_string()),
        Definition::Column(table, name) => {
            let table = schema.tables().find(|other| other.id.0 == *table)?;
            Some(table.column(name)?.id.0.to_string())
        }
    }
}

/// The numbers of columns that tables have had: by table and number the column's name, and those that
/// are gone.
#[derive(Default)]
struct Numbers {
    had: BTreeMap<(Uuid, u32), Arc<str>>,
    gone: BTreeSet<(Uuid, u32)>,
}

impl Numbers {
    fn judge(&mut self, metadata: &Metadata) -> Result<(), String> {
        let mut present = BTreeSet::new();
        for table in metadata.schema.tables() {
            for column in &table.columns {
                let id = (table.id.0, column.id.0);
                let name = self.had.entry(id).or_insert_with(|| Arc::clone(&column.name));
                if *name != column.name || self.gone.contains(&id) {
                    return Err(format!(
                        "column {} of table {} has the number {} that {name} had before",
                        column.name, table.name, column.id.0
                    ));
                }
                present.insert(id);
            }
        }
        self.gone.extend(self.had.keys().filter(|id| !present.contains(id)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_types::schema::{Keyspace, Options, Schema};

    fn metadata(version: u64, epoch: u64, keyspaces: &[&str]) -> Arc<Metadata> {
        let mut metadata = Metadata { version, ..Metadata::default() };
        let keyspace = |name: &str| Keyspace {
            name: name.into(),
            replication: Options::new(),
            durable_writes: true,
            tables: BTreeMap::new(),
            types: BTreeMap::new(),
        };
        let keyspaces = keyspaces.iter().map(|name| ((*name).into(), Arc::new(keyspace(name))));
        metadata.schema = Schema { epoch, keyspaces: keyspaces.collect() };
        Arc::new(metadata)
    }

    fn effects(keyspace: &str, replication: Option<&str>) -> Effects {
        Effects::from([(Definition::Keyspace(keyspace.into()), replication.map(str::to_owned))])
    }

    #[test]
    fn versions_that_differ_or_go_back_are_found() {
        let mut schemas = Schemas::default();
        assert!(schemas.observe(1, &metadata(5, 1, &["a"])).is_ok());
        assert!(schemas.observe(2, &metadata(5, 1, &["a"])).is_ok());
        assert!(schemas.observe(3, &metadata(5, 1, &["b"])).is_err());
        assert!(schemas.observe(1, &metadata(4, 1, &[])).is_err());
    }

    #[test]
    fn an_acknowledged_change_that_is_gone_is_found_unless_another_may_have_undone_it() {
        let mut schemas = Schemas::default();
        let change = schemas.begin(1, effects("a", Some("{}")));
        assert!(schemas.acknowledge(change).is_ok());
        schemas.observe(1, &metadata(2, 2, &["a"])).unwrap();
        assert!(schemas.judge().is_ok());
        schemas.observe(1, &metadata(4, 4, &[])).unwrap();
        assert!(schemas.judge().is_err());
        schemas.begin(3, effects("a", None));
        assert!(schemas.judge().is_ok());
        let same = schemas.begin(1, effects("b", None));
        assert!(schemas.acknowledge(same).is_err(), "two of the same epoch");
    }
}
