//! The rows of one partition in memory: a sorted sequence in chunks that snapshots share.
//!
//! A reader clones the sequence at the cost of one reference count; a writer copies a chunk (and
//! the list of chunks) only while a snapshot still holds them. So a reader sees a partition as it
//! was at one moment, without a lock and however large the partition is.

use dodona_types::codec::{DecodeError, Reader, put_length_prefixed};
use dodona_types::merge;
use dodona_types::row::RowView;
use std::sync::Arc;

/// Entries a chunk holds before it is split.
const CHUNK_ENTRIES: usize = 128;

/// A row with its clustering key, in one allocation: the length of the key (varint), the key, the row.
#[derive(Clone, Debug)]
pub struct RowEntry(Arc<[u8]>);

impl RowEntry {
    fn new(clustering: &[u8], row: &[u8], scratch: &mut Vec<u8>) -> Self {
        scratch.clear();
        put_length_prefixed(scratch, clustering);
        scratch.extend_from_slice(row);
        Self(Arc::from(scratch.as_slice()))
    }

    /// The comparable bytes of the clustering key.
    #[must_use]
    pub fn clustering(&self) -> &[u8] {
        self.parts().0
    }

    /// The encoded row.
    #[must_use]
    pub fn row(&self) -> &[u8] {
        self.parts().1
    }

    fn parts(&self) -> (&[u8], &[u8]) {
        let mut reader = Reader::new(&self.0);
        let clustering = reader.length_prefixed().unwrap_or_default();
        (clustering, reader.remaining())
    }

    /// Bytes of memory, as the allocator rounds them.
    fn heap_bytes(&self) -> usize {
        (self.0.len() + 16 + 8).next_multiple_of(16)
    }

    /// Merges `row` into this one.
    fn merge(&mut self, row: &[u8], scratch: &mut Vec<u8>) -> Result<(), DecodeError> {
        scratch.clear();
        let (clustering, present) = self.parts();
        put_length_prefixed(scratch, clustering);
        merge::merge_rows(&RowView::parse(present)?, &RowView::parse(row)?, scratch)?;
        match Arc::get_mut(&mut self.0) {
            Some(bytes) if bytes.len() == scratch.len() => bytes.copy_from_slice(scratch),
            _ => self.0 = Arc::from(scratch.as_slice()),
        }
        Ok(())
    }
}

/// Neighbouring rows.
#[derive(Clone, Debug)]
pub struct Chunk {
    entries: Vec<RowEntry>,
}

/// A sorted sequence of rows. Cloning takes a snapshot.
#[derive(Clone, Debug, Default)]
pub enum Rows {
    /// No row.
    #[default]
    Empty,
    /// A lone row, in place.
    One(RowEntry),
    /// Chunks, none empty.
    Many(Arc<Vec<Arc<Chunk>>>),
}

impl Rows {
    /// Adds a row, or merges it with the one that is there. Returns the growth in bytes.
    ///
    /// # Errors
    /// A row is malformed.
    pub fn put(
        &mut self,
        clustering: &[u8],
        row: &[u8],
        scratch: &mut Vec<u8>,
    ) -> Result<isize, DecodeError> {
        match self {
            Self::Empty => {
                let entry = RowEntry::new(clustering, row, scratch);
                let growth = entry.heap_bytes();
                *self = Self::One(entry);
                Ok(growth.cast_signed())
            }
            Self::One(entry) if entry.clustering() == clustering => {
                let before = entry.heap_bytes();
                entry.merge(row, scratch)?;
                Ok(entry.heap_bytes().cast_signed() - before.cast_signed())
            }
            Self::One(entry) => {
                let chunk = Chunk { entries: vec![entry.clone()] };
                *self = Self::Many(Arc::new(vec![Arc::new(chunk)]));
                self.put(clustering, row, scratch)
            }
            Self::Many(chunks) => put_many(Arc::make_mut(chunks), clustering, row, scratch),
        }
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(_) => 1,
            Self::Many(chunks) => chunks.iter().map(|chunk| chunk.entries.len()).sum(),
        }
    }

    /// True without rows.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// The place of the first row at or behind `bound`.
    #[must_use]
    pub fn lower_bound(&self, bound: &[u8]) -> RowIndex {
        match self {
            Self::Empty => RowIndex { chunk: 0, entry: 0 },
            Self::One(entry) => RowIndex { chunk: 0, entry: usize::from(entry.clustering() < bound) },
            Self::Many(chunks) => {
                let chunk = chunks.partition_point(|chunk| last(chunk).is_some_and(|key| key < bound));
                let entry = chunks
                    .get(chunk)
                    .map_or(0, |chunk| chunk.entries.partition_point(|entry| entry.clustering() < bound));
                RowIndex { chunk, entry }
            }
        }
    }

    /// The row at a place.
    #[must_use]
    pub fn get(&self, index: RowIndex) -> Option<&RowEntry> {
        match self {
            Self::Empty => None,
            Self::One(entry) => (index == RowIndex { chunk: 0, entry: 0 }).then_some(entry),
            Self::Many(chunks) => chunks.get(index.chunk)?.entries.get(index.entry),
        }
    }

    /// The place behind `index`.
    #[must_use]
    pub fn next(&self, index: RowIndex) -> RowIndex {
        if let Self::Many(chunks) = self
            && chunks.get(index.chunk).is_some_and(|chunk| index.entry + 1 >= chunk.entries.len())
        {
            return RowIndex { chunk: index.chunk + 1, entry: 0 };
        }
        RowIndex { chunk: index.chunk, entry: index.entry + 1 }
    }

    /// The place before `index`, if there is one.
    #[must_use]
    pub fn previous(&self, index: RowIndex) -> Option<RowIndex> {
        if index.entry > 0 {
            return Some(RowIndex { chunk: index.chunk, entry: index.entry - 1 });
        }
        let Self::Many(chunks) = self else { return None };
        let chunk = index.chunk.checked_sub(1)?;
        Some(RowIndex { chunk, entry: chunks.get(chunk)?.entries.len() - 1 })
    }
}

