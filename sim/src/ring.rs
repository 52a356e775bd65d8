//! A static ring of three nodes that exchange real requests, while links break and nodes crash:
//! what was written at QUORUM is seen by every later read at QUORUM.

use crate::Verdict;
use crate::batching;
use crate::clock::SimClock;
use crate::conditional::{self, Client, Told};
use crate::counting::{self, Tally};
use crate::disk::SimDisk;
use crate::faults::Counts;
use crate::net::{SimNet, heal, network, step};
use crate::quorum::{self, Rows};
use crate::reading;
use crate::trace::Trace;
use crate::world::{SHORT_GRACE, TIMEOUTS, builtin, create_table, simple, small_engine};
use dodona_cluster::ring::{Member, Status, even_tokens};
use dodona_cluster::{Node, NodeSettings};
use dodona_env::{Env, Mutants, Random, Tasks};
use dodona_storage::SyncMode;
use dodona_types::Consistency;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

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
    let disks: Vec<SimDisk> = NODES.iter().map(|name| SimDisk::new(random.split(name))).collect();
    for (index, name) in NODES.into_iter().enumerate() {
        let host = Host {
            index,
            random: random.split(&format!("host {name}")),
            disk: disks[index].clone(),
            shared: Arc::clone(&shared),
            mutants: mutant.map_or_else(Mutants::none, Mutants::only),
        };
        sim.host(name, move || host.clone().run());
    }
    let faults = random.split("faults");
    let restarts = drive(&mut sim, &faults, &disks, &shared);
    let violation = shared.rows.violation().or_else(|| shared.told.judge().err());
    let (operations, applied) = shared.told.counts();
    let verdict = Verdict {
        trace: shared.trace.hash(),
        acknowledged: shared.rows.acknowledged()
            + applied
            + shared.tally.acknowledged()
            + shared.batched.acknowledged(),
        judged: shared.rows.judged() + operations + shared.batched.judged(),
        restarts,
        changes: 0,
        faults: Counts::default(),
        violation,
    };
    drop(sim);
    verdict
}

/// Steps the simulation, breaks things and heals them, and demands convergence at the end.
fn drive(sim: &mut turmoil::Sim<'_>, random: &Random, disks: &[SimDisk], shared: &Shared) -> u64 {
    let mut restarts = 0;
    let mut down: Vec<usize> = Vec::new();
    for tick in 0..6_000u32 {
        step(sim, &shared.rows);
        if shared.rows.violation().is_some() {
            return restarts;
        }
        if tick % 250 != 249 {
            continue;
        }
        match random.below(5) {
            0 => {
                let (a, b) = (random.below(3) as usize, random.below(3) as usize);
                if a != b {
                    shared.trace.note(&format!("partition {a} {b}"));
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
                    // The machine is down before anything that runs on it is dropped.
                    disks[*node].power_cut();
                    sim.crash(NODES[*node]);
                }
            }
            _ => {
                for node in down.drain(..) {
                    sim.bounce(NODES[node]);
                    restarts += 1;
                }
            }
        }
    }
    for node in down {
        sim.bounce(NODES[node]);
        restarts += 1;
    }
    heal(sim, &NODES);
    *shared.healed.lock() = true;
    for _ in 0..30_000u32 {
        if *shared.converged.lock() >= NODES.len() || shared.rows.violation().is_some() {
            return restarts;
        }
        step(sim, &shared.rows);
    }
    shared.rows.broken("no progress after everything was healed".into());
    restarts
}

#[derive(Clone)]
struct Host {
    index: usize,
    random: Random,
    disk: SimDisk,
    shared: Arc<Shared>,
    mutants: Mutants,
}

