use super::*;
use crate::compaction::CompactionSettings;
use crate::engine_tests::key;
use crate::settings::EngineSettings;
use crate::shape::RowShape;
use crate::table::TableSettings;
use dodona_types::key::ROW_END;
use dodona_types::mutation::live_cell;
use dodona_types::read_command::{ClusteringSelection, RangeBound};
use dodona_types::row::RowHeader;
use dodona_types::{ColumnId, Deletion, LiveRow, Liveness, MutationBuilder, RowVisitor, TableId};
use std::ops::ControlFlow;
use uuid::Uuid;

const TABLE: TableId = TableId(Uuid::from_u128(9));

/// Counts nothing: what a read looks into is asked of the read.
struct Blind;

impl RowVisitor for Blind {
    fn partition(&mut self, _: dodona_types::KeyRef<'_>, _: Option<&LiveRow<'_>>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn row(&mut self, _: &[u8], _: &LiveRow<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

fn open(directory: &std::path::Path) -> Engine {
    let env = dodona_env::os::env(directory).unwrap();
    let shape = RowShape { columns: vec![ColumnId(1)], statics: Vec::new(), one_row: false, is_plain: true };
    let settings = TableSettings {
        shape: Some(Arc::new(shape)),
        ..TableSettings::new(TABLE, "ks.t", CompactionSettings::disabled().unwrap())
    };
    Engine::open(env, EngineSettings::default(), Uuid::from_u128(1), vec![settings]).unwrap().0
}

fn put(engine: &Engine, raw_key: u8, row: u8, timestamp: i64) {
    let mut builder = MutationBuilder::new();
    builder.begin(TABLE, 0, &key(raw_key));
    let header = RowHeader { liveness: Some(Liveness::new(timestamp)), ..RowHeader::EMPTY };
    builder.row(&[0x40, row, ROW_END], timestamp, &header, |cells| {
        cells.push_cell(&live_cell(ColumnId(1), timestamp, b"value"));
    });
    engine.apply(&[builder.view()]).unwrap();
}

fn command(raw_key: u8, rows: &[u8]) -> ReadCommand {
    let key = PartitionKey::new(key(raw_key).into());
    let mut command = ReadCommand::everything(TABLE, 0, PartitionSelection::Key(key), 100);
    if !rows.is_empty() {
        let names = rows.iter().map(|row| vec![0x40, *row, ROW_END]).collect();
        command.clustering = ClusteringSelection::Names(names);
    }
    command
}

/// Files that a read really looks into.
fn looked_into(engine: &Engine, command: &ReadCommand) -> Option<u32> {
    engine.try_read(command, &mut Blind).unwrap().files_read
}

fn flush(engine: &Engine) {
    engine.flush(TABLE).unwrap();
}

#[test]
fn what_is_told_of_a_partition_is_what_its_read_looks_into() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    for row in 0..40 {
        put(&engine, 1, row, 10);
    }
    flush(&engine);
    put(&engine, 1, 7, 20);
    put(&engine, 2, 1, 20);
    flush(&engine);
    put(&engine, 3, 1, 30);
    flush(&engine);

    let whole = engine.sources_of(&command(1, &[])).unwrap();
    assert_eq!(looked_into(&engine, &command(1, &[])), Some(2));
    assert_eq!((whole.files.len(), whole.stops_early), (2, false));
    assert_eq!(whole.left_out_by_tokens + whole.left_out_by_filter.unwrap(), 1);
    assert_eq!((whole.memtables, whole.holding.len(), whole.left_out_by_timestamps), (1, 0, None));
    // The newest first: two partitions of a row each, and one of 40.
    assert_eq!(whole.files.iter().map(|file| file.rows).collect::<Vec<_>>(), [1, 40]);
    assert!(whole.files.iter().all(|file| file.blocks > 0 && file.bytes > 0 && file.tombstones == 0));

    // The newest file has all of the row, and the older one is not opened.
    let named = engine.sources_of(&command(1, &[7])).unwrap();
    assert!(named.stops_early);
    assert_eq!((named.files.len(), named.left_out_by_timestamps), (2, Some(0)));
    assert_eq!(looked_into(&engine, &command(1, &[7])), Some(1));

    // The memtable has one of the rows, and the files are older than it: they matter to the other alone.
    put(&engine, 1, 7, 40);
    let named = engine.sources_of(&command(1, &[7])).unwrap();
    assert_eq!((named.files.len(), named.left_out_by_timestamps), (0, Some(2)));
    assert_eq!(
        named.holding,
        [HoldingMemtable { is_flushing: false, rows: Some(1), has_deletions: Some(false) }]
    );
    assert_eq!(looked_into(&engine, &command(1, &[7])), Some(0));
    let both = engine.sources_of(&command(1, &[7, 8])).unwrap();
    assert_eq!((both.files.len(), both.left_out_by_timestamps), (2, Some(0)));
    assert_eq!(looked_into(&engine, &command(1, &[7, 8])), Some(2));
}

#[test]
fn a_deletion_in_memory_leaves_out_the_files_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    put(&engine, 1, 1, 10);
    flush(&engine);
    put(&engine, 1, 1, 30);
    flush(&engine);
    let mut builder = MutationBuilder::new();
    builder.begin(TABLE, 0, &key(1));
    builder.partition_deletion(Deletion { timestamp_micros: 20, deleted_at_seconds: 50 });
    engine.apply(&[builder.view()]).unwrap();
    let sources = engine.sources_of(&command(1, &[1])).unwrap();
    assert_eq!((sources.files.len(), sources.left_out_by_timestamps), (1, Some(1)));
    assert_eq!(sources.holding[0].has_deletions, Some(true));
    assert_eq!(looked_into(&engine, &command(1, &[1])), Some(1));
}

#[test]
fn a_range_takes_files_by_their_tokens_and_their_share_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    for raw_key in 0..100 {
        put(&engine, raw_key, 1, 10);
    }
    flush(&engine);
    let of = |range| {
        let partitions = PartitionSelection::Range(range);
        engine.sources_of(&ReadCommand::everything(TABLE, 0, partitions, 100)).unwrap()
    };
    let all = of(PartitionRange::all());
    assert_eq!((all.files.len(), all.files[0].rows, all.left_out_by_filter), (1, 100, None));
    let half = of(PartitionRange { start: RangeBound::Token(Token(0), true), end: RangeBound::Unbounded });
    assert!((30..70).contains(&half.files[0].rows), "{half:?}");
    let none = of(PartitionRange { start: RangeBound::Token(Token::MAX, true), end: RangeBound::Unbounded });
    assert_eq!((none.files.len(), none.left_out_by_tokens), (0, 1));
}
