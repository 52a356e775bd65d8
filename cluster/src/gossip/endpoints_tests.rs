use super::*;

const LOCAL: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);
const THIRD: Uuid = Uuid::from_u128(3);
const WALL: i64 = 1_700_000_000;

fn at(seconds: u64) -> Now {
    Now { mono: Duration::from_secs(seconds), wall_seconds: WALL + seconds.cast_signed() }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn members() -> [(Uuid, SocketAddr); 3] {
    [(LOCAL, address(1)), (OTHER, address(2)), (THIRD, address(3))]
}

fn endpoints() -> Endpoints {
    let mut endpoints = Endpoints::new(LOCAL, Generation(WALL));
    endpoints.set_members(&members(), Duration::ZERO);
    endpoints
}

/// What a node in this life tells after so many heartbeats.
fn told(generation: i64, beats: u32) -> Delta {
    let mut state = EndpointState::new(Generation(generation));
    state.values.insert(Key::RACK, Versioned { version: Version(1), value: "r1".into() });
    state.heartbeat = Version(1 + beats);
    state.newer_than(Version(0))
}

#[test]
fn a_member_heard_from_itself_is_alive_at_once() {
    let mut endpoints = endpoints();
    endpoints.apply(OTHER, OTHER, told(WALL, 5), at(1));
    let expected = [Event::Changed(OTHER, Key::RACK), Event::Alive(OTHER)];
    assert_eq!(endpoints.take_events(), expected);
}

#[test]
fn a_member_heard_of_from_others_is_alive_when_it_beats() {
    let mut endpoints = endpoints();
    for second in 1..50 {
        endpoints.apply(THIRD, OTHER, told(WALL, 5), at(second));
        endpoints.convict(at(second).mono);
    }
    assert_eq!(endpoints.take_events(), [Event::Changed(OTHER, Key::RACK)]);
    endpoints.apply(THIRD, OTHER, told(WALL, 6), at(50));
    assert_eq!(endpoints.take_events(), [Event::Alive(OTHER)]);
}

#[test]
fn a_silent_member_dies_and_lives_again_when_it_beats() {
    let mut endpoints = endpoints();
    for second in 1..=60 {
        endpoints.apply(OTHER, OTHER, told(WALL, second.min(20)), at(second.into()));
        endpoints.convict(at(second.into()).mono);
    }
    let events = endpoints.take_events();
    assert_eq!(events[1..], [Event::Alive(OTHER), Event::Dead(OTHER)]);
    endpoints.apply(THIRD, OTHER, told(WALL, 21), at(61));
    assert_eq!(endpoints.take_events(), [Event::Alive(OTHER)]);
}

#[test]
fn a_greater_generation_replaces_everything_and_a_lower_one_nothing() {
    let mut endpoints = endpoints();
    endpoints.apply(OTHER, OTHER, told(WALL, 500), at(1));
    endpoints.take_events();
    let newer = EndpointState { heartbeat: Version(1), ..EndpointState::new(Generation(WALL + 1)) };
    endpoints.apply(OTHER, OTHER, newer.newer_than(Version(0)), at(2));
    assert_eq!(endpoints.take_events(), [Event::Restarted(OTHER)]);
    endpoints.apply(OTHER, OTHER, told(WALL, 600), at(3));
    assert_eq!(endpoints.others().next().unwrap().state.as_ref(), Some(&newer));
    assert_eq!(endpoints.take_events(), []);
}

#[test]
fn a_generation_more_than_a_year_ahead_is_refused() {
    let mut endpoints = endpoints();
    endpoints.apply(OTHER, OTHER, told(WALL + 1 + 365 * 86_400, 1), at(0));
    assert_eq!(endpoints.take_events(), []);
    endpoints.apply(OTHER, OTHER, told(WALL + 365 * 86_400, 1), at(0));
    assert!(endpoints.take_events().contains(&Event::Alive(OTHER)));
}

#[test]
fn a_delta_with_something_lacking_before_it_is_not_used() {
    let mut endpoints = endpoints();
    let mut state = told(WALL, 9).state;
    endpoints.apply(OTHER, OTHER, state.newer_than(Version(4)), at(1));
    assert_eq!(endpoints.take_events(), []);
    endpoints.apply(OTHER, OTHER, state.newer_than(Version(0)), at(1));
    endpoints.take_events();
    state.heartbeat = Version(40);
    endpoints.apply(OTHER, OTHER, state.newer_than(Version(20)), at(2));
    assert_eq!(endpoints.others().next().unwrap().state.as_ref().unwrap().heartbeat, Version(10));
    endpoints.apply(OTHER, OTHER, state.newer_than(Version(10)), at(2));
    assert_eq!(endpoints.others().next().unwrap().state.as_ref().unwrap().heartbeat, Version(40));
}

#[test]
fn who_is_no_member_stays_out() {
    let mut endpoints = endpoints();
    endpoints.apply(OTHER, Uuid::from_u128(9), told(WALL, 5), at(1));
    endpoints.apply(OTHER, LOCAL, told(WALL + 5, 5), at(1));
    assert_eq!(endpoints.take_events(), []);
    assert_eq!(endpoints.own().generation, Generation(WALL));
}

#[test]
fn a_forgotten_member_is_not_brought_back_by_those_who_still_gossip_of_it() {
    let mut endpoints = endpoints();
    endpoints.apply(OTHER, OTHER, told(WALL, 5), at(1));
    endpoints.take_events();
    endpoints.forget(OTHER, at(2).mono);
    assert_eq!(endpoints.take_events(), [Event::Dead(OTHER)]);
    endpoints.set_members(&members(), at(30).mono);
    endpoints.apply(THIRD, OTHER, told(WALL, 6), at(30));
    assert_eq!((endpoints.take_events(), endpoints.others().count()), (vec![], 1));
    endpoints.set_members(&members(), at(62).mono);
    assert_eq!(endpoints.others().count(), 2);
}

#[test]
fn who_says_that_it_stops_is_dead_until_its_next_life() {
    let mut endpoints = endpoints();
    endpoints.apply(OTHER, OTHER, told(WALL, 5), at(1));
    let mut state = told(WALL, 5).state;
    let version = Version(7);
    state.values.insert(Key::STATUS, Versioned { version, value: "shutdown,true".into() });
    endpoints.take_events();
    endpoints.apply(OTHER, OTHER, state.newer_than(Version(0)), at(2));
    state.heartbeat = Version(8);
    endpoints.apply(OTHER, OTHER, state.newer_than(Version(7)), at(3));
    assert_eq!(endpoints.take_events(), [Event::Changed(OTHER, Key::STATUS), Event::Dead(OTHER)]);
    endpoints.apply(OTHER, OTHER, told(WALL + 3, 1), at(4));
    assert_eq!(endpoints.take_events().last(), Some(&Event::Alive(OTHER)));
}

#[test]
fn what_was_set_again_is_not_told_again() {
    let mut endpoints = endpoints();
    assert!(endpoints.set(Key::LOAD, "5".into()));
    let before = endpoints.own().clone();
    assert!(endpoints.set(Key::LOAD, "5".into()));
    assert!(!endpoints.set(Key::LOAD, "5".repeat(MAX_VALUE_BYTES + 1)));
    assert_eq!(endpoints.own(), &before);
    assert!(endpoints.set(Key::LOAD, "6".into()));
    assert_eq!(endpoints.own().newest(), Version(2));
}
