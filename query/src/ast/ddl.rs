//! CREATE, ALTER and DROP of everything in a schema.

use super::{FunctionName, Operator, Position, QualifiedName, RawType, Relation, Selectors, Term};

/// `name = value` after WITH. No name is there twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The property.
    pub name: String,
    /// Its value.
    pub value: PropertyValue,
    /// Where it starts.
    pub position: Position,
}

/// The value of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PropertyValue {
    /// The text of a constant, without quotes, or a word.
    Text(String),
    /// `{'a': 'b'}`: the texts of constants. No key is there twice.
    Map(Vec<(String, String)>),
}

/// `CREATE KEYSPACE`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateKeyspace {
    /// The keyspace.
    pub name: String,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// `WITH`.
    pub properties: Vec<Property>,
}

/// `ALTER KEYSPACE`.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterKeyspace {
    /// The keyspace.
    pub name: String,
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// `WITH`.
    pub properties: Vec<Property>,
}

/// `CREATE TABLE`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTable {
    /// The table.
    pub table: QualifiedName,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// The columns, in order.
    pub columns: Vec<ColumnDefinition>,
    /// Every PRIMARY KEY that is given: there should be one.
    pub primary_keys: Vec<PrimaryKey>,
    /// `CLUSTERING ORDER BY`: columns, and whether they are descending.
    pub clustering_order: Vec<(String, bool)>,
    /// `COMPACT STORAGE`.
    pub compact_storage: bool,
    /// The other properties after WITH.
    pub properties: Vec<Property>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDefinition {
    /// The column.
    pub name: String,
    /// Its type.
    pub ty: RawType,
    /// `STATIC`.
    pub is_static: bool,
    /// `MASKED WITH`.
    pub mask: Option<Mask>,
    /// `CHECK` (after 5.0).
    pub constraints: Vec<Constraint>,
    /// Where the definition starts.
    pub position: Position,
}

/// `MASKED WITH` a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    /// The function; `mask_default` of keyspace `system` for `MASKED WITH DEFAULT`.
    pub function: FunctionName,
    /// Its arguments after the first, which is the column.
    pub arguments: Vec<Term>,
}

/// A part of `CHECK`: `[function](column) [operator term]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// The function, if there is one.
    pub function: Option<String>,
    /// The column.
    pub column: String,
    /// The comparison, if there is one.
    pub comparison: Option<(Operator, Term)>,
}

/// `PRIMARY KEY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryKey {
    /// The columns of the partition key.
    pub partition: Vec<String>,
    /// The clustering columns.
    pub clustering: Vec<String>,
}

/// `ALTER TABLE`.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterTable {
    /// The table.
    pub table: QualifiedName,
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// The change.
    pub change: TableChange,
}

/// What an ALTER TABLE changes.
#[derive(Clone, Debug, PartialEq)]
pub enum TableChange {
    /// `ALTER column TYPE type`: no longer possible.
    ColumnType(String, RawType),
    /// `ALTER column MASKED WITH ..`, or `DROP MASKED`.
    Mask {
        /// `IF EXISTS`, of the column.
        if_exists: bool,
        /// The column.
        column: String,
        /// Its new mask.
        mask: Option<Mask>,
    },
    /// `ALTER column CHECK ..`, or `DROP CHECK` (after 5.0).
    Constraints {
        /// `IF EXISTS`, of the column.
        if_exists: bool,
        /// The column.
        column: String,
        /// Its new constraints.
        constraints: Vec<Constraint>,
    },
    /// `ADD`.
    Add {
        /// `IF NOT EXISTS`, of the columns.
        if_not_exists: bool,
        /// The columns.
        columns: Vec<ColumnDefinition>,
    },
    /// `DROP`.
    Drop {
        /// `IF EXISTS`, of the columns.
        if_exists: bool,
        /// The columns.
        columns: Vec<String>,
        /// `USING TIMESTAMP`, in microseconds.
        timestamp: Option<i64>,
    },
    /// `DROP COMPACT STORAGE`.
    DropCompactStorage,
    /// `RENAME .. TO ..`.
    Rename {
        /// `IF EXISTS`, of the columns.
        if_exists: bool,
        /// Old and new names.
        columns: Vec<(String, String)>,
    },
    /// `WITH`.
    Properties(Vec<Property>),
}

/// `CREATE TYPE`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateType {
    /// The type.
    pub name: QualifiedName,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Its fields.
    pub fields: Vec<(String, RawType)>,
}

