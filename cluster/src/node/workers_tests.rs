use super::*;
use crate::node::{Builtin, NodeSettings};

/// Runs a test with the runtime that a server's thread has.
fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

#[test]
fn a_node_stops_when_one_of_its_tasks_has_panicked() {
    let folder = tempfile::tempdir().unwrap();
    local(async {
        let env = dodona_env::os::env(folder.path()).unwrap();
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
