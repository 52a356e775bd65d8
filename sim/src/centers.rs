//! Four to nine nodes in two or three data centres, with copies on the racks of each, and clients of every
//! kind at every level, while links break one way or both, whole data centres are cut off, messages are
//! late, machines lose power, disks are full and clocks jump. Then everything heals, and all of it has to
//! come to its end.

use crate::clock::SimClock;
use crate::conditional;
use crate::disk::SimDisk;
use crate::faults::{Counts, Faults};
use crate::net::{SimNet, network, step};
use crate::shape::Shape;
use crate::shared::Shared;
use crate::world::{TIMEOUTS, builtin, create_table, small_engine};
use crate::{Verdict, batching, defining, reading};
use dodona_cluster::{Node, NodeSettings};
use dodona_env::{Env, Mutants, Random, Tasks};
use dodona_storage::SyncMode;
use dodona_types::Consistency;
use std::future::Future;
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
    let disks: Vec<SimDisk> = shape.names().iter().map(|name| SimDisk::new(random.split(name))).collect();
    for (index, name) in shape.names().iter().enumerate() {
        let host = Host {
            index,
            shape: Arc::clone(&shape),
            random: random.split(&format!("host {name}")),
            disk: disks[index].clone(),
            shared: Arc::clone(&shared),
            mutants: mutant.map_or_else(Mutants::none, Mutants::only),
        };
        sim.host(*name, move || host.clone().run());
    }
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
    for _ in 0..PATIENCE {
        if *shared.converged.lock() >= faults.shape.places.len() || shared.rows.violation().is_some() {
            return faults.counts;
        }
        step(sim, &shared.rows);
    }
    shared.rows.broken("no progress after everything was healed".into());
    faults.counts
}

#[derive(Clone)]
struct Host {
    index: usize,
    shape: Arc<Shape>,
    random: Random,
    disk: SimDisk,
    shared: Arc<Shared>,
    mutants: Mutants,
}

impl Host {
    fn start(&self) -> Result<Arc<Node>, Box<dyn std::error::Error>> {
        let members = self.shape.members(|name| SocketAddr::new(turmoil::lookup(name), PORT));
        let here = &members[self.index];
        let elapsed = i64::try_from(turmoil::sim_elapsed().unwrap_or_default().as_micros())?;
        let clock = SimClock::new(self.random.below(500_000) as i64 + elapsed);
        self.shared.clocks.lock()[self.index] = Some(clock.clone());
        let env = Env {
            clock: Arc::new(clock),
            random: self.random.clone(),
            disk: Arc::new(self.disk.next_life()),
            net: Arc::new(SimNet),
            tasks: Tasks::inline(),
            mutants: self.mutants.clone(),
        };
        let settings = NodeSettings {
            cluster_name: "sim".into(),
            data_center: here.data_center.clone(),
            rack: here.rack.clone(),
            native: here.native,
            internode: here.internode,
            num_tokens: here.tokens.len(),
            seeds: Vec::new(),
            members,
            engine: small_engine(SyncMode::Group { window: Duration::from_millis(20) }),
            timeouts: TIMEOUTS,
            ..NodeSettings::default()
        };
        Ok(Node::start(env, settings, builtin())?)
    }

    async fn run(self) -> turmoil::Result {
        let node = self.start()?;
        node.spawn_workers();
        let (mut failure, shared) = (node.watch_failure(), Arc::clone(&self.shared));
        self.watch(&node, async move {
            while failure.changed().await.is_ok() {
                if let Some(reason) = &*failure.borrow_and_update() {
                    return Err(format!("a node had to stop: {reason}"));
                }
            }
            Ok(())
        });
        let definer = |random: &Random, label: &str| defining::Client {
            node: Arc::clone(&node),
            random: random.split(label),
            index: self.index,
            known: Arc::clone(&shared.defined),
            trace: shared.trace.clone(),
        };
        let watcher = definer(&self.random, "watcher");
        self.watch(&node, async move { watcher.watch().await });
        self.create_tables(&node).await;
        let life = {
            let mut lives = shared.lives.lock();
            *lives += 1;
            *lives
        };
        // Values are unlike those of every other life.
        let random = self.random.split(&format!("life {life}"));
        for swaps in [self.swaps(&node, &random, false), self.swaps(&node, &random, true)] {
            let until = self.until_healed();
            self.watch(&node, async move { swaps.run(until).await });
        }
        let (reads, until) = (self.reads(&node, &random, "reading"), self.until_healed());
        self.watch(&node, async move { reads.run(until).await });
        let (batches, until) = (self.batches(&node, &random, "batches"), self.until_healed());
        self.watch(&node, async move { batches.run(until).await });
        let (replays, until) = (self.batches(&node, &random, "replays"), self.until_healed());
        node.env.tasks.spawn_local(async move { replays.replay(until).await });
        let (defines, until) = (definer(&random, "defines"), self.until_healed());
        self.watch(&node, async move { defines.run(until).await });
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
        if let Err(broken) = converged.await {
            shared.rows.broken(broken);
        }
        *shared.converged.lock() += 1;
        // Other nodes still need this one's answers.
        loop {
            dodona_env::clock::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Runs a client; a promise that it finds broken ends the run.
    fn watch(&self, node: &Node, client: impl Future<Output = Result<(), String>> + 'static) {
        let shared = Arc::clone(&self.shared);
        node.env.tasks.spawn_local(async move {
            if let Err(broken) = client.await {
                shared.rows.broken(broken);
            }
        });
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
        let center = self.shape.places[self.index].0;
        let of_center = conditional::EVERYWHERE.end + center as u8;
        conditional::Client {
            node: Arc::clone(node),
            random: random.split(&format!("conditional {is_local}")),
            index: self.index,
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
            index: self.index,
            center: self.shape.places[self.index].0,
            levels: [WRITES, WRITES],
            known: Arc::clone(&self.shared.read),
            trace: self.shared.trace.clone(),
        }
    }

    fn batches(&self, node: &Arc<Node>, random: &Random, label: &str) -> batching::Client {
        batching::Client {
            node: Arc::clone(node),
            random: random.split(label),
            index: self.index,
            levels: BATCHES,
            known: Arc::clone(&self.shared.batched),
            trace: self.shared.trace.clone(),
        }
    }
}
