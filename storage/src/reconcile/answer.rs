//! An answer of a replica to a read command: for each partition what the command asks for of it, with
//! its deletions, as a mutation. An answer that has enough live rows, or bytes, stops, and says how
//! far it goes.
//!
//! ```text
//! answer    := stops u8, partition*
//! partition := mutation length varint, mutation,
//!              0 (all that is asked for of it) | 1, position length varint, position
//! ```
//! An answer that stops says nothing of the partitions behind its last one.

use super::digest::{Digest, DigestRules};
use super::position::bound;
use crate::error::{Result, StorageError};
use crate::read::{self, Slices};
use crate::scan::{Merged, MergedScan};
use crate::sstable::reader::Access;
use crate::table::TableView;
use dodona_types::codec::{DecodeError, Reader, put_length_prefixed};
use dodona_types::mutation::Fragment;
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::row::RowView;
use dodona_types::{ClusteringSlice, Deletion, LiveRow, MutationBuilder, MutationView};

/// An answer may have so many times the bytes that count in its digest.
const WALKED_FOR_COUNTED: usize = 4;

/// A part of an answer: what it has of one partition.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The partition's content.
    pub mutation: MutationView<'a>,
    /// How far it goes in the partition, in the direction of the read; none if it has everything.
    pub covered: Option<&'a [u8]>,
}

/// A view of an answer.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// It says nothing of the partitions behind its last one.
    pub stops: bool,
    /// Its partitions, in order.
    pub parts: Vec<Part<'a>>,
}

impl<'a> Answer<'a> {
    /// Reads an answer's bytes.
    ///
    /// # Errors
    /// They are malformed.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let stops = reader.u8()? != 0;
        let mut parts = Vec::new();
        while !reader.is_empty() {
            let mutation = MutationView::parse(reader.length_prefixed()?)?;
            mutation.validate()?;
            let covered = if reader.u8()? == 0 { None } else { Some(reader.length_prefixed()?) };
            parts.push(Part { mutation, covered });
        }
        if stops && parts.is_empty() {
            return Err(reader.error("an answer that stops before it begins"));
        }
        Ok(Self { stops, parts })
    }

    /// The digest that a replica which holds the same gives for the same command.
    ///
    /// # Errors
    /// A row is malformed.
    pub fn digest(&self, rules: DigestRules) -> Result<Digest> {
        let mut digest = Digest::new(rules);
        for part in &self.parts {
            digest.partition(part.mutation.key.bytes);
            for fragment in part.mutation.fragments() {
                digest.fragment(&fragment?)?;
            }
            digest.covered(part.covered);
        }
        Ok(digest)
    }
}

/// Executes a command. Returns the answer and its digest; without `with_data` the answer is empty.
///
/// # Errors
/// A file could not be read. [`StorageError::NeedsDisk`] with [`Access::Memory`] if that does not do,
/// or becomes long.
pub fn read_answer(
    view: &TableView,
    command: &ReadCommand,
    rules: DigestRules,
    max_bytes: usize,
    with_data: bool,
    access: Access,
) -> Result<(Vec<u8>, Digest)> {
    let (mut scan, range) = match &command.partitions {
        PartitionSelection::Key(key) => (MergedScan::new(read::sources_of_key(view, key, access)?), None),
        PartitionSelection::Range(range) => {
            (MergedScan::new(read::sources_of_range(view, range, access)?), Some(range))
        }
    };
    let mut answering = Answering::new(command, rules, max_bytes, with_data, access);
    while scan.next_partition()? {
        let Some(range) = range else {
            // Behind it the sources come to other partitions.
            answering.partition(&mut scan)?;
            break;
        };
        if !scan.key().is_some_and(|key| range.ends_after(key.as_ref())) {
            break;
        }
        answering.partition(&mut scan)?;
        if answering.rows_left == 0 || answering.is_full() {
            answering.out[0] = 1;
            break;
        }
    }
    Ok((answering.out, answering.digest))
}

/// An answer in the making.
pub(super) struct Answering<'a> {
    command: &'a ReadCommand,
    max_bytes: usize,
    with_data: bool,
    access: Access,
    builder: MutationBuilder,
    out: Vec<u8>,
    pub(super) digest: Digest,
    /// Bytes of rows that it has, whether they count or not.
    pub(super) walked_bytes: usize,
    rows_left: u64,
}

/// A partition of an answer in the making.
struct InPartition<'k> {
    key: &'k [u8],
    /// Live rows that it may still have.
    rows_left: u64,
    rows: u64,
    /// It has something.
    begun: bool,
}

impl<'a> Answering<'a> {
    pub(super) fn new(
        command: &'a ReadCommand,
        rules: DigestRules,
        max_bytes: usize,
        with_data: bool,
        access: Access,
    ) -> Self {
        Self {
            command,
            max_bytes,
            with_data,
            access,
            builder: MutationBuilder::new(),
            out: vec![0],
            digest: Digest::new(rules),
            walked_bytes: 0,
            rows_left: command.limits.rows,
        }
    }

    /// Counted by what goes into the digest, so that equal replicas stop at the same place, unless
    /// nearly all there is could have been compacted away.
    const fn is_full(&self) -> bool {
        self.digest.bytes() >= self.max_bytes
            || self.walked_bytes >= self.max_bytes.saturating_mul(WALKED_FOR_COUNTED)
    }

