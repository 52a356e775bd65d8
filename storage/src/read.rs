//! Executes a read command against a table: merges what may hold the rows, and shows the live
//! ones to a visitor.

use crate::error::{Result, StorageError};
use crate::memtable::Partition;
use crate::memtable::rows::RowIndex;
use crate::memtable::source::MemtableSource;
use crate::named::NamedRows;
use crate::scan::{Merged, MergedScan, PartitionScan};
use crate::source::Source;
use crate::sstable::Sstable;
use crate::sstable::cursor::SstableSource;
use crate::sstable::reader::Access;
use crate::table::TableView;
use crate::tombstones::{TombstoneRules, Tombstones};
use dodona_types::key::{ABOVE, BELOW};
use dodona_types::read_command::{
    ClusteringSelection, PartitionRange, PartitionSelection, RangeBound, ReadCommand,
};
use dodona_types::row::RowView;
use dodona_types::{ClusteringSlice, KeyRef, LiveRow, PartitionKey, RowVisitor, Token};
use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Bytes of rows that a read in memory may walk over before it moves off the event loop.
pub(crate) const INLINE_BYTES: usize = 64 << 10;

/// Rows and markers that a read in memory may pass, shown or not, before it moves off the event loop.
const INLINE_STEPS: u64 = 4_096;

/// Rows and markers that a read may pass.
pub(crate) fn steps_of(access: Access) -> u64 {
    if access == Access::Memory { INLINE_STEPS } else { u64::MAX }
}

/// How a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// Everything asked for was shown, or the limit was reached.
    Complete,
    /// The visitor broke off.
    Broken,
}

/// What a read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// How it ended.
    pub end: ReadEnd,
    /// Tombstones that it met.
    pub tombstones: u64,
    /// Live rows that it showed.
    pub rows: u64,
    /// Files that it looked into, of one partition; none for a range.
    pub files_read: Option<u32>,
}

/// Shows the rows of `command` to `visitor`.
///
/// # Errors
/// A file is damaged or cannot be read; [`StorageError::NeedsDisk`] if the access does not allow
/// what the read needs; too many tombstones. The visitor may have been shown rows by then.
pub fn read(
    view: &TableView,
    command: &ReadCommand,
    access: Access,
    rules: TombstoneRules,
    visitor: &mut dyn RowVisitor,
) -> Result<Read> {
    let tombstones = Tombstones::new(rules);
    let mut read = LiveRead {
        command,
        access,
        rows_left: command.limits.rows,
        bytes: 0,
        tombstones,
        key: Vec::new(),
        visitor,
    };
    let mut files_read = None;
    let flow = match &command.partitions {
        PartitionSelection::Key(key) => {
            if let Some(partition) = unmerged(view, key, access)? {
                let mut rows = Unmerged::new(&partition);
                read.partition(key.as_ref(), partition.static_row(), &mut rows)?
            } else if is_by_name(view, command) {
                let mut rows = NamedRows::new(view, key, access, None)?;
                let static_row = rows.static_row().map(<[u8]>::to_vec);
                let flow = read.partition(key.as_ref(), static_row.as_deref(), &mut rows)?;
                files_read = Some(rows.files_read());
                flow
            } else {
                let sources = sources_of_key(view, key, access)?;
                files_read = Some(files_in(&sources));
                let mut scan = MergedScan::new(sources).of_steps(steps_of(access));
                if scan.next_partition()? { read.merged(&mut scan)? } else { ControlFlow::Continue(()) }
            }
        }
        PartitionSelection::Range(range) => {
            let sources = sources_of_range(view, range, access)?;
            let mut scan = MergedScan::new(sources).of_steps(steps_of(access));
            read.range(&mut scan, range)?
        }
    };
    let end = if flow.is_break() && read.rows_left > 0 { ReadEnd::Broken } else { ReadEnd::Complete };
    let rows = command.limits.rows - read.rows_left;
    Ok(Read { end, tombstones: read.tombstones.count(), rows, files_read })
}

/// True if each slice of the command has one row at most.
pub(crate) fn is_by_name(view: &TableView, command: &ReadCommand) -> bool {
    matches!(command.clustering, ClusteringSelection::Names(_))
        || view.shape.as_ref().is_some_and(|shape| shape.one_row)
}

/// How many of the sources are files.
pub(crate) fn files_in(sources: &[Source]) -> u32 {
    sources.iter().filter(|source| matches!(source, Source::Sstable(_))).count() as u32
}

