//! A block of sorted entries, prefix-compressed, with restart points to search it.
//!
//! ```text
//! block := entry*, restart offset u32*, count of restarts u32
//! entry := shared varint, unshared varint, value length varint, unshared key bytes, value
//! ```
//! An entry's key begins with `shared` bytes of the key before it; at a restart it shares none.

use dodona_types::codec::{DecodeError, Reader, put_varint};
use std::ops::Range;

/// Entries between two restart points.
const RESTART_INTERVAL: usize = 16;

/// Builds a block.
#[derive(Debug, Default)]
pub struct BlockBuilder {
    out: Vec<u8>,
    restarts: Vec<u32>,
    entries: usize,
    first_key: Vec<u8>,
    last_key: Vec<u8>,
}

impl BlockBuilder {
    /// Appends an entry; keys must increase.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        debug_assert!(self.entries == 0 || self.last_key.as_slice() < key, "keys must increase");
        let shared = if self.entries.is_multiple_of(RESTART_INTERVAL) {
            self.restarts.push(self.out.len() as u32);
            0
        } else {
            key.iter().zip(&self.last_key).take_while(|(a, b)| a == b).count()
        };
        if self.entries == 0 {
            self.first_key.extend_from_slice(key);
        }
        put_varint(&mut self.out, shared as u64);
        put_varint(&mut self.out, (key.len() - shared) as u64);
        put_varint(&mut self.out, value.len() as u64);
        self.out.extend_from_slice(&key[shared..]);
        self.out.extend_from_slice(value);
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(&key[shared..]);
        self.entries += 1;
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len() + self.restarts.len() * 4 + 4
    }

    /// True without entries.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The first entry's key.
    #[must_use]
    pub fn first_key(&self) -> &[u8] {
        &self.first_key
    }

    /// Ends the block, calls `take` with its bytes and starts an empty one.
    pub fn finish<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> T {
        for restart in &self.restarts {
            self.out.extend_from_slice(&restart.to_le_bytes());
        }
        self.out.extend_from_slice(&(self.restarts.len() as u32).to_le_bytes());
        let taken = take(&self.out);
        self.out.clear();
        self.restarts.clear();
        self.first_key.clear();
        self.last_key.clear();
        self.entries = 0;
        taken
    }
}

/// A decoded block in memory.
#[derive(Debug)]
pub struct Block {
    bytes: Box<[u8]>,
    /// Where the entries end and the restarts begin.
    entries_end: usize,
    restarts: usize,
}

impl Block {
    /// Takes a block's bytes.
    ///
    /// # Errors
    /// The list of restarts does not fit.
    pub fn new(bytes: Box<[u8]>) -> Result<Self, DecodeError> {
        let error = DecodeError { offset: bytes.len(), reason: "restarts of a block" };
        let count_at = bytes.len().checked_sub(4).ok_or(error.clone())?;
        let restarts = Reader::new(&bytes[count_at..]).u32()? as usize;
        let entries_end =
            restarts.checked_mul(4).and_then(|bytes| count_at.checked_sub(bytes)).ok_or(error)?;
        Ok(Self { bytes, entries_end, restarts })
    }

    /// Bytes of memory.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.bytes.len() + 64
    }

    fn restart(&self, index: usize) -> usize {
        let at = self.entries_end + index * 4;
        self.bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
            as usize
    }

    /// The value at a range that a cursor gave.
    #[must_use]
    pub fn value(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }
}

/// A place in a block. It holds the key of the entry it stands on; the block is passed in.
#[derive(Clone, Debug, Default)]
pub struct BlockCursor {
    key: Vec<u8>,
    value: Range<usize>,
    next: usize,
    /// How much of its key the entry has from the one before it.
    shared: usize,
    valid: bool,
}

