//! Judges one execution, and gathers what its client is warned of.

use super::{Disks, Guardrails};
use crate::error::{CqlError, invalid};
use dodona_cluster::gossip::disk_usages::DiskUsage;
use dodona_types::Consistency;
use dodona_types::schema::{Column, Table};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Bytes that Cassandra counts for a cell beside its path and value.
const CELL_BYTES: usize = 20;

/// What one execution is judged by.
pub(crate) struct Guard<'a> {
    pub(crate) rails: &'a Guardrails,
    disks: Option<&'a Disks>,
    warnings: Mutex<Vec<String>>,
    /// Disks of replicas are stuffed.
    disks_are_stuffed: AtomicBool,
}

impl<'a> Guard<'a> {
    /// Without disks for what full ones do not hold up: changes of the schema, and statements of the server itself.
    pub(crate) const fn new(rails: &'a Guardrails, disks: Option<&'a Disks>) -> Self {
        Self { rails, disks, warnings: Mutex::new(Vec::new()), disks_are_stuffed: AtomicBool::new(false) }
    }

    /// What the client is warned of, which the log has as well.
    pub(crate) fn into_warnings(self) -> Vec<String> {
        if self.disks_are_stuffed.load(Relaxed) && self.disks.is_some_and(Disks::warns) {
            self.warn("replica_disk_usage", "Replica disk usage exceeds warning threshold");
        }
        let warnings = self.warnings.into_inner();
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        warnings
    }

    pub(crate) fn warn(&self, rail: &str, message: &str) {
        self.warnings.lock().push(format!("Guardrail {rail} violated: {message}"));
    }

    /// Refuses what is not allowed.
    pub(crate) fn refuse<T>(rail: &str, message: &str) -> Result<T, CqlError> {
        tracing::warn!(rail, message, "a statement was refused by a guardrail");
        invalid(format!("Guardrail {rail} violated: {message}"))
    }

    /// Refuses what is switched off.
    pub(crate) fn enabled(rail: &str, is_enabled: bool, what: &str) -> Result<(), CqlError> {
        if is_enabled { Ok(()) } else { Self::refuse(rail, &format!("{what} is not allowed")) }
    }

    /// Compares a value with the bounds for it: `text` says what is wrong, by the bound and whether it
    /// is the one that refuses.
    pub(crate) fn at_most(
        &self,
        rail: &str,
        (warn, fail): (i64, i64),
        value: usize,
        text: impl Fn(i64, bool) -> String,
    ) -> Result<(), CqlError> {
        let is_above = |bound: i64| usize::try_from(bound).is_ok_and(|bound| value > bound);
        if is_above(fail) {
            return Self::refuse(rail, &text(fail, true));
        }
        if is_above(warn) {
            self.warn(rail, &text(warn, false));
        }
        Ok(())
    }

    /// Compares values with lists of those that are refused and warned of.
    fn levels(
        &self,
        (rail, what): (&str, &str),
        disallowed: &[String],
        warned: &[String],
        level: Consistency,
    ) -> Result<(), CqlError> {
        let names = |list: &[String]| list.iter().any(|name| name.eq_ignore_ascii_case(&level.to_string()));
        if names(disallowed) {
            let listed = disallowed.join(", ");
            return Self::refuse(
                rail,
                &format!(
                    "Provided values [{level}] are not allowed for {what} (disallowed values are: [{listed}])"
                ),
            );
        }
        if names(warned) {
            let listed = warned.join(", ");
            let message = format!(
                "Provided values [{level}] are not recommended for {what} (warned values are: [{listed}])"
            );
            self.warn(rail, &message);
        }
        Ok(())
    }

    /// Judges the level of a read.
    pub(crate) fn read_level(&self, level: Consistency) -> Result<(), CqlError> {
        let Guardrails { read_consistency_levels_disallowed, read_consistency_levels_warned, .. } =
            self.rails;
        let rail = ("read_consistency_levels", "read consistency levels");
        self.levels(rail, read_consistency_levels_disallowed, read_consistency_levels_warned, level)
    }

    /// Judges the level of a write.
    pub(crate) fn write_level(&self, level: Consistency) -> Result<(), CqlError> {
        let Guardrails { write_consistency_levels_disallowed, write_consistency_levels_warned, .. } =
            self.rails;
        let rail = ("write_consistency_levels", "write consistency levels");
        self.levels(rail, write_consistency_levels_disallowed, write_consistency_levels_warned, level)
    }

    /// True if values are judged at all.
    #[inline]
    pub(crate) const fn judges_values(&self) -> bool {
        let rails = self.rails;
        rails.column_value_size_warn_threshold >= 0
            || rails.column_value_size_fail_threshold >= 0
            || rails.collection_size_warn_threshold >= 0
            || rails.collection_size_fail_threshold >= 0
            || rails.items_per_collection_warn_threshold >= 0
            || rails.items_per_collection_fail_threshold >= 0
    }

    /// Judges a value, or an element of a collection, that is written.
    #[inline]
    pub(crate) fn value(&self, column: &Column, bytes: usize) -> Result<(), CqlError> {
        let rails = self.rails;
        let bounds = (rails.column_value_size_warn_threshold, rails.column_value_size_fail_threshold);
        if bounds == (-1, -1) {
            return Ok(());
        }
        self.at_most("column_value_size", bounds, bytes, |bound, is_failure| {
            let kind = if is_failure { "failure" } else { "warning" };
            format!(
                "Value of column '{}' has size {bytes}, this exceeds the {kind} threshold of {bound}.",
                column.name
            )
        })
    }

