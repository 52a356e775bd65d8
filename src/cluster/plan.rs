//! Which nodes a cluster has, and where.

use super::ClusterError;
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

/// The file that remembers it.
const FILE: &str = "cluster.json";
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
}

impl Plan {
    /// The plan of a directory, which is made if there is none.
    pub(super) fn enter(
        dir: &Path,
        nodes: Option<u8>,
        data_centers: u8,
        first: Ipv4Addr,
    ) -> Result<Self, ClusterError> {
        if dir.join(FILE).exists() {
            let plan = Self::open(dir)?;
            return match nodes {
                Some(nodes) if usize::from(nodes) != plan.nodes.len() => Err(ClusterError::Refused(format!(
                    "{} holds a cluster of {} nodes: leave the number out, or choose another directory with --dir",
                    dir.display(),
                    plan.nodes.len()
                ))),
                _ => Ok(plan),
            };
        }
        let plan = Self::new(dir, nodes.unwrap_or(NODES), data_centers, first)?;
        let failed = |error| ClusterError::Io(dir.display().to_string(), error);
        std::fs::create_dir_all(dir).map_err(failed)?;
        if std::fs::read_dir(dir).map_err(failed)?.next().is_some() {
            return Err(ClusterError::Refused(format!(
                "{} is not empty and holds no cluster: choose another directory with --dir",
                dir.display()
            )));
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

    fn new(dir: &Path, nodes: u8, data_centers: u8, first: Ipv4Addr) -> Result<Self, ClusterError> {
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
        Ok(Self { dir: dir.to_owned(), nodes: (0..nodes).map(node).collect() })
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
        json!({ "nodes": self.nodes.iter().map(node).collect::<Vec<_>>() })
    }

    fn from_json(dir: &Path, json: &Value) -> Option<Self> {
        let nodes = json["nodes"].as_array()?.iter().enumerate().map(|(index, node)| {
            let address = node["address"].as_str()?.parse().ok()?;
            Some(PlannedNode::new(dir, index + 1, address, node["data_center"].as_str()?))
        });
        Some(Self { dir: dir.to_owned(), nodes: nodes.collect::<Option<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_addresses_in_a_row_and_data_centres_in_turn() {
        let plan = Plan::new(Path::new("/c"), 3, 2, Ipv4Addr::new(127, 0, 1, 5)).unwrap();
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
            Plan::new(Path::new("/c"), nodes, data_centers, Ipv4Addr::from(first)).is_err()
        };
        assert!(new(0, 1, [127, 0, 0, 1]) && new(2, 3, [127, 0, 0, 1]) && new(3, 1, [10, 0, 0, 1]));
        assert!(new(10, 1, [127, 0, 0, 250]) && !new(3, 3, [127, 0, 0, 1]));
    }

    #[test]
    fn a_directory_keeps_its_plan_and_others_files_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().join("c");
        let made = Plan::enter(&dir, Some(2), 1, Ipv4Addr::LOCALHOST).unwrap();
        assert_eq!(Plan::enter(&dir, None, 1, Ipv4Addr::LOCALHOST).unwrap(), made);
        let other = Plan::enter(&dir, Some(3), 1, Ipv4Addr::LOCALHOST).unwrap_err();
        assert!(other.to_string().contains("holds a cluster of 2 nodes"), "{other}");
        let taken = Plan::enter(directory.path(), None, 1, Ipv4Addr::LOCALHOST).unwrap_err();
        assert!(taken.to_string().contains("is not empty"), "{taken}");
        let none = Plan::open(directory.path()).unwrap_err();
        assert!(none.to_string().contains("`dodona cluster up` makes one"), "{none}");
    }
}
