//! The partitions of one token: nearly always one.

use super::Partition;
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// Bytes of a key that lie beside its partition; longer ones have an allocation of their own.
const INLINE_KEY_BYTES: usize = 16;

/// Partitions by their keys, sorted.
#[derive(Debug)]
pub(super) enum Bucket {
    /// One.
    One(Box<Entry>),
    /// Keys that share a token. Anyone can make many of them: hence a tree.
    Many(Box<Collisions>),
}

/// A partition with its key.
#[derive(Debug)]
pub(super) struct Entry {
    key: SmallVec<[u8; INLINE_KEY_BYTES]>,
    partition: Partition,
}

/// Partitions whose keys share a token.
#[derive(Debug, Default)]
pub(super) struct Collisions {
    partitions: BTreeMap<Box<[u8]>, Partition>,
}

impl Bucket {
    /// A new partition.
    pub(super) fn new(key: &[u8]) -> Self {
        Self::One(Box::new(Entry { key: SmallVec::from_slice(key), partition: Partition::default() }))
    }

    /// The partition with this key.
    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Option<&Partition> {
        match self {
            Self::One(entry) => (*entry.key == *key).then_some(&entry.partition),
            Self::Many(collisions) => collisions.partitions.get(key),
        }
    }

    /// The partition with this key, and whether it was made now.
    #[inline]
    pub(super) fn get_or_insert(&mut self, key: &[u8]) -> (&mut Partition, bool) {
        if matches!(self, Self::One(entry) if *entry.key != *key) {
            self.collide();
        }
        match self {
            Self::One(entry) => (&mut entry.partition, false),
            Self::Many(collisions) => {
                let is_new = !collisions.partitions.contains_key(key);
                (collisions.partitions.entry(key.into()).or_default(), is_new)
            }
        }
    }

    #[cold]
    fn collide(&mut self) {
        if let Self::One(entry) = std::mem::replace(self, Self::Many(Box::default()))
            && let Self::Many(collisions) = self
        {
            collisions.partitions.insert(entry.key.as_slice().into(), entry.partition);
        }
    }

    /// All partitions with their keys, in the order of the keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Partition)> {
        let (one, many) = match self {
            Self::One(entry) => (Some((entry.key.as_slice(), &entry.partition)), None),
            Self::Many(collisions) => (None, Some(&collisions.partitions)),
        };
        one.into_iter().chain(many.into_iter().flatten().map(|(key, partition)| (&**key, partition)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_share_a_token_stay_apart_and_sorted() {
        let mut bucket = Bucket::new(b"m");
        for (key, is_new) in
            [(b"m".as_slice(), false), (b"a", true), (b"z", true), (b"m", false), (b"a", false)]
        {
            assert_eq!(bucket.get_or_insert(key).1, is_new);
        }
        let keys: Vec<&[u8]> = bucket.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [b"a".as_slice(), b"m", b"z"]);
        assert!(bucket.get(b"a").is_some() && bucket.get(b"b").is_none());
    }
}
