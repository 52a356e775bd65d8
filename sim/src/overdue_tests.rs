//! What automatic repairs bring by themselves: around a replica that is down, to whoever has joined, and to replicas that a
//! keyspace has got.

use crate::model::Action;
use crate::script::{Cluster, KEYS, comes_to_its_end, put, replicas, until};
use crate::world::{TABLE, empty, mutation, simple};
use dodona_cluster::metadata::SchemaChange;
use dodona_types::Consistency;
use std::time::Duration;

/// A table with such a grace is repaired twice a minute, and one with this twice in ten days.
const SHORT_GRACE: u32 = 60;
const LONG_GRACE: u32 = 864_000;
const REPAIRING: Cluster =
    Cluster { begin: 3, joins: 0, far: 0, copies: 3, grace: LONG_GRACE, repairs: true, watch: |_| {} };

#[test]
fn a_replica_that_is_down_holds_up_its_own_ranges_alone_and_they_are_told_of() {
    let cluster = Cluster { begin: 5, joins: 0, far: 0, copies: 3, grace: SHORT_GRACE, ..REPAIRING };
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
    let cluster = Cluster { begin: 3, joins: 1, far: 0, copies: 3, grace: LONG_GRACE, ..REPAIRING };
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
    let cluster = Cluster { begin: 3, joins: 0, far: 0, copies: 1, grace: LONG_GRACE, ..REPAIRING };
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
