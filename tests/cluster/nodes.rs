//! Nodes as processes: where each is, and what it is asked.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_dodona");
/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long it may take until a node that was killed is taken for dead.
pub(crate) const UNTIL_DEAD: Duration = Duration::from_secs(60);

/// Waits until something is so.
pub(crate) fn until(what: &str, is_so: impl FnMut() -> bool) {
    until_within(PATIENCE, what, is_so);
}

pub(crate) fn until_within(patience: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < patience, "not after {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that nobody listens on, and that no connection goes out by: those have greater ones.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let ports = std::iter::repeat_with(|| {
        let next = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        10_000 + (next % 20_000) as u16
    });
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    ports.take(1_000).find(is_free).expect("a port that nobody listens on")
}

/// Loopback addresses, of which no other process of these tests uses the first three bytes.
pub(crate) fn free_network() -> [u8; 3] {
    let id = std::process::id();
    [127, (id % 250 + 1) as u8, (id / 250 % 250 + 1) as u8]
}

/// Where a node is and what it keeps.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) data: PathBuf,
    /// Certificate, key and authority, if it speaks by TLS.
    pub(crate) certificates: Option<[PathBuf; 3]>,
    /// It speaks without TLS as well.
    pub(crate) is_tls_optional: bool,
    pub(crate) port: u16,
    pub(crate) internode: u16,
    pub(crate) admin: u16,
}

impl Place {
    pub(crate) fn new(directory: &Path, name: &str) -> Self {
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
    pub(crate) fn with_certificates(self, directory: &Path) -> Self {
        let files = ["127.0.0.1.pem", "127.0.0.1.key", "authority.pem"].map(|name| directory.join(name));
        Self { certificates: Some(files), ..self }
    }

    /// What the node here has said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.data.with_extension("log")).unwrap_or_default()
    }

    /// What the node here answers to operators by HTTP, with the head; nothing if it does not.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut answer = String::new();
        if let Ok(mut operators) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.admin)) {
            let asked = write!(operators, "GET {path} HTTP/1.0\r\n\r\n");
            let _ = asked.and_then(|()| operators.read_to_string(&mut answer));
        }
        answer
    }

    /// True once the node here serves clients.
    pub(crate) fn is_serving(&self) -> bool {
        self.get("/health").contains("\"serving\"")
    }

    pub(crate) fn command(&self, seed: u16) -> Command {
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
    pub(crate) fn spawn(&self, seed: u16, more: &[&str]) -> Node {
        let log = OpenOptions::new().create(true).append(true).open(self.data.with_extension("log")).unwrap();
        let process = self.command(seed).args(more).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Node { place: self.clone(), process }
    }

    /// The message of a node that cannot start here.
    pub(crate) fn refused(&self, seed: u16, more: &[&str]) -> String {
        let mut node =
            self.command(seed).args(more).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        until("the node ends", || node.try_wait().unwrap().is_some());
        let mut message = String::new();
        node.stderr.take().unwrap().read_to_string(&mut message).unwrap();
        assert_eq!(node.wait().unwrap().code(), Some(1), "{message}");
        message
    }

    pub(crate) fn start(&self, seed: u16) -> Node {
        self.start_with(seed, &[])
    }

    pub(crate) fn start_with(&self, seed: u16, more: &[&str]) -> Node {
        let mut node = self.spawn(seed, more);
        until("the node is ready", || {
            assert!(node.process.try_wait().unwrap().is_none(), "the node has ended: {}", self.log());
            node.place.is_serving()
        });
        node
    }
}

/// A node that is killed when the test ends.
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) process: Child,
}

impl Node {
    pub(crate) fn run(&self, what: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        match what {
            "nodetool" => command.args(["nodetool", "-p", &self.place.admin.to_string()]),
            _ => command.args([what, "127.0.0.1", &self.place.port.to_string()]),
        };
        command.args(arguments).output().unwrap()
    }

    pub(crate) fn nodetool(&self, arguments: &[&str]) -> String {
        let output = self.run("nodetool", arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What statements give, or the error.
    pub(crate) fn try_cql(&self, statements: &str) -> Result<String, String> {
        let output = self.run("shell", &["-e", statements]);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    pub(crate) fn cql(&self, statements: &str) -> String {
        self.try_cql(statements).unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    /// Writes so many rows of `ks.t`, from the key 0 on.
    pub(crate) fn fill(&self, level: &str, rows: usize) {
        let rows = (0..rows).map(|k| format!("INSERT INTO ks.t (k, v) VALUES ({k}, 'value {k}');"));
        self.cql(&format!("CONSISTENCY {level}; {}", rows.collect::<String>()));
    }

    pub(crate) fn sees_up(&self) -> usize {
        self.nodetool(&["status", "system_traces"]).matches("\nUN  ").count()
    }

    /// Has the process stand still (`-STOP`), go on (`-CONT`) or end.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn kill(mut self) -> Place {
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
pub(crate) fn three(directory: &Path) -> (Vec<Node>, u16) {
    start_all(&["one", "two", "three"].map(|name| Place::new(directory, name)))
}

pub(crate) fn start_all(places: &[Place]) -> (Vec<Node>, u16) {
    let seed = places[0].internode;
    let nodes: Vec<Node> = places.iter().map(|place| place.start(seed)).collect();
    until("all see all", || nodes.iter().all(|node| node.sees_up() == nodes.len()));
    (nodes, seed)
}

pub(crate) const SCHEMA: &str = "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}; \
    CREATE TABLE ks.t (k int PRIMARY KEY, v text); CREATE TABLE ks.n (k int PRIMARY KEY, n counter)";
