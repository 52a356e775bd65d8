//! What is written is on all replicas in the end, whatever happened to one of them.

use crate::nodes::*;
use std::fs::{OpenOptions, read_dir};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

#[test]
fn what_a_killed_node_has_missed_is_brought_to_it_when_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, seed) = three(directory.path());
    nodes[1].cql(SCHEMA);
    nodes[2].cql("CONSISTENCY QUORUM; INSERT INTO ks.t (k, v) VALUES (1, 'before')");
    assert!(nodes[0].cql("CONSISTENCY QUORUM; SELECT v FROM ks.t WHERE k = 1").contains("before"));
    let killed = nodes.pop().unwrap().kill();
    for node in &nodes {
        node.cql("CONSISTENCY QUORUM; INSERT INTO ks.t (k, v) VALUES (2, 'meanwhile')");
        let read = node.cql("CONSISTENCY QUORUM; SELECT v FROM ks.t");
        assert!(read.contains("before") && read.contains("meanwhile"), "{read}");
        node.cql("CONSISTENCY QUORUM; UPDATE ks.n SET n = n + 1 WHERE k = 1");
    }
    nodes[0].cql("INSERT INTO ks.t (k, v) VALUES (3, 'once') IF NOT EXISTS");
    let again = nodes[1].cql("INSERT INTO ks.t (k, v) VALUES (3, 'twice') IF NOT EXISTS");
    assert!(again.contains("False") || again.contains("false"), "{again}");
    assert!(nodes[0].nodetool(&["netstats"]).contains("Hints for 127.0.0.1:"));
    let back = killed.start(seed);
    until("all see it again", || nodes.iter().chain([&back]).all(|node| node.sees_up() == 3));
    until("no hints wait", || {
        nodes.iter().all(|node| node.nodetool(&["netstats"]).contains("No hints wait."))
    });
    // Nothing but what the node itself has: the others are gone.
    nodes.clear();
    let own = back.cql("CONSISTENCY ONE; SELECT v FROM ks.t; SELECT n FROM ks.n WHERE k = 1");
    assert!(["before", "meanwhile", "once"].iter().all(|value| own.contains(value)), "{own}");
    assert!(own.lines().any(|line| line.trim() == "2"), "{own}");
}

#[test]
fn definitions_made_on_all_nodes_at_once_come_to_be_on_all() {
    let directory = tempfile::tempdir().unwrap();
    let (nodes, _) = three(directory.path());
    nodes[0]
        .cql("CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}");
    std::thread::scope(|scope| {
        for (index, node) in nodes.iter().enumerate() {
            let tables = (0..5).map(move |n| format!("CREATE TABLE ks.t_{index}_{n} (k int PRIMARY KEY)"));
            scope.spawn(move || tables.for_each(|table| drop(node.cql(&table))));
        }
    });
    for node in &nodes {
        let tables = node.cql("SELECT count(*) FROM system_schema.tables WHERE keyspace_name = 'ks'");
        assert!(tables.lines().any(|line| line.trim() == "15"), "{tables}");
    }
    until("all tell the same version", || {
        let described = nodes[0].nodetool(&["describecluster"]);
        described.lines().filter(|line| line.matches("127.0.0.1:").count() == 3 && line.contains('-')).count()
            == 1
    });
}

