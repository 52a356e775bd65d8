//! What nodetool prints of the cluster, in the shape of Cassandra's.

use super::report::{bytes, list, number, string};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A member's part of the ring; `places` are those behind the point.
fn owns(member: &Value, places: usize) -> String {
    member["owns"].as_f64().map_or_else(|| "?".into(), |part| format!("{:.places$}%", 100.0 * part))
}

fn note(answer: &Value) -> String {
    answer["note"].as_str().map_or_else(String::new, |note| format!("Note: {note}\n"))
}

/// The members of each data centre, by its name.
fn by_data_center(answer: &Value) -> BTreeMap<String, Vec<&Value>> {
    let mut sorted: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for member in list(&answer["members"]) {
        sorted.entry(string(&member["data_center"])).or_default().push(member);
    }
    sorted
}

fn width(answer: &Value, name: &str, least: usize) -> usize {
    let lengths = list(&answer["members"]).iter().map(|member| string(&member[name]).len());
    lengths.max().unwrap_or(0).max(least)
}

pub(super) fn status(answer: &Value) -> String {
    let (address_width, rack_width) = (width(answer, "address", 9), width(answer, "rack", 5));
    let title = if answer["note"].is_null() { "Owns (effective)" } else { "Owns" };
    let owns_width = title.len();
    let mut out = String::new();
    for (data_center, members) in by_data_center(answer) {
        let heading = format!("Datacenter: {data_center}");
        let _ = writeln!(out, "{heading}\n{}", "=".repeat(heading.len()));
        let _ = writeln!(out, "Status=Up/Down\n|/ State=Normal/Leaving/Joining/Moving");
        let _ = writeln!(
            out,
            "--  {:address_width$}  {:10}  {:6}  {title}  {:36}  {:rack_width$}",
            "Address", "Load", "Tokens", "Host ID", "Rack"
        );
        for member in members {
            let _ = writeln!(
                out,
                "{}  {:address_width$}  {:10}  {:<6}  {:owns_width$}  {:36}  {:rack_width$}",
                string(&member["status"]),
                string(&member["address"]),
                bytes(&member["load_bytes"]),
                list(&member["tokens"]).len(),
                owns(member, 1),
                string(&member["host_id"]),
                string(&member["rack"]),
            );
        }
        out.push('\n');
    }
    out + &note(answer)
}

/// The two letters of a member's status in words.
fn words(status: &str) -> (&'static str, &'static str) {
    let up = if status.starts_with('U') { "Up" } else { "Down" };
    let state = match status.chars().nth(1) {
        Some('J') => "Joining",
        Some('L') => "Leaving",
        Some('M') => "Moving",
        _ => "Normal",
    };
    (up, state)
}

pub(super) fn ring(answer: &Value) -> String {
    let address_width = width(answer, "address", 7);
    let line = |cells: [&str; 7]| {
        let [address, rack, status, state, load, owns, token] = cells;
        format!("{address:address_width$}  {rack:12}{status:7}{state:8}{load:16}{owns:20}{token:44}\n")
    };
    let mut out = String::new();
    let mut has_many = false;
    for (data_center, members) in by_data_center(answer) {
        let mut tokens: Vec<(i64, &Value)> = Vec::new();
        for member in members {
            has_many |= list(&member["tokens"]).len() > 1;
            let of_member = list(&member["tokens"]).iter().filter_map(|token| token.as_str()?.parse().ok());
            tokens.extend(of_member.map(|token| (token, member)));
        }
        tokens.sort_by_key(|(token, _)| *token);
        let _ = write!(out, "\nDatacenter: {data_center}\n==========\n");
        out += &line(["Address", "Rack", "Status", "State", "Load", "Owns", "Token"]);
        if let [_, .., (last, _)] = tokens.as_slice() {
            out += &line(["", "", "", "", "", "", &last.to_string()]);
        }
        for (token, member) in &tokens {
            let (status, state) = words(member["status"].as_str().unwrap_or_default());
            out += &line([
                &string(&member["address"]),
                &string(&member["rack"]),
                status,
                state,
                &bytes(&member["load_bytes"]),
                &owns(member, 2),
                &token.to_string(),
            ]);
        }
    }
    out.push('\n');
    if has_many {
        out.push_str("  Each token has a line here: \"nodetool status\" has one for each node.\n\n");
    }
    out + &note(answer)
}

pub(super) fn gossip(answer: &Value) -> String {
    let mut endpoints: Vec<&Value> = list(&answer["endpoints"]).iter().collect();
    endpoints.sort_by_key(|endpoint| string(&endpoint["address"]));
    let mut out = String::new();
    for endpoint in endpoints {
        let _ = writeln!(out, "/{}", string(&endpoint["address"]));
        let _ = writeln!(out, "  generation:{}", number(&endpoint["generation"]));
        let _ = writeln!(out, "  heartbeat:{}", number(&endpoint["heartbeat"]));
        for told in list(&endpoint["values"]) {
            let (key, version) = (string(&told["key"]), number(&told["version"]));
            let _ = writeln!(out, "  {key}:{version}:{}", string(&told["value"]));
        }
    }
    out
}

fn addresses(value: &Value) -> String {
    let addresses: Vec<String> = list(value).iter().map(string).collect();
    format!("[{}]", addresses.join(", "))
}

