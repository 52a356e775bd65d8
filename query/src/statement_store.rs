//! Prepared statements over restarts: every node keeps its own in `system.prepared_statements`.
//!
//! A statement that was prepared before a restart is analysed when it is executed for the first
//! time after it. Its row may be lost with the process within the commit log's period; its client
//! is then told to prepare it again.

use crate::error::CqlError;
use crate::prepared::{Prepared, StatementId, StoredStatement};
use crate::system_tables::Rows;
use dodona_cluster::{ClusterError, Node};
use dodona_types::schema::Table;
use dodona_types::{CollectedRows, Deletion, MutationBuilder, MutationView};
use std::sync::Arc;

/// Reads every row, for [`statements_of`].
pub(crate) const READ_ALL: &str =
    "SELECT prepared_id, logged_keyspace, query_string FROM system.prepared_statements";
/// Statements read at a time.
pub(crate) const PAGE_ROWS: u32 = 1_000;

/// Keeps a statement for the next start. What cannot be kept is told to the log alone.
pub(crate) fn keep(node: &Node, prepared: &Prepared) {
    let written = write(node, |table, timestamp_micros| {
        let mut rows = Rows::new(table, timestamp_micros);
        let mut values =
            vec![("prepared_id", prepared.id.to_vec()), ("query_string", prepared.text.as_bytes().to_vec())];
        values.extend(prepared.keyspace.as_deref().map(|name| ("logged_keyspace", name.as_bytes().to_vec())));
        rows.put(&values)?;
        Ok(rows.into_mutations())
    });
    if let Err(error) = written {
        tracing::warn!(%error, "a prepared statement could not be kept for the next start");
    }
}

/// Forgets a statement.
pub(crate) fn forget(node: &Node, id: &StatementId) {
    let deleted_at_seconds = node.env.clock.wall_seconds();
    let written = write(node, |table, timestamp_micros| {
        let mut builder = MutationBuilder::new();
        builder.begin(table.id, table.epoch, id);
        builder.partition_deletion(Deletion { timestamp_micros, deleted_at_seconds });
        Ok(vec![builder.view().bytes().to_vec()])
    });
    if let Err(error) = written {
        tracing::warn!(%error, "a prepared statement could not be forgotten");
    }
}

fn write(
    node: &Node,
    mutations: impl FnOnce(&Table, i64) -> Result<Vec<Vec<u8>>, CqlError>,
) -> Result<(), CqlError> {
    let schema = node.schema();
    let Some(table) = schema.table("system", "prepared_statements") else {
        return Ok(());
    };
    let malformed = |error| CqlError::Server(format!("{error}"));
    for mutation in mutations(table, node.timestamps.next())? {
        let mutation = MutationView::parse(&mutation).map_err(malformed)?;
        node.engine.apply(&[mutation]).map_err(ClusterError::from)?;
    }
    Ok(())
}

/// The statements in the rows of [`READ_ALL`], by id. What is none is left out.
pub(crate) fn statements_of(rows: CollectedRows) -> Vec<(StatementId, StoredStatement)> {
    let statement = |row: Vec<Option<Vec<u8>>>| {
        let mut values = row.into_iter();
        let id = values.next().flatten().and_then(|id| StatementId::try_from(id).ok())?;
        let mut text = || values.next().flatten().and_then(|text| String::from_utf8(text).ok());
        let (keyspace, statement) = (text(), text());
        Some((id, StoredStatement { keyspace: keyspace.map(Arc::from), text: statement?.into() }))
    };
    rows.rows.into_iter().filter_map(statement).collect()
}
