//! `dodona nodetool`: administration of a running node, by its HTTP service, with output in the
//! shape of Cassandra's nodetool.
#![allow(clippy::disallowed_types, reason = "the outermost layer of the binary: it talks to a real socket")]

mod bootstrap;
pub(crate) mod client;
mod cluster_report;
mod commands;
mod hints;
mod imports;
mod names;
mod repair;
mod repair_admin;
mod report;
mod snapshots;
mod table_report;
mod tables;

use client::{call, query};
pub use commands::NodetoolArgs;
use commands::NodetoolCommand;
pub use repair::with_two_dashes;
use serde_json::Value;
use std::time::Duration;
use tables::Tables;
use thiserror::Error;

/// How long to wait for what is only asked. What is to be done takes its time: that is waited for as long as the connection lives.
const PATIENCE: Duration = Duration::from_secs(600);

/// Why a command failed.
#[derive(Debug, Error)]
pub enum NodetoolError {
    /// The node does not answer.
    #[error("nothing answers on {0}: {1}. Is the node running, with this administration port?")]
    Connect(String, std::io::Error),
    /// The connection ended before the node had answered.
    #[error("{0} did not answer: {1}. What was asked may go on there")]
    Lost(String, std::io::Error),
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
    args.refuse_credentials()?;
    let ask = |method: &str, path: &str| {
        let patience = (method == "GET").then_some(PATIENCE);
        call(&args.host, args.port, patience, method, path)
    };
    let get = |path: &str| ask("GET", path);
    let of = |what: &str, keyspace: &Option<String>| {
        format!("{what}{}", query(&[("keyspace", keyspace.as_deref())]))
    };
    let text = match &args.command {
        NodetoolCommand::Status { resolve_ip, keyspace } => {
            cluster_report::status(&named(get(&of("status", keyspace))?, *resolve_ip))
        }
        NodetoolCommand::Ring { resolve_ip, keyspace } => {
            cluster_report::ring(&named(get(&of("status", keyspace))?, *resolve_ip))
        }
        NodetoolCommand::Gossipinfo => cluster_report::gossip(&get("gossip")?),
        NodetoolCommand::Statusgossip => cluster_report::gossip_status(&get("gossip")?).into(),
        NodetoolCommand::Hints(command) => hints::run(command, &ask)?,
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

/// The members with their names for addresses, if that is asked for.
fn named(answer: Value, resolve_ip: bool) -> Value {
    if resolve_ip { names::named(answer, &|ip| dns_lookup::lookup_addr(&ip).ok()) } else { answer }
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
        NodetoolCommand::Decommission { force } => {
            post(&format!("decommission{}", query(&[("force", force.then_some("true"))])))?
        }
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
