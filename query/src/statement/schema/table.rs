//! CREATE TABLE and DROP TABLE.

use super::properties::Properties;
use super::{Planner, Work, check_modifiable, compact, is_valid_name};
use crate::ast::{ColumnDefinition, CreateTable, DropNamed, PrimaryKey};
use crate::context::resolve_type;
use crate::error::{CqlError, invalid};
use crate::functions::timeuuid_with;
use crate::outcome::{ChangeKind, ChangeTarget};
use crate::statement::not_yet;
use dodona_cluster::metadata::SchemaChange;
use dodona_types::schema::{Column, ColumnKind, Keyspace, Table, TableParams};
use dodona_types::{ColumnId, CqlType, TableId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// The longest name of a table, in characters: with an id behind it, a name of a directory.
const MAX_TABLE_NAME_CHARS: usize = 222;

impl Planner<'_> {
    pub(super) fn create_table(&self, create: &CreateTable) -> Result<Work, CqlError> {
        check_duplicates(create)?;
        let name = &create.table.name;
        let keyspace_name = self.keyspace_of(&create.table)?;
        let key = primary_key(create)?;
        check_modifiable(&keyspace_name, "CREATE", || format!("all tables in {keyspace_name}"))?;
        let properties = Properties::new(&create.properties);
        let mut params = TableParams::default();
        properties.put_into(&mut params)?;
        let Some(keyspace) = self.schema.keyspace(&keyspace_name) else {
            return invalid(format!("Keyspace '{keyspace_name}' doesn't exist"));
        };
        if keyspace.tables.contains_key(name.as_str()) {
            if create.if_not_exists {
                return Ok(Work::default());
            }
            return Err(CqlError::AlreadyExists { keyspace: keyspace_name.to_string(), table: name.clone() });
        }
        properties.check_table(&params)?;
        let id = self.table_id(properties.text("id")?)?;
        let columns = columns_of(create, key, keyspace)?;
        let table = table_of(create, keyspace, TableId(id), columns, params)?;
        check_table(&table)?;
        let target = ChangeTarget::Table(Arc::clone(&table.name));
        let changes = vec![SchemaChange::PutTable(Box::new(table))];
        Ok(Work::new(changes, ChangeKind::Created, &keyspace.name, target))
    }

    /// The id that the statement asks for, or a new one.
    fn table_id(&self, asked: Option<&str>) -> Result<Uuid, CqlError> {
        let Some(asked) = asked else {
            let mut node = [0; 8];
            self.host.random.fill(&mut node);
            return Ok(timeuuid_with(self.host.node.timestamps.next(), 0, node));
        };
        let id = Uuid::parse_str(asked).map_err(|_| CqlError::Config("Invalid table id".into()))?;
        match self.schema.table_by_id(TableId(id)) {
            Some(taken) => invalid(format!("Table {}.{} has the id {id}", taken.keyspace, taken.name)),
            None => Ok(id),
        }
    }

    pub(super) fn drop_table(&self, drop: &DropNamed) -> Result<Work, CqlError> {
        let keyspace_name = self.keyspace_of(&drop.name)?;
        let name = &drop.name.name;
        check_modifiable(&keyspace_name, "DROP", || format!("table {keyspace_name}.{name}"))?;
        match self.schema.table(&keyspace_name, name) {
            Some(table) => {
                let changes =
                    vec![SchemaChange::DropTable(Arc::clone(&table.keyspace), Arc::clone(&table.name))];
                let target = ChangeTarget::Table(Arc::clone(&table.name));
                Ok(Work::new(changes, ChangeKind::Dropped, &table.keyspace, target))
            }
            None if drop.if_exists => Ok(Work::default()),
            None => invalid(format!("Table '{keyspace_name}.{name}' doesn't exist")),
        }
    }
}

/// A table that the server itself has, of its definition in CQL.
///
/// # Errors
/// The definition is wrong.
pub(crate) fn builtin_table(
    create: &CreateTable,
    keyspace: &Keyspace,
    id: TableId,
) -> Result<Table, CqlError> {
    let mut params = TableParams::default();
    let properties = Properties::new(&create.properties);
    properties.put_into(&mut params)?;
    properties.check_table(&params)?;
    let key = primary_key(create)?;
    let columns = columns_of(create, key, keyspace)?;
    table_of(create, keyspace, id, columns, params)
}

