//! A static ring of three nodes that exchange real requests, while links break and nodes crash:
//! what was written at QUORUM is seen by every later read at QUORUM.

use crate::Verdict;
use crate::batching;
use crate::clock::SimClock;
use crate::conditional::{self, Client, Told};
use crate::counting::{self, Tally};
use crate::disk::SimDisk;
use crate::faults::{Counts, slow_down};
use crate::machine::{Machine, elapsed_micros, hosts, machines};
use crate::net::{comes_to_its_end, heal, network, step};
use crate::quorum::{self, Rows};
use crate::reading;
use crate::shape::Shape;
use crate::trace::Trace;
use crate::truncating;
use crate::world::{SHORT_GRACE, builtin, create_table, settings_of, simple};
use dodona_cluster::Node;
use dodona_env::Random;
use dodona_storage::SyncMode;
use dodona_types::Consistency;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const NODES: [&str; 3] = ["n1", "n2", "n3"];
const PORT: u16 = 7000;

/// What all hosts share: the simulation has one thread.
struct Shared {
    rows: Arc<Rows>,
    trace: Trace,
    /// No faults any more: everything must be reachable and right.
    healed: Mutex<bool>,
    converged: Mutex<usize>,
    told: Arc<Told>,
    tally: Arc<Tally>,
    read: Arc<reading::Known>,
    batched: Arc<batching::Known>,
    emptied: Arc<truncating::Known>,
    /// Starts of nodes.
    lives: Mutex<u64>,
}

impl Shared {
    fn new() -> Self {
        Self {
            rows: Arc::default(),
            trace: Trace::default(),
            healed: Mutex::default(),
            converged: Mutex::default(),
            told: Arc::new(Told::new(vec![3])),
            tally: Arc::default(),
            read: Arc::new(reading::Known::new(vec![2])),
            batched: Arc::default(),
            emptied: Arc::default(),
            lives: Mutex::default(),
        }
    }
}

/// Runs a seed.
#[must_use]
pub fn run(seed: u64, mutant: Option<&str>) -> Verdict {
    let random = Random::from_seed(seed);
    let shared = Arc::new(Shared::new());
    let mut sim = network(seed);
    let machines = machines(&random, &NODES, mutant);
    let of_hosts = Arc::clone(&shared);
    let live = move |machine| Host { machine, shared: Arc::clone(&of_hosts) }.run();
    let disks = hosts(&mut sim, &NODES, machines, live);
    let faults = random.split("faults");
    let faults = drive(&mut sim, &faults, &disks, &shared);
    let violation = shared.rows.violation().or_else(|| shared.told.judge().err());
    let (operations, applied) = shared.told.counts();
    let verdict = Verdict {
        trace: shared.trace.hash(),
        acknowledged: shared.rows.acknowledged()
            + applied
            + shared.tally.acknowledged()
            + shared.batched.acknowledged()
            + shared.emptied.acknowledged(),
        judged: shared.rows.judged() + operations + shared.batched.judged() + shared.emptied.judged(),
        restarts: faults.restarts,
        changes: 0,
        faults: Counts { truncations: shared.emptied.truncations(), ..faults },
        violation,
    };
    drop(sim);
    verdict
}

/// Steps the simulation, breaks things and heals them, and demands convergence at the end.
fn drive(sim: &mut turmoil::Sim<'_>, random: &Random, disks: &[SimDisk], shared: &Shared) -> Counts {
    let mut counts = Counts::default();
    let mut down: Vec<usize> = Vec::new();
    for tick in 0..6_000u32 {
        step(sim, &shared.rows);
        if shared.rows.violation().is_some() {
            return counts;
        }
        if tick % 250 != 249 {
            continue;
        }
        match random.below(6) {
            0 => {
                let (a, b) = (random.below(3) as usize, random.below(3) as usize);
                if a != b {
                    shared.trace.note(&format!("partition {a} {b}"));
                    counts.partitions += 1;
                    sim.partition(NODES[a], NODES[b]);
                }
            }
            1 => heal(sim, &NODES),
            2 if down.is_empty() => {
                // Mostly one, at times several at the same moment.
                let count = [1, 1, 2, 3][random.below(4) as usize];
                let first = random.below(3) as usize;
                shared.read.power_cut();
                shared.told.power_cut();
                down = (0..count).map(|next| (first + next) % 3).collect();
                shared.trace.note(&format!("crash {down:?}"));
                for node in &down {
                    shared.batched.excuse(*node, sim.elapsed());
                    shared.told.excuse(*node, sim.elapsed());
                    shared.emptied.power_cut(*node, sim.elapsed());
                    // The machine is down before anything that runs on it is dropped.
                    disks[*node].power_cut();
                    sim.crash(NODES[*node]);
                }
            }
            3 => {
                let node = random.below(3) as usize;
                counts.slow_disks += u64::from(slow_down(&disks[node], random));
                shared.trace.note(&format!("slow disk {node}"));
            }
            _ => {
                for node in down.drain(..) {
                    sim.bounce(NODES[node]);
                    counts.restarts += 1;
                }
            }
        }
    }
    for node in down {
        sim.bounce(NODES[node]);
        counts.restarts += 1;
    }
    disks.iter().for_each(|disk| disk.slow_down(None));
    heal(sim, &NODES);
    *shared.healed.lock() = true;
    if !comes_to_its_end(sim, &shared.rows, 30_000, || *shared.converged.lock() >= NODES.len()) {
        shared.rows.broken("no progress after everything was healed".into());
    }
    counts
}

#[derive(Clone)]
struct Host {
    machine: Machine,
    shared: Arc<Shared>,
}