    fn put(&mut self, partition: &mut InPartition<'_>, fragment: &Fragment<'_>) -> Result<()> {
        if !partition.begun {
            partition.begun = true;
            if self.with_data {
                self.builder.begin(self.command.table, self.command.epoch, partition.key);
            }
            self.digest.partition(partition.key);
        }
        self.digest.fragment(fragment)?;
        self.walked_bytes += match fragment {
            Fragment::Row(clustering, row) => clustering.len() + row.len(),
            Fragment::StaticRow(row) => row.len(),
            Fragment::RangeDeletion(start, end, _) => start.len() + end.len() + 16,
            Fragment::PartitionDeletion(_) => 16,
        };
        if self.access == Access::Memory && self.walked_bytes > read::INLINE_BYTES {
            return Err(StorageError::NeedsDisk);
        }
        if self.with_data {
            match *fragment {
                Fragment::PartitionDeletion(deletion) => self.builder.partition_deletion(deletion),
                Fragment::StaticRow(row) => self.builder.encoded_row(None, row),
                Fragment::Row(clustering, row) => self.builder.encoded_row(Some(clustering), row),
                Fragment::RangeDeletion(start, end, deletion) => {
                    let slice = ClusteringSlice { start: start.to_vec(), end: end.to_vec() };
                    self.builder.range_deletion(&slice, deletion);
                }
            }
        }
        Ok(())
    }

    /// Puts the partition on which the scan stands.
    pub(super) fn partition(&mut self, scan: &mut MergedScan) -> Result<()> {
        let Some(key) = scan.key().cloned() else { return Ok(()) };
        let rows_left = self.rows_left.min(self.command.limits.per_partition);
        let mut partition = InPartition { key: key.bytes(), rows_left, rows: 0, begun: false };
        if !scan.deletion().is_none() {
            self.put(&mut partition, &Fragment::PartitionDeletion(scan.deletion()))?;
        }
        let mut has_static_row = false;
        if let Some(row) = scan.static_row() {
            has_static_row = self.is_live(row)?;
            self.put(&mut partition, &Fragment::StaticRow(row))?;
        }
        let mut covered = None;
        for slice in Slices::new(&self.command.clustering, self.command.reversed) {
            covered = self.slice(scan, &slice, &mut partition)?;
            if covered.is_some() {
                break;
            }
        }
        if !partition.begun {
            return Ok(());
        }
        self.digest.covered(covered.as_deref());
        if self.with_data {
            put_length_prefixed(&mut self.out, self.builder.view().bytes());
            match &covered {
                None => self.out.push(0),
                Some(position) => {
                    self.out.push(1);
                    put_length_prefixed(&mut self.out, position);
                }
            }
        }
        // A static row without rows counts as one.
        self.rows_left -= partition.rows.max(u64::from(has_static_row && covered.is_none()));
        Ok(())
    }

    fn is_live(&self, row: &[u8]) -> Result<bool> {
        Ok(LiveRow { row: RowView::parse(row)?, now_seconds: self.command.now_seconds }.is_live())
    }

    /// Puts the rows and deletions of a slice. Returns where it stopped, if it did.
    fn slice(
        &mut self,
        scan: &mut MergedScan,
        slice: &ClusteringSlice,
        partition: &mut InPartition<'_>,
    ) -> Result<Option<Vec<u8>>> {
        let reversed = self.command.reversed;
        let (first, last) = if reversed { (&slice.end, &slice.start) } else { (&slice.start, &slice.end) };
        // Where the deletion in force began, in the direction of the read.
        let mut open = (bound(first, false), scan.seek_slice(slice, reversed)?);
        while let Some(item) = scan.next_item()? {
            let (position, is_full) = match item {
                Merged::Row(clustering, row) => {
                    let is_live = self.is_live(row)?;
                    self.put(partition, &Fragment::Row(clustering, row))?;
                    partition.rows += u64::from(is_live);
                    let enough = partition.rows >= partition.rows_left;
                    (clustering, (is_live && enough) || self.is_full())
                }
                Merged::Marker(position, deletion) => {
                    self.close(partition, &open, position)?;
                    open = (position.to_vec(), deletion);
                    // Where the slice begins nothing is gained.
                    (position, position != first.as_slice() && self.is_full())
                }
            };
            if is_full {
                let position = position.to_vec();
                self.close(partition, &open, &bound(&position, !reversed))?;
                return Ok(Some(position));
            }
        }
        self.close(partition, &open, &bound(last, false))?;
        Ok(None)
    }

    /// Puts a range deletion that ends.
    fn close(
        &mut self,
        partition: &mut InPartition<'_>,
        open: &(Vec<u8>, Deletion),
        end: &[u8],
    ) -> Result<()> {
        let (begin, deletion) = (open.0.as_slice(), open.1);
        let (start, end) = if self.command.reversed { (end, begin) } else { (begin, end) };
        if deletion.is_none() || start >= end {
            return Ok(());
        }
        self.put(partition, &Fragment::RangeDeletion(start, end, deletion))
    }
}
