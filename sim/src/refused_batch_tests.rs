//! A batch whose keeping was refused, because the disk was full, is in its keeper's memory all the same: until it is on disk, none of
//! its writes may be made, or a power cut would leave it in part.

use crate::clock::SimClock;
use crate::disk::SimDisk;
use crate::machine::{Machine, disks, elapsed_micros, machines};
use crate::model::Action;
use crate::net::network;
use crate::shape::Shape;
use crate::world::{TIMEOUTS, builtin, create_table, mutation, read_partition, settings_of, simple};
use dodona_cluster::{ClusterError, Node};
use dodona_env::Random;
use dodona_storage::SyncMode;
use dodona_types::Consistency;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The first one coordinates, the other one keeps.
const NODES: [&str; 2] = ["n1", "n2"];
const PARTITIONS: [u8; 2] = [1, 2];

#[derive(Default)]
struct Shared {
    /// What came of the batch, and then of making its writes again while the disk was full, and with room.
    batch: Mutex<Option<Result<(), ClusterError>>>,
    replays: Mutex<Vec<Result<u64, ClusterError>>>,
    /// How many of its rows were there behind either.
    rows: Mutex<Vec<usize>>,
}

async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        dodona_env::clock::sleep(Duration::from_millis(50)).await;
    }
}

async fn live(machine: Machine, disk: SimDisk, shared: Arc<Shared>) -> turmoil::Result {
    let address = |name: &str| SocketAddr::new(turmoil::lookup(name), 7000);
    let env = machine.next_life(machine.random.split("node"), SimClock::new(elapsed_micros()));
    let members = Shape::flat(NODES.len(), 2).members(address);
    let settings = settings_of(members, machine.index, SyncMode::Group { window: Duration::from_millis(20) });
    let node = Node::start(env, settings, builtin())?;
    node.spawn_workers();
    while create_table(&node, simple(2), 86_400).await.is_err() || node.schema().table("sim", "t").is_none() {
        dodona_env::clock::sleep(Duration::from_millis(50)).await;
    }
    dodona_env::clock::sleep(Duration::from_secs(3)).await;
    if machine.index == 0 {
        coordinate(&node, &disk, &shared).await;
    } else {
        until(|| shared.batch.lock().is_some()).await;
        for round in 1..=2 {
            dodona_env::clock::sleep(2 * TIMEOUTS.write + Duration::from_millis(100)).await;
            let replayed = node.coordinator.replay_batches().await;
            shared.replays.lock().push(replayed);
            until(|| shared.rows.lock().len() == round).await;
        }
    }
    until(|| false).await;
    Ok(())
}

async fn coordinate(node: &Arc<Node>, keeper: &SimDisk, shared: &Shared) {
    keeper.limit_space(Some(0));
    let batch = PARTITIONS.map(|partition| mutation((partition, 0), 1, Action::Put(1), 0));
    let written = node.coordinator.write_logged(&batch, Consistency::One).await;
    *shared.batch.lock() = Some(written);
    for round in 1..=2 {
        until(|| shared.replays.lock().len() == round).await;
        let mut rows = 0;
        for partition in PARTITIONS {
            rows += read_partition(node, partition, Consistency::One).await.map_or(0, |rows| rows.len());
        }
        keeper.limit_space(None);
        shared.rows.lock().push(rows);
    }
}

#[test]
fn it_is_made_again_only_from_the_disk() {
    let mut sim = network(1);
    let machines = machines(&Random::from_seed(1), &NODES, None);
    let (disks, shared) = (disks(&machines), Arc::<Shared>::default());
    for (name, machine) in NODES.into_iter().zip(machines) {
        let (shared, keeper) = (Arc::clone(&shared), disks[1].clone());
        sim.host(name, move || live(machine.clone(), keeper.clone(), Arc::clone(&shared)));
    }
    let is_over = (0..60_000).any(|_| {
        sim.step().unwrap();
        shared.rows.lock().len() == 2
    });
    assert!(is_over, "{:?} {:?}", shared.batch.lock(), shared.replays.lock());
    let refused =
        matches!(&*shared.batch.lock(), Some(Err(ClusterError::BatchLogTimeout { received: 0, .. })));
    assert!(refused, "{:?}", shared.batch.lock());
    let replays = shared.replays.lock();
    assert!(replays[0].is_err() && matches!(replays[1], Ok(1)), "{replays:?}");
    assert_eq!(*shared.rows.lock(), [0, 2]);
}
