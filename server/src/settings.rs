//! The settings of a server: `dodona.toml`, with every key documented here, and flags above it.

use crate::point_in_time::{self, Precision};
use dodona_cluster::NodeSettings;
use dodona_cluster::coordinator::Timeouts;
use dodona_cluster::snapshots::AutoSnapshot;
use dodona_query::BatchBounds;
use dodona_storage::EngineSettings;
use dodona_storage::engine::restore::RestoreSettings;
use dodona_storage::settings::{ArchiveSettings, SyncMode};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

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
    /// Address of the HTTP service for administration and metrics (`/metrics`, `/health`).
    pub admin_listen: IpAddr,
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
    /// Bytes a second that are streamed to other nodes that fetch; 0 for no limit.
    pub stream_bytes_per_second: u64,
    /// Repair what the node is the first replica of without anyone asking: each table often enough that no
    /// replica misses a deletion for `gc_grace_seconds`.
    pub automatic_repair: bool,
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
}

impl Default for Settings {
    fn default() -> Self {
        let (engine, bounds) = (EngineSettings::default(), BatchBounds::default());
        Self {
            data: "data".into(),
            listen: Ipv4Addr::LOCALHOST.into(),
            port: 9042,
            advertise: None,
            internode_port: 7000,
            seeds: Vec::new(),
            replace: None,
            allow_plain_internode: false,
            internode_tls_certificate: None,
            internode_tls_key: None,
            internode_tls_authority: None,
            internode_tls_verify_address: true,
            internode_tls_optional: false,
            admin_listen: Ipv4Addr::LOCALHOST.into(),
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
            stream_bytes_per_second: NodeSettings::default().stream_bytes_per_second,
            automatic_repair: true,
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
        }
    }
}

/// What is wrong with the settings, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// The text is no TOML, or a value is not of its type.
    #[error("line {line}: {message}")]
    Syntax {
        /// The line, from 1 on.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// There is no such key.
    #[error("line {line}: there is no setting `{name}`{}", did_you_mean(.nearest.as_deref()))]
    Unknown {
        /// The line, from 1 on.
        line: usize,
        /// The key.
        name: String,
        /// A key that is spelled nearly so.
        nearest: Option<String>,
    },
    /// Settings that do not go together.
    #[error("{0}")]
    Conflict(String),
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(": did you mean `{name}`?"))
}

