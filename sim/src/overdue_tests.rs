//! What automatic repairs bring by themselves: around a replica that is down, to whoever has joined, and to replicas that a
//! keyspace has got.

use crate::clock::SimClock;
use crate::machine::{Machine, disks, elapsed_micros, machines};
use crate::model::Action;
use crate::net::network;
use crate::shape::Shape;
use crate::world::{TABLE, builtin, create_table, empty, mutation, rows_of, settings_of, simple};
use dodona_cluster::metadata::SchemaChange;
use dodona_cluster::{Node, NodeSettings, membership};
use dodona_env::Random;
use dodona_storage::SyncMode;
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::{Consistency, MutationView, PartitionKey, Token};
use parking_lot::Mutex;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

const NODES: [&str; 5] = ["n1", "n2", "n3", "n4", "n5"];
const KEYS: u8 = 48;
/// A table with such a grace is repaired twice a minute, and one with this twice in ten days.
const SHORT_GRACE: u32 = 60;
const LONG_GRACE: u32 = 864_000;
/// Milliseconds that a scenario may take.
const PATIENCE: u32 = 900_000;

/// What the hosts of a scenario share: the simulation has one thread.
#[derive(Default)]
struct Shared {
    nodes: Mutex<[Weak<Node>; NODES.len()]>,
    lives: Mutex<u64>,
    /// The last one is to be down.
    last_is_down: Mutex<bool>,
    may_join: Mutex<bool>,
    is_right: Mutex<bool>,
}

impl Shared {
    fn node(&self, index: usize) -> Option<Arc<Node>> {
        self.nodes.lock()[index].upgrade()
    }

    /// The nodes that run and hold the row of a key in their own files, by the schema and the members as they are.
    fn holders(&self, key: u8) -> Vec<usize> {
        let running = (0..NODES.len()).filter_map(|index| Some((index, self.node(index)?)));
        running.filter(|(_, node)| has(node, key)).map(|(index, _)| index).collect()
    }
}

/// Nodes that begin a cluster, and one behind them that joins it.
#[derive(Clone, Copy)]
struct Cluster {
    begin: usize,
    joins: usize,
    copies: u32,
    grace: u32,
}

async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        dodona_env::clock::sleep(Duration::from_millis(200)).await;
    }
}

/// The members that hold a key, the first replica first.
fn replicas(node: &Node, key: u8) -> Vec<usize> {
    node.placement().replicas(TABLE, Token::of_key(&[key])).unwrap()
}

fn has(node: &Node, key: u8) -> bool {
    let selection = PartitionSelection::Key(PartitionKey::new(vec![key].into()));
    let command = ReadCommand::everything(TABLE, 1, selection, node.env.clock.wall_seconds());
    !rows_of(&node.engine.read_page(&command, usize::MAX).unwrap()).unwrap().is_empty()
}

