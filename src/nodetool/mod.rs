//! `dodona nodetool`: administration of a running node, by its HTTP service, with output in the
//! shape of Cassandra's nodetool.
#![allow(clippy::disallowed_types, reason = "the outermost layer of the binary: it talks to a real socket")]

mod bootstrap;
pub(crate) mod client;
mod cluster_report;
mod imports;
mod repair;
mod repair_admin;
mod report;
mod snapshots;
mod table_report;

use bootstrap::BootstrapArgs;
use clap::{Args, Subcommand};
use client::{call, query};
use imports::ImportArgs;
use repair::RepairArgs;
pub use repair::with_two_dashes;
use repair_admin::RepairAdminArgs;
use serde_json::Value;
use snapshots::{ClearArgs, SnapshotArgs};
use std::time::Duration;
use thiserror::Error;

/// How long to wait for an answer: compactions take their time.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Arguments of `dodona nodetool`.
#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true)]
pub struct NodetoolArgs {
    /// Address of the node's administration service
    #[arg(short = 'h', long, default_value = "127.0.0.1", global = true)]
    host: String,
    /// Port of the node's administration service
    #[arg(short, long, default_value_t = 7199, global = true)]
    port: u16,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help, global = true)]
    help: Option<bool>,
    #[command(subcommand)]
    command: NodetoolCommand,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
