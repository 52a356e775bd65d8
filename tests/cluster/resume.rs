//! Nodes that are killed while one joins: what was fetched before is not fetched again.

use crate::nodes::*;
use std::path::Path;

/// Bytes of a row's value, and rows that are written at a time.
const VALUE: usize = 30_000;
const AT_A_TIME: usize = 3;

/// A node that sends so many bytes a second to others, and its port for them.
fn first(directory: &Path, rate: usize) -> (Node, u16) {
    let config = directory.join("one.toml");
    std::fs::write(&config, format!("stream_bytes_per_second = {rate}\n")).unwrap();
    let place = Place::new(directory, "one");
    let seed = place.internode;
    let node = place.start_with(seed, &["--config", config.to_str().unwrap()]);
    node.cql("CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}");
    (node, seed)
}

fn fill(node: &Node, table: &str, rows: usize) {
    node.cql(&format!("CREATE TABLE ks.{table} (k int PRIMARY KEY, v text)"));
    let keys: Vec<usize> = (0..rows).collect();
    for keys in keys.chunks(AT_A_TIME) {
        let insert = |k| format!("INSERT INTO ks.{table} (k, v) VALUES ({k}, '{k:>VALUE$}');");
        node.cql(&keys.iter().map(insert).collect::<String>());
    }
}

/// What a node says of what it fetches.
fn fetched(node: &Node, what: &str) -> u64 {
    let answer = node.place.get("/api/v1/network");
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let network: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    network["fetched"][what].as_u64().unwrap_or(0)
}