impl BlockCursor {
    /// The key of the entry, if the cursor stands on one.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.valid.then_some(self.key.as_slice())
    }

    /// How many bytes its key has in common with the key of the entry before it, on which the cursor stood before it was
    /// advanced; 0 if that is not known, as at a restart.
    #[must_use]
    pub const fn shared(&self) -> usize {
        self.shared
    }

    /// The range of the entry's value.
    #[must_use]
    pub fn value_range(&self) -> Range<usize> {
        self.value.clone()
    }

    /// Moves to the first entry.
    ///
    /// # Errors
    /// The block is malformed.
    pub fn seek_first(&mut self, block: &Block) -> Result<(), DecodeError> {
        self.next = 0;
        self.key.clear();
        self.advance(block)
    }

    /// Moves to the next entry.
    ///
    /// # Errors
    /// The block is malformed.
    #[inline]
    pub fn advance(&mut self, block: &Block) -> Result<(), DecodeError> {
        if self.next >= block.entries_end {
            self.valid = false;
            return Ok(());
        }
        let mut reader = Reader::new(&block.bytes[self.next..block.entries_end]);
        let shared = reader.varint()? as usize;
        let unshared = reader.varint()? as usize;
        let value = reader.varint()? as usize;
        if shared > self.key.len() {
            return Err(reader.error("shared part of a key"));
        }
        self.shared = shared;
        self.key.truncate(shared);
        self.key.extend_from_slice(reader.bytes(unshared)?);
        let value_start = self.next + reader.position();
        reader.bytes(value)?;
        self.value = value_start..value_start + value;
        self.next = value_start + value;
        self.valid = true;
        Ok(())
    }

    /// Moves to the first entry whose key is at or behind `target`.
    ///
    /// # Errors
    /// The block is malformed.
    pub fn seek(&mut self, block: &Block, target: &[u8]) -> Result<(), DecodeError> {
        let (mut low, mut high) = (0, block.restarts);
        while low < high {
            let middle = usize::midpoint(low, high);
            self.jump(block, middle)?;
            if self.key.as_slice() < target {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.jump(block, low.saturating_sub(1))?;
        while self.valid && self.key.as_slice() < target {
            self.advance(block)?;
        }
        Ok(())
    }

    /// Moves to the last entry whose key is before `target`, or at it if `inclusive`; to none if
    /// there is none.
    ///
    /// # Errors
    /// The block is malformed.
    pub fn seek_last(&mut self, block: &Block, target: &[u8], inclusive: bool) -> Result<(), DecodeError> {
        let fits = |key: &[u8]| key < target || (inclusive && key == target);
        let (mut low, mut high) = (0, block.restarts);
        while low < high {
            let middle = usize::midpoint(low, high);
            self.jump(block, middle)?;
            if fits(&self.key) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.valid = false;
        if low == 0 {
            return Ok(());
        }
        self.jump(block, low - 1)?;
        let mut ahead = self.clone();
        ahead.advance(block)?;
        while ahead.key().is_some_and(fits) {
            self.clone_from(&ahead);
            ahead.advance(block)?;
        }
        Ok(())
    }

    fn jump(&mut self, block: &Block, restart: usize) -> Result<(), DecodeError> {
        self.key.clear();
        self.next = if restart < block.restarts { block.restart(restart) } else { block.entries_end };
        self.advance(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn blocks_give_back_their_entries_and_find_any_key(
            entries in prop::collection::btree_map(prop::collection::vec(0u8..4, 0..6), any::<Vec<u8>>(), 1..80),
            target in prop::collection::vec(0u8..4, 0..6),
        ) {
            let mut builder = BlockBuilder::default();
            entries.iter().for_each(|(key, value)| builder.push(key, value));
            let block = builder.finish(|bytes| Block::new(bytes.into())).unwrap();
            let mut cursor = BlockCursor::default();
            cursor.seek_first(&block).unwrap();
            let mut read = BTreeMap::new();
            while let Some(key) = cursor.key() {
                read.insert(key.to_vec(), block.value(cursor.value_range()).to_vec());
                cursor.advance(&block).unwrap();
            }
            prop_assert_eq!(&read, &entries);
            cursor.seek(&block, &target).unwrap();
            prop_assert_eq!(cursor.key().map(<[u8]>::to_vec), entries.range(target.clone()..).next().map(|(key, _)| key.clone()));
            cursor.seek_last(&block, &target, true).unwrap();
            prop_assert_eq!(cursor.key().map(<[u8]>::to_vec), entries.range(..=target.clone()).next_back().map(|(key, _)| key.clone()));
            cursor.seek_last(&block, &target, false).unwrap();
            prop_assert_eq!(cursor.key().map(<[u8]>::to_vec), entries.range(..target).next_back().map(|(key, _)| key.clone()));
        }

        #[test]
        fn hostile_blocks_are_errors_not_panics(bytes: Vec<u8>, target: Vec<u8>) {
            if let Ok(block) = Block::new(bytes.into()) {
                let mut cursor = BlockCursor::default();
                let _ = cursor.seek(&block, &target);
                let _ = cursor.seek_last(&block, &target, true);
                if cursor.seek_first(&block).is_ok() {
                    while cursor.key().is_some() && cursor.advance(&block).is_ok() {}
                }
            }
        }
    }
}
