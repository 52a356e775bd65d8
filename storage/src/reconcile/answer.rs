//! An answer of a replica to a read command: for each partition what the command asks for of it, with
//! its deletions, as a mutation. An answer that has enough live rows, or bytes, stops, and says how
//! far it goes.
//!
//! ```text
//! answer    := flags u8 (1: it stops), [tombstones u32] (flag 2: those that were met), partition*
//! partition := mutation length varint, mutation,
//!              0 (all that is asked for of it) | 1, position length varint, position
//! ```
//! An answer that stops says nothing of the partitions behind its last one.

use super::digest::{Digest, DigestRules};
use super::position::bound;
use crate::error::{Result, StorageError};
use crate::named::NamedRows;
use crate::read::{self, Slices};
use crate::scan::{Merged, MergedScan};
use crate::sstable::reader::Access;
use crate::table::TableView;
use crate::tombstones::{TombstoneRules, Tombstones};
use dodona_types::codec::{DecodeError, Reader, put_length_prefixed};
use dodona_types::mutation::Fragment;
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::row::RowView;
use dodona_types::{ClusteringSlice, Deletion, HiddenCells, LiveRow, MutationBuilder, MutationView};

/// An answer may have so many times the bytes that count in its digest.
const WALKED_FOR_COUNTED: usize = 4;

/// Flags of an answer.
const STOPS: u8 = 1;
const TOMBSTONES: u8 = 2;

/// How a replica reads what it answers.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// What counts in the digest.
    pub rules: DigestRules,
    /// How many tombstones it may meet.
    pub tombstones: TombstoneRules,
    /// The answer stops once it has about so many bytes.
    pub max_bytes: usize,
    /// Without, the answer is empty, and there is a digest alone.
    pub with_data: bool,
    /// Whether it may wait for the disk.
    pub access: Access,
}

impl Reading {
    /// A read of everything, for an answer, that may wait for the disk.
    #[must_use]
    pub const fn unbounded(rules: DigestRules) -> Self {
        Self {
            rules,
            tombstones: TombstoneRules::ANY,
            max_bytes: usize::MAX,
            with_data: true,
            access: Access::Disk,
        }
    }
}

/// What a replica has found.
pub struct Found {
    /// The answer.
    pub answer: Vec<u8>,
    /// Its digest.
    pub digest: Digest,
    /// Live rows that it has.
    pub rows: u64,
    /// Tombstones that were met.
    pub tombstones: u64,
    /// Files that were looked into, of one partition; none for a range.
    pub files_read: Option<u32>,
}

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
    /// Tombstones that the replica met.
    pub tombstones: u64,
}

