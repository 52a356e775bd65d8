//! `nodetool bootstrap`: how a node that joins goes on.

use super::NodetoolError;
use clap::{Args, Subcommand};
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

/// Arguments of `bootstrap`.
#[derive(Clone, Debug, Args)]
pub(super) struct BootstrapArgs {
    #[command(subcommand)]
    command: BootstrapCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum BootstrapCommand {
    /// Have a node that joins try at once to fetch what it lacks, and wait until it has joined
    Resume {
        /// Accepted: what was fetched before counts in any case
        #[arg(short, long)]
        force: bool,
    },
}

/// Does it. What Cassandra says before the end is said by `tell`.
pub(super) fn run(
    args: &BootstrapArgs,
    ask: &dyn Fn(&str, &str) -> Result<Value, NodetoolError>,
    tell: &dyn Fn(&str),
) -> Result<String, NodetoolError> {
    let BootstrapCommand::Resume { .. } = args.command;
    if ask("GET", "network")?["mode"] != "JOINING" {
        return Ok("Node is already bootstrapped.\n".into());
    }
    tell("Resuming bootstrap\n");
    ask("POST", "resumebootstrap")?;
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second],[subsecond digits:3]");
    let now = OffsetDateTime::now_utc().format(&format).unwrap_or_default();
    Ok(format!("[{now}] Resume bootstrap complete\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::cell::RefCell;

    #[test]
    fn a_node_that_joins_is_waited_for_and_one_that_has_is_left_alone() {
        let run_at = |mode: &str| {
            let asked = RefCell::new(Vec::new());
            let ask = |method: &str, path: &str| {
                asked.borrow_mut().push(format!("{method} {path}"));
                Ok(json!({ "mode": mode, "joined": true }))
            };
            let told = RefCell::new(String::new());
            let args = BootstrapArgs { command: BootstrapCommand::Resume { force: false } };
            let last = run(&args, &ask, &|text| told.borrow_mut().push_str(text)).unwrap();
            (asked.into_inner(), told.into_inner(), last)
        };
        let (asked, told, last) = run_at("JOINING");
        assert_eq!(asked, ["GET network", "POST resumebootstrap"]);
        assert!(told == "Resuming bootstrap\n" && last.ends_with("] Resume bootstrap complete\n"), "{last}");
        let (asked, told, last) = run_at("NORMAL");
        assert_eq!((asked.len(), &*told, &*last), (1, "", "Node is already bootstrapped.\n"));
    }
}
