//! The metadata log goes on without those who voted on it, and they come back.

use crate::clock::SimClock;
use crate::machine::{Machine, disks, elapsed_micros, machines};
use crate::net::network;
use crate::shape::Shape;
use crate::world::{builtin, empty, settings_of, simple};
use dodona_cluster::metadata::SchemaChange;
use dodona_cluster::{Node, NodeSettings, membership};
use dodona_env::Random;
use dodona_storage::SyncMode;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// Milliseconds that each part of the story may take.
const PATIENCE: u32 = 120_000;

#[derive(Default)]
struct Shared {
    nodes: Mutex<[Weak<Node>; NODES.len()]>,
    lives: Mutex<[u64; NODES.len()]>,
    /// A keyspace that a node is to create.
    creates: Mutex<Option<(usize, &'static str)>>,
}

impl Shared {
    /// True if a node runs and knows a keyspace.
    fn knows(&self, index: usize, keyspace: &str) -> bool {
        let node = self.nodes.lock()[index].upgrade();
        node.is_some_and(|node| node.schema().keyspace(keyspace).is_some())
    }
}

async fn pause() {
    dodona_env::clock::sleep(Duration::from_millis(100)).await;
}

async fn live(machine: Machine, shared: Arc<Shared>) -> turmoil::Result {
    let index = machine.index;
    let life = {
        let mut lives = shared.lives.lock();
        lives[index] += 1;
        lives[index]
    };
    let address = |name: &str| SocketAddr::new(turmoil::lookup(name), 7000);
    let random = machine.random.split(&format!("life {life}"));
    let env = machine.next_life(random, SimClock::new(elapsed_micros()));
    let members = Shape::flat(NODES.len(), 3).members(address);
    let settings = settings_of(members, index, SyncMode::Group { window: Duration::from_millis(20) });
    let settings = NodeSettings { recover_metadata: index == 0 && life == 2, ..settings };
    membership::enter(&env, &settings).await?;
    let node = Node::start(env, settings, builtin())?;
    node.refuse_old_data().await?;
    node.spawn_workers();
    shared.nodes.lock()[index] = Arc::downgrade(&node);
    loop {
        pause().await;
        let created = *shared.creates.lock();
        if let Some((creator, name)) = created
            && creator == index
            && node.schema().keyspace(name).is_none()
        {
            let changes = vec![SchemaChange::PutKeyspace(empty(name, simple(3)))];
            // It is tried again.
            let _ = node.change_schema(node.schema_epoch(), changes).await;
        }
    }
}

struct Story<'a> {
    sim: turmoil::Sim<'a>,
    shared: Arc<Shared>,
}

impl Story<'_> {
    fn until(&mut self, what: &str, is_so: impl Fn(&Shared) -> bool) {
        let is_so = (0..PATIENCE).any(|_| {
            self.sim.step().unwrap();
            is_so(&self.shared)
        });
        assert!(is_so, "not in time: {what}");
    }

    fn creates(&mut self, index: usize, keyspace: &'static str, known_to: &[usize]) {
        *self.shared.creates.lock() = Some((index, keyspace));
        self.until(keyspace, |shared| known_to.iter().all(|index| shared.knows(*index, keyspace)));
        *self.shared.creates.lock() = None;
    }
}

#[test]
fn those_who_were_given_up_follow_and_what_they_agreed_on_without_the_survivor_does_not_count() {
    let mut sim = network(1);
    let machines = machines(&Random::from_seed(1), &NODES, None);
    let disks = disks(&machines);
    let shared = Arc::new(Shared::default());
    for (name, machine) in NODES.into_iter().zip(machines) {
        let shared = Arc::clone(&shared);
        sim.host(name, move || live(machine.clone(), Arc::clone(&shared)));
    }
    let mut story = Story { sim, shared };
    story.creates(1, "before", &[0, 1, 2]);
    for (name, disk) in NODES.iter().zip(&disks) {
        disk.power_cut();
        story.sim.crash(*name);
    }
    story.sim.bounce("n1");
    story.creates(0, "new", &[0]);
    assert!(story.shared.knows(0, "before"));
    // The others are a majority of those who voted on the log before.
    for other in ["n2", "n3"] {
        story.sim.partition("n1", other);
        story.sim.bounce(other);
    }
    story.creates(1, "old", &[1, 2]);
    for other in ["n2", "n3"] {
        story.sim.repair("n1", other);
    }
    story.until("all follow", |shared| {
        (0..NODES.len()).all(|index| shared.knows(index, "new") && !shared.knows(index, "old"))
    });
    let all = BTreeSet::from([1, 2, 3]);
    story.until("all vote again", |shared| {
        let first = shared.nodes.lock()[0].upgrade();
        first.is_some_and(|first| first.metadata().quorums() == [all.clone()])
    });
    story.creates(2, "last", &[0, 1, 2]);
    // The survivor is no more than one of them.
    disks[0].power_cut();
    story.sim.crash("n1");
    story.creates(1, "without", &[1, 2]);
}
