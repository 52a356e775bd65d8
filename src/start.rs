//! `dodona start`: settings from `dodona.toml` and from flags, then a server until a signal.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the outermost layer of the binary: it reads the settings and makes the real environment"
)]

use crate::recent_log::RecentLog;
use clap::{Args, ValueEnum};
use dodona_env::os;
use dodona_server::settings::{AuthenticatorKind, CommitLogSync, LogFormat};
use dodona_server::{Process, Running, Settings};
use rustix::process::{Resource, Rlimit};
use std::io::{IsTerminal, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use thiserror::Error;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt, registry};

/// The file of settings that is read if it is there.
const SETTINGS_FILE: &str = "dodona.toml";

/// Why a server could not be started or had to stop.
#[derive(Debug, Error)]
pub enum RunError {
    /// The settings cannot be read.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// The settings are wrong.
    #[error("{0}: {1}")]
    Settings(String, dodona_server::settings::SettingsError),
    /// The server did not start.
    #[error(transparent)]
    Start(#[from] dodona_server::StartError),
    /// The server stopped by itself.
    #[error(transparent)]
    Stop(#[from] dodona_server::shutdown::StopError),
    /// The filter of log lines is wrong.
    #[error("log_level: {0}")]
    LogLevel(tracing_subscriber::filter::ParseError),
}

/// When a write counts as safe.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SyncArg {
    Periodic,
    Group,
    Batch,
}

/// Who may connect.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum AuthenticatorArg {
    AllowAll,
    Password,
}

/// Flags of `dodona start`; each is above the setting of the same name in `dodona.toml`.
#[derive(Clone, Debug, Default, Args)]
pub struct StartArgs {
    /// File of settings [default: dodona.toml, if it is there]
    #[arg(long)]
    config: Option<PathBuf>,
    /// Directory of all data [default: data]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Keep nothing: data go to memory (/dev/shm) and are removed at the end
    #[arg(long, conflicts_with = "data")]
    memory: bool,
    /// Address on which clients connect [default: 127.0.0.1]
    #[arg(long)]
    listen: Option<IpAddr>,
    /// Port on which clients connect; 0 takes a free one [default: 9042]
    #[arg(long)]
    port: Option<u16>,
    /// Address that clients are told, if --listen is not one they can use
    #[arg(long)]
    advertise: Option<IpAddr>,
    /// Port on which other nodes connect [default: 7000]
    #[arg(long)]
    internode_port: Option<u16>,
    /// Where nodes of the cluster may be found: addresses, with a port if it is not --internode-port
    #[arg(long, value_delimiter = ',')]
    seeds: Option<Vec<String>>,
    /// The member whose place a new node takes, which has to be down: its host id or address
    #[arg(long, value_name = "HOST_ID|ADDRESS")]
    replace: Option<String>,
    /// For the first start of the first node: begin a cluster without listening whether members of one look for it
    #[arg(long, conflicts_with = "replace")]
    new_cluster: bool,
    /// For one start of one member: go on with schema and members without those who voted on them, most of whom are lost for
    /// good. See "Members of a cluster" in docs/OPERATIONS.md before
    #[arg(long, conflicts_with = "replace")]
    recover_metadata: bool,
    /// Let nodes talk to each other without TLS on an address that other machines reach
    #[arg(long)]
    allow_plain_internode: bool,
    /// PEM file of the node's certificate, for TLS between nodes
    #[arg(long)]
    internode_tls_certificate: Option<PathBuf>,
    /// PEM file of that certificate's private key
    #[arg(long)]
    internode_tls_key: Option<PathBuf>,
    /// PEM file of the authorities that sign certificates of nodes
    #[arg(long)]
    internode_tls_authority: Option<PathBuf>,
    /// Talk to nodes without TLS as well, while a cluster goes over to it
    #[arg(long)]
    internode_tls_optional: bool,
    /// The node's data centre [default: datacenter1]
    #[arg(long = "dc")]
    data_center: Option<String>,
    /// The node's rack [default: rack1]
    #[arg(long)]
    rack: Option<String>,
    /// Address for administration and metrics [default: --listen if that is loopback, else 127.0.0.1]
    #[arg(long)]
    admin_listen: Option<IpAddr>,
    /// Whoever reaches --admin-listen may administer the cluster, also from other machines
    #[arg(long)]
    allow_remote_administration: bool,
    /// Port for administration and metrics; 0 takes a free one [default: 7199]
    #[arg(long)]
    admin_port: Option<u16>,
    /// Threads that serve clients [default: one for each CPU]
    #[arg(long)]
    cores: Option<usize>,
    /// Name of the cluster
    #[arg(long)]
    cluster_name: Option<String>,
    /// Bytes of memory for data: memtables, blocks, indexes, requests in flight [default: 1 GiB]
    #[arg(long)]
    memory_bytes: Option<usize>,
    /// Bytes that memtables may hold before they are flushed [default: a quarter of the memory]
    #[arg(long)]
    memtable_bytes: Option<usize>,
    /// When a write counts as safe [default: periodic]
    #[arg(long, value_enum)]
    commit_log_sync: Option<SyncArg>,
    /// Who may connect [default: allow-all]
    #[arg(long, value_enum)]
    authenticator: Option<AuthenticatorArg>,
    /// Serve anybody even on an address that other machines reach
    #[arg(long)]
    allow_anonymous: bool,
    /// PEM file of the certificate chain, for TLS
    #[arg(long)]
    tls_certificate: Option<PathBuf>,
    /// PEM file of the certificate's private key
    #[arg(long)]
    tls_key: Option<PathBuf>,
    /// What is logged: error, warn, info, debug, trace or a filter
    #[arg(long)]
    log_level: Option<String>,
    /// Write log lines as JSON
    #[arg(long)]
    log_json: bool,
}