/// The place of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RowIndex {
    chunk: usize,
    entry: usize,
}

fn last(chunk: &Chunk) -> Option<&[u8]> {
    chunk.entries.last().map(RowEntry::clustering)
}

fn put_many(
    chunks: &mut Vec<Arc<Chunk>>,
    clustering: &[u8],
    row: &[u8],
    scratch: &mut Vec<u8>,
) -> Result<isize, DecodeError> {
    // Rows often come in their order: look at the end first.
    let behind_all = chunks.last().and_then(|chunk| last(chunk)).is_some_and(|key| key < clustering);
    let index = if behind_all {
        chunks.len() - 1
    } else {
        chunks.partition_point(|chunk| last(chunk).is_some_and(|key| key < clustering)).min(chunks.len() - 1)
    };
    let chunk = Arc::make_mut(&mut chunks[index]);
    let place = if behind_all {
        Err(chunk.entries.len())
    } else {
        chunk.entries.binary_search_by(|entry| entry.clustering().cmp(clustering))
    };
    match place {
        Ok(place) => {
            let entry = &mut chunk.entries[place];
            let before = entry.heap_bytes();
            entry.merge(row, scratch)?;
            Ok(entry.heap_bytes().cast_signed() - before.cast_signed())
        }
        Err(place) => {
            let entry = RowEntry::new(clustering, row, scratch);
            let growth = entry.heap_bytes() + 2 * size_of::<RowEntry>();
            chunk.entries.insert(place, entry);
            if chunk.entries.len() > CHUNK_ENTRIES {
                // A chunk that fills in order stays full; one that fills anywhere is halved.
                let split = if place + 1 == chunk.entries.len() { CHUNK_ENTRIES } else { CHUNK_ENTRIES / 2 };
                let behind = Chunk { entries: chunk.entries.split_off(split) };
                chunks.insert(index + 1, Arc::new(behind));
            }
            Ok(growth.cast_signed())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_types::row::{RowBuilder, RowHeader};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn row() -> Vec<u8> {
        let mut out = Vec::new();
        RowBuilder::new(&mut out, 1, &RowHeader::EMPTY);
        out
    }

    fn keys(rows: &Rows) -> Vec<Vec<u8>> {
        let mut index = rows.lower_bound(b"");
        let mut keys = Vec::new();
        while let Some(entry) = rows.get(index) {
            keys.push(entry.clustering().to_vec());
            index = rows.next(index);
        }
        keys
    }

    proptest! {
        #[test]
        fn rows_stay_sorted_and_snapshots_stay_as_they_were(
            first in prop::collection::vec(any::<u16>(), 0..600),
            second in prop::collection::vec(any::<u16>(), 0..300),
            bound: u16,
        ) {
            let mut rows = Rows::default();
            let mut scratch = Vec::new();
            let mut model = BTreeSet::new();
            let mut put = |rows: &mut Rows, model: &mut BTreeSet<Vec<u8>>, key: u16| {
                let key = key.to_be_bytes().to_vec();
                rows.put(&key, &row(), &mut scratch).unwrap();
                model.insert(key);
            };
            first.iter().for_each(|key| put(&mut rows, &mut model, *key));
            let (snapshot, then) = (rows.clone(), model.clone());
            second.iter().for_each(|key| put(&mut rows, &mut model, *key));
            prop_assert_eq!(keys(&snapshot), then.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(keys(&rows), model.iter().cloned().collect::<Vec<_>>());
            prop_assert_eq!(rows.len(), model.len());

            let bound = bound.to_be_bytes().to_vec();
            let mut back = Vec::new();
            let mut index = rows.lower_bound(&bound);
            while let Some(previous) = rows.previous(index) {
                back.push(rows.get(previous).unwrap().clustering().to_vec());
                index = previous;
            }
            prop_assert_eq!(back, model.range(..bound).rev().cloned().collect::<Vec<_>>());
        }
    }
}
