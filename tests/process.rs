//! The binary as a process: how it starts, ends, and comes back after a kill.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test of the process: real pipes and files"
)]

mod common;

use common::{BINARY, Node, SCHEMA};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn what_was_acknowledged_survives_a_kill_and_a_stop() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = Node::on(directory.path());
    assert!(node.shell(SCHEMA).status.success());
    assert!(node.shell("INSERT INTO ks.t (k, v) VALUES (1, 'killed')").status.success());
    node.process.kill().unwrap();
    node.process.wait().unwrap();
    let mut node = Node::on(directory.path());
    assert!(node.shell("INSERT INTO ks.t (k, v) VALUES (2, 'stopped')").status.success());
    assert_eq!(node.terminate(), Some(0));
    let node = Node::on(directory.path());
    let output = String::from_utf8(node.shell("SELECT * FROM ks.t").stdout).unwrap();
    assert!(
        output.contains("killed") && output.contains("stopped") && output.contains("(2 rows)"),
        "{output}"
    );
}

#[test]
fn a_start_that_cannot_work_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::on(directory.path());
    let failed = |arguments: &[&str]| {
        let output = Command::new(BINARY).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let taken = failed(&["--memory", "--port", &node.port, "--admin-port", "0"]);
    assert!(taken.contains("choose another port with --port"), "{taken}");
    let data = directory.path().to_str().unwrap();
    let in_use = failed(&["--data", data, "--port", "0", "--admin-port", "0"]);
    assert!(in_use.contains(&format!("{data} is in use by another process")), "{in_use}");
    // It has left the running node's files alone.
    assert!(node.shell(SCHEMA).status.success());
    drop(node);
    let node = Node::on(directory.path());
    assert!(node.shell("SELECT * FROM ks.t").status.success(), "what was defined is there again");
    let missing = failed(&["--config", "/nowhere/dodona.toml"]);
    assert!(missing.contains("/nowhere/dodona.toml"), "{missing}");
}

#[test]
fn whoever_reaches_an_address_of_all_machines_looks_and_changes_nothing_unless_told_so() {
    let open = ["--memory", "--admin-listen", "0.0.0.0"];
    let node = Node::start(&open);
    assert!(node.nodetool(&["status"]).contains("UN  127.0.0.1"));
    let (failed, reason) = node.nodetool_fails(&["flush"]);
    assert!(failed && reason.contains("allow_remote_administration"), "{reason}");
    let told = Node::start(&[&open[..], &["--allow-remote-administration"]].concat());
    told.nodetool(&["flush"]);
}

#[test]
fn operators_find_what_they_know() {
    let node = Node::start(&["--memory"]);
    assert!(node.shell(SCHEMA).status.success());
    assert!(node.nodetool(&["status"]).contains("UN  127.0.0.1"));
    assert_eq!(node.nodetool(&["version"]), "ReleaseVersion: 5.0.6\n");
    assert!(node.nodetool(&["tablestats", "ks.t"]).contains("Table: t"));
    let silent = [
        &["flush", "ks"][..],
        &["compact", "ks", "t"],
        &["compact", "--st", "-5", "--et", "5", "ks", "t"],
        &["garbagecollect", "-g", "CELL", "ks", "t"],
        &["stop", "COMPACTION"],
        &["setcompactionthroughput", "7"],
        &["disableautocompaction", "ks", "t"],
    ];
    for command in silent {
        assert_eq!(node.nodetool(command), "", "{command:?}");
    }
    assert_eq!(node.nodetool(&["getcompactionthroughput"]), "Current compaction throughput: 7 MB/s\n");
    assert_eq!(
        node.nodetool(&["getcompactionthroughput", "-d"]),
        "Current compaction throughput: 7.0 MiB/s\n"
    );
    assert_eq!(node.nodetool(&["statusautocompaction", "ks", "t"]), "not running\n");
    assert_eq!(node.nodetool(&["enableautocompaction", "ks", "t"]), "");
    assert_eq!(node.nodetool(&["statusautocompaction", "-a", "ks"]), "ks t running\n");
    assert_eq!(node.nodetool(&["cleanup", "ks"]), "nothing belongs to other nodes\n");
    assert_eq!(node.nodetool(&["verify", "ks"]), "ks.t: 0 files, 0 damaged parts\n");
    let failed = node.shell("SELECT * FROM ks.nothing; SELECT key FROM system.local");
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8(failed.stdout).unwrap().contains("local"), "the script goes on");
    assert!(
        String::from_utf8(failed.stderr).unwrap().starts_with("InvalidRequest: Error from server: code=2200")
    );
    assert_eq!(node.nodetool(&["drain"]), "");
    assert!(!node.shell("SELECT key FROM system.local").status.success(), "clients are served no more");
    assert!(node.nodetool(&["status"]).contains("UN  127.0.0.1"));
}

