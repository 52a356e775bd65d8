//! `dodona nodetool`: administration of a running node, by its HTTP service, with output in the
//! shape of Cassandra's nodetool.
#![allow(clippy::disallowed_types, reason = "the outermost layer of the binary: it talks to a real socket")]

use clap::{Args, Subcommand};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
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
    /// The nodes of the cluster
    Status,
    /// What the node is and holds
    Info,
    /// Write memtables to files
    Flush(Tables),
    /// Merge the files of tables
    Compact(Tables),
    /// Keep the present files of tables under a name
    Snapshot {
        /// The snapshot's name [default: milliseconds since the epoch]
        #[arg(short, long)]
        tag: Option<String>,
        /// Keyspace [default: all]
        keyspace: Option<String>,
        /// Table [default: all]
        table: Option<String>,
    },
    /// Statistics of tables
    Tablestats(Tables),
    /// What compactions do
    Compactionstats,
    /// Bring everything to the disk
    Drain,
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
        let (keyspace, table) = match self.keyspace.as_deref().and_then(|name| name.split_once('.')) {
            Some((keyspace, table)) => (Some(keyspace), Some(table)),
            None => (self.keyspace.as_deref(), self.table.as_deref()),
        };
        query(&[("keyspace", keyspace), ("table", table)])
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
    /// The node refused.
    #[error("{0}")]
    Refused(String),
}

/// Runs a command and prints what it gives.
///
/// # Errors
/// The node does not answer, or refuses.
pub fn run(args: &NodetoolArgs) -> Result<(), NodetoolError> {
    let get = |path: &str| call(args, "GET", path);
    let post = |path: &str| call(args, "POST", path);
    let text = match &args.command {
        NodetoolCommand::Status => status(&get("status")?),
        NodetoolCommand::Info => info(&get("info")?),
        NodetoolCommand::Flush(tables) => silent(&post(&format!("flush{}", tables.query()))?),
        NodetoolCommand::Compact(tables) => silent(&post(&format!("compact{}", tables.query()))?),
        NodetoolCommand::Snapshot { tag, keyspace, table } => {
            let parts =
                [("tag", tag.as_deref()), ("keyspace", keyspace.as_deref()), ("table", table.as_deref())];
            let answer = post(&format!("snapshot{}", query(&parts)))?;
            let of = keyspace.as_deref().unwrap_or("all keyspaces");
            let name = string(&answer["snapshot"]);
            format!(
                "Requested creating snapshot(s) for [{of}] with snapshot name [{name}]\nSnapshot directory: {name}\n"
            )
        }
        NodetoolCommand::Tablestats(tables) => {
            table_statistics(&get(&format!("tablestats{}", tables.query()))?)
        }
        NodetoolCommand::Compactionstats => compaction_statistics(&get("compactionstats")?),
        NodetoolCommand::Drain => silent(&post("drain")?),
        NodetoolCommand::Version => {
            format!("ReleaseVersion: {}\n", string(&get("version")?["release_version"]))
        }
        NodetoolCommand::Describecluster => cluster(&get("cluster")?),
    };
    crate::output::print(&text);
    Ok(())
}

fn query(parts: &[(&str, Option<&str>)]) -> String {
    let mut text = String::new();
    for (name, value) in parts {
        if let Some(value) = value {
            let separator = if text.is_empty() { '?' } else { '&' };
            let _ = write!(text, "{separator}{name}={}", escaped(value));
        }
    }
    text
}

