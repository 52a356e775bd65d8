use super::*;
use crate::coordinator::hint_sink::HintSink;
use crate::coordinator::plan::tests::{BOTH, Dead, TABLE, placement};
use crate::coordinator::{Local, Others, Timeouts};
use crate::counter::Leader;
use crate::replica::Replica;
use crate::snapshots::{AutoSnapshot, Snapshots};
use crate::table_settings::table_settings;
use crate::testing::run;
use crate::timestamp::Timestamps;
use crate::transport::{Introduction, Link, Peers};
use arc_swap::ArcSwap;
use dodona_storage::{Engine, EngineSettings};
use dodona_types::key::ROW_END;
use dodona_types::mutation::live_cell;
use dodona_types::row::RowHeader;
use dodona_types::{ColumnId, MutationBuilder};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// Counts the hints of each host, as long as there is room.
#[derive(Default)]
pub(crate) struct Kept(pub(crate) Mutex<BTreeMap<u128, usize>>, AtomicBool);

impl HintSink for Kept {
    fn hint(&self, host: Uuid, _: &[u8], _: u64) -> bool {
        let is_full = self.1.load(Ordering::Relaxed);
        if !is_full {
            *self.0.lock().entry(host.as_u128()).or_default() += 1;
        }
        !is_full
    }
}

/// Member 0 of six, each of which holds everything. Nobody listens where the others should be.
pub(crate) fn coordinator_of(directory: &std::path::Path, dead: &[u128]) -> (Coordinator, Arc<Kept>) {
    coordinator_with(directory, dead, EngineSettings::default())
}

fn coordinator_with(
    directory: &std::path::Path,
    dead: &[u128],
    settings: EngineSettings,
) -> (Coordinator, Arc<Kept>) {
    let env = dodona_env::os::env(directory).unwrap();
    let placement = placement(BOTH, &[]);
    let tables = placement.schema.tables().map(|table| table_settings(table, false).unwrap()).collect();
    let host = Uuid::from_u128(0);
    let engine = Arc::new(Engine::open(env.clone(), settings, host, tables).unwrap().0);
    let placement = Arc::new(ArcSwap::from_pointee(placement));
    let snapshots = Snapshots::new(env.clone(), Arc::clone(&engine), AutoSnapshot::default(), None);
    let replica =
        Arc::new(Replica::new(Arc::clone(&engine), env.clone(), Arc::clone(&placement), snapshots, 0));
    let leader = Leader::new(env.clone(), Arc::clone(&engine), host);
    let hints = Arc::new(Kept::default());
    let others = Others {
        peers: Arc::new(Peers::new(Link::plain(env.clone(), Introduction::new(Uuid::from_u128(9), host)))),
        liveness: Arc::new(Dead(dead.to_vec())),
        hints: Arc::clone(&hints) as Arc<dyn HintSink>,
    };
    let timestamps = Arc::new(Timestamps::new(Arc::clone(&env.clock)));
    let (write, read) = (Duration::from_millis(500), Duration::from_millis(300));
    let timeouts = Timeouts { write, read, ..Timeouts::default() };
    let batches =
        Arc::new(crate::batch_log::Store::new(env.clone(), Arc::clone(&engine), &placement.load().schema));
    (
        Coordinator::new(
            env,
            Local { engine, replica, leader: Arc::new(leader), batches },
            others,
            placement,
            timeouts,
            timestamps,
        ),
        hints,
    )
}

pub(crate) fn mutation(key: u8) -> Vec<u8> {
    let mut builder = MutationBuilder::new();
    builder.begin(TABLE, 1, &[key]);
    builder.row(&[ROW_END], 1, &RowHeader::EMPTY, |row| row.push_cell(&live_cell(ColumnId(0), 1, b"v")));
    builder.view().bytes().to_vec()
}

#[test]
fn the_dead_get_hints_which_are_enough_for_any() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let (coordinator, hints) = coordinator_of(directory.path(), &[1, 2, 3, 4, 5]);
        let mutations = [mutation(1), mutation(2)];
        coordinator.write(&mutations, Consistency::Any).await.unwrap();
        assert_eq!(*hints.0.lock(), (1..=5).map(|host| (host, 2)).collect());
        let refused = coordinator.write(&mutations, Consistency::Two).await;
        assert!(
            matches!(refused, Err(ClusterError::Unavailable { required: 2, alive: 1, .. })),
            "{refused:?}"
        );
        assert_eq!(hints.0.lock().values().sum::<usize>(), 10, "nothing is left of a write that is refused");
    });
}

#[test]
fn a_hint_that_is_refused_is_not_enough_for_any() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let settings = EngineSettings { memtable_bytes: 1_000, ..EngineSettings::default() };
        let (coordinator, hints) = coordinator_with(directory.path(), &[1, 2, 3], settings);
        // Nobody flushes, so that this node does not take it either; nobody listens where 4 and 5 are.
        for key in (0..).take_while(|_| !coordinator.engine.must_wait()) {
            coordinator.engine.apply(&[MutationView::parse(&mutation(key)).unwrap()]).unwrap();
        }
        coordinator.write(&[mutation(1)], Consistency::Any).await.unwrap();
        hints.1.store(true, Ordering::Relaxed);
        let refused = coordinator.write(&[mutation(1)], Consistency::Any).await;
        assert!(
            matches!(refused, Err(ClusterError::WriteTimeout { received: 0, block_for: 1, .. })),
            "{refused:?}"
        );
    });
}

#[test]
fn those_that_do_not_answer_get_hints_and_do_not_count() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let (coordinator, hints) = coordinator_of(directory.path(), &[]);
        coordinator.write(&[mutation(1)], Consistency::One).await.unwrap();
        let late = coordinator.write(&[mutation(2)], Consistency::Quorum).await;
        assert!(
            matches!(late, Err(ClusterError::WriteTimeout { received: 1, block_for: 4, .. })),
            "{late:?}"
        );
        let all: BTreeMap<u128, usize> = (1..=5).map(|host| (host, 2)).collect();
        let hinted = async {
            while *hints.0.lock() != all {
                dodona_env::clock::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), hinted).await.unwrap();
    });
}

#[test]
fn a_node_that_has_no_room_in_time_gets_a_hint_as_others_do() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let settings = EngineSettings { memtable_bytes: 1_000, ..EngineSettings::default() };
        let (coordinator, hints) = coordinator_with(directory.path(), &[1, 2, 3, 4, 5], settings);
        // Nobody flushes.
        for key in (0..).take_while(|_| !coordinator.engine.must_wait()) {
            coordinator.engine.apply(&[MutationView::parse(&mutation(key)).unwrap()]).unwrap();
        }
        coordinator.write(&[mutation(1)], Consistency::Any).await.unwrap();
        assert_eq!(*hints.0.lock(), (0..=5).map(|host| (host, 1)).collect());
    });
}
