//! The engine against a simple model, on the real disk.

use crate::compaction::CompactionSettings;
use crate::engine::Engine;
use crate::page::Page;
use crate::settings::EngineSettings;
use crate::sstable::WriterOptions;
use crate::table::TableSettings;
use dodona_types::key::{BELOW, ROW_END};
use dodona_types::mutation::live_cell;
use dodona_types::read_command::{ClusteringSelection, PartitionRange, PartitionSelection, ReadCommand};
use dodona_types::row::RowHeader;
use dodona_types::{
    ClusteringSlice, ColumnId, Deletion, HiddenCells, KeyRef, LiveRow, Liveness, MutationBuilder,
    PartitionKey, RowVisitor, TableId,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use uuid::Uuid;

pub(crate) const TABLE: TableId = TableId(Uuid::from_u128(7));

pub(crate) fn settings() -> TableSettings {
    TableSettings {
        gc_grace_seconds: 0,
        writer: WriterOptions { block_bytes: 128, ..WriterOptions::default() },
        ..TableSettings::new(TABLE, "ks.t", CompactionSettings::disabled().unwrap())
    }
}

pub(crate) fn open(directory: &std::path::Path) -> Engine {
    let env = dodona_env::os::env(directory).unwrap();
    Engine::open(env, EngineSettings::default(), Uuid::from_u128(1), vec![settings()]).unwrap().0
}

fn clustering(n: u8) -> Vec<u8> {
    vec![0x40, n, ROW_END]
}

pub(crate) fn key(n: u8) -> Vec<u8> {
    vec![n, 0, n]
}

/// What a test does to the engine.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Put { key: u8, row: u8, timestamp: i64, value: u8 },
    DeleteRow { key: u8, row: u8, timestamp: i64 },
    DeleteRange { key: u8, start: u8, end: u8, timestamp: i64 },
    DeletePartition { key: u8, timestamp: i64 },
    Flush,
    Compact,
    Reopen,
}

pub(crate) fn steps() -> impl Strategy<Value = Step> {
    let at = 1i64..30;
    prop_oneof![
        12 => (0u8..4, 0u8..30, at.clone(), any::<u8>())
            .prop_map(|(key, row, timestamp, value)| Step::Put { key, row, timestamp, value }),
        3 => (0u8..4, 0u8..30, at.clone()).prop_map(|(key, row, timestamp)| Step::DeleteRow { key, row, timestamp }),
        3 => (0u8..4, 0u8..30, 1u8..12, at.clone())
            .prop_map(|(key, start, length, timestamp)| Step::DeleteRange { key, start, end: start + length, timestamp }),
        1 => (0u8..4, at).prop_map(|(key, timestamp)| Step::DeletePartition { key, timestamp }),
        2 => Just(Step::Flush),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
    ]
}

/// Every write and deletion ever made: the answer is worked out anew from all of them.
#[derive(Default)]
pub(crate) struct Model {
    puts: Vec<(u8, u8, i64, u8)>,
    deletions: Vec<(u8, u8, u8, i64)>,
}

impl Model {
    /// Takes over what another one has of some keys.
    pub(crate) fn absorb(&mut self, other: &Self, is_meant: impl Fn(u8) -> bool) {
        self.puts.extend(other.puts.iter().filter(|put| is_meant(put.0)));
        self.deletions.extend(other.deletions.iter().filter(|deletion| is_meant(deletion.0)));
    }

    pub(crate) fn rows(&self, key: u8) -> BTreeMap<u8, u8> {
        let mut rows: BTreeMap<u8, (i64, u8)> = BTreeMap::new();
        for (_, row, timestamp, value) in self.puts.iter().filter(|put| put.0 == key) {
            let best = rows.entry(*row).or_insert((*timestamp, *value));
            *best = (*best).max((*timestamp, *value));
        }
        rows.retain(|row, (timestamp, _)| {
            !self
                .deletions
                .iter()
                .any(|(of, start, end, at)| *of == key && start <= row && row < end && at >= timestamp)
        });
        rows.into_iter().map(|(row, (_, value))| (row, value)).collect()
    }
}

