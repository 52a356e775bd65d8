//! Snapshots and backups: what operators ask for, and what nodetool prints of it.

use super::NodetoolError;
use super::client::query;
use super::report::{bytes, list, number, string};
use clap::Args;
use serde_json::Value;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

type Post<'a> = &'a dyn Fn(&str) -> Result<Value, NodetoolError>;

/// Arguments of `nodetool snapshot`.
#[derive(Clone, Debug, Args)]
pub(super) struct SnapshotArgs {
    /// The snapshot's name [default: milliseconds since the epoch]
    #[arg(short, long)]
    tag: Option<String>,
    /// One table of the one keyspace that is named
    #[arg(long = "column-family", visible_aliases = ["cf", "table"], value_name = "TABLE")]
    table: Option<String>,
    /// Tables with their keyspaces, or keyspaces, set apart by commas
    #[arg(long = "kt-list", visible_aliases = ["kt", "kc", "kc.list"], value_name = "KEYSPACE.TABLE,...")]
    tables: Option<String>,
    /// Leave out what is in memory alone
    #[arg(long = "skip-flush", visible_alias = "sf")]
    skip_flush: bool,
    /// Remove the snapshot after this time, as 3d or 12h; a minute or more
    #[arg(long)]
    ttl: Option<String>,
    /// Keyspaces [default: all]
    keyspaces: Vec<String>,
}

/// Arguments of `nodetool clearsnapshot`.
#[derive(Clone, Debug, Args)]
pub(super) struct ClearArgs {
    /// The snapshot's name
    #[arg(short, long)]
    tag: Option<String>,
    /// All snapshots
    #[arg(long)]
    all: bool,
    /// Only snapshots that are older, as 3d or 12h
    #[arg(long)]
    older_than: Option<String>,
    /// Keyspaces [default: all]
    keyspaces: Vec<String>,
}

fn refused<T>(reason: impl Into<String>) -> Result<T, NodetoolError> {
    Err(NodetoolError::Refused(reason.into()))
}

/// A time span with one unit, as `cassandra.yaml` has them (`DurationSpec`).
fn duration(text: &str) -> Result<Duration, NodetoolError> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let micros = match unit {
        "d" => 86_400_000_000,
        "h" => 3_600_000_000,
        "m" => 60_000_000,
        "s" => 1_000_000,
        "ms" => 1_000,
        "us" | "µs" => 1,
        _ => 0,
    };
    match count.parse::<u64>().ok().and_then(|count| count.checked_mul(micros)) {
        Some(span) if micros > 0 => Ok(Duration::from_micros(span)),
        _ => refused(format!("Invalid duration: {text}. Accepted units: d, h, m, s, ms, us")),
    }
}

/// Takes a snapshot.
pub(super) fn take(args: &SnapshotArgs, post: Post<'_>) -> Result<String, NodetoolError> {
    let SnapshotArgs { tag, table, tables, skip_flush, ttl, keyspaces } = args;
    let (list, of) = match (tables, table, keyspaces.as_slice()) {
        (Some(tables), None, []) => (Some(tables.replace(' ', "")), tables.replace(' ', "")),
        (Some(_), ..) => {
            return refused(
                "When specifying the Keyspace table list (using -kt,--kt-list,-kc,--kc.list), you must not \
                 also specify keyspaces to snapshot",
            );
        }
        (None, Some(table), [keyspace]) => (Some(format!("{keyspace}.{table}")), keyspace.clone()),
        (None, Some(_), _) => {
            return refused(
                "When specifying the table for a snapshot, you must specify one and only one keyspace",
            );
        }
        (None, None, []) => (None, "all keyspaces".into()),
        (None, None, keyspaces) => (Some(keyspaces.join(",")), keyspaces.join(", ")),
    };
    let ttl_seconds = ttl.as_deref().map(duration).transpose()?.map(|ttl| ttl.as_secs().to_string());
    let answer = post(&format!(
        "snapshot{}",
        query(&[
            ("tag", tag.as_deref()),
            ("list", list.as_deref()),
            ("skip_flush", skip_flush.then_some("true")),
            ("ttl_seconds", ttl_seconds.as_deref()),
        ])
    ))?;
    let ttl = ttl.as_ref().map_or_else(String::new, |ttl| format!(", ttl={ttl}"));
    let name = string(&answer["snapshot"]);
    Ok(format!(
        "Requested creating snapshot(s) for [{of}] with snapshot name [{name}] and options \
         {{skipFlush={skip_flush}{ttl}}}\nSnapshot directory: {name}\n"
    ))
}

