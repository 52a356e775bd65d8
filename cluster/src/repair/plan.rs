//! Who fetches what from whom, so that all hold the same afterwards.

use super::tree::HashTree;
use dodona_types::token::TokenRange;
use std::collections::BTreeMap;

/// What one replica fetches: ranges, by the place of the replica that has them.
pub type Fetches = BTreeMap<usize, Vec<TokenRange>>;

/// For each replica, by its place, what it fetches. `trees` are those of the replicas for each range,
/// of the same sizes. Of replicas that hold the same, one is asked.
#[must_use]
pub fn fetches(trees: &[Vec<HashTree>]) -> Vec<Fetches> {
    let mut fetches = vec![Fetches::new(); trees.len()];
    for (range, leaf) in differing(trees) {
        let mut holders: BTreeMap<u128, Vec<usize>> = BTreeMap::new();
        for (replica, trees) in trees.iter().enumerate() {
            holders.entry(trees[range].leaves()[leaf]).or_default().push(replica);
        }
        let part = trees[0][range].part(leaf);
        for (replica, own) in fetches.iter_mut().enumerate() {
            let others = holders.values().filter(|holders| !holders.contains(&replica));
            // They do not all ask the same one.
            for holder in others.map(|holders| holders[replica % holders.len()]) {
                join(own.entry(holder).or_default(), part);
            }
        }
    }
    fetches
}

/// The parts in which replicas differ: the place of the range, and the leaf in its tree.
pub fn differing(trees: &[Vec<HashTree>]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let ranges = trees.first().map_or(0, Vec::len);
    let leaves = move |range: usize| (0..trees[0][range].leaves().len()).map(move |leaf| (range, leaf));
    (0..ranges).flat_map(leaves).filter(|(range, leaf)| {
        let hash = |trees: &Vec<HashTree>| trees[*range].leaves()[*leaf];
        trees.iter().any(|other| hash(other) != hash(&trees[0]))
    })
}

/// Adds a range, to the last one if that ends where this one begins.
fn join(ranges: &mut Vec<TokenRange>, range: TokenRange) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_storage::reconcile::Hashed;
    use dodona_types::Token;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn everybody_has_everything_afterwards_and_nobody_asks_whoever_holds_the_same(
            held in prop::collection::vec(prop::collection::btree_set(0u8..40, 0..12), 2..5),
        ) {
            let ranges = [(-200, -100), (-100, 60), (60, 300)]
                .map(|(start, end)| TokenRange { start: Token(start), end: Token(end) });
            let token = |item: u8| Token(i64::from(item) * 12 - 199);
            let trees_of = |items: &BTreeSet<u8>| {
                let trees = ranges.iter().map(|range| {
                    let mut tree = HashTree::new(*range, 8);
                    for item in items.iter().filter(|item| range.contains(token(**item))) {
                        tree.add(Hashed { token: token(*item), digest: 1 << item, bytes: 1 });
                    }
                    tree
                });
                trees.collect::<Vec<_>>()
            };
            let trees: Vec<Vec<HashTree>> = held.iter().map(trees_of).collect();
            let planned = fetches(&trees);
            let everything: BTreeSet<u8> = held.iter().flatten().copied().collect();
            for (replica, fetches) in planned.iter().enumerate() {
                let mut now = held[replica].clone();
                for (holder, ranges) in fetches {
                    prop_assert!(*holder != replica);
                    let lies = |item: &&u8| ranges.iter().any(|range| range.contains(token(**item)));
                    let differs = held[*holder].symmetric_difference(&held[replica]).filter(lies).count();
                    prop_assert!(differs > 0);
                    now.extend(held[*holder].iter().filter(lies));
                }
                prop_assert_eq!(&now, &everything);
            }
        }
    }
}