fn table_of(
    create: &CreateTable,
    keyspace: &Keyspace,
    id: TableId,
    mut columns: Vec<Column>,
    params: TableParams,
) -> Result<Table, CqlError> {
    let compact_storage = if create.compact_storage { Some(compact::layout_of(&columns)?) } else { None };
    check_values(&columns, &params)?;
    if let Some(layout) = compact_storage {
        compact::add_hidden(layout, &mut columns);
    }
    let mut table = Table {
        id,
        keyspace: Arc::clone(&keyspace.name),
        name: create.table.name.as_str().into(),
        epoch: 0,
        next_column: columns.len() as u32,
        columns,
        dropped_columns: BTreeMap::new(),
        params,
        compact_storage,
    };
    table.sort_columns();
    Ok(table)
}

/// Checks what stands beside the key.
fn check_values(columns: &[Column], params: &TableParams) -> Result<(), CqlError> {
    let has = |kind| columns.iter().any(|column| column.kind == kind);
    if has(ColumnKind::Static) && !has(ColumnKind::Clustering) {
        return invalid(
            "Static columns are only useful (and thus allowed) if the table has at least one clustering column",
        );
    }
    check_counters(columns, params)
}

fn check_duplicates(create: &CreateTable) -> Result<(), CqlError> {
    let mut names = BTreeSet::new();
    match create.columns.iter().find(|column| !names.insert(&column.name)) {
        Some(column) => invalid(format!(
            "Duplicate column '{}' declaration for table '{}'",
            column.name,
            written_name(create)
        )),
        None => Ok(()),
    }
}

/// The table as the statement has it.
fn written_name(create: &CreateTable) -> String {
    let keyspace = create.table.keyspace.as_ref();
    format!("{}{}", keyspace.map_or(String::new(), |keyspace| format!("{keyspace}.")), create.table.name)
}

/// The only primary key.
fn primary_key(create: &CreateTable) -> Result<&PrimaryKey, CqlError> {
    let problem = match create.primary_keys.as_slice() {
        [key] => return Ok(key),
        [] => "No PRIMARY KEY specifed",
        _ => "Multiple PRIMARY KEY specified",
    };
    invalid(format!("{problem} for table '{}' (exactly one required)", written_name(create)))
}

/// The type of a column to be, checked for what no column may have.
pub(super) fn column_type(column: &ColumnDefinition, keyspace: &Keyspace) -> Result<CqlType, CqlError> {
    if column.mask.is_some() {
        return not_yet("Dynamic data masking is");
    }
    if !column.constraints.is_empty() {
        return not_yet("CHECK constraints are");
    }
    resolve_type(&column.ty, &keyspace.name, Some(keyspace), 0)
}

/// True for a non-frozen user-defined type with a field that is not frozen: it cannot be stored.
pub(super) fn has_multi_cell_fields(cql_type: &CqlType) -> bool {
    matches!(cql_type, CqlType::UserDefined { frozen: false, .. })
        && cql_type.inner().any(CqlType::is_multi_cell)
}

fn columns_of(create: &CreateTable, key: &PrimaryKey, keyspace: &Keyspace) -> Result<Vec<Column>, CqlError> {
    let mut columns = Vec::with_capacity(create.columns.len());
    for (number, definition) in create.columns.iter().enumerate() {
        columns.push(Column {
            id: ColumnId(number as u32),
            name: definition.name.as_str().into(),
            cql_type: column_type(definition, keyspace)?,
            kind: if definition.is_static { ColumnKind::Static } else { ColumnKind::Regular },
            position: 0,
            descending: false,
        });
    }
    if columns.iter().any(|column| has_multi_cell_fields(&column.cql_type)) {
        return invalid("Non-frozen UDTs with nested non-frozen collections are not supported");
    }
    put_key(create, key, &mut columns)?;
    check_order(create, key)?;
    Ok(columns)
}

/// Makes the columns of the primary key what they are.
fn put_key(create: &CreateTable, key: &PrimaryKey, columns: &mut [Column]) -> Result<(), CqlError> {
    let table = &create.table.name;
    let mut seen = BTreeSet::new();
    let partition = key.partition.iter().enumerate().map(|part| (part, ColumnKind::PartitionKey));
    let clustering = key.clustering.iter().enumerate().map(|part| (part, ColumnKind::Clustering));
    for ((position, name), kind) in partition.chain(clustering) {
        let Some(column) = columns.iter_mut().find(|column| *column.name == **name) else {
            return invalid(format!("Unknown column '{name}' referenced in PRIMARY KEY for table '{table}'"));
        };
        if !seen.insert(name) {
            return invalid(format!("Duplicate column '{name}' in PRIMARY KEY clause for table '{table}'"));
        }
        check_key_column(column)?;
        column.kind = kind;
        column.position = position as u16;
        column.descending =
            create.clustering_order.iter().any(|(ordered, descending)| ordered == name && *descending);
    }
    Ok(())
}