impl Host {
    async fn run(self) -> turmoil::Result {
        let offset = self.machine.random.below(2_000_000) as i64;
        let clock = SimClock::new(offset + elapsed_micros());
        let env = self.machine.next_life(self.machine.random.clone(), clock);
        let address = |name: &str| SocketAddr::new(turmoil::lookup(name), PORT);
        let members = Shape::flat(NODES.len(), 3).members(address);
        // With a window the others often have a write before it is on this node's disk.
        let sync_mode = if self.machine.random.split("sync mode").chance(0.3) {
            SyncMode::Batch
        } else {
            SyncMode::Group { window: Duration::from_millis(60) }
        };
        let settings = settings_of(members, self.machine.index, sync_mode);
        let node = Node::start(env, settings, builtin())?;
        node.refuse_old_data().await?;
        node.spawn_workers();
        self.shared.rows.goes_on(&node);
        // Whoever is first creates the tables, once enough of them run to agree on it.
        while create_table(&node, simple(3), SHORT_GRACE).await.is_err()
            || reading::create_table(&node, simple(2)).await.is_err()
            || batching::create_table(&node, simple(2)).await.is_err()
            || truncating::create_table(&node, simple(3)).await.is_err()
            || node.schema().table("emptied", "t").is_none()
        {
            dodona_env::clock::sleep(Duration::from_millis(100)).await;
        }
        let life = {
            let mut lives = self.shared.lives.lock();
            *lives += 1;
            *lives
        };
        // Values are unlike those of every other life.
        let random = self.machine.random.split(&format!("life {life}"));
        let client = |label: &str| Client {
            node: Arc::clone(&node),
            random: random.split(label),
            index: self.machine.index,
            keys: conditional::EVERYWHERE,
            serial: Consistency::Serial,
            center: 0,
            levels: [
                &[Consistency::Any, Consistency::One, Consistency::Quorum, Consistency::All],
                &[Consistency::One, Consistency::Quorum, Consistency::All],
            ],
            told: Arc::clone(&self.shared.told),
            trace: self.shared.trace.clone(),
        };
        let (swaps, shared) = (client("conditional"), Arc::clone(&self.shared));
        self.shared.rows.watch(&node, async move { swaps.run(|| *shared.healed.lock()).await });
        let watcher = client("hints");
        let gc_grace = Duration::from_secs(SHORT_GRACE.into());
        node.env.tasks.spawn_local(async move { watcher.watch_hints(gc_grace).await });
        let counter = |label: &str| counting::Client {
            node: Arc::clone(&node),
            random: random.split(label),
            pause: 60,
            tally: Arc::clone(&self.shared.tally),
        };
        let healed = Arc::clone(&self.shared);
        node.env.tasks.spawn_local(counter("counting").run(move || *healed.healed.lock()));
        let reader = |label: &str| reading::Client {
            node: Arc::clone(&node),
            random: random.split(label),
            index: self.machine.index,
            center: 0,
            levels: [
                &[Consistency::One, Consistency::Quorum],
                &[
                    Consistency::One,
                    Consistency::LocalOne,
                    Consistency::Quorum,
                    Consistency::LocalQuorum,
                    Consistency::All,
                ],
            ],
            pause: 40,
            known: Arc::clone(&self.shared.read),
            trace: self.shared.trace.clone(),
        };
        let (reads, shared) = (reader("reading"), Arc::clone(&self.shared));
        self.shared.rows.watch(&node, async move { reads.run(|| *shared.healed.lock()).await });
        let batcher = |label: &str| batching::Client {
            node: Arc::clone(&node),
            random: random.split(label),
            index: self.machine.index,
            levels: &[Consistency::One, Consistency::Quorum, Consistency::Any, Consistency::Quorum],
            relies_on_hints: true,
            pause: 60,
            known: Arc::clone(&self.shared.batched),
            trace: self.shared.trace.clone(),
        };
        let (batches, shared) = (batcher("batches"), Arc::clone(&self.shared));
        self.shared.rows.watch(&node, async move { batches.run(|| *shared.healed.lock()).await });
        let (replays, shared) = (batcher("replays"), Arc::clone(&self.shared));
        node.env.tasks.spawn_local(async move { replays.replay(|| *shared.healed.lock()).await });
        let emptier = |label: &str| truncating::Client {
            node: Arc::clone(&node),
            random: random.split(label),
            index: self.machine.index,
            known: Arc::clone(&self.shared.emptied),
            trace: self.shared.trace.clone(),
        };
        let (empties, shared) = (emptier("empties"), Arc::clone(&self.shared));
        self.shared.rows.watch(&node, async move { empties.run(|| *shared.healed.lock()).await });
        let rows = quorum::Client {
            node: Arc::clone(&node),
            random: self.machine.random.clone(),
            index: self.machine.index,
            rows: Arc::clone(&self.shared.rows),
            trace: self.shared.trace.clone(),
        };
        loop {
            if *self.shared.healed.lock() {
                client("last reads").read_all().await;
                self.shared.rows.judge(counter("last counts").judge().await);
                rows.converge().await;
                // This takes longer than tombstones of the other table are kept.
                self.shared.rows.judge(reader("last").converge(NODES.len()).await);
                self.shared.rows.judge(batcher("last batches").converge(NODES.len()).await);
                self.shared.rows.judge(client("held").judge_delivered());
                self.shared.rows.judge(emptier("last truncation").converge(NODES.len()).await);
                *self.shared.converged.lock() += 1;
                // Other nodes still need this one's answers.
                loop {
                    dodona_env::clock::sleep(Duration::from_secs(1)).await;
                }
            }
            rows.step().await;
        }
    }
}