/// Removes snapshots.
pub(super) fn clear(args: &ClearArgs, post: Post<'_>) -> Result<String, NodetoolError> {
    let ClearArgs { tag, all, older_than, keyspaces } = args;
    match (tag, all) {
        (None, false) => return refused("Specify snapshot name or --all"),
        (Some(_), true) => return refused("Specify only one of snapshot name or --all"),
        _ => {}
    }
    let before = match older_than {
        None => None,
        Some(span) => {
            let before = SystemTime::now().checked_sub(duration(span)?);
            let since = before.and_then(|before| before.duration_since(SystemTime::UNIX_EPOCH).ok());
            Some(since.map_or(0, |since| since.as_millis()).to_string())
        }
    };
    let clear = |keyspace: Option<&str>| {
        let parts = [("tag", tag.as_deref()), ("keyspace", keyspace), ("before_millis", before.as_deref())];
        post(&format!("clearsnapshot{}", query(&parts)))
    };
    if keyspaces.is_empty() {
        clear(None)?;
    }
    for keyspace in keyspaces {
        clear(Some(keyspace))?;
    }
    let of = if keyspaces.is_empty() { "all keyspaces".into() } else { keyspaces.join(", ") };
    let names = tag.as_ref().map_or_else(|| "[all snapshots]".into(), |tag| format!("snapshot name [{tag}]"));
    Ok(format!("Requested clearing snapshot(s) for [{of}] with {names}\n"))
}

/// The snapshots; without those that expire, if that is wanted.
pub(super) fn report(answer: &Value, without_ttl: bool) -> String {
    let is_shown = |snapshot: &&Value| !(without_ttl && snapshot["expires_at"].is_string());
    let snapshots: Vec<&Value> = list(&answer["snapshots"]).iter().filter(is_shown).collect();
    let mut out = String::from("Snapshot Details: \n");
    if snapshots.is_empty() {
        out.push_str("There are no snapshots\n");
        return out;
    }
    let titles = [
        "Snapshot name",
        "Keyspace name",
        "Column family name",
        "True size",
        "Size on disk",
        "Creation time",
        "Expiration time",
    ];
    let mut rows = vec![titles.map(str::to_owned)];
    // Cassandra prints nothing where a snapshot does not expire.
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    rows.extend(snapshots.iter().map(|snapshot| {
        [
            string(&snapshot["name"]),
            string(&snapshot["keyspace"]),
            string(&snapshot["table"]),
            bytes(&snapshot["true_bytes"]),
            bytes(&snapshot["disk_bytes"]),
            text(&snapshot["created_at"]),
            text(&snapshot["expires_at"]),
        ]
    }));
    let widths: Vec<usize> = (0..titles.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(out, "{}", cells.join(" ").trim_end());
    }
    let own: u64 = snapshots.iter().map(|snapshot| number(&snapshot["true_bytes"])).sum();
    let _ = writeln!(out, "\nTotal TrueDiskSpaceUsed: {}\n", bytes(&Value::from(own)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn snapshots_are_listed_in_columns() {
        assert!(report(&json!({ "snapshots": [] }), false).ends_with("There are no snapshots\n"));
        let one = json!({ "name": "s", "keyspace": "ks", "table": "t", "true_bytes": 0, "disk_bytes": 2_048,
                          "created_at": "2026-01-01T00:00:00.000Z" });
        let mut other = one.clone();
        other["expires_at"] = json!("2026-01-02T00:00:00.000Z");
        let listed = json!({ "snapshots": [one, other] });
        let text = report(&listed, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[2],
            "s             ks            t                  0 bytes   2.00 KiB     2026-01-01T00:00:00.000Z"
        );
        assert_eq!(lines[3], format!("{} 2026-01-02T00:00:00.000Z", lines[2]));
        assert_eq!(lines[5], "Total TrueDiskSpaceUsed: 0 bytes");
        assert_eq!(report(&listed, true).lines().count(), 6);
    }

    #[test]
    fn spans_have_the_units_of_cassandra() {
        assert_eq!(duration("3d").unwrap(), Duration::from_secs(3 * 86_400));
        assert_eq!(duration("1500ms").unwrap(), Duration::from_millis(1_500));
        for wrong in ["", "3", "d", "3w", "-3d", "99999999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
