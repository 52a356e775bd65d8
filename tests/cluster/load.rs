//! A load that is verified while members join, leave and are killed: nothing that was acknowledged is lost.

use crate::nodes::*;
use serde_json::Value;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

/// What loads gave that ran one after another.
#[derive(Debug, Default)]
struct Loaded {
    meanwhile: u64,
    at_the_end: u64,
    connections_lost: u64,
}

/// Loads through the nodes at these places until `events` are over, and verifies everything. Nodes that come need not be there.
fn load_during(places: &[&Place], events: impl FnOnce()) -> Loaded {
    let hosts: Vec<String> = places.iter().map(|place| format!("127.0.0.1:{}", place.port)).collect();
    let (over, mut loaded) = (AtomicBool::new(false), Loaded::default());
    let once = || {
        let mut bench = Command::new(BINARY);
        bench.args(["bench", "mixed", "--verify", "--consistency", "QUORUM", "--replication-factor", "3"]);
        bench.args(["--host", &hosts.join(","), "--connections", "8", "--depth", "4", "--keys", "200"]);
        let output = bench.args(["--duration", "4", "--rate", "400", "--json"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                let figures = once();
                let count = |place: &str| figures.pointer(place).and_then(Value::as_u64).unwrap();
                for faults in ["missing", "wrong"] {
                    assert_eq!(count(&format!("/verified/meanwhile/{faults}")), 0, "{figures}");
                    assert_eq!(count(&format!("/verified/at_the_end/{faults}")), 0, "{figures}");
                }
                loaded.meanwhile += count("/verified/meanwhile/compared");
                loaded.at_the_end += count("/verified/at_the_end/compared");
                loaded.connections_lost += count("/connections_lost");
            }
        });
        // Even if it panics the load has to end.
        let came = std::panic::catch_unwind(std::panic::AssertUnwindSafe(events));
        over.store(true, Ordering::SeqCst);
        load.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        came.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    assert!(loaded.meanwhile > 0 && loaded.at_the_end > 0, "{loaded:?}");
    loaded
}

/// Waits until the load has made its table.
fn until_loaded(node: &Node) {
    let has_rows = || {
        node.try_cql("CONSISTENCY QUORUM; SELECT key FROM bench.kv LIMIT 1")
            .is_ok_and(|rows| rows.contains("(1 rows)"))
    };
    until("the load has begun", has_rows);
}

/// Waits until the load has connections to a node.
fn until_asked(node: &Node) {
    let asked = || {
        let metrics = node.place.get("/metrics");
        let count =
            metrics.lines().find_map(|line| line.strip_prefix("dodona_requests_total{opcode=\"EXECUTE\"} "));
        count.and_then(|count| count.parse::<u64>().ok())
    };
    let mut before = None;
    until("the node has clients", || asked().is_some_and(|count| count > *before.get_or_insert(count)));
}

#[test]
fn nothing_acknowledged_is_lost_while_a_node_joins_and_leaves() {
    let directory = tempfile::tempdir().unwrap();
    let (nodes, seed) = three(directory.path());
    let new = Place::new(directory.path(), "four");
    let places: Vec<&Place> = nodes.iter().map(|node| &node.place).chain([&new]).collect();
    let loaded = load_during(&places, || {
        until_loaded(&nodes[0]);
        let four = new.start(seed);
        until("all see four", || nodes.iter().chain([&four]).all(|node| node.sees_up() == 4));
        // Until loads have connections to it: they look for it when they begin.
        until_asked(&four);
        four.nodetool(&["decommission"]);
        until("all see three", || nodes.iter().all(|node| node.sees_up() == 3));
    });
    assert!(loaded.connections_lost > 0, "{loaded:?}");
}

#[test]
fn nothing_acknowledged_is_lost_while_a_node_is_killed_and_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, seed) = three(directory.path());
    let all: Vec<Place> = nodes.iter().map(|node| node.place.clone()).collect();
    let loaded = load_during(&all.iter().collect::<Vec<_>>(), || {
        until_loaded(&nodes[0]);
        for _ in 0..2 {
            until_asked(&nodes[1]);
            let killed = nodes.remove(1).kill();
            nodes[0].cql("CONSISTENCY QUORUM; SELECT count(*) FROM bench.kv");
            nodes.push(killed.start(seed));
        }
    });
    assert!(loaded.connections_lost > 0, "{loaded:?}");
}
