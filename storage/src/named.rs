//! Rows read by name: from the memtables, then file by file, the one with the newest data first, until
//! nothing older can change the row (Cassandra:
//! `SinglePartitionReadCommand.queryMemtableAndSSTablesInTimestampOrder`). A file is opened for the first
//! row that needs it, and serves the others as well.

use crate::error::Result;
use crate::item::Item;
use crate::scan::{Merged, PartitionScan};
use crate::shape::{RowShape, Settled};
use crate::source::Source;
use crate::sstable::Sstable;
use crate::sstable::cursor::SstableSource;
use crate::sstable::reader::Access;
use crate::table::TableView;
use dodona_env::Mutants;
use dodona_types::merge::{self, merge_deletions};
use dodona_types::row::RowView;
use dodona_types::{ClusteringSlice, Deletion, PartitionKey};
use std::sync::Arc;

/// What was found of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Something is left of it.
    pub(crate) has_row: bool,
    /// The range deletion over it, if it says more than the partition's.
    pub(crate) range: Deletion,
    /// What of it is settled.
    pub(crate) settled: Settled,
}

/// Reads rows of one partition by name.
pub(crate) struct NamedRows<'a> {
    key: &'a PartitionKey,
    shape: Option<&'a RowShape>,
    access: Access,
    purged_before_seconds: i64,
    /// It is asked what is settled of the rows that were read.
    settles: bool,
    /// What was opened and holds the partition, each with its newest timestamp.
    sources: Vec<(Source, i64)>,
    /// Files that may hold the partition and were not needed yet, the newest first.
    files: std::slice::Iter<'a, Arc<Sstable>>,
    next_file: Option<&'a Arc<Sstable>>,
    /// The partition's deletion, as far as it is known.
    deletion: Deletion,
    static_row: Option<Vec<u8>>,
    static_needs_deletion: bool,
    /// Defects, for simulations.
    mutants: Option<&'a Mutants>,
    files_read: u32,
    clustering: Vec<u8>,
    row: Vec<u8>,
    spare: Vec<u8>,
    /// The row that was read last was not shown yet.
    is_new: bool,
}

impl<'a> NamedRows<'a> {
    /// Rows of a partition. With `purged_before_seconds` (see [`RowShape::settled`]) it is found out of each
    /// what is settled.
    ///
    /// # Errors
    /// A file could not be read.
    pub(crate) fn new(
        view: &'a TableView,
        key: &'a PartitionKey,
        access: Access,
        purged_before_seconds: Option<i64>,
    ) -> Result<Self> {
        let mut rows = Self {
            key,
            shape: view.shape.as_deref(),
            access,
            purged_before_seconds: purged_before_seconds.unwrap_or(i64::MIN),
            settles: purged_before_seconds.is_some(),
            sources: Vec::new(),
            files: view.sstables.iter(),
            next_file: None,
            deletion: Deletion::NONE,
            static_row: None,
            static_needs_deletion: false,
            mutants: view.sstables.first().map(|sstable| sstable.mutants()),
            files_read: 0,
            clustering: Vec::new(),
            row: Vec::new(),
            spare: Vec::new(),
            is_new: false,
        };
        for source in view.memtables().filter_map(|memtable| Source::of_partition(memtable, key)) {
            rows.take(source, i64::MAX)?;
        }
        rows.find_next_file()?;
        rows.read_static_row()?;
        Ok(rows)
    }

    /// The partition's deletion: that of all that was read so far. What was not read has none that
    /// matters to the rows that were.
    pub(crate) const fn deletion(&self) -> Deletion {
        self.deletion
    }

    /// The partition's static row, without what the partition's deletion covers.
    pub(crate) fn static_row(&self) -> Option<&[u8]> {
        self.static_row.as_deref()
    }

    /// Files that were looked into.
    pub(crate) const fn files_read(&self) -> u32 {
        self.files_read
    }