#[test]
fn what_another_node_has_taken_over_is_cleaned_up() {
    let directory = tempfile::tempdir().unwrap();
    let places = ["one", "two"].map(|name| Place::new(directory.path(), name));
    let seed = places[0].internode;
    let one = places[0].start(seed);
    one.cql(&SCHEMA.replace("'replication_factor': 3", "'replication_factor': 1"));
    one.fill("ONE", 200);
    let partitions = |node: &Node| {
        node.nodetool(&["flush", "ks"]);
        let statistics = node.nodetool(&["tablestats", "ks.t"]);
        let line = statistics.lines().find(|line| line.contains("Number of partitions")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()
    };
    let two = places[1].start(seed);
    until("both see both", || one.sees_up() == 2 && two.sees_up() == 2);
    assert_eq!(partitions(&one), 200);
    assert!(one.nodetool(&["cleanup", "ks"]).contains("1 files cleaned up"));
    assert_eq!(two.nodetool(&["cleanup", "ks"]), "nothing belongs to other nodes\n");
    let left = partitions(&one);
    assert!((50..150).contains(&left) && left + partitions(&two) == 200, "{left}");
    let count = two.cql("SELECT count(*) FROM ks.t");
    assert!(count.lines().any(|line| line.trim() == "200"), "{count}");
}

#[test]
fn a_snapshot_of_another_cluster_goes_to_all_that_hold_its_rows() {
    let directory = tempfile::tempdir().unwrap();
    let old = Place::new(directory.path(), "old");
    let old = old.start(old.internode);
    old.cql(&SCHEMA.replace("'replication_factor': 3", "'replication_factor': 1"));
    old.fill("ONE", 200);
    old.cql("DELETE FROM ks.t WHERE k = 7; UPDATE ks.t USING TTL 80000 SET v = 'for a while' WHERE k = 8");
    old.cql("UPDATE ks.n SET n = n + 5 WHERE k = 1; UPDATE ks.n SET n = n + 6 WHERE k = 2");
    old.nodetool(&["snapshot", "-t", "s", "ks"]);
    let id = |table: &str| {
        let text = old.cql(&format!(
            "SELECT id FROM system_schema.tables WHERE keyspace_name = 'ks' AND table_name = '{table}'"
        ));
        text.split_whitespace().find(|word| word.len() == 36).unwrap().replace('-', "")
    };
    let taken = |table: &str| format!("{}/snapshots/s/{}", old.place.data.display(), id(table));
    let (t, n) = (taken("t"), taken("n"));
    let (nodes, _) = three(directory.path());
    nodes[0].cql(&SCHEMA.replace("'replication_factor': 3", "'replication_factor': 2"));
    // Written before the import, and later than what comes: it stays.
    nodes[1].cql("INSERT INTO ks.t (k, v) VALUES (9, 'newer'); INSERT INTO ks.t (k, v) VALUES (7, 'again')");
    let refused = nodes[0].run("nodetool", &["import", "ks", "t", &t]);
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && message.contains("belong to other nodes alone"), "{message}");
    assert_eq!(nodes[0].nodetool(&["import", "--everywhere", "ks", "t", &t]), "200 partitions sent\n");
    nodes[0].nodetool(&["import", "--everywhere", "ks", "n", &n]);
    for node in &nodes {
        let count = node.cql("CONSISTENCY ALL; SELECT count(*) FROM ks.t");
        assert!(count.lines().any(|line| line.trim() == "200"), "{count}");
        let some = node.cql("CONSISTENCY ONE; SELECT v FROM ks.t WHERE k IN (7, 8, 9)");
        assert!(["again", "for a while", "newer"].iter().all(|value| some.contains(value)), "{some}");
        let counters = node.cql("CONSISTENCY ALL; SELECT n FROM ks.n");
        assert!([" 5", " 6"].iter().all(|count| counters.contains(count)), "{counters}");
    }
    assert!(nodes[0].cql("SELECT ttl(v) FROM ks.t WHERE k = 8").contains(" 79"));
    nodes[2].cql("UPDATE ks.n SET n = n + 10 WHERE k = 1");
    assert!(nodes[0].cql("CONSISTENCY ALL; SELECT n FROM ks.n WHERE k = 1").contains(" 15"));
    // Replicas have the same: nothing differs.
    let repaired = nodes[0].nodetool(&["repair", "ks", "t"]);
    assert!(repaired.contains("in sync"), "{repaired}");
    for node in &nodes {
        assert_eq!(node.nodetool(&["verify", "ks", "t"]).matches("0 damaged").count(), 1);
    }
}

