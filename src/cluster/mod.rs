//! `dodona cluster`: several nodes on this machine, each a process of its own with an address of its
//! own on loopback.
//!
//! What belongs to a cluster lies in its directory: `cluster.json` is the `plan`, `node1` the data
//! of the first node, `node1.log` what it says and `node1.pid` its process while it runs;
//! `certificates` are there if nodes speak by TLS. Nodes run on when the command ends.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the outermost layer of the binary: it starts and ends real processes"
)]

mod listeners;
mod plan;
mod process;
mod watch;

use clap::{Args, Subcommand};
use plan::{Plan, PlannedNode};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use thiserror::Error;

/// Arguments of `dodona cluster`.
#[derive(Clone, Debug, Args)]
pub struct ClusterArgs {
    /// Directory of the cluster
    #[arg(long, default_value = "cluster", global = true)]
    dir: PathBuf,
    #[command(subcommand)]
    command: ClusterCommand,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
enum ClusterCommand {
    /// Start the nodes, and wait until they see each other
    Up {
        /// How many nodes [default: 3, or as many as the directory has]
        nodes: Option<u8>,
        /// Data centres that the nodes are dealt out to
        #[arg(long, default_value_t = 1)]
        data_centers: u8,
        /// Address of the first node; the others have those behind it
        #[arg(long, default_value = "127.0.0.1")]
        first: Ipv4Addr,
        /// Nodes speak to each other by TLS, with certificates that are made
        #[arg(long)]
        tls: bool,
    },
    /// Which nodes run
    Status,
    /// End a node at once, as a crash does (SIGKILL)
    Kill {
        /// Its number
        node: usize,
    },
    /// Start a node again; one that runs is stopped cleanly before
    Restart {
        /// Its number
        node: usize,
    },
    /// Stop all nodes cleanly; their data stay
    Down,
}

/// Why a command failed, and what to do about it.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// The operating system refuses.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
    /// What is asked for cannot be done.
    #[error("{0}")]
    Refused(String),
    /// An address is taken.
    #[error("{address} is taken by {by}: stop it, or choose other addresses with --first (as 127.0.1.1)")]
    Taken {
        /// The address.
        address: String,
        /// The process that listens there.
        by: String,
    },
    /// A node did not do what it should.
    #[error("node {number} {what}\nthe last lines of {log}:\n{last}")]
    Node {
        /// Its number.
        number: usize,
        /// What it did.
        what: String,
        /// Where it says why.
        log: String,
        /// The last that it said.
        last: String,
    },
}

/// Runs a command.
///
/// # Errors
/// It cannot be done; what to do about it.
pub fn run(args: &ClusterArgs) -> Result<(), ClusterError> {
    let failed = |error| ClusterError::Io(args.dir.display().to_string(), error);
    let dir = std::path::absolute(&args.dir).map_err(failed)?;
    match &args.command {
        ClusterCommand::Up { nodes, data_centers, first, tls } => {
            let plan = Plan::enter(&dir, *nodes, *data_centers, *first, *tls)?;
            up(&plan)
        }
        ClusterCommand::Status => print(&Plan::open(&dir)?),
        ClusterCommand::Kill { node } => {
            let plan = Plan::open(&dir)?;
            let node = plan.node(*node)?;
            let ended = process::end(&[node], process::End::Kill);
            ended.map(|()| crate::output::print(&format!("node {} is killed\n", node.number)))
        }
        ClusterCommand::Restart { node } => {
            let plan = Plan::open(&dir)?;
            let node = plan.node(*node)?;
            process::end(&[node], process::End::Stop)?;
            process::start(&plan, node)?;
            watch::until_all_are_up(&plan)?;
            print(&plan)
        }
        ClusterCommand::Down => {
            let plan = Plan::open(&dir)?;
            process::end(&plan.nodes.iter().collect::<Vec<_>>(), process::End::Stop)?;
            crate::output::print("all nodes are stopped; `dodona cluster up` starts them again\n");
            Ok(())
        }
    }
}

fn up(plan: &Plan) -> Result<(), ClusterError> {
    if let Some((node, pid)) = plan.nodes.iter().find_map(|node| Some((node, process::running(node)?))) {
        return Err(ClusterError::Refused(format!(
            "node {} of {} runs already, as process {pid}: `dodona cluster status` shows all, and `dodona cluster \
             down` stops them",
            node.number,
            plan.dir.display()
        )));
    }
    for node in &plan.nodes {
        listeners::check_free(node)?;
    }
    let started = plan.nodes.iter().try_for_each(|node| process::start(plan, node));
    let done = started.and_then(|()| watch::until_all_are_up(plan));
    if let Err(error) = done {
        // A cluster that is not whole is of no use; the first error is the one to tell.
        let _ = process::end(&plan.nodes.iter().collect::<Vec<_>>(), process::End::Kill);
        return Err(error);
    }
    print(plan)
}

fn print(plan: &Plan) -> Result<(), ClusterError> {
    crate::output::print(&table(&watch::states(plan)));
    Ok(())
}

/// A node, its process if it runs, and how it is.
type Row<'a> = (&'a PlannedNode, Option<u32>, &'static str);

fn table(rows: &[Row<'_>]) -> String {
    let mut cells =
        vec![["node", "data centre", "clients", "administration", "pid", "state"].map(str::to_owned)];
    cells.extend(rows.iter().map(|(node, pid, state)| {
        [
            node.number.to_string(),
            node.data_center.clone(),
            node.clients().to_string(),
            format!("http://{}", node.administration()),
            pid.map_or_else(|| "-".into(), |pid| pid.to_string()),
            (*state).to_owned(),
        ]
    }));
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |row: &[String; 6]| {
        let padded = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    cells.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_listed_in_columns() {
        let node = PlannedNode::new(std::path::Path::new("/c"), 1, Ipv4Addr::LOCALHOST, "datacenter1");
        assert_eq!(
            table(&[(&node, Some(7), "up"), (&node, None, "stopped")]),
            "node  data centre  clients         administration         pid  state\n\
             1     datacenter1  127.0.0.1:9042  http://127.0.0.1:7199  7    up\n\
             1     datacenter1  127.0.0.1:9042  http://127.0.0.1:7199  -    stopped\n"
        );
    }
}