impl Host {
    async fn run(self) -> turmoil::Result {
        let members: Vec<Member> = NODES
            .iter()
            .enumerate()
            .map(|(index, name)| {
                let internode = SocketAddr::new(turmoil::lookup(*name), PORT);
                Member {
                    host: Uuid::from_u128(index as u128 + 1),
                    status: Status::Normal,
                    data_center: "dc1".into(),
                    rack: format!("r{index}"),
                    internode,
                    native: internode,
                    tokens: even_tokens(NODES.len(), index, 4),
                }
            })
            .collect();
        let offset = self.random.below(2_000_000) as i64;
        let clock =
            SimClock::new(offset + i64::try_from(turmoil::sim_elapsed().unwrap_or_default().as_micros())?);
        let env = Env {
            clock: Arc::new(clock.clone()),
            random: self.random.clone(),
            disk: Arc::new(self.disk.next_life()),
            net: Arc::new(SimNet),
            tasks: Tasks::inline(),
            mutants: self.mutants.clone(),
        };
        let settings = NodeSettings {
            cluster_name: "sim".into(),
            data_center: "dc1".into(),
            rack: format!("r{}", self.index),
            native: members[self.index].internode,
            internode: members[self.index].internode,
            num_tokens: 4,
            seeds: Vec::new(),
            members,
            // With a window the others often have a write before it is on this node's disk.
            engine: small_engine(if self.random.split("sync mode").chance(0.3) {
                SyncMode::Batch
            } else {
                SyncMode::Group { window: Duration::from_millis(60) }
            }),
            timeouts: TIMEOUTS,
            ..NodeSettings::default()
        };
        let node = Node::start(env, settings, builtin())?;
        node.spawn_workers();
        // Whoever is first creates the tables, once enough of them run to agree on it.
        while create_table(&node, simple(3), SHORT_GRACE).await.is_err()
            || reading::create_table(&node, simple(2)).await.is_err()
            || batching::create_table(&node, simple(2)).await.is_err()
            || node.schema().table("batched", "t").is_none()
        {
            dodona_env::clock::sleep(Duration::from_millis(100)).await;
        }
        let life = {
            let mut lives = self.shared.lives.lock();
            *lives += 1;
            *lives
        };
        // Values are unlike those of every other life.
        let random = self.random.split(&format!("life {life}"));
        let client = |label: &str| Client {
            node: Arc::clone(&node),
            random: random.split(label),
            index: self.index,
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
        node.env.tasks.spawn_local(async move {
            if let Err(broken) = swaps.run(|| *shared.healed.lock()).await {
                shared.rows.broken(broken);
            }
        });
        let counter = |label: &str| counting::Client {
            node: Arc::clone(&node),
            random: random.split(label),
            tally: Arc::clone(&self.shared.tally),
        };
        let healed = Arc::clone(&self.shared);
        node.env.tasks.spawn_local(counter("counting").run(move || *healed.healed.lock()));
        let reader = |label: &str| reading::Client {
            node: Arc::clone(&node),
            random: random.split(label),
            index: self.index,
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
            known: Arc::clone(&self.shared.read),
            trace: self.shared.trace.clone(),
        };
        let (reads, shared) = (reader("reading"), Arc::clone(&self.shared));
        node.env.tasks.spawn_local(async move {
            if let Err(broken) = reads.run(|| *shared.healed.lock()).await {
                shared.rows.broken(broken);
            }
        });
        let batcher = |label: &str| batching::Client {
            node: Arc::clone(&node),
            random: random.split(label),
            index: self.index,
            levels: &[Consistency::One, Consistency::Quorum, Consistency::Any, Consistency::Quorum],
            known: Arc::clone(&self.shared.batched),
            trace: self.shared.trace.clone(),
        };
        let (batches, shared) = (batcher("batches"), Arc::clone(&self.shared));
        node.env.tasks.spawn_local(async move {
            if let Err(broken) = batches.run(|| *shared.healed.lock()).await {
                shared.rows.broken(broken);
            }
        });
        let (replays, shared) = (batcher("replays"), Arc::clone(&self.shared));
        node.env.tasks.spawn_local(async move { replays.replay(|| *shared.healed.lock()).await });
        let rows = quorum::Client {
            node: Arc::clone(&node),
            random: self.random.clone(),
            index: self.index,
            rows: Arc::clone(&self.shared.rows),
            trace: self.shared.trace.clone(),
        };
        loop {
            if *self.shared.healed.lock() {
                client("last reads").read_all().await;
                if let Err(broken) = counter("last counts").judge().await {
                    self.shared.rows.broken(broken);
                }
                rows.converge().await;
                // This takes longer than tombstones of the other table are kept.
                if let Err(broken) = reader("last").converge(NODES.len()).await {
                    self.shared.rows.broken(broken);
                }
                if let Err(broken) = batcher("last batches").converge(NODES.len()).await {
                    self.shared.rows.broken(broken);
                }
                if let Err(broken) = client("held").judge_delivered() {
                    self.shared.rows.broken(broken);
                }
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
