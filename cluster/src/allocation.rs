//! Tokens for a node that joins, chosen so that all nodes hold equal shares of the data: what
//! Cassandra's `ReplicationAwareTokenAllocator` is for, by another way.
//!
//! A token that is put into a range changes who holds the part of the range before it, and in
//! whole ranges before that one, whose replicas are met later on the ring. So the shares of the nodes
//! are linear in the place of the token within the range, the sum of their squares is a parabola, and
//! the best place in each range is known at once. The best range is taken, token after token; then
//! each token in turn is taken up again and put where it is best beside all the others.

use crate::ring::{Member, Status};
use dodona_types::Token;
use std::collections::{BTreeMap, BTreeSet};

/// How often each token is looked at again.
const PASSES: usize = 2;
/// A token is not put nearer to either end of a range than this part of it.
const MARGIN: f64 = 0.1;
/// Ranges are looked at, the longest first, until so many entries of the ring have been read for
/// one token: a bound on time for rings on which replicas are far apart.
const WORK: usize = 400_000;
/// Offsets that are tried for evenly spaced tokens.
const OFFSETS: u64 = 64;

/// Tokens for a node that joins these members in a data centre and rack, for keyspaces with so many
/// copies in the data centre.
#[must_use]
pub fn tokens_for(
    members: &[Member],
    data_center: &str,
    rack: &str,
    count: usize,
    replication_factor: usize,
) -> Vec<Token> {
    let stays = |member: &&Member| {
        member.data_center == data_center
            && !matches!(member.status, Status::Leaving | Status::Removing | Status::Departing)
    };
    let existing: Vec<(&str, &[Token])> =
        members.iter().filter(stays).map(|member| (&*member.rack, &*member.tokens)).collect();
    let mut taken: BTreeSet<Token> =
        members.iter().flat_map(|member| member.tokens.iter().copied()).collect();
    let mut tokens = allocate(&existing, rack, count, replication_factor);
    for token in &mut tokens {
        // Those of other data centres may be the same.
        while !taken.insert(*token) {
            *token = Token::from_ordinal(token.ordinal().wrapping_add(1).max(1));
        }
    }
    tokens
}

/// Tokens for a node that joins others of its data centre, each with its rack and tokens. They are
/// sorted, none of them is there yet, and they depend on nothing else.
#[must_use]
pub fn allocate(
    existing: &[(&str, &[Token])],
    rack: &str,
    count: usize,
    replication_factor: usize,
) -> Vec<Token> {
    let mut allocation = Allocation::new(existing, rack, replication_factor.max(1));
    if allocation.holds_everything() {
        allocation.place_evenly(count);
    } else {
        for placed in 1..=count {
            allocation.place(1.0 - placed as f64 / count as f64);
        }
        for _ in 0..PASSES {
            for nth in 0..count {
                allocation.take_up(nth);
                allocation.place(0.0);
            }
        }
    }
    let node = allocation.node;
    let own = allocation.tokens.iter().filter(|(_, owner)| *owner == node);
    own.map(|(ordinal, _)| Token::from_ordinal(*ordinal)).collect()
}

/// The share of the data that each node holds, by its rack and tokens.
#[must_use]
pub fn shares(nodes: &[(&str, &[Token])], replication_factor: usize) -> Vec<f64> {
    // The one that joins has no tokens, and is in a rack that there is.
    let rack = nodes.first().map_or("", |(rack, _)| rack);
    let mut allocation = Allocation::new(nodes, rack, replication_factor.max(1));
    allocation.survey();
    allocation.shares.truncate(nodes.len());
    allocation.shares
}

/// A place for a token.
struct Place {
    ordinal: u64,
    /// The sum of squares of shares that it brings.
    cost: f64,
}

/// A ring to which a node is added.
struct Allocation {
    /// Tokens as ordinals, sorted, with their nodes.
    tokens: Vec<(u64, usize)>,
    /// The rack of each node.
    racks: Vec<usize>,
    rack_count: usize,
    replication_factor: usize,
    /// The node that joins: the last one.
    node: usize,
    /// The replicas of each range, by its end, and how many entries they are spread over.
    replicas: Vec<(Vec<usize>, usize)>,
    /// The share of each node.
    shares: Vec<f64>,
}

