//! Clients that write at some level and read at some level, rows of a partition or of a range, with
//! limits and in pages: on a table of which only some nodes hold each partition.

use crate::invariants::Seen;
use crate::invariants::equal::Holdings;
use crate::invariants::levels::{Promised, Promises};
use crate::invariants::overlap::Sure;
use crate::model::Action;
use crate::trace::Trace;
use crate::world::{all_of, create_alike};
use dodona_cluster::{ClusterError, Node};
use dodona_env::Random;
use dodona_storage::page::PagePosition;
use dodona_storage::reconcile::{Answer, DigestRules, position};
use dodona_types::key::{BELOW, ROW_END};
use dodona_types::mutation::live_cell;
use dodona_types::read_command::{
    ClusteringSelection, PartitionRange, PartitionSelection, RangeBound, ReadCommand, ReadLimits,
};
use dodona_types::row::RowHeader;
use dodona_types::schema::{Options, TableParams};
use dodona_types::{
    ClusteringSlice, ColumnId, Consistency, Deletion, KeyRef, LiveRow, MutationBuilder, PartitionKey,
    RowVisitor, TableId, Token,
};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The table.
const READ: TableId = TableId(Uuid::from_u128(0x4ead));
const PARTITIONS: u8 = 6;
const ROWS: u8 = 6;
const VALUE: ColumnId = ColumnId(2);

/// What all clients know.
pub struct Known {
    promises: Mutex<Promises>,
    holdings: Mutex<Holdings>,
    /// Nodes that have read everything from all replicas.
    read_all: Mutex<usize>,
    judged: Mutex<u64>,
}

impl Known {
    /// Nothing yet, of a table of which each data centre holds so many copies.
    #[must_use]
    pub fn new(copies: Vec<u32>) -> Self {
        let promises = Mutex::new(Promises::new(copies));
        Self { promises, holdings: Mutex::default(), read_all: Mutex::default(), judged: Mutex::default() }
    }

    /// Reads that were judged.
    pub fn judged(&self) -> u64 {
        *self.judged.lock()
    }

