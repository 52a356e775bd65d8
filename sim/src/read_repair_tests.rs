//! What is read of one replica alone is brought another one before it is shown: if the one that was asked does not take it, yet
//! another one.

use crate::clock::SimClock;
use crate::disk::SimDisk;
use crate::machine::{Machine, disks, elapsed_micros, machines};
use crate::model::Action;
use crate::net::network;
use crate::shape::Shape;
use crate::world::{builtin, create_table, mutation, read_partition, settings_of, simple};
use dodona_cluster::Node;
use dodona_env::Random;
use dodona_storage::SyncMode;
use dodona_types::{Consistency, MutationView};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const NODES: [&str; 3] = ["n1", "n2", "n3"];
const PARTITIONS: u8 = 20;

#[derive(Default)]
struct Shared {
    nodes: Mutex<Vec<Arc<Node>>>,
    /// What came of the reads: rows, or why there are none.
    reads: Mutex<Vec<Result<usize, String>>>,
    /// How many of the rows the third node holds.
    held: Mutex<Option<usize>>,
}

async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        dodona_env::clock::sleep(Duration::from_millis(50)).await;
    }
}

async fn live(machine: Machine, full: SimDisk, shared: Arc<Shared>) -> turmoil::Result {
    let address = |name: &str| SocketAddr::new(turmoil::lookup(name), 7000);
    let env = machine.next_life(machine.random.split("node"), SimClock::new(elapsed_micros()));
    let members = Shape::flat(NODES.len(), 3).members(address);
    let settings = settings_of(members, machine.index, SyncMode::Group { window: Duration::from_millis(20) });
    let node = Node::start(env, settings, builtin())?;
    node.spawn_workers();
    while create_table(&node, simple(3), 86_400).await.is_err() || node.schema().table("sim", "t").is_none() {
        dodona_env::clock::sleep(Duration::from_millis(50)).await;
    }
    shared.nodes.lock().push(Arc::clone(&node));
    until(|| shared.nodes.lock().len() == NODES.len()).await;
    dodona_env::clock::sleep(Duration::from_secs(3)).await;
    if machine.index == 0 {
        for partition in 0..PARTITIONS {
            let row = mutation((partition, 0), 1, Action::Put(7), 0);
            node.engine.apply(&[MutationView::parse(&row)?])?;
        }
        full.limit_space(Some(0));
        for partition in 0..PARTITIONS {
            let read = read_partition(&node, partition, Consistency::Quorum).await;
            shared.reads.lock().push(read.map(|rows| rows.len()).map_err(|error| error.to_string()));
        }
        full.limit_space(None);
    }
    until(|| shared.reads.lock().len() == usize::from(PARTITIONS)).await;
    if machine.index == 2 {
        let mut held = 0;
        for partition in 0..PARTITIONS {
            held += read_partition(&node, partition, Consistency::One).await?.len();
        }
        *shared.held.lock() = Some(held);
    }
    until(|| false).await;
    Ok(())
}

#[test]
fn a_replica_that_does_not_take_what_it_lacks_is_made_up_for() {
    let mut sim = network(1);
    let machines = machines(&Random::from_seed(1), &NODES, None);
    let (disks, shared) = (disks(&machines), Arc::<Shared>::default());
    for (name, machine) in NODES.into_iter().zip(machines) {
        let (shared, full) = (Arc::clone(&shared), disks[1].clone());
        sim.host(name, move || live(machine.clone(), full.clone(), Arc::clone(&shared)));
    }
    let is_over = (0..60_000).any(|_| {
        sim.step().unwrap();
        shared.held.lock().is_some()
    });
    assert!(is_over, "{:?}", shared.reads.lock());
    assert!(shared.reads.lock().iter().all(|read| *read == Ok(1)), "{:?}", shared.reads.lock());
    // The second node took none.
    assert_eq!(*shared.held.lock(), Some(usize::from(PARTITIONS)));
    shared.nodes.lock().clear();
}