impl Allocation {
    fn new(existing: &[(&str, &[Token])], rack: &str, replication_factor: usize) -> Self {
        let mut numbers = BTreeMap::new();
        for (rack, _) in existing.iter().chain([&(rack, &[] as &[Token])]) {
            let next = numbers.len();
            numbers.entry(*rack).or_insert(next);
        }
        let racks = existing.iter().map(|(rack, _)| *rack).chain([rack]);
        let mut tokens: Vec<(u64, usize)> = existing
            .iter()
            .enumerate()
            .flat_map(|(node, (_, tokens))| tokens.iter().map(move |token| (token.ordinal(), node)))
            .collect();
        tokens.sort_unstable();
        Self {
            tokens,
            racks: racks.map(|rack| numbers[rack]).collect(),
            rack_count: numbers.len(),
            replication_factor,
            node: existing.len(),
            replicas: Vec::new(),
            shares: Vec::new(),
        }
    }

    /// True if the node holds everything wherever its tokens are.
    fn holds_everything(&self) -> bool {
        let is_alone = !self.racks[..self.node].contains(&self.racks[self.node]);
        self.racks.len() <= self.replication_factor
            || (is_alone && self.rack_count <= self.replication_factor)
            || self.tokens.is_empty()
    }

    /// Tokens at equal distances, as far from the others as possible.
    fn place_evenly(&mut self, count: usize) {
        let spacing = (u128::from(u64::MAX) + 1) / count.max(1) as u128;
        let ordinal = |offset: u64, n: usize| {
            let within = spacing * u128::from(offset) / u128::from(OFFSETS);
            (spacing * n as u128 + within) as u64
        };
        let distance = |offset: u64| {
            let nearest = (0..count).map(|n| {
                let at = ordinal(offset, n);
                let next = self.tokens.partition_point(|(end, _)| *end < at) % self.tokens.len().max(1);
                let before = next.checked_sub(1).unwrap_or(self.tokens.len().saturating_sub(1));
                let of = |index: usize| self.tokens.get(index).map_or(u64::MAX, |(end, _)| *end);
                of(next).wrapping_sub(at).min(at.wrapping_sub(of(before)))
            });
            nearest.min().unwrap_or(0)
        };
        // Not 0: no key has the first token of all.
        let offset = (1..=OFFSETS).max_by_key(|offset| (distance(*offset), *offset)).unwrap_or(OFFSETS);
        for n in 0..count {
            let mut at = ordinal(offset, n);
            while at == 0 || self.tokens.iter().any(|(end, _)| *end == at) {
                at = at.wrapping_add(1);
            }
            self.tokens.push((at, self.node));
        }
        self.tokens.sort_unstable();
    }

    /// The size of the range that ends at an entry, as a part of the ring.
    fn size(&self, index: usize) -> f64 {
        let before = index.checked_sub(1).unwrap_or(self.tokens.len() - 1);
        let size = self.tokens[index].0.wrapping_sub(self.tokens[before].0);
        // A single token's range is the whole ring.
        if size == 0 { 1.0 } else { size as f64 / 2f64.powi(64) }
    }

    /// The replicas of the range that ends at an entry, if the node that joins had a token before the
    /// entry `inserted`; and how many entries were read. (Cassandra `NetworkTopologyStrategy`.)
    fn walk(&self, from: usize, inserted: Option<usize>) -> (Vec<usize>, usize) {
        let (mut replicas, mut skipped, mut racks) = (Vec::new(), Vec::new(), Vec::new());
        let wanted = self.replication_factor.min(self.racks.len());
        let mut read = 0;
        while read < self.tokens.len() && replicas.len() < wanted {
            let index = (from + read) % self.tokens.len();
            let joining = (inserted == Some(index)).then_some(self.node);
            for node in joining.into_iter().chain([self.tokens[index].1]) {
                if replicas.len() == wanted || replicas.contains(&node) {
                    continue;
                }
                let rack = self.racks[node];
                if racks.contains(&rack) {
                    if racks.len() < self.rack_count {
                        if !skipped.contains(&node) {
                            skipped.push(node);
                        }
                        continue;
                    }
                } else {
                    racks.push(rack);
                }
                replicas.push(node);
                if racks.len() == self.rack_count {
                    let room = wanted - replicas.len();
                    replicas.extend(skipped.drain(..).take(room));
                }
            }
            read += 1;
        }
        (replicas, read)
    }

