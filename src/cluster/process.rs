//! The processes of nodes: started, looked at, ended.

use super::ClusterError;
use super::plan::{Plan, PlannedNode};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::fs::OpenOptions;
use std::num::NonZero;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a node may take to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause before another look.
pub(super) const PAUSE: Duration = Duration::from_millis(20);

/// How a process is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It is asked to stop, and brings everything to the disk.
    Stop,
    /// It is gone at once.
    Kill,
}

/// Starts a node; its process outlives this one.
pub(super) fn start(plan: &Plan, node: &PlannedNode) -> Result<(), ClusterError> {
    let io = |what: String| move |error| ClusterError::Io(what, error);
    let binary = std::env::current_exe().map_err(io("the program's own file".into()))?;
    let log_name = node.log().display().to_string();
    let log = OpenOptions::new().create(true).append(true).open(node.log()).map_err(io(log_name.clone()))?;
    let errors = log.try_clone().map_err(io(log_name))?;
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get) / plan.nodes.len();
    let (address, first) = (node.address.to_string(), plan.nodes[0].internode().to_string());
    let (clients, internode) = (node.clients().port().to_string(), node.internode().port().to_string());
    let mut command = Command::new(&binary);
    command.arg("start");
    let flags = ["--internode-tls-certificate", "--internode-tls-key", "--internode-tls-authority"];
    for (flag, file) in flags.iter().zip(plan.certificates(node).into_iter().flatten()) {
        command.arg(flag).arg(file);
    }
    // Where one has lost its data, it is not known whether the others are still there.
    if plan.nodes.iter().all(|node| !node.data.exists()) {
        command.arg("--new-cluster");
    }
    let process = command
        .arg("--data")
        .arg(&node.data)
        .args(["--listen", &address, "--port", &clients, "--internode-port", &internode])
        .args(["--admin-listen", &address, "--admin-port", &node.administration().port().to_string()])
        .args(["--seeds", &first, "--dc", &node.data_center, "--cores", &cores.max(1).to_string()])
        // A `dodona.toml` in the cluster's directory is for all of its nodes.
        .current_dir(&plan.dir)
        // What ends the command at the terminal does not end the nodes.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(io(binary.display().to_string()))?;
    let pid = node.pid();
    std::fs::write(&pid, process.id().to_string()).map_err(io(pid.display().to_string()))
}

/// The process of a node, if it runs.
pub(super) fn running(node: &PlannedNode) -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(node.pid()).ok()?.trim().parse().ok()?;
    let process = Pid::from_raw(i32::try_from(pid).ok()?)?;
    (test_kill_process(process).is_ok() && is_of(pid, node)).then_some(pid)
}

/// False if the number is another process's by now, or one's that has ended and nobody has asked after.
fn is_of(pid: u32, node: &PlannedNode) -> bool {
    let of_process = |file: &str| std::fs::read(format!("/proc/{pid}/{file}"));
    let (Ok(stat), Ok(command)) = (of_process("stat"), of_process("cmdline")) else {
        // Without /proc the number has to do.
        return !std::path::Path::new("/proc/self").exists();
    };
    // Its other threads may hold its files for a moment longer than the first one.
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    if threads <= 1 && has_ended(&String::from_utf8_lossy(&stat)) {
        return false;
    }
    // A process has no arguments yet for a moment when it begins.
    let data = node.data.as_os_str().as_encoded_bytes();
    command.is_empty() || command.split(|byte| *byte == 0).any(|argument| argument == data)
}

/// True if the process of a line of `/proc/PID/stat` (proc(5)) is a zombie: its state is the field
/// behind its name, which is in brackets and may hold any.
fn has_ended(stat: &str) -> bool {
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
}

/// Ends nodes, all at once, and waits until they are gone. Nothing is done to those that do not run.
pub(super) fn end(nodes: &[&PlannedNode], how: End) -> Result<(), ClusterError> {
    let signal = if how == End::Stop { Signal::TERM } else { Signal::KILL };
    for node in nodes {
        let Some(pid) = running(node) else { continue };
        if let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            let failed =
                |error: rustix::io::Errno| ClusterError::Io(format!("ending process {pid}"), error.into());
            kill_process(process, signal).map_err(failed)?;
        }
    }
    let began = Instant::now();
    for node in nodes {
        while let Some(pid) = running(node) {
            if began.elapsed() > PATIENCE {
                let what = format!(
                    "(process {pid}) has not stopped after {} s: `dodona cluster kill {}` ends it",
                    PATIENCE.as_secs(),
                    node.number
                );
                return Err(failed(node, what));
            }
            std::thread::sleep(PAUSE);
        }
        // There may be none.
        let _ = std::fs::remove_file(node.pid());
    }
    Ok(())
}

/// A node that did not do what it should, with the last that it said.
pub(super) fn failed(node: &PlannedNode, what: String) -> ClusterError {
    let said = std::fs::read(node.log()).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let mut last: Vec<&str> = said.lines().rev().take(5).collect();
    last.reverse();
    let log = node.log().display().to_string();
    ClusterError::Node { number: node.number, what, log, last: last.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_zombie_has_ended() {
        assert!(has_ended("7 (a ) b) Z 1 7 7 0"));
        assert!(!has_ended("7 (a) Z) S 1 7 7 0"));
    }

    #[test]
    fn a_process_that_is_not_the_nodes_is_not_taken_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let node = PlannedNode::new(directory.path(), 1, Ipv4Addr::LOCALHOST, "datacenter1");
        assert_eq!(running(&node), None);
        std::fs::write(node.pid(), std::process::id().to_string()).unwrap();
        assert_eq!(running(&node), None);
        end(&[&node], End::Kill).unwrap();
        assert!(!node.pid().exists());
    }
}