/// Writes the row of a key to this node alone.
fn put(node: &Node, key: u8) {
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
    let members = Shape::flat(NODES.len(), 3).members(address);
    let settings = settings_of(members.clone(), index, SyncMode::Group { window: Duration::from_millis(20) });
    let settings = NodeSettings {
        members: if joins { Vec::new() } else { members[..cluster.begin].to_vec() },
        seeds: if joins { vec![address("n1")] } else { Vec::new() },
        automatic_repair: true,
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
        while create_table(&node, simple(cluster.copies), cluster.grace).await.is_err() {
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
fn comes_to_its_end<F: Future<Output = ()> + 'static>(
    cluster: Cluster,
    script: fn(Arc<Node>, Arc<Shared>) -> F,
) {
    let hosts = cluster.begin + cluster.joins;
    let mut sim = network(1);
    let machines = machines(&Random::from_seed(1), &NODES[..hosts], None);
    let disks = disks(&machines);
    let shared = Arc::new(Shared::default());
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
        match (is_down, *shared.last_is_down.lock()) {
            (false, true) => {
                disks[last].power_cut();
                sim.crash(NODES[last]);
            }
            (true, false) => sim.bounce(NODES[last]),
            _ => continue,
        }
        is_down = !is_down;
    }
    panic!("it does not come to its end");
}

#[test]
fn a_replica_that_is_down_holds_up_its_own_ranges_alone_and_they_are_told_of() {
    let cluster = Cluster { begin: 5, joins: 0, copies: 3, grace: SHORT_GRACE };
    comes_to_its_end(cluster, |node, shared| async move {
        const LAST: usize = 4;
        *shared.last_is_down.lock() = true;
        until(|| shared.node(LAST).is_none()).await;
        // Each row is where the replica is that leads the repair of its range, or would.
        let written = |key: u8| replicas(&node, key)[0] != LAST;
        for key in (0..KEYS).filter(|key| written(*key)) {
            put(&shared.node(replicas(&node, key)[0]).unwrap(), key);
        }
        let is_around = |key: &u8| written(*key) && !replicas(&node, *key).contains(&LAST);
        let is_held_up = |key: &u8| written(*key) && replicas(&node, *key).contains(&LAST);
        assert!((0..KEYS).filter(is_around).count() > 5 && (0..KEYS).filter(is_held_up).count() > 5);
        until(|| (0..KEYS).filter(is_around).all(|key| shared.holders(key).len() == 3)).await;
        assert!((0..KEYS).filter(is_held_up).all(|key| shared.holders(key).len() == 1));
        // The others of its ranges wait, and that becomes known.
        let late =
            || (0..LAST).filter(|index| shared.node(*index).unwrap().repairs.late.tables() > 0).count();
        until(|| late() == 2).await;
        let address = node.placement().ring.members()[LAST].internode;
        let reason = Some(format!("the replica {address} does not answer"));
        let is_told = |index: usize| {
            let standings = shared.node(index).unwrap().repairs.standings().unwrap();
            standings.iter().any(|standing| standing.table == TABLE && standing.held_up == reason)
        };
        assert_eq!((0..LAST).filter(|index| is_told(*index)).count(), 2);
        *shared.last_is_down.lock() = false;
        until(|| (0..KEYS).filter(is_held_up).all(|key| shared.holders(key).len() == 3)).await;
        until(|| late() == 0).await;
    });
}

#[test]
fn whoever_has_joined_repairs_soon_what_it_is_the_first_replica_of() {
    let cluster = Cluster { begin: 3, joins: 1, copies: 3, grace: LONG_GRACE };
    comes_to_its_end(cluster, |node, shared| async move {
        const NEW: usize = 3;
        let members = |count: usize| node.placement().ring.members().len() == count;
        assert!(members(3));
        (0..KEYS).for_each(|key| put(&node, key));
        *shared.may_join.lock() = true;
        until(|| members(4) && !node.placement().ring.is_changing()).await;
        let is_new = |key: &u8| replicas(&node, *key)[0] == NEW;
        let are_all_there =
            |key: u8| replicas(&node, key).iter().all(|index| shared.holders(key).contains(index));
        assert!((0..KEYS).filter(is_new).count() > 5);
        assert!(!(0..KEYS).filter(is_new).any(are_all_there), "the others still lack it");
        until(|| (0..KEYS).filter(is_new).all(are_all_there)).await;
        // The others know that nothing was missing when the table was created.
        let of_others = |key: &u8| !is_new(key);
        assert!(!(0..KEYS).filter(of_others).any(are_all_there));
    });
}

#[test]
fn replicas_that_a_keyspace_has_got_are_filled() {
    let cluster = Cluster { begin: 3, joins: 0, copies: 1, grace: LONG_GRACE };
    comes_to_its_end(cluster, |node, shared| async move {
        for key in 0..KEYS {
            let written = mutation((key, 0), node.timestamps.next(), Action::Put(7), 0);
            while node.coordinator.write(std::slice::from_ref(&written), Consistency::One).await.is_err() {
                dodona_env::clock::sleep(Duration::from_millis(100)).await;
            }
        }
        dodona_env::clock::sleep(Duration::from_secs(120)).await;
        assert!((0..KEYS).all(|key| shared.holders(key).len() == 1));
        let more = || vec![SchemaChange::PutKeyspace(empty("sim", simple(3)))];
        while node.change_schema(node.schema_epoch(), more()).await.is_err() {
            dodona_env::clock::sleep(Duration::from_millis(100)).await;
        }
        until(|| (0..KEYS).all(|key| shared.holders(key).len() == 3)).await;
    });
}
