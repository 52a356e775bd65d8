//! The live rows of a command, put together from the answers to one command after another: a row is
//! given only once every replica that was asked has covered its place, and where live rows turn out
//! to be too few, more are asked for from there on.

use super::merged::{MergedAnswers, MergedPart};
use super::position::{behind, is_nothing};
use crate::error::Result;
use crate::page::{Page, PageBuilder};
use dodona_types::read_command::{PartitionRange, PartitionSelection, RangeBound, ReadCommand, ReadLimits};
use dodona_types::row::RowView;
use dodona_types::{HiddenCells, KeyRef, LiveRow, PartitionKey, RowVisitor};
use std::collections::VecDeque;
use std::ops::ControlFlow;

/// Rows that are asked for at least when too few came; twice as many each further time.
const MORE_ROWS: u64 = 32;
/// Doublings end here.
const MAX_DOUBLINGS: u32 = 12;

/// The partition of which rows were shown last.
struct Open {
    key: PartitionKey,
    rows: u64,
    static_row: Option<Vec<u8>>,
    /// The page has heard of it.
    entered: bool,
}

/// A page in the making.
pub struct Assembly {
    limits: ReadLimits,
    now_seconds: i64,
    page: PageBuilder,
    full: bool,
    rows_left: u64,
    open: Option<Open>,
    /// What is still to be asked.
    queue: VecDeque<ReadCommand>,
    /// How often too few rows came.
    short: u32,
    /// Tombstones that replicas have met.
    tombstones: u64,
}

impl Assembly {
    /// An empty page of at most about `max_bytes`, for as many rows as `limits` allow.
    #[must_use]
    pub const fn new(limits: ReadLimits, now_seconds: i64, max_bytes: usize) -> Self {
        Self {
            limits,
            now_seconds,
            page: PageBuilder::new(max_bytes),
            full: false,
            rows_left: limits.rows,
            open: None,
            queue: VecDeque::new(),
            short: 0,
            tombstones: 0,
        }
    }

    /// Goes on with a command, once the one before is [done](Self::next_command).
    pub fn begin(&mut self, command: ReadCommand) {
        self.open = None;
        self.queue.push_back(command);
    }

    /// True once no further row fits into the page or is wanted.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.full || self.rows_left == 0
    }

    /// Live rows that may still come.
    #[must_use]
    pub const fn rows_left(&self) -> u64 {
        self.rows_left
    }

    /// Bytes that may still come.
    #[must_use]
    pub const fn bytes_left(&self) -> usize {
        self.page.bytes_left()
    }

    /// What is to be asked next; none if the present command is done. Give the answers to
    /// [`Self::take`].
    #[must_use]
    pub fn next_command(&self) -> Option<ReadCommand> {
        let mut command = self.queue.front().filter(|_| !self.is_complete())?.clone();
        let least = match self.short {
            0 => 0,
            short => MORE_ROWS << (short - 1).min(MAX_DOUBLINGS),
        };
        command.limits.rows = self.rows_left.max(least);
        command.limits.per_partition = match (&self.open, &command.partitions) {
            (Some(open), PartitionSelection::Key(key)) if open.key == *key => {
                (self.limits.per_partition - open.rows).max(least)
            }
            _ => self.limits.per_partition,
        };
        Some(command)
    }

    /// Takes the answers to the command that [`Self::next_command`] gave.
    ///
    /// # Errors
    /// A row is malformed.
    pub fn take(&mut self, command: &ReadCommand, answers: &MergedAnswers) -> Result<()> {
        self.queue.pop_front();
        self.tombstones += answers.tombstones;
        for part in &answers.parts {
            self.show(command, answers, part)?;
            if self.full {
                return Ok(());
            }
            let rows = self.open.as_ref().map_or(0, |open| open.rows);
            if self.rows_left > 0
                && rows < self.limits.per_partition
                && let Some(rest) = rest_of(command, part)
            {
                self.short += 1;
                self.queue.extend(partitions_behind(command, &part.key));
                self.queue.push_front(rest);
                return Ok(());
            }
            self.end_partition();
            if self.is_complete() {
                return Ok(());
            }
        }
        if let (true, Some(last)) = (answers.stops, answers.parts.last()) {
            self.queue.extend(partitions_behind(command, &last.key));
        }
        Ok(())
    }

    fn show(&mut self, command: &ReadCommand, answers: &MergedAnswers, part: &MergedPart) -> Result<()> {
        if self.open.as_ref().is_none_or(|open| open.key != part.key) {
            self.open = Some(Open { key: part.key.clone(), rows: 0, static_row: None, entered: false });
        }
        let rows = self.open.as_ref().map_or(0, |open| open.rows);
        let left = self.rows_left.min(self.limits.per_partition - rows);
        answers.show(command, part, left, self)
    }

    /// The partition has no more rows, or may not give more. A static row without rows is shown now.
    fn end_partition(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        if !open.entered && open.static_row.is_some() {
            self.enter(&mut open);
            self.rows_left -= 1;
        }
        if open.entered {
            self.full |= self.page.partition_end().is_break();
        }
    }

    fn enter(&mut self, open: &mut Open) {
        open.entered = true;
        let row = open.static_row.as_deref().and_then(|row| RowView::parse(row).ok());
        // What is hidden was left out of it.
        let hidden = HiddenCells::NONE;
        let row = row.map(|row| LiveRow { row, now_seconds: self.now_seconds, hidden: &hidden });
        // A page takes every partition of which it takes a row.
        let _ = self.page.partition(open.key.as_ref(), row.as_ref());
    }

    /// The page.
    #[must_use]
    pub fn finish(self) -> Page {
        self.page.finish(self.tombstones)
    }
}

/// The rest of a partition, if there may be any.
fn rest_of(command: &ReadCommand, part: &MergedPart) -> Option<ReadCommand> {
    let clustering = behind(&command.clustering, part.covered.as_deref()?, command.reversed);
    let partitions = PartitionSelection::Key(part.key.clone());
    (!is_nothing(&clustering)).then(|| ReadCommand { partitions, clustering, ..command.clone() })
}

/// What a command reads behind a partition.
fn partitions_behind(command: &ReadCommand, key: &PartitionKey) -> Option<ReadCommand> {
    let PartitionSelection::Range(range) = &command.partitions else { return None };
    let range = PartitionRange { start: RangeBound::Key(key.clone(), false), end: range.end.clone() };
    Some(ReadCommand { partitions: PartitionSelection::Range(range), ..command.clone() })
}

impl RowVisitor for Assembly {
    fn partition(&mut self, _: KeyRef<'_>, static_row: Option<&LiveRow<'_>>) -> ControlFlow<()> {
        if let Some(open) = &mut self.open {
            open.static_row = static_row.map(|row| row.encoded().into_owned());
        }
        ControlFlow::Continue(())
    }

    fn row(&mut self, clustering: &[u8], row: &LiveRow<'_>) -> ControlFlow<()> {
        if let Some(mut open) = self.open.take() {
            if !open.entered {
                self.enter(&mut open);
            }
            open.rows += 1;
            self.open = Some(open);
        }
        self.rows_left -= 1;
        let flow = self.page.row(clustering, row);
        self.full |= flow.is_break();
        flow
    }

    fn partition_end(&mut self) -> ControlFlow<()> {
        // Whether the partition ends here is known when all answers are.
        ControlFlow::Continue(())
    }
}
