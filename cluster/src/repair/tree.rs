//! Hashes of what a replica holds of a range of the ring, by equal parts of it.

use dodona_storage::reconcile::Hashed;
use dodona_types::Token;
use dodona_types::token::TokenRange;
use twox_hash::XxHash3_128;

/// The most parts of one range.
pub const MAX_LEAVES: usize = 1 << 15;

/// A range in equal parts, the leaves, each with the hash of all partitions in it. Replicas whose
/// [`Self::root`] is the same hold the same; else the leaves tell in which parts they differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashTree {
    range: TokenRange,
    leaves: Vec<u128>,
}

impl HashTree {
    /// A tree of nothing, of about so many leaves: at least one, at most [`MAX_LEAVES`], and none that
    /// holds no token.
    #[must_use]
    pub fn new(range: TokenRange, leaves: usize) -> Self {
        let most = usize::try_from(range.width()).unwrap_or(MAX_LEAVES);
        Self { range, leaves: vec![0; leaves.clamp(1, MAX_LEAVES.min(most))] }
    }

    /// The tree that another has told the leaves of. None if it is not of this size.
    #[must_use]
    pub fn with_leaves(&self, leaves: Vec<u128>) -> Option<Self> {
        (leaves.len() == self.leaves.len()).then_some(Self { range: self.range, leaves })
    }

    /// The range.
    #[must_use]
    pub const fn range(&self) -> TokenRange {
        self.range
    }

    /// The leaves' hashes.
    #[must_use]
    pub fn leaves(&self) -> &[u128] {
        &self.leaves
    }

    /// Adds a partition of the range, in any order.
    pub fn add(&mut self, hashed: Hashed) {
        let leaf = self.leaf_of(hashed.token);
        // Digests of different partitions are independent of each other: so is their sum of what it was.
        self.leaves[leaf] = self.leaves[leaf].wrapping_add(hashed.digest);
    }

    fn leaf_of(&self, token: Token) -> usize {
        let offset = u128::from(token.ordinal().wrapping_sub(self.range.start.ordinal()).wrapping_sub(1));
        let count = self.leaves.len() as u128;
        ((offset * count / self.range.width()) as usize).min(self.leaves.len() - 1)
    }

    /// The part of the range that a leaf stands for.
    #[must_use]
    pub fn part(&self, leaf: usize) -> TokenRange {
        let (width, count) = (self.range.width(), self.leaves.len() as u128);
        let bound = |leaf: usize| {
            let offset = (leaf as u128 * width).div_ceil(count) as u64;
            Token::from_ordinal(self.range.start.ordinal().wrapping_add(offset))
        };
        TokenRange { start: bound(leaf), end: bound(leaf + 1) }
    }

    /// The hash of all leaves.
    #[must_use]
    pub fn root(&self) -> u128 {
        let mut hasher = XxHash3_128::new();
        self.leaves.iter().for_each(|leaf| hasher.write(&leaf.to_le_bytes()));
        hasher.finish_128()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hashed(token: i64, digest: u128) -> Hashed {
        Hashed { token: Token(token), digest, bytes: 1 }
    }

    proptest! {
        #[test]
        fn each_token_lies_in_the_part_of_its_leaf(start: i64, end: i64, inside: u64, leaves in 1usize..70) {
            let range = TokenRange { start: Token(start), end: Token(end) };
            let tree = HashTree::new(range, leaves);
            let offset = (u128::from(inside) % range.width()) as u64 + 1;
            let token = Token::from_ordinal(range.start.ordinal().wrapping_add(offset));
            prop_assert!(tree.part(tree.leaf_of(token)).contains(token));
        }

        #[test]
        fn small_ranges_have_no_leaf_without_tokens(start: i64, length in 1i64..20, leaves in 1usize..70) {
            let range = TokenRange { start: Token(start), end: Token(start.wrapping_add(length)) };
            let tree = HashTree::new(range, leaves);
            let parts: Vec<TokenRange> = (0..tree.leaves().len()).map(|leaf| tree.part(leaf)).collect();
            prop_assert!(parts.iter().all(|part| part.start != part.end || parts.len() == 1));
            prop_assert_eq!(parts[0].start, range.start);
            prop_assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
            prop_assert_eq!(parts.last().unwrap().end, range.end);
        }

        #[test]
        fn the_order_of_partitions_does_not_matter_and_each_of_them_does(
            partitions in prop::collection::btree_map(any::<i64>(), 1u128.., 1..20), left_out: prop::sample::Index,
        ) {
            let tree = |partitions: &mut dyn Iterator<Item = (&i64, &u128)>| {
                let mut tree = HashTree::new(TokenRange::FULL, 16);
                partitions.for_each(|(token, digest)| tree.add(hashed(*token, *digest)));
                tree
            };
            let all = tree(&mut partitions.iter());
            prop_assert_eq!(all.root(), tree(&mut partitions.iter().rev()).root());
            let without = left_out.index(partitions.len());
            let fewer = partitions.iter().enumerate().filter(|(index, _)| *index != without);
            prop_assert_ne!(all.root(), tree(&mut fewer.map(|(_, partition)| partition)).root());
        }
    }
}
