//! Backups of a node as a process: taken, lost and restored.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test of the process: real pipes and files"
)]

mod common;

use common::{Node, SCHEMA};
use std::path::{Path, PathBuf};

fn run(node: &Node, statements: &str) {
    let output = node.shell(statements);
    assert!(output.status.success(), "{output:?}");
}

/// The directories below `snapshots` or `backups` that hold files of tables.
fn directories(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(below) else { return found };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(directories(&path));
        } else if path.extension().is_some_and(|end| end == "sst") && !found.contains(&below.to_owned()) {
            found.push(below.to_owned());
        }
    }
    found
}

fn count(directory: &Path) -> usize {
    directories(directory)
        .iter()
        .flat_map(|directory| std::fs::read_dir(directory).unwrap())
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "sst"))
        .count()
}

#[test]
fn snapshots_are_of_the_tables_that_are_named_and_expire() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::on(directory.path());
    run(&node, SCHEMA);
    run(
        &node,
        "CREATE TABLE ks.other (k int PRIMARY KEY); INSERT INTO ks.t (k, v) VALUES (1, 'a'); \
                INSERT INTO ks.other (k) VALUES (1)",
    );
    let said = node.nodetool(&["snapshot", "-t", "one", "-cf", "t", "--ttl", "1h", "ks"]);
    assert_eq!(
        said,
        "Requested creating snapshot(s) for [ks] with snapshot name [one] and options \
         {skipFlush=false, ttl=1h}\nSnapshot directory: one\n"
    );
    node.nodetool(&["snapshot", "-t", "memory", "-sf", "-kt", "ks.other, ks.t"]);
    assert_eq!((count(&directory.path().join("snapshots/one")), directories(directory.path()).len()), (1, 3));
    // The flush for the first one has left nothing of `t` to the second one's luck; of `other` there was none.
    assert_eq!(count(&directory.path().join("snapshots/memory")), 1);
    let listed = node.nodetool(&["listsnapshots"]);
    let one = listed.lines().find(|line| line.starts_with("one ")).unwrap();
    assert_eq!((one.matches("Z").count(), one.contains(" t ")), (2, true), "{listed}");
    assert!(!node.nodetool(&["listsnapshots", "-nt"]).contains("one "));
    let refused: [(&[&str], &str); 4] = [
        (&["snapshot", "-cf", "t"], "you must specify one and only one keyspace"),
        (&["snapshot", "-kt", "ks.t", "ks"], "you must not also specify keyspaces"),
        (&["snapshot", "--ttl", "59s", "ks"], "at least 60 seconds"),
        (&["snapshot", "-kt", "ks.nothing"], "there is no table ks.nothing"),
    ];
    for (arguments, reason) in refused {
        let (failed, message) = node.nodetool_fails(arguments);
        assert!(failed && message.contains(reason), "{arguments:?}: {message}");
    }
    // A start finds the one whose time is over.
    drop(node);
    let manifests = directories(&directory.path().join("snapshots/one"));
    let manifest = manifests[0].join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let year = text.split("\"expires_at\": \"").nth(1).unwrap()[..4].to_owned();
    std::fs::write(&manifest, text.replace(&format!("\"expires_at\": \"{year}"), "\"expires_at\": \"2001"))
        .unwrap();
    let node = Node::on(directory.path());
    let began = std::time::Instant::now();
    while node.nodetool(&["listsnapshots"]).contains("one ") {
        assert!(began.elapsed().as_secs() < 20, "the snapshot is still there");
    }
    node.nodetool(&["clearsnapshot", "--all", "--older-than", "1h"]);
    assert!(node.nodetool(&["listsnapshots"]).contains("memory "));
    node.nodetool(&["clearsnapshot", "--all"]);
    assert!(node.nodetool(&["listsnapshots"]).contains("There are no snapshots"));
}

#[test]
fn what_is_truncated_or_dropped_is_kept_in_a_snapshot_unless_that_is_not_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::on(directory.path());
    run(&node, SCHEMA);
    let names = || {
        let listed = node.nodetool(&["listsnapshots"]);
        let of_table = |line: &&str| line.contains(" ks ");
        listed
            .lines()
            .filter(of_table)
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    run(&node, "INSERT INTO ks.t (k, v) VALUES (1, 'a'); TRUNCATE ks.t");
    let [truncated] = names().try_into().unwrap();
    assert!(truncated.starts_with("truncated-") && truncated.ends_with("-t"), "{truncated}");
    run(&node, "INSERT INTO ks.t (k, v) VALUES (2, 'b'); DROP TABLE ks.t");
    let [dropped, _] = names().try_into().unwrap();
    assert!(dropped.starts_with("dropped-") && dropped.ends_with("-t"), "{dropped}");
    let kept = &directories(&directory.path().join("snapshots").join(&dropped))[0];
    assert!(std::fs::read_to_string(kept.join("schema.cql")).unwrap().starts_with("CREATE TABLE ks.t ("));
    run(
        &node,
        "CREATE TABLE ks.u (k int PRIMARY KEY) WITH allow_auto_snapshot = false; \
         INSERT INTO ks.u (k) VALUES (1); TRUNCATE ks.u; DROP TABLE ks.u",
    );
    assert_eq!(names().len(), 2, "{:?}", names());
}
