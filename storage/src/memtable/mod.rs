//! A memtable: what was written to a table since the last flush, in the order of its partitions.
//!
//! The ring is cut into shards, contiguous ranges of tokens, each a directory of ordered trees of
//! partitions under its own lock. Locks are held for one mutation, or to take one snapshot of a partition.

mod bucket;
pub mod ranges;
pub mod rows;
mod shard;
pub mod source;

use crate::error::Result;
use crate::sync::RwLock;
use crate::sync::atomic::{AtomicI64, AtomicIsize, AtomicUsize, Ordering::Relaxed};
use dodona_types::mutation::Fragment;
use dodona_types::read_command::RangeBound;
use dodona_types::{Deletion, KeyRef, MutationView, PartitionKey, Token, merge, row::RowView};
use ranges::Ranges;
use rows::Rows;
use shard::Shard;
use std::sync::{Arc, OnceLock};

/// Bytes that a partition takes in its shard, beside its key and rows.
const PARTITION_BYTES: usize = 112;

/// One partition in memory. Cloning takes a snapshot, which later writes do not touch.
#[derive(Clone, Debug, Default)]
pub struct Partition {
    /// The rows.
    pub rows: Rows,
    /// What most partitions do not have.
    rest: Option<Box<Rest>>,
}

#[derive(Clone, Debug)]
struct Rest {
    deletion: Deletion,
    /// Encoded.
    static_row: Option<Arc<[u8]>>,
    ranges: Option<Ranges>,
}

impl Default for Rest {
    fn default() -> Self {
        Self { deletion: Deletion::NONE, static_row: None, ranges: None }
    }
}

impl Partition {
    /// The deletion of the partition.
    #[must_use]
    pub fn deletion(&self) -> Deletion {
        self.rest.as_ref().map_or(Deletion::NONE, |rest| rest.deletion)
    }

    /// The encoded static row.
    #[must_use]
    pub fn static_row(&self) -> Option<&[u8]> {
        self.rest.as_ref()?.static_row.as_deref()
    }

    /// The range deletions.
    #[must_use]
    pub fn ranges(&self) -> Option<&Ranges> {
        self.rest.as_ref()?.ranges.as_ref()
    }

    /// What most partitions do not have, and the bytes that it takes if it was made now.
    fn rest(&mut self) -> (&mut Rest, isize) {
        let growth = if self.rest.is_none() { size_of::<Rest>().cast_signed() } else { 0 };
        (self.rest.get_or_insert_default(), growth)
    }

    fn apply(&mut self, mutation: &MutationView<'_>, scratch: &mut Vec<u8>) -> Result<isize> {
        let mut growth = 0;
        for fragment in mutation.fragments() {
            growth += match fragment? {
                Fragment::Row(clustering, row) => self.rows.put(clustering, row, scratch)?,
                Fragment::StaticRow(row) => self.put_static(row, scratch)?,
                Fragment::PartitionDeletion(deletion) => {
                    let (rest, growth) = self.rest();
                    rest.deletion = merge::merge_deletions(rest.deletion, deletion);
                    growth
                }
                Fragment::RangeDeletion(start, end, deletion) => {
                    let (rest, growth) = self.rest();
                    growth + rest.ranges.get_or_insert_default().add(start, end, deletion)
                }
            };
        }
        Ok(growth)
    }

    fn put_static(&mut self, row: &[u8], scratch: &mut Vec<u8>) -> Result<isize> {
        scratch.clear();
        let (rest, growth) = self.rest();
        let before = rest.static_row.as_ref().map_or(0, |row| row.len());
        match &rest.static_row {
            Some(present) => merge::merge_rows(&RowView::parse(present)?, &RowView::parse(row)?, scratch)?,
            None => scratch.extend_from_slice(row),
        }
        rest.static_row = Some(Arc::from(scratch.as_slice()));
        Ok(growth + scratch.len().cast_signed() - before.cast_signed())
    }
}

/// What was written to a table since some moment.
pub struct Memtable {
    /// Made by the first write: most tables of a node with thousands are at rest.
    shards: OnceLock<Box<[RwLock<Shard>]>>,
    shard_bits: u32,
    /// How far a token's ordinal is shifted to give its shard.
    shift: u32,
    /// The commit log's position when the memtable was made: what it holds is from there on.
    log_start: u64,
    bytes: AtomicIsize,
    partitions: AtomicUsize,
    operations: AtomicUsize,
    min_timestamp: AtomicI64,
    created_at: std::time::Duration,
}

impl Memtable {
    /// An empty memtable with `2^shard_bits` shards, for what is in the commit log from
    /// `log_start` on. `created_at` is monotonic time.
    #[must_use]
    pub fn new(shard_bits: u32, log_start: u64, created_at: std::time::Duration) -> Self {
        let shard_bits = shard_bits.clamp(1, 16);
        Self {
            shards: OnceLock::new(),
            shard_bits,
            shift: 64 - shard_bits,
            log_start,
            bytes: AtomicIsize::new(0),
            partitions: AtomicUsize::new(0),
            operations: AtomicUsize::new(0),
            min_timestamp: AtomicI64::new(i64::MAX),
            created_at,
        }
    }