#[test]
fn what_is_damaged_on_one_node_comes_back_from_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, seed) = three(directory.path());
    nodes[0].cql(SCHEMA);
    nodes[0].fill("ALL", 300);
    nodes[0].cql("CONSISTENCY ALL; UPDATE ks.n SET n = n + 5 WHERE k = 1");
    nodes[2].nodetool(&["flush", "ks"]);
    let ids = nodes[0].cql("SELECT id FROM system_schema.tables WHERE keyspace_name = 'ks'");
    // Blocks are in memory yet: another life has to read the files.
    let place = nodes.pop().unwrap().kill();
    let words = ids.split_whitespace().map(|word| word.replace('-', "")).filter(|word| word.len() == 32);
    let tables = words.map(|word| read_dir(place.data.join("tables").join(word)).unwrap());
    let files: Vec<PathBuf> = tables.flatten().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for path in &files {
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, 20).unwrap();
        file.write_all_at(&[byte[0] ^ 1], 20).unwrap();
    }
    // Of the longer one the end is gone as well: it cannot be opened.
    let longer = files.iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let file = OpenOptions::new().write(true).open(longer).unwrap();
    file.set_len(file.metadata().unwrap().len() - 30).unwrap();
    let damaged = place.start(seed);
    until("all see it again", || nodes.iter().chain([&damaged]).all(|node| node.sees_up() == 3));
    // Whoever asks is answered by others meanwhile.
    let count = damaged.cql("CONSISTENCY QUORUM; SELECT count(*) FROM ks.t");
    assert!(count.lines().any(|line| line.trim() == "300"), "{count}");
    until("it is healed", || damaged.run("nodetool", &["verify", "ks"]).status.success());
    assert!(place.log().contains("a damaged file was healed"), "{}", place.log());
    assert!(damaged.nodetool(&["listsnapshots"]).contains("healed-"));
    damaged.cql("CONSISTENCY ALL; UPDATE ks.n SET n = n + 1 WHERE k = 1");
    nodes.clear();
    let count = damaged.cql("CONSISTENCY ONE; SELECT count(*) FROM ks.t; SELECT n FROM ks.n WHERE k = 1");
    assert!(["300", "6"].iter().all(|value| count.lines().any(|line| line.trim() == *value)), "{count}");
}

#[test]
fn replicas_agree_of_which_one_has_rid_its_files_of_a_dropped_column() {
    let directory = tempfile::tempdir().unwrap();
    let (nodes, _) = three(directory.path());
    nodes[0].cql(&format!("{SCHEMA}; ALTER TABLE ks.t ADD w text"));
    let value = "v".repeat(2_000);
    let row = |k| format!("INSERT INTO ks.t (k, v, w) VALUES ({k}, '{value}{k}', 'kept');");
    nodes[0].cql(&format!("CONSISTENCY ALL; {}", (0..40).map(row).collect::<String>()));
    // A row of nothing else.
    nodes[0].cql(&format!("CONSISTENCY ALL; UPDATE ks.t SET v = '{value}' WHERE k = 50"));
    for node in &nodes {
        node.nodetool(&["flush", "ks"]);
    }
    let live_bytes = |node: &Node| -> u64 {
        let statistics = node.nodetool(&["tablestats", "ks.t"]);
        let line = statistics.lines().find(|line| line.contains("Space used (live)")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let before = live_bytes(&nodes[0]);
    nodes[0].cql("ALTER TABLE ks.t DROP v");
    nodes[0].nodetool(&["compact", "ks", "t"]);
    let after = live_bytes(&nodes[0]);
    assert!(after * 2 < before, "{before} and then {after} bytes");
    assert!(live_bytes(&nodes[1]) == live_bytes(&nodes[2]) && live_bytes(&nodes[1]) > after);
    for statement in
        ["SELECT * FROM ks.t WHERE k = 7", "SELECT * FROM ks.t WHERE k = 50", "SELECT * FROM ks.t"]
    {
        for node in &nodes {
            let traced = node.cql(&format!("CONSISTENCY ALL; TRACING ON; {statement}"));
            assert!(traced.contains("Request complete") && !traced.contains("Answers differ"), "{traced}");
        }
    }
    assert!(nodes[1].cql("CONSISTENCY ALL; SELECT count(*) FROM ks.t").contains("40"));
    let preview = nodes[0].nodetool(&["repair", "--preview", "--full", "ks.t"]);
    assert!(preview.contains("in sync"), "{preview}");
    // It may come back; what was written before does not.
    nodes[1].cql("ALTER TABLE ks.t ADD v text");
    nodes[1].cql("CONSISTENCY ALL; UPDATE ks.t SET v = 'again' WHERE k = 3");
    nodes[0].nodetool(&["flush", "ks"]);
    nodes[0].nodetool(&["compact", "ks", "t"]);
    for node in &nodes {
        let shown = node.cql("CONSISTENCY ALL; SELECT v FROM ks.t");
        assert!(shown.contains("again") && !shown.contains("vvv"), "{shown}");
    }
}
