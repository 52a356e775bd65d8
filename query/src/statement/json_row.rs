//! The row in an INSERT JSON.

use super::cells::{Change, Operation};
use crate::binding::{Binding, Val};
use crate::error::{CqlError, invalid};
use crate::term::Expression;
use dodona_types::schema::{Column, ColumnKind, Table};
use dodona_types::value::{self, JsonValue};
use dodona_types::{ColumnId, CqlType};
use std::sync::Arc;

/// For each column that the document names, its wire bytes or null.
pub(crate) struct JsonRow {
    values: Vec<(ColumnId, Option<Vec<u8>>)>,
}

impl JsonRow {
    /// Reads the document.
    pub(crate) fn read(
        table: &Table,
        document: &Expression,
        binding: &Binding<'_>,
    ) -> Result<Self, CqlError> {
        let document = match document.evaluate(binding)? {
            Val::Bytes(bytes) => bytes.into_owned(),
            Val::Null | Val::Unset => return invalid("Got null for INSERT JSON values"),
        };
        let text = String::from_utf8_lossy(&document);
        let undecodable = |error: &dyn std::fmt::Display| {
            CqlError::Invalid(format!("Could not decode JSON string as a map: {error}. (String was: {text})"))
        };
        let json = value::parse_json(&text).map_err(|error| undecodable(&error))?;
        let JsonValue::Object(entries) = json else {
            return Err(undecodable(&"it is no object"));
        };
        let mut values: Vec<(ColumnId, Option<Vec<u8>>)> = Vec::with_capacity(entries.len());
        for (name, json) in &entries {
            let name = column_name(name);
            let Some(column) = table.column(&name) else {
                return invalid(format!("JSON values map contains unrecognized column: {name}"));
            };
            values.retain(|(id, _)| *id != column.id);
            values.push((column.id, wire_value(column, json)?));
        }
        Ok(Self { values })
    }

    /// The value of a column of the primary key.
    pub(crate) fn key_component(&self, column: &Column) -> Result<&[u8], CqlError> {
        let value =
            self.values.iter().find(|(id, _)| *id == column.id).and_then(|(_, value)| value.as_deref());
        value.ok_or_else(|| {
            CqlError::Invalid(format!("Invalid null value in condition for column {}", column.name))
        })
    }

    /// What happens to the columns outside the primary key, sorted by column.
    pub(crate) fn operations(&self, table: &Table, default_unset: bool) -> Vec<Operation> {
        let columns = table
            .columns
            .iter()
            .filter(|column| matches!(column.kind, ColumnKind::Static | ColumnKind::Regular));
        let mut operations: Vec<Operation> = columns
            .filter_map(|column| {
                let value = match self.values.iter().find(|(id, _)| *id == column.id) {
                    Some((_, value)) => value.as_deref().map(Arc::from),
                    None if default_unset => return None,
                    None => None,
                };
                Some(Operation { column: column.clone(), change: Change::Set(Expression::Constant(value)) })
            })
            .collect();
        operations.sort_by_key(|operation| operation.column.id);
        operations
    }
}

fn wire_value(column: &Column, json: &JsonValue) -> Result<Option<Vec<u8>>, CqlError> {
    if *json == JsonValue::Null {
        return Ok(None);
    }
    let mut out = Vec::new();
    match value::json_to_wire(&column.cql_type, json, &mut out) {
        Ok(()) => Ok(Some(out)),
        // A string that is no duration is reported without the column, as in Cassandra.
        Err(error) if column.cql_type == CqlType::Duration && matches!(json, JsonValue::String(_)) => {
            invalid(error.to_string())
        }
        Err(error) => invalid(format!("Error decoding JSON value for {}: {error}", column.name)),
    }
}

/// A column's name in a JSON document: in lower case unless it is in quotes.
fn column_name(name: &str) -> String {
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_lowercase(),
    }
}
