//! `dodona nodetool`'s commands about hints: writes that are kept for members that missed them.

use super::NodetoolError;
use super::client::query;
use super::report::{list, number, string};
use clap::Subcommand;
use serde_json::Value;
use std::fmt::Write as _;
use time::OffsetDateTime;
use time::macros::format_description;

#[derive(Clone, Debug, Subcommand)]
pub(super) enum HintsCommand {
    /// Whether the node keeps hints for others, and for which data centers not
    Statushandoff,
    /// Keep hints for others, until the next start
    Enablehandoff,
    /// Keep no hints for others, until the next start; those that wait are delivered
    Disablehandoff,
    /// Keep hints for members of a data center, until the next start
    Enablehintsfordc {
        /// The data center
        datacenter: String,
    },
    /// Keep no hints for members of a data center, until the next start
    Disablehintsfordc {
        /// The data center
        datacenter: String,
    },
    /// Deliver no hints, until the next start or `resumehandoff`
    Pausehandoff,
    /// Deliver hints again
    Resumehandoff,
    /// Drop the hints that wait: repair whom they were for
    Truncatehints {
        /// Only those for these members: addresses or host ids [default: all]
        endpoints: Vec<String>,
    },
    /// Set the KiB of hints a second that are delivered to one member, until the next start; 0 for no limit
    Sethintedhandoffthrottlekb {
        /// KiB a second
        #[arg(value_name = "VALUE_IN_KB_PER_SEC")]
        kib: u64,
    },
    /// For how long hints for one member are gathered
    Getmaxhintwindow,
    /// Set for how long hints for one member are gathered, until the next start
    Setmaxhintwindow {
        /// Milliseconds; 0 to keep none
        #[arg(value_name = "VALUE_IN_MS")]
        ms: u64,
    },
    /// The members that hints wait for
    Listpendinghints,
}

/// Does it, and says what Cassandra's says.
pub(super) fn run(
    command: &HintsCommand,
    ask: &dyn Fn(&str, &str) -> Result<Value, NodetoolError>,
) -> Result<String, NodetoolError> {
    let change = |what: String| ask("POST", &what).map(|_| String::new());
    let of_data_center = |name: &str, enabled: &str| {
        change(format!("hints{}", query(&[("data_center", Some(name)), ("enabled", Some(enabled))])))
    };
    match command {
        HintsCommand::Statushandoff => Ok(status(&ask("GET", "hints")?)),
        HintsCommand::Enablehandoff => change("hints?enabled=true".into()),
        HintsCommand::Disablehandoff => change("hints?enabled=false".into()),
        HintsCommand::Enablehintsfordc { datacenter } => of_data_center(datacenter, "true"),
        HintsCommand::Disablehintsfordc { datacenter } => of_data_center(datacenter, "false"),
        HintsCommand::Pausehandoff => change("hints?paused=true".into()),
        HintsCommand::Resumehandoff => change("hints?paused=false".into()),
        HintsCommand::Truncatehints { endpoints } => {
            let hosts = endpoints.join(",");
            let hosts = [("hosts", Some(&*hosts).filter(|hosts| !hosts.is_empty()))];
            change(format!("truncatehints{}", query(&hosts)))
        }
        HintsCommand::Sethintedhandoffthrottlekb { kib } => change(format!("hints?kib_per_second={kib}")),
        HintsCommand::Getmaxhintwindow => {
            Ok(format!("Current max hint window: {} ms\n", number(&ask("GET", "hints")?["max_window_ms"])))
        }
        HintsCommand::Setmaxhintwindow { ms } => change(format!("hints?max_window_ms={ms}")),
        HintsCommand::Listpendinghints => Ok(pending(&ask("GET", "network")?["hints"]["waiting"])),
    }
}

fn status(answer: &Value) -> String {
    let running = if answer["enabled"] == true { "running" } else { "not running" };
    let mut out = format!("Hinted handoff is {running}\n");
    for name in list(&answer["disabled_data_centers"]) {
        let _ = writeln!(out, "Data center {} is disabled", string(name));
    }
    out
}

fn pending(waiting: &Value) -> String {
    if list(waiting).is_empty() {
        return "This node does not have any pending hints\n".into();
    }
    let titles = ["Host ID", "Address", "Rack", "DC", "Status", "Total files", "Newest", "Oldest"];
    let known = |value: &Value| value.as_str().unwrap_or("Unknown").to_owned();
    let of = |target: &Value| {
        [
            string(&target["host_id"]),
            string(&target["address"]),
            known(&target["rack"]),
            known(&target["data_center"]),
            if target["alive"] == true { "UP".into() } else { "DOWN".into() },
            number(&target["files"]).to_string(),
            time(&target["newest_seconds"]),
            time(&target["oldest_seconds"]),
        ]
    };
    let lines: Vec<[String; 8]> =
        std::iter::once(titles.map(str::to_owned)).chain(list(waiting).iter().map(of)).collect();
    let widths: [usize; 8] =
        std::array::from_fn(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or(0));
    let mut out = String::new();
    for line in &lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join(" ").trim_end());
    }
    out
}

/// Seconds since the epoch as Cassandra shows them, in UTC.
fn time(seconds: &Value) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second],[subsecond digits:3]");
    let time = seconds.as_i64().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(&format).ok()).unwrap_or_else(|| "Unknown".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_data_center_without_hints_is_named() {
        let answer = json!({ "enabled": true, "disabled_data_centers": ["far"] });
        assert_eq!(status(&answer), "Hinted handoff is running\nData center far is disabled\n");
        let answer = json!({ "enabled": false, "disabled_data_centers": [] });
        assert_eq!(status(&answer), "Hinted handoff is not running\n");
    }

    #[test]
    fn whom_hints_wait_for_is_listed_even_if_it_is_no_member() {
        assert_eq!(pending(&json!([])), "This node does not have any pending hints\n");
        let waiting = json!([{ "host_id": "a1", "address": "127.0.0.2", "rack": "r1", "data_center": "dc1",
            "alive": false, "files": 2, "newest_seconds": 86_401, "oldest_seconds": 1 },
            { "host_id": "b", "address": "b", "rack": null, "data_center": null,
            "alive": false, "files": 1, "newest_seconds": 0, "oldest_seconds": 0 }]);
        assert_eq!(
            pending(&waiting),
            "Host ID Address   Rack    DC      Status Total files Newest                  Oldest\n\
             a1      127.0.0.2 r1      dc1     DOWN   2           1970-01-02 00:00:01,000 1970-01-01 00:00:01,000\n\
             b       b         Unknown Unknown DOWN   1           1970-01-01 00:00:00,000 1970-01-01 00:00:00,000\n"
        );
    }
}
