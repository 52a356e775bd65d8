//! Repairs while links break and machines lose power. Four nodes hold three copies of each partition; a
//! write goes to one replica alone, as if the others had missed it. Once a repair has succeeded, what was
//! written before it began is on all replicas of its ranges, for good; in the end all hold the same. Bits of
//! files flip, of one file at a time: what was repaired has to come back from the other replicas.

use crate::Verdict;
use crate::clock::SimClock;
use crate::disk::SimDisk;
use crate::faults::Counts;
use crate::invariants::equal::Holdings;
use crate::machine::{Machine, elapsed_micros, hosts, machines};
use crate::model::{Action, Attempt, Model, RowId};
use crate::net::{comes_to_its_end, heal, network, step};
use crate::quorum::Rows;
use crate::shape::Shape;
use crate::trace::Trace;
use crate::world::{
    ROWS, TABLE, all_of, builtin, create_table, mutation, rows_of, seen, settings_of, simple,
};
use dodona_cluster::repair::{Options, Parallelism};
use dodona_cluster::{ClusterError, Node};
use dodona_env::Random;
use dodona_storage::{StorageError, SyncMode};
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::token::TokenRange;
use dodona_types::{MutationView, PartitionKey, Token};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];
const PORT: u16 = 7000;
const PARTITIONS: u64 = 24;
/// Milliseconds with faults.
const LASTS: u32 = 8_000;
/// Tombstones outlast the run.
const GRACE_SECONDS: u32 = 86_400;

/// What all hosts share: the simulation has one thread.
#[derive(Default)]
struct Shared {
    rows: Arc<Rows>,
    model: Mutex<Model>,
    trace: Trace,
    healed: Mutex<bool>,
    /// Nodes that have repaired what is theirs after everything was healed.
    repaired: Mutex<usize>,
    done: Mutex<usize>,
    holdings: Mutex<Holdings>,
    /// What is on all replicas: the newest timestamp of each row.
    promised: Mutex<BTreeMap<RowId, i64>>,
    /// The nodes that run.
    running: Mutex<[Weak<Node>; NODES.len()]>,
    /// The node and the file of which a bit has flipped.
    rotten: Mutex<Option<(usize, String)>>,
    faults: Mutex<Counts>,
    repairs: Mutex<u64>,
    judged: Mutex<u64>,
    lives: Mutex<u64>,
}

impl Shared {
    /// Flips a bit of a file, if all files are sound. What only that node held may be lost.
    fn rot(&self, disks: &[SimDisk], random: &Random) {
        let mut rotten = self.rotten.lock();
        if let Some((node, path)) = &*rotten {
            if disks[*node].has(path) {
                return;
            }
            self.trace.note(&format!("{path} of {node} is healed"));
            self.faults.lock().healed += 1;
            *rotten = None;
        }
        let index = random.below(NODES.len() as u64) as usize;
        let Some(node) = self.running.lock()[index].upgrade() else { return };
        let Some((path, ..)) = disks[index].rot_by(".sst", random) else { return };
        self.trace.note(&format!("rot {index} {path}"));
        *rotten = Some((index, path));
        self.faults.lock().rotten += 1;
        let promised = self.promised.lock();
        let is_promised =
            |row, attempt: &Attempt| promised.get(&row).is_some_and(|newest| attempt.timestamp <= *newest);
        self.model.lock().forget(|row| holds(&node, row.0), is_promised);
    }
}

/// Runs a seed.
#[must_use]
pub fn run(seed: u64, mutant: Option<&str>) -> Verdict {
    let random = Random::from_seed(seed).split("repairing");
    let shared = Arc::new(Shared::default());
    let mut sim = network(seed);
    let machines = machines(&random, &NODES, mutant);
    let of_hosts = Arc::clone(&shared);
    let live = move |machine| Host { machine, shared: Arc::clone(&of_hosts) }.run();
    let disks = hosts(&mut sim, &NODES, machines, live);
    let restarts = drive(&mut sim, &random.split("faults"), &disks, &shared);
    let verdict = Verdict {
        trace: shared.trace.hash(),
        acknowledged: shared.model.lock().acknowledged,
        judged: *shared.judged.lock(),
        restarts,
        changes: *shared.repairs.lock(),
        faults: *shared.faults.lock(),
        violation: shared.rows.violation(),
    };
    drop(sim);
    verdict
}