impl Settings {
    /// Reads the text of a `dodona.toml`.
    ///
    /// # Errors
    /// It is no TOML, names an unknown key, or a value is not of its type.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        toml::from_str(text).map_err(|error| explain(text, &error))
    }

    /// Checks what one key alone does not show.
    ///
    /// # Errors
    /// Settings do not go together.
    pub fn check(&self) -> Result<(), SettingsError> {
        let conflict = |text: String| Err(SettingsError::Conflict(text));
        if self.authenticator == AuthenticatorKind::AllowAll
            && !self.listen.is_loopback()
            && !self.allow_anonymous
        {
            return conflict(format!(
                "whoever reaches {} could read and change everything: set authenticator = \"Password\", \
                 or allow_anonymous = true (--allow-anonymous) if that is what you want",
                self.listen
            ));
        }
        if self.listen.is_unspecified() && self.advertise.is_none() {
            return conflict(format!(
                "clients cannot connect to {}: set advertise (--advertise) to the address that they reach",
                self.listen
            ));
        }
        if self.advertise.is_some_and(|address| address.is_unspecified()) {
            return conflict("advertise must be an address that clients can connect to".into());
        }
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return conflict("tls_certificate and tls_key go together: set both or none".into());
        }
        self.check_internode_tls()?;
        self.check_archiving()?;
        if self.replace.is_some() && self.seeds.is_empty() {
            return conflict("replace needs seeds: nodes of the cluster that has lost a member".into());
        }
        if !self.seed_addresses()?.is_empty() && !self.serves_peers() {
            return conflict(format!(
                "nodes would talk to each other on {} without TLS: set internode_tls_certificate, \
                 internode_tls_key and internode_tls_authority (and not internode_tls_optional), or \
                 allow_plain_internode = true (--allow-plain-internode) if that network is yours alone",
                self.internode_address()
            ));
        }
        if self.max_concurrent_requests == 0 {
            return conflict("max_concurrent_requests must be 1 or more".into());
        }
        if self.num_tokens == 0 {
            return conflict("num_tokens must be 1 or more".into());
        }
        if self.memory_bytes < 16 << 20 {
            return conflict("memory_bytes must be 16777216 or more".into());
        }
        if self.memtable_bytes.is_some_and(|bytes| bytes < 1 << 20) {
            return conflict("memtable_bytes must be 1048576 or more".into());
        }
        Ok(())
    }

    fn check_internode_tls(&self) -> Result<(), SettingsError> {
        let conflict = |text: &str| Err(SettingsError::Conflict(text.into()));
        let files = [&self.internode_tls_certificate, &self.internode_tls_key, &self.internode_tls_authority];
        match files.iter().filter(|file| file.is_some()).count() {
            3 => Ok(()),
            0 if self.internode_tls_optional => conflict(
                "internode_tls_optional needs internode_tls_certificate, internode_tls_key and \
                 internode_tls_authority: without them there is no TLS between nodes",
            ),
            0 => Ok(()),
            _ => conflict(
                "internode_tls_certificate, internode_tls_key and internode_tls_authority go together: set \
                 all three or none",
            ),
        }
    }

    /// Bounds of batches.
    pub(crate) const fn batch_bounds(&self) -> BatchBounds {
        BatchBounds {
            warn_bytes: self.batch_size_warn_threshold,
            fail_bytes: self.batch_size_fail_threshold,
            unlogged_partitions: self.unlogged_batch_across_partitions_warn_threshold,
        }
    }

    fn check_archiving(&self) -> Result<(), SettingsError> {
        let directories = self.restore_directories.iter().chain(&self.archive_directory);
        if let Some(relative) = directories.into_iter().find(|directory| !directory.is_absolute()) {
            return Err(SettingsError::Conflict(format!(
                "archive_directory and restore_directories must be absolute paths (got {})",
                relative.display()
            )));
        }
        let needs = |key: &str| {
            Err(SettingsError::Conflict(format!(
                "{key} needs restore_directories: where the archived segments are"
            )))
        };
        match &self.restore_point_in_time {
            _ if !self.restore_directories.is_empty() => self.restore().map(drop),
            Some(_) => needs("restore_point_in_time"),
            None if self.restore_command.is_some() => needs("restore_command"),
            None => Ok(()),
        }
    }

    fn archive(&self) -> ArchiveSettings {
        ArchiveSettings {
            directory: self.archive_directory.as_ref().map(|path| path.to_string_lossy().into_owned()),
            command: self.archive_command.clone().filter(|command| !command.trim().is_empty()),
        }
    }

    fn restore(&self) -> Result<RestoreSettings, SettingsError> {
        let up_to_micros = match &self.restore_point_in_time {
            None => None,
            Some(text) => Some(point_in_time::parse(text).ok_or_else(|| {
                SettingsError::Conflict(format!(
                    "restore_point_in_time: `{text}` is no time as yyyy:MM:dd HH:mm:ss, in UTC"
                ))
            })?),
        };
        let directories = &self.restore_directories;
        Ok(RestoreSettings {
            directories: directories.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
            command: self.restore_command.clone().filter(|command| !command.trim().is_empty()),
            up_to_micros,
            micros_per_step: self.precision.micros(),
        })
    }

    /// Certificate and key for clients, if they connect by TLS.
    pub(crate) fn client_files(&self) -> Option<[&PathBuf; 2]> {
        Some([self.tls_certificate.as_ref()?, self.tls_key.as_ref()?])
    }

    /// Certificate, key and authority for other nodes, if they connect by TLS.
    pub(crate) fn internode_files(&self) -> Option<[&PathBuf; 3]> {
        Some([
            self.internode_tls_certificate.as_ref()?,
            self.internode_tls_key.as_ref()?,
            self.internode_tls_authority.as_ref()?,
        ])
    }

    /// Address at which other nodes reach this one.
    pub(crate) fn internode_address(&self) -> IpAddr {
        self.advertise.unwrap_or(self.listen)
    }

    /// Address on which clients connect.
    #[must_use]
    pub const fn native(&self) -> SocketAddr {
        SocketAddr::new(self.listen, self.port)
    }

    /// The settings of the node beneath, whose clients connect to `port`.
    #[must_use]
    pub fn node(&self, port: u16) -> NodeSettings {
        let address = self.internode_address();
        NodeSettings {
            cluster_name: self.cluster_name.clone(),
            data_center: self.data_center.clone(),
            rack: self.rack.clone(),
            native: SocketAddr::new(address, port),
            internode: SocketAddr::new(address, if self.serves_peers() { self.internode_port } else { 0 }),
            num_tokens: self.num_tokens,
            seeds: self.seed_addresses().unwrap_or_default(),
            replace: self.replace.clone(),
            members: Vec::new(),
            engine: self.engine(),
            timeouts: Timeouts {
                read: Duration::from_millis(self.read_timeout_ms),
                write: Duration::from_millis(self.write_timeout_ms),
                contention: Duration::from_millis(self.cas_contention_timeout_ms),
            },
            stream_bytes_per_second: self.stream_bytes_per_second,
            automatic_repair: self.automatic_repair,
            restore: self.restore().unwrap_or_default(),
            auto_snapshot: AutoSnapshot {
                enabled: self.auto_snapshot,
                ttl: (self.auto_snapshot_ttl_seconds > 0)
                    .then(|| Duration::from_secs(self.auto_snapshot_ttl_seconds)),
            },
            internode_tls: None,
        }
    }

    /// Plain traffic between nodes stays on this machine, unless the operator says otherwise.
    fn serves_peers(&self) -> bool {
        let is_encrypted = self.internode_files().is_some() && !self.internode_tls_optional;
        is_encrypted || self.allow_plain_internode || self.internode_address().is_loopback()
    }

    /// The seeds' addresses.
    ///
    /// # Errors
    /// One is no address.
    fn seed_addresses(&self) -> Result<Vec<SocketAddr>, SettingsError> {
        let address = |text: &String| {
            let with_port = text.parse::<SocketAddr>();
            let parsed =
                with_port.or_else(|_| text.parse().map(|ip| SocketAddr::new(ip, self.internode_port)));
            parsed.map_err(|_| {
                SettingsError::Conflict(format!(
                    "seeds: `{text}` is no address (as 10.0.0.1 or 10.0.0.1:7000)"
                ))
            })
        };
        self.seeds.iter().map(address).collect()
    }

    /// Bytes of requests and answers in flight, of all clients.
    pub(crate) fn bytes_in_flight(&self) -> usize {
        self.max_bytes_in_flight.unwrap_or(self.memory_bytes / 4)
    }

    fn engine(&self) -> EngineSettings {
        let within = EngineSettings::within(self.memory_bytes);
        EngineSettings {
            sync_mode: match self.commit_log_sync {
                CommitLogSync::Periodic => SyncMode::Periodic {
                    period: Duration::from_millis(self.commit_log_sync_period_ms.max(1)),
                },
                CommitLogSync::Group => {
                    SyncMode::Group { window: Duration::from_millis(self.commit_log_group_window_ms) }
                }
                CommitLogSync::Batch => SyncMode::Batch,
            },
            memtable_bytes: self.memtable_bytes.unwrap_or(within.memtable_bytes),
            block_cache_bytes: self.block_cache_bytes.unwrap_or(within.block_cache_bytes),
            tombstone_warn_threshold: self.tombstone_warn_threshold,
            tombstone_failure_threshold: self.tombstone_failure_threshold,
            commit_log_bytes: self.commit_log_bytes,
            compaction_bytes_per_second: self.compaction_bytes_per_second,
            concurrent_compactors: self.concurrent_compactors,
            incremental_backups: self.incremental_backups,
            archive: self.archive(),
            ..within
        }
    }
}