    fn has_statics(&self) -> bool {
        self.shape.is_none_or(|shape| !shape.statics.is_empty())
    }

    fn find_next_file(&mut self) -> Result<()> {
        let token = self.key.token();
        self.next_file = None;
        for sstable in self.files.by_ref() {
            if sstable.may_contain(token, self.access)? {
                self.next_file = Some(sstable);
                break;
            }
        }
        Ok(())
    }

    /// Adds a source that stands on the partition.
    fn take(&mut self, source: Source, max_timestamp: i64) -> Result<()> {
        self.deletion = merge_deletions(self.deletion, source.deletion());
        if let Some(row) = source.static_row().filter(|_| self.has_statics()) {
            self.static_row = Some(match self.static_row.take() {
                None => row.to_vec(),
                Some(present) => {
                    let mut merged = Vec::with_capacity(present.len() + row.len());
                    merge::merge_rows(&RowView::parse(&present)?, &RowView::parse(row)?, &mut merged)?;
                    merged
                }
            });
        }
        self.sources.push((source, max_timestamp));
        Ok(())
    }

    /// Looks into the next file.
    fn open_next_file(&mut self) -> Result<()> {
        let Some(sstable) = self.next_file else { return Ok(()) };
        let mut source = SstableSource::new(Arc::clone(sstable), self.access);
        self.files_read += 1;
        if source.seek_exact(self.key.as_ref())? {
            self.take(Source::Sstable(source), sstable.summary().max_timestamp)?;
        }
        self.find_next_file()
    }

    /// Reads as many files as it takes until nothing older can change the static row.
    fn read_static_row(&mut self) -> Result<()> {
        if !self.has_statics() {
            return Ok(());
        }
        while let Some(next) = self.next_file {
            let max_timestamp = next.summary().max_timestamp;
            let settled = match (&self.static_row, self.shape) {
                (Some(row), Some(shape)) => {
                    shape.settled_static(&RowView::parse(row)?, self.purged_before_seconds)?
                }
                _ => Settled::NOT,
            };
            if settled.since.max(self.deletion.timestamp_micros) > max_timestamp && self.shape.is_some() {
                break;
            }
            self.open_next_file()?;
        }
        self.static_needs_deletion = true;
        if let Some(row) = self.static_row.take() {
            let mut left = Vec::with_capacity(row.len());
            merge::shadow_row(&RowView::parse(&row)?, self.deletion, &mut left)?;
            let row = RowView::parse(&left)?;
            if row.is_empty() {
                return Ok(());
            }
            if self.settles
                && let Some(shape) = self.shape
            {
                let settled = shape.settled_static(&row, self.purged_before_seconds)?;
                self.static_needs_deletion = !settled.is_complete;
                if settled.has_rest {
                    let mut rest = Vec::with_capacity(left.len());
                    shape.put_complete(&row, settled.since, &shape.statics, &mut rest)?;
                    left = rest;
                }
            }
            self.static_row = Some(left);
        }
        Ok(())
    }

    /// Reads the only row that a slice can have.
    ///
    /// # Errors
    /// A file could not be read; a row is malformed.
    pub(crate) fn read(&mut self, slice: &ClusteringSlice) -> Result<Found> {
        self.row.clear();
        let mut range = Deletion::NONE;
        let mut place = 0;
        loop {
            let max_timestamp = match (self.sources.get(place), self.next_file) {
                (Some((_, max_timestamp)), _) => *max_timestamp,
                (None, Some(next)) => self.newest_of(next),
                (None, None) => break,
            };
            if max_timestamp != i64::MAX && self.is_settled(range, max_timestamp)? {
                break;
            }
            if place == self.sources.len() {
                self.open_next_file()?;
                continue;
            }
            range = merge_deletions(range, self.read_from(place, slice)?);
            place += 1;
        }
        let range = if range > self.deletion { range } else { Deletion::NONE };
        let covering = merge_deletions(range, self.deletion);
        if !covering.is_none() && !self.row.is_empty() {
            self.spare.clear();
            merge::shadow_row(&RowView::parse(&self.row)?, covering, &mut self.spare)?;
            std::mem::swap(&mut self.row, &mut self.spare);
        }
        let mut found = Found { has_row: false, range, settled: Settled::NOT };
        if !self.row.is_empty() {
            let row = RowView::parse(&self.row)?;
            found.has_row = !row.is_empty();
            if self.settles
                && let Some(shape) = self.shape
            {
                found.settled = shape.settled(&row, self.purged_before_seconds)?;
            }
        }
        Ok(found)
    }