/// Steps the simulation, breaks things and heals them, and demands that all is repaired at the end.
fn drive(sim: &mut turmoil::Sim<'_>, random: &Random, disks: &[SimDisk], shared: &Shared) -> u64 {
    let mut restarts = 0;
    let mut down: Option<usize> = None;
    for tick in 0..LASTS {
        step(sim, &shared.rows);
        if tick % 250 == 249 {
            shared.rot(disks, random);
        }
        if shared.rows.violation().is_some() {
            return restarts;
        }
        if tick < 1_000 || tick % 300 != 299 {
            continue;
        }
        let node = random.below(NODES.len() as u64) as usize;
        match random.below(6) {
            0 => {
                let other = (node + 1 + random.below(3) as usize) % NODES.len();
                shared.trace.note(&format!("partition {node} {other}"));
                sim.partition(NODES[node], NODES[other]);
            }
            1 | 2 => heal(sim, &NODES),
            3 if down.is_none() => {
                shared.trace.note(&format!("crash {node}"));
                disks[node].power_cut();
                sim.crash(NODES[node]);
                down = Some(node);
            }
            _ => {
                if let Some(node) = down.take() {
                    sim.bounce(NODES[node]);
                    restarts += 1;
                }
            }
        }
    }
    if let Some(node) = down {
        sim.bounce(NODES[node]);
        restarts += 1;
    }
    heal(sim, &NODES);
    *shared.healed.lock() = true;
    if !comes_to_its_end(sim, &shared.rows, 120_000, || *shared.done.lock() == NODES.len()) {
        shared.rows.broken("not all was repaired after everything was healed".into());
    }
    restarts
}

#[derive(Clone)]
struct Host {
    machine: Machine,
    shared: Arc<Shared>,
}

