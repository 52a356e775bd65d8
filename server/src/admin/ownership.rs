//! What part of the ring each member holds.

use super::Failed;
use dodona_cluster::placement::Placement;
use dodona_cluster::replication::Replication;
use dodona_cluster::ring::Ring;
use dodona_types::schema::Keyspace;
use std::sync::Arc;

/// The keyspace that stands for all where nobody has created any.
const WITHOUT_KEYSPACES: &str = "system_traces";

/// What members hold of a keyspace, or why that cannot be said.
pub(super) enum Ownership {
    /// The part of the ring that each member holds copies of, 1 for all of it, by its place.
    Parts(Vec<f64>),
    /// It cannot be said.
    Unknown(&'static str),
}

/// What members hold of a keyspace; of those that were created, if none is named and all are
/// replicated in the same way.
pub(super) fn of(placement: &Placement, keyspace: Option<&str>) -> Result<Ownership, Failed> {
    let schema = &placement.schema;
    let known = |name: &str| {
        schema.keyspace(name).ok_or_else(|| Failed::NotFound(format!("there is no keyspace {name}")))
    };
    let keyspace = match keyspace {
        Some(name) => known(name)?,
        None => {
            let mut created =
                schema.keyspaces.values().filter(|keyspace| !keyspace.name.starts_with("system"));
            match created.next() {
                None => known(WITHOUT_KEYSPACES)?,
                Some(first) if created.all(|other| other.replication == first.replication) => first,
                Some(_) => {
                    return Ok(Ownership::Unknown(
                        "Non-system keyspaces don't have the same replication settings: name a keyspace to see \
                         what the nodes own of it",
                    ));
                }
            }
        }
    };
    let replication = replication_of(keyspace)?;
    if replication == Replication::Local {
        return Err(Failed::Refused(format!(
            "every node has a {} of its own: there is nothing to share",
            keyspace.name
        )));
    }
    Ok(Ownership::Parts(parts(&placement.ring, &replication)))
}

/// A keyspace's strategy.
pub(super) fn replication_of(keyspace: &Arc<Keyspace>) -> Result<Replication, Failed> {
    Replication::from_options(&keyspace.replication).map_err(Failed::Internal)
}

fn parts(ring: &Ring, replication: &Replication) -> Vec<f64> {
    let mut positions = vec![0_u128; ring.members().len()];
    for range in ring.ranges() {
        // Local strategies, which ask for a member, do not come here.
        for member in replication.replicas(ring, range.end, 0) {
            positions[member] += range.width();
        }
    }
    positions.into_iter().map(|positions| positions as f64 / 2_f64.powi(64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_cluster::ring::{Member, Status, even_tokens};
    use std::collections::BTreeMap;
    use std::net::SocketAddr;
    use uuid::Uuid;

    fn ring(data_centers: &[&str], tokens: usize) -> Ring {
        let member = |(index, data_center): (usize, &&str)| Member {
            host: Uuid::from_u128(index as u128),
            status: Status::Normal,
            data_center: (*data_center).into(),
            rack: "r1".into(),
            internode: SocketAddr::from(([127, 0, 0, 1], 7000)),
            native: SocketAddr::from(([127, 0, 0, 1], 9042)),
            tokens: even_tokens(data_centers.len(), index, tokens),
            other_tokens: Vec::new(),
        };
        Ring::new(data_centers.iter().enumerate().map(member).collect::<Vec<_>>())
    }

    fn is_about(parts: &[f64], expected: &[f64]) -> bool {
        parts.len() == expected.len()
            && parts.iter().zip(expected).all(|(part, expected)| (part - expected).abs() < 0.001)
    }

    #[test]
    fn every_copy_counts_for_the_member_that_holds_it() {
        let three = ring(&["a", "a", "a"], 8);
        let third = parts(&three, &Replication::Simple { factor: 1 });
        assert!(is_about(&third, &[1.0 / 3.0; 3]), "{third:?}");
        let two = parts(&three, &Replication::Simple { factor: 2 });
        assert!(is_about(&two, &[2.0 / 3.0; 3]), "{two:?}");
        let all = parts(&three, &Replication::Simple { factor: 5 });
        assert!(is_about(&all, &[1.0; 3]), "{all:?}");
        assert!(is_about(&parts(&ring(&["a"], 1), &Replication::Simple { factor: 1 }), &[1.0]));
    }

    #[test]
    fn data_centres_are_shared_out_each_on_its_own() {
        let factors = BTreeMap::from([("a".into(), 1), ("b".into(), 1)]);
        let shares = parts(&ring(&["a", "b", "a"], 8), &Replication::NetworkTopology { factors });
        assert!((shares[0] + shares[2] - 1.0).abs() < 0.001 && (shares[1] - 1.0).abs() < 0.001, "{shares:?}");
    }
}
