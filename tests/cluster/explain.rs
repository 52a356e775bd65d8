//! EXPLAIN on several nodes: who it says is asked, written to or down is who is.

use crate::nodes::*;
use std::collections::BTreeSet;

/// A row: what, source, detail, partition.
type Line = [String; 4];

impl Node {
    fn explain(&self, level: &str, statement: &str) -> Vec<Line> {
        let answer = self.cql(&format!("CONSISTENCY {level}; EXPLAIN {statement}"));
        let rows = answer.lines().filter_map(|line| {
            let cells: Vec<&str> = line.split(" | ").map(str::trim).collect();
            cells[0].parse::<usize>().ok()?;
            Some([1, 2, 3, 4].map(|cell| cells[cell].to_owned()))
        });
        let rows: Vec<Line> = rows.collect();
        assert!(!rows.is_empty(), "{answer}");
        rows
    }

    fn internode(&self) -> String {
        format!("127.0.0.1:{}", self.place.internode)
    }

    /// Where the replicas of a partition are, as `nodetool` tells.
    fn replicas(&self, key: u32) -> BTreeSet<String> {
        let told = self.nodetool(&["getendpoints", "ks", "t", &key.to_string()]);
        told.lines().map(str::to_owned).collect()
    }
}

/// Source and detail of the rows about something.
fn about<'a>(lines: &'a [Line], what: &str) -> Vec<(&'a str, &'a str)> {
    lines.iter().filter(|line| line[0] == what).map(|line| (&*line[1], &*line[2])).collect()
}

fn has(lines: &[Line], what: &str) -> bool {
    !about(lines, what).is_empty()
}

fn sources(lines: &[Line], what: &str) -> BTreeSet<String> {
    about(lines, what).into_iter().map(|(source, _)| source.to_owned()).collect()
}

const KEYS: std::ops::Range<u32> = 0..6;

/// The schema with so many replicas.
fn schema(replicas: u32) -> String {
    SCHEMA.replace("'replication_factor': 3", &format!("'replication_factor': {replicas}"))
}

#[test]
fn each_node_names_the_replicas_of_reads_and_what_it_would_read_itself() {
    let directory = tempfile::tempdir().unwrap();
    let (nodes, _) = three(directory.path());
    nodes[0].cql(&schema(2));
    nodes[0].fill("ALL", 6);
    for node in &nodes {
        for key in KEYS {
            let replicas = node.replicas(key);
            let is_here = replicas.contains(&node.internode());
            let read = format!("SELECT * FROM ks.t WHERE k = {key}");
            for (level, must) in [("ONE", 1), ("QUORUM", 2), ("ALL", 2)] {
                let lines = node.explain(level, &read);
                assert_eq!(sources(&lines, "replica"), replicas, "{lines:#?}");
                let told = about(&lines, "partition")[0].1;
                let wanted = format!("{must} of 2 replicas must answer at {level}");
                assert!(told.ends_with(&wanted), "{told}");
                let asked = about(&lines, "replica");
                let data = asked.iter().filter(|(_, role)| role.starts_with("asked for data")).count();
                let digests = asked.iter().filter(|(_, role)| role.starts_with("asked for a digest")).count();
                let here = asked.iter().filter(|(_, role)| *role == "read here").count();
                assert_eq!((data + here, digests), (1, must - 1), "{lines:#?}");
                assert_eq!(here == 1, is_here && must == 1, "{lines:#?}");
                for (source, role) in asked {
                    let own = role.ends_with("this node") || role == "read here";
                    assert_eq!(own, source == node.internode(), "{lines:#?}");
                }
                // What it would look into it tells of itself alone, and only if it is asked.
                assert_eq!(has(&lines, "memtable"), is_here, "{lines:#?}");
                assert_eq!(has(&lines, "elsewhere"), !is_here || must == 2, "{lines:#?}");
                assert!(!has(&lines, "error"), "{lines:#?}");
            }
            let lines = node.explain("THREE", &read);
            assert!(about(&lines, "error")[0].1.contains("THREE"), "{lines:#?}");
            assert!(about(&lines, "replica").iter().all(|(_, role)| role.starts_with("not asked")));
            assert!(!has(&lines, "memtable") && !has(&lines, "elsewhere"), "{lines:#?}");
        }
        let lines = node.explain("ONE", "SELECT * FROM ks.t");
        let count = |text: &str| text.split(' ').find_map(|word| word.parse::<usize>().ok()).unwrap();
        let parts = count(about(&lines, "range")[0].1);
        let asked: usize = about(&lines, "replica").iter().map(|(_, detail)| count(detail)).sum();
        assert_eq!(asked, parts, "{lines:#?}");
        assert!(has(&lines, "elsewhere") && has(&lines, "memtable"), "{lines:#?}");
        assert!(sources(&lines, "replica").contains(&node.internode()), "{lines:#?}");
    }
}

