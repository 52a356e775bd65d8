//! Clients of conditional writes and SERIAL reads, and the history of what they were told.

use crate::invariants::linearizable::{self, Event, History, Operation, Outcome};
use crate::trace::Trace;
use crate::world::{TABLE, mutation};
use dodona_cluster::coordinator::conditional::Decision;
use dodona_cluster::{ClusterError, Node};
use dodona_env::Random;
use dodona_storage::Page;
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::{Consistency, PartitionKey};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// The partitions that conditional writes are on; others keep away from them.
const KEYS: std::ops::Range<u8> = 100..103;
/// The row of each.
const ROW: u8 = 0;

/// What all clients were told.
#[derive(Default)]
pub struct Told {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    now: u64,
    histories: [History; KEYS.end as usize - KEYS.start as usize],
    /// Operations that have begun: key, begin and operation as long as nothing is known.
    begun: Vec<Option<(u8, u64, Operation)>>,
    applied: u64,
}

impl Told {
    fn begin(&self, key: u8, operation: Operation) -> usize {
        let mut inner = self.inner.lock();
        inner.now += 1;
        let begin = inner.now;
        inner.begun.push(Some((key, begin, operation)));
        inner.begun.len() - 1
    }

    fn end(&self, index: usize, operation: Option<Operation>) {
        let mut inner = self.inner.lock();
        inner.now += 1;
        let end = inner.now;
        let Some((key, begin, begun)) = inner.begun[index].take() else { return };
        let event = match operation {
            Some(operation) => Event { begin, end: Some(end), operation },
            None => Event { begin, end: None, operation: begun },
        };
        inner.applied +=
            u64::from(matches!(event.operation, Operation::Swap { outcome: Outcome::Applied, .. }));
        inner.histories[usize::from(key - KEYS.start)].push(event);
    }

    /// Operations that were noted, and how many writes were acknowledged.
    pub fn counts(&self) -> (u64, u64) {
        let inner = self.inner.lock();
        (inner.histories.iter().map(|history| history.len() as u64).sum(), inner.applied)
    }

    /// Judges each key's history. Operations whose client went down with its node count as ones
    /// of which nothing is known.
    ///
    /// # Errors
    /// A history that no order explains.
    pub fn judge(&self) -> Result<(), String> {
        let mut inner = self.inner.lock();
        for (key, begin, operation) in std::mem::take(&mut inner.begun).into_iter().flatten() {
            if matches!(operation, Operation::Swap { .. }) {
                let event = Event { begin, end: None, operation };
                inner.histories[usize::from(key - KEYS.start)].push(event);
            }
        }
        for (key, history) in KEYS.zip(&inner.histories) {
            linearizable::judge(history)
                .map_err(|error| format!("conditional writes of key {key}: {error}"))?;
        }
        Ok(())
    }
}

/// A client on a node: one operation after another.
pub struct Client {
    /// The node that it asks.
    pub node: Arc<Node>,
    /// Its choices.
    pub random: Random,
    /// What it was told.
    pub told: Arc<Told>,
    /// What it saw goes here.
    pub trace: Trace,
}

impl Client {
    /// Works until its node is gone or `until` says so.
    pub async fn run(self, until: impl Fn() -> bool) {
        let mut known = [None; KEYS.end as usize - KEYS.start as usize];
        while !until() {
            let index = self.random.below(known.len() as u64) as usize;
            let key = KEYS.start + index as u8;
            if self.random.chance(0.3) {
                if let Some(value) = self.read(key).await {
                    known[index] = value;
                }
            } else {
                // Mostly what is there, so that most of them apply.
                let expected = if self.random.chance(0.9) { known[index] } else { None };
                known[index] = self.swap(key, expected).await;
            }
            dodona_env::clock::sleep(Duration::from_millis(self.random.below(40))).await;
        }
    }

    async fn swap(&self, key: u8, expected: Option<u64>) -> Option<u64> {
        let new = self.random.next_u64();
        let operation = |outcome| Operation::Swap { expected, new, outcome };
        let index = self.told.begin(key, operation(Outcome::Unknown));
        let now_seconds = self.node.env.clock.wall_seconds();
        let decide = |page: &Page, timestamp| {
            let write = || mutation((key, ROW), timestamp, crate::model::Action::Put(new), now_seconds);
            let seen = value_of(page)?;
            Ok::<_, ClusterError>(if seen == expected { Decision::Apply(write()) } else { Decision::Leave })
        };
        let coordinator = &self.node.coordinator;
        // Whoever comes next finds what was chosen, however few have it.
        let levels = [Consistency::Any, Consistency::One, Consistency::Quorum, Consistency::All];
        let commit = levels[self.random.below(4) as usize];
        let done =
            coordinator.conditional_write(&self.command(key), Consistency::Serial, commit, decide).await;
        self.trace.note(&format!("swap {key} {expected:?} {new} {done:?}"));
        match done {
            Ok((_, true)) => {
                self.told.end(index, Some(operation(Outcome::Applied)));
                Some(new)
            }
            Ok((page, false)) => {
                let seen = value_of(&page).unwrap_or_default();
                self.told.end(index, Some(operation(Outcome::Refused(seen))));
                seen
            }
            Err(_) => {
                self.told.end(index, None);
                expected
            }
        }
    }

    /// The value of a key; none if it cannot be read.
    async fn read(&self, key: u8) -> Option<Option<u64>> {
        let index = self.told.begin(key, Operation::Read(None));
        let page =
            self.node.coordinator.serial_read(self.command(key), Consistency::Serial, usize::MAX).await;
        let value = page.and_then(|page| value_of(&page)).ok();
        self.trace.note(&format!("read {key} {value:?}"));
        match value {
            Some(value) => self.told.end(index, Some(Operation::Read(value))),
            // A read that was told nothing says nothing.
            None => drop(self.told.inner.lock().begun[index].take()),
        }
        value
    }

    /// Reads every key until each can be read.
    pub async fn read_all(&self) {
        for key in KEYS {
            while self.read(key).await.is_none() {
                dodona_env::clock::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    fn command(&self, key: u8) -> ReadCommand {
        let partition = PartitionSelection::Key(PartitionKey::new(vec![key].into()));
        ReadCommand::everything(TABLE, 1, partition, self.node.env.clock.wall_seconds())
    }
}

fn value_of(page: &Page) -> Result<Option<u64>, ClusterError> {
    let rows = crate::world::rows_of(page)?;
    Ok(rows.get(&ROW).map(|(_, value)| *value))
}