impl StartArgs {
    /// The settings: defaults, then the file, then the flags.
    ///
    /// # Errors
    /// The file cannot be read or is wrong.
    pub fn settings(&self) -> Result<Settings, RunError> {
        let mut settings = self.file()?;
        macro_rules! override_with {
            ($($field:ident),*) => {
                $(if let Some(value) = &self.$field { settings.$field = value.clone(); })*
            };
        }
        override_with!(
            data,
            listen,
            port,
            internode_port,
            seeds,
            data_center,
            rack,
            admin_port,
            cores,
            cluster_name,
            memory_bytes,
            log_level
        );
        settings.memtable_bytes = self.memtable_bytes.or(settings.memtable_bytes);
        settings.advertise = self.advertise.or(settings.advertise);
        settings.admin_listen = self.admin_listen.or(settings.admin_listen);
        settings.replace = self.replace.clone().or(settings.replace);
        settings.new_cluster = self.new_cluster;
        settings.recover_metadata = self.recover_metadata;
        settings.allow_anonymous |= self.allow_anonymous;
        settings.allow_remote_administration |= self.allow_remote_administration;
        settings.allow_plain_internode |= self.allow_plain_internode;
        settings.internode_tls_optional |= self.internode_tls_optional;
        if let Some(sync) = self.commit_log_sync {
            settings.commit_log_sync = match sync {
                SyncArg::Periodic => CommitLogSync::Periodic,
                SyncArg::Group => CommitLogSync::Group,
                SyncArg::Batch => CommitLogSync::Batch,
            };
        }
        if let Some(authenticator) = self.authenticator {
            settings.authenticator = match authenticator {
                AuthenticatorArg::AllowAll => AuthenticatorKind::AllowAll,
                AuthenticatorArg::Password => AuthenticatorKind::Password,
            };
        }
        if self.log_json {
            settings.log_format = LogFormat::Json;
        }
        // What is read through the data directory's disk must not be relative to it.
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        macro_rules! override_file {
            ($($field:ident),*) => {
                $(settings.$field = self.$field.as_ref().or(settings.$field.as_ref()).map(absolute);)*
            };
        }
        override_file!(
            tls_certificate,
            tls_key,
            internode_tls_certificate,
            internode_tls_key,
            internode_tls_authority
        );
        Ok(settings)
    }