#[test]
fn writes_and_batches_name_who_is_written_to_who_is_down_and_who_keeps_them() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, _) = three(directory.path());
    nodes[0].cql(&schema(2));
    let all: BTreeSet<String> = nodes.iter().map(Node::internode).collect();
    let written = |lines: &[Line]| {
        about(lines, "replica").iter().filter(|(_, role)| role.starts_with("written")).count()
    };
    for node in &nodes {
        for key in KEYS {
            let lines = node.explain("QUORUM", &format!("INSERT INTO ks.t (k, v) VALUES ({key}, 'x')"));
            assert_eq!(sources(&lines, "replica"), node.replicas(key), "{lines:#?}");
            assert_eq!(written(&lines), 2, "{lines:#?}");
            let here = about(&lines, "replica").contains(&(&*node.internode(), "written here"));
            assert_eq!(here, node.replicas(key).contains(&node.internode()), "{lines:#?}");
            // The replica that counts is this node, if it is one.
            let lines = node.explain("ONE", &format!("UPDATE ks.n SET n = n + 1 WHERE k = {key}"));
            let asked = about(&lines, "replica");
            let leads = asked.iter().find(|(_, role)| role.starts_with("leads: ")).unwrap().0;
            assert!(!here || leads == node.internode(), "{lines:#?}");
        }
        let two = "INSERT INTO ks.t (k, v) VALUES (0, 'x'); DELETE FROM ks.t WHERE k = 1;";
        let lines = node.explain("ONE", &format!("BEGIN BATCH {two} APPLY BATCH"));
        assert_eq!(about(&lines, "BATCH")[0].1, "logged: 2 statements on 2 partitions of 1 table");
        let others: BTreeSet<String> = all.iter().filter(|one| **one != node.internode()).cloned().collect();
        assert_eq!(sources(&lines, "keeper"), others, "{lines:#?}");
        assert!(about(&lines, "batch log")[0].1.starts_with("of 2 members below 2 keep it"), "{lines:#?}");
        for (key, partition) in [(0, "k = 0"), (1, "k = 1")] {
            let of_it: Vec<Line> = lines.iter().filter(|line| line[3] == partition).cloned().collect();
            assert_eq!(sources(&of_it, "replica"), node.replicas(key), "{lines:#?}");
            assert_eq!(written(&of_it), 2, "{lines:#?}");
        }
        let lines = node.explain("ONE", &format!("BEGIN UNLOGGED BATCH {two} APPLY BATCH"));
        assert!(has(&lines, "atomicity") && !has(&lines, "batch log"), "{lines:#?}");
    }
    let killed = nodes.pop().unwrap().kill();
    let down = format!("127.0.0.1:{}", killed.internode);
    until_within(UNTIL_DEAD, "it is seen to be down", || nodes.iter().all(|node| node.sees_up() == 2));
    for node in &nodes {
        for key in KEYS {
            let is_one = node.replicas(key).contains(&down);
            let write = format!("INSERT INTO ks.t (k, v) VALUES ({key}, 'x')");
            let lines = node.explain("ONE", &write);
            let hinted = about(&lines, "replica").contains(&(&*down, "is down: a hint is kept for it"));
            assert_eq!(hinted, is_one, "{lines:#?}");
            assert_eq!(written(&lines), if is_one { 1 } else { 2 }, "{lines:#?}");
            let lines = node.explain("ALL", &write);
            assert_eq!(has(&lines, "error"), is_one, "{lines:#?}");
            assert_eq!(written(&lines), if is_one { 0 } else { 2 }, "{lines:#?}");
            let refused = node.try_cql(&format!("CONSISTENCY ALL; {write}")).is_err();
            assert_eq!(refused, is_one, "what it tells is what happens");
            let lines = node.explain("ONE", &format!("SELECT * FROM ks.t WHERE k = {key}"));
            assert_eq!(about(&lines, "replica").contains(&(&*down, "is down")), is_one, "{lines:#?}");
        }
        let two = "INSERT INTO ks.t (k, v) VALUES (0, 'x'); DELETE FROM ks.t WHERE k = 1;";
        let lines = node.explain("ONE", &format!("BEGIN BATCH {two} APPLY BATCH"));
        assert!(about(&lines, "batch log")[0].1.starts_with("of 1 member below 1 keep it"), "{lines:#?}");
        assert!(!sources(&lines, "keeper").contains(&down), "{lines:#?}");
    }
}