#[test]
fn a_node_that_is_killed_while_it_joins_fetches_the_rest_alone() {
    const ROWS: usize = 18;
    let directory = tempfile::tempdir().unwrap();
    let (one, seed) = first(directory.path(), VALUE * ROWS / 2);
    ["a", "b", "c", "d"].iter().for_each(|table| fill(&one, table, ROWS));
    let of_table = (ROWS * VALUE) as u64;
    let place = Place::new(directory.path(), "two");
    let killed = place.spawn(seed, &[]);
    // The second table has come, so that the first one is noted.
    until("half of it has come", || fetched(&killed, "bytes") >= 2 * of_table);
    assert_eq!(fetched(&killed, "ranges_kept"), 0);
    let again = killed.kill().spawn(seed, &[]);
    until("it goes on", || fetched(&again, "ranges") > 0);
    let refused = again.run("nodetool", &["flush"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the node joins its cluster"), "{refused:?}");
    let resumed = again.nodetool(&["bootstrap", "resume"]);
    let (first_line, rest) = resumed.split_once('\n').unwrap();
    assert!(
        first_line == "Resuming bootstrap" && rest.ends_with("] Resume bootstrap complete\n"),
        "{resumed}"
    );
    until("it serves", || place.is_serving());
    assert_eq!(again.nodetool(&["bootstrap", "resume"]), "Node is already bootstrapped.\n");
    let (kept, bytes) = (fetched(&again, "ranges_kept"), fetched(&again, "bytes"));
    assert!(kept > 0 && bytes < 3 * of_table + of_table / 2, "{kept} ranges kept, {bytes} bytes fetched");
    assert!(again.nodetool(&["netstats"]).contains(" of them before)"));
    assert!(!place.data.join("fetched").exists(), "the notes outlast the change");
    drop(one);
    for table in ["a", "b", "c", "d"] {
        let count = again.cql(&format!("CONSISTENCY ONE; SELECT count(*) FROM ks.{table}"));
        assert!(count.lines().any(|line| line.trim() == ROWS.to_string()), "{table}: {count}");
    }
}

#[test]
fn a_holder_that_is_killed_and_comes_back_goes_on_where_it_was() {
    const ROWS: usize = 120;
    let directory = tempfile::tempdir().unwrap();
    let (one, seed) = first(directory.path(), 1 << 20);
    fill(&one, "t", ROWS);
    let all = (ROWS * VALUE) as u64;
    let two = Place::new(directory.path(), "two").spawn(seed, &[]);
    until("a part of it has come", || fetched(&two, "bytes") >= 1 << 20);
    let back = one.kill().start(seed);
    until("it serves", || two.place.is_serving());
    let (resumed, bytes) = (fetched(&two, "resumed"), fetched(&two, "bytes"));
    assert!(resumed > 0 && bytes < all + all / 5, "resumed {resumed} times, {bytes} bytes of {all}");
    drop(back);
    let count = two.cql("CONSISTENCY ONE; SELECT count(*) FROM ks.t");
    assert!(count.lines().any(|line| line.trim() == ROWS.to_string()), "{count}");
}

/// Fills a table with what does not become shorter, in files that a node can fetch as they are.
fn fill_at_random(node: &Node, table: &str, rows: usize) {
    node.cql(&format!("CREATE TABLE ks.{table} (k int PRIMARY KEY, v blob)"));
    let mut state = 1_u64;
    let mut digits = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{:08x}", state >> 32)
    };
    for k in 0..rows {
        let value: String = (0..VALUE / 4).map(|_| digits()).collect();
        node.cql(&format!("INSERT INTO ks.{table} (k, v) VALUES ({k}, 0x{value})"));
    }
}

#[test]
fn files_come_as_they_are_and_go_on_where_they_were_when_their_holder_is_back() {
    const ROWS: usize = 120;
    let directory = tempfile::tempdir().unwrap();
    let (one, seed) = first(directory.path(), 1 << 20);
    fill_at_random(&one, "t", ROWS);
    one.nodetool(&["flush", "ks"]);
    // What is deleted and written later lies in other files.
    one.cql("DELETE FROM ks.t WHERE k = 1; INSERT INTO ks.t (k, v) VALUES (2, 0x1234)");
    let all = (ROWS * VALUE) as u64;
    let two = Place::new(directory.path(), "two").spawn(seed, &[]);
    until("a part of it has come", || fetched(&two, "bytes") >= 1 << 20);
    let back = one.kill().start(seed);
    until("it serves", || two.place.is_serving());
    let [files, resumed, bytes] = ["files", "resumed", "bytes"].map(|what| fetched(&two, what));
    assert!(files > 0, "no file came as it is");
    assert!(resumed > 0 && bytes < all + all / 3, "resumed {resumed} times, {bytes} bytes of {all}");
    assert!(two.nodetool(&["netstats"]).contains(&format!("{files} files")));
    drop(back);
    let rows = two.cql("CONSISTENCY ONE; SELECT count(*) FROM ks.t; SELECT k FROM ks.t WHERE k = 1; SELECT v FROM ks.t WHERE k = 2");
    assert!(rows.lines().any(|line| line.trim() == (ROWS - 1).to_string()), "{rows}");
    assert!(rows.contains("(0 rows)") && rows.contains("0x1234"), "{rows}");
    assert!(two.nodetool(&["verify", "ks", "t"]).contains(" 0 damaged parts"));
}

#[test]
fn the_replication_of_a_keyspace_stays_while_a_node_joins() {
    const ROWS: usize = 12;
    let directory = tempfile::tempdir().unwrap();
    let (one, seed) = first(directory.path(), VALUE * ROWS / 6);
    fill(&one, "a", ROWS);
    let two = Place::new(directory.path(), "two").spawn(seed, &[]);
    until("it joins", || one.nodetool(&["status", "ks"]).contains("\nUJ  "));
    let alter = "ALTER KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}";
    let refused = one.try_cql(alter).unwrap_err();
    assert!(refused.contains("while a member joins") && refused.contains("is Joining"), "{refused}");
    one.cql("ALTER KEYSPACE ks WITH durable_writes = false; CREATE TABLE ks.b (k int PRIMARY KEY)");
    until("it serves", || two.place.is_serving());
    until("it has joined", || one.try_cql(alter).is_ok());
}