    /// Finds out who holds what.
    fn survey(&mut self) {
        self.replicas = (0..self.tokens.len()).map(|index| self.walk(index, None)).collect();
        self.shares = vec![0.0; self.racks.len()];
        for (index, (replicas, _)) in self.replicas.iter().enumerate() {
            let size = self.size(index);
            for node in replicas {
                self.shares[*node] += size;
            }
        }
    }

    /// Puts a token where it is best, if this part of the node's tokens is still to come.
    fn place(&mut self, to_come: f64) {
        self.survey();
        let rack = self.racks[self.node];
        let beside = self.racks[..self.node].iter().filter(|other| **other == rack).count();
        let held: f64 =
            (0..=self.node).filter(|node| self.racks[*node] == rack).map(|node| self.shares[node]).sum();
        // What the tokens to come will bring is not to be had by this one.
        self.shares[self.node] += to_come * held / (beside + 1) as f64;
        let mut longest: Vec<usize> = (0..self.tokens.len()).collect();
        longest.sort_by(|left, right| self.size(*right).total_cmp(&self.size(*left)));
        let mut best: Option<Place> = None;
        let mut work = 0;
        for index in longest {
            let place = self.best_within(index, &mut work);
            if place.as_ref().is_some_and(|place| best.as_ref().is_none_or(|best| place.cost < best.cost)) {
                best = place;
            }
            if work > WORK {
                break;
            }
        }
        if let Some(Place { ordinal, .. }) = best {
            let at = self.tokens.partition_point(|(end, _)| *end < ordinal);
            self.tokens.insert(at, (ordinal, self.node));
        }
    }

    /// Takes up the nth token of the node.
    fn take_up(&mut self, nth: usize) {
        let mut own = (0..self.tokens.len()).filter(|index| self.tokens[*index].1 == self.node);
        if let Some(index) = own.nth(nth) {
            self.tokens.remove(index);
        }
    }

    /// The best place within the range that ends at an entry; none if there is no room.
    fn best_within(&self, index: usize, work: &mut usize) -> Option<Place> {
        let count = self.tokens.len();
        let size = self.size(index);
        // By node: what it gains whatever the place, and what for each part of the ring before it.
        let mut gains: Vec<(usize, f64, f64)> = Vec::new();
        let mut gain =
            |node: usize, fixed: f64, slope: f64| match gains.iter_mut().find(|(other, ..)| *other == node) {
                Some((_, present, present_slope)) => {
                    *present += fixed;
                    *present_slope += slope;
                }
                None => gains.push((node, fixed, slope)),
            };
        let (replicas, read) = self.walk(index, Some(index));
        *work += read + 4;
        for node in &self.replicas[index].0 {
            gain(*node, 0.0, -1.0);
        }
        for node in replicas {
            gain(node, 0.0, 1.0);
        }
        for back in 1..count {
            let earlier = (index + count - back) % count;
            let (before, reach) = &self.replicas[earlier];
            // This one meets the node sooner, or does not come so far.
            if self.tokens[earlier].1 == self.node || *reach <= back {
                break;
            }
            let (after, read) = self.walk(earlier, Some(index));
            *work += read + 4;
            let size = self.size(earlier);
            for node in before.iter().filter(|node| !after.contains(node)) {
                gain(*node, -size, 0.0);
            }
            for node in after.iter().filter(|node| !before.contains(node)) {
                gain(*node, size, 0.0);
            }
        }
        let (mut slope, mut square) = (0.0, 0.0);
        for (node, fixed, each) in &gains {
            slope += (self.shares[*node] + fixed) * each;
            square += each * each;
        }
        let best = if square > 0.0 { -slope / square } else { size / 2.0 };
        let part = (best / size).clamp(MARGIN, 1.0 - MARGIN);
        let cost = gains.iter().map(|(node, fixed, each)| {
            let share = self.shares[*node];
            (share + fixed + each * part * size).powi(2) - share.powi(2)
        });
        let cost = cost.sum();
        let start = self.tokens[index.checked_sub(1).unwrap_or(count - 1)].0;
        // Not 0: no key has the first token of all.
        let ordinal = start.wrapping_add((part * size * 2f64.powi(64)) as u64).max(1);
        let is_new = self.tokens.binary_search_by_key(&ordinal, |(end, _)| *end).is_err();
        is_new.then_some(Place { ordinal, cost })
    }
}

#[cfg(test)]
#[path = "allocation_tests.rs"]
mod tests;
