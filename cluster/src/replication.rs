//! Replication strategies: which members hold a partition (Cassandra `SimpleStrategy`,
//! `NetworkTopologyStrategy`, `LocalStrategy`).

use crate::ring::{MemberIndex, Ring};
use dodona_types::schema::Options;
use dodona_types::{Consistency, Token};
use std::collections::{BTreeMap, BTreeSet};

/// A keyspace's strategy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replication {
    /// Every node holds its own.
    Local,
    /// Every node holds everything.
    Everywhere,
    /// The owners met first on the ring.
    Simple {
        /// How many.
        factor: u32,
    },
    /// So many in each data centre, over as many racks as there are.
    NetworkTopology {
        /// How many in each.
        factors: BTreeMap<String, u32>,
    },
}

const PREFIX: &str = "org.apache.cassandra.locator.";

impl Replication {
    /// The strategy that a keyspace's options ask for.
    ///
    /// # Errors
    /// What is wrong, as Cassandra says it.
    pub fn from_options(options: &Options) -> Result<Self, String> {
        let class = options.get("class").ok_or("Missing replication strategy class")?;
        let class = class.strip_prefix(PREFIX).unwrap_or(class);
        match class {
            "LocalStrategy" => Ok(Self::Local),
            "EverywhereStrategy" => Ok(Self::Everywhere),
            "SimpleStrategy" => {
                let others = options.keys().find(|name| *name != "class" && *name != "replication_factor");
                if let Some(other) = others {
                    return Err(format!(
                        "Unrecognized strategy option {{{other}}} passed to SimpleStrategy for keyspace"
                    ));
                }
                let factor = options
                    .get("replication_factor")
                    .ok_or("SimpleStrategy requires a replication_factor strategy option.")?;
                Ok(Self::Simple { factor: factor_of(factor)? })
            }
            "NetworkTopologyStrategy" => {
                let factors = options
                    .iter()
                    .filter(|(name, _)| *name != "class" && *name != "replication_factor")
                    .map(|(name, factor)| Ok((name.clone(), factor_of(factor)?)))
                    .collect::<Result<_, String>>()?;
                Ok(Self::NetworkTopology { factors })
            }
            other => Err(format!("Unable to find replication strategy class '{PREFIX}{other}'")),
        }
    }

    /// The strategy's full class name.
    #[must_use]
    pub fn full_class_name(class: &str) -> String {
        if class.contains('.') { class.to_owned() } else { format!("{PREFIX}{class}") }
    }

    /// True if every node holds its own.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        matches!(self, Self::Local)
    }

    /// The members that hold a token, in the order in which they are met.
    #[must_use]
    pub fn replicas(&self, ring: &Ring, token: Token, local: MemberIndex) -> Vec<MemberIndex> {
        match self {
            Self::Local => vec![local],
            Self::Everywhere => ring.owners(),
            Self::Simple { factor } => {
                let mut replicas = Vec::new();
                for owner in ring.walk(token) {
                    if replicas.len() >= *factor as usize {
                        break;
                    }
                    if !replicas.contains(&owner) {
                        replicas.push(owner);
                    }
                }
                replicas
            }
            Self::NetworkTopology { factors } => network_topology(ring, token, factors),
        }
    }

    /// Copies of a partition in a data centre (`None`: in all).
    #[must_use]
    pub fn factor(&self, data_center: Option<&str>) -> u32 {
        match self {
            Self::Local | Self::Everywhere => 1,
            Self::Simple { factor } => *factor,
            Self::NetworkTopology { factors } => match data_center {
                Some(name) => factors.get(name).copied().unwrap_or(0),
                None => factors.values().sum(),
            },
        }
    }

    /// How many replicas must answer at a level to a coordinator in that data centre.
    #[must_use]
    pub fn block_for(&self, consistency: Consistency, local_data_center: &str) -> u32 {
        let quorum = |factor: u32| factor / 2 + 1;
        let local = match self {
            Self::NetworkTopology { .. } => self.factor(Some(local_data_center)),
            _ => self.factor(None),
        };
        match consistency {
            Consistency::Any | Consistency::One | Consistency::LocalOne => 1,
            Consistency::Two => 2,
            Consistency::Three => 3,
            Consistency::Quorum | Consistency::Serial => quorum(self.factor(None)),
            Consistency::LocalQuorum | Consistency::LocalSerial => quorum(local),
            Consistency::All => self.factor(None),
            Consistency::EachQuorum => match self {
                Self::NetworkTopology { factors } => factors.values().map(|factor| quorum(*factor)).sum(),
                _ => quorum(self.factor(None)),
            },
        }
    }
}