/// `ALTER TYPE`.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterType {
    /// The type.
    pub name: QualifiedName,
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// The change.
    pub change: TypeChange,
}

/// What an ALTER TYPE changes.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeChange {
    /// `ALTER field TYPE type`: no longer possible.
    FieldType(String, RawType),
    /// `ADD field type`.
    Add {
        /// `IF NOT EXISTS`, of the field.
        if_not_exists: bool,
        /// The field.
        field: String,
        /// Its type.
        ty: RawType,
    },
    /// `RENAME .. TO ..`.
    Rename {
        /// `IF EXISTS`, of the fields.
        if_exists: bool,
        /// Old and new names.
        fields: Vec<(String, String)>,
    },
}

/// `CREATE [CUSTOM] INDEX`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateIndex {
    /// `CUSTOM`.
    pub custom: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// The index's name, if it is given.
    pub name: Option<String>,
    /// The table.
    pub table: QualifiedName,
    /// What is indexed; may be empty.
    pub targets: Vec<(IndexTarget, String)>,
    /// `USING` this class.
    pub class: Option<String>,
    /// `WITH`.
    pub properties: Vec<Property>,
}

/// Which part of a column is indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IndexTarget {
    /// The column as it is.
    Simple,
    /// `VALUES(column)`.
    Values,
    /// `KEYS(column)`.
    Keys,
    /// `ENTRIES(column)`.
    Entries,
    /// `FULL(column)`.
    Full,
}

/// `CREATE MATERIALIZED VIEW`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateView {
    /// The view.
    pub view: QualifiedName,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// What is selected.
    pub selectors: Selectors,
    /// The table that the view is of.
    pub table: QualifiedName,
    /// `WHERE`.
    pub relations: Vec<Relation>,
    /// `PRIMARY KEY`.
    pub primary_key: PrimaryKey,
    /// `CLUSTERING ORDER BY`: columns, and whether they are descending.
    pub clustering_order: Vec<(String, bool)>,
    /// The other properties after WITH.
    pub properties: Vec<Property>,
}

/// `ALTER MATERIALIZED VIEW`.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterView {
    /// The view.
    pub view: QualifiedName,
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// `WITH`.
    pub properties: Vec<Property>,
}

/// `CREATE FUNCTION`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateFunction {
    /// The function.
    pub name: FunctionName,
    /// `OR REPLACE`.
    pub or_replace: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// The names and types of its arguments.
    pub arguments: Vec<(String, RawType)>,
    /// `CALLED ON NULL INPUT`, else `RETURNS NULL ON NULL INPUT`.
    pub called_on_null_input: bool,
    /// The type of what it returns.
    pub returns: RawType,
    /// Its language, in lower case.
    pub language: String,
    /// Its body.
    pub body: String,
}

/// `CREATE AGGREGATE`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateAggregate {
    /// The aggregate.
    pub name: FunctionName,
    /// `OR REPLACE`.
    pub or_replace: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// The types of its arguments.
    pub arguments: Vec<RawType>,
    /// `SFUNC`.
    pub state_function: String,
    /// `STYPE`.
    pub state_type: RawType,
    /// `FINALFUNC`.
    pub final_function: Option<String>,
    /// `INITCOND`.
    pub initial: Option<Term>,
}

/// `DROP FUNCTION` or `DROP AGGREGATE`.
#[derive(Clone, Debug, PartialEq)]
pub struct DropFunction {
    /// The function or aggregate.
    pub name: FunctionName,
    /// The types of its arguments, if they are given.
    pub arguments: Option<Vec<RawType>>,
    /// `IF EXISTS`.
    pub if_exists: bool,
}

/// `CREATE TRIGGER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTrigger {
    /// The trigger.
    pub name: String,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// The table.
    pub table: QualifiedName,
    /// `USING` this class.
    pub class: String,
}

/// `DROP TRIGGER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropTrigger {
    /// The trigger.
    pub name: String,
    /// `IF EXISTS`.
    pub if_exists: bool,
    /// The table.
    pub table: QualifiedName,
}

/// `DROP` of a table, a type, an index or a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropNamed {
    /// What is dropped.
    pub name: QualifiedName,
    /// `IF EXISTS`.
    pub if_exists: bool,
}

/// `DROP KEYSPACE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropKeyspace {
    /// The keyspace.
    pub name: String,
    /// `IF EXISTS`.
    pub if_exists: bool,
}
