//! Hints and batches that a node keeps for others when it leaves.

use crate::model::Action;
use crate::script::{Cluster, KEYS, Shared, comes_to_its_end, replicas, until};
use crate::world::mutation;
use dodona_cluster::batch_log::{Batch, Store};
use dodona_cluster::metadata::MetadataLog;
use dodona_cluster::ring::Status;
use dodona_types::Consistency;
use std::sync::Arc;
use uuid::Uuid;

const FIRST: usize = 0;
const SECOND: usize = 1;
const LAST: usize = 3;

/// The last node is lost when others have what the first one held, and it has but to go.
fn loses_the_last(shared: &Shared) {
    let departs = |first: &dyn MetadataLog| {
        first.metadata().members.values().any(|member| member.status == Status::Departing)
    };
    if !*shared.last_was_down.lock() && shared.node(FIRST).is_some_and(|first| departs(first.metadata())) {
        *shared.last_is_down.lock() = true;
    }
}

#[test]
fn what_a_node_that_leaves_keeps_for_one_that_is_down_another_one_keeps() {
    let cluster = Cluster {
        begin: 4,
        joins: 0,
        far: 0,
        copies: 3,
        grace: 864_000,
        repairs: false,
        watch: loses_the_last,
    };
    comes_to_its_end(cluster, |first, shared| async move {
        let (node, host) = (Arc::clone(&first), first.info.identity.host);
        first.env.tasks.spawn_local(async move { node.take_out(host).await.unwrap() });
        until(|| *shared.last_was_down.lock() && shared.node(LAST).is_none()).await;
        let last = first.placement().ring.members()[LAST].host;
        for key in 0..KEYS {
            let written = mutation((key, 0), first.timestamps.next(), Action::Put(7), 0);
            first.coordinator.write(std::slice::from_ref(&written), Consistency::One).await.unwrap();
        }
        until(|| first.hints.pending().contains_key(&last)).await;
        assert!(!first.has_left());
        until(|| first.has_left()).await;
        assert!(first.hints.pending().is_empty() && first.hints.counts().handed_on > 10);
        let second = shared.node(SECOND).unwrap();
        until(|| second.placement().ring.members().len() == 3).await;
        *shared.last_is_down.lock() = false;
        // By their places without the first one.
        let is_of_last = |key: &u8| replicas(&second, *key).contains(&(LAST - 1));
        until(|| (0..KEYS).filter(is_of_last).all(|key| shared.holders(key).contains(&LAST))).await;
    });
}

#[test]
fn a_batch_that_a_node_that_leaves_keeps_is_written_by_others() {
    let cluster =
        Cluster { begin: 4, joins: 0, far: 0, copies: 3, grace: 864_000, repairs: false, watch: |_| {} };
    comes_to_its_end(cluster, |first, shared| async move {
        // It is due when the node is gone.
        let written_micros = first.env.clock.wall_micros() + 60_000_000;
        let mutations = (0..2).map(|key| mutation((key, 0), 1, Action::Put(7), 0)).collect();
        let batch = Batch { id: Uuid::from_u128(1), written_micros, mutations };
        let kept = Store::new(first.env.clone(), Arc::clone(&first.engine), &first.schema());
        kept.keep(batch.id, &batch.encode()).await.unwrap();
        first.take_out(first.info.identity.host).await.unwrap();
        assert!(first.has_left() && first.env.clock.wall_micros() < written_micros);
        assert!(kept.all().await.unwrap().is_empty());
        until(|| (0..2).all(|key| shared.holders(key) == [SECOND, 2, LAST])).await;
    });
}
