//! `dodona nodetool repair`, and what says how repairs stand.

use super::report::{list, string};
use super::{NodetoolError, Tables};
use clap::Args;
use serde_json::Value;
use std::fmt::Write;

/// A part of the ring.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct RangeArgs {
    /// Only what lies behind this token
    #[arg(long, visible_alias = "st", allow_hyphen_values = true, requires = "end_token")]
    start_token: Option<i64>,
    /// Only what lies up to this token
    #[arg(long, visible_alias = "et", allow_hyphen_values = true, requires = "start_token")]
    end_token: Option<i64>,
}

impl RangeArgs {
    /// The first and the last token, if there are any.
    pub(super) fn texts(&self) -> [Option<String>; 2] {
        [self.start_token, self.end_token].map(|token| token.map(|token| token.to_string()))
    }
}

/// Arguments of `dodona nodetool repair`.
#[derive(Clone, Debug, Args)]
pub(super) struct RepairArgs {
    /// Only ranges of which the node is the first replica: run on every node, that is each range once
    #[arg(long = "partitioner-range", visible_alias = "pr")]
    primary: bool,
    /// Compare, and change nothing
    #[arg(long, visible_alias = "prv")]
    preview: bool,
    /// Leave out replicas that are down
    #[arg(short, long)]
    force: bool,
    /// Only this node fetches
    #[arg(long, visible_alias = "pl")]
    pull: bool,
    /// Replicas hash one after another
    #[arg(long, visible_alias = "seq")]
    sequential: bool,
    /// Data centers hash at the same time, replicas of one of them one after another
    #[arg(long, visible_alias = "dcpar")]
    dc_parallel: bool,
    /// Accepted: of replicas that hold the same, one alone is fetched from in any case
    #[arg(long, visible_alias = "os")]
    optimise_streams: bool,
    /// Accepted: keyspaces of which there is one copy are left out in any case
    #[arg(long, visible_alias = "iuk")]
    ignore_unreplicated_keyspaces: bool,
    /// Refused: how repairs go on is in `system_views.repairs` and `system_distributed.repair_history`
    #[arg(long, visible_alias = "tr")]
    trace: bool,
    /// Refused: what hides from reads is purged before it is compared
    #[arg(long)]
    include_gcgs_expired_tombstones: bool,
    /// Only with replicas of the node's data center
    #[arg(long = "in-local-dc", visible_alias = "local")]
    local: bool,
    /// Only with replicas of this data center; several times for several
    #[arg(long = "in-dc", visible_alias = "dc")]
    data_centers: Vec<String>,
    /// Only with this member, an address or host id; several times for several
    #[arg(long = "in-hosts", visible_alias = "hosts")]
    hosts: Vec<String>,
    #[command(flatten)]
    range: RangeArgs,
    /// All of it, not only what is not repaired yet
    #[arg(long)]
    full: bool,
    /// Compare what is repaired, and change nothing
    #[arg(long, visible_alias = "vd")]
    validate: bool,
    /// Tables that are repaired at once
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4))]
    job_threads: u32,
    /// Refused: conditional statements and SERIAL reads finish what was left of others by themselves
    #[arg(long)]
    paxos_only: bool,
    /// Accepted: what is left of conditional statements is not finished by repairs
    #[arg(long)]
    skip_paxos: bool,
    /// Keyspace, or keyspace.table [default: all]
    keyspace: Option<String>,
    /// Tables [default: all]
    tables: Vec<String>,
}

impl RepairArgs {
    /// # Errors
    /// Something is asked for that there is not, or that does not go together.
    fn refuse_what_is_missing(&self) -> Result<(), NodetoolError> {
        let reason = if self.primary && !(self.data_centers.is_empty() && self.hosts.is_empty()) {
            "Primary range repair should be performed on all nodes in the cluster: without -dc and -hosts, but -local may be \
             with it, on all nodes of the data center"
        } else if self.paxos_only {
            "there is no repair of Paxos alone: the next conditional statement or SERIAL read of a partition finishes what was \
             left of it"
        } else if self.trace {
            "repairs are not traced: system_views.repairs shows those of this node, step by step, and \
             system_distributed.repair_history each range"
        } else if self.include_gcgs_expired_tombstones {
            "tombstones that are older than gc_grace_seconds are never compared: replicas purge them at different times"
        } else {
            return Ok(());
        };
        Err(NodetoolError::Refused(reason.into()))
    }

    fn path(&self) -> String {
        let flag = |is_set: bool| is_set.then_some("true");
        let [start, end] = self.range.texts();
        let [data_centers, hosts, named] =
            [&self.data_centers, &self.hosts, &self.tables].map(|list| list.join(","));
        let (tables, job_threads) =
            (Tables { keyspace: self.keyspace.clone(), table: None }, self.job_threads.to_string());
        format!(
            "repair{}",
            tables.query_with(&[
                ("tables", Some(&*named).filter(|list| !list.is_empty())),
                ("job_threads", Some(&*job_threads)),
                ("primary", flag(self.primary)),
                ("preview", flag(self.preview)),
                ("force", flag(self.force)),
                ("pull", flag(self.pull)),
                ("sequential", flag(self.sequential)),
                ("dc_parallel", flag(self.dc_parallel)),
                ("full", flag(self.full)),
                ("validate", flag(self.validate)),
                ("local", flag(self.local)),
                ("data_centers", Some(&*data_centers).filter(|list| !list.is_empty())),
                ("hosts", Some(&*hosts).filter(|list| !list.is_empty())),
                ("start_token", start.as_deref()),
                ("end_token", end.as_deref()),
            ])
        )
    }
}

