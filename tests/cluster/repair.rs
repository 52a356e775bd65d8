//! Repairs: what they bring back, what they compare, and what they leave as it is.

use crate::nodes::*;

/// The rows of a view, each one's columns set apart by blanks.
fn rows(node: &Node, select: &str) -> Vec<Vec<String>> {
    let text = node.cql(select);
    let rows = text.lines().skip_while(|line| !line.starts_with("---") && !line.contains("-+-")).skip(1);
    let rows = rows.take_while(|line| !line.trim().is_empty());
    rows.map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn views_tell_of_repairs_what_leads_to_what() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, seed) = three(directory.path());
    nodes[0].cql(SCHEMA);
    nodes[0].fill("ALL", 300);
    nodes[0].nodetool(&["repair", "--full", "-seq", "ks.t"]);
    nodes[0].nodetool(&["repair", "ks.t"]);
    nodes[0].nodetool(&["repair", "--preview", "--full", "ks.t"]);
    let led = rows(
        &nodes[0],
        "SELECT type, status, completed, keyspace_name, table_names, options_parallelism, options_incremental, \
         options_preview_kind, command_id, failure_cause, id FROM system_views.repairs",
    );
    let told = |kind: &str| {
        led.iter().find(|row| row[0] == kind).unwrap_or_else(|| panic!("{led:?}"))[1..10].to_vec()
    };
    assert_eq!(told("full"), ["success", "True", "ks", "['t']", "SEQUENTIAL", "False", "NONE", "1", "null"]);
    assert_eq!(
        told("incremental"),
        ["success", "True", "ks", "['t']", "PARALLEL", "True", "NONE", "2", "null"]
    );
    assert_eq!(
        told("preview full"),
        ["success", "True", "ks", "['t']", "PARALLEL", "False", "ALL", "3", "null"]
    );
    // Three orders of the replicas: a repair has three sessions, each with a job for which each of the three hashes.
    let sessions = rows(&nodes[0], "SELECT id, repair_id, jobs FROM system_views.repair_sessions");
    assert_eq!(sessions.len(), 9, "{sessions:?}");
    for [id, repair, jobs] in sessions.iter().map(|row| <&[String; 3]>::try_from(&row[..]).unwrap()) {
        let of = rows(&nodes[0], &format!("SELECT sessions FROM system_views.repairs WHERE id = {repair}"));
        assert!(of[0][0].contains(id), "{of:?}");
        let job = jobs.trim_matches(['{', '}']);
        let of =
            format!("SELECT session_id, repair_id, status FROM system_views.repair_jobs WHERE id = {job}");
        assert_eq!(rows(&nodes[0], &of), [[id.as_str(), repair.as_str(), "success"]]);
        for node in &nodes {
            let hashed = rows(
                node,
                "SELECT session_id, repair_id, status, initiator, id FROM system_views.repair_validations",
            );
            let hashed = hashed.iter().find(|row| row[0] == *id).unwrap_or_else(|| panic!("{hashed:?}"));
            let leader = format!("/127.0.0.1:{}", nodes[0].place.internode);
            assert_eq!(hashed[1..4], [repair.clone(), "success".to_owned(), leader]);
            let part = format!(
                "SELECT completed, tables, validations FROM system_views.repair_participates WHERE id = {repair}"
            );
            let part = rows(node, &part);
            assert_eq!(part[0][..2], ["True", "{'ks.t'}"]);
            assert!(part[0][2].contains(&hashed[4]), "{part:?}");
        }
    }
    let full = led.iter().find(|row| row[0] == "full").unwrap().last().unwrap();
    for node in &nodes {
        let hashed =
            "SELECT repair_id, partitions_processed, bytes_read FROM system_views.repair_validations";
        let hashed = rows(node, hashed);
        let of_full = hashed.iter().filter(|row| row[0] == *full);
        let of_full: Vec<[u64; 2]> =
            of_full.map(|row| [row[1].parse().unwrap(), row[2].parse().unwrap()]).collect();
        assert_eq!(of_full.iter().map(|[partitions, _]| partitions).sum::<u64>(), 300, "{hashed:?}");
        assert!(of_full.iter().map(|[_, bytes]| bytes).sum::<u64>() > 300 * 10, "{hashed:?}");
    }
    // One that fails says why.
    let lost = nodes.pop().unwrap().kill();
    let refused = nodes[0].run("nodetool", &["repair", "--full", "ks.t"]);
    let refused = String::from_utf8(refused.stderr).unwrap();
    let failed = rows(&nodes[0], "SELECT command_id, status, failure_cause FROM system_views.repairs");
    let failed = failed.iter().find(|row| row[0] == "4").unwrap_or_else(|| panic!("{failed:?}"));
    assert!(failed[1] == "failure" && refused.contains(&failed[2]), "{failed:?}: {refused}");
    lost.start(seed);
}

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
    let both = nodes[0].nodetool(&["repair", "-j2", "ks", "t", "n"]);
    assert!(
        ["ks.n: ", "ks.t: "].iter().all(|table| both.contains(table)) && both.contains("in sync"),
        "{both}"
    );
    let unknown = nodes[0].run("nodetool", &["repair", "ks", "t", "other"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no table ks.other"), "{unknown:?}");
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

/// The id and the state of the one incremental repair that a node takes part in.
fn session(node: &Node) -> Option<(String, String)> {
    let listed = node.nodetool(&["repair_admin", "list"]);
    let line = listed.lines().nth(1)?;
    let mut words = line.split(" | ").map(|word| word.trim().to_owned());
    Some((words.next()?, words.next()?))
}

#[test]
fn an_incremental_repair_is_listed_cancelled_and_given_up_without_its_leader() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, _) = three(directory.path());
    nodes[0].cql(SCHEMA);
    nodes[0].fill("ALL", 100);
    assert_eq!(nodes[0].nodetool(&["repair_admin"]), "no sessions\n");
    // One replica does not answer, so that the others wait with what they have set aside.
    nodes[2].signal("-STOP");
    std::thread::scope(|scope| {
        let repairing = scope.spawn(|| nodes[0].run("nodetool", &["repair", "ks", "t"]));
        let is_prepared = |node: &Node| session(node).is_some_and(|(_, state)| state == "PREPARED");
        until("two have set it aside", || nodes[..2].iter().all(is_prepared));
        assert_ne!(statistic(&nodes[1], "Bytes pending repair"), "0");
        let listed = nodes[1].nodetool(&["repair_admin", "list"]);
        assert!(listed.starts_with("id ") && listed.contains("| participants_wp"), "{listed}");
        assert!(listed.contains(&format!(" | /127.0.0.1:{} ", nodes[0].place.internode)), "{listed}");
        let (id, _) = session(&nodes[1]).unwrap();
        let elsewhere = nodes[1].run("nodetool", &["repair_admin", "cancel", "-s", &id]);
        let refused = String::from_utf8(elsewhere.stderr).unwrap();
        assert!(refused.contains("from its coordinator") && refused.contains("--force"), "{refused}");
        // What is sent to the one that stands still waits, and is in vain.
        nodes[0].nodetool(&["repair_admin", "cancel", "--session", &id]);
        let output = repairing.join().unwrap();
        let failed = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && failed.contains("the repair was cancelled"), "{failed}");
        for node in &nodes[..2] {
            assert_eq!(node.nodetool(&["repair_admin", "list"]), "no sessions\n");
            assert!(node.nodetool(&["repair_admin", "list", "-a"]).contains(&format!("{id} | FAILED")));
            assert_eq!(statistic(node, "Bytes pending repair"), "0");
        }
        let again = nodes[0].run("nodetool", &["repair_admin", "cancel", "-s", &id]);
        assert!(String::from_utf8(again.stderr).unwrap().contains("is FAILED already"));
    });
    nodes[2].signal("-CONT");
    until("all answer again", || nodes.iter().all(|node| node.sees_up() == 3));
    until("it can be repaired", || nodes[0].run("nodetool", &["repair", "ks", "t"]).status.success());
    nodes[0].cql("CONSISTENCY ALL; INSERT INTO ks.t (k, v) VALUES (1000, 'new')");
    nodes[2].signal("-STOP");
    let leader = nodes.remove(0);
    std::thread::scope(|scope| {
        let repairing = scope.spawn(|| leader.run("nodetool", &["repair", "ks", "t"]));
        until("another one has set it aside", || statistic(&nodes[0], "Bytes pending repair") != "0");
        leader.signal("-KILL");
        assert!(!repairing.join().unwrap().status.success());
        until_within(2 * UNTIL_DEAD, "it is given up", || session(&nodes[0]).is_none());
        assert_eq!(statistic(&nodes[0], "Bytes pending repair"), "0");
    });
    nodes[1].signal("-CONT");
}

