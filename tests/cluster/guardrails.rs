//! Guardrails that depend on what is on disks: of nodes as processes.

use crate::nodes::*;
use std::path::Path;

/// A file of settings.
fn settings(directory: &Path, text: &str) -> String {
    let path = directory.join("dodona.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn large_partitions_are_told_of_as_they_are_written_to_files() {
    let directory = tempfile::tempdir().unwrap();
    let text = "[guardrails]\npartition_size_warn_threshold = 1000\npartition_tombstones_warn_threshold = 3\n\
                partition_tombstones_fail_threshold = 5\n";
    let place = Place::new(directory.path(), "one");
    let node = place.start_with(place.internode, &["--config", &settings(directory.path(), text)]);
    node.cql(&SCHEMA.replace("'replication_factor': 3", "'replication_factor': 1"));
    node.cql("CREATE TABLE ks.w (k int, c int, v text, PRIMARY KEY (k, c))");
    let deletions = |key: u8, count: u8| {
        (0..count).map(|c| format!("DELETE FROM ks.w WHERE k = {key} AND c = {c};")).collect::<String>()
    };
    let value = "v".repeat(2_000);
    node.cql(&format!("INSERT INTO ks.w (k, c, v) VALUES (1, 1, '{value}'); {}", deletions(2, 6)));
    node.cql(&format!("INSERT INTO ks.w (k, c, v) VALUES (3, 1, 'v'); {}", deletions(4, 4)));
    node.cql(&deletions(5, 3));
    node.nodetool(&["flush", "ks"]);
    let log = place.log();
    let told = |key: u8| -> Vec<&str> {
        let of = format!("violated: Partition ks.w:0x0000000{key} has ");
        log.lines().filter_map(|line| Some(line.split_once(&of)?.1)).collect()
    };
    assert!(told(1)[0].starts_with("size 20"), "{log}");
    assert!(told(1)[0].ends_with(", this exceeds the warning threshold of 1000."), "{log}");
    assert_eq!(told(2), ["6 tombstones, this exceeds the failure threshold of 5."], "{log}");
    assert_eq!(told(4), ["4 tombstones, this exceeds the warning threshold of 3."], "{log}");
    assert_eq!((told(1).len(), told(3).len(), told(5).len()), (1, 0, 0), "{log}");
}

#[test]
fn writes_to_a_node_whose_disk_is_full_are_refused_by_all_and_reads_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let text = "auto_snapshot = false\n[guardrails]\ndata_disk_usage_max_disk_size = 4000000\n\
                data_disk_usage_percentage_warn_threshold = 50\ndata_disk_usage_percentage_fail_threshold = 90\n";
    let places = ["one", "two"].map(|name| Place::new(directory.path(), name));
    let seed = places[0].internode;
    let one = places[0].start(seed);
    let two = places[1].start_with(seed, &["--config", &settings(directory.path(), text)]);
    until("both see both", || one.sees_up() == 2 && two.sees_up() == 2);
    one.cql(&SCHEMA.replace("'replication_factor': 3", "'replication_factor': 2"));
    one.cql("CREATE KEYSPACE once WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    one.cql("CREATE TABLE once.t (k int PRIMARY KEY, v text)");
    let value = "v".repeat(70_000);
    let warnings_of = |statement: &str| {
        let output = one.run("shell", &["-e", statement]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let fill = |keys: std::ops::Range<u32>| {
        let insert = |key| format!("CONSISTENCY ALL; INSERT INTO ks.t (k, v) VALUES ({key}, '{value}')");
        keys.map(|key| warnings_of(&insert(key))).collect::<String>()
    };
    let tells = |usage: &str| {
        until(usage, || one.nodetool(&["gossipinfo"]).contains(&format!(":{usage}\n")));
    };
    let mut warnings = fill(0..40);
    tells("STUFFED");
    let insert = "INSERT INTO ks.t (k, v) VALUES (100, 'value')";
    warnings += &warnings_of(insert);
    warnings += &fill(40..60);
    tells("FULL");
    // A client is, and others are not for half an hour.
    let warning = "Guardrail replica_disk_usage violated: Replica disk usage exceeds warning threshold";
    assert_eq!(warnings.matches(warning).count(), 1, "{warnings}");
    let refusal = "Guardrail replica_disk_usage violated: Write request failed because disk usage exceeds failure threshold";
    for statement in [
        insert,
        "DELETE FROM ks.t WHERE k = 1",
        "INSERT INTO ks.t (k, v) VALUES (101, 'value') IF NOT EXISTS",
        "UPDATE ks.n SET n = n + 1 WHERE k = 1",
        "BEGIN BATCH INSERT INTO ks.t (k, v) VALUES (1, ''); INSERT INTO ks.t (k, v) VALUES (2, '') APPLY BATCH",
    ] {
        for node in [&one, &two] {
            let refused = node.try_cql(statement).unwrap_err();
            assert!(refused.contains(refusal), "{statement}: {refused}");
        }
    }
    // What the full node is no replica of is written.
    let one_copy = |k: u32| one.try_cql(&format!("INSERT INTO once.t (k, v) VALUES ({k}, 'value')")).is_ok();
    let written = (0..20).filter(|k| one_copy(*k)).count();
    assert!((1..20).contains(&written), "{written}");
    assert!(one.cql("CONSISTENCY ALL; SELECT count(*) FROM ks.t").contains("61"));
    one.cql("TRUNCATE ks.t");
    tells("SPACIOUS");
    one.cql(insert);
}
