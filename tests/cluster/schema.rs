//! Which schema each node says that it has: drivers wait by that until all have a change.

use crate::nodes::*;

/// The version of the schema that a node has itself.
fn own_version(node: &Node) -> String {
    last_column(&node.cql("SELECT key, schema_version FROM system.local"), "local")
}

/// The version that a node shows of another one.
fn version_of(node: &Node, peer: &Node) -> String {
    let peers = node.cql("SELECT peer_port, schema_version FROM system.peers_v2");
    last_column(&peers, &peer.place.internode.to_string())
}

fn last_column(table: &str, key: &str) -> String {
    let line = table.lines().find(|line| line.contains(key)).unwrap_or_else(|| panic!("{key}: {table}"));
    line.rsplit('|').next().unwrap().trim().to_owned()
}

#[test]
fn a_node_that_lags_behind_a_change_of_the_schema_is_shown_to_until_it_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let (nodes, _) = three(directory.path());
    nodes[0].cql(SCHEMA);
    // Once a statement has answered, whichever node is asked.
    let version = own_version(&nodes[0]);
    for node in &nodes[1..] {
        assert_eq!((own_version(node), version_of(node, &nodes[0])), (version.clone(), version.clone()));
        assert_eq!(version_of(&nodes[0], node), version);
    }
    assert_eq!(version_of(&nodes[1], &nodes[2]), version);
    nodes[2].signal("-STOP");
    nodes[0].cql("CREATE TABLE ks.later (k int PRIMARY KEY)");
    let later = own_version(&nodes[0]);
    assert_ne!(later, version);
    assert_eq!(version_of(&nodes[1], &nodes[0]), later);
    for node in &nodes[..2] {
        assert_eq!(version_of(node, &nodes[2]), version, "what it said itself");
    }
    nodes[2].signal("-CONT");
    until("all see that it has the change", || {
        nodes[..2].iter().all(|node| version_of(node, &nodes[2]) == later)
    });
    assert_eq!(own_version(&nodes[2]), later);
}