/// A snapshot of a partition that is in one memtable and nowhere else, without deletions over its
/// rows: there is nothing to merge. An empty one if it is nowhere.
fn unmerged(view: &TableView, key: &PartitionKey, access: Access) -> Result<Option<Partition>> {
    for sstable in &view.sstables {
        if sstable.may_contain(key.token(), access)? {
            return Ok(None);
        }
    }
    let mut found = view.memtables().filter_map(|memtable| memtable.get(key.as_ref()));
    let Some(partition) = found.next() else {
        return Ok(Some(Partition::default()));
    };
    let is_plain = partition.deletion().is_none() && partition.ranges().is_none() && found.next().is_none();
    Ok(is_plain.then_some(partition))
}

/// The sources that hold a partition, each standing on it.
///
/// # Errors
/// A file could not be read.
pub(crate) fn sources_of_key(view: &TableView, key: &PartitionKey, access: Access) -> Result<Vec<Source>> {
    let mut sources = Vec::with_capacity(2 + view.sstables.len());
    sources.extend(view.memtables().filter_map(|memtable| Source::of_partition(memtable, key)));
    for sstable in &view.sstables {
        if sstable.may_contain(key.token(), access)? {
            let mut source = SstableSource::new(Arc::clone(sstable), access);
            if source.seek_exact(key.as_ref())? {
                sources.push(Source::Sstable(source));
            }
        }
    }
    Ok(sources)
}

/// The sources of a range of partitions, each standing on its first partition in the range.
///
/// # Errors
/// A file could not be read.
pub fn sources_of_range(view: &TableView, range: &PartitionRange, access: Access) -> Result<Vec<Source>> {
    let memtables = view.memtables().filter(|memtable| !memtable.is_empty());
    let mut sources: Vec<Source> =
        memtables.map(|memtable| Source::Memtable(MemtableSource::new(Arc::clone(memtable)))).collect();
    let sstables = view.sstables.iter().filter(|sstable| has_tokens_in(sstable, range));
    let sstables = sstables.map(|sstable| SstableSource::new(Arc::clone(sstable), access));
    sources.extend(sstables.map(Source::Sstable));
    sources.iter_mut().try_for_each(|source| source.seek(&range.start))?;
    Ok(sources)
}

/// The first and the last token that a range may have.
pub(crate) fn tokens_of(range: &PartitionRange) -> (Token, Token) {
    let token = |bound: &RangeBound, otherwise| match bound {
        RangeBound::Unbounded => otherwise,
        RangeBound::Token(token, _) => *token,
        RangeBound::Key(key, _) => key.token(),
    };
    (token(&range.start, Token::MIN), token(&range.end, Token::MAX))
}

/// False if all partitions of a file lie before or behind a range.
pub(crate) fn has_tokens_in(sstable: &Sstable, range: &PartitionRange) -> bool {
    let ((start, end), (first, last)) = (tokens_of(range), sstable.summary().tokens());
    start <= last && first <= end
}

/// The rows of a partition that needs no merging, shown where they lie.
struct Unmerged<'a> {
    partition: &'a Partition,
    /// The next row, and where the slice's rows end.
    next: Option<RowIndex>,
    end: Option<RowIndex>,
    reversed: bool,
}

impl<'a> Unmerged<'a> {
    const fn new(partition: &'a Partition) -> Self {
        Self { partition, next: None, end: None, reversed: false }
    }
}

impl PartitionScan for Unmerged<'_> {
    fn seek_slice(&mut self, slice: &ClusteringSlice, reversed: bool) -> Result<()> {
        if slice.is_empty() {
            self.next = None;
            return Ok(());
        }
        let rows = &self.partition.rows;
        let (start, end) = (rows.lower_bound(&slice.start), rows.lower_bound(&slice.end));
        (self.next, self.end) =
            if reversed { (rows.previous(end), rows.previous(start)) } else { (Some(start), Some(end)) };
        self.reversed = reversed;
        Ok(())
    }

    fn next_item(&mut self) -> Result<Option<Merged<'_>>> {
        let rows = &self.partition.rows;
        let Some(index) = self.next.filter(|_| self.next != self.end) else {
            return Ok(None);
        };
        self.next = if self.reversed { rows.previous(index) } else { Some(rows.next(index)) };
        Ok(rows.get(index).map(|entry| Merged::Row(entry.clustering(), entry.row())))
    }
}

struct LiveRead<'a> {
    command: &'a ReadCommand,
    access: Access,
    rows_left: u64,
    bytes: usize,
    tombstones: Tombstones,
    /// The key of a partition that is merged.
    key: Vec<u8>,
    visitor: &'a mut dyn RowVisitor,
}