pub(super) fn cluster(answer: &Value) -> String {
    let mut out = format!(
        "Cluster Information:\n\tName: {}\n\tPartitioner: {}\n\tCluster ID: {}\n\tSchema epoch: {}\n\tSchema versions:\n",
        string(&answer["name"]),
        string(&answer["partitioner"]),
        string(&answer["cluster_id"]),
        string(&answer["schema_epoch"]),
    );
    for (version, hosts) in answer["schema_versions"].as_object().into_iter().flatten() {
        let _ = writeln!(out, "\t\t{version}: {}\n", addresses(hosts));
    }
    let unreachable = list(&answer["unreachable"]);
    if !unreachable.is_empty() {
        let _ = writeln!(out, "\t\tUNREACHABLE: {}\n", addresses(&answer["unreachable"]));
    }
    let _ = writeln!(
        out,
        "Stats for all nodes:\n\tLive: {}\n\tJoining: {}\n\tMoving: {}\n\tLeaving: {}\n\tUnreachable: {}\n",
        number(&answer["live"]),
        number(&answer["joining"]),
        number(&answer["moving"]),
        number(&answer["leaving"]),
        unreachable.len(),
    );
    out.push_str("Data Centers: \n");
    for data_center in list(&answer["data_centers"]) {
        let (nodes, down) = (number(&data_center["nodes"]), number(&data_center["down"]));
        let _ = writeln!(out, "\t{} #Nodes: {nodes} #Down: {down}", string(&data_center["name"]));
    }
    out.push_str("\nDatabase versions:\n");
    for (version, hosts) in answer["versions"].as_object().into_iter().flatten() {
        let _ = writeln!(out, "\t{version}: {}", addresses(hosts));
    }
    out.push_str("\nKeyspaces:\n");
    for keyspace in list(&answer["keyspaces"]) {
        let class = string(&keyspace["class"]);
        let class = class.rsplit('.').next().unwrap_or_default();
        let options = keyspace["options"].as_object().into_iter().flatten();
        let options: Vec<String> = options.map(|(name, value)| format!("{name}={}", string(value))).collect();
        let name = string(&keyspace["name"]);
        let _ = writeln!(out, "\t{name} -> Replication class: {class} {{{}}}", options.join(", "));
    }
    out
}

pub(super) fn ranges(answer: &Value) -> String {
    let mut out = format!("Schema Version:{}\nTokenRange: \n", string(&answer["schema_version"]));
    for range in list(&answer["ranges"]) {
        let replicas = list(&range["replicas"]);
        let each = |text: &dyn Fn(&Value) -> String| replicas.iter().map(text).collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            out,
            "\tTokenRange(start_token:{}, end_token:{}, endpoints:[{}], rpc_endpoints:[{}], endpoint_details:[{}])",
            string(&range["start"]),
            string(&range["end"]),
            each(&|replica| string(&replica["address"])),
            each(&|replica| string(&replica["native"])),
            each(&|replica| format!(
                "EndpointDetails(host:{}, datacenter:{}, rack:{})",
                string(&replica["address"]),
                string(&replica["data_center"]),
                string(&replica["rack"])
            )),
        );
    }
    out
}

pub(super) fn endpoints(answer: &Value) -> String {
    list(&answer["endpoints"]).iter().map(|endpoint| string(endpoint) + "\n").collect()
}

/// As Cassandra's `removenode status` begins.
pub(super) fn removal(answer: &Value) -> String {
    let removed = list(&answer["removed"]);
    if removed.is_empty() {
        return "RemovalStatus: No token removals in process.\n".into();
    }
    let of = |member: &Value| {
        let (address, host) = (string(&member["address"]), string(&member["host"]));
        format!("RemovalStatus: Removing {address} ({host}). Others fetch what it held.\n")
    };
    removed.iter().map(of).collect()
}

pub(super) fn network(answer: &Value) -> String {
    let mut out = format!("Mode: {}\n", string(&answer["mode"]));
    let fetched = &answer["fetched"];
    match (fetched["ranges"].as_u64(), fetched["ranges_done"].as_u64()) {
        (Some(ranges), Some(done)) if ranges > 0 => {
            let kept = fetched["ranges_kept"].as_u64().filter(|kept| *kept > 0);
            let _ = writeln!(
                out,
                "{}: {done} of {ranges} ranges{}, {} files, {} partitions, {}",
                if done < ranges { "Fetching" } else { "Fetched" },
                kept.map(|kept| format!(" ({kept} of them before)")).unwrap_or_default(),
                number(&fetched["files"]),
                number(&fetched["partitions"]),
                bytes(&fetched["bytes"]),
            );
        }
        _ => out.push_str("Nothing is fetched.\n"),
    }
    let _ = writeln!(out, "Sent to nodes that fetch: {}", bytes(&answer["sent_bytes"]));
    out += &hints(&answer["hints"]);
    out
}

fn hints(hints: &Value) -> String {
    let waiting = list(&hints["waiting"]);
    let mut out = String::new();
    if waiting.is_empty() {
        out.push_str("No hints wait.\n");
    }
    for target in waiting {
        let _ = writeln!(
            out,
            "Hints for {} ({}): {} in {} files, the oldest {} s old",
            string(&target["address"]),
            if target["alive"] == true { "up" } else { "down" },
            bytes(&target["bytes"]),
            number(&target["files"]),
            string(&target["oldest_age_seconds"]),
        );
    }
    let counts = ["written", "delivered", "handed_on", "refused", "lost", "expired"]
        .map(|name| format!("{} {}", number(&hints[name]), name.replace('_', " ")));
    let _ = writeln!(out, "Hints since the start: {}", counts.join(", "));
    out
}

pub(super) fn gossip_status(answer: &Value) -> &'static str {
    if answer["running"] == true { "running\n" } else { "not running\n" }
}

#[cfg(test)]
#[path = "cluster_report_tests.rs"]
mod tests;
