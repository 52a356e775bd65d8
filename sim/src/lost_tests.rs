//! Members that lose their disks while they move or leave, at a step that others rely on already, and are replaced or removed.

use crate::clock::SimClock;
use crate::machine::{Machine, disks, elapsed_micros, machines};
use crate::model::Action;
use crate::net::network;
use crate::shape::Shape;
use crate::world::{builtin, create_table, mutation, read_partition, settings_of, simple};
use dodona_cluster::ring::Status;
use dodona_cluster::{Node, NodeSettings, membership};
use dodona_env::Random;
use dodona_storage::SyncMode;
use dodona_types::{Consistency, Token};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;
use uuid::Uuid;

const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];
/// Who is lost.
const LOST: usize = 3;
const PARTITIONS: u8 = 20;
/// Milliseconds within which a step has to be there, and within which all comes to its end.
const PATIENCE: u32 = 300_000;

/// What the member does, at which step it is lost, and whether another one takes its place.
#[derive(Clone, Copy, Debug)]
struct Case {
    moves: bool,
    lost_at: Status,
    is_replaced: bool,
}

struct Shared {
    case: Case,
    nodes: Mutex<[Weak<Node>; NODES.len()]>,
    is_written: Mutex<bool>,
    /// The host id of the member that was lost.
    lost: Mutex<Option<Uuid>>,
    is_right: Mutex<bool>,
}

impl Shared {
    fn node(&self, index: usize) -> Option<Arc<Node>> {
        self.nodes.lock()[index].upgrade()
    }
}

async fn pause() {
    dodona_env::clock::sleep(Duration::from_millis(100)).await;
}

async fn live(machine: Machine, shared: Arc<Shared>) -> turmoil::Result {
    let (index, lost) = (machine.index, *shared.lost.lock());
    let address = |name: &str| SocketAddr::new(turmoil::lookup(name), 7000);
    let life = if lost.is_some() { "second life" } else { "first life" };
    let env = machine.next_life(machine.random.split(life), SimClock::new(elapsed_micros()));
    let members = Shape::flat(NODES.len(), 3).members(address);
    let begun = settings_of(members, index, SyncMode::Group { window: Duration::from_millis(20) });
    let settings = NodeSettings {
        members: if lost.is_some() { Vec::new() } else { begun.members.clone() },
        seeds: NODES.iter().map(|name| address(name)).collect(),
        replace: lost.map(|host| host.to_string()),
        ..begun
    };
    membership::enter(&env, &settings).await?;
    let node = Node::start(env, settings, builtin())?;
    node.refuse_old_data().await?;
    node.spawn_workers();
    shared.nodes.lock()[index] = Arc::downgrade(&node);
    while node.settle().await.is_err() {
        pause().await;
    }
    match index {
        0 => write_and_watch(&node, &shared).await?,
        LOST if lost.is_none() => {
            while !*shared.is_written.lock() {
                pause().await;
            }
            // It does not come to its end.
            let _ = if shared.case.moves {
                node.move_to((1..=4).map(|part| Token(i64::MAX / 5 * part)).collect()).await
            } else {
                node.take_out(node.info.identity.host).await
            };
        }
        _ => {}
    }
    loop {
        pause().await;
    }
}

/// Writes rows, has the lost member removed unless another one takes its place, and reads them again once all is over.
async fn write_and_watch(node: &Arc<Node>, shared: &Shared) -> turmoil::Result {
    while create_table(node, simple(3), 86_400).await.is_err() || node.schema().table("sim", "t").is_none() {
        pause().await;
    }
    for partition in 0..PARTITIONS {
        let written = mutation((partition, 0), 1, Action::Put(partition.into()), 0);
        while node.coordinator.write(std::slice::from_ref(&written), Consistency::Quorum).await.is_err() {
            pause().await;
        }
    }
    *shared.is_written.lock() = true;
    let host = loop {
        pause().await;
        if let Some(host) = *shared.lost.lock() {
            break host;
        }
    };
    while !shared.case.is_replaced && node.take_out(host).await.is_err() {
        pause().await;
        if node.metadata().metadata().member(host).is_none() {
            break;
        }
    }
    while !is_over(shared, host) {
        pause().await;
    }
    for partition in 0..PARTITIONS {
        let rows = loop {
            match read_partition(node, partition, Consistency::All).await {
                Ok(rows) => break rows,
                Err(_) => pause().await,
            }
        };
        assert_eq!(rows.get(&0), Some(&(1, u64::from(partition))), "{:?}", shared.case);
    }
    *shared.is_right.lock() = true;
    Ok(())
}

/// True if all nodes that run know that nobody joins, moves or leaves, and that the lost member is none.
fn is_over(shared: &Shared, host: Uuid) -> bool {
    let expected = if shared.case.is_replaced { NODES.len() } else { NODES.len() - 1 };
    (0..expected).all(|index| {
        shared.node(index).is_some_and(|node| {
            let metadata = node.metadata().metadata();
            let all_stay = metadata.members.values().all(|member| member.status == Status::Normal);
            all_stay && metadata.members.len() == expected && metadata.member(host).is_none()
        })
    })
}

fn comes_to_its_end(case: Case) {
    let mut sim = network(1);
    let machines = machines(&Random::from_seed(1), &NODES, None);
    let disks = disks(&machines);
    let shared = Arc::new(Shared {
        case,
        nodes: Mutex::default(),
        is_written: Mutex::default(),
        lost: Mutex::default(),
        is_right: Mutex::default(),
    });
    for (name, machine) in NODES.into_iter().zip(machines) {
        let shared = Arc::clone(&shared);
        sim.host(name, move || live(machine.clone(), Arc::clone(&shared)));
    }
    let until = |is_so: &dyn Fn() -> bool, sim: &mut turmoil::Sim<'_>| {
        (0..PATIENCE).any(|_| {
            sim.step().unwrap();
            is_so()
        })
    };
    let host = Shape::flat(NODES.len(), 3).members(|_| SocketAddr::from(([127, 0, 0, 1], 1)))[LOST].host;
    let stands = || {
        let seen = shared.node(0).map(|node| node.metadata().metadata());
        seen.and_then(|metadata| Some(metadata.member(host)?.status)) == Some(case.lost_at)
    };
    assert!(until(&stands, &mut sim), "{case:?}: it never comes so far");
    disks[LOST].power_cut();
    sim.crash(NODES[LOST]);
    disks[LOST].lose_all();
    *shared.lost.lock() = Some(host);
    if case.is_replaced {
        sim.bounce(NODES[LOST]);
    }
    assert!(until(&|| *shared.is_right.lock(), &mut sim), "{case:?} does not come to its end");
}

#[test]
fn one_that_has_moved_already_is_replaced_or_removed() {
    comes_to_its_end(Case { moves: true, lost_at: Status::Moved, is_replaced: true });
    comes_to_its_end(Case { moves: true, lost_at: Status::Moved, is_replaced: false });
}

#[test]
fn one_that_still_moves_is_replaced_or_removed() {
    comes_to_its_end(Case { moves: true, lost_at: Status::Moving, is_replaced: true });
    comes_to_its_end(Case { moves: true, lost_at: Status::Moving, is_replaced: false });
}

#[test]
fn one_that_leaves_is_replaced_or_removed() {
    comes_to_its_end(Case { moves: false, lost_at: Status::Leaving, is_replaced: true });
    comes_to_its_end(Case { moves: false, lost_at: Status::Leaving, is_replaced: false });
    comes_to_its_end(Case { moves: false, lost_at: Status::Departing, is_replaced: false });
}