fn check_key_column(column: &Column) -> Result<(), CqlError> {
    let (name, cql_type) = (&column.name, &column.cql_type);
    if let CqlType::UserDefined { definition, frozen: false } = cql_type {
        return invalid(format!(
            "Invalid non-frozen user-defined type \"{}.{}\" for PRIMARY KEY column '{name}'",
            definition.keyspace, definition.name
        ));
    }
    if cql_type.is_multi_cell() {
        return invalid(format!(
            "Invalid non-frozen collection type {cql_type} for PRIMARY KEY column '{name}'"
        ));
    }
    if cql_type.is_counter() {
        return invalid(format!("counter type is not supported for PRIMARY KEY column '{name}'"));
    }
    if cql_type.references_duration() {
        return invalid(format!("duration type is not supported for PRIMARY KEY column '{name}'"));
    }
    if column.kind == ColumnKind::Static {
        return invalid(format!("Static column '{name}' cannot be part of the PRIMARY KEY"));
    }
    Ok(())
}

/// Checks that the clustering order names the clustering columns, in their order.
fn check_order(create: &CreateTable, key: &PrimaryKey) -> Result<(), CqlError> {
    let mut names = BTreeSet::new();
    if let Some((twice, _)) = create.clustering_order.iter().find(|(column, _)| !names.insert(column)) {
        return invalid(format!(
            "Duplicate column '{twice}' in CLUSTERING ORDER BY clause for table '{}'",
            create.table.name
        ));
    }
    let is_other = |column: &&str| !key.clustering.iter().any(|clustering| clustering == column);
    let ordered = create.clustering_order.iter().map(|(column, _)| column.as_str());
    let others: Vec<&str> = ordered.filter(is_other).collect();
    if !others.is_empty() {
        return invalid(format!(
            "Only clustering key columns can be defined in CLUSTERING ORDER directive: [{}] are not clustering columns",
            others.join(", ")
        ));
    }
    for ((ordered, _), column) in create.clustering_order.iter().zip(&key.clustering) {
        if ordered == column {
            continue;
        }
        if create.clustering_order.iter().any(|(ordered, _)| ordered == column) {
            return invalid(format!(
                "The order of columns in the CLUSTERING ORDER directive must match that of the clustering columns ({column} must appear before {ordered})"
            ));
        }
        return invalid(format!("Missing CLUSTERING ORDER for column {column}"));
    }
    Ok(())
}

fn check_counters(columns: &[Column], params: &TableParams) -> Result<(), CqlError> {
    let values =
        || columns.iter().filter(|column| matches!(column.kind, ColumnKind::Static | ColumnKind::Regular));
    if !values().any(|column| column.cql_type.is_counter()) {
        return Ok(());
    }
    if values().any(|column| !column.cql_type.is_counter()) {
        return invalid("Cannot mix counter and non counter columns in the same table");
    }
    if params.default_time_to_live > 0 {
        return invalid("Cannot set default_time_to_live on a table with counters");
    }
    Ok(())
}

/// What Cassandra checks of a whole table (`TableMetadata.validate`), and the engine of its options.
pub(super) fn check_table(table: &Table) -> Result<(), CqlError> {
    let (keyspace, name) = (&table.keyspace, &table.name);
    if !is_valid_name(name) {
        return Err(CqlError::Config(format!(
            "{keyspace}.{name}: Table name must not be empty or not contain non-alphanumeric-underscore characters (got \"{name}\")"
        )));
    }
    if name.len() > MAX_TABLE_NAME_CHARS {
        return Err(CqlError::Config(format!(
            "{keyspace}.{name}: Table name must not be more than {MAX_TABLE_NAME_CHARS} characters long (got {} characters for \"{name}\")",
            name.len()
        )));
    }
    match dodona_cluster::table_settings::table_settings(table, false) {
        Ok(_) => Ok(()),
        Err(error) => Err(CqlError::Config(error.to_string())),
    }
}
