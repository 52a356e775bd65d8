//! Clients that write batches, logged ones and others, and batches that delete what others wrote; and
//! single rows at the lowest levels, which nobody reads before the end, so that hints alone bring them
//! to replicas that missed them.

use crate::invariants::atomic::Batches;
use crate::invariants::delivered::Deliveries;
use crate::trace::Trace;
use crate::world::{all_of, create_alike};
use dodona_cluster::{ClusterError, Node};
use dodona_env::Random;
use dodona_storage::Page;
use dodona_types::comparable::encode_component;
use dodona_types::key::ROW_END;
use dodona_types::mutation::live_cell;
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::row::RowHeader;
use dodona_types::schema::{Options, Table, TableParams};
use dodona_types::{
    ColumnId, Consistency, CqlType, Deletion, KeyRef, LiveRow, MutationBuilder, PartitionKey, RowVisitor,
    TableId, Token,
};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The table.
const BATCHED: TableId = TableId(Uuid::from_u128(0xba7c4));
/// Partitions of batches.
const PARTITIONS: Range<u8> = 0..8;
/// Partitions that nobody reads before the end.
const UNREAD: Range<u8> = 8..12;
const VALUE: ColumnId = ColumnId(2);
/// A batch is due by then, whatever the clock of its coordinator said.
const UNTIL_DUE: Duration = Duration::from_secs(4);

/// What all clients know.
#[derive(Default)]
pub struct Known {
    batches: Mutex<Batches>,
    deliveries: Mutex<Deliveries>,
    /// The number of the last batch or row.
    last: Mutex<u64>,
    judged: Mutex<u64>,
    /// Nodes that have no hints left, and those whose batches are written.
    delivered: Mutex<usize>,
    replayed: Mutex<usize>,
}

impl Known {
    /// A node loses power, or its disk is full.
    pub fn excuse(&self, node: usize, now: Duration) {
        self.deliveries.lock().excuse(node, now);
    }

    /// A disk is lost, and the batches that it kept.
    pub fn lose_disk(&self) {
        self.batches.lock().lose_disk();
    }

    /// Batches that were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.batches.lock().acknowledged
    }

    /// Batches and rows that were judged.
    pub fn judged(&self) -> u64 {
        *self.judged.lock()
    }

    fn number(&self) -> u64 {
        let mut last = self.last.lock();
        *last += 1;
        *last
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
    /// Levels at which it writes.
    pub levels: &'static [Consistency],
    /// It writes rows that hints alone bring to replicas as well: no replica comes or goes.
    pub relies_on_hints: bool,
    /// Milliseconds between two of its steps, at most.
    pub pause: u64,
    /// What all know.
    pub known: Arc<Known>,
    /// What it saw goes here.
    pub trace: Trace,
}

/// Creates keyspace and table on a node, unless they are there.
///
/// # Errors
/// The schema could not be changed.
pub async fn create_table(node: &Node, replication: Options) -> Result<(), ClusterError> {
    let change = |table: &mut Table| {
        table.columns[1].cql_type = CqlType::Bigint;
        table.params = TableParams::default();
    };
    create_alike(node, "batched", BATCHED, replication, change).await
}

fn clustering(number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    // Eight bytes are a valid bigint.
    let encoded = encode_component(&CqlType::Bigint, false, Some(&number.to_be_bytes()), &mut out);
    debug_assert!(encoded.is_ok());
    out.push(ROW_END);
    out
}

impl Client {
    /// Works until its node is gone or `until` says so.
    ///
    /// # Errors
    /// The promise that was broken.
    pub async fn run(&self, until: impl Fn() -> bool) -> Result<(), String> {
        // Logged batches of this client that stand.
        let mut standing = Vec::new();
        while !until() {
            match self.random.below(10) {
                0..=3 => standing.extend(self.write(true).await),
                4 => drop(self.write(false).await),
                5 => self.delete(&mut standing).await,
                6 | 7 if self.relies_on_hints => self.write_one().await,
                _ => self.read().await?,
            }
            dodona_env::clock::sleep(Duration::from_millis(self.random.below(self.pause))).await;
        }
        Ok(())
    }

    /// Makes batches again that are due, sooner than the node itself looks for them.
    pub async fn replay(&self, until: impl Fn() -> bool) {
        while !until() {
            dodona_env::clock::sleep(Duration::from_millis(300 + self.random.below(2_000))).await;
            // What fails is tried again.
            let _ = self.node.coordinator.replay_batches().await;
        }
    }