    /// Appends the row that was read last. Of a complete one, what it settles is left out.
    ///
    /// # Errors
    /// The row is malformed.
    pub(crate) fn put_row(&self, settled: Settled, out: &mut Vec<u8>) -> Result<()> {
        match self.shape {
            Some(shape) if settled.has_rest => {
                shape.put_complete(&RowView::parse(&self.row)?, settled.since, &shape.columns, out)
            }
            _ => {
                out.extend_from_slice(&self.row);
                Ok(())
            }
        }
    }

    /// True if the static row, or that there is none, is not settled by itself: the partition's deletion
    /// says more.
    pub(crate) const fn needs_deletion(&self) -> bool {
        self.static_needs_deletion
    }

    /// The newest timestamp of a file that was not read yet.
    fn newest_of(&self, file: &Sstable) -> i64 {
        if self.mutants.is_some_and(|mutants| mutants.has("named-read-stops-early")) {
            // That of the one behind it.
            return self.files.as_slice().first().map_or(i64::MIN, |it| it.summary().max_timestamp);
        }
        file.summary().max_timestamp
    }

    /// The clustering key of the row that was read last.
    pub(crate) fn clustering(&self) -> &[u8] {
        &self.clustering
    }

    /// True if nothing up to a timestamp changes the row.
    fn is_settled(&self, range: Deletion, max_timestamp: i64) -> Result<bool> {
        let Some(shape) = self.shape else { return Ok(false) };
        if merge_deletions(range, self.deletion).timestamp_micros > max_timestamp {
            return Ok(true);
        }
        if self.row.is_empty() {
            return Ok(false);
        }
        let settled = shape.settled(&RowView::parse(&self.row)?, self.purged_before_seconds)?;
        Ok(settled.since > max_timestamp)
    }

    /// Merges what one source has of the row. Returns the range deletion that it has over it.
    fn read_from(&mut self, place: usize, slice: &ClusteringSlice) -> Result<Deletion> {
        let (source, _) = &mut self.sources[place];
        source.seek_slice(slice, false)?;
        let mut open = source.open();
        loop {
            match source.item() {
                Some(Item::Marker { behind, .. }) => open = behind,
                Some(Item::Row(clustering, row)) if self.row.is_empty() => {
                    // A row without bytes is a malformed one.
                    RowView::parse(row)?;
                    self.clustering.clear();
                    self.clustering.extend_from_slice(clustering);
                    self.row.extend_from_slice(row);
                    return Ok(open);
                }
                Some(Item::Row(_, row)) => {
                    self.spare.clear();
                    merge::merge_rows(&RowView::parse(&self.row)?, &RowView::parse(row)?, &mut self.spare)?;
                    std::mem::swap(&mut self.row, &mut self.spare);
                    return Ok(open);
                }
                None => return Ok(open),
            }
            source.advance()?;
        }
    }
}

impl PartitionScan for NamedRows<'_> {
    fn seek_slice(&mut self, slice: &ClusteringSlice, _: bool) -> Result<()> {
        self.is_new = self.read(slice)?.has_row;
        Ok(())
    }

    fn next_item(&mut self) -> Result<Option<Merged<'_>>> {
        let is_new = std::mem::take(&mut self.is_new);
        Ok(is_new.then_some(Merged::Row(&self.clustering, &self.row)))
    }
}
