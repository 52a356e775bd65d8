//! The command line of `dodona bench`.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use dodona_protocol::Version;
use dodona_types::Consistency;

use super::BenchError;

/// What to do to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Insert single rows under random keys.
    Write,
    /// Select single rows by random keys.
    Read,
    /// One write for each read.
    Mixed,
    /// Select partitions page by page; an operation is a page.
    Scan,
}

/// Arguments of `dodona bench`.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// What to do to the server
    #[arg(value_enum, default_value = "write")]
    pub workload: Workload,
    /// Address of the server, with or without a port; of several nodes with commas or repeated: connections are dealt out to them
    #[arg(long = "host", value_name = "HOST[:PORT]", value_delimiter = ',', default_value = "127.0.0.1")]
    pub hosts: Vec<String>,
    /// Port of the server, where none is named with its address
    #[arg(long, default_value_t = 9042)]
    pub port: u16,
    /// Connections, spread over the threads
    #[arg(long, default_value_t = 4)]
    pub connections: usize,
    /// Requests in flight on each connection
    #[arg(long, default_value_t = 64)]
    pub depth: usize,
    /// Threads of the loader
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Operations to measure
    #[arg(long, default_value_t = 1_000_000, conflicts_with = "duration")]
    pub operations: u64,
    /// Seconds to measure, in place of a number of operations
    #[arg(long)]
    pub duration: Option<f64>,
    /// Operations per second, started at even intervals whether or not others have ended; latency
    /// counts from when an operation should have started [default: as many as the server takes]
    #[arg(long)]
    pub rate: Option<f64>,
    /// Operations before the measurement
    #[arg(long, default_value_t = 0)]
    pub warmup: u64,
    /// Rows in the tables
    #[arg(long, default_value_t = 100_000)]
    pub keys: u64,
    /// Length of each row's value in bytes, 8 or more
    #[arg(long, default_value_t = 100)]
    pub value_bytes: usize,
    /// Rows in each partition that `scan` reads
    #[arg(long, default_value_t = 1_000)]
    pub rows_per_partition: u64,
    /// Rows in each page that `scan` reads
    #[arg(long, default_value_t = 50)]
    pub page_size: i32,
    /// Version of the native protocol
    #[arg(long, default_value = "4", value_parser = parse_version)]
    pub protocol: Version,
    /// Keyspace, made if there is none
    #[arg(long, default_value = "bench")]
    pub keyspace: String,
    /// Replicas of the keyspace
    #[arg(long, default_value_t = 1)]
    pub replication_factor: u32,
    /// Consistency level of every operation
    #[arg(long, default_value = "ONE")]
    pub consistency: Consistency,
    /// Role to log in as, if the server asks
    #[arg(long, default_value = "cassandra")]
    pub user: String,
    /// Password of the role
    #[arg(long, default_value = "cassandra")]
    pub password: String,
    /// Do not write the rows that `read`, `mixed` and `scan` read: they are there
    #[arg(long)]
    pub no_load: bool,
    /// Read back what was acknowledged, meanwhile and at the end, and fail unless all of it is there: with
    /// several replicas, at a level that promises that (QUORUM). A write of `write` in eight is a read then, and connections
    /// that are lost are opened again
    #[arg(long)]
    pub verify: bool,
    /// CPU of the first thread; further threads take the next ones
    #[arg(long)]
    pub pin: Option<usize>,
    /// The server's process, to measure its CPU time
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
    /// Instead of a load, be a server that does no work, for comparison
    #[arg(long, value_name = "ADDRESS")]
    pub no_op_server: Option<SocketAddr>,
}

impl BenchArgs {
    /// Checks what clap cannot.
    pub(super) fn check(&self) -> Result<(), BenchError> {
        let rules = [
            (
                self.threads >= 1 && self.connections >= self.threads,
                "there is a connection or more per thread",
            ),
            ((1..=30_000).contains(&self.depth), "the depth is 1 to 30,000: streams are numbered by 15 bits"),
            (self.keys >= 1 && self.rows_per_partition >= 1, "there is a row or more"),
            (self.value_bytes >= 8, "a value is 8 bytes or longer"),
            (self.rate.is_none_or(|rate| rate > 0.0), "the rate is above 0"),
            (!self.verify || self.workload != Workload::Scan, "what `scan` reads is not verified"),
            (!(self.verify && self.no_load), "what is verified was written by the run: without --no-load"),
            (!self.verify || self.value_bytes >= 16, "a value that is verified is 16 bytes or longer"),
            (is_plain_name(&self.keyspace), "the keyspace is made of letters, digits and _"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(BenchError::Arguments(rule)),
            None => Ok(()),
        }
    }

    /// Address and port of a contact point.
    pub(super) fn address<'a>(&self, host: &'a str) -> (&'a str, u16) {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match host.rsplit_once(':').map(|(name, port)| (name, port.parse())) {
            // An address of IPv6 has brackets if a port comes behind it.
            Some((name, Ok(port))) if !name.contains(':') || name.ends_with(']') => {
                (name.trim_start_matches('[').trim_end_matches(']'), port)
            }
            _ => (bare, self.port),
        }
    }

    /// Partitions of the table that `scan` reads.
    pub(super) fn partitions(&self) -> u64 {
        (self.keys / self.rows_per_partition).max(1)
    }

    /// Connections of the thread with this index.
    pub(super) fn connections_of(&self, thread: usize) -> usize {
        self.connections / self.threads + usize::from(thread < self.connections % self.threads)
    }
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn parse_version(text: &str) -> Result<Version, String> {
    let number = text.parse().map_err(|_| "3, 4 or 5")?;
    Version::from_number(number).ok_or_else(|| "3, 4 or 5".to_owned())
}
