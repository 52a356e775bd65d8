//! What nodes say of themselves and of each other.

use super::plan::{Plan, PlannedNode};
use super::process::{PAUSE, failed, running};
use super::{ClusterError, Row};
use crate::nodetool::client::call;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long the nodes may take to be up and to see each other.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a node may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// What a node says of its cluster; none if it does not answer, or does not serve clients yet.
fn members(node: &PlannedNode) -> Option<Vec<Value>> {
    let at = node.administration();
    // The keyspace is one that every cluster has: what each owns does not matter here.
    let answer =
        call(&at.ip().to_string(), at.port(), Some(ANSWER), "GET", "status?keyspace=system_traces").ok()?;
    answer["members"].as_array().filter(|_| answer["starting"] != true).cloned()
}

/// How many full members a node sees alive.
fn seen(members: &[Value]) -> usize {
    members.iter().filter(|member| member["status"] == "UN").count()
}

/// Waits until all nodes that run answer, and see all others that run.
pub(super) fn until_all_are_up(plan: &Plan) -> Result<(), ClusterError> {
    let began = Instant::now();
    let nodes: Vec<&PlannedNode> = plan.nodes.iter().filter(|node| running(node).is_some()).collect();
    for node in &nodes {
        loop {
            let seen = members(node).map(|members| seen(&members));
            if seen.is_some_and(|seen| seen >= nodes.len()) {
                break;
            }
            if running(node).is_none() {
                return Err(failed(node, "has ended".into()));
            }
            if let Some(other) = nodes.iter().find(|other| running(other).is_none()) {
                return Err(failed(other, "has ended".into()));
            }
            if began.elapsed() > PATIENCE {
                let sees = seen.map_or_else(|| "does not answer".into(), |seen| format!("sees {seen} nodes"));
                let (all, seconds) = (nodes.len(), PATIENCE.as_secs());
                return Err(failed(node, format!("{sees}, of {all}, after {seconds} s")));
            }
            std::thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// How the nodes are.
pub(super) fn states(plan: &Plan) -> Vec<Row<'_>> {
    let state = |node| {
        let pid = running(node);
        let state = match (pid, pid.and_then(|_| members(node))) {
            (None, _) => "stopped",
            (Some(_), None) => "does not answer",
            (Some(_), Some(_)) => "up",
        };
        (node, pid, state)
    };
    plan.nodes.iter().map(state).collect()
}
