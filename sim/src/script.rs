//! A small cluster in which the first node does what a script says, for tests of one story each.

use crate::clock::SimClock;
use crate::disk::SimDisk;
use crate::machine::{Machine, disks, elapsed_micros, machines};
use crate::model::Action;
use crate::net::network;
use crate::shape::Shape;
use crate::world::{TABLE, builtin, create_table, mutation, rows_of, settings_of, simple};
use dodona_cluster::{Node, NodeSettings, membership};
use dodona_env::Random;
use dodona_storage::SyncMode;
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::{MutationView, PartitionKey, Token};
use parking_lot::Mutex;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

const NODES: [&str; 5] = ["n1", "n2", "n3", "n4", "n5"];
/// Keys of the rows that scenarios write.
pub(crate) const KEYS: u8 = 48;
/// Milliseconds that a scenario may take.
const PATIENCE: u32 = 900_000;

/// What the hosts of a scenario share: the simulation has one thread.
#[derive(Default)]
pub(crate) struct Shared {
    nodes: Mutex<[Weak<Node>; NODES.len()]>,
    disks: Vec<SimDisk>,
    lives: Mutex<u64>,
    /// The last node is to be down.
    pub(crate) last_is_down: Mutex<bool>,
    /// It was once.
    pub(crate) last_was_down: Mutex<bool>,
    /// Whoever joins may do so.
    pub(crate) may_join: Mutex<bool>,
    is_right: Mutex<bool>,
}

impl Shared {
    /// A node, if it runs.
    pub(crate) fn node(&self, index: usize) -> Option<Arc<Node>> {
        self.nodes.lock()[index].upgrade()
    }

    /// The disk of a node.
    pub(crate) fn disk(&self, index: usize) -> &SimDisk {
        &self.disks[index]
    }

    /// The nodes that run and have the row of a key themselves.
    pub(crate) fn holders(&self, key: u8) -> Vec<usize> {
        let running = (0..NODES.len()).filter_map(|index| Some((index, self.node(index)?)));
        running.filter(|(_, node)| has(node, key)).map(|(index, _)| index).collect()
    }
}

/// Nodes that begin a cluster, and those behind them that join it.
#[derive(Clone, Copy)]
pub(crate) struct Cluster {
    /// How many begin it.
    pub(crate) begin: usize,
    /// How many join.
    pub(crate) joins: usize,
    /// How many of the last ones are in another data centre, which has a copy of everything on each of them.
    pub(crate) far: usize,
    /// Copies of everything in the first one.
    pub(crate) copies: u32,
    /// Seconds that the table keeps tombstones.
    pub(crate) grace: u32,
    /// The nodes repair by themselves.
    pub(crate) repairs: bool,
    /// Looks each millisecond, and may have the last one be down.
    pub(crate) watch: fn(&Shared),
}

impl Cluster {
    fn shape(self) -> Shape {
        let mut shape = Shape::flat(NODES.len(), self.copies);
        if self.far > 0 {
            let near = self.begin + self.joins - self.far;
            shape.places[near..].iter_mut().for_each(|(center, _)| *center = 1);
            shape.copies.push(self.far as u32);
        }
        shape
    }
}

/// Waits until something is so.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        dodona_env::clock::sleep(Duration::from_millis(200)).await;
    }
}

/// The members that hold a key, the first replica first.
#[must_use]
pub(crate) fn replicas(node: &Node, key: u8) -> Vec<usize> {
    node.placement().replicas(TABLE, Token::of_key(&[key])).unwrap()
}

fn has(node: &Node, key: u8) -> bool {
    let selection = PartitionSelection::Key(PartitionKey::new(vec![key].into()));
    let command = ReadCommand::everything(TABLE, 1, selection, node.env.clock.wall_seconds());
    !rows_of(&node.engine.read_page(&command, usize::MAX).unwrap()).unwrap().is_empty()
}

/// Writes the row of a key to this node alone.
pub(crate) fn put(node: &Node, key: u8) {
    let written = mutation((key, 0), node.timestamps.next(), Action::Put(7), 0);
    node.engine.apply(&[MutationView::parse(&written).unwrap()]).unwrap();
}

async fn live<F: Future<Output = ()>>(
    machine: Machine,
    cluster: Cluster,
    shared: Arc<Shared>,
    script: impl FnOnce(Arc<Node>, Arc<Shared>) -> F,
) -> turmoil::Result {
    let (index, joins) = (machine.index, machine.index >= cluster.begin);
    let life = {
        let mut lives = shared.lives.lock();
        *lives += 1;
        *lives
    };
    let address = |name: &str| SocketAddr::new(turmoil::lookup(name), 7000);
    let env =
        machine.next_life(machine.random.split(&format!("life {life}")), SimClock::new(elapsed_micros()));
    let shape = cluster.shape();
    let members = shape.members(address);
    let settings = settings_of(members.clone(), index, SyncMode::Group { window: Duration::from_millis(20) });
    let settings = NodeSettings {
        members: if joins { Vec::new() } else { members[..cluster.begin].to_vec() },
        seeds: if joins { vec![address("n1")] } else { Vec::new() },
        automatic_repair: cluster.repairs,
        automatic_repair_incremental: true,
        ..settings
    };
    until(|| !joins || *shared.may_join.lock()).await;
    membership::enter(&env, &settings).await?;
    let node = Node::start(env, settings, builtin())?;
    node.spawn_workers();
    shared.nodes.lock()[index] = Arc::downgrade(&node);
    while node.settle().await.is_err() {
        dodona_env::clock::sleep(Duration::from_millis(100)).await;
    }
    if index == 0 {
        let replication = if cluster.far > 0 { shape.replication() } else { simple(cluster.copies) };
        while create_table(&node, replication.clone(), cluster.grace).await.is_err() {
            dodona_env::clock::sleep(Duration::from_millis(100)).await;
        }
        let has_table = |node: Arc<Node>| node.schema().table("sim", "t").is_some();
        until(|| (0..cluster.begin).all(|index| shared.node(index).is_some_and(has_table))).await;
        script(Arc::clone(&node), Arc::clone(&shared)).await;
        *shared.is_right.lock() = true;
    }
    std::future::pending().await
}

/// Runs a cluster in which the first node does and expects what the script says.
pub(crate) fn comes_to_its_end<F: Future<Output = ()> + 'static>(
    cluster: Cluster,
    script: fn(Arc<Node>, Arc<Shared>) -> F,
) {
    let hosts = cluster.begin + cluster.joins;
    let mut sim = network(1);
    let machines = machines(&Random::from_seed(1), &NODES[..hosts], None);
    let shared = Arc::new(Shared { disks: disks(&machines), ..Shared::default() });
    for (name, machine) in NODES.into_iter().zip(machines) {
        let shared = Arc::clone(&shared);
        sim.host(name, move || live(machine.clone(), cluster, Arc::clone(&shared), script));
    }
    let (last, mut is_down) = (hosts - 1, false);
    for _ in 0..PATIENCE {
        sim.step().unwrap();
        if *shared.is_right.lock() {
            return;
        }
        (cluster.watch)(&shared);
        match (is_down, *shared.last_is_down.lock()) {
            (false, true) => {
                *shared.last_was_down.lock() = true;
                shared.disk(last).power_cut();
                sim.crash(NODES[last]);
            }
            (true, false) => sim.bounce(NODES[last]),
            _ => continue,
        }
        is_down = !is_down;
    }
    panic!("it does not come to its end");
}
