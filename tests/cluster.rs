//! Several nodes as processes: how they join, what they refuse, and what is left when one is killed.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test of processes: real sockets, pipes and files"
)]

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_dodona");
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long it may take until a node that was killed is taken for dead.
const UNTIL_DEAD: Duration = Duration::from_secs(60);

/// Waits until something is so.
fn until(what: &str, is_so: impl FnMut() -> bool) {
    until_within(PATIENCE, what, is_so);
}

fn until_within(patience: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < patience, "not after {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that nobody listens on, and that no connection goes out by: those have greater ones.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let ports = std::iter::repeat_with(|| {
        let next = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        10_000 + (next % 20_000) as u16
    });
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    ports.take(1_000).find(is_free).expect("a port that nobody listens on")
}

/// Loopback addresses, of which no other process of these tests uses the first three bytes.
fn free_network() -> [u8; 3] {
    let id = std::process::id();
    [127, (id % 250 + 1) as u8, (id / 250 % 250 + 1) as u8]
}

/// Where a node is and what it keeps.
#[derive(Clone)]
struct Place {
    data: PathBuf,
    /// Certificate, key and authority, if it speaks by TLS.
    certificates: Option<[PathBuf; 3]>,
    /// It speaks without TLS as well.
    is_tls_optional: bool,
    port: u16,
    internode: u16,
    admin: u16,
}

impl Place {
    fn new(directory: &Path, name: &str) -> Self {
        let [port, internode, admin] = std::array::from_fn(|_| free_port());
        Self {
            data: directory.join(name),
            certificates: None,
            is_tls_optional: false,
            port,
            internode,
            admin,
        }
    }

    /// With certificates of a directory.
    fn with_certificates(self, directory: &Path) -> Self {
        let files = ["127.0.0.1.pem", "127.0.0.1.key", "authority.pem"].map(|name| directory.join(name));
        Self { certificates: Some(files), ..self }
    }

    /// What the node here has said.
    fn log(&self) -> String {
        std::fs::read_to_string(self.data.with_extension("log")).unwrap_or_default()
    }

    fn command(&self, seed: u16) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(["start", "--cores", "1", "--log-level", "warn", "--port", &self.port.to_string()])
            .args(["--internode-port", &self.internode.to_string(), "--admin-port", &self.admin.to_string()])
            .args(["--seeds", &format!("127.0.0.1:{seed}"), "--data"])
            .arg(&self.data);
        let flags = ["--internode-tls-certificate", "--internode-tls-key", "--internode-tls-authority"];
        for (flag, file) in flags.iter().zip(self.certificates.iter().flatten()) {
            command.arg(flag).arg(file);
        }
        if self.is_tls_optional {
            command.arg("--internode-tls-optional");
        }
        command
    }

    /// A node that may not get ready.
    fn spawn(&self, seed: u16, more: &[&str]) -> Node {
        let log = OpenOptions::new().create(true).append(true).open(self.data.with_extension("log")).unwrap();
        let process = self.command(seed).args(more).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Node { place: self.clone(), process }
    }

    /// The message of a node that cannot start here.
    fn refused(&self, seed: u16, more: &[&str]) -> String {
        let mut node =
            self.command(seed).args(more).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        until("the node ends", || node.try_wait().unwrap().is_some());
        let mut message = String::new();
        node.stderr.take().unwrap().read_to_string(&mut message).unwrap();
        assert_eq!(node.wait().unwrap().code(), Some(1), "{message}");
        message
    }

    fn start(&self, seed: u16) -> Node {
        self.start_with(seed, &[])
    }

    fn start_with(&self, seed: u16, more: &[&str]) -> Node {
        let mut node = self.spawn(seed, more);
        until("the node is ready", || {
            assert!(node.process.try_wait().unwrap().is_none(), "the node has ended: {}", self.log());
            TcpStream::connect((Ipv4Addr::LOCALHOST, node.place.port)).is_ok()
                && node.run("nodetool", &["status"]).status.success()
        });
        node
    }
}

/// A node that is killed when the test ends.
struct Node {
    place: Place,
    process: Child,
}

