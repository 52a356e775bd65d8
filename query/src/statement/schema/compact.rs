//! COMPACT STORAGE: what a table may then have, and which columns it has besides (Cassandra
//! `CreateTableStatement.fixupCompactTable`).

use crate::error::{CqlError, invalid};
use dodona_types::schema::{Column, ColumnKind, CompactStorage, Table};
use dodona_types::{ColumnId, CqlType};

/// Refuses columns that a table with COMPACT STORAGE cannot have, and says how it is laid out.
pub(super) fn layout_of(columns: &[Column]) -> Result<CompactStorage, CqlError> {
    let of_kind = |kind| columns.iter().filter(move |column| column.kind == kind);
    let values = || of_kind(ColumnKind::Static).chain(of_kind(ColumnKind::Regular));
    if values().any(|column| column.cql_type.is_multi_cell()) {
        return invalid("Non-frozen collections and UDTs are not supported with COMPACT STORAGE");
    }
    if of_kind(ColumnKind::Static).next().is_some() {
        return invalid("Static columns are not supported in COMPACT STORAGE tables");
    }
    let mut names: Vec<&str> = values().map(|column| &*column.name).collect();
    names.sort_unstable();
    if of_kind(ColumnKind::Clustering).next().is_none() {
        if names.is_empty() {
            return invalid("No definition found that is not part of the PRIMARY KEY");
        }
        return Ok(CompactStorage::Static);
    }
    if names.len() > 1 {
        return invalid(format!(
            "COMPACT STORAGE with composite PRIMARY KEY allows no more than one column not part of the PRIMARY KEY (got: {})",
            names.join(", ")
        ));
    }
    Ok(CompactStorage::Dense)
}

/// Adds the hidden columns.
pub(super) fn add_hidden(layout: CompactStorage, columns: &mut Vec<Column>) {
    match layout {
        CompactStorage::Static => {
            let is_counter = columns.iter().any(|column| column.cql_type.is_counter());
            for column in columns.iter_mut().filter(|column| column.kind == ColumnKind::Regular) {
                column.kind = ColumnKind::Static;
            }
            // The first of these names that is free: `column1`, `column2`; `value`, `value1`.
            let (clustering, value) = (free_name(columns, "column", 1), free_name(columns, "value", 0));
            add(columns, clustering, CqlType::Text, ColumnKind::Clustering);
            let cql_type = if is_counter { CqlType::Counter } else { CqlType::Blob };
            add(columns, value, cql_type, ColumnKind::Regular);
        }
        CompactStorage::Dense if !columns.iter().any(|column| column.kind == ColumnKind::Regular) => {
            let value = free_name(columns, "value", 0);
            add(columns, value, CqlType::empty(), ColumnKind::Regular);
        }
        CompactStorage::Dense => {}
    }
}

fn free_name(columns: &[Column], base: &str, first: u32) -> String {
    let numbered = |number| if number == 0 { base.to_owned() } else { format!("{base}{number}") };
    let mut names = (first..).map(numbered);
    let free = names.find(|name| !columns.iter().any(|column| *column.name == **name));
    free.unwrap_or_default()
}

fn add(columns: &mut Vec<Column>, name: String, cql_type: CqlType, kind: ColumnKind) {
    let id = ColumnId(columns.len() as u32);
    columns.push(Column { id, name: name.into(), cql_type, kind, position: 0, descending: false });
}

/// Makes the table one like others: hidden columns are seen from now on.
pub(super) fn drop_compact_storage(table: &mut Table, is_enabled: bool) -> Result<(), CqlError> {
    if !is_enabled {
        return invalid("DROP COMPACT STORAGE is disabled. Enable in cassandra.yaml to use.");
    }
    if table.compact_storage.take().is_none() {
        return invalid("Cannot DROP COMPACT STORAGE on table without COMPACT STORAGE");
    }
    Ok(())
}
