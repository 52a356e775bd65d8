//! Four to nine nodes in two or three data centres, with copies on the racks of each, and clients of every
//! kind at every level, while links break one way or both, whole data centres are cut off, messages are
//! late, machines lose power, disks are full and clocks jump. Then everything heals, and all of it has to
//! come to its end.

use crate::clock::SimClock;
use crate::conditional;
use crate::faults::{Counts, Faults, HEALED_MICROS};
use crate::machine::{Machine, elapsed_micros, hosts, machines};
use crate::net::{comes_to_its_end, network, step};
use crate::shape::Shape;
use crate::shared::Shared;
use crate::world::{builtin, create_table, settings_of};
use crate::{Verdict, batching, defining, reading};
use dodona_cluster::Node;
use dodona_env::Random;
use dodona_storage::SyncMode;
use dodona_types::Consistency;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const PORT: u16 = 7000;
/// Milliseconds of work, of those before the first fault, and of those between two.
const LASTS: u32 = 7_000;
const CALM: u32 = 1_200;
const BETWEEN: u32 = 200;
/// Milliseconds until everything must be right.
const PATIENCE: u32 = 90_000;
/// Tombstones outlast the run, and every jump of a clock.
const GRACE_SECONDS: u32 = 864_000;

/// Levels of writes and reads.
const WRITES: &[Consistency] = &[
    Consistency::One,
    Consistency::LocalOne,
    Consistency::Two,
    Consistency::LocalQuorum,
    Consistency::LocalQuorum,
    Consistency::EachQuorum,
    Consistency::EachQuorum,
    Consistency::Quorum,
    Consistency::All,
];
const COMMITS: &[Consistency] = &[
    Consistency::Any,
    Consistency::One,
    Consistency::LocalQuorum,
    Consistency::EachQuorum,
    Consistency::Quorum,
];
const BATCHES: &[Consistency] = &[
    Consistency::Any,
    Consistency::LocalOne,
    Consistency::LocalQuorum,
    Consistency::EachQuorum,
    Consistency::Quorum,
];

/// Runs a seed.
#[must_use]
pub fn run(seed: u64, mutant: Option<&str>) -> Verdict {
    let random = Random::from_seed(seed).split("centers");
    let shape = Arc::new(Shape::of(&random));
    let shared = Arc::new(Shared::new(&shape));
    shared.trace.note(&format!("{shape:?}"));
    let mut sim = network(seed);
    let machines = machines(&random, shape.names(), mutant);
    let of_hosts = (Arc::clone(&shape), Arc::clone(&shared));
    let live = move |machine| {
        let (shape, shared) = of_hosts.clone();
        Host { machine, shape, shared }.run()
    };
    let disks = hosts(&mut sim, shape.names(), machines, live);
    let faults = drive(&mut sim, Faults::new(random.split("faults"), &shape, &disks, &shared));
    let defined = shared.defined.judge();
    let violation = shared.rows.violation().or_else(|| shared.told.judge().err());
    let violation = violation.or_else(|| defined.clone().err());
    let (operations, applied) = shared.told.counts();
    let verdict = Verdict {
        trace: shared.trace.hash(),
        acknowledged: applied + shared.batched.acknowledged() + shared.defined.acknowledged(),
        judged: operations + shared.read.judged() + shared.batched.judged() + defined.unwrap_or_default(),
        restarts: faults.restarts,
        changes: 0,
        faults,
        violation,
    };
    drop(sim);
    verdict
}

/// Steps the simulation, breaks things and heals them, and demands convergence at the end.
fn drive(sim: &mut turmoil::Sim<'_>, mut faults: Faults<'_>) -> Counts {
    let shared = faults.shared;
    for tick in 0..LASTS {
        step(sim, &shared.rows);
        if shared.rows.violation().is_some() {
            return faults.counts;
        }
        if tick > CALM && tick % BETWEEN == BETWEEN - 1 {
            faults.next(sim);
        }
    }
    faults.heal_all(sim);
    *shared.healed.lock() = true;
    let nodes = faults.shape.places.len();
    if !comes_to_its_end(sim, &shared.rows, PATIENCE, || *shared.converged.lock() >= nodes) {
        shared.rows.broken("no progress after everything was healed".into());
    }
    faults.counts
}

#[derive(Clone)]
struct Host {
    machine: Machine,
    shape: Arc<Shape>,
    shared: Arc<Shared>,
}

impl Host {
    fn start(&self) -> Result<Arc<Node>, Box<dyn std::error::Error>> {
        let members = self.shape.members(|name| SocketAddr::new(turmoil::lookup(name), PORT));
        let offset = self.machine.random.below(500_000) as i64;
        let healed = if *self.shared.healed.lock() { HEALED_MICROS } else { 0 };
        let clock = SimClock::new(offset + healed + elapsed_micros());
        self.shared.clocks.lock()[self.machine.index] = Some(clock.clone());
        let env = self.machine.next_life(self.machine.random.clone(), clock);
        let sync_mode = SyncMode::Group { window: Duration::from_millis(20) };
        let settings = settings_of(members, self.machine.index, sync_mode);
        Ok(Node::start(env, settings, builtin())?)
    }