    fn level(&self) -> Consistency {
        self.levels[self.random.below(self.levels.len() as u64) as usize]
    }

    /// A later one of the same client is greater.
    fn timestamp(&self) -> i64 {
        self.node.timestamps.next() * 16 + self.index as i64
    }

    fn row(&self, partition: u8, number: u64, timestamp: i64) -> Vec<u8> {
        let mut builder = MutationBuilder::new();
        builder.begin(BATCHED, 1, &[partition]);
        builder.row(&clustering(number), timestamp, &RowHeader::EMPTY, |row| {
            row.push_cell(&live_cell(VALUE, timestamp, &number.to_be_bytes()));
        });
        builder.view().bytes().to_vec()
    }

    fn deletion(&self, partition: u8, number: u64, timestamp_micros: i64) -> Vec<u8> {
        let deleted_at_seconds = self.node.env.clock.wall_seconds();
        let deletion = Deletion { timestamp_micros, deleted_at_seconds };
        let mut builder = MutationBuilder::new();
        builder.begin(BATCHED, 1, &[partition]);
        let header = RowHeader { deletion, ..RowHeader::EMPTY };
        builder.row(&clustering(number), timestamp_micros, &header, |_| {});
        builder.view().bytes().to_vec()
    }

    /// Writes a row in each of some partitions. Returns the batch's number if it is logged and was
    /// acknowledged.
    async fn write(&self, is_logged: bool) -> Option<u64> {
        let (number, timestamp, level) = (self.known.number(), self.timestamp(), self.level());
        let count = 2 + self.random.below(3);
        let partitions: BTreeSet<u8> = (0..count)
            .map(|_| self.random.below(u64::from(PARTITIONS.end - PARTITIONS.start)) as u8)
            .collect();
        let mutations: Vec<Vec<u8>> =
            partitions.iter().map(|partition| self.row(*partition, number, timestamp)).collect();
        // A batch of one partition is a write as any other.
        let is_logged = is_logged && mutations.len() > 1;
        self.known.batches.lock().begin(number, partitions, is_logged.then(|| self.keepers()));
        let coordinator = &self.node.coordinator;
        let written = if is_logged {
            coordinator.write_logged(&mutations, level).await
        } else {
            coordinator.write(&mutations, level).await
        };
        if matches!(written, Err(ClusterError::Unavailable { .. })) {
            self.known.batches.lock().refuse(number);
        }
        written.ok()?;
        // Of others a hint may have been all there was.
        if is_logged || level != Consistency::Any {
            self.known.batches.lock().acknowledge(number, is_promised_at(level));
        }
        is_logged.then_some(number)
    }

    /// Deletes the rows of a batch by a logged batch.
    async fn delete(&self, standing: &mut Vec<u64>) {
        let count = standing.len() as u64;
        if count == 0 {
            return;
        }
        let number = standing.swap_remove(self.random.below(count) as usize);
        let partitions = self.known.batches.lock().begin_deletion(number, self.keepers());
        let timestamp = self.timestamp();
        let mutations: Vec<Vec<u8>> =
            partitions.iter().map(|partition| self.deletion(*partition, number, timestamp)).collect();
        let level = self.level();
        if self.node.coordinator.write_logged(&mutations, level).await.is_ok() {
            self.known.batches.lock().acknowledge_deletion(number, is_promised_at(level));
        }
    }

    /// How many disks keep a logged batch that is begun now, at least.
    fn keepers(&self) -> u64 {
        self.node.coordinator.asked_to_keep().count.max(1) as u64
    }

    /// Writes a row that nobody reads, for which one replica or a hint is enough.
    async fn write_one(&self) {
        let (number, timestamp) = (self.known.number(), self.timestamp());
        let partition = UNREAD.start + self.random.below(u64::from(UNREAD.end - UNREAD.start)) as u8;
        let begun = turmoil::sim_elapsed().unwrap_or_default();
        self.known.deliveries.lock().begin(number, partition, self.index, begun);
        let level = [Consistency::Any, Consistency::One][self.random.below(2) as usize];
        let row = self.row(partition, number, timestamp);
        if self.node.coordinator.write(&[row], level).await.is_ok() {
            self.known.deliveries.lock().acknowledge(number, partition, self.index);
        }
    }

