//! Nodes that are replaced, removed and refused, and clusters for developers.

use crate::nodes::*;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// The host id of a member, as another one shows it.
fn host_of(node: &Node, place: &Place) -> String {
    let status = node.nodetool(&["status", "system_traces"]);
    let line = status.lines().find(|line| line.contains(&format!(":{} ", place.internode)));
    line.unwrap_or_else(|| panic!("{status}")).split_whitespace().rev().nth(1).unwrap().to_owned()
}

/// True if it sees a member that is down.
fn is_down(node: &Node) -> bool {
    node.nodetool(&["status", "system_traces"]).contains("\nDN  ")
}

#[test]
fn a_lost_node_is_replaced_under_its_address_and_another_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, seed) = three(directory.path());
    nodes[0].cql(SCHEMA);
    // What it alone holds goes with it.
    nodes[0].cql("CREATE KEYSPACE one WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}; CREATE TABLE one.t (k int PRIMARY KEY)");
    nodes[0].fill("ALL", 200);
    nodes[0].cql("INSERT INTO ks.t (k, v) VALUES (300, 'once') IF NOT EXISTS");
    let lost = nodes.pop().unwrap().kill();
    let host = host_of(&nodes[0], &lost);
    until_within(UNTIL_DEAD, "it is seen to be down", || nodes.iter().all(is_down));
    nodes[1].cql("CONSISTENCY QUORUM; INSERT INTO ks.t (k, v) VALUES (301, 'meanwhile')");
    let place = Place { data: directory.path().join("new"), ..lost.clone() };
    let unknown = place.refused(seed, &["--replace", "127.0.0.9"]);
    assert!(
        unknown.contains("127.0.0.9, which it is to replace, is not a member") && unknown.contains(&host),
        "{unknown}"
    );
    let other_rack = place.refused(seed, &["--replace", &host, "--rack", "r9"]);
    assert!(other_rack.contains("rack `r9`"), "{other_rack}");
    let new = place.start_with(seed, &["--replace", &host]);
    until("all see three", || nodes.iter().chain([&new]).all(|node| node.sees_up() == 3));
    assert!(!nodes[0].nodetool(&["status", "ks"]).contains(&host));
    let again = Place { data: lost.data.clone(), ..Place::new(directory.path(), "unused") };
    let again = again.refused(seed, &[]);
    assert!(again.contains("was removed from its cluster"), "{again}");
    let second = nodes.pop().unwrap().kill();
    let host = host_of(&nodes[0], &second);
    let alive = nodes[0].run("nodetool", &["removenode", &host_of(&nodes[0], &place)]);
    assert!(String::from_utf8(alive.stderr).unwrap().contains("use decommission on it"));
    until_within(UNTIL_DEAD, "the other is seen to be down", || is_down(&nodes[0]));
    nodes[0].nodetool(&["removenode", &host]);
    assert!(!new.nodetool(&["status", "ks"]).contains(&host));
    assert_eq!(new.nodetool(&["status", "one"]).matches("\nUN  ").count(), 2);
    nodes.clear();
    let count = new.cql("CONSISTENCY ONE; SELECT count(*) FROM ks.t");
    assert!(count.lines().any(|line| line.trim() == "202"), "{count}");
}

#[test]
fn a_seed_that_has_left_leaves_it_to_others_who_joins() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, seed) = three(directory.path());
    let left = nodes.pop().unwrap();
    let refused = String::from_utf8(left.run("nodetool", &["decommission"]).stderr).unwrap();
    assert!(refused.contains("in keyspace system_distributed (RF = 3, N = 3)"), "{refused}");
    assert_eq!(nodes[0].sees_up(), 3, "it stays");
    left.nodetool(&["decommission", "-f"]);
    // What it knows of the members may be old: its word is not the last.
    let waiting = Place::new(directory.path(), "waiting");
    let mut waits = waiting.spawn(left.place.internode, &["--replace", "127.0.0.9"]);
    let place = Place::new(directory.path(), "new");
    let seeds = format!("127.0.0.1:{seed}");
    let refused = place.refused(left.place.internode, &["--seeds", &seeds, "--replace", "127.0.0.9"]);
    assert!(refused.contains(&format!("127.0.0.1:{seed} does not take this node in")), "{refused}");
    // It began before, and has nobody else to ask.
    assert!(waits.process.try_wait().unwrap().is_none(), "{}", waiting.log());
    let new = place.start_with(left.place.internode, &["--seeds", &seeds]);
    until("all see three", || nodes.iter().chain([&new]).all(|node| node.sees_up() == 3));
}

