//! Clients that count, and what they counted.

use crate::world::COUNTERS;
use dodona_cluster::counter::CounterUpdate;
use dodona_cluster::{ClusterError, Node};
use dodona_env::Random;
use dodona_types::counter::total;
use dodona_types::key::ROW_END;
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::{CellKind, ColumnId, Consistency, KeyRef, LiveRow, PartitionKey, RowVisitor};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

const KEYS: u8 = 2;
const COUNTER: ColumnId = ColumnId(1);

/// What was added to each counter: what was acknowledged, and what was tried in all.
#[derive(Debug, Default)]
pub struct Tally {
    inner: Mutex<BTreeMap<u8, (i64, i64)>>,
}

impl Tally {
    /// Changes that were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.inner.lock().values().map(|(acknowledged, _)| acknowledged.unsigned_abs()).sum()
    }

    fn of(&self, key: u8) -> (i64, i64) {
        self.inner.lock().get(&key).copied().unwrap_or_default()
    }
}

/// A client on a node.
pub struct Client {
    /// The node that it asks.
    pub node: Arc<Node>,
    /// Its choices.
    pub random: Random,
    /// Milliseconds between two of its steps, at most.
    pub pause: u64,
    /// What it counted.
    pub tally: Arc<Tally>,
}

impl Client {
    /// Counts until its node is gone or `until` says so.
    pub async fn run(self, until: impl Fn() -> bool) {
        while !until() {
            let key = self.random.below(u64::from(KEYS)) as u8;
            let delta = 1 + self.random.below(3) as i64;
            self.tally.inner.lock().entry(key).or_default().1 += delta;
            let update = CounterUpdate {
                table: COUNTERS,
                epoch: 1,
                key: vec![key],
                rows: BTreeMap::from([(Some(vec![ROW_END]), BTreeMap::from([(COUNTER, delta)]))]),
            };
            if self.node.coordinator.count(&update, Consistency::Quorum).await.is_ok() {
                self.tally.inner.lock().entry(key).or_default().0 += delta;
            }
            dodona_env::clock::sleep(Duration::from_millis(self.random.below(self.pause))).await;
        }
    }

    /// Judges each counter, once it can be read: no less than what was acknowledged before, no more than
    /// what was tried by then. Other clients may still wait for the end of a change.
    ///
    /// # Errors
    /// A counter that is out of these bounds.
    pub async fn judge(&self) -> Result<(), String> {
        for key in 0..KEYS {
            let (acknowledged, _) = self.tally.of(key);
            let found = loop {
                match self.read(key).await {
                    Ok(found) => break found,
                    Err(_) => dodona_env::clock::sleep(Duration::from_millis(100)).await,
                }
            };
            let (_, tried) = self.tally.of(key);
            if !(acknowledged..=tried).contains(&found) {
                return Err(format!(
                    "counter {key} is {found}; {acknowledged} were acknowledged, {tried} tried"
                ));
            }
        }
        Ok(())
    }

    async fn read(&self, key: u8) -> Result<i64, ClusterError> {
        let partition = PartitionSelection::Key(PartitionKey::new(vec![key].into()));
        let command = ReadCommand::everything(COUNTERS, 1, partition, self.node.env.clock.wall_seconds());
        let page = self.node.coordinator.read_page(command, Consistency::Quorum, usize::MAX).await?;
        let mut sum = Sum(0);
        let _ = page.show(0, &mut sum).map_err(ClusterError::from)?;
        Ok(sum.0)
    }
}

struct Sum(i64);

impl RowVisitor for Sum {
    fn partition(&mut self, _: KeyRef<'_>, _: Option<&LiveRow<'_>>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn row(&mut self, _: &[u8], row: &LiveRow<'_>) -> ControlFlow<()> {
        for cell in row.cells().filter(|cell| cell.kind == CellKind::Counter) {
            self.0 += total(cell.value).unwrap_or(i64::MIN / 2);
        }
        ControlFlow::Continue(())
    }
}