    async fn read(&self) -> Result<(), String> {
        let partition = self.random.below(u64::from(PARTITIONS.end - PARTITIONS.start)) as u8;
        let promised = self.known.batches.lock().promised(partition);
        let Ok(shown) = self.rows(partition, Consistency::Quorum).await else { return Ok(()) };
        self.trace.note(&format!("{} batches {partition} {shown:?}", self.index));
        *self.known.judged.lock() += 1;
        self.known.batches.lock().judge_read(partition, &promised, &shown)
    }

    fn command(&self, partition: u8) -> ReadCommand {
        let partition = PartitionSelection::Key(PartitionKey::new(vec![partition].into()));
        ReadCommand::everything(BATCHED, 1, partition, self.node.env.clock.wall_seconds())
    }

    async fn rows(&self, partition: u8, level: Consistency) -> Result<BTreeSet<u64>, ClusterError> {
        let page = self.node.coordinator.read_page(self.command(partition), level, usize::MAX).await?;
        numbers_of(&page)
    }

    /// After everything is healed: once no hints wait, each replica holds what is its; once no batches
    /// wait, each batch is there as a whole or not at all.
    ///
    /// # Errors
    /// The promise that was broken.
    pub async fn converge(&self, nodes: usize) -> Result<(), String> {
        // Writes that nobody waits for any more come to their end, and batches are due.
        dodona_env::clock::sleep(UNTIL_DUE).await;
        while !self.node.hints.pending().is_empty() {
            dodona_env::clock::sleep(Duration::from_millis(50)).await;
        }
        all_of(&self.known.delivered, nodes).await;
        self.judge_delivered()?;
        self.replay_due().await;
        all_of(&self.known.replayed, nodes).await;
        self.judge_all().await
    }

    /// Judges what this node holds of the rows that hints alone bring, once none wait.
    fn judge_delivered(&self) -> Result<(), String> {
        let placement = self.node.placement();
        for partition in UNREAD {
            let token = Token::of_key(&[partition]);
            let replicas = placement.replicas(BATCHED, token).map_err(|error| error.to_string())?;
            if replicas.contains(&placement.local) {
                let page = self.node.engine.read_page(&self.command(partition), usize::MAX);
                let holds = page.map_err(ClusterError::from).and_then(|page| numbers_of(&page));
                let holds = holds.map_err(|error| error.to_string())?;
                *self.known.judged.lock() +=
                    self.known.deliveries.lock().judge(partition, self.index, &holds)?;
            }
        }
        Ok(())
    }

    /// Makes the writes of all batches again that this node keeps, once they are due.
    pub async fn replay_all(&self) {
        dodona_env::clock::sleep(UNTIL_DUE).await;
        self.replay_due().await;
    }

    async fn replay_due(&self) {
        while self.node.coordinator.replay_batches().await.is_err() {
            dodona_env::clock::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Judges each batch, once no node keeps any more.
    ///
    /// # Errors
    /// The promise that was broken.
    pub async fn judge_all(&self) -> Result<(), String> {
        let mut shown = BTreeMap::new();
        for partition in PARTITIONS {
            let rows = loop {
                match self.rows(partition, Consistency::All).await {
                    Ok(rows) => break rows,
                    Err(_) => dodona_env::clock::sleep(Duration::from_millis(100)).await,
                }
            };
            self.known.batches.lock().judge_read(partition, &BTreeSet::new(), &rows)?;
            shown.insert(partition, rows);
        }
        *self.known.judged.lock() += self.known.batches.lock().judge(&shown)?;
        Ok(())
    }
}

/// True if every read at QUORUM sees what was acknowledged at a level.
const fn is_promised_at(level: Consistency) -> bool {
    matches!(level, Consistency::Quorum | Consistency::EachQuorum | Consistency::All)
}

/// The numbers of a page's rows.
fn numbers_of(page: &Page) -> Result<BTreeSet<u64>, ClusterError> {
    let mut numbers = Numbers::default();
    if page.show(0, &mut numbers).map_err(ClusterError::from)?.is_break() {
        return Err(ClusterError::Peer("a row that does not decode".into()));
    }
    Ok(numbers.0)
}

#[derive(Default)]
struct Numbers(BTreeSet<u64>);

impl RowVisitor for Numbers {
    fn partition(&mut self, _: KeyRef<'_>, _: Option<&LiveRow<'_>>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn row(&mut self, key: &[u8], row: &LiveRow<'_>) -> ControlFlow<()> {
        let cell = row.cells().next();
        let number = cell.and_then(|cell| Some(u64::from_be_bytes(cell.value.try_into().ok()?)));
        match number.filter(|number| clustering(*number) == key) {
            Some(number) => {
                self.0.insert(number);
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        }
    }
}
