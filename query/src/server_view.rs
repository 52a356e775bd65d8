//! What the server above knows of its clients and of itself.

use dodona_types::schema::Options;
use std::net::SocketAddr;
use std::time::Duration;

/// What the server tells of its clients and of itself. It is asked when somebody reads it.
pub trait ServerView: Send + Sync {
    /// The clients that are connected.
    fn clients(&self) -> Vec<ClientView>;
    /// The settings' names and values; `None` for a setting without a value.
    fn settings(&self) -> Vec<(String, Option<String>)>;
    /// How many requests of clients wait for other nodes or the disk.
    fn requests(&self) -> PoolView;
    /// Each of them.
    fn running(&self) -> Vec<RunningView>;
    /// What the process is and runs on, by names.
    fn properties(&self) -> Vec<(String, String)>;
    /// The last lines of the log, the oldest first.
    fn log(&self) -> Vec<LogLine>;
    /// How many statements clients had executed: those that were only sent, and those prepared before.
    fn executed(&self) -> (u64, u64);
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Milliseconds since the epoch.
    pub at_millis: i64,
    /// `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    pub level: &'static str,
    /// The module that wrote it.
    pub logger: String,
    /// What it says, with its fields.
    pub message: String,
}

/// A request of a client that waits for other nodes or the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningView {
    /// What tells it from others at this moment.
    pub id: String,
    /// When it came, by the clock that does not jump.
    pub came: Duration,
    /// When its turn came, if it has.
    pub began: Option<Duration>,
    /// What it asks for.
    pub task: String,
}

/// What does work of one kind, and what waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolView {
    /// The name that Cassandra's pool of threads for it has.
    pub name: &'static str,
    /// Tasks under way.
    pub active: u64,
    /// How many may be.
    pub limit: Option<u64>,
    /// Tasks that wait.
    pub pending: u64,
    /// Tasks that are over.
    pub completed: u64,
}

/// A connected client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientView {
    /// Where it is.
    pub address: SocketAddr,
    /// What its STARTUP said.
    pub options: Options,
    /// `established`, `authenticating` or `ready`.
    pub stage: &'static str,
    /// The session's keyspace.
    pub keyspace: Option<String>,
    /// The version of the native protocol.
    pub protocol_version: u8,
    /// Requests so far.
    pub requests: u64,
    /// Who logged in; `None` without authentication.
    pub role: Option<String>,
    /// The TLS connection's cipher suite and protocol.
    pub tls: Option<(String, String)>,
}