#[test]
fn a_removal_goes_on_without_who_began_it() {
    let directory = tempfile::tempdir().unwrap();
    let places = ["one", "two", "three", "four"].map(|name| Place::new(directory.path(), name));
    let (mut nodes, seed) = start_all(&places);
    nodes[0].cql(SCHEMA);
    nodes[0].fill("ALL", 100);
    // It waits for the third one to fetch what the fourth one held.
    let [lost, away] = [(); 2].map(|()| nodes.pop().unwrap().kill());
    let host = host_of(&nodes[0], &lost);
    let down = |node: &Node| node.nodetool(&["status", "system_traces"]).matches("\nDN  ").count();
    until_within(UNTIL_DEAD, "both are seen to be down", || nodes.iter().all(|node| down(node) == 2));
    std::thread::scope(|scope| {
        scope.spawn(|| nodes[0].run("nodetool", &["removenode", &host]));
        until("it is being removed", || nodes[1].nodetool(&["status", "ks"]).contains("\nDL  "));
        // Of the nodes, the one that was asked.
        let killed = Command::new("kill").args(["-9", &nodes[0].process.id().to_string()]).status().unwrap();
        assert!(killed.success());
    });
    let asked = nodes.remove(0).kill();
    nodes.extend([asked.start(seed), away.start(seed)]);
    let knows = |node: &Node| node.nodetool(&["status", "ks"]).contains(&host);
    until_within(UNTIL_DEAD, "it is gone", || nodes.iter().all(|node| node.sees_up() == 3 && !knows(node)));
    for node in &nodes {
        let count = node.cql("CONSISTENCY ONE; SELECT count(*) FROM ks.t");
        assert!(count.lines().any(|line| line.trim() == "100"), "{count}");
    }
}

#[test]
fn a_node_moves_and_one_that_leaves_can_stay() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("dodona.toml");
    std::fs::write(&config, "num_tokens = 1\n").unwrap();
    let places = ["one", "two", "three"].map(|name| Place::new(directory.path(), name));
    let seed = places[0].internode;
    let with_config = ["--config", config.to_str().unwrap()];
    let mut nodes: Vec<Node> = places.iter().map(|place| place.start_with(seed, &with_config)).collect();
    until("all see all", || nodes.iter().all(|node| node.sees_up() == 3));
    nodes[0].cql(&SCHEMA.replace("'replication_factor': 3", "'replication_factor': 1"));
    nodes[0].fill("ONE", 300);
    let count =
        |node: &Node| node.cql("SELECT count(*) FROM ks.t").lines().nth(3).map(|n| n.trim().to_owned());
    nodes[1].nodetool(&["move", "-4611686018427387905"]);
    nodes[1].nodetool(&["move", "1234"]);
    for node in &nodes {
        let ring = node.nodetool(&["ring"]);
        assert!(ring.contains(" 1234 ") && !ring.contains("-4611686018427387905"), "{ring}");
        until("clients are told", || {
            let known = node.cql("SELECT tokens FROM system.peers_v2; SELECT tokens FROM system.local");
            known.matches("{'1234'}").count() == 1
        });
        assert_eq!(count(node).as_deref(), Some("300"));
    }
    let again = nodes[1].run("nodetool", &["move", "1234"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("the node has the token 1234 already"));
    let taken = nodes[0].run("nodetool", &["move", "1234"]);
    assert!(String::from_utf8_lossy(&taken.stderr).contains("the token 1234 is taken"), "{taken:?}");
    let no_need = nodes[0].run("nodetool", &["abortdecommission"]);
    assert!(String::from_utf8_lossy(&no_need.stderr).contains("is not Leaving"), "{no_need:?}");
    // It waits for one that is down to fetch.
    let lost = nodes.pop().unwrap().kill();
    until_within(UNTIL_DEAD, "it is seen to be down", || nodes.iter().all(is_down));
    std::thread::scope(|scope| {
        let leaving = scope.spawn(|| nodes[1].run("nodetool", &["decommission", "--force"]));
        until("it leaves", || nodes[0].nodetool(&["status", "ks"]).contains("\nUL  "));
        nodes[1].nodetool(&["abortdecommission"]);
        let output = leaving.join().unwrap();
        assert!(String::from_utf8_lossy(&output.stderr).contains("was given up"), "{output:?}");
    });
    until("it stays", || nodes[0].sees_up() == 2);
    let alive = nodes[0].run("nodetool", &["assassinate", &host_of(&nodes[0], &nodes[1].place)]);
    assert!(String::from_utf8_lossy(&alive.stderr).contains("is alive"), "{alive:?}");
    nodes[0].nodetool(&["assassinate", &host_of(&nodes[0], &lost)]);
    until("it is gone", || nodes.iter().all(|node| !is_down(node)));
    nodes[1].cql("INSERT INTO ks.t (k, v) VALUES (300, 'still')");
}

