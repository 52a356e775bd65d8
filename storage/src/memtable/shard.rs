//! A contiguous range of tokens: a directory of small trees.
//!
//! Tokens are hashes, so equal parts of a range hold about as many partitions each. The directory
//! is doubled as partitions come, which keeps the way to a partition at its slot and one node; a
//! part that is fuller than others is a deeper tree, no more.

use super::Partition;
use super::bucket::Bucket;
use dodona_types::read_command::{PartitionRange, RangeBound};
use dodona_types::{KeyRef, PartitionKey, Token};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Partitions for each tree of the directory, on average, before it is doubled.
const PARTITIONS_PER_TREE: usize = 8;

/// The partitions of the tokens whose first bits are the shard's.
#[derive(Debug)]
pub(super) struct Shard {
    /// By the bits behind the shard's own: none, or a power of two.
    trees: Vec<BTreeMap<Token, Bucket>>,
    /// How many first bits of a token the shard's tokens share.
    bits: u32,
    partitions: usize,
    /// A buffer for merging, used under the shard's lock.
    pub(super) scratch: Vec<u8>,
}

impl Shard {
    /// An empty shard of the tokens that share their first `bits` bits.
    pub(super) const fn new(bits: u32) -> Self {
        Self { trees: Vec::new(), bits, partitions: 0, scratch: Vec::new() }
    }

    /// Where the token's tree is.
    #[inline]
    fn slot(&self, token: Token) -> usize {
        slot(token, self.bits, self.trees.len())
    }

    /// The partition with this key.
    #[inline]
    pub(super) fn get(&self, key: KeyRef<'_>) -> Option<&Partition> {
        self.trees.get(self.slot(key.token))?.get(&key.token)?.get(key.bytes)
    }

    /// The partition with this key, whether it was made now, and the buffer for merging.
    pub(super) fn get_or_insert(&mut self, key: KeyRef<'_>) -> (&mut Partition, bool, &mut Vec<u8>) {
        if self.partitions >= self.trees.len() * PARTITIONS_PER_TREE {
            self.double();
        }
        let slot = self.slot(key.token);
        let (partition, is_new) = match self.trees[slot].entry(key.token) {
            Entry::Vacant(vacant) => (vacant.insert(Bucket::new(key.bytes)).get_or_insert(key.bytes).0, true),
            Entry::Occupied(occupied) => occupied.into_mut().get_or_insert(key.bytes),
        };
        self.partitions += usize::from(is_new);
        (partition, is_new, &mut self.scratch)
    }

    #[cold]
    fn double(&mut self) {
        let count = (2 * self.trees.len()).max(1);
        let mut trees = Vec::with_capacity(count);
        trees.resize_with(count, BTreeMap::new);
        for (token, bucket) in std::mem::take(&mut self.trees).into_iter().flatten() {
            trees[slot(token, self.bits, count)].insert(token, bucket);
        }
        self.trees = trees;
    }

    /// The first partitions at or behind `bound`, which is one of the shard's tokens or none, at most so many.
    pub(super) fn first_at(&self, bound: &RangeBound, at_most: usize) -> Vec<(PartitionKey, Partition)> {
        let (slot, start) = match bound {
            RangeBound::Unbounded => (0, Token::MIN),
            RangeBound::Token(token, _) => (self.slot(*token), *token),
            RangeBound::Key(key, _) => (self.slot(key.token()), key.token()),
        };
        let range = PartitionRange { start: bound.clone(), end: RangeBound::Unbounded };
        let mut found = Vec::new();
        for tree in self.trees.get(slot..).unwrap_or_default() {
            for (token, bucket) in tree.range(start..) {
                let partitions =
                    bucket.iter().map(|(bytes, partition)| (KeyRef { token: *token, bytes }, partition));
                for (key, partition) in partitions.filter(|(key, _)| range.starts_before(*key)) {
                    found.push((key.to_owned_key(), partition.clone()));
                    if found.len() == at_most {
                        return found;
                    }
                }
            }
        }
        found
    }
}

/// Which of `count` equal parts of a shard, a power of two, a token lies in.
#[inline]
fn slot(token: Token, shard_bits: u32, count: usize) -> usize {
    let directory_bits = count.max(1).ilog2();
    let behind = token.ordinal().wrapping_shl(shard_bits).checked_shr(u64::BITS - directory_bits);
    usize::try_from(behind.unwrap_or(0)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn partitions_are_found_and_come_in_order(
            mut tokens in prop::collection::vec(any::<u32>(), 1..300),
            shard_bits in 1u32..16,
            at_most in 1usize..9,
        ) {
            // The first shard's tokens; a few low bits make some of them meet.
            let token = |bits: u32| Token::from_ordinal(u64::from(bits >> 4) << 36 >> shard_bits);
            let mut shard = Shard::new(shard_bits);
            for bits in &tokens {
                let key = bits.to_be_bytes();
                shard.get_or_insert(KeyRef { token: token(*bits), bytes: &key });
            }
            for bits in &tokens {
                let key = bits.to_be_bytes();
                let found = shard.get(KeyRef { token: token(*bits), bytes: &key });
                prop_assert!(found.is_some());
            }
            tokens.sort_unstable();
            tokens.dedup();
            prop_assert_eq!(shard.partitions, tokens.len());
            let (mut bound, mut found) = (RangeBound::Unbounded, Vec::new());
            loop {
                let some = shard.first_at(&bound, at_most);
                let Some((last, _)) = some.last() else { break };
                prop_assert!(some.len() <= at_most);
                found.extend(some.iter().map(|(key, _)| u32::from_be_bytes(key.bytes()[..].try_into().unwrap())));
                bound = RangeBound::Key(last.clone(), false);
            }
            prop_assert_eq!(found, tokens);
        }
    }
}
