//! A node as a process, for tests of one node.
#![allow(dead_code, reason = "each test needs some of it")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_dodona");

/// A node that is killed when the test ends.
pub(crate) struct Node {
    pub(crate) process: Child,
    pub(crate) port: String,
    pub(crate) admin_port: String,
}

impl Node {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(BINARY)
            .args(["start", "--port", "0", "--admin-port", "0", "--cores", "1", "--log-level", "warn"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut port_of = |name: &str| {
            let line = lines.by_ref().map(Result::unwrap).find(|line| line.contains(name)).unwrap();
            let address = line.split_whitespace().nth(1).unwrap();
            address.rsplit(':').next().unwrap().to_owned()
        };
        let (port, admin_port) = (port_of("clients"), port_of("administration"));
        Self { process, port, admin_port }
    }

    pub(crate) fn on(directory: &Path) -> Self {
        Self::start(&["--data", directory.to_str().unwrap()])
    }

    pub(crate) fn shell(&self, statements: &str) -> Output {
        let mut shell = Command::new(BINARY);
        shell.args(["shell", "127.0.0.1", &self.port, "-e", statements]).output().unwrap()
    }

    pub(crate) fn nodetool(&self, arguments: &[&str]) -> String {
        let mut nodetool = Command::new(BINARY);
        let output = nodetool.args(["nodetool", "-p", &self.admin_port]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether a command failed, and its message.
    pub(crate) fn nodetool_fails(&self, arguments: &[&str]) -> (bool, String) {
        let mut nodetool = Command::new(BINARY);
        let output = nodetool.args(["nodetool", "-p", &self.admin_port]).args(arguments).output().unwrap();
        (!output.status.success(), String::from_utf8(output.stderr).unwrap())
    }

    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A keyspace and a table.
pub(crate) const SCHEMA: &str = "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', \
     'replication_factor': 1}; CREATE TABLE ks.t (k int PRIMARY KEY, v text);";
