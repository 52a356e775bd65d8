//! A memtable as a source of partitions, rows and markers.

use super::rows::RowIndex;
use super::{Memtable, Partition};
use crate::item::Item;
use dodona_types::read_command::RangeBound;
use dodona_types::{ClusteringSlice, Deletion, KeyRef, PartitionKey};
use std::collections::VecDeque;
use std::sync::Arc;

/// The most partitions that are taken along.
const MOST_AHEAD: usize = 64;

/// One memtable as a source.
pub struct MemtableSource {
    memtable: Arc<Memtable>,
    partition: Option<(PartitionKey, Partition)>,
    /// Those behind it that were taken along, and how many are the next time.
    ahead: VecDeque<(PartitionKey, Partition)>,
    batch: usize,
    reversed: bool,
    slice: ClusteringSlice,
    row: Option<RowIndex>,
    marker: Option<(Box<[u8]>, Deletion, Deletion)>,
    open: Deletion,
}

impl MemtableSource {
    /// A source that stands nowhere yet.
    #[must_use]
    pub fn new(memtable: Arc<Memtable>) -> Self {
        Self {
            memtable,
            partition: None,
            ahead: VecDeque::new(),
            batch: 1,
            reversed: false,
            slice: ClusteringSlice { start: Vec::new(), end: Vec::new() },
            row: None,
            marker: None,
            open: Deletion::NONE,
        }
    }

    /// A source that stands on one partition of the memtable; `None` if it has none.
    pub(crate) fn of_partition(memtable: &Arc<Memtable>, key: &PartitionKey) -> Option<Self> {
        let partition = memtable.get(key.as_ref())?;
        let mut source = Self::new(Arc::clone(memtable));
        source.partition = Some((key.clone(), partition));
        Some(source)
    }

    pub(crate) fn key(&self) -> Option<KeyRef<'_>> {
        self.partition.as_ref().map(|(key, _)| key.as_ref())
    }

    pub(crate) fn deletion(&self) -> Deletion {
        self.partition.as_ref().map_or(Deletion::NONE, |(_, partition)| partition.deletion())
    }

    pub(crate) fn static_row(&self) -> Option<&[u8]> {
        self.partition.as_ref()?.1.static_row()
    }

    /// The range deletion in force where the slice begins (reversed: where it ends).
    pub(crate) const fn open(&self) -> Deletion {
        self.open
    }

    pub(crate) fn seek(&mut self, bound: &RangeBound) {
        self.ahead.clear();
        self.batch = 1;
        self.look_ahead(bound);
    }

    /// Goes to the first partition at or behind a bound, and takes those behind it along: more each time.
    fn look_ahead(&mut self, bound: &RangeBound) {
        self.ahead.extend(self.memtable.first_at(bound, self.batch));
        self.batch = (2 * self.batch).min(MOST_AHEAD);
        self.partition = self.ahead.pop_front();
        self.row = None;
        self.marker = None;
    }

    pub(crate) fn next_partition(&mut self) {
        let Some((key, _)) = self.partition.take() else { return };
        match self.ahead.pop_front() {
            None => self.look_ahead(&RangeBound::Key(key, false)),
            next => {
                self.partition = next;
                self.row = None;
                self.marker = None;
            }
        }
    }

    pub(crate) fn seek_slice(&mut self, slice: &ClusteringSlice, reversed: bool) {
        let Some((_, partition)) = &self.partition else {
            return;
        };
        self.slice.clone_from(slice);
        self.reversed = reversed;
        let rows = &partition.rows;
        self.row = if reversed {
            rows.previous(rows.lower_bound(&slice.end))
        } else {
            Some(rows.lower_bound(&slice.start))
        };
        self.open = Deletion::NONE;
        self.marker = None;
        let Some(ranges) = partition.ranges() else { return };
        if reversed {
            self.open = ranges.before(&slice.end);
            self.marker =
                ranges.previous_change(&slice.end).map(|(bound, before)| (bound.into(), before, self.open));
        } else {
            self.open = ranges.before(&slice.start);
            self.marker = ranges
                .change_at_or_behind(&slice.start)
                .map(|(bound, behind)| (bound.into(), self.open, behind));
        }
    }

    fn row_item(&self) -> Option<Item<'_>> {
        let entry = self.partition.as_ref()?.1.rows.get(self.row?)?;
        let clustering = entry.clustering();
        let inside = if self.reversed {
            clustering >= self.slice.start.as_slice()
        } else {
            clustering < self.slice.end.as_slice()
        };
        inside.then(|| Item::Row(clustering, entry.row()))
    }

    fn marker_item(&self) -> Option<Item<'_>> {
        let (position, before, behind) = self.marker.as_ref()?;
        let inside =
            if self.reversed { **position >= *self.slice.start } else { **position < *self.slice.end };
        inside.then_some(Item::Marker { position, before: *before, behind: *behind })
    }

    pub(crate) fn item(&self) -> Option<Item<'_>> {
        match (self.row_item(), self.marker_item()) {
            (Some(row), Some(marker)) => {
                let row_first = (row.position() < marker.position()) != self.reversed;
                Some(if row_first { row } else { marker })
            }
            (row, marker) => row.or(marker),
        }
    }

    pub(crate) fn advance(&mut self) {
        let Some((_, partition)) = &self.partition else {
            return;
        };
        if matches!(self.item(), Some(Item::Row(..))) {
            let index = self.row.unwrap_or_default();
            self.row =
                if self.reversed { partition.rows.previous(index) } else { Some(partition.rows.next(index)) };
            return;
        }
        let (Some(ranges), Some((position, before, behind))) = (partition.ranges(), self.marker.take())
        else {
            return;
        };
        self.marker = if self.reversed {
            ranges.previous_change(&position).map(|(bound, earlier)| (bound.into(), earlier, before))
        } else {
            ranges.next_change(&position).map(|(bound, later)| (bound.into(), behind, later))
        };
    }
}
