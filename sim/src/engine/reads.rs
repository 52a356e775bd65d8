//! Reads of the engine in the model's terms.

use super::generate::ROWS;
use super::model::{SeenPartition, key_of};
use super::step::{Place, Query};
use dodona_storage::reconcile::{Answer, Assembly, MergedAnswers};
use dodona_storage::{Engine, Page, StorageError};
use dodona_types::key::{BELOW, ROW_END};
use dodona_types::read_command::{
    ClusteringSelection, PartitionRange, PartitionSelection, ReadCommand, ReadLimits,
};
use dodona_types::row::RowHeader;
use dodona_types::{
    ClusteringSlice, ColumnId, HiddenCells, KeyRef, LiveRow, Liveness, MutationBuilder, PartitionKey,
    RowVisitor, TableId,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// The column of many cells.
pub const MAP: ColumnId = ColumnId(9);
/// A replica's answer stops once it has so many bytes: far fewer than in production, so that most do.
const ANSWER_BYTES: usize = 200;
/// Static columns have numbers from here on.
pub const STATIC_BASE: u32 = 20;

/// The partition in which every write notes its number: behind all others in the ring.
#[must_use]
pub fn journal_key() -> &'static [u8] {
    // The test below says that it is.
    b"j847"
}

/// The comparable bytes of a row's clustering key.
#[must_use]
pub fn clustering(row: u8) -> Vec<u8> {
    vec![0x40, row, ROW_END]
}

/// The slice from one row to before another.
#[must_use]
pub fn slice(start: u8, end: u8) -> ClusteringSlice {
    ClusteringSlice { start: vec![0x40, start, BELOW], end: vec![0x40, end, BELOW] }
}

/// The read command of a query.
#[must_use]
pub fn command(table: TableId, query: &Query, hidden: HiddenCells, now_seconds: i64) -> ReadCommand {
    let limit = |limit: u8| if limit == 0 { u64::MAX } else { u64::from(limit) };
    ReadCommand {
        table,
        epoch: 0,
        partitions: match query.partition {
            Some(partition) => PartitionSelection::Key(PartitionKey::new(key_of(partition).into())),
            None => PartitionSelection::Range(PartitionRange::all()),
        },
        clustering: if !query.names.is_empty() {
            ClusteringSelection::Names(query.names.iter().map(|row| clustering(*row)).collect())
        } else if !query.slices.is_empty() {
            let slices = query.slices.iter().map(|(start, end)| slice(*start, *end));
            ClusteringSelection::Slices(slices.collect())
        } else {
            ClusteringSelection::all()
        },
        reversed: query.reversed,
        hidden,
        now_seconds,
        limits: ReadLimits { rows: limit(query.limits.0), per_partition: limit(query.limits.1) },
    }
}

#[derive(Default)]
struct Collect(Vec<SeenPartition>);

fn cells(row: &LiveRow<'_>) -> Vec<(Place, u8)> {
    let place = |column: ColumnId, path: Option<&[u8]>| match path {
        Some(path) => Place::Element(path.first().copied().unwrap_or(u8::MAX)),
        None => Place::Column((column.0 % STATIC_BASE) as u8),
    };
    let mut cells: Vec<_> = row
        .cells()
        .map(|cell| (place(cell.column, cell.path), cell.value.first().copied().unwrap_or(u8::MAX)))
        .collect();
    cells.sort_unstable();
    cells
}

impl RowVisitor for Collect {
    fn partition(&mut self, key: KeyRef<'_>, static_row: Option<&LiveRow<'_>>) -> ControlFlow<()> {
        if key.bytes == journal_key() {
            // It comes last.
            return ControlFlow::Break(());
        }
        let number = key.bytes.first().copied().unwrap_or(u8::MAX);
        self.0.push((number, static_row.map(cells).unwrap_or_default(), Vec::new()));
        ControlFlow::Continue(())
    }

    fn row(&mut self, clustering: &[u8], row: &LiveRow<'_>) -> ControlFlow<()> {
        if let Some((_, _, rows)) = self.0.last_mut() {
            rows.push((clustering.get(1).copied().unwrap_or(u8::MAX), cells(row)));
        }
        ControlFlow::Continue(())
    }
}

fn show(page: &Page, now_seconds: i64) -> Result<Vec<SeenPartition>, StorageError> {
    let mut seen = Collect::default();
    let _ = page.show(now_seconds, &mut seen)?;
    Ok(seen.0)
}

/// Which way a read takes through the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A page, waiting for the disk.
    Page,
    /// Without waiting for the disk, if that can be.
    Memory,
    /// As a replica answers, and a coordinator merges.
    Replica,
}

