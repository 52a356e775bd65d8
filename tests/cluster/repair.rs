//! Repairs: what they bring back, what they compare, and what they leave as it is.

use crate::nodes::*;

/// What a node says of its part of `ks.t`.
fn statistic(node: &Node, name: &str) -> String {
    let text = node.nodetool(&["tablestats", "ks.t"]);
    let line = text.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{text}"));
    line.split_once(": ").unwrap().1.to_owned()
}

fn repaired(node: &Node) -> String {
    statistic(node, "Percent repaired")
}

#[test]
fn what_a_node_has_lost_a_repair_brings_back() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, seed) = three(directory.path());
    nodes[0].cql(SCHEMA);
    nodes[0].fill("ALL", 300);
    nodes[0].cql("DELETE FROM ks.t WHERE k = 7");
    let refused = nodes[0].run("nodetool", &["repair", "system"]);
    assert!(String::from_utf8(refused.stderr).unwrap().contains("nothing to repair"));
    assert!(nodes[0].nodetool(&["repair", "--full", "ks"]).contains("ks.t: 48 ranges compared, in sync"));
    // All that it has of the table is in its log.
    let lost = nodes.pop().unwrap().kill();
    let down = nodes[0].run("nodetool", &["repair", "--full", "ks.t"]);
    let down = String::from_utf8(down.stderr).unwrap();
    assert!(down.contains(&format!("127.0.0.1:{}", lost.internode)), "{down}");
    std::fs::remove_dir_all(lost.data.join("commitlog")).unwrap();
    let back = lost.start(seed);
    until("all see it again", || nodes.iter().chain([&back]).all(|node| node.sees_up() == 3));
    let count = |node: &Node| node.cql("CONSISTENCY ONE; SELECT count(*) FROM ks.t");
    let preview = nodes[1].nodetool(&["repair", "--preview", "--full", "ks", "t"]);
    assert!(preview.contains("parts differ\n") && preview.contains("Preview completed"), "{preview}");
    // Each range once, by the first replica of each.
    let repaired: Vec<String> =
        nodes.iter().chain([&back]).map(|node| node.nodetool(&["repair", "-pr", "-full", "ks.t"])).collect();
    assert!(repaired.iter().all(|text| text.contains("16 ranges compared, ")), "{repaired:?}");
    assert!(repaired.iter().all(|text| text.contains("parts differed, ")), "{repaired:?}");
    assert!(back.nodetool(&["repair", "--full", "ks"]).contains("ks.t: 48 ranges compared, in sync"));
    assert!(back.nodetool(&["autorepairstatus"]).contains("Automatic repair: running\nks.n: repaired 2"));
    nodes.clear();
    assert!(count(&back).lines().any(|line| line.trim() == "299"), "{}", count(&back));
}

#[test]
fn an_incremental_repair_compares_what_is_not_repaired_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, seed) = three(directory.path());
    nodes[0].cql(SCHEMA);
    nodes[0].fill("ALL", 300);
    assert_eq!(repaired(&nodes[0]), "0.0");
    assert!(nodes[0].nodetool(&["repair", "ks", "t"]).contains("in sync"));
    for node in &nodes {
        assert_eq!((repaired(node), statistic(node, "Bytes pending repair")), ("100.0".into(), "0".into()));
    }
    // What one node misses, and gets no hint of.
    let place = nodes.pop().unwrap().kill();
    nodes[0].cql(
        "CONSISTENCY QUORUM; DELETE FROM ks.t WHERE k = 7; INSERT INTO ks.t (k, v) VALUES (1000, 'new')",
    );
    for node in std::mem::take(&mut nodes) {
        let place = node.kill();
        std::fs::remove_dir_all(place.data.join("hints")).unwrap();
        nodes.push(place.start(seed));
    }
    let behind = place.start(seed);
    until("all see one another", || nodes.iter().chain([&behind]).all(|node| node.sees_up() == 3));
    assert_eq!(repaired(&behind), "100.0", "a start does not forget that");
    let preview = behind.nodetool(&["repair", "--preview", "ks", "t"]);
    assert!(preview.contains("2 parts differ"), "{preview}");
    let outcome = behind.nodetool(&["repair", "ks", "t"]);
    assert!(outcome.contains("2 parts differed, 2 partitions"), "{outcome}");
    let validated = nodes[0].nodetool(&["repair", "--validate", "ks", "t"]);
    assert!(validated.contains("in sync") && validated.contains("Preview completed"), "{validated}");
    for node in nodes.iter().chain([&behind]) {
        assert_eq!(repaired(node), "100.0");
    }
    behind.nodetool(&["compact", "ks", "t"]);
    assert_eq!(repaired(&behind), "100.0");
    let place = behind.kill();
    nodes.clear();
    let alone = place.start(seed);
    let count = alone.cql("CONSISTENCY ONE; SELECT count(*) FROM ks.t; SELECT v FROM ks.t WHERE k = 1000");
    assert!(["300", "new"].iter().all(|value| count.lines().any(|line| line.trim() == *value)), "{count}");
}

#[test]
fn whoever_joins_or_replaces_another_has_as_repaired_what_is() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, seed) = three(directory.path());
    nodes[0].cql(SCHEMA);
    nodes[0].fill("ALL", 300);
    assert!(nodes[0].nodetool(&["repair", "ks", "t"]).contains("in sync"));
    let fourth = Place::new(directory.path(), "four").start(seed);
    until("all see four", || nodes.iter().chain([&fourth]).all(|node| node.sees_up() == 4));
    assert_eq!(repaired(&fourth), "100.0");
    for node in nodes.iter().chain([&fourth]) {
        let outcome = node.nodetool(&["repair", "ks", "t"]);
        assert!(outcome.contains("in sync"), "nothing is compared, and nothing fetched: {outcome}");
    }
    let validated = fourth.nodetool(&["repair", "--validate", "ks", "t"]);
    assert!(validated.contains("in sync"), "{validated}");
    // What is new is unrepaired with whoever takes another one's place, and the rest is not.
    nodes[0]
        .cql("CONSISTENCY ALL; INSERT INTO ks.t (k, v) VALUES (1000, 'new'); DELETE FROM ks.t WHERE k = 7");
    let lost = nodes.pop().unwrap().kill();
    let status = nodes[0].nodetool(&["status", "system_traces"]);
    let line = status.lines().find(|line| line.contains(&format!(":{} ", lost.internode))).unwrap();
    let host = line.split_whitespace().rev().nth(1).unwrap().to_owned();
    let is_down = |node: &Node| node.nodetool(&["status", "system_traces"]).contains("\nDN  ");
    until_within(UNTIL_DEAD, "it is seen to be down", || nodes.iter().chain([&fourth]).all(is_down));
    let place = Place { data: directory.path().join("new"), ..lost };
    let new = place.start_with(seed, &["--replace", &host]);
    nodes.extend([fourth, new]);
    until("all see four again", || nodes.iter().all(|node| node.sees_up() == 4));
    for node in &nodes {
        let outcome = node.nodetool(&["repair", "ks", "t"]);
        assert!(outcome.contains("in sync"), "all had it: {outcome}");
    }
    assert!(nodes.iter().all(|node| repaired(node) == "100.0"));
    let full = nodes[3].nodetool(&["repair", "--full", "ks", "t"]);
    assert!(full.contains("in sync"), "{full}");
    let count = nodes[3].cql("CONSISTENCY ALL; SELECT count(*) FROM ks.t");
    assert!(count.lines().any(|line| line.trim() == "300"), "{count}");
}
