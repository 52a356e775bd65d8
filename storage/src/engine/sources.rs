//! What a read would look into, told without reading: for EXPLAIN.

use super::Engine;
use crate::error::Result;
use crate::named::NamedRows;
use crate::read::{Slices, has_tokens_in, is_by_name, tokens_of};
use crate::sstable::Sstable;
use crate::sstable::reader::Access;
use crate::table::TableView;
use dodona_types::read_command::{PartitionRange, PartitionSelection, ReadCommand};
use dodona_types::{PartitionKey, Token};
use std::sync::Arc;

/// Rows by name of which memtables are asked what they settle.
const MOST_NAMES: usize = 64;

/// What may hold what a command reads, on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSources {
    /// Memtables of the table.
    pub memtables: usize,
    /// Those that hold the partition; of a range, those that are not empty.
    pub holding: Vec<HoldingMemtable>,
    /// Files that would be looked into, in the order in which they would.
    pub files: Vec<PossibleFile>,
    /// Files left out because their tokens are others.
    pub left_out_by_tokens: usize,
    /// Files left out because their filter does not have the partition; none for a range, which no filter
    /// knows.
    pub left_out_by_filter: Option<usize>,
    /// Files left out because memtables settle the rows and the files' timestamps are older; none where
    /// only the read itself would tell.
    pub left_out_by_timestamps: Option<usize>,
    /// Rows are looked for file by file, and those behind the one that settles a row are not opened.
    pub stops_early: bool,
}

/// A memtable that holds a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldingMemtable {
    /// It is being flushed and takes no more writes.
    pub is_flushing: bool,
    /// Rows of the partition; none for a range.
    pub rows: Option<u64>,
    /// The partition, or a range of its rows, was deleted; none for a range of partitions.
    pub has_deletions: Option<bool>,
}

/// A file that may hold what is read, with what its statistics make of it: for one partition the average
/// of the file's partitions, for a range the share of the file's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PossibleFile {
    /// Its path in the data directory.
    pub path: String,
    /// Its level.
    pub level: u8,
    /// Its greatest timestamp, in microseconds.
    pub max_timestamp: i64,
    /// Bytes before compression, about.
    pub bytes: u64,
    /// Blocks of data, about, of the size that the table has now.
    pub blocks: u64,
    /// Rows, about.
    pub rows: u64,
    /// Tombstones, about.
    pub tombstones: u64,
}

impl Engine {
    /// What a read would look into. It reads no file.
    ///
    /// # Errors
    /// The engine does not know the table; a memtable's row is malformed.
    pub fn sources_of(&self, command: &ReadCommand) -> Result<ReadSources> {
        let store = self.store(command.table)?;
        let view = store.view.load_full();
        let block_bytes = store.settings.load().writer.block_bytes as u64;
        match &command.partitions {
            PartitionSelection::Key(key) => of_partition(&view, command, key, block_bytes),
            PartitionSelection::Range(range) => Ok(of_range(&view, range, block_bytes)),
        }
    }
}

fn of_partition(
    view: &TableView,
    command: &ReadCommand,
    key: &PartitionKey,
    block_bytes: u64,
) -> Result<ReadSources> {
    let mut sources = ReadSources::default();
    for memtable in view.memtables() {
        sources.memtables += 1;
        let Some(partition) = memtable.get(key.as_ref()) else { continue };
        sources.holding.push(HoldingMemtable {
            is_flushing: !Arc::ptr_eq(memtable, &view.active),
            rows: Some(partition.rows.len() as u64),
            has_deletions: Some(!partition.deletion().is_none() || partition.ranges().is_some()),
        });
    }
    sources.stops_early = is_by_name(view, command) && view.shape.is_some();
    let settled = if sources.stops_early { settled_since(view, command, key)? } else { None };
    let mut by_filter = 0;
    let mut by_timestamps = 0;
    for sstable in &view.sstables {
        let token = key.token();
        let (first, last) = sstable.summary().tokens();
        if token < first || last < token {
            sources.left_out_by_tokens += 1;
        } else if !sstable.may_contain(token, Access::Disk)? {
            by_filter += 1;
        } else if settled.is_some_and(|since| since > sstable.summary().max_timestamp) {
            by_timestamps += 1;
        } else {
            let partitions = sstable.summary().partitions.max(1);
            sources.files.push(possible(view, sstable, block_bytes, 1.0 / partitions as f64));
        }
    }
    sources.left_out_by_filter = Some(by_filter);
    sources.left_out_by_timestamps = settled.map(|_| by_timestamps);
    Ok(sources)
}

/// From which timestamp on memtables alone settle every row that is read by name. None if that takes
/// files, or the names are too many to ask.
fn settled_since(view: &TableView, command: &ReadCommand, key: &PartitionKey) -> Result<Option<i64>> {
    let has_statics = view.shape.as_ref().is_none_or(|shape| !shape.statics.is_empty());
    if has_statics || Slices::new(&command.clustering, false).take(MOST_NAMES + 1).count() > MOST_NAMES {
        return Ok(None);
    }
    let memtables = TableView { sstables: Vec::new(), ..view.clone() };
    // As a read on this node has it: nothing is left out as purged.
    let mut rows = NamedRows::new(&memtables, key, Access::Memory, Some(i64::MIN))?;
    let mut since = i64::MAX;
    for slice in Slices::new(&command.clustering, command.reversed) {
        let found = rows.read(&slice)?;
        let deleted = found.range.timestamp_micros.max(rows.deletion().timestamp_micros);
        since = since.min(deleted.max(found.settled.since));
    }
    Ok(Some(since))
}

fn of_range(view: &TableView, range: &PartitionRange, block_bytes: u64) -> ReadSources {
    let mut sources = ReadSources { memtables: view.memtables().count(), ..ReadSources::default() };
    sources.holding.extend(view.memtables().filter(|memtable| !memtable.is_empty()).map(|memtable| {
        let is_flushing = !Arc::ptr_eq(memtable, &view.active);
        HoldingMemtable { is_flushing, rows: None, has_deletions: None }
    }));
    let (start, end) = tokens_of(range);
    for sstable in &view.sstables {
        if !has_tokens_in(sstable, range) {
            sources.left_out_by_tokens += 1;
            continue;
        }
        let (first, last) = sstable.summary().tokens();
        let span = |from: Token, to: Token| (i128::from(to.0) - i128::from(from.0) + 1) as f64;
        let share = span(first.max(start), last.min(end)) / span(first, last);
        sources.files.push(possible(view, sstable, block_bytes, share));
    }
    sources
}

/// A file with the share of it that is looked at.
fn possible(view: &TableView, sstable: &Sstable, block_bytes: u64, share: f64) -> PossibleFile {
    let file = sstable.summary();
    let part = |whole: u64| (whole as f64 * share).ceil() as u64;
    let bytes = part(file.uncompressed_bytes);
    PossibleFile {
        path: sstable.path().to_owned(),
        level: view.level_of(sstable.id()),
        max_timestamp: file.max_timestamp,
        bytes,
        blocks: if file.data_blocks > 0 {
            part(file.data_blocks)
        } else {
            bytes.div_ceil(block_bytes.max(1))
        },
        rows: part(file.rows),
        tombstones: part(file.tombstones),
    }
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