#[test]
fn operators_see_the_cluster_that_a_node_is_in() {
    let node = Node::start(&["--memory", "--cluster-name", "bronze"]);
    assert!(node.nodetool(&["status"]).contains(" 100.0% "));
    assert!(node.shell(SCHEMA).status.success());
    let status = node.nodetool(&["status", "ks"]);
    assert!(status.contains("Owns (effective)") && status.contains(" 100.0% "), "{status}");
    let (failed, message) = node.nodetool_fails(&["status", "system"]);
    assert!(failed && message.contains("system"), "{message}");
    let other = "CREATE KEYSPACE two WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}";
    assert!(node.shell(other).status.success());
    let status = node.nodetool(&["status"]);
    assert!(status.contains(" ? ") && status.contains("Note: Non-system keyspaces don't"), "{status}");
    assert_eq!(node.nodetool(&["ring"]).matches("127.0.0.1").count(), 16);
    let gossip = node.nodetool(&["gossipinfo"]);
    assert!(gossip.starts_with("/127.0.0.1:7000\n  generation:"), "{gossip}");
    assert!(
        ["  STATUS_WITH_PORT:", "  LOAD:", "  SCHEMA:"].iter().all(|key| gossip.contains(key)),
        "{gossip}"
    );
    let described = node.nodetool(&["describecluster"]);
    let expected = [
        "Name: bronze\n",
        ": [127.0.0.1]\n",
        "datacenter1 #Nodes: 1 #Down: 0\n",
        "ks -> Replication class: SimpleStrategy {replication_factor=1}\n",
    ];
    assert!(expected.iter().all(|text| described.contains(text)), "{described}");
    assert_eq!(node.nodetool(&["describering", "ks"]).matches("endpoints:[127.0.0.1], rpc").count(), 16);
    assert_eq!(node.nodetool(&["getendpoints", "ks", "t", "-7"]), "127.0.0.1\n");
    let (failed, message) = node.nodetool_fails(&["getendpoints", "ks", "t", "seven"]);
    assert!(failed && message.contains("seven"), "{message}");
    assert!(node.nodetool(&["netstats"]).starts_with(
        "Mode: NORMAL\nNothing is fetched.\nSent to nodes that fetch: 0 bytes\nNo hints wait.\n"
    ));
    assert_eq!(node.nodetool(&["statusgossip"]), "running\n");
    assert_eq!(node.nodetool(&["statushandoff"]), "Hinted handoff is running\n");
}

#[test]
fn snapshots_are_taken_listed_and_cleared() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::on(directory.path());
    assert!(node.shell(SCHEMA).status.success());
    assert!(node.shell("INSERT INTO ks.t (k, v) VALUES (1, 'a')").status.success());
    assert!(node.nodetool(&["listsnapshots"]).contains("There are no snapshots"));
    assert!(node.nodetool(&["snapshot", "-t", "one", "ks"]).contains("Snapshot directory: one"));
    let listed = node.nodetool(&["listsnapshots"]);
    assert!(listed.lines().nth(2).unwrap().starts_with("one           ks            t "), "{listed}");
    let tables: Vec<_> = std::fs::read_dir(directory.path().join("snapshots/one")).unwrap().collect();
    let of_table = tables[0].as_ref().unwrap().path();
    let manifest = std::fs::read_to_string(of_table.join("manifest.json")).unwrap();
    assert!(manifest.contains("\"created_at\": \"20") && manifest.contains(".sst\""), "{manifest}");
    let schema = std::fs::read_to_string(of_table.join("schema.cql")).unwrap();
    assert!(schema.starts_with("CREATE TABLE ks.t (") && schema.contains("ID = "), "{schema}");
    let (failed, message) = node.nodetool_fails(&["snapshot", "-t", "one", "ks"]);
    assert!(failed && message.contains("Snapshot one already exists."), "{message}");
    let (failed, message) = node.nodetool_fails(&["clearsnapshot"]);
    assert!(failed && message.contains("Specify snapshot name or --all"), "{message}");
    node.nodetool(&["clearsnapshot", "-t", "one"]);
    assert!(node.nodetool(&["listsnapshots"]).contains("There are no snapshots"));
    assert!(!of_table.exists());
}