pub(crate) fn apply(engine: &Engine, model: &mut Model, step: &Step) {
    let mut builder = MutationBuilder::new();
    let deletion = |timestamp_micros| Deletion { timestamp_micros, deleted_at_seconds: i64::MAX - 1 };
    match *step {
        Step::Put { key: k, row, timestamp, value } => {
            builder.begin(TABLE, 0, &key(k));
            let header = RowHeader { liveness: Some(Liveness::new(timestamp)), ..RowHeader::EMPTY };
            builder.row(&clustering(row), timestamp, &header, |row| {
                row.push_cell(&live_cell(ColumnId(3), timestamp, &[value]));
            });
            model.puts.push((k, row, timestamp, value));
        }
        Step::DeleteRow { key: k, row, timestamp } => {
            builder.begin(TABLE, 0, &key(k));
            let header = RowHeader { deletion: deletion(timestamp), ..RowHeader::EMPTY };
            builder.row(&clustering(row), timestamp, &header, |_| {});
            model.deletions.push((k, row, row + 1, timestamp));
        }
        Step::DeleteRange { key: k, start, end, timestamp } => {
            builder.begin(TABLE, 0, &key(k));
            builder.range_deletion(&slice(start, end), deletion(timestamp));
            model.deletions.push((k, start, end, timestamp));
        }
        Step::DeletePartition { key: k, timestamp } => {
            builder.begin(TABLE, 0, &key(k));
            builder.partition_deletion(deletion(timestamp));
            model.deletions.push((k, 0, 255, timestamp));
        }
        Step::Flush => return engine.flush(TABLE).unwrap(),
        Step::Compact => {
            engine.flush(TABLE).unwrap();
            return engine.compact_all(TABLE, None).unwrap();
        }
        Step::Reopen => return,
    }
    engine.apply(&[builder.view()]).unwrap();
}

fn slice(start: u8, end: u8) -> ClusteringSlice {
    let bound = |n| vec![0x40, n, BELOW];
    ClusteringSlice { start: bound(start), end: bound(end) }
}

#[derive(Default)]
struct Collect {
    rows: Vec<(Vec<u8>, u8, u8)>,
    key: Vec<u8>,
}

impl RowVisitor for Collect {
    fn partition(&mut self, key: KeyRef<'_>, _: Option<&LiveRow<'_>>) -> ControlFlow<()> {
        self.key = key.bytes.to_vec();
        ControlFlow::Continue(())
    }

    fn row(&mut self, clustering: &[u8], row: &LiveRow<'_>) -> ControlFlow<()> {
        let value = row.cells().next().map_or(0, |cell| cell.value[0]);
        self.rows.push((self.key.clone(), clustering[1], value));
        ControlFlow::Continue(())
    }
}

pub(crate) fn command(
    partitions: PartitionSelection,
    clustering: ClusteringSelection,
    reversed: bool,
) -> ReadCommand {
    ReadCommand { clustering, reversed, ..ReadCommand::everything(TABLE, 0, partitions, 0) }
}

pub(crate) fn collected(page: &Page) -> Vec<(Vec<u8>, u8, u8)> {
    let mut collect = Collect::default();
    assert!(page.show(0, &mut collect).unwrap().is_continue());
    collect.rows
}