    /// A node loses power.
    pub fn power_cut(&self) {
        self.promises.lock().power_cut();
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
    /// The number of its data centre.
    pub center: usize,
    /// Levels at which it writes, and at which it reads.
    pub levels: [&'static [Consistency]; 2],
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
    create_alike(node, "read", READ, replication, |table| {
        // One replica more is asked soon: others are slow, or gone.
        table.params = TableParams { speculative_retry: "25ms".into(), ..TableParams::default() };
    })
    .await
}

fn clustering(row: u8) -> Vec<u8> {
    vec![0x40, row, ROW_END]
}

/// Partitions in the order of the ring.
fn partitions() -> Vec<u8> {
    let mut partitions: Vec<u8> = (0..PARTITIONS).collect();
    partitions.sort_by_key(|partition| Token::of_key(&[*partition]));
    partitions
}

/// A read: of a partition or of all, in which direction, and how much.
#[derive(Clone, Copy, Debug)]
struct Shape {
    partition: Option<u8>,
    reversed: bool,
    limits: ReadLimits,
    page_bytes: usize,
}

impl Shape {
    const ALL: Self =
        Self { partition: None, reversed: false, limits: ReadLimits::NONE, page_bytes: usize::MAX };

    fn rows(&self) -> Vec<u8> {
        if self.reversed { (0..ROWS).rev().collect() } else { (0..ROWS).collect() }
    }
}

/// Rows that were shown, in order: partition and row, timestamp and value.
type Shown = Vec<((u8, u8), (i64, u64))>;

impl Client {
    /// Works until its node is gone or `until` says so.
    ///
    /// # Errors
    /// The promise that was broken.
    pub async fn run(&self, until: impl Fn() -> bool) -> Result<(), String> {
        while !until() {
            if self.random.chance(0.5) {
                self.write().await;
            } else {
                self.read().await?;
            }
            dodona_env::clock::sleep(Duration::from_millis(self.random.below(self.pause))).await;
        }
        Ok(())
    }

    async fn write(&self) {
        let partition = self.random.below(u64::from(PARTITIONS)) as u8;
        let row = self.random.below(u64::from(ROWS)) as u8;
        let timestamp = self.node.timestamps.next() * 16 + self.index as i64;
        let deleted_at_seconds = self.node.env.clock.wall_seconds();
        let deletion = Deletion { timestamp_micros: timestamp, deleted_at_seconds };
        let mut builder = MutationBuilder::new();
        builder.begin(READ, 1, &[partition]);
        let mut action = Action::Delete;
        let rows = match self.random.below(10) {
            0 => {
                builder.partition_deletion(deletion);
                0..ROWS
            }
            1 => {
                let end = row + 1 + self.random.below(3) as u8;
                let (start, bound) = (vec![0x40, row, BELOW], vec![0x40, end, BELOW]);
                builder.range_deletion(&ClusteringSlice { start, end: bound }, deletion);
                row..end.min(ROWS)
            }
            2 | 3 => {
                let header = RowHeader { deletion, ..RowHeader::EMPTY };
                builder.row(&clustering(row), timestamp, &header, |_| {});
                row..row + 1
            }
            _ => {
                let value = self.random.next_u64();
                action = Action::Put(value);
                builder.row(&clustering(row), timestamp, &RowHeader::EMPTY, |out| {
                    out.push_cell(&live_cell(VALUE, timestamp, &value.to_be_bytes()));
                });
                row..row + 1
            }
        };
        for row in rows.clone() {
            self.known.promises.lock().attempt((partition, row), timestamp, action);
        }
        let level = self.level(self.levels[0]);
        let reached = self.sure_of(level);
        let mutation = builder.view().bytes().to_vec();
        if self.node.coordinator.write(&[mutation], level).await.is_ok() {
            for row in rows {
                self.known.promises.lock().promise((partition, row), timestamp, &reached);
            }
        }
    }

    async fn read(&self) -> Result<(), String> {
        let limit = |most: u64| match self.random.below(3) {
            0 => 1 + self.random.below(most),
            _ => u64::MAX,
        };
        let shape = Shape {
            partition: self.random.chance(0.6).then(|| self.random.below(u64::from(PARTITIONS)) as u8),
            reversed: self.random.chance(0.3),
            limits: ReadLimits { rows: limit(6), per_partition: limit(3) },
            page_bytes: if self.random.chance(0.3) { 60 } else { usize::MAX },
        };
        self.read_and_judge(shape, self.level(self.levels[1])).await.map(drop)
    }

    fn level(&self, levels: &[Consistency]) -> Consistency {
        levels[self.random.below(levels.len() as u64) as usize]
    }

    fn sure_of(&self, level: Consistency) -> Sure {
        Sure::of(level, self.center, self.known.promises.lock().copies())
    }

    /// Reads, and judges what is shown. False if the read failed.
    async fn read_and_judge(&self, shape: Shape, level: Consistency) -> Result<bool, String> {
        let asked = self.sure_of(level);
        let promised = self.known.promises.lock().promised(&asked);
        let Ok(shown) = self.rows(shape, level).await else { return Ok(false) };
        self.trace.note(&format!("{} {level} {shape:?} {shown:?}", self.index));
        let mut promises = self.known.promises.lock();
        judge(&promises, &promised, shape, &shown)
            .map_err(|broken| format!("{level} {shape:?}: {broken}"))?;
        // The replicas that were asked have it now.
        for (row, (timestamp, _)) in shown {
            promises.show(&promised, row, timestamp, &asked);
        }
        *self.known.judged.lock() += 1;
        Ok(true)
    }

    async fn rows(&self, shape: Shape, level: Consistency) -> Result<Shown, ClusterError> {
        let now_seconds = self.node.env.clock.wall_seconds();
        let mut queue = VecDeque::from([self.command(shape.partition, shape, now_seconds)]);
        let mut shown = Rows::default();
        while let Some(mut command) = queue.pop_front() {
            command.limits.rows = shape.limits.rows - shown.0.len() as u64;
            if command.limits.rows == 0 {
                break;
            }
            let page = self.node.coordinator.read_page(command.clone(), level, shape.page_bytes).await?;
            if page.show(now_seconds, &mut shown).map_err(ClusterError::from)?.is_break() {
                return Err(ClusterError::Peer("a row that does not decode".into()));
            }
            if let Some(stopped) = page.stopped_at {
                for command in rest(command, stopped, &shown.0, shape).into_iter().rev() {
                    queue.push_front(command);
                }
            }
        }
        Ok(shown.0)
    }

    fn command(&self, partition: Option<u8>, shape: Shape, now_seconds: i64) -> ReadCommand {
        ReadCommand {
            table: READ,
            epoch: 1,
            partitions: match partition {
                Some(partition) => PartitionSelection::Key(PartitionKey::new(vec![partition].into())),
                None => PartitionSelection::Range(PartitionRange::all()),
            },
            clustering: ClusteringSelection::all(),
            reversed: shape.reversed,
            hidden: dodona_types::HiddenCells::NONE,
            now_seconds,
            limits: shape.limits,
        }
    }

    /// After everything is healed: reads everything from all replicas, and compares what they hold.
    ///
    /// # Errors
    /// The promise that was broken.
    pub async fn converge(&self, nodes: usize) -> Result<(), String> {
        // Writes that nobody waits for any more come to their end.
        dodona_env::clock::sleep(Duration::from_secs(2)).await;
        self.read_all().await?;
        all_of(&self.known.read_all, nodes).await;
        self.compare()
    }

    /// Reads everything from all replicas.
    ///
    /// # Errors
    /// The promise that was broken.
    pub async fn read_all(&self) -> Result<(), String> {
        for shape in (0..PARTITIONS).map(|partition| Shape { partition: Some(partition), ..Shape::ALL }) {
            for _ in 0..2 {
                while !self.read_and_judge(shape, Consistency::All).await? {
                    dodona_env::clock::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        while !self.read_and_judge(Shape::ALL, Consistency::One).await? {
            dodona_env::clock::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Compares what this node holds with what others do, once all of them have read everything from all replicas.
    ///
    /// # Errors
    /// They differ.
    pub fn compare(&self) -> Result<(), String> {
        let placement = self.node.placement();
        for partition in 0..PARTITIONS {
            let replicas =
                placement.replicas(READ, Token::of_key(&[partition])).map_err(|e| e.to_string())?;
            if replicas.contains(&placement.local) {
                let holds = self.holds(partition).map_err(|error| error.to_string())?;
                self.known.holdings.lock().judge(partition, self.index, holds)?;
            }
        }
        Ok(())
    }

    /// A digest of what this node holds of a partition, deletions and all.
    fn holds(&self, partition: u8) -> Result<Vec<u8>, ClusterError> {
        let now_seconds = self.node.env.clock.wall_seconds();
        let command = self.command(Some(partition), Shape::ALL, now_seconds);
        let answer = self.node.engine.read_answer(&command, usize::MAX)?;
        let answer = Answer::parse(&answer).map_err(|error| ClusterError::Peer(error.to_string()))?;
        Ok(answer
            .digest(DigestRules::new(now_seconds, 864_000), &dodona_types::HiddenCells::NONE)?
            .finish()
            .to_vec())
    }
}

/// What is to be read behind the place where a page stopped.
fn rest(command: ReadCommand, stopped: PagePosition, shown: &Shown, shape: Shape) -> Vec<ReadCommand> {
    let key = PartitionKey::new(stopped.key.clone().into());
    let mut rest = Vec::new();
    if let (true, Some(at)) = (stopped.in_partition, &stopped.clustering) {
        let given = shown.iter().filter(|((partition, _), _)| stopped.key == [*partition]).count() as u64;
        let per_partition = shape.limits.per_partition - given;
        let clustering = position::behind(&command.clustering, at, command.reversed);
        if per_partition > 0 && !position::is_nothing(&clustering) {
            let partitions = PartitionSelection::Key(key.clone());
            let limits = ReadLimits { per_partition, ..command.limits };
            rest.push(ReadCommand { partitions, clustering, limits, ..command.clone() });
        }
    }
    if let PartitionSelection::Range(range) = &command.partitions {
        let range = PartitionRange { start: RangeBound::Key(key, false), end: range.end.clone() };
        rest.push(ReadCommand { partitions: PartitionSelection::Range(range), ..command });
    }
    rest
}

/// Judges the order of what was shown, and each row up to where the read stopped by its limits.
fn judge(promises: &Promises, promised: &Promised, shape: Shape, shown: &Shown) -> Result<(), String> {
    let wanted = match shape.partition {
        Some(partition) => vec![partition],
        None => partitions(),
    };
    let mut next = shown.iter().peekable();
    let mut left = shape.limits.rows;
    for partition in wanted {
        let mut left_here = shape.limits.per_partition;
        for row in shape.rows() {
            if left == 0 || left_here == 0 {
                break;
            }
            let id = (partition, row);
            let seen: Seen = next.next_if(|(at, _)| *at == id).map(|(_, seen)| *seen);
            promises.judge(promised, id, seen)?;
            if seen.is_some() {
                left -= 1;
                left_here -= 1;
            }
        }
    }
    match next.next() {
        None => Ok(()),
        Some((id, _)) => Err(format!("row {id:?} is out of order, shown twice or beyond a limit")),
    }
}

#[derive(Default)]
struct Rows(Shown, u8);

impl RowVisitor for Rows {
    fn partition(&mut self, key: KeyRef<'_>, _: Option<&LiveRow<'_>>) -> ControlFlow<()> {
        self.1 = key.bytes.first().copied().unwrap_or(u8::MAX);
        ControlFlow::Continue(())
    }

    fn row(&mut self, clustering: &[u8], row: &LiveRow<'_>) -> ControlFlow<()> {
        let cell = row.cells().next();
        let value = cell
            .and_then(|cell| Some((cell.timestamp_micros, u64::from_be_bytes(cell.value.try_into().ok()?))));
        match (clustering.get(1), value) {
            (Some(row), Some(value)) => {
                self.0.push(((self.1, *row), value));
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Break(()),
        }
    }
}