impl LiveRead<'_> {
    fn range(&mut self, scan: &mut MergedScan, range: &PartitionRange) -> Result<ControlFlow<()>> {
        while scan.next_partition()? {
            if !scan.key().is_some_and(|key| range.ends_after(key)) {
                break;
            }
            if self.merged(scan)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            self.spend(64)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn spend(&mut self, bytes: usize) -> Result<()> {
        self.bytes += bytes;
        if self.access == Access::Memory && self.bytes > INLINE_BYTES {
            return Err(StorageError::NeedsDisk);
        }
        Ok(())
    }

    /// Shows the partition on which the scan stands.
    fn merged(&mut self, scan: &mut MergedScan) -> Result<ControlFlow<()>> {
        let mut bytes = std::mem::take(&mut self.key);
        let Some(token) = scan.take_key(&mut bytes) else {
            return Ok(ControlFlow::Continue(()));
        };
        let key = KeyRef { token, bytes: &bytes };
        let static_row = scan.static_row().map(<[u8]>::to_vec);
        let flow = self.partition(key, static_row.as_deref(), scan);
        self.key = bytes;
        flow
    }

    fn partition(
        &mut self,
        key: KeyRef<'_>,
        static_row: Option<&[u8]>,
        scan: &mut impl PartitionScan,
    ) -> Result<ControlFlow<()>> {
        let ReadCommand { now_seconds, hidden, .. } = self.command;
        let static_row = match static_row {
            Some(row) => Some(LiveRow { row: RowView::parse(row)?, now_seconds: *now_seconds, hidden }),
            None => None,
        };
        let static_row = static_row.as_ref().filter(|row| row.is_live());
        let mut rows = PartitionRows {
            key,
            static_row,
            entered: false,
            left: self.command.limits.per_partition.min(self.rows_left),
        };
        let flow = self.rows(scan, &mut rows)?;
        if flow.is_break() {
            return Ok(flow);
        }
        if !rows.entered && static_row.is_some() {
            if self.visitor.partition(key, static_row).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            rows.entered = true;
            self.rows_left -= 1;
        }
        if rows.entered && self.visitor.partition_end().is_break() {
            return Ok(ControlFlow::Break(()));
        }
        Ok(if self.rows_left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn rows(
        &mut self,
        scan: &mut impl PartitionScan,
        rows: &mut PartitionRows<'_>,
    ) -> Result<ControlFlow<()>> {
        let command = self.command;
        for slice in Slices::new(&command.clustering, command.reversed) {
            scan.seek_slice(&slice, command.reversed)?;
            while let Some(item) = scan.next_item()? {
                let Merged::Row(clustering, bytes) = item else {
                    self.tombstones.add(1)?;
                    continue;
                };
                let (now_seconds, hidden) = (command.now_seconds, &command.hidden);
                let row = LiveRow { row: RowView::parse(bytes)?, now_seconds, hidden };
                self.spend(bytes.len() + clustering.len())?;
                let is_live = row.is_live();
                self.tombstones.row(&row.row, is_live)?;
                if !is_live {
                    continue;
                }
                if self.show(rows, clustering, &row).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                if rows.left == 0 {
                    return Ok(ControlFlow::Continue(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn show(
        &mut self,
        rows: &mut PartitionRows<'_>,
        clustering: &[u8],
        row: &LiveRow<'_>,
    ) -> ControlFlow<()> {
        if !rows.entered {
            rows.entered = true;
            self.visitor.partition(rows.key, rows.static_row)?;
        }
        rows.left -= 1;
        self.rows_left -= 1;
        self.visitor.row(clustering, row)
    }
}

struct PartitionRows<'a> {
    key: KeyRef<'a>,
    static_row: Option<&'a LiveRow<'a>>,
    entered: bool,
    left: u64,
}

/// The slices of a selection, in the direction of the read.
pub(crate) struct Slices<'a> {
    selection: &'a ClusteringSelection,
    reversed: bool,
    taken: usize,
}

impl<'a> Slices<'a> {
    pub(crate) const fn new(selection: &'a ClusteringSelection, reversed: bool) -> Self {
        Self { selection, reversed, taken: 0 }
    }
}

impl<'a> Iterator for Slices<'a> {
    type Item = Cow<'a, ClusteringSlice>;

    #[inline]
    fn next(&mut self) -> Option<Cow<'a, ClusteringSlice>> {
        let count = match self.selection {
            ClusteringSelection::Slices(slices) => slices.len(),
            ClusteringSelection::Names(names) => names.len(),
        };
        let index = if self.reversed { count.checked_sub(self.taken + 1)? } else { self.taken };
        self.taken += 1;
        match self.selection {
            ClusteringSelection::Slices(slices) => slices.get(index).map(Cow::Borrowed),
            ClusteringSelection::Names(names) => names.get(index).map(|name| {
                // Bounds on both sides of the row, and not the row itself.
                let (mut start, mut end) = (name.clone(), name.clone());
                if let (Some(low), Some(high)) = (start.last_mut(), end.last_mut()) {
                    (*low, *high) = (BELOW, ABOVE);
                }
                Cow::Owned(ClusteringSlice { start, end })
            }),
        }
    }
}