pub(crate) fn check(engine: &Engine, model: &Model) {
    let read = |command: &ReadCommand| collected(&engine.read_page(command, usize::MAX).unwrap());
    let mut all = Vec::new();
    let mut keys: Vec<u8> = (0..4).collect();
    keys.sort_by_key(|k| PartitionKey::new(key(*k).into()));
    for k in keys {
        let expected: Vec<_> = model.rows(k).into_iter().map(|(row, value)| (key(k), row, value)).collect();
        all.extend(expected.clone());
        let one = || PartitionSelection::Key(PartitionKey::new(key(k).into()));
        assert_eq!(read(&command(one(), ClusteringSelection::all(), false)), expected);
        let backward: Vec<_> = expected.iter().rev().cloned().collect();
        assert_eq!(read(&command(one(), ClusteringSelection::all(), true)), backward);
        let slices = ClusteringSelection::Slices(vec![slice(3, 9), slice(12, 25)]);
        let inside = |row: u8| (3..9).contains(&row) || (12..25).contains(&row);
        let sliced: Vec<_> = expected.iter().filter(|row| inside(row.1)).cloned().collect();
        assert_eq!(read(&command(one(), slices.clone(), false)), sliced);
        let sliced_back: Vec<_> = sliced.iter().rev().cloned().collect();
        assert_eq!(read(&command(one(), slices, true)), sliced_back);
        let names = ClusteringSelection::Names(vec![clustering(4), clustering(7), clustering(20)]);
        let named: Vec<_> = expected.iter().filter(|row| [4, 7, 20].contains(&row.1)).cloned().collect();
        assert_eq!(read(&command(one(), names, false)), named);
    }
    assert_eq!(
        read(&command(PartitionSelection::Range(PartitionRange::all()), ClusteringSelection::all(), false)),
        all
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn reads_agree_with_a_model_across_flushes_compactions_and_restarts(
        history in prop::collection::vec(steps(), 1..60)
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut engine = open(directory.path());
        let mut model = Model::default();
        for step in &history {
            if matches!(step, Step::Reopen) {
                engine.log.write().unwrap();
                drop(engine);
                engine = open(directory.path());
                check(&engine, &model);
            } else {
                apply(&engine, &mut model, step);
            }
        }
        check(&engine, &model);
        while engine.maintain().unwrap() == crate::Maintained::Worked {}
        prop_assert_eq!(engine.verify(TABLE).unwrap(), []);
    }
}

#[expect(clippy::disallowed_methods, reason = "a test damages a file behind the engine's back")]
pub(crate) fn read_file(path: &std::path::Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test damages a file behind the engine's back")]
pub(crate) fn write_file(path: &std::path::Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_second_engine_on_the_same_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _engine = open(directory.path());
    let env = dodona_env::os::env(directory.path()).unwrap();
    let second = Engine::open(env, EngineSettings::default(), Uuid::from_u128(1), vec![settings()]);
    assert!(matches!(second.err(), Some(crate::StorageError::InUse)));
}

#[test]
fn truncated_rows_stay_away_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut model = Model::default();
    apply(&engine, &mut model, &Step::Put { key: 1, row: 1, timestamp: 5, value: 1 });
    engine.flush(TABLE).unwrap();
    apply(&engine, &mut model, &Step::Put { key: 2, row: 1, timestamp: 5, value: 1 });
    engine.truncate(TABLE).unwrap();
    let mut after = Model::default();
    apply(&engine, &mut after, &Step::Put { key: 3, row: 9, timestamp: 1, value: 1 });
    check(&engine, &after);
    engine.log.write().unwrap();
    drop(engine);
    check(&open(directory.path()), &after);
}

#[test]
fn files_are_written_without_cells_from_before_the_drop_of_their_column() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let put = |key_number: u8, marker: Option<i64>, cells: &[(u32, i64)]| {
        let mut builder = MutationBuilder::new();
        builder.begin(TABLE, 0, &key(key_number));
        let header = RowHeader { liveness: marker.map(Liveness::new), ..RowHeader::EMPTY };
        builder.row(&clustering(1), 0, &header, |row| {
            cells.iter().for_each(|(id, at)| row.push_cell(&live_cell(ColumnId(*id), *at, b"v")));
        });
        engine.apply(&[builder.view()]).unwrap();
    };
    put(1, Some(5), &[(3, 5), (4, 5)]);
    put(2, None, &[(3, 10)]);
    put(3, None, &[(3, 11)]);
    engine.flush(TABLE).unwrap();
    // All that reads see of the engine, whatever they hide.
    let cells = || {
        #[derive(Default)]
        struct Cells(Vec<(u8, Vec<u32>)>);
        impl RowVisitor for Cells {
            fn partition(&mut self, key: KeyRef<'_>, _: Option<&LiveRow<'_>>) -> ControlFlow<()> {
                self.0.push((key.bytes[0], Vec::new()));
                ControlFlow::Continue(())
            }
            fn row(&mut self, _: &[u8], row: &LiveRow<'_>) -> ControlFlow<()> {
                self.0.last_mut().unwrap().1.extend(row.cells().map(|cell| cell.column.0));
                ControlFlow::Continue(())
            }
        }
        let all =
            command(PartitionSelection::Range(PartitionRange::all()), ClusteringSelection::all(), false);
        let mut cells = Cells::default();
        assert!(engine.read_page(&all, usize::MAX).unwrap().show(0, &mut cells).unwrap().is_continue());
        cells.0.sort();
        cells.0
    };
    assert_eq!(cells(), [(1, vec![3, 4]), (2, vec![3]), (3, vec![3])]);
    let dropped_cells = HiddenCells::new(vec![(ColumnId(3), 10)]);
    engine.put_table(TableSettings { dropped_cells, ..settings() }).unwrap();
    engine.compact_all(TABLE, None).unwrap();
    assert_eq!(cells(), [(1, vec![4]), (3, vec![3])]);
    // What comes late, as by a hint, goes with the flush.
    put(4, Some(9), &[(3, 9)]);
    put(5, None, &[(3, 9)]);
    assert_eq!(cells(), [(1, vec![4]), (3, vec![3]), (4, vec![3]), (5, vec![3])]);
    engine.flush(TABLE).unwrap();
    assert_eq!(cells(), [(1, vec![4]), (3, vec![3]), (4, vec![])]);
}