impl<'a> Answer<'a> {
    /// Reads an answer's bytes.
    ///
    /// # Errors
    /// They are malformed.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let flags = reader.u8()?;
        let stops = flags & STOPS != 0;
        let tombstones = if flags & TOMBSTONES == 0 { 0 } else { u64::from(reader.u32()?) };
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
        Ok(Self { stops, parts, tombstones })
    }

    /// The digest that a replica which holds the same gives for the same command.
    ///
    /// # Errors
    /// A row is malformed.
    pub fn digest(&self, rules: DigestRules, hidden: &HiddenCells) -> Result<Digest> {
        let mut digest = Digest::new(rules, hidden.clone());
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

/// Executes a command.
///
/// # Errors
/// A file could not be read; there are too many tombstones. [`StorageError::NeedsDisk`] with
/// [`Access::Memory`] if that does not do, or becomes long.
pub fn read_answer(view: &TableView, command: &ReadCommand, reading: Reading) -> Result<Found> {
    let access = reading.access;
    let mut answering = Answering::new(command, reading);
    let mut files_read = None;
    match &command.partitions {
        PartitionSelection::Key(key) if read::is_by_name(view, command) => {
            let purged_before_seconds = reading.rules.deleted_before_seconds;
            let mut rows = NamedRows::new(view, key, access, Some(purged_before_seconds))?;
            answering.named(&mut rows)?;
            files_read = Some(rows.files_read());
        }
        PartitionSelection::Key(key) => {
            let sources = read::sources_of_key(view, key, access)?;
            files_read = Some(read::files_in(&sources));
            let mut scan = MergedScan::new(sources).of_steps(read::steps_of(access));
            if scan.next_partition()? {
                answering.partition(&mut scan)?;
            }
        }
        PartitionSelection::Range(range) => {
            let sources = read::sources_of_range(view, range, access)?;
            let mut scan = MergedScan::new(sources).of_steps(read::steps_of(access));
            while scan.next_partition()? {
                if !scan.key().is_some_and(|key| range.ends_after(key)) {
                    break;
                }
                answering.partition(&mut scan)?;
                if answering.rows_left == 0 || answering.is_full() {
                    answering.out[0] |= STOPS;
                    break;
                }
            }
        }
    }
    let met = answering.tombstones.count();
    if met > 0 && reading.with_data {
        answering.out[0] |= TOMBSTONES;
        let met = u32::try_from(met).unwrap_or(u32::MAX);
        answering.out.splice(1..1, met.to_le_bytes());
    }
    Ok(Found {
        answer: answering.out,
        digest: answering.digest,
        rows: command.limits.rows - answering.rows_left,
        tombstones: met,
        files_read,
    })
}

/// An answer in the making.
pub(super) struct Answering<'a> {
    command: &'a ReadCommand,
    reading: Reading,
    tombstones: Tombstones,
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
    pub(super) fn new(command: &'a ReadCommand, reading: Reading) -> Self {
        Self {
            command,
            reading,
            tombstones: Tombstones::new(reading.tombstones),
            builder: MutationBuilder::new(),
            out: vec![0],
            digest: Digest::new(reading.rules, command.hidden.clone()),
            walked_bytes: 0,
            rows_left: command.limits.rows,
        }
    }

    /// Counted by what goes into the digest, so that equal replicas stop at the same place, unless
    /// nearly all there is could have been compacted away.
    const fn is_full(&self) -> bool {
        let max_bytes = self.reading.max_bytes;
        self.digest.bytes() >= max_bytes || self.walked_bytes >= max_bytes.saturating_mul(WALKED_FOR_COUNTED)
    }

    fn put(&mut self, partition: &mut InPartition<'_>, fragment: &Fragment<'_>) -> Result<()> {
        if !partition.begun {
            partition.begun = true;
            if self.reading.with_data {
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
        if self.reading.access == Access::Memory && self.walked_bytes > read::INLINE_BYTES {
            return Err(StorageError::NeedsDisk);
        }
        if self.reading.with_data {
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
        let Some(key) = scan.key().map(dodona_types::KeyRef::to_owned_key) else { return Ok(()) };
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
        self.end_partition(&partition, covered.as_deref(), has_static_row);
        Ok(())
    }

    /// Puts rows that are read by name. What does not matter to them is left out, since another replica
    /// may not have read it: deletions older than a row that is complete. The partition's deletion comes
    /// last, when it is known whether it matters.
    fn named(&mut self, rows: &mut NamedRows<'_>) -> Result<()> {
        let command = self.command;
        let PartitionSelection::Key(key) = &command.partitions else { return Ok(()) };
        let rows_left = self.rows_left.min(command.limits.per_partition);
        let mut partition = InPartition { key: key.bytes(), rows_left, rows: 0, begun: false };
        let (mut covered, mut deletion_matters) = (None, rows.needs_deletion());
        let mut row = Vec::new();
        for slice in Slices::new(&command.clustering, command.reversed) {
            let found = rows.read(&slice)?;
            let mut settled_since = found.settled.since;
            if found.has_row {
                row.clear();
                rows.put_row(found.settled, &mut row)?;
                let is_live = self.is_live(&row)?;
                let view = RowView::parse(&row)?;
                settled_since = settled_since.max(view.header.deletion.timestamp_micros);
                self.tombstones.row(&view, is_live)?;
                self.put(&mut partition, &Fragment::Row(rows.clustering(), &row))?;
                partition.rows += u64::from(is_live);
                let is_enough = is_live && partition.rows >= partition.rows_left;
                if is_enough || self.is_full() {
                    covered = Some(rows.clustering().to_vec());
                }
            }
            if found.range.timestamp_micros > settled_since {
                let range = Fragment::RangeDeletion(&slice.start, &slice.end, found.range);
                self.put(&mut partition, &range)?;
                settled_since = found.range.timestamp_micros;
            }
            deletion_matters |= rows.deletion().timestamp_micros >= settled_since;
            if covered.is_some() {
                break;
            }
        }
        if deletion_matters && !rows.deletion().is_none() {
            self.put(&mut partition, &Fragment::PartitionDeletion(rows.deletion()))?;
        }
        let mut has_static_row = false;
        if let Some(row) = rows.static_row() {
            has_static_row = self.is_live(row)?;
            self.put(&mut partition, &Fragment::StaticRow(row))?;
        }
        self.end_partition(&partition, covered.as_deref(), has_static_row);
        Ok(())
    }

    fn end_partition(&mut self, partition: &InPartition<'_>, covered: Option<&[u8]>, has_static_row: bool) {
        if !partition.begun {
            return;
        }
        self.digest.covered(covered);
        if self.reading.with_data {
            put_length_prefixed(&mut self.out, self.builder.view().bytes());
            match covered {
                None => self.out.push(0),
                Some(position) => {
                    self.out.push(1);
                    put_length_prefixed(&mut self.out, position);
                }
            }
        }
        // A static row without rows counts as one.
        self.rows_left -= partition.rows.max(u64::from(has_static_row && covered.is_none()));
    }

    fn is_live(&self, row: &[u8]) -> Result<bool> {
        let ReadCommand { now_seconds, hidden, .. } = self.command;
        Ok(LiveRow { row: RowView::parse(row)?, now_seconds: *now_seconds, hidden }.is_live())
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
                    self.tombstones.row(&RowView::parse(row)?, is_live)?;
                    self.put(partition, &Fragment::Row(clustering, row))?;
                    partition.rows += u64::from(is_live);
                    let enough = partition.rows >= partition.rows_left;
                    (clustering, (is_live && enough) || self.is_full())
                }
                Merged::Marker(position, deletion) => {
                    self.tombstones.add(1)?;
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