fn explain(text: &str, error: &toml::de::Error) -> SettingsError {
    let offset = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = 1 + text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count();
    let message = error.message();
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return SettingsError::Syntax { line, message: message.to_owned() };
    };
    // serde: unknown field `x`, expected one of `a`, `b`, …
    let mut names = rest.split('`').step_by(2);
    let name = names.next().unwrap_or_default().to_owned();
    let nearest = rest
        .split('`')
        .skip(2)
        .step_by(2)
        .map(|known| (edit_distance(&name, known), known))
        .min()
        .filter(|(distance, _)| *distance <= 2 + name.len() / 3)
        .map(|(_, known)| known.to_owned());
    SettingsError::Unknown { line, name, nearest }
}

/// How many letters to insert, remove or replace to make one word of the other (Levenshtein).
fn edit_distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (index, against) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *against);
            diagonal = row[index + 1];
            row[index + 1] = replaced.min(row[index] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_gives_the_defaults() {
        assert_eq!(Settings::parse(""), Ok(Settings::default()));
        assert_eq!(Settings::default().check(), Ok(()));
    }

    #[test]
    fn every_key_is_read_back_as_it_is_written() {
        let settings = Settings {
            port: 1,
            authenticator: AuthenticatorKind::Password,
            commit_log_sync: CommitLogSync::Group,
            tls_key: Some("key.pem".into()),
            ..Settings::default()
        };
        let text = toml::to_string(&settings).unwrap();
        assert_eq!(Settings::parse(&text), Ok(settings));
    }

    #[test]
    fn one_setting_of_memory_is_shared_out_unless_a_part_is_set() {
        let settings = Settings { memory_bytes: 64 << 20, ..Settings::default() };
        let engine = settings.engine();
        assert_eq!((engine.memtable_bytes, engine.block_cache_bytes), (16 << 20, 16 << 20));
        assert_eq!(settings.bytes_in_flight(), 16 << 20);
        let settings = Settings { memtable_bytes: Some(5 << 20), ..settings };
        assert_eq!(settings.engine().memtable_bytes, 5 << 20);
        let defaults = Settings::default();
        assert_eq!(defaults.engine().memtable_bytes, EngineSettings::default().memtable_bytes);
        assert!(Settings { memory_bytes: 1 << 20, ..defaults }.check().is_err());
    }

    #[test]
    fn a_misspelled_key_is_named_with_its_line_and_the_nearest_one() {
        let error = Settings::parse("port = 1\nclustername = \"x\"\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2: there is no setting `clustername`: did you mean `cluster_name`?"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_with_its_line() {
        let error = Settings::parse("\n\nport = \"x\"\n").unwrap_err();
        assert!(error.to_string().starts_with("line 3: "), "{error}");
    }

    #[test]
    fn nodes_talk_on_other_addresses_by_tls_or_where_it_is_said() {
        let files = |count: usize| {
            let file = |index: usize| (index < count).then(|| PathBuf::from("x.pem"));
            Settings {
                listen: "10.0.0.1".parse().unwrap(),
                seeds: vec!["10.0.0.1".into()],
                allow_anonymous: true,
                internode_tls_certificate: file(0),
                internode_tls_key: file(1),
                internode_tls_authority: file(2),
                ..Settings::default()
            }
        };
        let says = |settings: &Settings, text: &str| {
            let error = settings.check().unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        };
        says(&files(0), "without TLS: set internode_tls_certificate");
        says(&files(1), "set all three or none");
        says(&files(2), "set all three or none");
        assert_eq!(files(3).check(), Ok(()));
        assert_eq!(files(3).node(1).internode.port(), 7000);
        let optional = Settings { internode_tls_optional: true, ..files(3) };
        says(&optional, "without TLS");
        assert_eq!(optional.node(1).internode.port(), 0, "nobody connects");
        assert_eq!(Settings { allow_plain_internode: true, ..optional }.check(), Ok(()));
        says(&Settings { internode_tls_optional: true, ..files(0) }, "internode_tls_optional needs");
    }

    #[test]
    fn what_is_to_be_restored_is_said_whole() {
        let from = Settings { restore_directories: vec!["/archive".into()], ..Settings::default() };
        let at = |text: &str| Some(text.to_owned());
        assert_eq!(from.check(), Ok(()));
        let good = Settings { restore_point_in_time: at("2026:04:30 20:43:12"), ..from.clone() };
        assert_eq!(good.check(), Ok(()));
        assert_eq!(good.node(1).restore.up_to_micros, point_in_time::parse("2026:04:30 20:43:12"));
        let says = |settings: &Settings, text: &str| {
            let error = settings.check().unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        };
        says(&Settings { restore_point_in_time: at("2026-04-30"), ..from }, "is no time as yyyy");
        says(&Settings { restore_directories: Vec::new(), ..good }, "needs restore_directories");
        says(&Settings { archive_directory: Some("archive".into()), ..Settings::default() }, "absolute");
    }

    #[test]
    fn anybody_is_served_on_loopback_only_unless_it_is_said() {
        let mut settings = Settings { listen: "10.0.0.1".parse().unwrap(), ..Settings::default() };
        assert!(settings.check().is_err());
        settings.allow_anonymous = true;
        assert_eq!(settings.check(), Ok(()));
        settings.listen = "0.0.0.0".parse().unwrap();
        assert!(settings.check().unwrap_err().to_string().contains("advertise"));
    }
}
