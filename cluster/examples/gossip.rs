//! How fast gossip spreads and what it costs: a simulation of the bare state machine, with messages
//! that take 0.2 to 5 ms, ticks that are not aligned, and three seeds.
//!
//! `cargo run --release -p dodona-cluster --example gossip`

use dodona_cluster::gossip::endpoints::{Event, Now};
use dodona_cluster::gossip::message::Message;
use dodona_cluster::gossip::protocol::{Gossip, GossipSettings, INTERVAL};
use dodona_cluster::gossip::state::{Generation, Key};
use dodona_cluster::liveness::Liveness;
use dodona_env::Random;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use uuid::Uuid;

const WALL_SECONDS: i64 = 1_700_000_000;
const KEYS: [(Key, &str); 11] = [
    (Key::STATUS, "NORMAL,-9223372036854775808"),
    (Key::LOAD, "123456789.0"),
    (Key::SCHEMA, "6a0f2d9e-2d63-3f4b-9a57-0d8c6a3a7d11"),
    (Key::DC, "datacenter1"),
    (Key::RACK, "rack1"),
    (Key::RELEASE_VERSION, "5.0.6"),
    (Key::INTERNAL_ADDRESS, "10.0.0.1:7000"),
    (Key::NATIVE_ADDRESS, "10.0.0.1:9042"),
    (Key::NET_VERSION, "12"),
    (Key::HOST_ID, "6a0f2d9e-2d63-4f4b-9a57-0d8c6a3a7d11"),
    (Key::RPC_READY, "true"),
];

enum Happening {
    Tick(usize),
    Arrives { from: usize, to: usize, message: Message },
}

/// A cluster without a network.
struct Cluster {
    nodes: Vec<Gossip>,
    has_crashed: Vec<bool>,
    queue: BTreeMap<(Duration, u64), Happening>,
    scheduled: u64,
    now: Duration,
    random: Random,
    bytes: u64,
    /// How often a node was taken for dead by another.
    deaths: usize,
}

fn host(index: usize) -> Uuid {
    Uuid::from_u128(index as u128 + 1)
}

fn address(index: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], index as u16))
}

impl Cluster {
    fn new(count: usize, seed: u64) -> Self {
        let members: Vec<_> = (0..count).map(|index| (host(index), address(index))).collect();
        let node = |index: usize| {
            let seeds = (0..count.min(3)).map(address).collect();
            let cluster = Uuid::from_u128(7);
            let settings = GossipSettings { cluster, host: host(index), address: address(index), seeds };
            let mut gossip = Gossip::new(settings, Generation(WALL_SECONDS));
            gossip.set_members(&members, Now { mono: Duration::ZERO, wall_seconds: WALL_SECONDS });
            for (key, value) in KEYS {
                gossip.set(key, value.to_owned());
            }
            gossip
        };
        let mut cluster = Self {
            nodes: (0..count).map(node).collect(),
            has_crashed: vec![false; count],
            queue: BTreeMap::new(),
            scheduled: 0,
            now: Duration::ZERO,
            random: Random::from_seed(seed),
            bytes: 0,
            deaths: 0,
        };
        for index in 0..count {
            let phase = Duration::from_micros(cluster.random.below(1_000_000));
            cluster.schedule(phase, Happening::Tick(index));
        }
        cluster
    }

    fn schedule(&mut self, after: Duration, happening: Happening) {
        self.scheduled += 1;
        self.queue.insert((self.now + after, self.scheduled), happening);
    }

    fn send(&mut self, from: usize, to: usize, message: Message) {
        self.bytes += message.encode().len() as u64;
        let delay = Duration::from_micros(200 + self.random.below(4_800));
        self.schedule(delay, Happening::Arrives { from, to, message });
    }

    /// Runs for a while, or until so many events that match have become known. Returns how many have.
    fn run(&mut self, limit: Duration, count: usize, matches: impl Fn(&Event) -> bool) -> usize {
        let mut found = 0;
        let end = self.now + limit;
        while let Some(((at, _), happening)) = self.queue.pop_first() {
            self.now = at;
            let now = Now { mono: at, wall_seconds: WALL_SECONDS + at.as_secs().cast_signed() };
            let node = match happening {
                Happening::Tick(node) => {
                    self.schedule(INTERVAL, Happening::Tick(node));
                    if !self.has_crashed[node] {
                        for outgoing in self.nodes[node].tick(now, &self.random) {
                            self.send(node, usize::from(outgoing.to.port()), outgoing.message);
                        }
                    }
                    node
                }
                Happening::Arrives { from, to, message } => {
                    if !self.has_crashed[to]
                        && let Some(answer) = self.nodes[to].receive(message, now)
                    {
                        self.send(to, from, answer);
                    }
                    to
                }
            };
            for event in self.nodes[node].take_events() {
                found += usize::from(matches(&event));
                self.deaths += usize::from(matches!(event, Event::Dead(_)));
            }
            if at >= end || found >= count {
                break;
            }
        }
        found
    }