/// Repairs, and says what came of it.
pub(super) fn repair(
    args: &RepairArgs,
    post: &dyn Fn(&str) -> Result<Value, NodetoolError>,
) -> Result<String, NodetoolError> {
    args.refuse_what_is_missing()?;
    let mut out = String::new();
    report(&mut out, &post(&args.path())?);
    out.push_str(if args.preview || args.validate {
        "Preview completed\n"
    } else {
        "Repair completed successfully\n"
    });
    Ok(out)
}

fn report(out: &mut String, answer: &Value) {
    let preview = answer["preview"] == Value::Bool(true);
    for table in list(&answer["tables"]) {
        let (name, outcome) =
            (format!("{}.{}", string(&table["keyspace"]), string(&table["table"])), &table["outcome"]);
        let _ = write!(out, "{name}: {} ranges compared, ", string(&outcome["ranges"]));
        let _ = match outcome["differing"].as_u64() {
            Some(0) | None => writeln!(out, "in sync"),
            Some(parts) if preview => writeln!(out, "{parts} parts differ"),
            Some(parts) => writeln!(
                out,
                "{parts} parts differed, {} partitions ({} bytes) fetched",
                string(&outcome["partitions"]),
                string(&outcome["bytes"])
            ),
        };
    }
}

/// How repairs stand that nobody has to ask for.
pub(super) fn standings(answer: &Value) -> String {
    let mut out = String::new();
    let is_automatic = answer["is_automatic"] == Value::Bool(true);
    let _ = writeln!(out, "Automatic repair: {}", if is_automatic { "running" } else { "not running" });
    for table in list(&answer["tables"]) {
        let _ = write!(out, "{}.{}: ", string(&table["keyspace"]), string(&table["table"]));
        let _ = if table["repaired_at"].is_null() {
            write!(out, "last repair not known, due soon")
        } else {
            write!(out, "repaired {}, due {}", string(&table["repaired_at"]), string(&table["due_at"]))
        };
        let late = if table["is_late"] == Value::Bool(true) { ", later than gc_grace_seconds" } else { "" };
        out.push_str(late);
        for reason in list(&table["held_up"]) {
            let _ = write!(out, "; held up: {}", string(reason));
        }
        out.push('\n');
    }
    out
}

/// Arguments with long names behind one dash, as Cassandra's `nodetool` takes them, with two.
pub fn with_two_dashes(arguments: impl Iterator<Item = String>) -> Vec<String> {
    const NAMES: [&str; 27] = [
        "pw",
        "pwf",
        "ks",
        "ts",
        "dcpar",
        "os",
        "tr",
        "iuk",
        "force",
        "pr",
        "prv",
        "vd",
        "pl",
        "seq",
        "local",
        "dc",
        "hosts",
        "st",
        "et",
        "full",
        "cf",
        "kt",
        "kc",
        "sf",
        "nt",
        "paxos-only",
        "skip-paxos",
    ];
    let mut arguments: Vec<String> = arguments.collect();
    if arguments.get(1).is_some_and(|command| command == "nodetool") {
        for argument in &mut arguments {
            if argument.strip_prefix('-').is_some_and(|name| NAMES.contains(&name)) {
                argument.insert(0, '-');
            }
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dash_is_enough_for_the_names_that_operators_know() {
        let given = ["dodona", "nodetool", "repair", "-pr", "-st", "-5", "ks"].map(str::to_owned);
        let taken = with_two_dashes(given.clone().into_iter());
        assert_eq!(taken, ["dodona", "nodetool", "repair", "--pr", "--st", "-5", "ks"]);
        let other = ["dodona", "shell", "-st"].map(str::to_owned);
        assert_eq!(with_two_dashes(other.clone().into_iter()), other);
    }

    #[test]
    fn what_there_is_not_is_refused_before_anything_is_asked() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: RepairArgs,
        }
        let parse = |words: &[&str]| {
            <Line as clap::Parser>::try_parse_from([&["repair"], words].concat()).map(|line| line.args)
        };
        let never = |_: &str| -> Result<Value, NodetoolError> { panic!("nothing is to be asked") };
        let refused = repair(&parse(&["--paxos-only"]).unwrap(), &never).unwrap_err();
        assert!(refused.to_string().contains("no repair of Paxos alone"), "{refused}");
        for (flag, reason) in
            [("--tr", "are not traced"), ("--include-gcgs-expired-tombstones", "gc_grace_seconds")]
        {
            let refused = repair(&parse(&[flag]).unwrap(), &never).unwrap_err().to_string();
            assert!(refused.contains(reason), "{refused}");
        }
        for other in [["--dc", "dc1"], ["--hosts", "127.0.0.1"]] {
            let refused = repair(&parse(&[&["--pr"], &other[..]].concat()).unwrap(), &never).unwrap_err();
            assert!(refused.to_string().starts_with("Primary range repair should"), "{refused}");
        }
        assert!(parse(&["-j5"]).is_err() && parse(&["-j0"]).is_err());
        let asked = |path: &str| {
            assert_eq!(path, "repair?keyspace=ks&tables=a%2Cb&job_threads=4");
            Ok(Value::Null)
        };
        let done = repair(&parse(&["--skip-paxos", "-j4", "ks", "a", "b"]).unwrap(), &asked).unwrap();
        assert_eq!(done, "Repair completed successfully\n");
        let asked = |path: &str| {
            assert_eq!(path, "repair?job_threads=1&primary=true&force=true&dc_parallel=true&local=true");
            Ok(Value::Null)
        };
        let words = ["-pr", "-local", "-dcpar", "-os", "-iuk", "-force"].map(str::to_owned);
        let words = with_two_dashes(["dodona", "nodetool"].map(str::to_owned).into_iter().chain(words));
        let words: Vec<&str> = words[2..].iter().map(String::as_str).collect();
        assert!(repair(&parse(&words).unwrap(), &asked).is_ok());
    }
}
