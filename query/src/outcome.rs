//! What a statement gives back.

use crate::guardrails::Guard;
use dodona_types::CqlType;
use std::sync::Arc;

/// A column of a result, or a bind marker.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnSpec {
    /// Its keyspace.
    pub keyspace: Arc<str>,
    /// Its table.
    pub table: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub cql_type: CqlType,
}

/// What came of a statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The result.
    pub result: StatementResult,
    /// Warnings for the client.
    pub warnings: Vec<String>,
}

impl Outcome {
    /// A result without warnings.
    #[must_use]
    pub const fn of(result: StatementResult) -> Self {
        Self { result, warnings: Vec::new() }
    }

    /// The same with these warnings before its own.
    pub(crate) fn warned(mut self, warnings: Vec<String>) -> Self {
        self.warnings.splice(0..0, warnings);
        self
    }
}

/// The result of a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum StatementResult {
    /// Nothing to show. If there is a position, acknowledge only once
    /// [`dodona_cluster::coordinator::Coordinator::wait_safe`] has returned for it.
    Void {
        /// The position in the commit log.
        safe_at: Option<u64>,
    },
    /// Rows, which the sink has.
    Rows {
        /// Where the next page begins, if there may be more rows.
        paging_state: Option<Vec<u8>>,
    },
    /// What a conditional statement came to: rows of columns that no PREPARE could tell.
    Conditional {
        /// The columns.
        columns: Vec<ColumnSpec>,
        /// The rows' values.
        rows: Vec<Vec<Option<Vec<u8>>>>,
    },
    /// The session's keyspace is now this one.
    SetKeyspace(Arc<str>),
    /// The schema changed.
    SchemaChange(SchemaEvent),
}

/// What changed in the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaEvent {
    /// How.
    pub change: ChangeKind,
    /// What.
    pub target: ChangeTarget,
    /// The keyspace.
    pub keyspace: Arc<str>,
}

/// How something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Created,
    /// It is different.
    Updated,
    /// It is gone.
    Dropped,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeTarget {
    /// The keyspace itself.
    Keyspace,
    /// A table or view.
    Table(Arc<str>),
    /// A user-defined type.
    Type(Arc<str>),
    /// A function: name and types of arguments.
    Function(Arc<str>, Vec<String>),
    /// An aggregate: name and types of arguments.
    Aggregate(Arc<str>, Vec<String>),
}

/// What came of a try to execute at once.
#[derive(Clone, Debug, PartialEq)]
pub enum TryExecute {
    /// It is done.
    Done(Outcome),
    /// It must wait for something: forget what the sink was given, and use
    /// `Processor::execute`.
    NotHere,
}

impl TryExecute {
    /// The same with the warnings of a guard before those of what is done. What is not done is judged again.
    pub(crate) fn warned(self, guard: Guard<'_>) -> Self {
        match self {
            Self::Done(outcome) => Self::Done(outcome.warned(guard.into_warnings())),
            Self::NotHere => Self::NotHere,
        }
    }
}
