//! What is left of a table that is truncated.

use crate::model::Action;
use crate::script::{Cluster, comes_to_its_end};
use crate::world::{create_alike, mutation, mutation_in, read_in, simple};
use dodona_cluster::batch_log::{Batch, Store};
use dodona_types::{Consistency, TableId};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const OTHER: TableId = TableId(Uuid::from_u128(0x07e4));

#[test]
fn what_is_kept_of_batches_is_not_written_behind_a_truncation() {
    let cluster =
        Cluster { begin: 3, joins: 0, far: 0, copies: 3, grace: 864_000, repairs: false, watch: |_| {} };
    comes_to_its_end(cluster, |first, shared| async move {
        let pause = || dodona_env::clock::sleep(Duration::from_millis(200));
        while create_alike(&first, "other", OTHER, simple(3), |_| {}).await.is_err() {
            pause().await;
        }
        // As if it had not heard that they are written. They are due behind the truncation.
        let keeper = shared.node(1).unwrap();
        let kept = Store::new(keeper.env.clone(), Arc::clone(&keeper.engine), &keeper.schema());
        let written_micros = keeper.env.clock.wall_micros() + 30_000_000;
        let put = |key: u8| mutation((key, 0), 1, Action::Put(7), 0);
        let of_both = vec![put(0), mutation_in(OTHER, (1, 0), 1, Action::Put(7), 0)];
        for (id, mutations) in [(1, vec![put(2), put(3)]), (2, of_both)] {
            let batch = Batch { id: Uuid::from_u128(id), written_micros, mutations };
            kept.keep(batch.id, &batch.encode()).await.unwrap();
        }
        while first.coordinator.truncate(crate::world::TABLE).await.is_err() {
            pause().await;
        }
        assert!(keeper.env.clock.wall_micros() < written_micros);
        assert_eq!(kept.all().await.unwrap().len(), 1, "the other table's part");
        let of_other = async || read_in(&first, OTHER, 1, Consistency::All).await.unwrap_or_default();
        while of_other().await.is_empty() {
            pause().await;
        }
        assert!(keeper.env.clock.wall_micros() > written_micros);
        assert!((0..4).all(|key| shared.holders(key).is_empty()));
    });
}
