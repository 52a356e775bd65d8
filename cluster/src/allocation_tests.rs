use super::*;
use crate::replication::Replication;
use crate::ring::Ring;
use proptest::prelude::*;
use std::net::SocketAddr;
use uuid::Uuid;

type Nodes = Vec<(String, Vec<Token>)>;

fn borrowed(nodes: &Nodes) -> Vec<(&str, &[Token])> {
    nodes.iter().map(|(rack, tokens)| (&**rack, &**tokens)).collect()
}

/// A cluster whose nodes joined one after another, in these racks.
fn grown(racks: impl IntoIterator<Item = usize>, count: usize, replication_factor: usize) -> Nodes {
    let mut nodes = Nodes::new();
    for rack in racks {
        let rack = format!("r{rack}");
        let tokens = allocate(&borrowed(&nodes), &rack, count, replication_factor);
        nodes.push((rack, tokens));
    }
    nodes
}

/// The least and the greatest share, by the mean of the rack.
fn spread(nodes: &Nodes, replication_factor: usize) -> (f64, f64) {
    let shares = shares(&borrowed(nodes), replication_factor);
    let (mut least, mut greatest) = (f64::MAX, 0f64);
    for (rack, _) in nodes {
        let of_rack = || nodes.iter().zip(&shares).filter(|((other, _), _)| other == rack).map(|(_, s)| *s);
        let mean = of_rack().sum::<f64>() / of_rack().count() as f64;
        least = of_rack().fold(least, |least, share| least.min(share / mean));
        greatest = of_rack().fold(greatest, |greatest, share| greatest.max(share / mean));
    }
    (least, greatest)
}

fn member(index: usize, data_center: &str, rack: &str, tokens: Vec<Token>) -> Member {
    Member {
        host: Uuid::from_u128(index as u128),
        status: Status::Normal,
        data_center: data_center.into(),
        rack: rack.into(),
        internode: SocketAddr::from(([127, 0, 0, 1], 7000)),
        native: SocketAddr::from(([127, 0, 0, 1], 9042)),
        tokens,
        other_tokens: Vec::new(),
    }
}

#[test]
fn nodes_that_join_one_after_another_hold_equal_shares() {
    for racks in 1..=4 {
        let mut nodes = Nodes::new();
        for count in 1..=12 {
            let rack = format!("r{}", count % racks);
            let tokens = allocate(&borrowed(&nodes), &rack, 16, 3);
            nodes.push((rack, tokens));
            // Racks that are as large as one another: else nodes of a small one hold more.
            if count % racks == 0 {
                let (least, greatest) = spread(&nodes, 3);
                assert!(least > 0.9 && greatest < 1.1, "{count} in {racks}: {least} {greatest}");
            }
        }
    }
}

#[test]
fn one_token_a_node_gives_no_node_more_than_twice_the_mean() {
    let nodes = grown((0..16).map(|_| 0), 1, 1);
    let (least, greatest) = spread(&nodes, 1);
    assert!(least > 0.4 && greatest <= 2.0, "{least} {greatest}");
}

#[test]
fn a_node_in_a_rack_of_its_own_is_placed_in_time() {
    // Its replicas are met at the other end of the ring.
    let nodes = grown((0..40).map(|node| usize::from(node == 20)), 8, 3);
    let (least, greatest) = spread(&nodes, 3);
    assert!(least > 0.8 && greatest < 1.25, "{least} {greatest}");
}

#[test]
fn the_first_node_has_evenly_spaced_tokens() {
    let tokens = allocate(&[], "r1", 4, 3);
    let gaps: BTreeSet<u64> = tokens.windows(2).map(|pair| pair[1].ordinal() - pair[0].ordinal()).collect();
    assert_eq!(gaps, BTreeSet::from([1 << 62]));
    assert_eq!(allocate(&[], "r1", 0, 3), []);
}

#[test]
fn tokens_of_other_data_centers_are_not_taken_again() {
    let mut members = vec![member(0, "dc1", "r1", allocate(&[], "r1", 16, 3))];
    for index in 1..6 {
        let data_center = ["dc1", "dc2"][index % 2];
        let tokens = tokens_for(&members, data_center, "r1", 16, 3);
        members.push(member(index, data_center, "r1", tokens));
    }
    let all: BTreeSet<Token> = members.iter().flat_map(|member| member.tokens.iter().copied()).collect();
    assert_eq!(all.len(), 6 * 16);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn tokens_are_new_sorted_and_always_the_same(
        racks in prop::collection::vec(0usize..4, 1..9), count in 1usize..9, replication_factor in 1usize..5,
    ) {
        let nodes = grown(racks.clone(), count, replication_factor);
        let all: BTreeSet<Token> = nodes.iter().flat_map(|(_, tokens)| tokens.iter().copied()).collect();
        prop_assert_eq!(all.len(), nodes.len() * count);
        prop_assert!(!all.contains(&Token::MIN));
        prop_assert!(nodes.iter().all(|(_, tokens)| tokens.len() == count && tokens.is_sorted()));
        prop_assert_eq!(grown(racks, count, replication_factor), nodes);
    }

    #[test]
    fn shares_are_those_of_the_replication_strategy(
        racks in prop::collection::vec(0usize..4, 1..9), drawn: [u64; 24], replication_factor in 1usize..5,
    ) {
        let tokens = |index: usize| (0..3).map(|n| Token::from_ordinal(drawn[index * 3 + n])).collect();
        let nodes: Nodes =
            racks.iter().enumerate().map(|(index, rack)| (format!("r{rack}"), tokens(index))).collect();
        let members = nodes.iter().enumerate();
        let ring = Ring::new(
            members.map(|(index, (rack, tokens))| member(index, "dc1", rack, tokens.clone())).collect::<Vec<_>>(),
        );
        let factors = BTreeMap::from([("dc1".to_owned(), replication_factor as u32)]);
        let strategy = Replication::NetworkTopology { factors };
        let mut expected = vec![0.0; nodes.len()];
        for range in ring.ranges() {
            let size = range.end.ordinal().wrapping_sub(range.start.ordinal()) as f64 / 2f64.powi(64);
            for replica in strategy.replicas(&ring, range.end, 0) {
                expected[replica] += size;
            }
        }
        for (share, expected) in shares(&borrowed(&nodes), replication_factor).iter().zip(expected) {
            prop_assert!((share - expected).abs() < 1e-9);
        }
    }
}
