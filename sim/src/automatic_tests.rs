//! Automatic repairs that compare only what is not repaired yet.

use crate::clock::SimClock;
use crate::machine::{Machine, elapsed_micros, machines};
use crate::model::Action;
use crate::net::network;
use crate::shape::Shape;
use crate::world::{TABLE, builtin, create_table, mutation, settings_of, simple};
use dodona_cluster::{Node, NodeSettings};
use dodona_env::Random;
use dodona_storage::SyncMode;
use dodona_types::MutationView;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// A table that keeps tombstones for so long is repaired once an hour.
const GRACE_SECONDS: u32 = 7_200;
const HOUR_MICROS: i64 = 3_600_000_000;
/// Milliseconds within which it has to be done.
const PATIENCE: u32 = 900_000;

async fn live(machine: Machine, done: Arc<Mutex<usize>>) -> turmoil::Result {
    let address = |name: &str| SocketAddr::new(turmoil::lookup(name), 7000);
    let clock = SimClock::new(elapsed_micros());
    let env = machine.next_life(machine.random.split("node"), clock.clone());
    let settings = NodeSettings {
        automatic_repair: true,
        automatic_repair_incremental: true,
        ..settings_of(
            Shape::flat(NODES.len(), 3).members(address),
            machine.index,
            SyncMode::Group { window: Duration::from_millis(20) },
        )
    };
    let node = Node::start(env, settings, builtin())?;
    node.spawn_workers();
    while create_table(&node, simple(3), GRACE_SECONDS).await.is_err()
        || node.schema().table("sim", "t").is_none()
    {
        dodona_env::clock::sleep(Duration::from_millis(100)).await;
    }
    // What the others have missed.
    let row = (machine.index as u8, 0);
    let written = mutation(row, node.timestamps.next(), Action::Put(7), node.env.clock.wall_seconds());
    node.engine.apply(&[MutationView::parse(&written)?])?;
    // It is noted that nothing is due, and then an hour is over at once.
    dodona_env::clock::sleep(Duration::from_secs(70)).await;
    assert_eq!(node.engine.table_statistics(TABLE)?.repaired_bytes, 0);
    clock.set(elapsed_micros() + HOUR_MICROS, 0);
    let is_repaired = || {
        let statistics = node.engine.table_statistics(TABLE).unwrap();
        let is_on_disk = statistics.memtable_partitions == 0 && statistics.disk_bytes > 0;
        is_on_disk && statistics.repaired_bytes == statistics.disk_bytes && statistics.partitions >= 3
    };
    while !is_repaired() {
        dodona_env::clock::sleep(Duration::from_secs(1)).await;
    }
    *done.lock() += 1;
    loop {
        dodona_env::clock::sleep(Duration::from_secs(1)).await;
    }
}

#[test]
fn they_bring_what_is_missing_and_have_it_count_as_repaired() {
    let mut sim = network(1);
    let done = Arc::new(Mutex::new(0));
    for (name, machine) in NODES.into_iter().zip(machines(&Random::from_seed(1), &NODES, None)) {
        let done = Arc::clone(&done);
        sim.host(name, move || live(machine.clone(), Arc::clone(&done)));
    }
    for _ in 0..PATIENCE {
        sim.step().unwrap();
        if *done.lock() == NODES.len() {
            return;
        }
    }
    panic!("only {} of them have it repaired", *done.lock());
}