/// Escapes what has a meaning in the query of a URL.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"_-.".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// One request over a connection of its own, which the node closes after its answer.
fn call(args: &NodetoolArgs, method: &str, path: &str) -> Result<Value, NodetoolError> {
    let address = format!("{}:{}", args.host, args.port);
    let failed = |error| NodetoolError::Connect(address.clone(), error);
    let mut stream = TcpStream::connect((args.host.as_str(), args.port)).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let request = format!("{method} /api/v1/{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    let malformed = || NodetoolError::Malformed(address.clone());
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let status = head.split(' ').nth(1).ok_or_else(malformed)?;
    let body: Value = serde_json::from_str(body).map_err(|_| malformed())?;
    if status == "200" {
        Ok(body)
    } else {
        Err(NodetoolError::Refused(body["error"].as_str().unwrap_or(status).to_owned()))
    }
}

/// Commands that only do something say nothing, as Cassandra's.
const fn silent(_: &Value) -> String {
    String::new()
}

fn string(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// Bytes in the unit that people read, as Cassandra's `FileUtils.stringifyFileSize`.
fn bytes(value: &Value) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let Some(count) = value.as_u64() else {
        return "?".into();
    };
    if count < 1 << 10 {
        return format!("{count} bytes");
    }
    let power = (count.ilog2() / 10).min(4) as usize;
    format!("{:.2} {}", count as f64 / (1_u64 << (10 * power)) as f64, UNITS[power - 1])
}

fn status(answer: &Value) -> String {
    let mut members = answer["members"].as_array().cloned().unwrap_or_default();
    members.sort_by_key(|member| string(&member["data_center"]));
    let width = |name: &str, least: usize| {
        members.iter().map(|member| string(&member[name]).len()).max().unwrap_or(0).max(least)
    };
    let (address_width, rack_width) = (width("address", 9), width("rack", 5));
    let mut out = String::new();
    let mut data_center = None;
    for member in &members {
        let here = string(&member["data_center"]);
        if data_center.as_ref() != Some(&here) {
            let title = format!("Datacenter: {here}");
            let _ = writeln!(out, "{title}\n{}", "=".repeat(title.len()));
            let _ = writeln!(out, "Status=Up/Down\n|/ State=Normal/Leaving/Joining/Moving");
            let _ = writeln!(
                out,
                "--  {:address_width$}  {:10}  {:6}  {:16}  {:36}  {:rack_width$}",
                "Address", "Load", "Tokens", "Owns (effective)", "Host ID", "Rack"
            );
            data_center = Some(here);
        }
        let owns = if members.len() == 1 { "100.0%" } else { "?" };
        let _ = writeln!(
            out,
            "{}  {:address_width$}  {:10}  {:<6}  {owns:16}  {:36}  {:rack_width$}",
            string(&member["status"]),
            string(&member["address"]),
            bytes(&member["load_bytes"]),
            number(&member["tokens"]),
            string(&member["host_id"]),
            string(&member["rack"]),
        );
    }
    out.push('\n');
    out
}

fn info(answer: &Value) -> String {
    let cache = &answer["block_cache"];
    let (hits, misses) = (number(&cache["hits"]), number(&cache["misses"]));
    let rate = if hits + misses == 0 {
        "NaN".into()
    } else {
        format!("{:.3}", hits as f64 / (hits + misses) as f64)
    };
    let lines = [
        ("ID", string(&answer["host_id"])),
        ("Gossip active", "true".into()),
        ("Native Transport active", "true".into()),
        ("Load", bytes(&answer["load_bytes"])),
        ("Uptime (seconds)", string(&answer["uptime_seconds"])),
        ("Memtables", bytes(&answer["memtable_bytes"])),
        ("Commit log", bytes(&answer["commit_log_bytes"])),
        ("Data Center", string(&answer["data_center"])),
        ("Rack", string(&answer["rack"])),
        ("Client connections", string(&answer["connections"])),
        (
            "Chunk Cache",
            format!(
                "size {}, capacity {}, {hits} hits, {} requests, {rate} recent hit rate",
                bytes(&cache["bytes"]),
                bytes(&cache["capacity"]),
                hits + misses
            ),
        ),
    ];
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    lines.iter().map(|(name, value)| format!("{name:width$} : {value}\n")).collect()
}

fn table_statistics(answer: &Value) -> String {
    let tables = answer["tables"].as_array().cloned().unwrap_or_default();
    let mut out = format!("Total number of tables: {}\n", tables.len());
    let mut keyspace = None;
    for table in &tables {
        let here = string(&table["keyspace"]);
        if keyspace.as_ref() != Some(&here) {
            let _ = writeln!(out, "----------------\nKeyspace: {here}");
            keyspace = Some(here);
        }
        let disk = number(&table["disk_bytes"]) as f64;
        let ratio = disk / (number(&table["uncompressed_bytes"]) as f64).max(1.0);
        let lines = [
            ("Table", string(&table["table"])),
            ("SSTable count", string(&table["sstables"])),
            ("Space used (live)", string(&table["disk_bytes"])),
            ("SSTable Compression Ratio", format!("{ratio:.5}")),
            ("Number of partitions (estimate)", string(&table["partitions"])),
            ("Number of rows (estimate)", string(&table["rows"])),
            ("Memtable cell count", string(&table["memtable_operations"])),
            ("Memtable data size", string(&table["memtable_bytes"])),
            ("Memtable partitions", string(&table["memtable_partitions"])),
            ("Tombstones", string(&table["tombstones"])),
            ("Bloom filter and index memory used", string(&table["index_bytes"])),
        ];
        for (name, value) in lines {
            let _ = writeln!(out, "\t\t{name}: {value}");
        }
        out.push('\n');
    }
    out.push_str("----------------\n");
    out
}

fn compaction_statistics(answer: &Value) -> String {
    let running = answer["running"].as_array().cloned().unwrap_or_default();
    let mut out = format!(
        "pending tasks: {}\ncompactions completed {}\nflushes completed {}\n",
        running.len(),
        string(&answer["completed"]),
        string(&answer["flushed"])
    );
    if !running.is_empty() {
        let _ = writeln!(out, "{:40} {:>12} {:>12} {:5} progress", "table", "completed", "total", "unit");
    }
    for compaction in &running {
        let (written, total) = (number(&compaction["written_bytes"]), number(&compaction["total_bytes"]));
        let percent = 100.0 * written as f64 / (total as f64).max(1.0);
        let _ = writeln!(
            out,
            "{:40} {written:>12} {total:>12} bytes {percent:.2}%",
            string(&compaction["table"])
        );
    }
    out
}

fn cluster(answer: &Value) -> String {
    format!(
        "Cluster Information:\n\tName: {}\n\tPartitioner: {}\n\tCluster ID: {}\n\tNodes: {}\n\tSchema epoch: {}\n",
        string(&answer["name"]),
        string(&answer["partitioner"]),
        string(&answer["cluster_id"]),
        string(&answer["members"]),
        string(&answer["schema_epoch"]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sizes_are_written_as_cassandra_does() {
        assert_eq!(bytes(&json!(1_000)), "1000 bytes");
        assert_eq!(bytes(&json!(71_711)), "70.03 KiB");
        assert_eq!(bytes(&json!(3_u64 << 40)), "3.00 TiB");
        assert_eq!(bytes(&json!(u64::MAX)), "16777216.00 TiB");
        assert_eq!(bytes(&Value::Null), "?");
    }

    #[test]
    fn a_table_is_named_with_its_keyspace_or_after_it() {
        let one = Tables { keyspace: Some("ks.t".into()), table: None };
        let other = Tables { keyspace: Some("ks".into()), table: Some("t".into()) };
        assert_eq!(one.query(), "?keyspace=ks&table=t");
        assert_eq!(other.query(), one.query());
        assert_eq!(query(&[("tag", Some("a b&c"))]), "?tag=a%20b%26c");
    }

    #[test]
    fn the_status_has_a_heading_for_each_data_centre() {
        let member =
            |dc: &str| json!({ "address": "127.0.0.1", "data_center": dc, "rack": "r", "status": "UN" });
        let text = status(&json!({ "members": [member("b"), member("a"), member("b")] }));
        assert_eq!(text.matches("Datacenter: ").count(), 2);
        assert_eq!(text.matches("UN  127.0.0.1").count(), 3);
    }
}
