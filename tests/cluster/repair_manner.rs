//! Which replicas take part in a repair, and which at the same time.

use crate::nodes::*;

/// Two nodes in `a` and one in `b`.
fn two_data_centers(directory: &std::path::Path) -> (Vec<Node>, u16) {
    let places = ["one", "two", "three"].map(|name| Place::new(directory, name));
    let seed = places[0].internode;
    let nodes: Vec<Node> = places
        .iter()
        .zip(["a", "a", "b"])
        .map(|(place, data_center)| place.start_with(seed, &["--dc", data_center]))
        .collect();
    until("all see all", || nodes.iter().all(|node| node.sees_up() == 3));
    (nodes, seed)
}

/// Ranges that a repair has compared.
fn compared(outcome: &str) -> usize {
    let line = outcome.lines().find(|line| line.contains(" ranges compared")).expect(outcome);
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_repair_goes_by_data_centers_as_it_is_asked_to() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, seed) = two_data_centers(directory.path());
    nodes[0].cql(
        "CREATE KEYSPACE ks WITH replication = {'class': 'NetworkTopologyStrategy', 'a': 2, 'b': 1}; \
         CREATE TABLE ks.t (k int PRIMARY KEY, v text)",
    );
    // What the third misses no hint brings to it.
    nodes.iter().for_each(|node| drop(node.nodetool(&["disablehandoff"])));
    let lost = nodes.pop().unwrap().kill();
    until_within(UNTIL_DEAD, "it is taken for dead", || nodes.iter().all(|node| node.sees_up() == 2));
    nodes[0].fill("LOCAL_QUORUM", 100);

    // The ranges of each of a data centre's nodes are all of them once, also while another one is down.
    let local = |node: &Node| compared(&node.nodetool(&["repair", "-full", "-pr", "-local", "ks.t"]));
    let ranges = local(&nodes[0]);
    assert!((1..48).contains(&ranges), "{ranges}");
    assert_eq!(ranges + local(&nodes[1]), 48);
    for others in [["-dc", "a"], ["-dc", "b"], ["-hosts", "127.0.0.1"]] {
        let refused = nodes[0].run("nodetool", &[&["repair", "-pr", "ks.t"], &others[..]].concat());
        let refused = String::from_utf8(refused.stderr).unwrap();
        assert!(refused.contains("Primary range repair should be performed on all nodes"), "{refused}");
    }
    let both = nodes[0].run("nodetool", &["repair", "-dc", "a", "-hosts", "127.0.0.1", "ks.t"]);
    assert!(String::from_utf8(both.stderr).unwrap().contains("Cannot combine -dc and -hosts options."));

    let back = lost.start_with(seed, &["--dc", "b"]);
    until("all see it again", || nodes.iter().all(|node| node.sees_up() == 3));
    let outcome = nodes[0].nodetool(&["repair", "-full", "-dcpar", "-os", "-iuk", "ks.t"]);
    assert!(outcome.contains("parts differed") && compared(&outcome) == 48, "{outcome}");
    let manner = nodes[0].cql("SELECT options_parallelism FROM system_views.repairs");
    assert!(manner.contains("DATACENTER_AWARE"), "{manner}");
    // Nothing but what the node itself has: the others are gone.
    nodes.clear();
    let count = back.cql("CONSISTENCY LOCAL_ONE; SELECT count(*) FROM ks.t");
    assert!(count.lines().any(|line| line.trim() == "100"), "{count}");
}