    /// Judges what is written to a collection: so many elements, with so many bytes of keys and values in
    /// so many cells.
    pub(crate) fn collection(
        &self,
        column: &Column,
        elements: usize,
        bytes: usize,
        cells: usize,
    ) -> Result<(), CqlError> {
        let (rails, name) = (self.rails, &column.name);
        let bounds = (rails.items_per_collection_warn_threshold, rails.items_per_collection_fail_threshold);
        let kind = |is_failure| if is_failure { "failure" } else { "warning" };
        self.at_most("items_per_collection", bounds, elements, |bound, is_failure| {
            format!(
                "Detected collection {name} with {elements} items, this exceeds the {} threshold of {bound}.",
                kind(is_failure)
            )
        })?;
        let bytes = bytes + cells * CELL_BYTES;
        let bounds = (rails.collection_size_warn_threshold, rails.collection_size_fail_threshold);
        self.at_most("collection_size", bounds, bytes, |bound, is_failure| {
            format!(
                "Detected collection {name} of size {bytes}, this exceeds the {} threshold of {bound}.",
                kind(is_failure)
            )
        })
    }

    /// Judges how many combinations of values IN gives.
    pub(crate) fn combinations(&self, key: &str, count: usize) -> Result<(), CqlError> {
        let rails = self.rails;
        let bounds = (
            rails.in_select_cartesian_product_warn_threshold,
            rails.in_select_cartesian_product_fail_threshold,
        );
        self.at_most("in_select_cartesian_product", bounds, count, |bound, is_failure| {
            if is_failure {
                format!(
                    "Aborting query because the cartesian product of the IN restrictions on {key} produces {count} values, this exceeds fail threshold of {bound}."
                )
            } else {
                format!(
                    "The cartesian product of the IN restrictions on {key} produces {count} values, this exceeds warning threshold of {bound}."
                )
            }
        })
    }

    /// Judges how many partitions a SELECT names.
    pub(crate) fn partitions(&self, table: &str, count: usize) -> Result<(), CqlError> {
        let rails = self.rails;
        let bounds =
            (rails.partition_keys_in_select_warn_threshold, rails.partition_keys_in_select_fail_threshold);
        self.at_most("partition_keys_in_select", bounds, count, |bound, is_failure| {
            if is_failure {
                format!(
                    "Aborting query with partition keys in IN clause on table {table}, number of partition keys {count} exceeds fail threshold of {bound}."
                )
            } else {
                format!(
                    "Query with partition keys in IN clause on table {table}, with number of partition keys {count} exceeds warning threshold of {bound}."
                )
            }
        })
    }

    /// Judges the rows of a page that a client asks for.
    pub(crate) fn page(&self, table: &str, rows: u32) -> Result<(), CqlError> {
        let bounds = (self.rails.page_size_warn_threshold, self.rails.page_size_fail_threshold);
        self.at_most("page_size", bounds, rows as usize, |bound, is_failure| {
            if is_failure {
                format!(
                    "Aborting query for table {table}, page size {rows} exceeds fail threshold of {bound}."
                )
            } else {
                format!("Query for table {table} with page size {rows} exceeds warning threshold of {bound}.")
            }
        })
    }

    /// Judges a timestamp that a statement gives, at a time in microseconds.
    pub(crate) fn timestamp(&self, table: &str, timestamp: i64, now_micros: i64) -> Result<(), CqlError> {
        let micros = |seconds: i64| seconds.saturating_mul(1_000_000);
        let rails = self.rails;
        let late =
            [(rails.maximum_timestamp_fail_threshold, true), (rails.maximum_timestamp_warn_threshold, false)];
        let early =
            [(rails.minimum_timestamp_fail_threshold, true), (rails.minimum_timestamp_warn_threshold, false)];
        let kind = |is_failure| if is_failure { "failure" } else { "warning" };
        let is_set = |(seconds, _): &(i64, bool)| *seconds >= 0;
        for (seconds, is_failure) in late.into_iter().filter(is_set) {
            let bound = now_micros.saturating_add(micros(seconds));
            if timestamp > bound {
                let message = format!(
                    "The modification to table {table} has a timestamp {timestamp} after the maximum allowable {} threshold {bound}. Timestamps too far in the future can lead to data that can't be easily overwritten",
                    kind(is_failure)
                );
                self.refuse_or_warn("maximum_timestamp", is_failure, &message)?;
                break;
            }
        }
        for (seconds, is_failure) in early.into_iter().filter(is_set) {
            let bound = now_micros.saturating_sub(micros(seconds));
            if timestamp < bound {
                let message = format!(
                    "The modification to table {table} has a timestamp {timestamp} before the minimum allowable {} threshold {bound}. Timestamps too far in the past can cause writes can be unexpectedly lost",
                    kind(is_failure)
                );
                self.refuse_or_warn("minimum_timestamp", is_failure, &message)?;
                break;
            }
        }
        Ok(())
    }

    /// Judges the disks of those that a partition is written to. Clients are warned of stuffed ones now and then.
    #[inline]
    pub(crate) fn disks(&self, table: &Table, key: &[u8]) -> Result<(), CqlError> {
        match self.disks.map_or(DiskUsage::Spacious, |disks| disks.of(table, key)) {
            DiskUsage::Full => invalid(
                "Guardrail replica_disk_usage violated: Write request failed because disk usage exceeds failure threshold",
            ),
            DiskUsage::Stuffed => {
                self.disks_are_stuffed.store(true, Relaxed);
                Ok(())
            }
            DiskUsage::Spacious => Ok(()),
        }
    }

    fn refuse_or_warn(&self, rail: &str, is_failure: bool, message: &str) -> Result<(), CqlError> {
        if is_failure {
            return Self::refuse(rail, message);
        }
        self.warn(rail, message);
        Ok(())
    }
}