#[test]
fn a_node_fetches_what_it_holds_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, seed) = three(directory.path());
    nodes[0].cql(SCHEMA);
    nodes[0].fill("ALL", 300);
    // Rows of system_views.streaming: why, how it ended, whether anything came.
    let fetches = |node: &Node| {
        let read = node
            .cql("SELECT operation, status, progress_percentage, bytes_received FROM system_views.streaming");
        let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        let rows = read.lines().map(cells).filter(|cells| cells.len() == 4 && cells[1] != "status");
        rows.map(|cells| format!("{} {} {} {}", cells[0], cells[1], cells[2], cells[3] != "0"))
            .collect::<Vec<_>>()
    };
    assert!(fetches(&nodes[0]).is_empty());
    assert_eq!(fetches(&nodes[1]), ["Bootstrap success 100.0 true"]);
    let more = nodes[0].run("nodetool", &["move", "5"]);
    assert!(String::from_utf8_lossy(&more.stderr).contains("has more than one token"), "{more:?}");
    let lost = nodes.pop().unwrap().kill();
    std::fs::remove_dir_all(lost.data.join("commitlog")).unwrap();
    let back = lost.start(seed);
    until("all see it again", || nodes.iter().chain([&back]).all(|node| node.sees_up() == 3));
    let nowhere = back.run("nodetool", &["rebuild", "nowhere"]);
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("no data centre `nowhere`"), "{nowhere:?}");
    let elsewhere = back.run("nodetool", &["rebuild", "--exclude-local-dc"]);
    assert!(String::from_utf8_lossy(&elsewhere.stderr).contains("has no replica"), "{elsewhere:?}");
    assert!(fetches(&back).is_empty());
    let refused = |arguments: &[&str], reason: &str| {
        let done = back.run("nodetool", &[&["rebuild"], arguments].concat());
        assert!(String::from_utf8_lossy(&done.stderr).contains(reason), "{done:?}");
    };
    refused(&["--tokens", "(1,2]"], "Cannot specify tokens without keyspace.");
    refused(&["-k", "ks", "--tokens", "1,2"], "are no ranges of tokens");
    refused(&["-k", "ks", "--sources", "127.0.0.99"], "Unknown host specified 127.0.0.99");
    assert!(fetches(&back).is_empty());
    // Two parts that are all of it; the second one wraps.
    back.nodetool(&["rebuild", "-k", "ks", "--tokens", "(-4000000000000000000, 0],(0,10]"]);
    back.nodetool(&["rebuild", "-k", "ks", "--tokens", "(10,-4000000000000000000]", "datacenter1"]);
    assert_eq!(fetches(&back), ["Rebuild success 100.0 true"; 2]);
    assert_eq!(back.nodetool(&["removenode", "status"]), "RemovalStatus: No token removals in process.\n");
    let nothing = back.run("nodetool", &["removenode", "force"]);
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("No nodes to force removal on"), "{nothing:?}");
    nodes.clear();
    let count = back.cql("CONSISTENCY ONE; SELECT count(*) FROM ks.t");
    assert!(count.lines().any(|line| line.trim() == "300"), "{count}");
}