enum NodetoolCommand {
    /// The nodes of the cluster, and what each owns of a keyspace
    Status {
        /// Keyspace [default: all, if they are replicated alike]
        keyspace: Option<String>,
    },
    /// The tokens of the cluster
    Ring {
        /// Keyspace [default: all, if they are replicated alike]
        keyspace: Option<String>,
    },
    /// What nodes say of themselves
    Gossipinfo,
    /// Whether the node gossips
    Statusgossip,
    /// Whether the node keeps hints for others
    Statushandoff,
    /// What the node does with others, and what waits for them
    Netstats,
    /// The ranges of tokens of a keyspace, and who holds each
    Describering {
        /// Keyspace
        keyspace: String,
    },
    /// Who holds a partition
    Getendpoints {
        /// Keyspace
        keyspace: String,
        /// Table
        table: String,
        /// The partition key as text; components are set apart by `:`
        #[arg(allow_hyphen_values = true)]
        key: String,
    },
    /// What the node is and holds
    Info,
    /// Write memtables to files
    Flush(Tables),
    /// Merge the files of tables
    Compact {
        #[command(flatten)]
        tables: Tables,
        /// Only files that hold something from this token on
        #[arg(long, visible_alias = "st", allow_hyphen_values = true)]
        start_token: Option<i64>,
        /// Only files that hold something up to this token
        #[arg(long, visible_alias = "et", allow_hyphen_values = true)]
        end_token: Option<i64>,
    },
    /// Remove what deletions in other files cover
    Garbagecollect {
        /// ROW, or CELL for cells that were written over as well
        #[arg(short, long, default_value = "ROW")]
        granularity: String,
        #[command(flatten)]
        tables: Tables,
    },
    /// Remove what belongs to other nodes
    Cleanup(Tables),
    /// Read and check every byte of the files of tables
    Verify(Tables),
    /// Rebuild damaged files of what can be read of them
    Scrub(Tables),
    /// Make replicas hold the same
    Repair(RepairArgs),
    /// Incremental repairs that go on, and how to end one
    #[command(name = "repair_admin")]
    RepairAdmin(RepairAdminArgs),
    /// When what the node is the first replica of was repaired, and when it is again
    Autorepairstatus,
    /// MiB a second that are streamed to other nodes
    Getstreamthroughput,
    /// Set the MiB a second that are streamed to other nodes; 0 for no limit
    Setstreamthroughput {
        /// MiB a second
        value: u64,
    },
    /// The share of requests that are traced without a client that asks for it
    Gettraceprobability,
    /// Set the share of requests that are traced without a client that asks for it, until the next start
    Settraceprobability {
        /// From 0, for none, to 1, for all
        #[arg(allow_hyphen_values = true)]
        probability: f64,
    },
    /// End compactions that are under way
    Stop {
        /// COMPACTION, TOMBSTONE_COMPACTION, GARBAGE_COLLECT or CLEANUP [default: all]
        kind: Option<String>,
    },
    /// MiB a second that compactions may write
    Getcompactionthroughput {
        /// As a precise number
        #[arg(short = 'd', long)]
        precise: bool,
    },
    /// Set the MiB a second that compactions may write; 0 for no limit
    Setcompactionthroughput {
        /// MiB a second
        value: u64,
    },
    /// Compact tables without being asked to
    Enableautocompaction(Tables),
    /// Do not compact tables without being asked to
    Disableautocompaction(Tables),
    /// Whether tables are compacted without being asked to
    Statusautocompaction {
        /// Each table
        #[arg(short, long)]
        all: bool,
        #[command(flatten)]
        tables: Tables,
    },
    /// Keep the present files of tables under a name
    Snapshot(SnapshotArgs),
    /// The snapshots
    Listsnapshots {
        /// Leave out snapshots that expire
        #[arg(long = "no-ttl", visible_alias = "nt")]
        no_ttl: bool,
        /// Accepted: there are no ephemeral snapshots
        #[arg(short, long)]
        ephemeral: bool,
    },
    /// Remove snapshots
    Clearsnapshot(ClearArgs),
    /// Take files of snapshots or backups into a table
    Import(ImportArgs),
    /// Take the files in `upload/<table id>` of the data directory into a table
    Refresh {
        /// Keyspace
        keyspace: String,
        /// Table
        table: String,
    },
    /// Link files that come new into `backups` as well, until the next start
    Enablebackup,
    /// Do not link files that come new into `backups`, until the next start
    Disablebackup,
    /// Whether files that come new are linked into `backups`
    Statusbackup,
    /// Statistics of tables
    Tablestats(Tables),
    /// How many files reads look into, and how long reads and writes take
    Tablehistograms(Tables),
    /// How long requests of clients take, on all tables together
    Proxyhistograms,
    /// What compactions do
    Compactionstats,
    /// Bring everything to the disk
    Drain,
    /// Use certificates for TLS whose files have changed, without waiting until that is noticed
    Reloadssl,
    /// Take the node out of the cluster once others have what it holds; then it can be stopped
    Decommission,
    /// Take a node that is down out of the cluster
    Removenode {
        /// Its host id, as `status` shows it; or `status`, to see what is being removed, or `force`, to end that at once
        #[arg(value_name = "HOST_ID")]
        id: String,
    },
    /// Take a node that is down out of the cluster at once: nobody fetches what it held, so repair --full afterwards
    Assassinate {
        /// Its address, or its host id
        address: String,
    },
    /// Stay in the cluster, if others do not rely on it yet that the node leaves
    Abortdecommission {
        /// The host id of another node that leaves, is removed or moves [default: this one]
        #[arg(long)]
        node: Option<String>,
    },
    /// Move the node to another token, if it has one alone
    Move {
        /// The token
        #[arg(allow_hyphen_values = true)]
        token: i64,
    },
    /// How a node that joins goes on
    Bootstrap(BootstrapArgs),
    /// Fetch what the node holds from others that hold it as well
    Rebuild {
        /// Only this keyspace
        #[arg(short, long = "keyspace")]
        keyspace: Option<String>,
        /// From no node of the node's own data centre
        #[arg(long)]
        exclude_local_dc: bool,
        /// Only these ranges of tokens of the keyspace: (start,end],(start,end]
        #[arg(long, visible_alias = "ts", allow_hyphen_values = true)]
        tokens: Option<String>,
        /// Only from nodes at these addresses, set apart by commas
        #[arg(short, long)]
        sources: Option<String>,
        /// From nodes of this data centre [default: any]
        source_dc: Option<String>,
    },
    /// The release that the node is compatible with
    Version,
    /// Name, partitioner and schema of the cluster
    Describecluster,
}

/// Which tables.
#[derive(Clone, Debug, Args)]
struct Tables {
    /// Keyspace, or keyspace.table [default: all]
    keyspace: Option<String>,
    /// Table [default: all]
    table: Option<String>,
}

impl Tables {
    fn query(&self) -> String {
        self.query_with(&[])
    }

    fn query_with(&self, more: &[(&str, Option<&str>)]) -> String {
        let (keyspace, table) = match self.keyspace.as_deref().and_then(|name| name.split_once('.')) {
            Some((keyspace, table)) => (Some(keyspace), Some(table)),
            None => (self.keyspace.as_deref(), self.table.as_deref()),
        };
        query(&[&[("keyspace", keyspace), ("table", table)], more].concat())
    }
}

/// Why a command failed.
#[derive(Debug, Error)]
pub enum NodetoolError {
    /// The node does not answer.
    #[error("nothing answers on {0}: {1}. Is the node running, with this administration port?")]
    Connect(String, std::io::Error),
    /// The node answered with something else.
    #[error("{0} does not answer as a node of Dodona does")]
    Malformed(String),
    /// Files are damaged: where, and how.
    #[error("{0}")]
    Damaged(String),
    /// The node refused.
    #[error("{0}")]
    Refused(String),
}

