//! What nodetool prints of tables, in the shape of Cassandra's.

use super::report::{list, number, string};
use serde_json::Value;
use std::fmt::Write as _;

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// Milliseconds on average; not a number if there was nothing of late.
fn mean_ms(used: &Value) -> f64 {
    let nanos = float(&used["mean_nanos"]);
    if nanos > 0.0 { nanos / 1e6 } else { f64::NAN }
}

pub(super) fn statistics(answer: &Value) -> String {
    let tables = list(&answer["tables"]);
    let mut out = format!("Total number of tables: {}\n", tables.len());
    for of_keyspace in tables.chunk_by(|one, next| one["keyspace"] == next["keyspace"]) {
        let _ = writeln!(out, "----------------\nKeyspace : {}", string(&of_keyspace[0]["keyspace"]));
        for (name, kind) in [("Read", "reads"), ("Write", "writes")] {
            let count: u64 = of_keyspace.iter().map(|table| number(&table[kind]["count"])).sum();
            let of_table = |table: &Value| (number(&table[kind]["count"]) as f64, mean_ms(&table[kind]));
            let timed = of_keyspace.iter().map(of_table).filter(|(_, mean)| !mean.is_nan());
            let (timed, millis) =
                timed.fold((0.0, 0.0), |(sum, millis), (count, mean)| (sum + count, millis + count * mean));
            let _ =
                writeln!(out, "\t{name} Count: {count}\n\t{name} Latency: {} ms", rounded(millis / timed));
        }
        of_keyspace.iter().for_each(|table| statistics_of(table, &mut out));
    }
    out.push_str("----------------\n");
    out
}

/// To the nanosecond.
fn rounded(millis: f64) -> f64 {
    (millis * 1e6).round() / 1e6
}

fn statistics_of(table: &Value, out: &mut String) {
    let disk = number(&table["disk_bytes"]) as f64;
    let (repaired, pending) =
        (number(&table["repaired_bytes"]) as f64, number(&table["pending_bytes"]) as f64);
    let uncompressed = number(&table["uncompressed_bytes"]) as f64;
    let latency = |kind: &str| format!("{:.6} ms", mean_ms(&table[kind]));
    let (rows, tombstones) = (&table["rows_per_read"], &table["tombstones_per_read"]);
    let partitions = number(&table["partitions"]) as f64;
    let mut lines = vec![
        ("Table", string(&table["table"])),
        ("SSTable count", string(&table["sstables"])),
        ("Space used (live)", string(&table["disk_bytes"])),
        ("SSTable Compression Ratio", format!("{:.5}", disk / uncompressed.max(1.0))),
        ("Percent repaired", format!("{:.1}", repaired * 100.0 / disk.max(1.0))),
        ("Bytes repaired", string(&table["repaired_bytes"])),
        ("Bytes unrepaired", format!("{}", disk - repaired - pending)),
        ("Bytes pending repair", string(&table["pending_bytes"])),
        ("Number of partitions (estimate)", string(&table["partitions"])),
        ("Number of rows (estimate)", string(&table["rows"])),
        ("Memtable cell count", string(&table["memtable_operations"])),
        ("Memtable data size", string(&table["memtable_bytes"])),
        ("Memtable partitions", string(&table["memtable_partitions"])),
        ("Local read count", string(&table["reads"]["count"])),
        ("Local read latency", latency("reads")),
        ("Local scan count", string(&table["scans"]["count"])),
        ("Local scan latency", latency("scans")),
        ("Local write count", string(&table["writes"]["count"])),
        ("Local write latency", latency("writes")),
        ("Tombstones", string(&table["tombstones"])),
        ("Bloom filter and index memory used", string(&table["index_bytes"])),
    ];
    if table["max_partition_bytes"].is_number() {
        lines.push(("Compacted partition maximum bytes", string(&table["max_partition_bytes"])));
    }
    lines.extend([
        ("Compacted partition mean bytes", format!("{:.0}", uncompressed / partitions.max(1.0))),
        ("Average live cells per slice (last five minutes)", format!("{:.1}", float(&rows["mean"]))),
        ("Maximum live cells per slice (last five minutes)", string(&rows["max"])),
        ("Average tombstones per slice (last five minutes)", format!("{:.1}", float(&tombstones["mean"]))),
        ("Maximum tombstones per slice (last five minutes)", string(&tombstones["max"])),
    ]);
    for (name, value) in lines {
        let _ = writeln!(out, "\t\t{name}: {value}");
    }
    out.push('\n');
}

