//! Whether enough members stay for every keyspace's copies when this one leaves.

use super::Node;
use crate::error::ClusterError;
use crate::replication::Replication;
use crate::ring::{Member, Status};
use dodona_types::schema::Schema;

impl Node {
    /// Refuses that this node leaves if fewer full members would stay than a keyspace has copies, in this node's data centre
    /// where copies are counted by it. One that leaves already goes on.
    ///
    /// # Errors
    /// Which keyspace would have too few.
    pub fn refuse_too_few_copies(&self) -> Result<(), ClusterError> {
        let placement = self.placement();
        let members = placement.ring.members();
        let reason = too_few(&placement.schema, members, &members[placement.local]);
        reason.map_or(Ok(()), |reason| Err(ClusterError::Invalid(reason)))
    }
}

/// The first keyspace that would have too few members left, as Cassandra says it. Who is down counts, as there: it comes back or
/// is replaced.
fn too_few(schema: &Schema, members: &[Member], leaving: &Member) -> Option<String> {
    let full = || members.iter().filter(|member| member.status == Status::Normal);
    // That it is the only one is refused in any case.
    if leaving.status != Status::Normal || full().count() < 2 {
        return None;
    }
    schema.keyspaces.values().find_map(|keyspace| {
        let replication = Replication::from_options(&keyspace.replication).ok()?;
        let data_center = matches!(replication, Replication::NetworkTopology { .. })
            .then_some(leaving.data_center.as_str());
        let copies = replication.factor(data_center) as usize;
        let there = full().filter(|member| data_center.is_none_or(|name| member.data_center == name)).count();
        (there <= copies && !replication.is_local()).then(|| {
            format!(
                "Not enough live nodes to maintain replication factor in keyspace {} (RF = {copies}, N = {there}): \
                 `decommission --force` has it leave all the same",
                keyspace.name
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_types::schema::{Keyspace, Options};
    use std::collections::BTreeMap;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use uuid::Uuid;

    fn members(data_centers: &[&str]) -> Vec<Member> {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let member = |(index, data_center): (usize, &&str)| Member {
            host: Uuid::from_u128(index as u128),
            status: Status::Normal,
            data_center: (*data_center).to_owned(),
            rack: "r1".into(),
            internode: address,
            native: address,
            tokens: Vec::new(),
            other_tokens: Vec::new(),
        };
        data_centers.iter().enumerate().map(member).collect()
    }

    fn schema(options: &[(&str, &str)]) -> Schema {
        let replication: Options =
            options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let keyspace = Keyspace {
            name: "ks".into(),
            replication,
            durable_writes: true,
            tables: BTreeMap::new(),
            types: BTreeMap::new(),
        };
        let mut schema = Schema::default();
        schema.keyspaces.insert(Arc::from("ks"), Arc::new(keyspace));
        schema
    }

    #[test]
    fn as_many_members_stay_as_a_keyspace_has_copies() {
        let schema = schema(&[("class", "SimpleStrategy"), ("replication_factor", "2")]);
        let mut three = members(&["a", "a", "b"]);
        assert_eq!(too_few(&schema, &three, &three[0]), None);
        let refused = too_few(&schema, &three[..2], &three[0]).unwrap();
        assert!(refused.contains("in keyspace ks (RF = 2, N = 2)"), "{refused}");
        assert_eq!(too_few(&schema, &three[..1], &three[0]), None, "the only one is refused elsewhere");
        three[2].status = Status::Joining;
        assert!(too_few(&schema, &three, &three[0]).is_some(), "who joins has nothing yet");
        three[0].status = Status::Leaving;
        assert_eq!(too_few(&schema, &three, &three[0]), None, "who leaves goes on");
    }

    #[test]
    fn copies_of_data_centers_are_counted_in_the_leaving_ones() {
        let schema = schema(&[("class", "NetworkTopologyStrategy"), ("a", "2"), ("b", "1")]);
        let members = members(&["a", "a", "b", "b", "c"]);
        assert!(too_few(&schema, &members, &members[0]).unwrap().contains("(RF = 2, N = 2)"));
        assert_eq!(too_few(&schema, &members, &members[2]), None);
        assert_eq!(too_few(&schema, &members, &members[4]), None, "it holds nothing of it");
    }

    #[test]
    fn what_each_node_holds_of_its_own_keeps_nobody() {
        let members = members(&["a", "a"]);
        assert_eq!(too_few(&schema(&[("class", "LocalStrategy")]), &members, &members[0]), None);
    }
}
