use super::*;
use crate::liveness::Liveness;

const CLUSTER: Uuid = Uuid::from_u128(0xC1);
const WALL: i64 = 1_700_000_000;

fn at(seconds: u64) -> Now {
    Now { mono: Duration::from_secs(seconds), wall_seconds: WALL + seconds.cast_signed() }
}

fn address(index: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7_000 + index))
}

fn host(index: u16) -> Uuid {
    Uuid::from_u128(index.into())
}

/// A node among `count`, with the first as the seed.
fn node(index: u16, count: u16) -> Gossip {
    let settings = GossipSettings {
        cluster: CLUSTER,
        host: host(index),
        address: address(index),
        seeds: vec![address(0)],
    };
    let mut gossip = Gossip::new(settings, Generation(WALL));
    let members: Vec<_> = (0..count).map(|index| (host(index), address(index))).collect();
    gossip.set_members(&members, at(0));
    gossip
}

/// SYN, ACK and ACK2 from one node to another, as bytes.
fn converse(from: &mut Gossip, to: &mut Gossip, now: Now) {
    let digests = from.endpoints.digests();
    let syn = from.message(Content::Syn { cluster: from.settings.cluster, digests });
    let carried = |message: Message| Message::decode(&message.encode()).unwrap();
    let Some(ack) = to.receive(carried(syn), now) else { return };
    let Some(ack2) = from.receive(carried(ack), now) else { return };
    assert_eq!(to.receive(carried(ack2), now), None);
}

#[test]
fn three_messages_bring_both_to_the_same() {
    let (mut left, mut right) = (node(1, 4), node(2, 4));
    assert!(left.set(Key::RACK, "r1".into()) && right.set(Key::RACK, "r2".into()));
    // Each knows another one, too.
    let (mut third, mut fourth) = (node(3, 4), node(0, 4));
    third.tick(at(1), &Random::from_seed(1));
    fourth.tick(at(1), &Random::from_seed(1));
    converse(&mut third, &mut left, at(1));
    converse(&mut fourth, &mut right, at(1));
    converse(&mut left, &mut right, at(2));
    let states = |node: &Gossip| {
        node.endpoints().into_iter().map(|endpoint| (endpoint.host, endpoint.state)).collect::<Vec<_>>()
    };
    assert_eq!(states(&left), states(&right));
    assert!(states(&left).iter().all(|(_, state)| state.is_some()));
    assert!(left.live().is_alive(host(2)) && right.live().is_alive(host(1)));
    assert!(right.take_events().contains(&Event::Changed(host(1), Key::RACK)));
}

#[test]
fn another_cluster_is_not_answered() {
    let (mut left, mut right) = (node(1, 3), node(2, 3));
    left.settings.cluster = Uuid::from_u128(0xBAD);
    converse(&mut left, &mut right, at(1));
    assert!(!right.live().is_alive(host(1)) && right.take_events().is_empty());
}

#[test]
fn a_node_that_finds_nobody_turns_to_a_seed() {
    let random = Random::from_seed(1);
    let mut lonely = node(1, 1);
    assert_eq!(lonely.tick(at(1), &random).iter().map(|out| out.to).collect::<Vec<_>>(), [address(0)]);
    let mut seed = node(0, 1);
    assert_eq!(seed.tick(at(1), &random), []);
}

#[test]
fn every_second_one_live_member_is_talked_to_and_dead_ones_now_and_then() {
    let random = Random::from_seed(1);
    let mut gossip = node(0, 10);
    for index in 1..9 {
        let mut other = node(index, 10);
        other.tick(at(0), &random);
        converse(&mut other, &mut gossip, at(0));
    }
    let (mut live, mut dead) = (0, 0);
    for _ in 0..1_000 {
        // Time stands still: nobody dies.
        for outgoing in gossip.tick(at(0), &random) {
            *if outgoing.to == address(9) { &mut dead } else { &mut live } += 1;
        }
    }
    assert_eq!(live, 1_000);
    assert!((70..160).contains(&dead), "{dead}");
}

#[test]
fn a_node_that_stops_is_dead_at_once_and_says_no_more() {
    let (mut left, mut right) = (node(1, 2), node(0, 2));
    left.tick(at(1), &Random::from_seed(1));
    converse(&mut left, &mut right, at(1));
    converse(&mut right, &mut left, at(1));
    assert!(right.live().is_alive(host(1)));
    let told = left.shut_down();
    assert_eq!(told.iter().map(|out| out.to).collect::<Vec<_>>(), [address(0)]);
    right.receive(told[0].message.clone(), at(2));
    assert!(!right.live().is_alive(host(1)));
    assert_eq!(left.tick(at(3), &Random::from_seed(1)), []);
}

#[test]
fn the_digests_of_many_members_stay_within_bounds_and_get_through_in_time() {
    let count = 4_000;
    let mut gossip = node(0, count);
    let random = Random::from_seed(1);
    let mut told = std::collections::BTreeSet::new();
    for _ in 0..30 {
        let digests = gossip.some_digests(&random);
        assert_eq!((digests.len(), digests[0].host), (MAX_DIGESTS, host(0)));
        told.extend(digests.iter().map(|digest| digest.host));
    }
    assert_eq!(told.len(), usize::from(count));
    let syn = gossip.message(Content::Syn { cluster: CLUSTER, digests: gossip.some_digests(&random) });
    assert!(syn.encode().len() < 33 << 10);
    assert!(gossip.receive(syn, at(1)).is_some());
}
