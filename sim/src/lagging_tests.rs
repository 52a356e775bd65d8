//! A member that lags behind the metadata log, and is asked to have a lost one replaced of which it has not heard.

use crate::clock::SimClock;
use crate::machine::{Machine, disks, elapsed_micros, machines};
use crate::net::network;
use crate::shape::Shape;
use crate::world::{builtin, settings_of};
use dodona_cluster::ring::Status;
use dodona_cluster::{Node, NodeSettings, membership};
use dodona_env::Random;
use dodona_storage::SyncMode;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;
use uuid::Uuid;

/// The first three begin the cluster; the last one joins.
const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];
const LAGS: usize = 2;
const JOINS: usize = 3;

#[derive(Default)]
struct Shared {
    nodes: Mutex<[Weak<Node>; NODES.len()]>,
    lost: Mutex<Option<Uuid>>,
    /// Why the node that joins did not start.
    refused: Mutex<Option<String>>,
}

impl Shared {
    fn node(&self, index: usize) -> Option<Arc<Node>> {
        self.nodes.lock()[index].upgrade()
    }

    /// The full members at this address, as a node knows them.
    fn knows(&self, index: usize, address: SocketAddr) -> Option<Uuid> {
        let metadata = self.node(index)?.metadata().metadata();
        let mut full = metadata.members.values().filter(|member| member.status == Status::Normal);
        full.find(|member| member.internode == address).map(|member| member.host)
    }
}

async fn live(machine: Machine, shared: Arc<Shared>) -> turmoil::Result {
    let (index, lost) = (machine.index, *shared.lost.lock());
    let address = |name: &str| SocketAddr::new(turmoil::lookup(name), 7000);
    let life = if lost.is_some() { "second life" } else { "first life" };
    let env = machine.next_life(machine.random.split(life), SimClock::new(elapsed_micros()));
    let members = Shape::flat(NODES.len(), 3).members(address);
    let first: Vec<_> = members.iter().take(JOINS).cloned().collect();
    let own = settings_of(members, index, SyncMode::Group { window: Duration::from_millis(20) });
    let settings = NodeSettings {
        members: if index == JOINS { Vec::new() } else { first },
        // Who replaces the lost one asks the member that lags first.
        seeds: [if lost.is_some() { LAGS } else { 0 }, 0].map(|seed| address(NODES[seed])).into(),
        replace: lost.map(|host| host.to_string()),
        ..own
    };
    if let Err(error) = membership::enter(&env, &settings).await {
        *shared.refused.lock() = Some(error.to_string());
        return Ok(());
    }
    let node = Node::start(env, settings, builtin())?;
    node.spawn_workers();
    shared.nodes.lock()[index] = Arc::downgrade(&node);
    while node.settle().await.is_err() {
        dodona_env::clock::sleep(Duration::from_millis(100)).await;
    }
    loop {
        dodona_env::clock::sleep(Duration::from_secs(1)).await;
    }
}

#[test]
fn a_member_that_lags_does_not_refuse_who_replaces_another() {
    let mut sim = network(1);
    let machines = machines(&Random::from_seed(1), &NODES, None);
    let (disks, shared) = (disks(&machines), Arc::<Shared>::default());
    for (name, machine) in NODES.into_iter().zip(machines) {
        let shared = Arc::clone(&shared);
        sim.host(name, move || live(machine.clone(), Arc::clone(&shared)));
    }
    let joins = SocketAddr::new(sim.lookup(NODES[JOINS]), 7000);
    let until = |is_so: &dyn Fn() -> bool, sim: &mut turmoil::Sim<'_>| {
        let comes = (0..120_000).any(|_| {
            sim.step().unwrap();
            is_so() || shared.refused.lock().is_some()
        });
        assert!(comes && is_so(), "it never comes so far: {:?}", shared.refused.lock());
    };
    let others = [0, 1, JOINS];
    others.iter().for_each(|other| sim.partition(NODES[LAGS], NODES[*other]));
    until(&|| shared.knows(0, joins).is_some(), &mut sim);
    let first = shared.knows(0, joins);
    assert!(shared.node(LAGS).is_some() && shared.knows(LAGS, joins).is_none());
    disks[JOINS].power_cut();
    sim.crash(NODES[JOINS]);
    disks[JOINS].lose_all();
    *shared.lost.lock() = first;
    sim.repair(NODES[LAGS], NODES[JOINS]);
    sim.bounce(NODES[JOINS]);
    let is_taken_in = || {
        let metadata = shared.node(0).map(|node| node.metadata().metadata());
        metadata.is_some_and(|metadata| metadata.members.values().any(|member| member.status.is_new()))
    };
    until(&is_taken_in, &mut sim);
    // It waits until those who run have heard of it.
    others.iter().for_each(|other| sim.repair(NODES[LAGS], NODES[*other]));
    until(&|| shared.knows(LAGS, joins).is_some_and(|host| Some(host) != first), &mut sim);
}
