use super::*;
use crate::node::{Builtin, NodeSettings};
use crate::testing::run_in_folder;

#[test]
fn a_node_stops_when_one_of_its_tasks_has_panicked() {
    run_in_folder(async |env| {
        let tasks = env.tasks.clone();
        let node = Node::start(env, NodeSettings::default(), Builtin::default()).unwrap();
        let mut failure = node.watch_failure();
        node.spawn_workers();
        tasks.spawn_local(async { panic!("as a defect would") });
        let stopped = failure.wait_for(Option::is_some);
        let reason = tokio::time::timeout(Duration::from_secs(10), stopped).await.unwrap().unwrap().clone();
        assert!(reason.unwrap().starts_with("a task has panicked"));
    });
}
