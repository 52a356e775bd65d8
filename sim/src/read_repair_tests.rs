//! What is read of one replica alone is brought another one before it is shown: if the one that was asked does not take it, yet
//! another one.

use crate::script::{Cluster, KEYS, Shared, comes_to_its_end, put, until};
use crate::world::{TIMEOUTS, read_partition};
use dodona_cluster::Node;
use dodona_cluster::metadata::SchemaChange;
use dodona_types::Consistency;
use dodona_types::schema::Table;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

const THREE: Cluster =
    Cluster { begin: 3, joins: 0, far: 0, copies: 3, grace: 86_400, repairs: false, watch: |_| {} };

#[test]
fn a_replica_that_does_not_take_what_it_lacks_is_made_up_for() {
    comes_to_its_end(THREE, |first, shared| async move {
        dodona_env::clock::sleep(Duration::from_secs(3)).await;
        (0..KEYS).for_each(|key| put(&first, key));
        shared.disk(1).limit_space(Some(0));
        for key in 0..KEYS {
            let rows = read_partition(&first, key, Consistency::Quorum).await;
            assert!(rows.as_ref().is_ok_and(|rows| rows.len() == 1), "{key}: {rows:?}");
        }
        shared.disk(1).limit_space(None);
        // The second node took none.
        until(|| (0..KEYS).all(|key| shared.holders(key).contains(&2))).await;
    });
}

/// Has the table's reads send what a replica does not take of a repair to another one by this policy.
async fn set_policy(node: &Node, policy: &str) {
    let schema = node.schema();
    let mut table = Table::clone(schema.table("sim", "t").unwrap());
    table.params.additional_write_policy = policy.into();
    node.change_schema(schema.epoch, vec![SchemaChange::PutTable(Box::new(table))]).await.unwrap();
}

/// How long reads of some keys take together that one replica alone has, while the disk of another one is slow.
async fn read_beside_a_slow_one(first: &Arc<Node>, shared: &Shared, keys: Range<u8>) -> Duration {
    keys.clone().for_each(|key| put(first, key));
    shared.disk(1).slow_down(Some(Duration::from_millis(300)));
    let began = first.env.clock.mono();
    for key in keys {
        let rows = read_partition(first, key, Consistency::Quorum).await.unwrap();
        assert_eq!(rows.len(), 1);
    }
    shared.disk(1).slow_down(None);
    first.env.clock.mono() - began
}

#[test]
fn how_soon_another_replica_takes_what_a_slow_one_does_not_is_as_the_table_says() {
    comes_to_its_end(THREE, |first, shared| async move {
        dodona_env::clock::sleep(Duration::from_secs(3)).await;
        set_policy(&first, "NEVER").await;
        let never = read_beside_a_slow_one(&first, &shared, 0..KEYS / 2).await;
        set_policy(&first, "20ms").await;
        let soon = read_beside_a_slow_one(&first, &shared, KEYS / 2..KEYS).await;
        assert!(soon < never / 2, "{soon:?}, {never:?}");
    });
}

#[test]
fn a_read_that_nobody_can_make_up_for_fails_at_once() {
    comes_to_its_end(THREE, |first, shared| async move {
        dodona_env::clock::sleep(Duration::from_secs(3)).await;
        put(&first, 0);
        (1..3).for_each(|other| shared.disk(other).limit_space(Some(0)));
        let began = first.env.clock.mono();
        let refused = read_partition(&first, 0, Consistency::Quorum).await;
        assert!(refused.is_err(), "{refused:?}");
        assert!(first.env.clock.mono() - began < TIMEOUTS.write / 2, "there is nobody to wait for");
    });
}
