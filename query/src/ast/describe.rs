//! DESCRIBE.

use super::{FunctionName, QualifiedName};

/// `DESCRIBE` or `DESC`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Describe {
    /// What is described.
    pub target: DescribeTarget,
    /// `WITH INTERNALS`.
    pub with_internals: bool,
}

/// What a DESCRIBE describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DescribeTarget {
    /// `CLUSTER`.
    Cluster,
    /// `[FULL] SCHEMA`.
    Schema {
        /// `FULL`: the system keyspaces too.
        full: bool,
    },
    /// `KEYSPACES`.
    Keyspaces,
    /// `[ONLY] KEYSPACE [name]`.
    Keyspace {
        /// The keyspace, else the current one.
        name: Option<String>,
        /// `ONLY`: without what it holds.
        only: bool,
    },
    /// `TABLES`.
    Tables,
    /// `TABLE name`.
    Table(QualifiedName),
    /// `INDEX name`.
    Index(QualifiedName),
    /// `MATERIALIZED VIEW name`.
    View(QualifiedName),
    /// `TYPES`.
    Types,
    /// `TYPE name`.
    Type(QualifiedName),
    /// `FUNCTIONS`.
    Functions,
    /// `FUNCTION name`.
    Function(FunctionName),
    /// `AGGREGATES`.
    Aggregates,
    /// `AGGREGATE name`.
    Aggregate(FunctionName),
    /// A name of something, to be looked for among keyspaces, tables, indexes and views.
    Any(QualifiedName),
}