/// Reads. None if this way could not be taken.
///
/// # Errors
/// The engine's.
pub fn read(
    engine: &Engine,
    table: TableId,
    query: &Query,
    hidden: &HiddenCells,
    now_seconds: i64,
    way: Way,
) -> Result<Option<Vec<SeenPartition>>, StorageError> {
    let command = command(table, query, hidden.clone(), now_seconds);
    match way {
        Way::Page => show(&engine.read_page(&command, usize::MAX)?, now_seconds).map(Some),
        Way::Memory => {
            let mut seen = Collect::default();
            match engine.try_read(&command, &mut seen) {
                Ok(_) => Ok(Some(seen.0)),
                Err(StorageError::NeedsDisk) => Ok(None),
                Err(error) => Err(error),
            }
        }
        Way::Replica => {
            let mut assembly = Assembly::new(command.limits, now_seconds, usize::MAX);
            assembly.begin(command);
            while let Some(command) = assembly.next_command() {
                let answer = engine.read_answer(&command, ANSWER_BYTES)?;
                let answer = Answer::parse(&answer)?;
                assembly.take(&command, &MergedAnswers::new(&command, &[answer])?)?;
            }
            show(&assembly.finish(), now_seconds).map(Some)
        }
    }
}

/// Reads one partition page by page, each from behind the last row of the one before.
///
/// # Errors
/// The engine's.
pub fn read_in_pages(
    engine: &Engine,
    table: TableId,
    query: &Query,
    hidden: &HiddenCells,
    now_seconds: i64,
) -> Result<Vec<SeenPartition>, StorageError> {
    let mut slices = if query.slices.is_empty() { vec![(0, ROWS * 2)] } else { query.slices.clone() };
    let mut all: Vec<SeenPartition> = Vec::new();
    loop {
        let page = Query { slices: slices.clone(), limits: (query.page_rows, 0), ..query.clone() };
        let seen = read(engine, table, &page, hidden, now_seconds, Way::Page)?.unwrap_or_default();
        let Some((partition, statics, rows)) = seen.into_iter().next() else { return Ok(all) };
        let (count, last) = (rows.len(), rows.last().map(|row| row.0));
        match all.first_mut() {
            Some((_, _, before)) => before.extend(rows),
            None => all.push((partition, statics, rows)),
        }
        let Some(last) = last.filter(|_| count == usize::from(query.page_rows)) else { return Ok(all) };
        for (start, end) in &mut slices {
            if query.reversed {
                *end = (*end).min(last);
            } else {
                *start = (*start).max(last + 1);
            }
        }
        slices.retain(|(start, end)| start < end);
        if slices.is_empty() {
            return Ok(all);
        }
    }
}

/// A write's number, as a row of a table.
pub(super) fn note_number(table: TableId, number: u64, timestamp: i64) -> MutationBuilder {
    let mut journal = MutationBuilder::new();
    journal.begin(table, 0, journal_key());
    let header = RowHeader { liveness: Some(Liveness::new(timestamp)), ..RowHeader::EMPTY };
    journal.row(&number.to_be_bytes(), timestamp, &header, |_| {});
    journal
}

/// The numbers of the writes that a table has.
///
/// # Errors
/// The engine's.
pub(super) fn numbers_in(engine: &Engine, table: TableId, now: i64) -> Result<BTreeSet<u64>, StorageError> {
    struct Numbers(BTreeSet<u64>);
    impl RowVisitor for Numbers {
        fn partition(&mut self, _: KeyRef<'_>, _: Option<&LiveRow<'_>>) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }
        fn row(&mut self, row: &[u8], _: &LiveRow<'_>) -> ControlFlow<()> {
            self.0.extend(row.try_into().map(u64::from_be_bytes));
            ControlFlow::Continue(())
        }
    }
    let mut command = command(table, &Query::all(None, false), HiddenCells::NONE, now);
    command.partitions = PartitionSelection::Key(PartitionKey::new(journal_key().to_vec().into()));
    let mut numbers = Numbers(BTreeSet::new());
    let _ = engine.read_page(&command, usize::MAX)?.show(now, &mut numbers)?;
    Ok(numbers.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::world::PARTITIONS;

    #[test]
    fn the_journal_is_the_last_partition_of_the_ring() {
        let journal = KeyRef::new(journal_key()).token;
        for partition in 0..PARTITIONS {
            assert!(KeyRef::new(&key_of(partition)).token < journal);
        }
    }
}
