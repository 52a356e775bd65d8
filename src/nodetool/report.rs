//! What nodetool prints, in the shape of Cassandra's.

use serde_json::Value;
use std::fmt::Write as _;

pub(super) fn string(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(super) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// Bytes in the unit that people read, as Cassandra's `FileUtils.stringifyFileSize`.
pub(super) fn bytes(value: &Value) -> String {
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

pub(super) fn info(answer: &Value) -> String {
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

pub(super) fn compaction_statistics(answer: &Value) -> String {
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

/// The elements of an array in an answer.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn damages(out: &mut String, damages: &[Value]) {
    for damage in damages {
        let _ = writeln!(
            out,
            "  {} at byte {} ({} bytes): {}",
            string(&damage["file"]),
            string(&damage["offset"]),
            string(&damage["bytes"]),
            string(&damage["reason"])
        );
    }
}

/// What `verify` found, and whether anything is damaged.
pub(super) fn verified(answer: &Value) -> (String, bool) {
    let mut out = String::new();
    let mut is_damaged = false;
    for table in list(&answer["tables"]) {
        let found = list(&table["damages"]);
        is_damaged |= !found.is_empty();
        let name = format!("{}.{}", string(&table["keyspace"]), string(&table["table"]));
        let _ = writeln!(out, "{name}: {} files, {} damaged parts", string(&table["files"]), found.len());
        damages(&mut out, found);
    }
    (out, is_damaged)
}

pub(super) fn scrubbed(answer: &Value) -> String {
    let mut out = String::new();
    for table in list(&answer["tables"]) {
        let rebuilt = list(&table["rebuilt"]);
        let name = format!("{}.{}", string(&table["keyspace"]), string(&table["table"]));
        let _ = writeln!(out, "{name}: {} files, {} rebuilt", string(&table["files"]), rebuilt.len());
        for file in rebuilt {
            let _ = writeln!(
                out,
                " {}: {} partitions with {} rows are left",
                string(&file["file"]),
                string(&file["partitions"]),
                string(&file["rows"])
            );
            damages(&mut out, list(&file["lost"]));
        }
        if let Some(directory) = table["kept_in"].as_str() {
            let _ = writeln!(out, " the damaged files are kept in {directory}");
        }
    }
    out
}

pub(super) fn cleaned_up(answer: &Value) -> String {
    match answer["files"].as_u64() {
        Some(0) | None => "nothing belongs to other nodes\n".into(),
        Some(files) => {
            format!("{files} files cleaned up, {} bytes removed\n", string(&answer["removed_bytes"]))
        }
    }
}

/// Whether tables are compacted without being asked to.
pub(super) fn automatic_compaction(answer: &Value, each: bool) -> String {
    let tables = list(&answer["tables"]);
    if each {
        return tables
            .iter()
            .map(|table| {
                let state = if table["automatic"] == true { "running" } else { "not running" };
                format!("{} {} {state}\n", string(&table["keyspace"]), string(&table["table"]))
            })
            .collect();
    }
    let running = tables.iter().filter(|table| table["automatic"] == true).count();
    let state = match running {
        0 => "not running",
        count if count == tables.len() => "running",
        _ => "partially running",
    };
    format!("{state}\n")
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
    fn damage_is_named_with_file_and_offset() {
        let damage = json!({ "file": "tables/a/b.sst", "offset": 5, "bytes": 7, "reason": "r" });
        let table = json!({ "keyspace": "ks", "table": "t", "files": 2, "damages": [damage] });
        let (text, is_damaged) = verified(&json!({ "tables": [table] }));
        assert!(is_damaged);
        assert_eq!(text, "ks.t: 2 files, 1 damaged parts\n  tables/a/b.sst at byte 5 (7 bytes): r\n");
    }
}
