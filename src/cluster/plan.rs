//! Which nodes a cluster has, and where.

use super::ClusterError;
use crate::certificates;
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

/// The file that remembers it.
const FILE: &str = "cluster.json";
/// The folder of certificates, where nodes speak by TLS.
const CERTIFICATES: &str = "certificates";
/// Days for which they are valid: some ten years.
const CERTIFICATE_DAYS: u32 = 3_650;
/// Nodes without a number given.
const NODES: u8 = 3;
const CLIENTS_PORT: u16 = 9042;
const INTERNODE_PORT: u16 = 7000;
const ADMINISTRATION_PORT: u16 = 7199;

/// A node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlannedNode {
    /// From 1 on.
    pub(super) number: usize,
    pub(super) address: Ipv4Addr,
    pub(super) data_center: String,
    /// Where its data are; beside them, with other endings, what it says and its process.
    pub(super) data: PathBuf,
}

impl PlannedNode {
    pub(super) fn new(dir: &Path, number: usize, address: Ipv4Addr, data_center: &str) -> Self {
        let data = dir.join(format!("node{number}"));
        Self { number, address, data_center: data_center.to_owned(), data }
    }

    pub(super) fn clients(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, CLIENTS_PORT)
    }

    pub(super) fn internode(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, INTERNODE_PORT)
    }

    pub(super) fn administration(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, ADMINISTRATION_PORT)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    pub(super) fn pid(&self) -> PathBuf {
        self.data.with_extension("pid")
    }
}

/// The nodes of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) dir: PathBuf,
    pub(super) nodes: Vec<PlannedNode>,
    /// Nodes speak to each other by TLS.
    pub(super) tls: bool,
}

impl Plan {
    /// The plan of a directory, which is made if there is none.
    pub(super) fn enter(
        dir: &Path,
        nodes: Option<u8>,
        data_centers: u8,
        first: Ipv4Addr,
        tls: bool,
    ) -> Result<Self, ClusterError> {
        if dir.join(FILE).exists() {
            let plan = Self::open(dir)?;
            return match nodes {
                Some(nodes) if usize::from(nodes) != plan.nodes.len() => Err(ClusterError::Refused(format!(
                    "{} holds a cluster of {} nodes: leave the number out, or choose another directory with --dir",
                    dir.display(),
                    plan.nodes.len()
                ))),
                _ if tls && !plan.tls => Err(ClusterError::Refused(format!(
                    "{} holds a cluster without TLS: leave --tls out, or choose another directory with --dir",
                    dir.display()
                ))),
                _ => Ok(plan),
            };
        }
        let plan = Self::new(dir, nodes.unwrap_or(NODES), data_centers, first, tls)?;
        let failed = |error| ClusterError::Io(dir.display().to_string(), error);
        std::fs::create_dir_all(dir).map_err(failed)?;
        if std::fs::read_dir(dir).map_err(failed)?.next().is_some() {
            return Err(ClusterError::Refused(format!(
                "{} is not empty and holds no cluster: choose another directory with --dir",
                dir.display()
            )));
        }
        if tls {
            let hosts: Vec<String> = plan.nodes.iter().map(|node| node.address.to_string()).collect();
            certificates::make(&dir.join(CERTIFICATES), &hosts, CERTIFICATE_DAYS)
                .map_err(|error| ClusterError::Refused(error.to_string()))?;
        }
        std::fs::write(dir.join(FILE), plan.to_json().to_string()).map_err(failed)?;
        Ok(plan)
    }