    /// The number of shards (as a power of two) that suits a memtable which follows this one.
    #[must_use]
    pub fn shard_bits_for_successor(&self) -> u32 {
        let partitions = self.partitions.load(Relaxed).max(1);
        (partitions / 64).max(1).ilog2().clamp(4, 14)
    }

    fn shard_of(&self, token: Token) -> usize {
        usize::try_from(token.ordinal() >> self.shift).unwrap_or(0)
    }

    /// Applies a mutation as one. Returns the growth in bytes.
    ///
    /// # Errors
    /// The mutation is malformed: it must be validated where it enters the process.
    pub fn apply(&self, mutation: &MutationView<'_>) -> Result<isize> {
        self.note_timestamps(mutation)?;
        let shards = self.shards.get_or_init(|| {
            (0..1usize << self.shard_bits).map(|_| RwLock::new(Shard::new(self.shard_bits))).collect()
        });
        let mut shard = shards[self.shard_of(mutation.key.token)].write();
        let mut growth = 0;
        let (partition, is_new, scratch) = shard.get_or_insert(mutation.key);
        if is_new {
            growth += (PARTITION_BYTES + mutation.key.bytes.len()).cast_signed();
            self.partitions.fetch_add(1, Relaxed);
        }
        growth += partition.apply(mutation, scratch)?;
        drop(shard);
        self.bytes.fetch_add(growth, Relaxed);
        self.operations.fetch_add(1, Relaxed);
        Ok(growth)
    }

    fn note_timestamps(&self, mutation: &MutationView<'_>) -> Result<()> {
        let mut least = i64::MAX;
        for fragment in mutation.fragments() {
            least = least.min(match fragment? {
                Fragment::Row(_, row) | Fragment::StaticRow(row) => min_timestamp(&RowView::parse(row)?)?,
                Fragment::PartitionDeletion(deletion) | Fragment::RangeDeletion(_, _, deletion) => {
                    deletion.timestamp_micros
                }
            });
        }
        self.min_timestamp.fetch_min(least, Relaxed);
        Ok(())
    }

    /// A snapshot of one partition.
    #[must_use]
    pub fn get(&self, key: KeyRef<'_>) -> Option<Partition> {
        self.shards.get()?[self.shard_of(key.token)].read().get(key).cloned()
    }

    /// Snapshots of the first partitions at or behind a bound, with their keys, at most so many; none only if there are
    /// none.
    #[must_use]
    pub fn first_at(&self, bound: &RangeBound, at_most: usize) -> Vec<(PartitionKey, Partition)> {
        let first = match bound {
            RangeBound::Unbounded => 0,
            RangeBound::Token(token, _) => self.shard_of(*token),
            RangeBound::Key(key, _) => self.shard_of(key.token()),
        };
        let Some(shards) = self.shards.get() else { return Vec::new() };
        let in_first = shards[first].read().first_at(bound, at_most);
        if !in_first.is_empty() {
            return in_first;
        }
        let in_next = |shard: &RwLock<Shard>| shard.read().first_at(&RangeBound::Unbounded, at_most);
        shards[first + 1..].iter().map(in_next).find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        usize::try_from(self.bytes.load(Relaxed)).unwrap_or(0)
    }

    /// Partitions held.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.partitions.load(Relaxed)
    }

    /// Mutations applied.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.operations.load(Relaxed)
    }

    /// True if nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions() == 0
    }

    /// The least timestamp held, in microseconds; `i64::MAX` when empty.
    #[must_use]
    pub fn min_timestamp(&self) -> i64 {
        self.min_timestamp.load(Relaxed)
    }

    /// The commit log's position when the memtable was made.
    #[must_use]
    pub const fn log_start(&self) -> u64 {
        self.log_start
    }

    /// Monotonic time at which the memtable was made.
    #[must_use]
    pub const fn created_at(&self) -> std::time::Duration {
        self.created_at
    }
}

/// The least timestamp in a row.
///
/// # Errors
/// The row is malformed.
pub fn min_timestamp(row: &RowView<'_>) -> Result<i64> {
    let mut least = row.header.liveness.map_or(i64::MAX, |liveness| liveness.timestamp_micros);
    if !row.header.deletion.is_none() {
        least = least.min(row.header.deletion.timestamp_micros);
    }
    for item in row.items() {
        least = least.min(match item? {
            dodona_types::RowItem::Cell(cell) => cell.timestamp_micros,
            dodona_types::RowItem::ColumnDeletion(_, deletion) => deletion.timestamp_micros,
        });
    }
    Ok(least)
}