pub(super) fn histograms(answer: &Value) -> String {
    let mut out = String::new();
    for table in list(&answer["tables"]) {
        let _ = writeln!(out, "{}/{} histograms", string(&table["keyspace"]), string(&table["table"]));
        line(
            &mut out,
            ["Percentile", "SSTables", "Write Latency", "Read Latency", "Partition Size", "Cell Count"],
        );
        line(&mut out, ["", "", "(micros)", "(micros)", "(bytes)", ""]);
        let parts = list(&table["parts"]).iter().map(|part| format!("{:.0}%", float(part) * 100.0));
        for (row, name) in parts.chain(["Min".into(), "Max".into()]).enumerate() {
            let of = |what: &str| list(&table[what]).get(row).map_or(f64::NAN, float);
            let largest = if name == "Max" { float(&table["max_partition_bytes"]) } else { f64::NAN };
            let [files, write, read] = [of("sstables"), of("write_nanos") / 1e3, of("read_nanos") / 1e3];
            let cells = [format!("{files:.2}"), format!("{write:.2}"), format!("{read:.2}")];
            let [files, write, read] = cells.each_ref().map(String::as_str);
            // Sizes of partitions are not kept but for the largest, and cells are not counted by partition.
            line(&mut out, [&name, files, write, read, &format!("{largest:.0}"), "NaN"]);
        }
        out.push('\n');
    }
    out
}

pub(super) fn of_clients(answer: &Value) -> String {
    let names = ["Read", "Write", "Range", "CAS Read", "CAS Write", "View Write"];
    let kinds = ["read", "write", "scan", "conditional_read", "conditional_write"];
    let mut out = String::from("proxy histograms\nPercentile");
    names.iter().for_each(|name| out.push_str(&format!("{:>19}", format!("{name} Latency"))));
    let _ = writeln!(out, "\n{:<10}{}", "", format!("{:>19}", "(micros)").repeat(names.len()));
    let parts = list(&answer["parts"]).iter().map(|part| format!("{:.0}%", float(part) * 100.0));
    for (row, name) in parts.chain(["Min".into(), "Max".into()]).enumerate() {
        let _ = write!(out, "{name:<10}");
        for kind in kinds {
            let nanos = list(&answer[format!("{kind}_nanos")]).get(row).map_or(f64::NAN, float);
            let _ = write!(out, "{:>19.2}", nanos / 1e3);
        }
        // There are no views.
        let _ = writeln!(out, "{:>19.2}", 0.0);
    }
    out.push('\n');
    out
}

fn line(out: &mut String, cells: [&str; 6]) {
    let [name, files, write, read, size, count] = cells;
    let _ = writeln!(out, "{name:<10}{files:>10}{write:>18}{read:>18}{size:>18}{count:>18}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn histograms_have_the_columns_of_cassandra() {
        let table = json!({
            "keyspace": "ks", "table": "t", "parts": [0.5, 0.99], "sstables": [1, 2, 1, 3],
            "write_nanos": [400, 1_500, 300, 20_000], "read_nanos": [2_000, 3_000, 1_000, 4_000],
            "max_partition_bytes": 310,
        });
        let wanted = "\
ks/t histograms
Percentile  SSTables     Write Latency      Read Latency    Partition Size        Cell Count
                              (micros)          (micros)           (bytes)                  
50%             1.00              0.40              2.00               NaN               NaN
99%             2.00              1.50              3.00               NaN               NaN
Min             1.00              0.30              1.00               NaN               NaN
Max             3.00             20.00              4.00               310               NaN

";
        assert_eq!(histograms(&json!({ "tables": [table] })), wanted);
    }

    #[test]
    fn what_clients_waited_has_the_columns_of_cassandra() {
        let answer = json!({
            "parts": [0.5], "read_nanos": [1_500, 1_000, 2_000], "write_nanos": [10, 20, 30_000_000],
            "scan_nanos": [0, 0, 0], "conditional_read_nanos": [4_000, 4_000, 4_000],
            "conditional_write_nanos": [5_000, 5_000, 5_000],
        });
        let wanted = "\
proxy histograms
Percentile       Read Latency      Write Latency      Range Latency   CAS Read Latency  CAS Write Latency View Write Latency
                     (micros)           (micros)           (micros)           (micros)           (micros)           (micros)
50%                      1.50               0.01               0.00               4.00               5.00               0.00
Min                      1.00               0.02               0.00               4.00               5.00               0.00
Max                      2.00           30000.00               0.00               4.00               5.00               0.00

";
        assert_eq!(of_clients(&answer), wanted);
    }

    #[test]
    fn a_keyspace_has_the_sums_and_the_means_of_its_tables() {
        let table = |keyspace: &str, count: u64, nanos: f64| {
            let used = json!({ "count": count, "mean_nanos": nanos });
            json!({ "keyspace": keyspace, "table": "t", "reads": used, "writes": used })
        };
        let tables = [table("a", 1, 1_000.0), table("a", 3, 5_000.0), table("b", 0, 0.0)];
        let text = statistics(&json!({ "tables": tables }));
        assert!(text.contains("Keyspace : a\n\tRead Count: 4\n\tRead Latency: 0.004 ms\n"), "{text}");
        assert!(text.contains("Keyspace : b\n\tRead Count: 0\n\tRead Latency: NaN ms\n"), "{text}");
        assert!(text.contains("\t\tLocal write latency: 0.005000 ms\n"), "{text}");
        assert!(text.contains("\t\tLocal read latency: NaN ms\n"), "{text}");
    }
}