    /// The plan of a directory.
    pub(super) fn open(dir: &Path) -> Result<Self, ClusterError> {
        let path = dir.join(FILE);
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => ClusterError::Refused(format!(
                "there is no cluster in {}: `dodona cluster up` makes one, and --dir names another directory",
                dir.display()
            )),
            _ => ClusterError::Io(name.clone(), error),
        })?;
        let json = serde_json::from_str(&text).ok();
        json.and_then(|json| Self::from_json(dir, &json)).ok_or_else(|| {
            ClusterError::Refused(format!("{name} is damaged: remove {} and begin anew", dir.display()))
        })
    }

    fn new(
        dir: &Path,
        nodes: u8,
        data_centers: u8,
        first: Ipv4Addr,
        tls: bool,
    ) -> Result<Self, ClusterError> {
        let refused = |text: &str| Err(ClusterError::Refused(text.to_owned()));
        if nodes == 0 || data_centers == 0 || data_centers > nodes {
            return refused("a cluster has one node or more, and no more data centres than nodes");
        }
        if !first.is_loopback() {
            return refused(
                "--first must be a loopback address (127.0.0.1 and the like): the nodes serve anybody",
            );
        }
        if first.octets()[3].checked_add(nodes).is_none() || first.octets()[3] == 0 {
            return refused(
                "the last part of the addresses has to stay between 1 and 254: choose another --first",
            );
        }
        let node = |index: u8| {
            let [a, b, c, d] = first.octets();
            let data_center = format!("datacenter{}", index % data_centers + 1);
            PlannedNode::new(dir, usize::from(index) + 1, Ipv4Addr::new(a, b, c, d + index), &data_center)
        };
        Ok(Self { dir: dir.to_owned(), nodes: (0..nodes).map(node).collect(), tls })
    }

    /// Certificate, key and authority of a node, if nodes speak by TLS.
    pub(super) fn certificates(&self, node: &PlannedNode) -> Option<[PathBuf; 3]> {
        let dir = self.dir.join(CERTIFICATES);
        let [certificate, key] = certificates::files_of(&dir, &node.address.to_string());
        self.tls.then(|| [certificate, key, dir.join(certificates::AUTHORITY)])
    }

    /// The node of this number.
    pub(super) fn node(&self, number: usize) -> Result<&PlannedNode, ClusterError> {
        let node = self.nodes.iter().find(|node| node.number == number);
        node.ok_or_else(|| {
            ClusterError::Refused(format!("there is no node {number}: they are 1 to {}", self.nodes.len()))
        })
    }

    fn to_json(&self) -> Value {
        let node = |node: &PlannedNode| json!({ "address": node.address, "data_center": node.data_center });
        json!({ "nodes": self.nodes.iter().map(node).collect::<Vec<_>>(), "tls": self.tls })
    }

    fn from_json(dir: &Path, json: &Value) -> Option<Self> {
        let nodes = json["nodes"].as_array()?.iter().enumerate().map(|(index, node)| {
            let address = node["address"].as_str()?.parse().ok()?;
            Some(PlannedNode::new(dir, index + 1, address, node["data_center"].as_str()?))
        });
        // Clusters that were made before it was noted are without.
        let tls = json["tls"].as_bool().unwrap_or(false);
        Some(Self { dir: dir.to_owned(), nodes: nodes.collect::<Option<_>>()?, tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_addresses_in_a_row_and_data_centres_in_turn() {
        let plan = Plan::new(Path::new("/c"), 3, 2, Ipv4Addr::new(127, 0, 1, 5), false).unwrap();
        let places: Vec<_> =
            plan.nodes.iter().map(|node| (node.address.to_string(), node.data_center.as_str())).collect();
        let expected =
            [("127.0.1.5", "datacenter1"), ("127.0.1.6", "datacenter2"), ("127.0.1.7", "datacenter1")];
        assert_eq!(places, expected.map(|(address, name)| (address.to_owned(), name)));
        assert_eq!(plan.node(2).unwrap().log(), Path::new("/c/node2.log"));
        assert!(plan.node(4).unwrap_err().to_string().contains("they are 1 to 3"));
        assert_eq!(Plan::from_json(Path::new("/c"), &plan.to_json()), Some(plan));
    }

    #[test]
    fn a_cluster_that_cannot_be_is_refused() {
        let new = |nodes, data_centers, first: [u8; 4]| {
            Plan::new(Path::new("/c"), nodes, data_centers, Ipv4Addr::from(first), false).is_err()
        };
        assert!(new(0, 1, [127, 0, 0, 1]) && new(2, 3, [127, 0, 0, 1]) && new(3, 1, [10, 0, 0, 1]));
        assert!(new(10, 1, [127, 0, 0, 250]) && !new(3, 3, [127, 0, 0, 1]));
    }

    #[test]
    fn a_directory_keeps_its_plan_and_others_files_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().join("c");
        let enter = |dir: &Path, nodes, tls| Plan::enter(dir, nodes, 1, Ipv4Addr::LOCALHOST, tls);
        let made = enter(&dir, Some(2), false).unwrap();
        assert_eq!(made.certificates(&made.nodes[0]), None);
        assert_eq!(enter(&dir, None, false).unwrap(), made);
        let other = enter(&dir, Some(3), false).unwrap_err();
        assert!(other.to_string().contains("holds a cluster of 2 nodes"), "{other}");
        let plain = enter(&dir, None, true).unwrap_err();
        assert!(plain.to_string().contains("holds a cluster without TLS"), "{plain}");
        let taken = enter(directory.path(), None, false).unwrap_err();
        assert!(taken.to_string().contains("is not empty"), "{taken}");
        let encrypted = enter(&directory.path().join("e"), Some(2), true).unwrap();
        assert_eq!(enter(&encrypted.dir, None, false).unwrap(), encrypted);
        let files = encrypted.nodes.iter().flat_map(|node| encrypted.certificates(node).unwrap());
        assert!(files.into_iter().all(|file| file.exists()));
        let none = Plan::open(directory.path()).unwrap_err();
        assert!(none.to_string().contains("`dodona cluster up` makes one"), "{none}");
    }
}
