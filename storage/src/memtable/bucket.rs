//! The partitions of one token: nearly always one, in place.

use super::Partition;

/// Partitions by their keys, sorted.
#[derive(Debug, Default)]
pub(super) enum Bucket {
    /// None yet.
    #[default]
    Empty,
    /// One, in place.
    One(Entry),
    /// Keys that share a token.
    Many(Vec<Entry>),
}

/// A partition with its key.
#[derive(Debug)]
pub(super) struct Entry {
    key: Box<[u8]>,
    partition: Partition,
}

impl Bucket {
    fn entries(&self) -> &[Entry] {
        match self {
            Self::Empty => &[],
            Self::One(entry) => std::slice::from_ref(entry),
            Self::Many(entries) => entries,
        }
    }

    /// The partition with this key.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Partition> {
        self.entries().iter().find(|entry| *entry.key == *key).map(|entry| &entry.partition)
    }

    /// The partition with this key, and whether it was made now.
    pub(super) fn get_or_insert(&mut self, key: &[u8]) -> (&mut Partition, bool) {
        let entry = || Entry { key: key.into(), partition: Partition::default() };
        match self.entries().binary_search_by(|entry| (*entry.key).cmp(key)) {
            Ok(place) => (&mut self.entries_mut()[place].partition, false),
            Err(place) => {
                *self = match std::mem::take(self) {
                    Self::Empty => Self::One(entry()),
                    Self::One(other) => {
                        let mut entries = vec![other];
                        entries.insert(place, entry());
                        Self::Many(entries)
                    }
                    Self::Many(mut entries) => {
                        entries.insert(place, entry());
                        Self::Many(entries)
                    }
                };
                (&mut self.entries_mut()[place].partition, true)
            }
        }
    }

    fn entries_mut(&mut self) -> &mut [Entry] {
        match self {
            Self::Empty => &mut [],
            Self::One(entry) => std::slice::from_mut(entry),
            Self::Many(entries) => entries,
        }
    }

    /// All partitions with their keys, in the order of the keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Partition)> {
        self.entries().iter().map(|entry| (&*entry.key, &entry.partition))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_share_a_token_stay_apart_and_sorted() {
        let mut bucket = Bucket::default();
        for (key, is_new) in [(b"m".as_slice(), true), (b"a", true), (b"z", true), (b"m", false)] {
            assert_eq!(bucket.get_or_insert(key).1, is_new);
        }
        let keys: Vec<&[u8]> = bucket.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [b"a".as_slice(), b"m", b"z"]);
        assert!(bucket.get(b"a").is_some() && bucket.get(b"b").is_none());
    }
}
