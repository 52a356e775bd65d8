//! The keyspaces that every node has: their names, kinds and definitions.

use dodona_types::schema::Table;

/// A keyspace and the text of its tables' definitions. The numbers of columns are their places in
/// the text: durable tables get new columns at the end.
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) tables: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Every node has its own; no statement changes its schema.
    Local,
    /// Like local, but in no table of `system_schema`.
    Virtual,
    /// Placed on the ring, by `SimpleStrategy` with so many copies until an operator alters that.
    Distributed(u8),
}

macro_rules! definition {
    ($name:literal, $kind:expr) => {
        Definition {
            name: $name,
            kind: $kind,
            tables: include_str!(concat!("system_tables/definitions/", $name, ".cql")),
        }
    };
}

pub(crate) const DEFINITIONS: [Definition; 7] = [
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
    // Most names are not the server's. Names that differ in case alone are taken for them, as in Cassandra.
    if !keyspace.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("system")) {
        return None;
    }
    let named = |definition: &&Definition| definition.name.eq_ignore_ascii_case(keyspace);
    DEFINITIONS.iter().find(named).map(|definition| definition.kind)
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
