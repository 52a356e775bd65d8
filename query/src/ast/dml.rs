//! INSERT, UPDATE, DELETE, BATCH, TRUNCATE.

use super::{Operand, Operator, Position, QualifiedName, Relation, Term};

/// `USING TIMESTAMP .. AND TTL ..`: integers or markers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes {
    /// Microseconds since the epoch.
    pub timestamp: Option<Term>,
    /// Seconds.
    pub ttl: Option<Term>,
}

/// `INSERT`.
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// The table.
    pub table: QualifiedName,
    /// What is inserted.
    pub source: InsertSource,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// `USING`.
    pub attributes: Attributes,
}

/// What an INSERT inserts.
#[derive(Clone, Debug, PartialEq)]
pub enum InsertSource {
    /// `(columns) VALUES (values)`: their numbers may differ.
    Values {
        /// The columns.
        columns: Vec<String>,
        /// The values.
        values: Vec<Term>,
    },
    /// `JSON`: a string or a marker.
    Json {
        /// The document.
        document: Term,
        /// `DEFAULT UNSET`: columns that the document lacks stay as they are.
        default_unset: bool,
    },
}

/// `UPDATE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The table.
    pub table: QualifiedName,
    /// `USING`.
    pub attributes: Attributes,
    /// `SET`.
    pub assignments: Vec<Assignment>,
    /// `WHERE`.
    pub relations: Vec<Relation>,
    /// `IF`.
    pub condition: IfClause,
}

/// `IF` of an UPDATE or a DELETE.
#[derive(Clone, Debug, PartialEq)]
pub enum IfClause {
    /// There is none.
    None,
    /// `IF EXISTS`.
    Exists,
    /// All of these must hold.
    Conditions(Vec<Condition>),
}

/// A condition on the row as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The column.
    pub column: String,
    /// A part of the column's value.
    pub part: Option<ColumnPart>,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub operand: Operand,
    /// Where the condition starts.
    pub position: Position,
}

/// A part of a column's value.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnPart {
    /// `[key]`.
    Element(Term),
    /// `.field`.
    Field(String),
}

/// An item of `SET`.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The column.
    pub column: String,
    /// What happens to it.
    pub operation: Operation,
    /// Where the assignment starts.
    pub position: Position,
}

/// What an assignment does.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// `c = term`.
    Set(Term),
    /// `c = c + term` or `c += term`.
    Add(Term),
    /// `c = c - term` or `c -= term`. (`c = c -1` adds -1.)
    Subtract(Term),
    /// `c = term + c`.
    Prepend(Term),
    /// `c[key] = term`.
    SetElement(Term, Term),
    /// `c.field = term`.
    SetField(String, Term),
}

/// `DELETE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    /// The columns, or the parts of them; none for whole rows.
    pub columns: Vec<(String, Option<ColumnPart>)>,
    /// The table.
    pub table: QualifiedName,
    /// `USING TIMESTAMP`.
    pub attributes: Attributes,
    /// `WHERE`.
    pub relations: Vec<Relation>,
    /// `IF`.
    pub condition: IfClause,
}

/// `BEGIN BATCH .. APPLY BATCH`.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Its kind.
    pub kind: BatchKind,
    /// `USING`.
    pub attributes: Attributes,
    /// The statements.
    pub statements: Vec<Modification>,
}

/// The kinds of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BatchKind {
    /// All or nothing, by way of the batch log.
    Logged,
    /// Without the batch log.
    Unlogged,
    /// Of counter updates.
    Counter,
}

/// A statement that a batch may hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Modification {
    /// `INSERT`.
    Insert(Insert),
    /// `UPDATE`.
    Update(Update),
    /// `DELETE`.
    Delete(Delete),
}
