//! Nodes whose wall clock is an hour off: one that joins, one that starts again, one whose clock jumps while it runs.

use crate::clock::SimClock;
use crate::machine::{Machine, elapsed_micros, machines};
use crate::net::network;
use crate::shape::Shape;
use crate::world::{builtin, settings_of};
use dodona_cluster::{ClusterError, Node, NodeSettings, membership};
use dodona_env::Random;
use dodona_storage::SyncMode;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The first three begin the cluster; the last one joins.
const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];
const JOINS: usize = 3;
const HOUR: i64 = 3_600_000_000;

#[derive(Default)]
struct Shared {
    nodes: Mutex<[Weak<Node>; NODES.len()]>,
    clocks: Mutex<[Option<SimClock>; NODES.len()]>,
    /// By how much the clocks of those that start are off.
    off: Mutex<i64>,
    refused: Mutex<Vec<String>>,
}

impl Shared {
    fn node(&self, index: usize) -> Option<Arc<Node>> {
        self.nodes.lock()[index].upgrade()
    }

    fn members(&self) -> usize {
        self.node(0).map_or(0, |node| node.metadata().metadata().members.len())
    }
}

async fn start(machine: &Machine, shared: &Shared) -> Result<Arc<Node>, ClusterError> {
    let address = |name: &str| SocketAddr::new(turmoil::lookup(name), 7000);
    let clock = SimClock::new(elapsed_micros() + *shared.off.lock());
    shared.clocks.lock()[machine.index] = Some(clock.clone());
    let env = machine.next_life(machine.random.split("node"), clock);
    let members = Shape::flat(NODES.len(), 3).members(address);
    let first: Vec<_> = members.iter().take(JOINS).cloned().collect();
    let own = settings_of(members, machine.index, SyncMode::Group { window: Duration::from_millis(20) });
    let joins = machine.index == JOINS;
    let settings = NodeSettings {
        members: if joins { Vec::new() } else { first },
        seeds: if joins { NODES[..JOINS].iter().map(|name| address(name)).collect() } else { Vec::new() },
        ..own
    };
    membership::enter(&env, &settings).await?;
    let node = Node::start(env, settings, builtin())?;
    node.refuse_wrong_clock().await?;
    node.spawn_workers();
    Ok(node)
}

async fn live(machine: Machine, shared: Arc<Shared>) -> turmoil::Result {
    if machine.index == JOINS {
        // Once the others are there.
        dodona_env::clock::sleep(Duration::from_secs(5)).await;
    }
    match start(&machine, &shared).await {
        Ok(node) => {
            shared.nodes.lock()[machine.index] = Arc::downgrade(&node);
            loop {
                dodona_env::clock::sleep(Duration::from_secs(1)).await;
            }
        }
        Err(error) => shared.refused.lock().push(error.to_string()),
    }
    Ok(())
}

#[test]
fn an_hour_off_is_refused_at_the_start_and_noticed_later() {
    let mut sim = network(1);
    let shared = Arc::<Shared>::default();
    for (name, machine) in NODES.into_iter().zip(machines(&Random::from_seed(1), &NODES, None)) {
        let shared = Arc::clone(&shared);
        sim.host(name, move || live(machine.clone(), Arc::clone(&shared)));
    }
    let until = |is_so: &dyn Fn() -> bool, sim: &mut turmoil::Sim<'_>| {
        let comes = (0..200_000).any(|_| {
            sim.step().unwrap();
            is_so()
        });
        assert!(comes, "it never comes so far: {:?}", shared.refused.lock());
    };
    let said = |count: usize| shared.refused.lock().len() == count;
    until(&|| (0..JOINS).all(|index| shared.node(index).is_some()), &mut sim);
    *shared.off.lock() = HOUR;
    until(&|| said(1), &mut sim);
    assert_eq!(shared.members(), JOINS, "it was not taken in");
    *shared.off.lock() = -HOUR;
    sim.crash(NODES[2]);
    sim.bounce(NODES[2]);
    until(&|| said(2), &mut sim);
    let refused = shared.refused.lock().clone();
    let about = [("3599 s ahead of", "(3 of 3 nodes"), ("3599 s behind", "(2 of 2 nodes")];
    for (reason, (offset, nodes)) in refused.iter().zip(about) {
        assert!([offset, nodes, "(NTP)"].iter().all(|part| reason.contains(part)), "{reason}");
    }
    // With the right time it starts.
    *shared.off.lock() = 0;
    sim.bounce(NODES[2]);
    until(&|| shared.node(2).is_some(), &mut sim);
    assert!(shared.node(0).unwrap().clock_offset_micros() < 1_000);
    shared.clocks.lock()[2].as_ref().unwrap().set(HOUR, 0);
    let notices = |index: usize| shared.node(index).unwrap().clock_offset_micros() > HOUR as u64 / 2;
    until(&|| (0..JOINS).all(notices), &mut sim);
}