#[test]
fn a_node_that_cannot_belong_here_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, seed) = three(directory.path());
    nodes[0].cql(SCHEMA);
    let other = Place::new(directory.path(), "other").refused(seed, &["--cluster-name", "another"]);
    assert!(other.contains("correct cluster_name or the seeds"), "{other}");
    // A member's address and an empty disk.
    let place = nodes.pop().unwrap().kill();
    let empty = Place { data: directory.path().join("empty"), ..place.clone() };
    let message = empty.refused(seed, &[]);
    assert!(message.contains("nodetool removenode"), "{message}");
    // Garbage on the port for nodes ends that connection only.
    let mut garbage = TcpStream::connect((Ipv4Addr::LOCALHOST, seed)).unwrap();
    garbage.write_all(&[0xff; 4_096]).unwrap();
    garbage.set_read_timeout(Some(PATIENCE)).unwrap();
    // Closed or reset, not left open.
    let ended = garbage.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
    assert!(!matches!(ended, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{ended:?}");
    nodes[1].cql("CONSISTENCY QUORUM; INSERT INTO ks.t (k, v) VALUES (1, 'still')");
    assert!(nodes[0].cql("CONSISTENCY QUORUM; SELECT v FROM ks.t WHERE k = 1").contains("still"));
    // The same disk twice, and a copy of it.
    let one_disk = Place { data: nodes[1].place.data.clone(), ..Place::new(directory.path(), "unused") };
    let twice = one_disk.refused(seed, &[]);
    assert!(twice.contains("in use by another process"), "{twice}");
    let copy = Place::new(directory.path(), "copy");
    assert!(Command::new("cp").arg("-r").args([&one_disk.data, &copy.data]).status().unwrap().success());
    let copied = copy.refused(seed, &[]);
    assert!(copied.contains("copied") && copied.contains("an empty data directory"), "{copied}");
}

/// Others may have purged tombstones that a node has not seen, if it was away for long.
#[test]
fn a_member_that_was_away_for_longer_than_tombstones_are_kept_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, seed) = three(directory.path());
    nodes[0].cql(SCHEMA);
    nodes[0].cql("INSERT INTO ks.t (k, v) VALUES (1, 'one')");
    let host = host_of(&nodes[0], &nodes[2].place);
    let place = nodes.pop().unwrap().kill();
    let was_alive = |seconds_ago: u64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let disk = dodona_env::os::env(&place.data).unwrap().disk;
        dodona_cluster::heartbeat::write(&*disk, (now - seconds_ago).cast_signed()).unwrap();
    };
    was_alive(9 * 86_400);
    let place = place.start(seed).kill();
    was_alive(11 * 86_400 + 7_200);
    let refused = place.refused(seed, &[]);
    assert!(refused.contains("last alive 11 days and 2 hours ago"), "{refused}");
    assert!(refused.contains("gc_grace_seconds (864000) of ks.n and 1 more"), "{refused}");
    assert!(refused.contains(&format!("--replace {host}")), "{refused}");
    // As it says: at the operator's word, or anew in the place of itself.
    let settings = directory.path().join("once.toml");
    std::fs::write(&settings, "check_data_resurrection = false").unwrap();
    let place = place.start_with(seed, &["--config", settings.to_str().unwrap()]).kill();
    until("it is seen to be down", || is_down(&nodes[0]));
    std::fs::remove_dir_all(&place.data).unwrap();
    let anew = place.start_with(seed, &["--replace", &host]);
    assert!(anew.cql("CONSISTENCY ONE; SELECT v FROM ks.t WHERE k = 1").contains("one"));
    // What is damaged tells nothing, and stops nobody.
    let place = anew.kill();
    std::fs::write(place.data.join("heartbeat"), "1700000000 00000000\n").unwrap();
    let _node = place.start(seed);
    assert!(place.log().contains("`heartbeat` is damaged"), "{}", place.log());
}

