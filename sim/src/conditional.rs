//! Clients of conditional writes and SERIAL reads, and the history of what they were told.

use crate::invariants::delivered::Deliveries;
use crate::invariants::levels::Promises;
use crate::invariants::linearizable::{self, Event, History, Operation, Outcome};
use crate::invariants::overlap::Sure;
use crate::model::Action;
use crate::trace::Trace;
use crate::world::{TABLE, mutation};
use dodona_cluster::coordinator::conditional::Decision;
use dodona_cluster::{ClusterError, Node};
use dodona_env::Random;
use dodona_storage::Page;
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::{Consistency, PartitionKey, Token};
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// The partitions that conditional writes are on; others keep away from them.
const KEYS: Range<u8> = 100..106;
/// The keys of which all data centres agree; behind them each has one that it alone agrees on.
pub const EVERYWHERE: Range<u8> = 100..103;
/// The row of each.
const ROW: u8 = 0;

/// What all clients were told.
pub struct Told {
    inner: Mutex<Inner>,
    /// What plain reads must see of what was committed.
    promises: Mutex<Promises>,
    /// What every replica must hold once no hints wait, by its timestamp.
    deliveries: Mutex<Deliveries>,
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
    /// Nothing yet, of a table of which each data centre holds so many copies.
    #[must_use]
    pub fn new(copies: Vec<u32>) -> Self {
        let promises = Mutex::new(Promises::new(copies));
        Self { inner: Mutex::default(), promises, deliveries: Mutex::default() }
    }

    /// A node loses power.
    pub fn power_cut(&self) {
        self.promises.lock().power_cut();
    }

    /// A node loses power, or its disk is full.
    pub fn excuse(&self, node: usize, now: Duration) {
        self.deliveries.lock().excuse(node, now);
    }

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
    /// The node's number.
    pub index: usize,
    /// The keys that it works on.
    pub keys: Range<u8>,
    /// SERIAL, or LOCAL_SERIAL for keys that one data centre alone agrees on.
    pub serial: Consistency,
    /// The number of its data centre.
    pub center: usize,
    /// Levels at which it commits, and at which it reads without agreement, if it does.
    pub levels: [&'static [Consistency]; 2],
    /// What it was told.
    pub told: Arc<Told>,
    /// What it saw goes here.
    pub trace: Trace,
}

impl Client {
    /// Works until its node is gone or `until` says so.
    ///
    /// # Errors
    /// The promise that was broken: to plain reads. What conditional ones were told is judged at the
    /// end.
    pub async fn run(self, until: impl Fn() -> bool) -> Result<(), String> {
        let mut known = vec![None; self.keys.len()];
        while !until() {
            let index = self.random.below(known.len() as u64) as usize;
            let key = self.keys.start + index as u8;
            if !self.levels[1].is_empty() && self.random.chance(0.2) {
                self.read_plainly(key).await?;
            } else if self.random.chance(0.3) {
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
        Ok(())
    }

    fn level(&self, levels: &[Consistency]) -> Consistency {
        levels[self.random.below(levels.len() as u64) as usize]
    }

    fn sure_of(&self, level: Consistency) -> Sure {
        Sure::of(level, self.center, self.told.promises.lock().copies())
    }

    /// A read that does not agree with anyone sees what was committed at a level that reaches it.
    async fn read_plainly(&self, key: u8) -> Result<(), String> {
        let level = self.level(self.levels[1]);
        let asked = self.sure_of(level);
        let promised = self.told.promises.lock().promised(&asked);
        let page = self.node.coordinator.read_page(self.command(key), level, usize::MAX).await;
        let Ok(rows) = page.and_then(|page| crate::world::rows_of(&page)) else { return Ok(()) };
        let seen = rows.get(&ROW).copied();
        self.trace.note(&format!("plain read {key} {seen:?}"));
        let judged = self.told.promises.lock().judge(&promised, (key, ROW), seen);
        judged.map_err(|broken| format!("a read of conditional writes at {level}: {broken}"))
    }

    async fn swap(&self, key: u8, expected: Option<u64>) -> Option<u64> {
        let new = self.random.next_u64();
        let operation = |outcome| Operation::Swap { expected, new, outcome };
        let index = self.told.begin(key, operation(Outcome::Unknown));
        let now_seconds = self.node.env.clock.wall_seconds();
        let mut first = None;
        let begun = turmoil::sim_elapsed().unwrap_or_default();
        let decide = |page: &Page, timestamp: i64| {
            if value_of(page)? != expected {
                return Ok::<_, ClusterError>(Decision::Leave);
            }
            if first.is_none() {
                first = Some(timestamp);
                self.told.deliveries.lock().begin(timestamp.cast_unsigned(), key, self.index, begun);
            }
            self.told.promises.lock().attempt((key, ROW), timestamp, Action::Put(new));
            Ok(Decision::Apply(mutation((key, ROW), timestamp, Action::Put(new), now_seconds)))
        };
        let coordinator = &self.node.coordinator;
        // Whoever comes next finds what was chosen, however few have it.
        let commit = self.level(self.levels[0]);
        let done = coordinator.conditional_write(&self.command(key), self.serial, commit, decide).await;
        // The write that was chosen is one of those that were tried, at least as new as the first.
        if let (Ok((_, true)), Some(first)) = (&done, first) {
            let reached = self.sure_of(commit);
            self.told.promises.lock().promise((key, ROW), first, &reached);
            self.told.deliveries.lock().acknowledge(first.cast_unsigned(), key, self.index);
        }
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
        let page = self.node.coordinator.serial_read(self.command(key), self.serial, usize::MAX).await;
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
        for key in self.keys.clone() {
            while self.read(key).await.is_none() {
                dodona_env::clock::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// Looks at the hints of this node: those that wait for longer than the table keeps tombstones are not delivered.
    pub async fn watch_hints(&self, gc_grace: Duration) {
        // A hint is as old as the clock's second says.
        let grace = gc_grace.saturating_sub(Duration::from_secs(1));
        loop {
            let oldest = self.node.hints.pending().into_values().map(|pending| pending.oldest_seconds).min();
            if let Some(oldest) = oldest {
                let waits = self.node.env.clock.wall_seconds().saturating_sub(oldest).saturating_add(1);
                let waits = Duration::from_secs(waits.try_into().unwrap_or_default());
                let now = turmoil::sim_elapsed().unwrap_or_default();
                if waits >= grace {
                    self.told.deliveries.lock().excuse_expired(self.index, now, waits, grace);
                }
            }
            dodona_env::clock::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Judges what this node holds, once no hints wait: whatever was committed, by whichever data centre.
    ///
    /// # Errors
    /// A write that was acknowledged and never came.
    pub fn judge_delivered(&self) -> Result<(), String> {
        let placement = self.node.placement();
        for key in KEYS {
            let replicas = placement.replicas(TABLE, Token::of_key(&[key])).map_err(|e| e.to_string())?;
            if replicas.contains(&self.index) {
                let page = self.node.engine.read_page(&self.command(key), usize::MAX);
                let rows = page.map_err(ClusterError::from).and_then(|page| crate::world::rows_of(&page));
                let row = rows.map_err(|error| error.to_string())?.get(&ROW).copied();
                let newest = row.map(|(timestamp, _)| timestamp.cast_unsigned());
                self.told.deliveries.lock().judge_newest(key, self.index, newest)?;
            }
        }
        Ok(())
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
