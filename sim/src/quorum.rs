//! Clients that write and read rows at QUORUM and above, and what their reads must show: whatever was
//! acknowledged before they began.

use crate::invariants::judge;
use crate::model::{Action, Model};
use crate::trace::Trace;
use crate::world::{PARTITIONS, ROWS, mutation, read_partition, seen};
use dodona_cluster::Node;
use dodona_env::Random;
use dodona_types::Consistency;
use parking_lot::Mutex;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// What was attempted, acknowledged and judged, and the first promise that was broken.
#[derive(Default)]
pub struct Rows {
    model: Mutex<Model>,
    violation: Mutex<Option<String>>,
    judged: Mutex<u64>,
}

impl Rows {
    /// Notes a broken promise, if it is the first.
    pub fn broken(&self, broken: String) {
        self.violation.lock().get_or_insert(broken);
    }

    /// Notes what a judge says, if it is that a promise was broken.
    pub fn judge(&self, judged: Result<(), String>) {
        if let Err(broken) = judged {
            self.broken(broken);
        }
    }

    /// Runs a client on a node's host; a promise that it finds broken ends the run.
    pub fn watch(self: &Arc<Self>, node: &Node, client: impl Future<Output = Result<(), String>> + 'static) {
        let rows = Arc::clone(self);
        node.env.tasks.spawn_local(async move { rows.judge(client.await) });
    }

    /// Demands that a node does not have to stop by itself.
    pub fn goes_on(self: &Arc<Self>, node: &Node) {
        let mut failure = node.watch_failure();
        self.watch(node, async move {
            // The sender goes with the node.
            let stopped = failure.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
            stopped.map_or(Ok(()), |reason| Err(format!("a node had to stop: {reason}")))
        });
    }

    /// The first promise that was broken.
    #[must_use]
    pub fn violation(&self) -> Option<String> {
        self.violation.lock().clone()
    }

    /// Writes that were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.model.lock().acknowledged
    }

    /// Rows that were judged.
    #[must_use]
    pub fn judged(&self) -> u64 {
        *self.judged.lock()
    }
}

/// A client on a node.
pub struct Client {
    /// The node that it asks.
    pub node: Arc<Node>,
    /// Its choices.
    pub random: Random,
    /// The node's place among all, less than 16.
    pub index: usize,
    /// What all clients know.
    pub rows: Arc<Rows>,
    /// What it saw goes here.
    pub trace: Trace,
}

impl Client {
    /// Writes or reads, and pauses.
    pub async fn step(&self) {
        if self.random.chance(0.5) {
            self.write().await;
        } else {
            self.read().await;
        }
        dodona_env::clock::sleep(Duration::from_millis(self.random.below(30))).await;
    }

    /// Timestamps are unique over all nodes: the last digits are the node's.
    fn timestamp(&self) -> i64 {
        self.node.timestamps.next() * 16 + self.index as i64
    }

    async fn write(&self) {
        let row = (self.random.below(PARTITIONS) as u8, self.random.below(ROWS) as u8);
        let timestamp = self.timestamp();
        let action =
            if self.random.chance(0.2) { Action::Delete } else { Action::Put(self.random.next_u64()) };
        self.rows.model.lock().attempt(row, timestamp, action);
        let mutation = mutation(row, timestamp, action, self.node.env.clock.wall_seconds());
        if self.node.coordinator.write(&[mutation], Consistency::Quorum).await.is_ok() {
            let mut model = self.rows.model.lock();
            model.acknowledge(row, timestamp, Duration::ZERO);
        }
    }

    async fn read(&self) {
        let partition = self.random.below(PARTITIONS) as u8;
        // What was acknowledged before the read began must be seen by it.
        self.rows.model.lock().promise(Duration::ZERO);
        let promised: Vec<_> = (0..ROWS as u8).map(|row| self.newest_promise((partition, row))).collect();
        let levels = [Consistency::Quorum, Consistency::LocalQuorum, Consistency::All, Consistency::Two];
        let level = levels[self.random.below(4) as usize];
        let Ok(rows) = read_partition(&self.node, partition, level).await else {
            return;
        };
        self.trace.note(&format!("{} {partition} {rows:?}", self.index));
        let model = self.rows.model.lock();
        for row in 0..ROWS as u8 {
            let id = (partition, row);
            *self.rows.judged.lock() += 1;
            let mut broken = crate::invariants::phantom::judge(&model, id, seen(&rows, id)).err();
            if let Some(promise) = promised[usize::from(row)] {
                let shown = seen(&rows, id).map_or(i64::MIN, |(timestamp, _)| timestamp);
                let deleted = model
                    .attempts(id)
                    .iter()
                    .any(|attempt| attempt.action == Action::Delete && attempt.timestamp >= promise);
                if shown < promise && !(seen(&rows, id).is_none() && deleted) {
                    broken.get_or_insert_with(|| format!("row {id:?} shows timestamp {shown} at {level}, although {promise} was acknowledged at QUORUM before"));
                }
            }
            if let Some(broken) = broken {
                self.rows.broken(broken);
            }
        }
    }

    fn newest_promise(&self, row: (u8, u8)) -> Option<i64> {
        let model = self.rows.model.lock();
        let promised = model.attempts(row).iter().filter(|attempt| attempt.must_survive);
        promised.map(|attempt| attempt.timestamp).max()
    }

    /// After everything is healed reads succeed and show what was promised.
    pub async fn converge(&self) {
        for partition in 0..PARTITIONS as u8 {
            let rows = loop {
                match read_partition(&self.node, partition, Consistency::Quorum).await {
                    Ok(rows) => break rows,
                    Err(_) => dodona_env::clock::sleep(Duration::from_millis(100)).await,
                }
            };
            let model = self.rows.model.lock();
            for row in 0..ROWS as u8 {
                let id = (partition, row);
                if let Err(broken) = judge(&model, id, seen(&rows, id)) {
                    self.rows.broken(broken);
                }
            }
        }
    }
}