/// Runs a command and prints what it gives.
///
/// # Errors
/// The node does not answer, or refuses.
pub fn run(args: &NodetoolArgs) -> Result<(), NodetoolError> {
    let ask = |method: &str, path: &str| call(&args.host, args.port, PATIENCE, method, path);
    let get = |path: &str| ask("GET", path);
    let of = |what: &str, keyspace: &Option<String>| {
        format!("{what}{}", query(&[("keyspace", keyspace.as_deref())]))
    };
    let text = match &args.command {
        NodetoolCommand::Status { keyspace } => cluster_report::status(&get(&of("status", keyspace))?),
        NodetoolCommand::Ring { keyspace } => cluster_report::ring(&get(&of("status", keyspace))?),
        NodetoolCommand::Gossipinfo => cluster_report::gossip(&get("gossip")?),
        NodetoolCommand::Statusgossip => cluster_report::gossip_status(&get("gossip")?).into(),
        NodetoolCommand::Statushandoff => cluster_report::hand_off_status(&get("network")?).into(),
        NodetoolCommand::Removenode { id } if id == "status" => cluster_report::removal(&get("removal")?),
        NodetoolCommand::Netstats => cluster_report::network(&get("network")?),
        NodetoolCommand::Describering { keyspace } => {
            cluster_report::ranges(&get(&format!("ranges{}", query(&[("keyspace", Some(keyspace))])))?)
        }
        NodetoolCommand::Getendpoints { keyspace, table, key } => {
            let parts = [("keyspace", Some(&**keyspace)), ("table", Some(&**table)), ("key", Some(&**key))];
            cluster_report::endpoints(&get(&format!("endpoints{}", query(&parts)))?)
        }
        NodetoolCommand::Info => report::info(&get("info")?),
        NodetoolCommand::Tablestats(tables) => {
            table_report::statistics(&get(&format!("tablestats{}", tables.query()))?)
        }
        NodetoolCommand::Tablehistograms(tables) => {
            table_report::histograms(&get(&format!("tablehistograms{}", tables.query()))?)
        }
        NodetoolCommand::Proxyhistograms => table_report::of_clients(&get("proxyhistograms")?),
        NodetoolCommand::Compactionstats => report::compaction_statistics(&get("compactionstats")?),
        NodetoolCommand::Version => {
            format!("ReleaseVersion: {}\n", report::string(&get("version")?["release_version"]))
        }
        NodetoolCommand::Describecluster => cluster_report::cluster(&get("cluster")?),
        NodetoolCommand::Listsnapshots { no_ttl, .. } => snapshots::report(&get("snapshots")?, *no_ttl),
        NodetoolCommand::Statusbackup => {
            let running = get("backup")?["running"] == true;
            if running { "running\n".into() } else { "not running\n".into() }
        }
        NodetoolCommand::Getcompactionthroughput { precise } => {
            throughput(&get("compactionthroughput")?, *precise)
        }
        NodetoolCommand::Getstreamthroughput => {
            let rate = get("streamthroughput")?["mib_per_second"].as_f64().unwrap_or(0.0);
            format!("Current stream throughput: {rate:?} MiB/s\n")
        }
        NodetoolCommand::RepairAdmin(args) => repair_admin::run(args, &ask)?,
        NodetoolCommand::Bootstrap(args) => bootstrap::run(args, &ask, &crate::output::print)?,
        NodetoolCommand::Gettraceprobability => {
            let probability = get("traceprobability")?["probability"].as_f64().unwrap_or(0.0);
            format!("Current trace probability: {probability:?}\n")
        }
        NodetoolCommand::Autorepairstatus => repair::standings(&get("repairs")?),
        NodetoolCommand::Statusautocompaction { all, tables } => {
            report::automatic_compaction(&get(&format!("autocompaction{}", tables.query()))?, *all)
        }
        command => change(command, &|path| ask("POST", path))?,
    };
    crate::output::print(&text);
    Ok(())
}

