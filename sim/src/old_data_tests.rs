//! Disks that are put back to what they were: of one node, which notices, and of all, which go on from there.

use crate::clock::SimClock;
use crate::disk::Image;
use crate::machine::{Machine, disks, elapsed_micros, machines};
use crate::model::Action;
use crate::net::network;
use crate::shape::Shape;
use crate::world::{builtin, create_table, mutation, read_partition, settings_of, simple};
use dodona_cluster::Node;
use dodona_env::Random;
use dodona_storage::SyncMode;
use dodona_types::Consistency;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const NODES: [&str; 3] = ["n1", "n2", "n3"];

#[derive(Default)]
struct Shared {
    /// The last row that was acknowledged.
    written: Mutex<u8>,
    stops_writing: Mutex<bool>,
    /// What nodes said that did not start.
    refused: Mutex<Vec<String>>,
    started: Mutex<usize>,
    /// What the first node reads of the rows.
    read: Mutex<Option<Vec<u8>>>,
}

async fn live(machine: Machine, shared: Arc<Shared>) -> turmoil::Result {
    let address = |name: &str| SocketAddr::new(turmoil::lookup(name), 7000);
    let env = machine.next_life(machine.random.split("node"), SimClock::new(elapsed_micros()));
    let members = Shape::flat(NODES.len(), 3).members(address);
    let settings = settings_of(members, machine.index, SyncMode::Group { window: Duration::from_millis(20) });
    let node = Node::start(env, settings, builtin())?;
    if let Err(error) = node.refuse_old_data().await {
        shared.refused.lock().push(error.to_string());
        return Ok(());
    }
    node.spawn_workers();
    *shared.started.lock() += 1;
    while create_table(&node, simple(3), 86_400).await.is_err() || node.schema().table("sim", "t").is_none() {
        dodona_env::clock::sleep(Duration::from_millis(50)).await;
    }
    while machine.index == 0 && !*shared.stops_writing.lock() {
        let row = *shared.written.lock() + 1;
        let written = mutation((row, 0), i64::from(row), Action::Put(1), 0);
        if node.coordinator.write(&[written], Consistency::All).await.is_ok() {
            *shared.written.lock() = row;
        }
        dodona_env::clock::sleep(Duration::from_millis(100)).await;
    }
    if machine.index == 0 {
        *shared.read.lock() = Some(read_all(&node).await);
    }
    loop {
        dodona_env::clock::sleep(Duration::from_secs(1)).await;
    }
}

async fn read_all(node: &Arc<Node>) -> Vec<u8> {
    let mut rows = Vec::new();
    for row in 1..=u8::MAX {
        loop {
            match read_partition(node, row, Consistency::All).await {
                Ok(found) => break rows.extend((!found.is_empty()).then_some(row)),
                Err(_) => dodona_env::clock::sleep(Duration::from_millis(50)).await,
            }
        }
    }
    rows
}

struct Cluster<'a> {
    sim: turmoil::Sim<'a>,
    disks: Vec<crate::disk::SimDisk>,
    shared: Arc<Shared>,
}

impl Cluster<'_> {
    fn new() -> Self {
        let mut sim = network(1);
        let machines = machines(&Random::from_seed(1), &NODES, None);
        let (disks, shared) = (disks(&machines), Arc::<Shared>::default());
        for (name, machine) in NODES.into_iter().zip(machines) {
            let shared = Arc::clone(&shared);
            sim.host(name, move || live(machine.clone(), Arc::clone(&shared)));
        }
        Self { sim, disks, shared }
    }

    fn until(&mut self, is_so: impl Fn(&Shared) -> bool) {
        for _ in 0..120_000 {
            self.sim.step().unwrap();
            if is_so(&self.shared) {
                return;
            }
        }
        panic!("it never comes so far: {:?}", self.shared.refused.lock());
    }

    fn put_back(&mut self, node: usize, image: Image) {
        self.disks[node].power_cut();
        self.sim.crash(NODES[node]);
        self.disks[node].put_back(image);
    }
}

#[test]
fn one_node_with_old_data_is_refused_at_each_start() {
    let mut cluster = Cluster::new();
    cluster.until(|shared| *shared.written.lock() == 20);
    let images = [cluster.disks[1].image(), cluster.disks[1].image()];
    // Within the same life: its generation is what it was.
    cluster.until(|shared| *shared.written.lock() == 60);
    for (start, image) in images.into_iter().enumerate() {
        cluster.put_back(1, image);
        for again in 1..=2 {
            cluster.sim.bounce(NODES[1]);
            cluster.until(|shared| shared.refused.lock().len() == 2 * start + again);
        }
    }
    let refused = cluster.shared.refused.lock();
    let expected = "its commit log ends at position";
    assert!(
        refused.iter().all(|reason| reason.contains(expected) && reason.contains("--replace 0000")),
        "{refused:?}"
    );
    assert_eq!(*cluster.shared.started.lock(), NODES.len());
}

#[test]
fn a_cluster_that_is_put_back_as_a_whole_goes_on_from_there() {
    let mut cluster = Cluster::new();
    cluster.until(|shared| *shared.written.lock() == 20);
    let images: Vec<Image> = cluster.disks.iter().map(crate::disk::SimDisk::image).collect();
    cluster.until(|shared| *shared.written.lock() == 60);
    *cluster.shared.stops_writing.lock() = true;
    for (node, image) in images.into_iter().enumerate() {
        cluster.put_back(node, image);
    }
    NODES.iter().for_each(|name| cluster.sim.bounce(*name));
    cluster.until(|shared| shared.read.lock().is_some());
    assert!(cluster.shared.refused.lock().is_empty());
    assert_eq!(*cluster.shared.started.lock(), 2 * NODES.len());
    let read = cluster.shared.read.lock().take().unwrap();
    let (first, last) = (read[..20].to_vec(), *read.last().unwrap());
    assert!(first == (1..=20).collect::<Vec<u8>>() && last < 30, "{read:?}");
}
