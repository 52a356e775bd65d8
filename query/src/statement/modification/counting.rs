//! Changes of counters.

use super::ModificationPlan;
use crate::binding::{Binding, Val};
use crate::error::{CqlError, invalid};
use crate::host::Host;
use crate::session::Parameters;
use crate::statement::cells::{Change, Operation};
use dodona_cluster::counter::{CounterUpdate, RowKey};
use dodona_types::schema::ColumnKind;
use dodona_types::{Consistency, TableId};
use std::collections::BTreeMap;

/// What is to be added, by table and partition.
pub(crate) type Updates = BTreeMap<(TableId, Vec<u8>), CounterUpdate>;

impl ModificationPlan {
    /// True if the statement is on counters.
    pub(crate) const fn is_counter(&self) -> bool {
        self.is_counter
    }

    /// True if the statement adds to counters; one that deletes them does not.
    pub(crate) const fn counts(&self) -> bool {
        self.counts
    }

    /// Adds up what the statement adds.
    pub(crate) fn collect_counts(
        &self,
        binding: &Binding<'_>,
        updates: &mut Updates,
    ) -> Result<(), CqlError> {
        let Some(restrictions) = &self.restrictions else { return Ok(()) };
        let keys = self.partition_keys(binding)?;
        let has_rows = self.operations.iter().any(|operation| operation.column.kind == ColumnKind::Regular);
        let rows = if has_rows { self.rows(restrictions, binding)? } else { Vec::new() };
        if has_rows && rows.is_empty() {
            return Ok(());
        }
        for key in keys {
            binding.guard.disks(&self.table, &key)?;
            let update = updates.entry((self.table.id, key.clone())).or_insert_with(|| CounterUpdate {
                table: self.table.id,
                epoch: self.table.epoch,
                key,
                rows: BTreeMap::new(),
            });
            for operation in &self.operations {
                let Some(delta) = delta_of(operation, binding)? else { continue };
                let mut add = |row: RowKey| {
                    let sum = update.rows.entry(row).or_default().entry(operation.column.id).or_default();
                    *sum = sum.wrapping_add(delta);
                };
                match operation.column.kind {
                    // As in Cassandra: once for each row.
                    ColumnKind::Static => (0..rows.len().max(1)).for_each(|_| add(None)),
                    _ => rows.iter().for_each(|row| add(Some(row.clone()))),
                }
            }
        }
        Ok(())
    }

    pub(super) fn check_counter_level(&self, parameters: &Parameters<'_>) -> Result<(), CqlError> {
        if parameters.consistency.is_serial() {
            return invalid("Counter operations are inherently non-serializable");
        }
        if parameters.consistency == Consistency::Any {
            return invalid(format!(
                "Consistency level ANY is not yet supported for counter table {}",
                self.table.name
            ));
        }
        Ok(())
    }
}

/// What an operation adds; nothing if its value is not set.
fn delta_of(operation: &Operation, binding: &Binding<'_>) -> Result<Option<i64>, CqlError> {
    let Change::Count { delta, negative } = &operation.change else { return Ok(None) };
    match delta.evaluate(binding)? {
        Val::Unset => Ok(None),
        Val::Null if delta.marker_index().is_some() => invalid("Invalid null value for counter increment"),
        Val::Null => invalid("Invalid null value for counter increment/decrement"),
        Val::Bytes(bytes) => {
            let value = bytes.as_ref().try_into().map_or(0, i64::from_be_bytes);
            if *negative && value == i64::MIN {
                return invalid(format!(
                    "The negation of {value} overflows supported counter precision (signed 8 bytes integer)"
                ));
            }
            Ok(Some(if *negative { value.wrapping_neg() } else { value }))
        }
    }
}

/// Makes the changes.
pub(crate) async fn count(
    host: &Host,
    updates: Updates,
    parameters: &Parameters<'_>,
) -> Result<(), CqlError> {
    let coordinator = &host.node.coordinator;
    let updates: Vec<CounterUpdate> = updates.into_values().collect();
    Ok(coordinator.count_all(&updates, parameters.consistency).await?)
}
