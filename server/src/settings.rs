//! The settings of a server: `dodona.toml`, with every key documented here, and flags above it.

mod check;
mod error;
mod parts;
#[cfg(test)]
mod tests;

pub use error::SettingsError;

use crate::point_in_time::Precision;
use dodona_cluster::NodeSettings;
use dodona_cluster::hints::HintSettings;
use dodona_query::{BatchBounds, Guardrails};
use dodona_storage::EngineSettings;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// When a write counts as safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CommitLogSync {
    /// When the operating system has it; it is on disk after a period.
    #[default]
    Periodic,
    /// When it is on disk; writes of a window share a sync.
    Group,
    /// When it is on disk; writes that wait at the same time share a sync.
    Batch,
}

/// Who may connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthenticatorKind {
    /// Anybody. Only on a loopback address, unless `allow_anonymous` is set.
    #[default]
    #[serde(alias = "AllowAllAuthenticator", alias = "allow_all")]
    AllowAll,
    /// Roles with a password.
    #[serde(alias = "PasswordAuthenticator", alias = "password")]
    Password,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// The settings of a server, as `dodona.toml` holds them. Every key may be left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Directory of all data, created if need be.
    pub data: PathBuf,
    /// Address on which clients connect.
    pub listen: IpAddr,
    /// Port on which clients connect; 0 takes a free one.
    pub port: u16,
    /// Address that clients are told, where `listen` is not one they can use (as `0.0.0.0`).
    pub advertise: Option<IpAddr>,
    /// Port on which other nodes connect, at the same address.
    pub internode_port: u16,
    /// Where nodes of the cluster may be found by a node that is new: addresses, with a port if it is
    /// not `internode_port`. A node that is the first of its own seeds begins a cluster if no other
    /// knows one; a node without seeds begins one at once.
    pub seeds: Vec<String>,
    /// The member whose place this node takes in its seeds' cluster if it is new: its host id or address.
    /// It has to be down.
    pub replace: Option<String>,
    /// This start begins a cluster, or takes part in that. Not in the file: it is for one start.
    #[serde(skip)]
    pub new_cluster: bool,
    /// This start goes on with the metadata log without those who voted on it. Not in the file: it is for one start.
    #[serde(skip)]
    pub recover_metadata: bool,
    /// Let nodes talk to each other without TLS on an address that other machines reach.
    pub allow_plain_internode: bool,
    /// PEM file of the node's certificate, and of those between it and an authority's; with it,
    /// `internode_tls_key` and `internode_tls_authority` nodes talk to each other by TLS, and a node
    /// that shows no certificate of the authority is not listened to. It has to name the node's
    /// address, and has to be for servers and for clients.
    pub internode_tls_certificate: Option<PathBuf>,
    /// PEM file of that certificate's private key.
    pub internode_tls_key: Option<PathBuf>,
    /// PEM file of the authorities that sign the certificates of nodes; several while a cluster goes
    /// over from one to another.
    pub internode_tls_authority: Option<PathBuf>,
    /// A node that connects to another checks that the certificate names the other one's address.
    /// Without it, whoever has any node's certificate can pass for every node.
    pub internode_tls_verify_address: bool,
    /// Talk to nodes without TLS as well, while a cluster goes over to it: no one is kept out by TLS
    /// for as long.
    pub internode_tls_optional: bool,
    /// Address of the HTTP service for administration and metrics (`/metrics`, `/health`). Unless it is set, that
    /// of `listen` if it is a loopback address, and 127.0.0.1 if not.
    pub admin_listen: Option<IpAddr>,
    /// Whoever reaches `admin_listen` may administer the node and its cluster, also where other machines do; without it they
    /// get what is asked for with `GET`, such as `/metrics`.
    pub allow_remote_administration: bool,
    /// Port of the HTTP service for administration and metrics; 0 takes a free one.
    pub admin_port: u16,
    /// The cluster's name.
    pub cluster_name: String,
    /// The node's data centre.
    pub data_center: String,
    /// The node's rack.
    pub rack: String,
    /// Tokens of the node.
    pub num_tokens: usize,
    /// Threads that serve clients; 0 is one for each CPU.
    pub cores: usize,
    /// Bytes of memory for data: half for memtables, a quarter for blocks, filters and indexes of files, a
    /// quarter for requests and answers in flight. The three keys below set each part by itself.
    pub memory_bytes: usize,
    /// Bytes that memtables may hold before they are flushed; writes wait at twice as many. A quarter of
    /// `memory_bytes` unless it is set.
    pub memtable_bytes: Option<usize>,
    /// Bytes of decoded blocks, filters and indexes kept in memory. A quarter of `memory_bytes` unless it
    /// is set.
    pub block_cache_bytes: Option<usize>,
    /// Tombstones above which a client is warned that its read has met so many (Cassandra's key).
    pub tombstone_warn_threshold: u64,
    /// Tombstones above which a read fails (Cassandra's key).
    pub tombstone_failure_threshold: u64,
    /// Bytes of commit log before old memtables are flushed to free it.
    pub commit_log_bytes: u64,
    /// Bytes a second that compactions may write together; 0 for no limit.
    pub compaction_bytes_per_second: u64,
    /// Compactions at once, on different files.
    pub concurrent_compactors: usize,
    /// Keep for members that are down, or do not answer in time, the writes that they miss (Cassandra's key).
    pub hinted_handoff_enabled: bool,
    /// Data centres for whose members no such hints are kept (Cassandra's key).
    pub hinted_handoff_disabled_datacenters: Vec<String>,
    /// Seconds for which hints for a member that is down are gathered; what it misses later repairs bring. 0 for none.
    pub max_hint_window_seconds: u64,
    /// Bytes of hints that are delivered to one member in a second; 0 for no limit.
    pub hint_bytes_per_second: u64,
    /// Bytes of hints that may wait for one member; past it no others are kept for it.
    pub max_hint_bytes_per_host: u64,
    /// Bytes of hints that may wait in all.
    pub max_hint_bytes: u64,
    /// Bytes a second that are streamed to other nodes that fetch; 0 for no limit.
    pub stream_bytes_per_second: u64,
    /// Files that hold nothing but what this node fetches come as they are; else everything comes row by row.
    pub stream_entire_sstables: bool,
    /// Repair what the node is the first replica of without anyone asking: each table often enough that no
    /// replica misses a deletion for `gc_grace_seconds`.
    pub automatic_repair: bool,
    /// Such repairs compare only what is not repaired yet: much less, but what a disk has lost of the rest stays lost.
    pub automatic_repair_incremental: bool,
    /// Refuse to start a member that was down for longer than `gc_grace_seconds` of a table: what others have deleted
    /// meanwhile would come back.
    pub check_data_resurrection: bool,
    /// Refuse to start while the clock is further from those of most other nodes that answer; 0 for any.
    pub max_clock_offset_seconds: u64,
    /// Take a snapshot of a table before it is truncated or dropped, unless the table's option
    /// `allow_auto_snapshot` is false. Its name begins with `truncated-` or `dropped-`.
    pub auto_snapshot: bool,
    /// Seconds that such snapshots are kept; 0 for ever.
    pub auto_snapshot_ttl_seconds: u64,
    /// Link each file that a flush or an import makes into `backups`, unless the table's option
    /// `incremental_backups` is false. Nothing removes them from there.
    pub incremental_backups: bool,
    /// Directory that each segment of the commit log is copied into once it has ended: an absolute path.
    pub archive_directory: Option<PathBuf>,
    /// Program that archives each segment of the commit log once it has ended, with its arguments, without a
    /// shell: `%path` stands for the segment's file and `%name` for its name in the archive.
    pub archive_command: Option<String>,
    /// Directories of archived segments whose mutations are restored at the start, once: absolute paths.
    pub restore_directories: Vec<PathBuf>,
    /// Program that fetches an archived file, with its arguments, without a shell: `%from` stands for it and
    /// `%to` for the file to be made. Without it they are read where they are.
    pub restore_command: Option<String>,
    /// Only mutations up to this time are restored: `yyyy:MM:dd HH:mm:ss`, in UTC, with up to six digits of a
    /// second if need be.
    pub restore_point_in_time: Option<String>,
    /// What clients' timestamps count: `MICROSECONDS` or `MILLISECONDS`.
    pub precision: Precision,
    /// When a write counts as safe: `periodic`, `group` or `batch`.
    pub commit_log_sync: CommitLogSync,
    /// Milliseconds between two syncs with `periodic`.
    pub commit_log_sync_period_ms: u64,
    /// Milliseconds for which writes wait for others with `group`.
    pub commit_log_group_window_ms: u64,
    /// Milliseconds that a read waits for replicas.
    pub read_timeout_ms: u64,
    /// Milliseconds that a write waits for replicas.
    pub write_timeout_ms: u64,
    /// Milliseconds that a conditional statement or a SERIAL read may take, with all its tries.
    pub cas_contention_timeout_ms: u64,
    /// Who may connect: `AllowAll` or `Password`.
    pub authenticator: AuthenticatorKind,
    /// Serve anybody even on an address that other machines reach.
    pub allow_anonymous: bool,
    /// PEM file of the certificate chain; with it clients connect by TLS.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file of the certificate's private key.
    pub tls_key: Option<PathBuf>,
    /// Bytes of a batch of several partitions above which its client is warned (Cassandra's key).
    pub batch_size_warn_threshold: usize,
    /// Bytes of a batch of several partitions above which it is refused (Cassandra's key).
    pub batch_size_fail_threshold: usize,
    /// Partitions of an unlogged batch above which its client is warned (Cassandra's key).
    pub unlogged_batch_across_partitions_warn_threshold: usize,
    /// Requests of clients that a core has other nodes or the disk work for at once; further ones wait for
    /// their turn, at most for `read_timeout_ms`.
    pub max_concurrent_requests: usize,
    /// Bytes of requests and answers in flight, of all clients: past it sockets are not read. A quarter of
    /// `memory_bytes` unless it is set.
    pub max_bytes_in_flight: Option<usize>,
    /// Bytes of requests and answers in flight of one connection.
    pub max_bytes_in_flight_per_connection: usize,
    /// Seconds that a stop waits for requests in flight.
    pub shutdown_seconds: u64,
    /// How log lines are written: `text` or `json`.
    pub log_format: LogFormat,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter of tracing.
    pub log_level: String,
    /// What statements may ask for, with Cassandra's keys: a section of its own, `[guardrails]`.
    pub guardrails: Guardrails,
}

