//! Clients of a table that is truncated now and then: they write and read at QUORUM and ALL, and one after another truncates.
//! A truncation waits until no read is under way that would bring back what it has seen: as in Cassandra, reads repair.

use crate::invariants::emptied::Emptied;
use crate::model::Action;
use crate::trace::Trace;
use crate::world::{all_of, create_alike, mutation_in, read_in, seen};
use dodona_cluster::{ClusterError, Node};
use dodona_env::Random;
use dodona_types::schema::Options;
use dodona_types::{Consistency, TableId};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const TABLE: TableId = TableId(Uuid::from_u128(0xe3b7));
const KEYSPACE: &str = "emptied";
const PARTITIONS: u64 = 4;
const ROWS: u64 = 6;
/// How often a client's step is a truncation.
const TRUNCATES: f64 = 0.08;
/// How long a truncation is waited for, and how long one may go on that failed.
const PATIENCE: Duration = Duration::from_secs(2);
const GOES_ON: Duration = Duration::from_secs(5);
/// How long repairs by a read that has ended are under way.
const REPAIRS: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(20);

/// What all clients know.
#[derive(Default)]
pub struct Known {
    emptied: Mutex<Emptied>,
    /// The node that truncates.
    truncating: Mutex<Option<usize>>,
    /// Nodes that read.
    reading: Mutex<BTreeSet<usize>>,
    judged: Mutex<u64>,
    acknowledged: Mutex<u64>,
    truncations: Mutex<u64>,
    /// Nodes that have come so far in the end.
    delivered: Mutex<usize>,
    is_emptied: Mutex<bool>,
    written: Mutex<usize>,
}

impl Known {
    /// A node lost power: what it was about is open.
    pub fn power_cut(&self, node: usize, now: Duration) {
        self.reading.lock().remove(&node);
        if self.truncating.lock().take_if(|truncating| *truncating == node).is_some() {
            self.emptied.lock().may_be_truncated(now + GOES_ON);
        }
    }

    /// Rows that were judged.
    pub fn judged(&self) -> u64 {
        *self.judged.lock()
    }

    /// Writes that were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        *self.acknowledged.lock()
    }

    /// Truncations that succeeded.
    pub fn truncations(&self) -> u64 {
        *self.truncations.lock()
    }
}

/// A client on a node.
pub struct Client {
    /// The node that it asks.
    pub node: Arc<Node>,
    /// Its choices.
    pub random: Random,
    /// The node's number.
    pub index: usize,
    /// What all know.
    pub known: Arc<Known>,
    /// What it saw goes here.
    pub trace: Trace,
}

/// Creates the table.
///
/// # Errors
/// The schema could not be changed.
pub async fn create_table(node: &Node, replication: Options) -> Result<(), ClusterError> {
    create_alike(node, KEYSPACE, TABLE, replication, |_| {}).await
}

fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

impl Client {
    /// Writes, reads and truncates until `until` says so.
    ///
    /// # Errors
    /// The promise that was broken.
    pub async fn run(&self, until: impl Fn() -> bool) -> Result<(), String> {
        while !until() {
            if self.random.chance(TRUNCATES) {
                self.truncate().await;
            } else if self.random.chance(0.5) {
                self.write().await;
            } else {
                let level = [Consistency::Quorum, Consistency::All][self.random.below(2) as usize];
                self.read(self.random.below(PARTITIONS) as u8, level).await?;
            }
            dodona_env::clock::sleep(Duration::from_millis(self.random.below(60))).await;
        }
        Ok(())
    }

    async fn write(&self) {
        let row = (self.random.below(PARTITIONS) as u8, self.random.below(ROWS) as u8);
        let (timestamp, value) =
            (self.node.timestamps.next() * 16 + self.index as i64, self.random.next_u64());
        self.known.emptied.lock().attempt(row, timestamp, value, now());
        let mutation = mutation_in(TABLE, row, timestamp, Action::Put(value), 0);
        let level = [Consistency::Quorum, Consistency::All][self.random.below(2) as usize];
        if self.node.coordinator.write(&[mutation], level).await.is_ok() {
            self.known.emptied.lock().acknowledge(row, timestamp);
            *self.known.acknowledged.lock() += 1;
        }
    }

    /// Reads a partition, unless the table is being truncated. False if it was not read.
    async fn read(&self, partition: u8, level: Consistency) -> Result<bool, String> {
        if self.known.truncating.lock().is_some() {
            return Ok(false);
        }
        self.known.reading.lock().insert(self.index);
        let promises = self.known.emptied.lock().promises(partition);
        let rows = read_in(&self.node, TABLE, partition, level).await;
        dodona_env::clock::sleep(REPAIRS).await;
        self.known.reading.lock().remove(&self.index);
        let Ok(rows) = rows else { return Ok(false) };
        self.trace.note(&format!("{} emptied {partition} {rows:?}", self.index));
        let emptied = self.known.emptied.lock();
        for row in (0..ROWS as u8).map(|row| (partition, row)) {
            *self.known.judged.lock() += 1;
            emptied.judge(row, promises.get(&row).copied(), seen(&rows, row))?;
        }
        Ok(true)
    }

    /// Truncates the table, unless somebody else does. True if it has succeeded.
    async fn truncate(&self) -> bool {
        {
            let mut truncating = self.known.truncating.lock();
            if truncating.is_some() {
                return false;
            }
            *truncating = Some(self.index);
        }
        while !self.known.reading.lock().is_empty() {
            dodona_env::clock::sleep(PAUSE).await;
        }
        let begun = now();
        let truncated = tokio::time::timeout(PATIENCE, self.node.coordinator.truncate(TABLE)).await;
        self.trace.note(&format!("{} truncates: {truncated:?}", self.index));
        *self.known.truncating.lock() = None;
        let mut emptied = self.known.emptied.lock();
        match truncated {
            Ok(Ok(())) => {
                *self.known.truncations.lock() += 1;
                emptied.truncated(begun, now());
                true
            }
            // Nobody was asked.
            Ok(Err(ClusterError::Unavailable { .. })) => false,
            _ => {
                emptied.may_be_truncated(now() + GOES_ON);
                false
            }
        }
    }

    /// After everything is healed: once all hints are delivered the first node truncates the table, and all of them find
    /// what is written behind that, and nothing else.
    ///
    /// # Errors
    /// The promise that was broken.
    pub async fn converge(&self, nodes: usize) -> Result<(), String> {
        while self.index == 0 && !*self.known.is_emptied.lock() {
            *self.known.is_emptied.lock() = self.truncate().await;
            dodona_env::clock::sleep(PAUSE).await;
        }
        while !(*self.known.is_emptied.lock() && self.node.hints.pending().is_empty()) {
            dodona_env::clock::sleep(PAUSE).await;
        }
        all_of(&self.known.delivered, nodes).await;
        self.write().await;
        all_of(&self.known.written, nodes).await;
        for partition in 0..PARTITIONS as u8 {
            while !self.read(partition, Consistency::All).await? {
                dodona_env::clock::sleep(PAUSE).await;
            }
        }
        Ok(())
    }
}
