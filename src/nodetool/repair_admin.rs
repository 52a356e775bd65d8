//! `dodona nodetool repair_admin`: incremental repairs that go on, as Cassandra shows them.

use super::repair::RangeArgs;
use super::report::{list, string};
use super::{NodetoolError, query};
use clap::{Args, Subcommand};
use serde_json::Value;

/// Arguments of `dodona nodetool repair_admin`.
#[derive(Clone, Debug, Args)]
pub(super) struct RepairAdminArgs {
    #[command(subcommand)]
    command: Option<RepairAdminCommand>,
}

#[derive(Clone, Debug, Subcommand)]
enum RepairAdminCommand {
    /// The incremental repairs that the node takes part in
    List(ListArgs),
    /// Have all give up an incremental repair: what they have set aside for it is unrepaired
    Cancel {
        /// Its id, as `list` shows it
        #[arg(short, long)]
        session: String,
        /// Also on another node than the one that leads it
        #[arg(short, long)]
        force: bool,
    },
}

#[derive(Clone, Debug, Default, Args)]
struct ListArgs {
    /// Also the last ones that have ended
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    range: RangeArgs,
}

/// Lists or cancels.
pub(super) fn run(
    args: &RepairAdminArgs,
    ask: &dyn Fn(&str, &str) -> Result<Value, NodetoolError>,
) -> Result<String, NodetoolError> {
    let by_default = RepairAdminCommand::List(ListArgs::default());
    match args.command.as_ref().unwrap_or(&by_default) {
        RepairAdminCommand::List(args) => {
            let [start, end] = args.range.texts();
            let parts = [
                ("all", args.all.then_some("true")),
                ("start_token", start.as_deref()),
                ("end_token", end.as_deref()),
            ];
            Ok(sessions(&ask("GET", &format!("repairsessions{}", query(&parts)))?))
        }
        RepairAdminCommand::Cancel { session, force } => {
            let parts = [("session", Some(&**session)), ("force", force.then_some("true"))];
            ask("POST", &format!("cancelrepair{}", query(&parts))).map(|_| String::new())
        }
    }
}

/// A table with Cassandra's columns.
fn sessions(answer: &Value) -> String {
    let head = ["id", "state", "last activity", "coordinator", "participants", "participants_wp"];
    let row = |session: &Value| {
        let addresses = list(&session["participants"]).iter().map(string).collect::<Vec<_>>();
        let without_ports =
            addresses.iter().map(|address| address.rsplit_once(':').map_or(&**address, |(host, _)| host));
        [
            string(&session["id"]),
            string(&session["state"]),
            format!("{} (s)", string(&session["idle_seconds"])),
            format!("/{}", string(&session["coordinator"])),
            without_ports.collect::<Vec<_>>().join(","),
            addresses.join(","),
        ]
    };
    let rows: Vec<[String; 6]> =
        std::iter::once(head.map(str::to_owned)).chain(list(&answer["sessions"]).iter().map(row)).collect();
    if rows.len() == 1 {
        return "no sessions\n".into();
    }
    let widths: [usize; 6] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join(" | ") + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sessions_stand_in_columns_as_in_cassandra() {
        assert_eq!(sessions(&json!({ "sessions": [] })), "no sessions\n");
        let one = json!({ "id": "5f0d", "state": "REPAIRING", "idle_seconds": 7, "coordinator": "10.0.0.1:7000",
            "participants": ["10.0.0.1:7000", "10.0.0.2:7000"] });
        let expected = "\
            id   | state     | last activity | coordinator    | participants      | participants_wp            \n\
            5f0d | REPAIRING | 7 (s)         | /10.0.0.1:7000 | 10.0.0.1,10.0.0.2 | 10.0.0.1:7000,10.0.0.2:7000\n";
        assert_eq!(sessions(&json!({ "sessions": [one] })), expected);
    }
}
