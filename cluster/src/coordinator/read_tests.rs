use super::*;
use crate::coordinator::plan::tests::TABLE;
use crate::coordinator::write::tests::{coordinator_of, mutation};
use dodona_types::{MutationView, PartitionKey};
use std::sync::mpsc::channel;

#[test]
fn a_read_does_not_wait_for_this_nodes_disk_for_longer_than_for_others() {
    let directory = tempfile::tempdir().unwrap();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let (coordinator, _) = coordinator_of(directory.path(), &[1, 2, 3, 4, 5]);
        coordinator.engine.apply(&[MutationView::parse(&mutation(1)).unwrap()]).unwrap();
        coordinator.engine.flush_all().unwrap();
        let read = || {
            let partition = PartitionSelection::Key(PartitionKey::new(vec![1].into()));
            let command = ReadCommand::everything(TABLE, 1, partition, coordinator.env.clock.wall_seconds());
            coordinator.read_page(command, Consistency::One, usize::MAX)
        };
        // Nothing else comes to the disk meanwhile.
        let (go, may_go) = channel::<()>();
        let tasks = coordinator.env.tasks.clone();
        let busy = async move { assert!(tasks.blocking(move || may_go.recv().is_ok()).await.is_ok()) };
        coordinator.env.tasks.spawn_local(busy);
        tokio::task::yield_now().await;
        let late = read().await;
        let expected = matches!(
            late,
            Err(ClusterError::ReadTimeout { received: 0, block_for: 1, data_present: false, .. })
        );
        assert!(expected, "{late:?}");
        go.send(()).unwrap();
        assert!(!read().await.unwrap().bytes.is_empty());
    });
}
