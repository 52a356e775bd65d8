//! Reads of rows by name: they stop at the first files that settle the rows, and show what reads of
//! everything show.

use crate::engine_tests::{TABLE, settings};
use crate::{Engine, EngineSettings, RowShape, TableSettings};
use dodona_types::key::{BELOW, ROW_END};
use dodona_types::mutation::live_cell;
use dodona_types::read_command::{ClusteringSelection, PartitionSelection, ReadCommand};
use dodona_types::row::RowHeader;
use dodona_types::{
    Cell, CellKind, ClusteringSlice, ColumnId, Deletion, KeyRef, LiveRow, Liveness, MutationBuilder,
    MutationView, PartitionKey, RowVisitor,
};
use proptest::prelude::*;
use std::ops::ControlFlow;
use std::sync::Arc;
use uuid::Uuid;

const NOW: i64 = 1_000;

fn shape() -> RowShape {
    RowShape { columns: vec![ColumnId(1), ColumnId(2)], statics: Vec::new(), one_row: false, is_plain: true }
}

fn open(directory: &std::path::Path, shape: RowShape) -> Engine {
    let env = dodona_env::os::env(directory).unwrap();
    let table = TableSettings { shape: Some(Arc::new(shape)), gc_grace_seconds: 5_000, ..settings() };
    let engine = EngineSettings { segment_bytes: 64 << 10, ..EngineSettings::default() };
    Engine::open(env, engine, Uuid::from_u128(1), vec![table]).unwrap().0
}

fn clustering(row: u8) -> Vec<u8> {
    vec![0x40, row, ROW_END]
}

#[derive(Clone, Debug)]
enum Write {
    /// A row with its marker and these columns.
    Insert(u8, Vec<u32>, u8),
    /// Columns alone, or without a value their tombstones.
    Update(u8, Vec<u32>, Option<u8>),
    Static(u8),
    DeleteRow(u8),
    DeleteRange(u8, u8),
    DeletePartition,
}

fn mutation(write: &Write, timestamp_micros: i64) -> Vec<u8> {
    let deletion = Deletion { timestamp_micros, deleted_at_seconds: NOW };
    let cell = |column: &u32, value: &Option<u8>, out: &mut dodona_types::row::RowBuilder<'_>| {
        let bytes: Vec<u8> = value.iter().copied().collect();
        let kind =
            if value.is_some() { CellKind::Live } else { CellKind::Tombstone { deleted_at_seconds: NOW } };
        out.push_cell(&Cell { kind, ..live_cell(ColumnId(*column), timestamp_micros, &bytes) });
    };
    let mut builder = MutationBuilder::new();
    builder.begin(TABLE, 1, b"p");
    match write {
        Write::Insert(row, columns, value) => {
            let header = RowHeader { liveness: Some(Liveness::new(timestamp_micros)), ..RowHeader::EMPTY };
            builder.row(&clustering(*row), timestamp_micros, &header, |out| {
                columns.iter().for_each(|column| cell(column, &Some(*value), out));
            });
        }
        Write::Update(row, columns, value) => {
            builder.row(&clustering(*row), timestamp_micros, &RowHeader::EMPTY, |out| {
                columns.iter().for_each(|column| cell(column, value, out));
            });
        }
        Write::Static(value) => {
            builder.static_row(timestamp_micros, &RowHeader::EMPTY, |out| cell(&20, &Some(*value), out));
        }
        Write::DeleteRow(row) => {
            let header = RowHeader { deletion, ..RowHeader::EMPTY };
            builder.row(&clustering(*row), timestamp_micros, &header, |_| {});
        }
        Write::DeleteRange(start, end) => {
            let slice = ClusteringSlice { start: vec![0x40, *start, BELOW], end: vec![0x40, *end, BELOW] };
            builder.range_deletion(&slice, deletion);
        }
        Write::DeletePartition => builder.partition_deletion(deletion),
    }
    builder.view().bytes().to_vec()
}

fn apply(engine: &Engine, write: &Write, timestamp: i64) {
    let mutation = mutation(write, timestamp);
    engine.apply(&[MutationView::parse(&mutation).unwrap()]).unwrap();
}

fn command(rows: &[u8], reversed: bool) -> ReadCommand {
    let partition = PartitionSelection::Key(PartitionKey::new(b"p".to_vec().into()));
    let clustering = ClusteringSelection::Names(rows.iter().map(|row| clustering(*row)).collect());
    ReadCommand { clustering, reversed, ..ReadCommand::everything(TABLE, 1, partition, NOW) }
}

/// A row: clustering, marker, and cells with timestamps.
type Shown = (Vec<u8>, Option<Liveness>, Vec<(u32, i64, Vec<u8>)>);

/// The live rows of a page, each with its marker and cells; first the static row's.
fn shown(engine: &Engine, command: &ReadCommand) -> Vec<Shown> {
    #[derive(Default)]
    struct Rows(Vec<Shown>);
    impl Rows {
        fn push(&mut self, clustering: &[u8], row: &LiveRow<'_>) {
            let cells = row.cells().map(|cell| (cell.column.0, cell.timestamp_micros, cell.value.to_vec()));
            self.0.push((clustering.to_vec(), row.row.header.liveness, cells.collect()));
        }
    }
    impl RowVisitor for Rows {
        fn partition(&mut self, _: KeyRef<'_>, static_row: Option<&LiveRow<'_>>) -> ControlFlow<()> {
            static_row.into_iter().for_each(|row| self.push(&[], row));
            ControlFlow::Continue(())
        }

        fn row(&mut self, clustering: &[u8], row: &LiveRow<'_>) -> ControlFlow<()> {
            self.push(clustering, row);
            ControlFlow::Continue(())
        }
    }
    let mut rows = Rows::default();
    let page = engine.read_page(command, usize::MAX).unwrap();
    assert!(page.show(NOW, &mut rows).unwrap().is_continue());
    rows.0
}