impl Host {
    async fn run(self) -> turmoil::Result {
        let random = {
            let mut lives = self.shared.lives.lock();
            *lives += 1;
            self.machine.random.split(&format!("life {}", *lives))
        };
        let node = self.start(&random).await?;
        self.judge_promises(&node);
        while !*self.shared.healed.lock() {
            match random.below(20) {
                0 => self.repair(&node, &random).await,
                1 if random.chance(0.3) => node.engine.flush(TABLE)?,
                1 => self.judge_promises(&node),
                _ => self.write(&node, &random).await?,
            }
            dodona_env::clock::sleep(Duration::from_millis(random.below(40))).await;
        }
        // Each sees to its own ranges; together these are all.
        let primary = Options::primary();
        while node.repairs.repair(TABLE, &primary).await.is_err() {
            dodona_env::clock::sleep(Duration::from_millis(200)).await;
        }
        all_of(&self.shared.repaired, NODES.len()).await;
        self.judge_all(&node).await;
        *self.shared.done.lock() += 1;
        loop {
            dodona_env::clock::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn start(&self, random: &Random) -> Result<Arc<Node>, Box<dyn std::error::Error>> {
        let address = |name: &str| SocketAddr::new(turmoil::lookup(name), PORT);
        let offset = self.machine.random.split("clock").below(500_000) as i64;
        let env = self.machine.next_life(random.split("node"), SimClock::new(offset + elapsed_micros()));
        // What is not synced on purpose is lost with the power for long.
        let sync_mode = SyncMode::Periodic { period: Duration::from_secs(20) };
        let members = Shape::flat(NODES.len(), 3).members(address);
        let settings = settings_of(members, self.machine.index, sync_mode);
        let node = Node::start(env, settings, builtin())?;
        node.refuse_old_data().await?;
        node.spawn_workers();
        self.shared.rows.goes_on(&node);
        while create_table(&node, simple(3), GRACE_SECONDS).await.is_err()
            || node.schema().table("sim", "t").is_none()
        {
            dodona_env::clock::sleep(Duration::from_millis(100)).await;
        }
        self.shared.running.lock()[self.machine.index] = Arc::downgrade(&node);
        Ok(node)
    }

    /// Writes a row to this node alone, if it is one of its replicas.
    async fn write(&self, node: &Arc<Node>, random: &Random) -> Result<(), ClusterError> {
        let row = (random.below(PARTITIONS) as u8, random.below(ROWS) as u8);
        if !holds(node, row.0) {
            return Ok(());
        }
        let timestamp = node.timestamps.next() * 8 + self.machine.index as i64;
        let action = if random.chance(0.2) { Action::Delete } else { Action::Put(random.next_u64()) };
        self.shared.model.lock().attempt(row, timestamp, action);
        let mutation = mutation(row, timestamp, action, node.env.clock.wall_seconds());
        let mutation = MutationView::parse(&mutation).map_err(StorageError::from)?;
        node.engine.apply_with_room(&[mutation]).await?;
        node.engine.sync_log()?;
        let mut model = self.shared.model.lock();
        model.acknowledge(row, timestamp, Duration::ZERO);
        model.promise(Duration::ZERO);
        Ok(())
    }

    /// Repairs something, and judges what a success promises.
    async fn repair(&self, node: &Arc<Node>, random: &Random) {
        let token = || Token(random.next_u64().cast_signed());
        let options = match random.below(4) {
            0 => Options::primary(),
            1 => Options { range: Some(TokenRange { start: token(), end: token() }), ..Options::default() },
            2 => Options { parallelism: Parallelism::Sequential, ..Options::default() },
            _ => Options::default(),
        };
        let options = Options { incremental: random.chance(0.6), ..options };
        let before: BTreeMap<RowId, i64> = {
            let model = self.shared.model.lock();
            let written = all_rows().filter_map(|row| {
                let survives = model.attempts(row).iter().filter(|attempt| attempt.must_survive);
                survives.map(|attempt| attempt.timestamp).max().map(|timestamp| (row, timestamp))
            });
            written.filter(|(row, _)| is_meant(node, row.0, &options)).collect()
        };
        let repaired = node.repairs.repair(TABLE, &options).await;
        self.shared.trace.note(&format!("{} repairs: {repaired:?}", self.machine.index));
        if repaired.is_err() {
            return;
        }
        *self.shared.repairs.lock() += 1;
        {
            let (mut promised, model) = (self.shared.promised.lock(), self.shared.model.lock());
            let survives = |row, timestamp| {
                let mut attempts = model.attempts(row).iter();
                attempts.any(|attempt| attempt.must_survive && attempt.timestamp == timestamp)
            };
            // A bit may have flipped meanwhile.
            for (row, timestamp) in before.into_iter().filter(|(row, timestamp)| survives(*row, *timestamp)) {
                let newest = promised.entry(row).or_insert(timestamp);
                *newest = timestamp.max(*newest);
            }
        }
        let running: Vec<Arc<Node>> = self.shared.running.lock().iter().filter_map(Weak::upgrade).collect();
        running.iter().for_each(|node| self.judge_promises(node));
    }

    /// What is promised to be on all replicas is on this one.
    fn judge_promises(&self, node: &Arc<Node>) {
        let promised = self.shared.promised.lock().clone();
        for (row, promise) in promised.into_iter().filter(|(row, _)| holds(node, row.0)) {
            *self.shared.judged.lock() += 1;
            let rows = match local_rows(node, row.0) {
                Ok(rows) => rows,
                Err(error) if self.is_rotten(&error) => continue,
                Err(error) => return self.shared.rows.broken(format!("a replica cannot read: {error}")),
            };
            let shown = seen(&rows, row);
            let model = self.shared.model.lock();
            let is_deleted = || {
                let mut attempts = model.attempts(row).iter();
                attempts.any(|attempt| attempt.action == Action::Delete && attempt.timestamp >= promise)
            };
            let broken = match shown {
                Some((timestamp, _)) => timestamp < promise,
                None => !is_deleted(),
            };
            if broken {
                let host = node.info.identity.host;
                self.shared.rows.broken(format!(
                    "{host} shows {shown:?} for row {row:?}, of which {promise} was repaired"
                ));
            }
        }
    }

    /// True if an error is of the file of which a bit has flipped: it has to be healed yet.
    fn is_rotten(&self, error: &ClusterError) -> bool {
        let rotten = self.shared.rotten.lock();
        let file = rotten.as_ref().map(|(_, path)| path);
        matches!(error, ClusterError::Storage(StorageError::Corrupt { path, .. }) if Some(path) == file)
    }

    /// All replicas hold the same in the end: the newest of what was written.
    async fn judge_all(&self, node: &Arc<Node>) {
        self.judge_promises(node);
        for partition in (0..PARTITIONS as u8).filter(|partition| holds(node, *partition)) {
            let mut local = local_rows(node, partition);
            while local.as_ref().is_err_and(|error| self.is_rotten(error)) {
                dodona_env::clock::sleep(Duration::from_millis(200)).await;
                local = local_rows(node, partition);
            }
            let rows = match local {
                Ok(rows) => rows,
                Err(error) => return self.shared.rows.broken(format!("a replica cannot read: {error}")),
            };
            let model = self.shared.model.lock();
            for row in (0..ROWS as u8).map(|row| (partition, row)) {
                *self.shared.judged.lock() += 1;
                self.shared.rows.judge(crate::invariants::judge(&model, row, seen(&rows, row)));
            }
            let holds = format!("{rows:?}").into_bytes();
            let judged = self.shared.holdings.lock().judge(partition, self.machine.index, holds);
            self.shared.rows.judge(judged);
        }
    }
}

fn all_rows() -> impl Iterator<Item = RowId> {
    (0..PARTITIONS as u8).flat_map(|partition| (0..ROWS as u8).map(move |row| (partition, row)))
}

fn replicas(node: &Node, partition: u8) -> Vec<usize> {
    node.placement().replicas(TABLE, Token::of_key(&[partition])).unwrap_or_default()
}

fn holds(node: &Node, partition: u8) -> bool {
    replicas(node, partition).contains(&node.placement().local)
}

/// True if a repair with these options is for this partition.
fn is_meant(node: &Node, partition: u8, options: &Options) -> bool {
    let local = node.placement().local;
    let is_ours = if options.primary {
        replicas(node, partition).first() == Some(&local)
    } else {
        holds(node, partition)
    };
    is_ours && options.range.is_none_or(|range| range.contains(Token::of_key(&[partition])))
}

/// The rows of a partition that a node itself holds.
fn local_rows(node: &Node, partition: u8) -> Result<BTreeMap<u8, (i64, u64)>, ClusterError> {
    let selection = PartitionSelection::Key(PartitionKey::new(vec![partition].into()));
    let command = ReadCommand::everything(TABLE, 1, selection, node.env.clock.wall_seconds());
    rows_of(&node.engine.read_page(&command, usize::MAX)?)
}