    /// How long it takes until so many nodes know of an event, in seconds; none if it takes too long.
    fn time_until(&mut self, count: usize, matches: impl Fn(&Event) -> bool) -> Option<f64> {
        let start = self.now;
        let found = self.run(Duration::from_secs(60), count, matches);
        (found == count).then(|| (self.now - start).as_secs_f64())
    }
}

/// What was measured of a cluster; times in seconds.
#[derive(Debug, PartialEq)]
struct Figures {
    /// Until everybody knew that everybody is alive, after all had started at once.
    all_alive: f64,
    /// Until a new value was known to all: mean and longest.
    spread: (f64, f64),
    /// Until a crashed node was dead to the first and to the last.
    convicted: (f64, f64),
    /// Bytes sent by a node in a second when nothing happens but heartbeats.
    bytes_per_second: f64,
    /// Nodes that were taken for dead and lived.
    wrongly_convicted: usize,
}

fn measure(count: usize, warm_up: u64, values: usize) -> Option<Figures> {
    let mut cluster = Cluster::new(count, 1);
    let everybody = count * (count - 1);
    let all_alive = cluster.time_until(everybody, |event| matches!(event, Event::Alive(_)))?;
    cluster.bytes = 0;
    cluster.run(Duration::from_secs(warm_up), usize::MAX, |_| false);
    let bytes_per_second = cluster.bytes as f64 / (warm_up as usize * count) as f64;
    let mut times = Vec::new();
    for n in 0..values {
        let teller = cluster.random.below(count as u64) as usize;
        cluster.nodes[teller].set(Key::LOAD, n.to_string());
        let changed = Event::Changed(host(teller), Key::LOAD);
        times.push(cluster.time_until(count - 1, |event| *event == changed)?);
    }
    let spread = (times.iter().sum::<f64>() / values as f64, times.iter().copied().fold(0.0, f64::max));
    let crashed = count - 1;
    cluster.has_crashed[crashed] = true;
    let dead = Event::Dead(host(crashed));
    let first = cluster.time_until(1, |event| *event == dead)?;
    let others = if count > 2 { cluster.time_until(count - 2, |event| *event == dead)? } else { 0.0 };
    let nobody_believes = (0..crashed).all(|node| !cluster.nodes[node].live().is_alive(host(crashed)));
    nobody_believes.then_some(Figures {
        all_alive,
        spread,
        convicted: (first, first + others),
        bytes_per_second,
        wrongly_convicted: cluster.deaths - (count - 1),
    })
}

fn main() {
    println!(
        "| nodes | all alive, s | a value known to all, s: mean, longest | a crash noticed, s: first, last | B/s sent by a node | wrongly convicted |"
    );
    println!("|---|---|---|---|---|---|");
    for count in [3, 10, 50, 200] {
        let Some(figures) = measure(count, 120, 20) else {
            println!("| {count} | it did not come to an end |");
            continue;
        };
        println!(
            "| {count} | {:.1} | {:.1}, {:.1} | {:.1}, {:.1} | {:.0} | {} |",
            figures.all_alive,
            figures.spread.0,
            figures.spread.1,
            figures.convicted.0,
            figures.convicted.1,
            figures.bytes_per_second,
            figures.wrongly_convicted,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_sane(figures: &Figures) {
        assert!(figures.all_alive < 15.0, "{figures:?}");
        assert!(figures.spread.1 < 12.0, "{figures:?}");
        assert!(figures.convicted.0 > 15.0 && figures.convicted.1 < 40.0, "{figures:?}");
        assert!(figures.bytes_per_second < 40_000.0, "{figures:?}");
        assert_eq!(figures.wrongly_convicted, 0, "{figures:?}");
    }

    #[test]
    fn among_200_nodes_news_spread_in_seconds_and_a_crash_is_noticed_by_all() {
        assert_sane(&measure(200, 15, 3).unwrap());
    }

    #[test]
    fn small_clusters_are_as_quick_and_the_same_seed_gives_the_same_run() {
        for count in [2, 3, 10] {
            let figures = measure(count, 30, 5).unwrap();
            assert_sane(&figures);
            assert_eq!(measure(count, 30, 5).unwrap(), figures);
        }
    }
}
