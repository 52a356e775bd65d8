//! The shape of a cluster: how many nodes, in which data centres and racks, and how many copies each
//! data centre holds.

use dodona_cluster::ring::{Member, Status, even_tokens};
use dodona_env::Random;
use dodona_types::schema::Options;
use std::net::SocketAddr;
use uuid::Uuid;

/// Names of hosts.
pub const NAMES: [&str; 9] = ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"];
const TOKENS: usize = 4;

/// The shape of a cluster.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Of each node the number of its data centre, and that of its rack there.
    pub places: Vec<(usize, usize)>,
    /// Copies in each data centre.
    pub copies: Vec<u32>,
}

impl Shape {
    /// Two or three data centres with four to nine nodes on one to three racks each, and at most three
    /// copies of everything.
    #[must_use]
    pub fn of(random: &Random) -> Self {
        let centers = if random.chance(0.75) { 2 } else { 3 };
        let (mut places, mut copies) = (Vec::new(), Vec::new());
        for center in 0..centers {
            let nodes = if centers == 2 { 2 + random.below(3) } else { 2 + random.below(2) };
            let racks = 1 + random.below(3);
            places.extend((0..nodes).map(|node| (center, (node % racks) as usize)));
            copies.push((2 + random.below(2)).min(nodes) as u32);
        }
        Self { places, copies }
    }

    /// One data centre with so many nodes, each on a rack of its own, and so many copies of everything.
    #[must_use]
    pub fn flat(nodes: usize, copies: u32) -> Self {
        Self { places: (0..nodes).map(|node| (0, node)).collect(), copies: vec![copies] }
    }

    /// The hosts' names.
    #[must_use]
    pub fn names(&self) -> &'static [&'static str] {
        &NAMES[..self.places.len()]
    }

    /// The hosts of a data centre.
    #[must_use]
    pub fn of_center(&self, center: usize) -> Vec<usize> {
        (0..self.places.len()).filter(|node| self.places[*node].0 == center).collect()
    }

    /// The members, each of which is reached where `address` says.
    #[must_use]
    pub fn members(&self, address: impl Fn(&str) -> SocketAddr) -> Vec<Member> {
        let member = |(index, (center, rack)): (usize, &(usize, usize))| {
            let internode = address(NAMES[index]);
            Member {
                host: Uuid::from_u128(index as u128 + 1),
                status: Status::Normal,
                data_center: center_name(*center),
                rack: format!("r{rack}"),
                internode,
                native: internode,
                tokens: even_tokens(self.places.len(), index, TOKENS),
                other_tokens: Vec::new(),
            }
        };
        self.places.iter().enumerate().map(member).collect()
    }

    /// NetworkTopologyStrategy with the copies of each data centre.
    #[must_use]
    pub fn replication(&self) -> Options {
        let class = ("class".to_owned(), "org.apache.cassandra.locator.NetworkTopologyStrategy".to_owned());
        let copies = self.copies.iter().enumerate();
        copies.map(|(center, copies)| (center_name(center), copies.to_string())).chain([class]).collect()
    }
}

fn center_name(center: usize) -> String {
    format!("dc{}", center + 1)
}