/// Files that a read of these rows looks into.
fn files_read(engine: &Engine, rows: &[u8]) -> usize {
    let before = engine.table_statistics(TABLE).unwrap().files_per_read;
    engine.read_page(&command(rows, false), usize::MAX).unwrap();
    let after = engine.table_statistics(TABLE).unwrap().files_per_read;
    before.iter().zip(&after).position(|(before, after)| before != after).unwrap()
}

/// Ten files; the newest has row 9, the oldest row 0, each of them rows 20 and 21: row 20 whole, of row 21
/// one column.
fn ten_files(shape: RowShape) -> (tempfile::TempDir, Engine) {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path(), shape);
    for file in 0..10u8 {
        let timestamp = 100 + i64::from(file);
        apply(&engine, &Write::Insert(file, vec![1, 2], file), timestamp);
        apply(&engine, &Write::Insert(20, vec![1, 2], file), timestamp);
        apply(&engine, &Write::Insert(21, vec![1], file), timestamp);
        engine.flush_all().unwrap();
    }
    (directory, engine)
}

#[test]
fn a_read_stops_at_the_first_file_that_settles_its_rows() {
    let (_directory, engine) = ten_files(shape());
    assert_eq!(files_read(&engine, &[20]), 1, "the newest file has all of the row");
    assert_eq!(files_read(&engine, &[9, 20]), 1);
    assert_eq!(files_read(&engine, &[7, 20]), 3, "the file of row 7 is the third");
    assert_eq!(files_read(&engine, &[0]), 10);
    assert_eq!(files_read(&engine, &[21]), 10, "an older file may have the other column");
    apply(&engine, &Write::Update(21, vec![2], None), 108);
    assert_eq!(files_read(&engine, &[21]), 2, "all others are older than 108");
    apply(&engine, &Write::Update(20, vec![2], Some(1)), 200);
    assert_eq!(files_read(&engine, &[20]), 1, "one column is newer, the rest in the newest file");
    apply(&engine, &Write::DeleteRow(0), 105);
    assert_eq!(files_read(&engine, &[0]), 5, "nothing older than the deletion matters");
    apply(&engine, &Write::DeletePartition, 300);
    assert_eq!(files_read(&engine, &[0, 21]), 0, "all files are older");
}

#[test]
fn all_files_are_read_where_one_cannot_say_all() {
    let many_cells = RowShape { is_plain: false, ..shape() };
    assert_eq!(files_read(&ten_files(many_cells).1, &[20]), 10);
    let statics = RowShape { statics: vec![ColumnId(20)], ..shape() };
    let (_directory, engine) = ten_files(statics);
    assert_eq!(files_read(&engine, &[20]), 10, "any file may have the static row");
    apply(&engine, &Write::Static(1), 200);
    assert_eq!(files_read(&engine, &[20]), 1);
}

#[test]
fn of_two_files_with_the_same_newest_timestamp_both_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path(), shape());
    for value in [7, 3] {
        apply(&engine, &Write::Insert(1, vec![1, 2], value), 100);
        engine.flush_all().unwrap();
    }
    assert_eq!(files_read(&engine, &[1]), 2);
}

fn write() -> impl Strategy<Value = Write> {
    let columns = || prop_oneof![4 => Just(vec![1, 2]), 1 => Just(vec![1]), 1 => Just(vec![2])];
    prop_oneof![
        8 => (0u8..4, columns(), any::<u8>()).prop_map(|(row, columns, value)| Write::Insert(row, columns, value)),
        3 => (0u8..4, columns(), any::<Option<u8>>())
            .prop_map(|(row, columns, value)| Write::Update(row, columns, value)),
        1 => any::<u8>().prop_map(Write::Static),
        2 => (0u8..4).prop_map(Write::DeleteRow),
        2 => (0u8..4, 1u8..3).prop_map(|(start, length)| Write::DeleteRange(start, start + length)),
        1 => Just(Write::DeletePartition),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// In many files or in one memtable, with timestamps in whatever order: the rows are the same, and so
    /// is what other replicas compare.
    #[test]
    fn rows_and_digests_do_not_depend_on_the_files(
        writes in prop::collection::vec((write(), 1i64..40, prop::bool::weighted(0.3)), 1..40),
        statics: bool, reversed: bool,
    ) {
        let shape = RowShape { statics: if statics { vec![ColumnId(20)] } else { Vec::new() }, ..shape() };
        let directories = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (many, one) = (open(directories.0.path(), shape.clone()), open(directories.1.path(), shape));
        for (write, timestamp, flushes) in &writes {
            if matches!(write, Write::Static(_)) && !statics {
                continue;
            }
            apply(&many, write, *timestamp);
            apply(&one, write, *timestamp);
            if *flushes {
                many.flush_all().unwrap();
            }
        }
        for rows in [&[0][..], &[2], &[1, 3], &[0, 1, 2, 3]] {
            let command = command(rows, reversed);
            prop_assert_eq!(shown(&many, &command), shown(&one, &command));
            let digests = [&many, &one].map(|engine| engine.read_digest(&command, usize::MAX).unwrap());
            prop_assert_eq!(digests[0], digests[1]);
        }
    }
}
