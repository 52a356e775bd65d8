//! How much a batch may change: clients are warned of large ones, and refused larger ones.

use super::views_of;
use crate::ast::BatchKind;
use crate::error::{CqlError, invalid};
use crate::host::Host;
use dodona_types::TableId;
use std::collections::BTreeSet;

/// Checks the mutations of a batch. Returns the warnings.
///
/// # Errors
/// It is too large.
pub(super) fn check(host: &Host, kind: BatchKind, mutations: &[Vec<u8>]) -> Result<Vec<String>, CqlError> {
    let mut warnings = Vec::new();
    let bytes: usize = mutations.iter().map(Vec::len).sum();
    let bounds = host.batch_bounds.get().copied().unwrap_or_default();
    let is_many = kind != BatchKind::Logged && mutations.len() > bounds.unlogged_partitions;
    if mutations.len() < 2 || (bytes <= bounds.warn_bytes && !is_many) {
        return Ok(warnings);
    }
    let views = views_of(mutations)?;
    let partitions: BTreeSet<&[u8]> = views.iter().map(|mutation| mutation.key.bytes).collect();
    if partitions.len() < 2 {
        return Ok(warnings);
    }
    let schema = host.node.schema();
    let tables: BTreeSet<TableId> = views.iter().map(|mutation| mutation.table).collect();
    let tables: BTreeSet<String> = tables
        .into_iter()
        .filter_map(|table| schema.table_by_id(table))
        .map(|table| format!("{}.{}", table.keyspace, table.name))
        .collect();
    let named = tables.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    if bytes > bounds.fail_bytes {
        tracing::warn!(
            tables = named,
            bytes,
            bound = bounds.fail_bytes,
            "a batch was refused: it is too large"
        );
        return invalid("Batch too large");
    }
    if bytes > bounds.warn_bytes {
        let (bound, over) = (bounds.warn_bytes, bytes - bounds.warn_bytes);
        warnings.push(format!(
            "Batch for [{named}] is of size {bytes}, exceeding specified threshold of {bound} by {over}."
        ));
    }
    if kind != BatchKind::Logged && partitions.len() > bounds.unlogged_partitions {
        let plural = if tables.len() == 1 { "" } else { "s" };
        warnings.push(format!(
            "Unlogged batch covering {} partitions detected against table{plural} [{named}]. You should use a \
             logged batch for atomicity, or asynchronous writes for performance.",
            partitions.len()
        ));
    }
    Ok(warnings)
}
