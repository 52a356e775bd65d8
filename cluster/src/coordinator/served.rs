//! The requests that clients had answered on tables (Cassandra: coordinator latencies of `TableMetrics`).

use super::Coordinator;
use crate::placement::Placement;
use arc_swap::ArcSwap;
use dodona_env::collections::HashMap;
pub use dodona_storage::engine::snapshot::Snapshot;
pub use dodona_storage::engine::statistics::TableStatistics;
use dodona_storage::metrics::Operations;
pub use dodona_storage::metrics::{Distribution, Operation, PerRead, Summary, Values};
use dodona_types::TableId;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

type Tables = HashMap<TableId, Arc<Operations>>;

/// What Paxos was needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByPaxos {
    /// A read at SERIAL or LOCAL_SERIAL.
    Read,
    /// A statement or batch with a condition.
    Write,
}

/// What clients had answered, by table.
#[derive(Default)]
pub(super) struct Served {
    tables: ArcSwap<Tables>,
    /// Held while a table is added.
    change: Mutex<()>,
    /// Nanoseconds of what needed Paxos: reads and writes.
    by_paxos: [Values; 2],
}

impl Served {
    /// A table comes in; those that are gone go.
    #[cold]
    fn add(&self, placement: &Placement, table: TableId, now: Duration) {
        let _guard = self.change.lock();
        let mut tables = Tables::clone(&self.tables.load());
        tables.retain(|id, _| placement.schema.table_by_id(*id).is_some());
        tables.entry(table).or_insert_with(|| Arc::new(Operations::new(now)));
        self.tables.store(Arc::new(tables));
    }
}

impl Coordinator {
    /// Notes requests of clients that have their answers `now`, after so long.
    pub fn note_served(&self, requests: &[(TableId, Operation)], now: Duration, took: Duration) {
        let mut tables = self.served.tables.load();
        for (table, operation) in requests {
            if !tables.contains_key(table) {
                self.served.add(&self.placement.load(), *table, now.saturating_sub(took));
                tables = self.served.tables.load();
            }
            if let Some(operations) = tables.get(table) {
                operations.note(*operation, now, took);
            }
        }
    }

    /// Notes a request of a client that needed Paxos and has its answer `now`, after so long.
    pub fn note_by_paxos(&self, what: ByPaxos, now: Duration, took: Duration) {
        self.served.by_paxos[what as usize].note(now, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The nanoseconds that requests of clients took of late that needed Paxos.
    #[must_use]
    pub fn served_by_paxos(&self, what: ByPaxos) -> Distribution {
        self.served.by_paxos[what as usize].lately(self.env.clock.mono())
    }

    /// The nanoseconds that requests of clients took of late, on all tables together.
    #[must_use]
    pub fn served_on_all(&self, operation: Operation) -> Distribution {
        let (tables, now) = (self.served.tables.load(), self.env.clock.mono());
        let mut all = Distribution::default();
        tables.values().for_each(|table| all.merge(&table.summary(operation, now).nanos));
        all
    }

    /// How often clients had a table read or written by this node, and how long that took of late, from the
    /// arrival of a request to its answer.
    #[must_use]
    pub fn served(&self, table: TableId, operation: Operation) -> Summary {
        let tables = self.served.tables.load();
        let operations = tables.get(&table);
        operations.map_or_else(Summary::default, |it| it.summary(operation, self.env.clock.mono()))
    }
}
