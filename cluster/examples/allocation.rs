//! How evenly data lie on nodes that joined one after another.
//!
//! `cargo run --release -p dodona-cluster --example allocation`
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "a measurement of real time")]

use dodona_cluster::allocation::{allocate, shares};
use dodona_env::Random;
use dodona_types::Token;
use std::time::Instant;

const TOKENS: usize = 16;
const REPLICATION_FACTOR: usize = 3;
const NODES: [usize; 7] = [3, 4, 5, 10, 30, 100, 200];
const RACKS: [&str; 3] = ["r1", "r2", "r3"];

type Nodes = Vec<(&'static str, Vec<Token>)>;

fn borrowed(nodes: &Nodes) -> Vec<(&str, &[Token])> {
    nodes.iter().map(|(rack, tokens)| (*rack, &**tokens)).collect()
}

/// The least and the greatest share, by the mean.
fn spread(nodes: &Nodes) -> (f64, f64) {
    let shares = shares(&borrowed(nodes), REPLICATION_FACTOR);
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    let least = shares.iter().copied().fold(f64::MAX, f64::min);
    (least / mean, shares.iter().copied().fold(0.0, f64::max) / mean)
}

fn main() {
    println!(
        "| nodes | racks | min / mean | max / mean | at random: min / mean | max / mean | last one took, ms |"
    );
    println!("|---|---|---|---|---|---|---|");
    let random = Random::from_seed(1);
    for racks in [1, 3] {
        let (mut nodes, mut drawn) = (Nodes::new(), Nodes::new());
        for count in 1..=NODES[NODES.len() - 1] {
            let rack = RACKS[(count - 1) % racks];
            let start = Instant::now();
            let tokens = allocate(&borrowed(&nodes), rack, TOKENS, REPLICATION_FACTOR);
            let took = start.elapsed();
            nodes.push((rack, tokens));
            drawn.push((rack, (0..TOKENS).map(|_| Token::from_ordinal(random.next_u64())).collect()));
            if NODES.contains(&count) {
                let ((min, max), (drawn_min, drawn_max)) = (spread(&nodes), spread(&drawn));
                println!(
                    "| {count} | {racks} | {min:.3} | {max:.3} | {drawn_min:.2} | {drawn_max:.2} | {:.1} |",
                    took.as_secs_f64() * 1e3,
                );
            }
        }
    }
}
