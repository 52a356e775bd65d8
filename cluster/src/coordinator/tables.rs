//! What reads need to know of a table: its options, and how long its reads take.

use super::speculate::{Policy, ReadTimes};
use crate::error::ClusterError;
use dodona_env::collections::HashMap;
use dodona_storage::StorageError;
use dodona_types::TableId;
use dodona_types::schema::Schema;
use parking_lot::Mutex;
use std::sync::Arc;

/// A table as reads see it.
pub(super) struct TableReads {
    /// The schema's epoch that this was taken from.
    epoch: u64,
    /// Replicas are brought what they lack before a read returns.
    pub(super) repairs: bool,
    /// Seconds that a tombstone is kept.
    pub(super) gc_grace_seconds: u32,
    /// When one replica more is asked.
    pub(super) policy: Policy,
    /// When what a replica does not take of a read's repair goes to one more.
    pub(super) additional_writes: Policy,
    /// How long reads took.
    pub(super) times: Arc<ReadTimes>,
}

/// Tables that were read.
#[derive(Default)]
pub(super) struct Tables {
    known: Mutex<HashMap<TableId, Arc<TableReads>>>,
}

impl Tables {
    /// The table in this schema.
    ///
    /// # Errors
    /// It is not there.
    pub(super) fn get(&self, schema: &Schema, id: TableId) -> Result<Arc<TableReads>, ClusterError> {
        let mut known = self.known.lock();
        let before = known.get(&id);
        if let Some(table) = before.filter(|table| table.epoch == schema.epoch) {
            return Ok(Arc::clone(table));
        }
        let table = schema.table_by_id(id).ok_or(StorageError::NoSuchTable(id))?;
        let reads = Arc::new(TableReads {
            epoch: schema.epoch,
            repairs: !table.params.read_repair.eq_ignore_ascii_case("NONE"),
            gc_grace_seconds: table.params.gc_grace_seconds,
            policy: Policy::parse(&table.params.speculative_retry).unwrap_or(Policy::DEFAULT),
            additional_writes: Policy::parse(&table.params.additional_write_policy)
                .unwrap_or(Policy::DEFAULT),
            times: before.map_or_else(Arc::default, |before| Arc::clone(&before.times)),
        });
        // Tables that are gone are forgotten when others come.
        known.retain(|id, _| schema.table_by_id(*id).is_some());
        known.insert(id, Arc::clone(&reads));
        Ok(reads)
    }
}