impl Node {
    fn run(&self, what: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        match what {
            "nodetool" => command.args(["nodetool", "-p", &self.place.admin.to_string()]),
            _ => command.args([what, "127.0.0.1", &self.place.port.to_string()]),
        };
        command.args(arguments).output().unwrap()
    }

    fn nodetool(&self, arguments: &[&str]) -> String {
        let output = self.run("nodetool", arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What statements give, or the error.
    fn try_cql(&self, statements: &str) -> Result<String, String> {
        let output = self.run("shell", &["-e", statements]);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    fn cql(&self, statements: &str) -> String {
        self.try_cql(statements).unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    /// Writes so many rows of `ks.t`, from the key 0 on.
    fn fill(&self, level: &str, rows: usize) {
        let rows = (0..rows).map(|k| format!("INSERT INTO ks.t (k, v) VALUES ({k}, 'value {k}');"));
        self.cql(&format!("CONSISTENCY {level}; {}", rows.collect::<String>()));
    }

    fn sees_up(&self) -> usize {
        self.nodetool(&["status", "system_traces"]).matches("\nUN  ").count()
    }

    fn kill(mut self) -> Place {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.place.clone()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Three nodes that see each other, and the first one's port for others.
fn three(directory: &Path) -> (Vec<Node>, u16) {
    start_all(&["one", "two", "three"].map(|name| Place::new(directory, name)))
}

fn start_all(places: &[Place]) -> (Vec<Node>, u16) {
    let seed = places[0].internode;
    let nodes: Vec<Node> = places.iter().map(|place| place.start(seed)).collect();
    until("all see all", || nodes.iter().all(|node| node.sees_up() == nodes.len()));
    (nodes, seed)
}

const SCHEMA: &str = "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}; \
    CREATE TABLE ks.t (k int PRIMARY KEY, v text); CREATE TABLE ks.n (k int PRIMARY KEY, n counter)";

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
fn what_a_node_has_lost_a_repair_brings_back() {
    let directory = tempfile::tempdir().unwrap();
    let (mut nodes, seed) = three(directory.path());
    nodes[0].cql(SCHEMA);
    nodes[0].fill("ALL", 300);
    nodes[0].cql("DELETE FROM ks.t WHERE k = 7");
    let refused = nodes[0].run("nodetool", &["repair", "system"]);
    assert!(String::from_utf8(refused.stderr).unwrap().contains("nothing to repair"));
    assert!(nodes[0].nodetool(&["repair", "ks"]).contains("ks.t: 48 ranges compared, in sync"));
    // All that it has of the table is in its log.
    let lost = nodes.pop().unwrap().kill();
    let down = nodes[0].run("nodetool", &["repair", "ks.t"]);
    let down = String::from_utf8(down.stderr).unwrap();
    assert!(down.contains(&format!("127.0.0.1:{}", lost.internode)), "{down}");
    std::fs::remove_dir_all(lost.data.join("commitlog")).unwrap();
    let back = lost.start(seed);
    until("all see it again", || nodes.iter().chain([&back]).all(|node| node.sees_up() == 3));
    let count = |node: &Node| node.cql("CONSISTENCY ONE; SELECT count(*) FROM ks.t");
    let preview = nodes[1].nodetool(&["repair", "--preview", "ks", "t"]);
    assert!(preview.contains("parts differ\n") && preview.contains("Preview completed"), "{preview}");
    // Each range once, by the first replica of each.
    let repaired: Vec<String> =
        nodes.iter().chain([&back]).map(|node| node.nodetool(&["repair", "-pr", "ks.t"])).collect();
    assert!(repaired.iter().all(|text| text.contains("16 ranges compared, ")), "{repaired:?}");
    assert!(repaired.iter().all(|text| text.contains("parts differed, ")), "{repaired:?}");
    assert!(back.nodetool(&["repair", "ks"]).contains("ks.t: 48 ranges compared, in sync"));
    assert!(back.nodetool(&["autorepairstatus"]).contains("Automatic repair: running\nks.n: repaired 2"));
    nodes.clear();
    assert!(count(&back).lines().any(|line| line.trim() == "299"), "{}", count(&back));
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
    let host_of = |node: &Node, place: &Place| {
        let status = node.nodetool(&["status", "ks"]);
        let line = status.lines().find(|line| line.contains(&format!(":{} ", place.internode)));
        line.unwrap_or_else(|| panic!("{status}")).split_whitespace().rev().nth(1).unwrap().to_owned()
    };
    let is_down = |node: &Node| node.nodetool(&["status", "ks"]).contains("\nDN  ");
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

/// Certificates of an authority of their own.
fn certificates(directory: PathBuf) -> PathBuf {
    let made =
        Command::new(BINARY).arg("certificates").arg(&directory).args(["--host", "127.0.0.1"]).output();
    let made = made.unwrap();
    assert!(made.status.success(), "{made:?}");
    directory
}

#[test]
fn nodes_with_certificates_are_a_cluster_and_strangers_stay_outside() {
    let directory = tempfile::tempdir().unwrap();
    let ours = certificates(directory.path().join("ours"));
    let places =
        ["one", "two", "three"].map(|name| Place::new(directory.path(), name).with_certificates(&ours));
    let (nodes, seed) = start_all(&places);
    nodes[1].cql(SCHEMA);
    nodes[0].cql("CONSISTENCY QUORUM; INSERT INTO ks.t (k, v) VALUES (1, 'by TLS')");
    assert!(nodes[2].cql("CONSISTENCY QUORUM; SELECT v FROM ks.t WHERE k = 1").contains("by TLS"));
    let foreign = certificates(directory.path().join("theirs"));
    let foreign = Place::new(directory.path(), "foreign").with_certificates(&foreign);
    let plain = Place::new(directory.path(), "plain");
    let _strangers = [foreign.spawn(seed, &[]), plain.spawn(seed, &[])];
    until("the strangers and the seed say why", || {
        foreign.log().contains("its certificate is not signed by an authority of internode_tls_authority")
            && plain.log().contains("it speaks TLS, and this node does not: set internode_tls_certificate")
            && places[0].log().contains("a peer is not listened to")
    });
    let status = nodes[0].nodetool(&["status", "system_traces"]);
    assert_eq!(status.matches("127.0.0.1:").count(), 3, "{status}");
    // Other certificates of the same authority.
    for name in ["127.0.0.1.pem", "127.0.0.1.key"] {
        std::fs::remove_file(ours.join(name)).unwrap();
    }
    let lacking = nodes[0].run("nodetool", &["reloadssl"]);
    assert!(String::from_utf8_lossy(&lacking.stderr).contains("127.0.0.1.pem: "), "{lacking:?}");
    certificates(ours);
    assert_eq!(nodes[0].nodetool(&["reloadssl"]), "");
    nodes[1].cql("CONSISTENCY ALL; INSERT INTO ks.t (k, v) VALUES (2, 'still')");
}

#[test]
fn a_cluster_goes_over_to_tls_one_node_after_another() {
    let directory = tempfile::tempdir().unwrap();
    let ours = certificates(directory.path().join("ours"));
    let plain = ["one", "two", "three"].map(|name| Place::new(directory.path(), name));
    let (mut nodes, seed) = start_all(&plain);
    nodes[0].cql(SCHEMA);
    for is_tls_optional in [true, false] {
        for place in &plain {
            let place = Place { is_tls_optional, ..place.clone() }.with_certificates(&ours);
            nodes.remove(0).kill();
            nodes.push(place.start(seed));
            until("all see all", || nodes.iter().all(|node| node.sees_up() == 3));
            nodes[2].cql("CONSISTENCY ALL; INSERT INTO ks.t (k, v) VALUES (1, 'on the way')");
            nodes[0].cql("CONSISTENCY ALL; SELECT v FROM ks.t WHERE k = 1");
        }
    }
    let stranger = Place::new(directory.path(), "stranger");
    let _stranger = stranger.spawn(seed, &[]);
    until("no one is spoken with in plain", || stranger.log().contains("it speaks TLS"));
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