/// Runs a command that changes something.
fn change(
    command: &NodetoolCommand,
    post: &dyn Fn(&str) -> Result<Value, NodetoolError>,
) -> Result<String, NodetoolError> {
    let on = |what: &str, tables: &Tables| post(&format!("{what}{}", tables.query()));
    let answer = match command {
        NodetoolCommand::Flush(tables) => on("flush", tables)?,
        NodetoolCommand::Compact { tables, start_token, end_token } => {
            let [start, end] = [start_token, end_token].map(|token| token.map(|token| token.to_string()));
            let range = [("start_token", start.as_deref()), ("end_token", end.as_deref())];
            post(&format!("compact{}", tables.query_with(&range)))?
        }
        NodetoolCommand::Garbagecollect { granularity, tables } => {
            let granularity = [("granularity", Some(granularity.as_str()))];
            post(&format!("garbagecollect{}", tables.query_with(&granularity)))?
        }
        NodetoolCommand::Cleanup(tables) => {
            return Ok(report::cleaned_up(&on("cleanup", tables)?));
        }
        NodetoolCommand::Verify(tables) => {
            let (text, is_damaged) = report::verified(&on("verify", tables)?);
            return if is_damaged { Err(NodetoolError::Damaged(text)) } else { Ok(text) };
        }
        NodetoolCommand::Repair(args) => return repair::repair(args, post),
        NodetoolCommand::Setstreamthroughput { value } => {
            post(&format!("streamthroughput?throughput={value}"))?
        }
        NodetoolCommand::Settraceprobability { probability } => {
            post(&format!("traceprobability?probability={probability}"))?
        }
        NodetoolCommand::Scrub(tables) => return Ok(report::scrubbed(&on("scrub", tables)?)),
        NodetoolCommand::Stop { kind } => post(&format!("stop{}", query(&[("kind", kind.as_deref())])))?,
        NodetoolCommand::Setcompactionthroughput { value } => {
            post(&format!("compactionthroughput?throughput={value}"))?
        }
        NodetoolCommand::Enableautocompaction(tables) => {
            post(&format!("autocompaction{}", tables.query_with(&[("automatic", Some("true"))])))?
        }
        NodetoolCommand::Disableautocompaction(tables) => {
            post(&format!("autocompaction{}", tables.query_with(&[("automatic", Some("false"))])))?
        }
        NodetoolCommand::Snapshot(args) => return snapshots::take(args, post),
        NodetoolCommand::Clearsnapshot(args) => return snapshots::clear(args, post),
        NodetoolCommand::Import(args) => return imports::import(args, post),
        NodetoolCommand::Refresh { keyspace, table } => return imports::refresh(keyspace, table, post),
        NodetoolCommand::Enablebackup => post("backup?automatic=true")?,
        NodetoolCommand::Disablebackup => post("backup?automatic=false")?,
        NodetoolCommand::Reloadssl => post("reloadssl")?,
        NodetoolCommand::Decommission => post("decommission")?,
        NodetoolCommand::Removenode { id } if id == "force" => post("removal")?,
        NodetoolCommand::Removenode { id } => post(&format!("removenode{}", query(&[("host", Some(id))])))?,
        NodetoolCommand::Assassinate { address } => {
            post(&format!("assassinate{}", query(&[("host", Some(address))])))?
        }
        NodetoolCommand::Abortdecommission { node } => {
            post(&format!("abortdecommission{}", query(&[("host", node.as_deref())])))?
        }
        NodetoolCommand::Move { token } => post(&format!("move?token={token}"))?,
        NodetoolCommand::Rebuild { keyspace, exclude_local_dc, tokens, sources, source_dc } => {
            let parts = [
                ("tokens", tokens.as_deref()),
                ("sources", sources.as_deref()),
                ("keyspace", keyspace.as_deref()),
                ("data_center", source_dc.as_deref()),
                ("not_from_own", exclude_local_dc.then_some("true")),
            ];
            post(&format!("rebuild{}", query(&parts)))?
        }
        _ => post("drain")?,
    };
    drop(answer);
    // Commands that only do something say nothing, as Cassandra's.
    Ok(String::new())
}

fn throughput(answer: &Value, precise: bool) -> String {
    let rate = answer["mib_per_second"].as_f64().unwrap_or(0.0);
    if precise {
        format!("Current compaction throughput: {rate:?} MiB/s\n")
    } else {
        format!("Current compaction throughput: {} MB/s\n", rate.round())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_named_with_its_keyspace_or_after_it() {
        let one = Tables { keyspace: Some("ks.t".into()), table: None };
        let other = Tables { keyspace: Some("ks".into()), table: Some("t".into()) };
        assert_eq!(one.query(), "?keyspace=ks&table=t");
        assert_eq!(other.query(), one.query());
        assert_eq!(query(&[("tag", Some("a b&c"))]), "?tag=a%20b%26c");
    }
}
