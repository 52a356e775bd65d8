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

/// A table with everything that files hold in ways of their own: statics, collections, fields of types, times to
/// live and deletions of every kind.
const MIXED: &str = "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}; \
     CREATE TYPE ks.place (street text, number int); \
     CREATE TABLE ks.t (k int, c int, v text, s text static, l list<int>, m map<text, int>, p frozen<place>, \
     PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (c DESC);";
/// The same, made by another hand: its columns have other numbers.
const SAME: &str = "CREATE KEYSPACE other WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}; \
     CREATE TYPE other.place (street text, number int, city text); \
     CREATE TABLE other.t (p frozen<place>, m map<text, int>, c int, s text static, k int, l list<int>, v text, \
     extra int, PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (c DESC);";

const EVERYTHING: &str = "k, c, v, s, l, m, p.street, ttl(v), writetime(v)";

fn everything(node: &Node, table: &str) -> Vec<String> {
    let output = node.shell(&format!("SELECT {EVERYTHING} FROM {table}"));
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let row = |line: &str| {
        let mut cells: Vec<&str> = line.split('|').map(str::trim).collect();
        // Time goes on.
        if cells.len() == 9 && cells[7] != "null" {
            cells[7] = "some";
        }
        cells.join("|")
    };
    let mut rows: Vec<String> = text.lines().filter(|line| line.contains('|')).skip(1).map(row).collect();
    rows.sort();
    rows
}

fn write_some(node: &Node, round: i32) {
    let mut text = String::new();
    for k in 0..12 {
        text.push_str(&format!("UPDATE ks.t SET s = 's{round}' WHERE k = {k};"));
        for c in 0..6 {
            let ttl = if c == 3 { " USING TTL 86400" } else { "" };
            text.push_str(&format!(
                "INSERT INTO ks.t (k, c, v, l, m, p) VALUES ({k}, {c}, 'v{round}', [{c}, {round}], {{'a': {round}}}, \
                 {{street: 'x', number: {c}}}){ttl};"
            ));
        }
        text.push_str(&format!("UPDATE ks.t SET m['b'] = {round}, l = l + [9] WHERE k = {k} AND c = 1;"));
    }
    text.push_str(&format!("DELETE FROM ks.t WHERE k = {round};"));
    text.push_str(&format!("DELETE FROM ks.t WHERE k = {} AND c > 1 AND c < 4;", round + 1));
    text.push_str(&format!("DELETE FROM ks.t WHERE k = {} AND c = 5;", round + 2));
    text.push_str(&format!("DELETE m['a'], v FROM ks.t WHERE k = {} AND c = 4;", round + 3));
    run(node, &text);
}

fn as_arguments(directories: &[PathBuf]) -> Vec<&str> {
    directories.iter().map(|directory| directory.to_str().unwrap()).collect()
}

