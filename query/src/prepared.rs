//! Prepared statements: analysed once, executed many times.

use crate::outcome::ColumnSpec;
use crate::session::BoundValue;
use crate::statement::Plan;
use crate::statement::batch::{self, Entry};
use dodona_cluster::coordinator::served::Operation;
use dodona_env::collections::HashMap;
use dodona_types::TableId;
use md5::{Digest, Md5};
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The id of a prepared statement.
pub type StatementId = [u8; 16];

/// A statement that is analysed against one schema.
#[derive(Debug)]
pub struct Prepared {
    /// The MD5 of keyspace and text: the same on every node.
    pub id: StatementId,
    /// The text.
    pub text: Arc<str>,
    /// The keyspace for names without one, when the statement was prepared.
    pub keyspace: Option<Arc<str>>,
    /// The bind markers.
    pub markers: Vec<ColumnSpec>,
    /// True if it was prepared by a client, false if it was only sent to be executed.
    pub is_kept: bool,
    /// The places of the partition key's columns among the markers; empty if not all are there.
    pub partition_key_markers: Vec<u16>,
    /// The columns of the rows it gives; none for statements that give no rows.
    pub columns: Arc<[ColumnSpec]>,
    /// The MD5 of the columns: what protocol v5 knows a result's metadata by.
    pub result_id: [u8; 16],
    /// True if it gives rows, if only of no columns.
    pub has_rows: bool,
    /// The epoch of the schema it was analysed against.
    pub epoch: u64,
    pub(crate) plan: Plan,
}

impl Prepared {
    /// Appends what the statement does with tables, each table once.
    #[inline]
    pub fn served(&self, out: &mut Vec<(TableId, Operation)>) {
        self.plan.served(out);
    }

    /// True if it has a condition.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        self.plan.is_conditional()
    }
}

/// One statement of a batch of the protocol.
#[derive(Clone, Debug)]
pub struct BatchEntry<'a> {
    /// The statement.
    pub statement: Arc<Prepared>,
    /// Its values.
    pub values: Vec<BoundValue<'a>>,
}

impl BatchEntry<'_> {
    /// Appends that a batch of entries writes tables, each table once.
    pub fn served(entries: &[Self], out: &mut Vec<(TableId, Operation)>) {
        batch::served(entries, out);
    }

    /// True if a statement of a batch of entries has a condition.
    #[must_use]
    pub fn are_conditional(entries: &[Self]) -> bool {
        entries.iter().any(|entry| entry.statement.is_conditional())
    }
}

impl Entry for BatchEntry<'_> {
    fn plan(&self) -> &Plan {
        &self.statement.plan
    }

    fn markers(&self) -> &[ColumnSpec] {
        &self.statement.markers
    }

    fn values(&self) -> &[BoundValue<'_>] {
        &self.values
    }
}

/// The MD5 of a list of columns.
#[must_use]
pub fn columns_id(columns: &[ColumnSpec]) -> [u8; 16] {
    let mut digest = Md5::new();
    for column in columns {
        for part in [&column.keyspace, &column.table, &column.name] {
            digest.update(part.as_bytes());
            digest.update([0]);
        }
        digest.update(column.cql_type.to_string().as_bytes());
        digest.update([0]);
    }
    digest.finalize().into()
}

/// The id of a statement: the MD5 of the keyspace it was prepared in and its text, without the
/// keyspace where every name has its own.
#[must_use]
pub fn statement_id(text: &str, keyspace: Option<&str>) -> StatementId {
    let mut digest = Md5::new();
    digest.update(keyspace.unwrap_or_default().as_bytes());
    digest.update(text.as_bytes());
    digest.finalize().into()
}

/// The most statements that are kept.
const MAX_STATEMENTS: usize = 10_000;

/// A statement that was prepared before the node's start, and has not been executed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredStatement {
    /// The keyspace for names without one.
    pub(crate) keyspace: Option<Arc<str>>,
    /// The text.
    pub(crate) text: Arc<str>,
}

/// What came of keeping a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// It was not known before.
    pub(crate) is_new: bool,
    /// Another one had to go.
    pub(crate) evicted: Option<StatementId>,
}

/// The prepared statements of a node.
#[derive(Default)]
pub struct PreparedStatements {
    statements: RwLock<HashMap<StatementId, Arc<Prepared>>>,
    stored: RwLock<HashMap<StatementId, StoredStatement>>,
    evicted: AtomicU64,
}

impl PreparedStatements {
    /// The statement with this id.
    #[must_use]
    pub fn get(&self, id: &[u8]) -> Option<Arc<Prepared>> {
        let id = StatementId::try_from(id).ok()?;
        self.statements.read().get(&id).cloned()
    }

    /// Keeps a statement. Past the bound an arbitrary other one goes.
    pub(crate) fn put(&self, prepared: &Arc<Prepared>) -> Kept {
        let was_stored = self.stored.write().remove(&prepared.id).is_some();
        let mut kept = Kept::default();
        let mut statements = self.statements.write();
        if statements.len() >= MAX_STATEMENTS && !statements.contains_key(&prepared.id) {
            let oldest =
                statements.values().min_by_key(|statement| statement.epoch).map(|statement| statement.id);
            if let Some(id) = oldest {
                statements.remove(&id);
                self.evicted.fetch_add(1, Relaxed);
                kept.evicted = Some(id);
            }
        }
        kept.is_new = statements.insert(prepared.id, Arc::clone(prepared)).is_none() && !was_stored;
        kept
    }

    /// Notes statements that were prepared before the start.
    pub(crate) fn put_stored(&self, statements: Vec<(StatementId, StoredStatement)>) {
        self.stored.write().extend(statements);
    }

    /// The statement with this id that was prepared before the start.
    pub(crate) fn stored(&self, id: &[u8]) -> Option<(StatementId, StoredStatement)> {
        let id = StatementId::try_from(id).ok()?;
        self.stored.read().get(&id).cloned().map(|statement| (id, statement))
    }

    /// Forgets the statements that `stale` names.
    pub fn retain(&self, keep: impl Fn(&Prepared) -> bool) {
        self.statements.write().retain(|_, statement| keep(statement));
    }

    /// How many statements are kept, and how many were forgotten for lack of room.
    #[must_use]
    pub fn counts(&self) -> (usize, u64) {
        (self.statements.read().len() + self.stored.read().len(), self.evicted.load(Relaxed))
    }
}