#[test]
fn nodes_of_two_clusters_say_of_each_other_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let places = ["one", "two"].map(|name| Place::new(directory.path(), name));
    let (nodes, _) = start_all(&places);
    let address = nodes[1].place.internode;
    let one = nodes.into_iter().next().unwrap();
    // The node of another cluster, which has something to lose, has come to the address of a member that is gone.
    let place = Place::new(directory.path(), "other");
    let elsewhere = place.start(place.internode);
    elsewhere
        .cql("CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    let other = Place { internode: address, ..elsewhere.kill() };
    let _other = other.start(address);
    let says = |place: &Place, what: &str| {
        let log = place.log();
        log.lines().any(|line| line.contains(what) && line.contains(": correct the seeds"))
    };
    until("one tells of it", || says(&one.place, "a peer is not spoken with"));
    until("the other one does", || says(&other, "a peer is not listened to"));
}

#[test]
fn a_cluster_on_this_machine_goes_up_and_down() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("c");
    let [a, b, c] = free_network();
    let first = format!("{a}.{b}.{c}.1");
    if TcpListener::bind((first.as_str(), 0)).is_err() {
        eprintln!("this machine has no address {first}: nothing is tested");
        return;
    }
    let run = |arguments: &[&str]| {
        let output =
            Command::new(BINARY).arg("cluster").args(arguments).arg("--dir").arg(&dir).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    };
    let up = run(&["up", "2", "--tls", "--data-centers", "2", "--first", &first]).unwrap();
    assert_eq!(up.matches("  up\n").count(), 2, "{up}");
    assert!(up.contains("datacenter2") && up.contains(&format!("http://{a}.{b}.{c}.2:7199")), "{up}");
    let again = run(&["up"]).unwrap_err();
    assert!(again.contains("`dodona cluster down` stops them"), "{again}");
    let other =
        ["cluster", "up", "1", "--first", &first, "--dir", directory.path().join("d").to_str().unwrap()]
            .map(str::to_owned);
    let taken = String::from_utf8(Command::new(BINARY).args(other).output().unwrap().stderr).unwrap();
    assert!(taken.contains("is taken by ") && taken.contains("--first"), "{taken}");
    let mut internode = TcpStream::connect((first.as_str(), 7000)).unwrap();
    internode.write_all(&[0xff; 64]).unwrap();
    let mut alert = [0; 2];
    internode.read_exact(&mut alert).unwrap();
    assert_eq!(alert, [0x15, 3], "nodes speak by TLS");
    run(&["kill", "2"]).unwrap();
    assert_eq!(run(&["status"]).unwrap().matches("stopped\n").count(), 1);
    assert_eq!(run(&["restart", "2"]).unwrap().matches("  up\n").count(), 2);
    assert!(run(&["down"]).unwrap().contains("all nodes are stopped"));
    assert_eq!(run(&["status"]).unwrap().matches("stopped\n").count(), 2);
}

#[test]
fn a_node_joins_another_one_beside_it_by_an_address_and_a_seed_alone() {
    let directory = tempfile::tempdir().unwrap();
    let [a, b, c] = free_network();
    let [first, second] = [77, 78].map(|last| format!("{a}.{b}.{c}.{last}"));
    if TcpListener::bind((first.as_str(), 0)).is_err() {
        eprintln!("this machine has no address {first}: nothing is tested");
        return;
    }
    // Every port is the one that a node has by itself.
    let start = |data: &str, flags: &[&str]| {
        let place = Place { port: 9042, internode: 7000, admin: 7199, ..Place::new(directory.path(), data) };
        let mut command = Command::new(BINARY);
        command.arg("start").args(flags).args(["--data", data]).current_dir(directory.path());
        let process = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
        Node { place, process }
    };
    let status = |address: &str| {
        let output = Command::new(BINARY).args(["nodetool", "-h", address, "status"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let _one = start("n1", &["--listen", &first]);
    until("the first is up", || status(&first).contains(&format!("UN  {first}")));
    let _two = start("n2", &["--listen", &second, "--seeds", &first, "--dc", "dc1", "--rack", "r1"]);
    for address in [&first, &second] {
        until("both see both", || {
            let status = status(address);
            [&first, &second].iter().all(|node| status.contains(&format!("UN  {node}")))
                && status.contains("Datacenter: dc1")
        });
    }
}