impl Default for Settings {
    fn default() -> Self {
        let (engine, bounds) = (EngineSettings::default(), BatchBounds::default());
        let hints = HintSettings::default();
        Self {
            data: "data".into(),
            listen: Ipv4Addr::LOCALHOST.into(),
            port: 9042,
            advertise: None,
            internode_port: 7000,
            seeds: Vec::new(),
            replace: None,
            new_cluster: false,
            recover_metadata: false,
            allow_plain_internode: false,
            internode_tls_certificate: None,
            internode_tls_key: None,
            internode_tls_authority: None,
            internode_tls_verify_address: true,
            internode_tls_optional: false,
            admin_listen: None,
            allow_remote_administration: false,
            admin_port: 7199,
            cluster_name: "Test Cluster".into(),
            data_center: "datacenter1".into(),
            rack: "rack1".into(),
            num_tokens: 16,
            cores: 0,
            memory_bytes: 1 << 30,
            memtable_bytes: None,
            block_cache_bytes: None,
            tombstone_warn_threshold: engine.tombstone_warn_threshold,
            tombstone_failure_threshold: engine.tombstone_failure_threshold,
            commit_log_bytes: engine.commit_log_bytes,
            compaction_bytes_per_second: engine.compaction_bytes_per_second,
            concurrent_compactors: engine.concurrent_compactors,
            hinted_handoff_enabled: hints.enabled,
            hinted_handoff_disabled_datacenters: Vec::new(),
            max_hint_window_seconds: hints.max_hint_window.as_secs(),
            hint_bytes_per_second: hints.delivered_bytes_per_second,
            max_hint_bytes_per_host: hints.max_bytes_per_target,
            max_hint_bytes: hints.max_bytes,
            stream_bytes_per_second: NodeSettings::default().stream_bytes_per_second,
            stream_entire_sstables: true,
            automatic_repair: true,
            automatic_repair_incremental: false,
            check_data_resurrection: true,
            max_clock_offset_seconds: NodeSettings::default().max_clock_offset.as_secs(),
            auto_snapshot: true,
            auto_snapshot_ttl_seconds: 0,
            incremental_backups: false,
            archive_directory: None,
            archive_command: None,
            restore_directories: Vec::new(),
            restore_command: None,
            restore_point_in_time: None,
            precision: Precision::Microseconds,
            commit_log_sync: CommitLogSync::Periodic,
            commit_log_sync_period_ms: 10_000,
            commit_log_group_window_ms: 1,
            read_timeout_ms: 5_000,
            write_timeout_ms: 2_000,
            cas_contention_timeout_ms: 1_800,
            authenticator: AuthenticatorKind::AllowAll,
            allow_anonymous: false,
            tls_certificate: None,
            tls_key: None,
            batch_size_warn_threshold: bounds.warn_bytes,
            batch_size_fail_threshold: bounds.fail_bytes,
            unlogged_batch_across_partitions_warn_threshold: bounds.unlogged_partitions,
            max_concurrent_requests: 128,
            max_bytes_in_flight: None,
            max_bytes_in_flight_per_connection: 32 << 20,
            shutdown_seconds: 10,
            log_format: LogFormat::Text,
            log_level: "info".into(),
            guardrails: Guardrails::default(),
        }
    }
}

impl Settings {
    /// Reads the text of a `dodona.toml`.
    ///
    /// # Errors
    /// It is no TOML, names an unknown key, or a value is not of its type.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        toml::from_str(text).map_err(|error| error::explain(text, &error))
    }
}