#[test]
fn a_damaged_file_is_named_by_verify_and_rebuilt_by_scrub() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::on(directory.path());
    assert!(node.shell(SCHEMA).status.success());
    let insert = |k: i32| format!("INSERT INTO ks.t (k, v) VALUES ({k}, '{}');", "x".repeat(700));
    assert!(node.shell("ALTER TABLE ks.t WITH compression = {'enabled': false}").status.success());
    for some in [0..100, 100..200] {
        assert!(node.shell(&some.map(insert).collect::<String>()).status.success());
    }
    assert_eq!(node.nodetool(&["flush", "ks"]), "");
    let files = || {
        let tables = std::fs::read_dir(directory.path().join("tables")).unwrap();
        let inside = tables.flat_map(|table| std::fs::read_dir(table.unwrap().path()).unwrap());
        inside
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "sst"))
            .max_by_key(|path| path.metadata().unwrap().len())
            .unwrap()
    };
    let file = files();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[20_000] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let (failed, message) = node.nodetool_fails(&["verify", "ks", "t"]);
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(failed && message.contains(&name) && message.contains("checksum"), "{message}");
    let scrubbed = node.nodetool(&["scrub", "ks", "t"]);
    assert!(
        scrubbed.contains("1 files, 1 rebuilt") && scrubbed.contains("lost: what lies between"),
        "{scrubbed}"
    );
    assert_eq!(node.nodetool(&["verify", "ks", "t"]), "ks.t: 1 files, 0 damaged parts\n");
    let left = String::from_utf8(node.shell("SELECT count(*) FROM ks.t").stdout).unwrap();
    let left: u64 = left.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    assert!((150..200).contains(&left), "{left} of 200 rows are left");
    assert!(node.nodetool(&["listsnapshots"]).contains("pre-scrub-"));
}

/// What the allocator keeps would count where the data of a process is limited.
#[test]
#[cfg(target_os = "linux")]
fn the_allocator_keeps_no_address_space() {
    let output =
        Command::new(BINARY).arg("--version").env("_RJEM_MALLOC_CONF", "stats_print:true").output().unwrap();
    let settings = String::from_utf8(output.stderr).unwrap();
    assert!(settings.contains("opt.retain: false"), "{settings}");
}

#[test]
fn a_load_finds_out_what_is_not_there_as_it_was_acknowledged() {
    let node = Node::start(&["--memory"]);
    let bench = |arguments: &[&str]| {
        let mut bench = Command::new(BINARY);
        bench
            .args(["bench", "--verify", "--port", &node.port, "--keys", "300", "--depth", "16"])
            .args(arguments);
        bench
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    for workload in ["write", "mixed"] {
        let output = bench(&[workload, "--operations", "5000"]).output().unwrap();
        let (out, errors) = (text(output.stdout), text(output.stderr));
        assert!(output.status.success(), "{out}{errors}");
        assert!(out.contains("rows at the end: 300 compared, 0 missing, 0 wrong, 0 not read"), "{out}");
    }
    // Rows that only this run has written, and somebody else changes meanwhile.
    assert!(node.shell("TRUNCATE bench.kv").status.success());
    let running = bench(&["read", "--duration", "4", "--rate", "500", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let is_loaded = || text(node.shell("SELECT count(*) FROM bench.kv").stdout).contains(" 300");
    while !is_loaded() {
        assert!(began.elapsed() < Duration::from_secs(20), "the rows are not loaded");
        std::thread::sleep(Duration::from_millis(20));
    }
    let changed = "DELETE FROM bench.kv WHERE key = 7; UPDATE bench.kv SET value = 0x5a WHERE key = 8";
    assert!(node.shell(changed).status.success());
    let output = running.wait_with_output().unwrap();
    let (out, errors) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(1), "{out}{errors}");
    assert!(errors.contains("rows at the end: 300 compared, 1 missing, 1 wrong, 0 not read"), "{errors}");
    let figures: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(figures["verified"]["at_the_end"]["missing"], 1, "{figures}");
}