    fn file(&self) -> Result<Settings, RunError> {
        let path = self.config.clone().unwrap_or_else(|| SETTINGS_FILE.into());
        let name = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Ok(text) => Settings::parse(&text).map_err(|error| RunError::Settings(name, error)),
            Err(error) if self.config.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Settings::default())
            }
            Err(error) => Err(RunError::File(name, error)),
        }
    }
}

/// Runs a server until SIGTERM or SIGINT.
///
/// # Errors
/// It cannot start, or has to stop by itself.
pub fn run(args: &StartArgs) -> Result<(), RunError> {
    let began = Instant::now();
    let mut settings = args.settings()?;
    let log = Arc::new(RecentLog::default());
    start_log(&settings, &log)?;
    let memory = if args.memory { Some(MemoryDirectory::new()?) } else { None };
    if let Some(directory) = &memory {
        settings.data.clone_from(&directory.0);
        // It would take memory, and go with the process.
        settings.auto_snapshot = false;
    }
    allow_open_files();
    let data = settings.data.display().to_string();
    let env = os::env(&settings.data).map_err(|error| RunError::File(data.clone(), error))?;
    let process = Process { properties: properties(), log: Some(log) };
    let running = dodona_server::start(env, settings, process)?;
    let place = if memory.is_some() { "memory; nothing is kept" } else { &data };
    banner(&running, place, began);
    Ok(running.run_until_signal()?)
}

/// Takes as many open files as the system lets the process have: each SSTable is one, and what a shell gives
/// (1,024 nearly everywhere) is meant for programs that wait by `select`.
fn allow_open_files() {
    let limits = rustix::process::getrlimit(Resource::Nofile);
    let allowed = Rlimit { current: limits.maximum, ..limits };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, allowed) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// What the process is and runs on; of Java's names those that say something of any program.
fn properties() -> Vec<(String, String)> {
    let mut properties = vec![
        ("dodona.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("dodona.pid".to_owned(), std::process::id().to_string()),
        ("os.name".to_owned(), std::env::consts::OS.to_owned()),
        ("os.arch".to_owned(), std::env::consts::ARCH.to_owned()),
    ];
    let executable = std::env::current_exe().map(|path| path.display().to_string());
    properties.extend(executable.ok().map(|path| ("dodona.executable".to_owned(), path)));
    properties.extend(std::env::var("HOME").ok().map(|home| ("user.home".to_owned(), home)));
    properties
}

fn start_log(settings: &Settings, recent: &Arc<RecentLog>) -> Result<(), RunError> {
    // What agrees on the metadata log tells of every step, and of every beat that a member that is down
    // misses; a filter that names it goes before.
    let directives = format!("openraft=error,{}", settings.log_level);
    let filter = EnvFilter::builder().parse(directives).map_err(RunError::LogLevel)?;
    let lines = fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let lines = match settings.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    // Fails only if the embedding program has its own log.
    let _ = registry().with(filter).with(lines).with(Arc::clone(recent).layer()).try_init();
    Ok(())
}

fn banner(running: &Running, data: &str, began: Instant) {
    let (native, admin) = (running.native, running.admin);
    let text = format!(
        "Dodona {} is ready after {} ms\n\
         \x20 clients         {native}  (dodona shell {} {})\n\
         \x20 administration  http://{admin}  (dodona nodetool -h {} -p {} status)\n\
         \x20 data            {data}\n",
        env!("CARGO_PKG_VERSION"),
        began.elapsed().as_millis(),
        native.ip(),
        native.port(),
        admin.ip(),
        admin.port(),
    );
    // Nobody may be reading it, which is no reason not to serve.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// A directory in memory that goes when the process does.
struct MemoryDirectory(PathBuf);

impl MemoryDirectory {
    fn new() -> Result<Self, RunError> {
        let shared_memory = Path::new("/dev/shm");
        let parent = if shared_memory.is_dir() { shared_memory.to_owned() } else { std::env::temp_dir() };
        let path = parent.join(format!("dodona-{}", std::process::id()));
        let failed = |error| RunError::File(path.display().to_string(), error);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        std::fs::create_dir(&path).map_err(failed)?;
        Ok(Self(path))
    }
}

impl Drop for MemoryDirectory {
    fn drop(&mut self) {
        // What is left is found by its name; the process ends.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