fn factor_of(text: &str) -> Result<u32, String> {
    // `3/1` is Cassandra's notation of transient replicas.
    if text.contains('/') {
        return Err("Transient replication is disabled. Enable in cassandra.yaml to use.".into());
    }
    text.trim().parse::<u32>().map_err(|_| format!("Replication factor must be numeric; found {text}"))
}

/// Takes owners in the order of the ring, in each data centre from as many racks as there are
/// before a rack serves twice.
fn network_topology(ring: &Ring, token: Token, factors: &BTreeMap<String, u32>) -> Vec<MemberIndex> {
    let members = ring.members();
    let mut replicas = Vec::new();
    let mut racks_taken: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut skipped: BTreeMap<&str, Vec<MemberIndex>> = BTreeMap::new();
    let racks_of = |dc: &str| {
        members
            .iter()
            .filter(|member| member.data_center == dc)
            .map(|member| member.rack.as_str())
            .collect::<BTreeSet<_>>()
            .len()
    };
    let taken_in = |replicas: &[MemberIndex], dc: &str| {
        replicas.iter().filter(|index| members[**index].data_center == dc).count()
    };
    for owner in ring.walk(token) {
        let member = &members[owner];
        let dc = member.data_center.as_str();
        let wanted = factors.get(dc).copied().unwrap_or(0) as usize;
        if replicas.contains(&owner) || taken_in(&replicas, dc) >= wanted {
            continue;
        }
        let racks = racks_taken.entry(dc).or_default();
        if racks.contains(member.rack.as_str()) && racks.len() < racks_of(dc) {
            let waiting = skipped.entry(dc).or_default();
            if !waiting.contains(&owner) {
                waiting.push(owner);
            }
            continue;
        }
        racks.insert(&member.rack);
        replicas.push(owner);
        if racks.len() == racks_of(dc) {
            for owner in skipped.remove(dc).unwrap_or_default() {
                if taken_in(&replicas, dc) < wanted && !replicas.contains(&owner) {
                    replicas.push(owner);
                }
            }
        }
    }
    replicas
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Member, Status, even_tokens};
    use std::net::SocketAddr;
    use uuid::Uuid;

    fn ring(racks: &[&str]) -> Ring {
        let member = |(index, rack): (usize, &&str)| Member {
            host: Uuid::from_u128(index as u128),
            status: Status::Normal,
            data_center: "dc1".into(),
            rack: (*rack).into(),
            internode: SocketAddr::from(([127, 0, 0, 1], 7000)),
            native: SocketAddr::from(([127, 0, 0, 1], 9042)),
            tokens: even_tokens(racks.len(), index, 8),
            other_tokens: Vec::new(),
        };
        Ring::new(racks.iter().enumerate().map(member).collect::<Vec<_>>())
    }

    #[test]
    fn copies_lie_on_as_many_racks_as_there_are() {
        let ring = ring(&["a", "a", "a", "b", "c"]);
        let strategy = Replication::NetworkTopology { factors: BTreeMap::from([("dc1".into(), 3)]) };
        for token in (-500..500).map(|n| Token(n * 18_000_000_000_000_000)) {
            let replicas = strategy.replicas(&ring, token, 0);
            let racks: BTreeSet<_> =
                replicas.iter().map(|index| ring.members()[*index].rack.clone()).collect();
            assert_eq!((replicas.len(), racks.len()), (3, 3), "{token}");
        }
    }

    #[test]
    fn a_simple_strategy_takes_the_next_owners() {
        let ring = ring(&["a", "a", "a"]);
        let replicas = Replication::Simple { factor: 2 }.replicas(&ring, Token(0), 0);
        assert_eq!(replicas.len(), 2);
        assert_eq!(Replication::Simple { factor: 9 }.replicas(&ring, Token(0), 0).len(), 3);
    }
}