#[test]
fn repairs_are_recorded_as_in_cassandra() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, _) = three(directory.path());
    nodes[0].cql(SCHEMA);
    nodes[0].fill("ALL", 100);
    nodes[0].nodetool(&["repair", "--preview", "ks", "t"]);
    nodes[0].nodetool(&["repair", "-pr", "ks", "t"]);
    let parents = "SELECT keyspace_name, columnfamily_names, options['incremental'], options['primaryRange'] \
        FROM system_distributed.parent_repair_history";
    until("it is written", || nodes[1].cql(parents).contains("ks"));
    let shown = nodes[1].cql(parents);
    assert!(shown.contains("{'t'}") && shown.matches("true").count() == 2, "a preview leaves none: {shown}");
    let ranges = "SELECT status, coordinator_port, participants_v2, range_begin, finished_at \
        FROM system_distributed.repair_history WHERE keyspace_name = 'ks' AND columnfamily_name = 't'";
    until("all ranges are done", || nodes[1].cql(ranges).matches("SUCCESS").count() == 16);
    let shown = nodes[1].cql(ranges);
    assert_eq!(shown.matches(&format!("127.0.0.1:{}", nodes[2].place.internode)).count(), 16, "{shown}");
    assert!(!shown.contains(&format!("127.0.0.1:{}", nodes[0].place.internode)), "{shown}");
    let counted = "SELECT successful_ranges FROM system_distributed.parent_repair_history";
    until("it has ended", || nodes[1].cql(counted).matches("]'").count() == 16);
    nodes.pop().unwrap().kill();
    assert!(!nodes[0].run("nodetool", &["repair", "ks", "t"]).status.success());
    let failed = "SELECT exception_message FROM system_distributed.parent_repair_history";
    until("the failure is written", || nodes[0].cql(failed).contains("127.0.0.1:"));
}