    async fn run(self) -> turmoil::Result {
        let node = self.start()?;
        node.refuse_old_data().await?;
        node.spawn_workers();
        let shared = Arc::clone(&self.shared);
        shared.rows.goes_on(&node);
        let definer = |random: &Random, label: &str| defining::Client {
            node: Arc::clone(&node),
            random: random.split(label),
            index: self.machine.index,
            known: Arc::clone(&shared.defined),
            trace: shared.trace.clone(),
        };
        let watcher = definer(&self.machine.random, "watcher");
        shared.rows.watch(&node, async move { watcher.watch().await });
        self.create_tables(&node).await;
        let life = {
            let mut lives = shared.lives.lock();
            *lives += 1;
            *lives
        };
        // Values are unlike those of every other life.
        let random = self.machine.random.split(&format!("life {life}"));
        for swaps in [self.swaps(&node, &random, false), self.swaps(&node, &random, true)] {
            let until = self.until_healed();
            shared.rows.watch(&node, async move { swaps.run(until).await });
        }
        let (reads, until) = (self.reads(&node, &random, "reading"), self.until_healed());
        shared.rows.watch(&node, async move { reads.run(until).await });
        let (batches, until) = (self.batches(&node, &random, "batches"), self.until_healed());
        shared.rows.watch(&node, async move { batches.run(until).await });
        let (replays, until) = (self.batches(&node, &random, "replays"), self.until_healed());
        node.env.tasks.spawn_local(async move { replays.replay(until).await });
        let (defines, until) = (definer(&random, "defines"), self.until_healed());
        shared.rows.watch(&node, async move { defines.run(until).await });
        let healed = self.until_healed();
        while !healed() {
            dodona_env::clock::sleep(Duration::from_millis(10)).await;
        }
        let converged = async {
            definer(&random, "last definitions").converge(self.shape.places.len()).await?;
            self.swaps(&node, &random, false).read_all().await;
            self.swaps(&node, &random, true).read_all().await;
            self.reads(&node, &random, "last reads").converge(self.shape.places.len()).await?;
            self.batches(&node, &random, "last batches").converge(self.shape.places.len()).await?;
            self.swaps(&node, &random, true).judge_delivered()
        };
        shared.rows.judge(converged.await);
        *shared.converged.lock() += 1;
        // Other nodes still need this one's answers.
        loop {
            dodona_env::clock::sleep(Duration::from_secs(1)).await;
        }
    }

    fn until_healed(&self) -> impl Fn() -> bool + use<> {
        let shared = Arc::clone(&self.shared);
        move || *shared.healed.lock()
    }

    /// Whoever is first creates the tables, once enough nodes run to agree on it.
    async fn create_tables(&self, node: &Node) {
        let replication = self.shape.replication();
        while create_table(node, replication.clone(), GRACE_SECONDS).await.is_err()
            || reading::create_table(node, replication.clone()).await.is_err()
            || batching::create_table(node, replication.clone()).await.is_err()
            || node.schema().table("batched", "t").is_none()
        {
            dodona_env::clock::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A client of conditional writes that all data centres agree on, or this one alone.
    fn swaps(&self, node: &Arc<Node>, random: &Random, is_local: bool) -> conditional::Client {
        let center = self.shape.places[self.machine.index].0;
        let of_center = conditional::EVERYWHERE.end + center as u8;
        conditional::Client {
            node: Arc::clone(node),
            random: random.split(&format!("conditional {is_local}")),
            index: self.machine.index,
            keys: if is_local { of_center..of_center + 1 } else { conditional::EVERYWHERE },
            serial: if is_local { Consistency::LocalSerial } else { Consistency::Serial },
            center,
            levels: [COMMITS, WRITES],
            told: Arc::clone(&self.shared.told),
            trace: self.shared.trace.clone(),
        }
    }

    fn reads(&self, node: &Arc<Node>, random: &Random, label: &str) -> reading::Client {
        reading::Client {
            node: Arc::clone(node),
            random: random.split(label),
            index: self.machine.index,
            center: self.shape.places[self.machine.index].0,
            levels: [WRITES, WRITES],
            pause: 40,
            known: Arc::clone(&self.shared.read),
            trace: self.shared.trace.clone(),
        }
    }

    fn batches(&self, node: &Arc<Node>, random: &Random, label: &str) -> batching::Client {
        batching::Client {
            node: Arc::clone(node),
            random: random.split(label),
            index: self.machine.index,
            levels: BATCHES,
            relies_on_hints: true,
            pause: 60,
            known: Arc::clone(&self.shared.batched),
            trace: self.shared.trace.clone(),
        }
    }
}