#[test]
fn a_lost_data_directory_comes_back_from_a_snapshot_and_backups() {
    let (directory, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let node = Node::on(directory.path());
    run(&node, MIXED);
    assert_eq!(node.nodetool(&["statusbackup"]), "not running\n");
    node.nodetool(&["enablebackup"]);
    assert_eq!(node.nodetool(&["statusbackup"]), "running\n");
    write_some(&node, 1);
    node.nodetool(&["snapshot", "-t", "base", "ks"]);
    for round in 2..5 {
        write_some(&node, round);
        node.nodetool(&["flush", "ks"]);
    }
    node.nodetool(&["compact", "ks"]);
    let before = everything(&node, "ks.t");
    assert!(before.len() > 50, "{before:?}");
    // Everything but what was copied elsewhere is lost.
    let of_snapshot = directories(&directory.path().join("snapshots/base")).remove(0);
    let of_backups = directories(&directory.path().join("backups")).remove(0);
    assert!(count(&of_backups) >= 4, "the compaction's file is not among them, each flush's is");
    let copies = [(of_snapshot, kept.path().join("snapshot")), (of_backups, kept.path().join("backups"))];
    for (from, to) in &copies {
        std::fs::create_dir(to).unwrap();
        for file in std::fs::read_dir(from).unwrap().map(|file| file.unwrap()) {
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    let kept_directories = copies.map(|(_, to)| to);
    drop(node);
    std::fs::remove_dir_all(directory.path()).unwrap();
    let node = Node::on(directory.path());
    run(&node, "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    run(&node, &std::fs::read_to_string(kept_directories[0].join("schema.cql")).unwrap());
    let mut import = vec!["import", "--copy-data", "ks", "t"];
    import.extend(as_arguments(&kept_directories));
    assert!(node.nodetool(&import).contains(" files imported"));
    assert_eq!(everything(&node, "ks.t"), before);
    drop(node);
    let node = Node::on(directory.path());
    assert_eq!(everything(&node, "ks.t"), before, "after another start");
    // In place: what was written since goes, and what was there is linked.
    write_some(&node, 7);
    run(&node, "TRUNCATE ks.t");
    let moved = std::fs::read_dir(&kept_directories[0]).unwrap().count();
    let mut import = vec!["import", "ks", "t"];
    import.extend(as_arguments(&kept_directories));
    node.nodetool(&import);
    assert_eq!(everything(&node, "ks.t"), before);
    assert!(
        std::fs::read_dir(&kept_directories[0]).unwrap().count() < moved,
        "without --copy-data they move"
    );
    assert_eq!(node.nodetool(&["verify", "ks", "t"]).matches("0 damaged").count(), 1);
}

#[test]
fn another_table_of_another_node_takes_files_in_by_name_or_says_what_does_not_fit() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let node = Node::on(here.path());
    run(&node, MIXED);
    write_some(&node, 1);
    write_some(&node, 2);
    node.nodetool(&["snapshot", "-t", "s", "ks"]);
    let before = everything(&node, "ks.t");
    let taken = directories(&here.path().join("snapshots/s")).remove(0);
    let taken = taken.to_str().unwrap();
    let other = Node::on(there.path());
    run(&other, SAME);
    let said = other.nodetool(&["import", "--copy-data", "other", "t", taken]);
    assert!(said.starts_with("1 files imported") && said.contains(" 0 of them linked"), "{said}");
    assert_eq!(everything(&other, "other.t"), before);
    run(
        &other,
        "CREATE TABLE other.few (k int, c int, v text, PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (c DESC); \
         CREATE TABLE other.up (k int, c int, v text, s text static, l list<int>, m map<text, int>, \
         p frozen<place>, PRIMARY KEY (k, c)); \
         CREATE TABLE other.gone (k int, c int, v text, s text static, l list<int>, m map<text, int>, \
         p frozen<place>, PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (c DESC); ALTER TABLE other.gone DROP l",
    );
    let (failed, message) = other.nodetool_fails(&["import", "other", "few", taken]);
    assert!(failed && message.contains("other.few has no column `"), "{message}");
    let (failed, message) = other.nodetool_fails(&["import", "other", "up", taken]);
    assert!(
        failed && message.contains("`c` is clustering 0 in other.up, and clustering 0 desc"),
        "{message}"
    );
    other.nodetool(&["import", "--copy-data", "other", "gone", taken]);
    let (failed, message) = other.nodetool_fails(&["import", "--keep-level", "other", "t", taken]);
    assert!(failed && message.contains("--keep-level"), "{message}");
    let (failed, message) = other.nodetool_fails(&["import", "other", "t", "/nowhere"]);
    assert!(failed && message.contains("/nowhere"), "{message}");
    let rows = |table: &str| other.shell(&format!("SELECT k, c, v, s, m FROM {table}")).stdout;
    assert_eq!(rows("other.gone"), rows("other.t"));
    // By refresh, from where the node looks by itself.
    run(&other, "TRUNCATE other.t");
    let listed =
        other.shell("SELECT id FROM system_schema.tables WHERE keyspace_name = 'other' AND table_name = 't'");
    let listed = String::from_utf8(listed.stdout).unwrap();
    let id = listed.split_whitespace().find(|word| word.len() == 36).unwrap().replace('-', "");
    let upload = there.path().join("upload").join(id);
    std::fs::create_dir_all(&upload).unwrap();
    for file in std::fs::read_dir(taken).unwrap().map(|file| file.unwrap()) {
        std::fs::copy(file.path(), upload.join(file.file_name())).unwrap();
    }
    assert!(other.nodetool(&["refresh", "other", "t"]).starts_with("1 files imported"));
    assert_eq!(everything(&other, "other.t"), before);
    assert_eq!(count(&upload), 0);
}

#[test]
fn counters_come_back_and_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::on(directory.path());
    run(
        &node,
        "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}; \
         CREATE TABLE ks.n (k int PRIMARY KEY, n counter)",
    );
    let add = |by: i32| run(&node, &format!("UPDATE ks.n SET n = n + {by} WHERE k = 1"));
    add(5);
    node.nodetool(&["snapshot", "-t", "s", "ks"]);
    let taken = directories(&directory.path().join("snapshots/s")).remove(0);
    add(7);
    run(&node, "TRUNCATE ks.n");
    node.nodetool(&["import", "--copy-data", "ks", "n", taken.to_str().unwrap()]);
    add(100);
    let shown = String::from_utf8(node.shell("SELECT n FROM ks.n").stdout).unwrap();
    assert!(shown.contains(" 105"), "{shown}");
    // What is there already adds nothing.
    node.nodetool(&["import", "ks", "n", taken.to_str().unwrap()]);
    let shown = String::from_utf8(node.shell("SELECT n FROM ks.n").stdout).unwrap();
    assert!(shown.contains(" 105"), "{shown}");
}

/// A node with more settings.
fn with_settings(directory: &Path, settings: &str) -> Node {
    let file = directory.with_extension("toml");
    std::fs::write(&file, settings).unwrap();
    Node::start(&["--data", directory.to_str().unwrap(), "--config", file.to_str().unwrap()])
}

/// Now, as `restore_point_in_time` has it.
fn now() -> String {
    let output = std::process::Command::new("date").args(["-u", "+%Y:%m:%d %H:%M:%S.%6N"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn an_archived_log_brings_a_lost_node_to_a_point_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("archive");
    std::fs::create_dir(&archive).unwrap();
    let shown = archive.display();
    let ways = [
        (format!("archive_directory = \"{shown}\""), String::new()),
        (
            format!("archive_command = \"cp %path {shown}/%name\""),
            "restore_command = \"cp -f %from %to\"\n".to_owned(),
        ),
    ];
    for (way, (archiving, fetching)) in ways.iter().enumerate() {
        let [data, lost_to] = ["data", "new"].map(|name| directory.path().join(format!("{name}{way}")));
        let mut node = with_settings(&data, archiving);
        run(&node, MIXED);
        write_some(&node, 1);
        node.nodetool(&["snapshot", "-t", "base", "ks"]);
        write_some(&node, 2);
        // Killed: what it leaves is archived by its next life.
        node.process.kill().unwrap();
        node.process.wait().unwrap();
        let mut node = with_settings(&data, archiving);
        write_some(&node, 3);
        run(&node, "CREATE TABLE ks.late (k int PRIMARY KEY); INSERT INTO ks.late (k) VALUES (1)");
        let wanted = everything(&node, "ks.t");
        let point = now();
        write_some(&node, 4);
        run(&node, "DELETE FROM ks.t WHERE k IN (5, 6, 7, 8, 9); INSERT INTO ks.late (k) VALUES (2)");
        assert_ne!(everything(&node, "ks.t"), wanted);
        let kept = directory.path().join(format!("kept{way}"));
        std::fs::rename(directories(&data.join("snapshots/base")).remove(0), &kept).unwrap();
        assert_eq!(node.terminate(), Some(0));
        std::fs::remove_dir_all(&data).unwrap();
        // Another node, with a table made by another hand.
        let mut node = Node::on(&lost_to);
        run(&node, &SAME.replace("other", "ks"));
        node.nodetool(&["import", "--copy-data", "ks", "t", kept.to_str().unwrap()]);
        assert_eq!(node.terminate(), Some(0));
        let restoring =
            format!("restore_directories = [\"{shown}\"]\nrestore_point_in_time = \"{point}\"\n{fetching}");
        let node = with_settings(&lost_to, &restoring);
        assert_eq!(everything(&node, "ks.t"), wanted);
        run(&node, "INSERT INTO ks.t (k, c, v) VALUES (100, 1, 'new')");
        let after = everything(&node, "ks.t");
        drop(node);
        // The settings are still there: nothing is restored twice.
        let node = with_settings(&lost_to, &restoring);
        assert_eq!(everything(&node, "ks.t"), after);
        run(&node, "CREATE TABLE ks.late (k int PRIMARY KEY)");
        drop(node);
        // To the end, with the table that there was not: another point is another restoration.
        let node = with_settings(&lost_to, &restoring.replace("restore_point_in_time", "#"));
        let late = String::from_utf8(node.shell("SELECT count(*) FROM ks.late").stdout).unwrap();
        assert!(late.lines().any(|line| line.trim() == "2"), "{late}");
        assert!(everything(&node, "ks.t").iter().all(|row| !row.starts_with("5|")));
        drop(node);
        for file in std::fs::read_dir(&archive).unwrap().map(|file| file.unwrap()) {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
}
