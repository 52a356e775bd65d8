use super::*;
use crate::coordinator::write::tests::{coordinator_of, mutation};
use crate::testing::run;
use dodona_types::PartitionKey;
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use std::time::Duration;

const LONG_AGO: Duration = Duration::from_secs(3_600);

fn batch(coordinator: &Coordinator, id: u128, keys: [u8; 2]) -> Batch {
    let written_micros = coordinator.env.clock.wall_micros() - LONG_AGO.as_micros() as i64;
    Batch { id: Uuid::from_u128(id), written_micros, mutations: keys.map(mutation).to_vec() }
}

/// The keys of which this node has a row.
fn held(coordinator: &Coordinator) -> Vec<u8> {
    let holds = |key: &u8| {
        let partition = PartitionSelection::Key(PartitionKey::new(vec![*key].into()));
        let table = crate::coordinator::plan::tests::TABLE;
        let command = ReadCommand::everything(table, 1, partition, coordinator.env.clock.wall_seconds());
        !coordinator.engine.read_page(&command, usize::MAX).unwrap().bytes.is_empty()
    };
    (1..=9).filter(holds).collect()
}

#[test]
fn batches_that_wait_for_others_are_made_here_and_kept_on() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let (coordinator, hints) = coordinator_of(directory.path(), &[1, 2, 3, 4, 5]);
        for (id, keys) in [(1, [1, 2]), (2, [3, 4]), (3, [5, 6])] {
            let batch = batch(&coordinator, id, keys);
            coordinator.batches.keep(batch.id, &batch.encode()).await.unwrap();
        }
        let refused = coordinator.replay_batches().await;
        assert!(matches!(refused, Err(ClusterError::Unavailable { .. })), "{refused:?}");
        assert_eq!(held(&coordinator), [1, 2, 3, 4, 5, 6]);
        assert_eq!(coordinator.batches.all().await.unwrap().len(), 3);
        assert!(hints.0.lock().is_empty(), "they are made again until those are back");
    });
}

#[test]
fn a_batch_of_which_a_part_cannot_be_written_is_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let (coordinator, _) = coordinator_of(directory.path(), &[1, 2, 3, 4]);
        let batch = [mutation(1), mutation(2)];
        let refused = coordinator.write_logged(&batch, Consistency::Quorum).await;
        assert!(matches!(refused, Err(ClusterError::Unavailable { required: 4, .. })), "{refused:?}");
        assert!(coordinator.batches.all().await.unwrap().is_empty());
    });
}

#[test]
fn at_any_this_node_keeps_a_batch_if_nobody_else_is_alive() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let (coordinator, _) = coordinator_of(directory.path(), &[1, 2, 3, 4, 5]);
        let batch = [mutation(1), mutation(2)];
        let refused = coordinator.write_logged(&batch, Consistency::One).await;
        assert!(
            matches!(refused, Err(ClusterError::Unavailable { required: 1, alive: 0, .. })),
            "{refused:?}"
        );
        coordinator.write_logged(&batch, Consistency::Any).await.unwrap();
        assert_eq!(coordinator.batches.all().await.unwrap().len(), 1, "hints may be all there is");
        assert_eq!(held(&coordinator), [1, 2]);
    });
}
