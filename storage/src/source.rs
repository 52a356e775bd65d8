//! What a merge reads: a memtable or an SSTable.

use crate::error::Result;
use crate::item::Item;
use crate::memtable::Memtable;
use crate::memtable::source::MemtableSource;
use crate::sstable::cursor::SstableSource;
use dodona_types::read_command::RangeBound;
use dodona_types::{ClusteringSlice, Deletion, KeyRef, PartitionKey};
use std::sync::Arc;

/// One source of partitions, in the order of the ring.
pub enum Source {
    /// A memtable.
    Memtable(MemtableSource),
    /// An SSTable.
    Sstable(SstableSource),
}

impl Source {
    /// A memtable's source that stands on one partition of it; `None` if it has none.
    #[must_use]
    pub fn of_partition(memtable: &Arc<Memtable>, key: &PartitionKey) -> Option<Self> {
        MemtableSource::of_partition(memtable, key).map(Self::Memtable)
    }

    /// Moves to the first partition at or behind a bound.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn seek(&mut self, bound: &RangeBound) -> Result<()> {
        match self {
            Self::Memtable(source) => {
                source.seek(bound);
                Ok(())
            }
            Self::Sstable(source) => source.seek(bound),
        }
    }

    /// The key of the partition it stands on.
    #[must_use]
    pub fn key(&self) -> Option<KeyRef<'_>> {
        match self {
            Self::Memtable(source) => source.key(),
            Self::Sstable(source) => source.key(),
        }
    }

    /// The partition's deletion.
    #[must_use]
    pub fn deletion(&self) -> Deletion {
        match self {
            Self::Memtable(source) => source.deletion(),
            Self::Sstable(source) => source.deletion(),
        }
    }

    /// The partition's static row.
    #[must_use]
    pub fn static_row(&self) -> Option<&[u8]> {
        match self {
            Self::Memtable(source) => source.static_row(),
            Self::Sstable(source) => source.static_row(),
        }
    }

    /// Moves to the first row or marker of a slice, or to the last one if `reversed`.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn seek_slice(&mut self, slice: &ClusteringSlice, reversed: bool) -> Result<()> {
        match self {
            Self::Memtable(source) => {
                source.seek_slice(slice, reversed);
                Ok(())
            }
            Self::Sstable(source) => source.seek_slice(slice, reversed),
        }
    }

    /// The range deletion in force where the slice begins (reversed: where it ends).
    #[must_use]
    pub const fn open(&self) -> Deletion {
        match self {
            Self::Memtable(source) => source.open(),
            Self::Sstable(source) => source.open(),
        }
    }

    /// True if it stands on a row, false if on a marker; `None` if nothing is left in the slice.
    #[must_use]
    pub fn is_on_row(&self) -> Option<bool> {
        match self {
            Self::Memtable(source) => source.item().map(|item| matches!(item, Item::Row(..))),
            Self::Sstable(source) => source.is_on_row(),
        }
    }

    /// The row that [`Self::is_on_row`] has just found it to stand on: its clustering and its encoding.
    #[inline]
    #[must_use]
    pub fn row(&self) -> (&[u8], &[u8]) {
        match self {
            Self::Memtable(source) => match source.item() {
                Some(Item::Row(clustering, row)) => (clustering, row),
                _ => (&[], &[]),
            },
            Self::Sstable(source) => source.row(),
        }
    }

    /// The row or marker it stands on, if there is one left in the slice.
    #[must_use]
    pub fn item(&self) -> Option<Item<'_>> {
        match self {
            Self::Memtable(source) => source.item(),
            Self::Sstable(source) => source.item(),
        }
    }

    /// Moves to the slice's next row or marker.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn advance(&mut self) -> Result<()> {
        match self {
            Self::Memtable(source) => {
                source.advance();
                Ok(())
            }
            Self::Sstable(source) => source.advance(),
        }
    }

    /// Moves to the next partition.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn next_partition(&mut self) -> Result<()> {
        match self {
            Self::Memtable(source) => {
                source.next_partition();
                Ok(())
            }
            Self::Sstable(source) => source.next_partition(),
        }
    }
}
