//! The storage engine without anything above it: writes to memory and log, reads from memory and
//! from files.
#![allow(missing_docs, reason = "criterion makes the functions")]

use criterion::{Criterion, criterion_group, criterion_main};
use dodona_storage::compaction::CompactionSettings;
use dodona_storage::{Engine, EngineSettings, TableSettings};
use dodona_types::key::ROW_END;
use dodona_types::mutation::live_cell;
use dodona_types::read_command::{PartitionSelection, ReadCommand, ReadLimits};
use dodona_types::{
    ColumnId, KeyRef, LiveRow, Liveness, MutationBuilder, PartitionKey, RowHeader, RowVisitor, TableId,
};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use uuid::Uuid;

const TABLE: TableId = TableId(Uuid::from_u128(7));
const PARTITIONS: u64 = 100_000;
const ROWS: u32 = 1_000;
const WIDE: u64 = u64::MAX;

fn open(directory: &Path) -> Engine {
    let table = TableSettings {
        gc_grace_seconds: 0,
        ..TableSettings::new(TABLE, "ks.t", CompactionSettings::disabled().expect("no compaction"))
    };
    let env = dodona_env::os::env(directory).expect("a directory");
    Engine::open(env, EngineSettings::default(), Uuid::from_u128(1), vec![table]).expect("an engine").0
}

fn clustering(row: u32) -> Vec<u8> {
    let mut bytes = vec![0x40];
    bytes.extend_from_slice(&row.to_be_bytes());
    bytes.push(ROW_END);
    bytes
}

/// Writes a row. Returns its position in the log.
fn put(
    engine: &Engine,
    builder: &mut MutationBuilder,
    partition: u64,
    row: u32,
    timestamp_micros: i64,
) -> u64 {
    builder.begin(TABLE, 1, &partition.to_be_bytes());
    let header = RowHeader { liveness: Some(Liveness::new(timestamp_micros)), ..RowHeader::EMPTY };
    builder.row(&clustering(row), timestamp_micros, &header, |cells| {
        cells.push_cell(&live_cell(ColumnId(1), timestamp_micros, &[7; 100]));
    });
    engine.apply(&[builder.view()]).expect("a write")
}

/// Scrambles a counter, so that keys come in no order.
const fn scrambled(n: u64) -> u64 {
    n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}

fn filled(directory: &Path) -> Engine {
    let engine = open(directory);
    let mut builder = MutationBuilder::new();
    for n in 0..PARTITIONS {
        put(&engine, &mut builder, n, 0, 1);
    }
    for row in 0..ROWS {
        put(&engine, &mut builder, WIDE, row, 1);
    }
    engine
}

fn command(partition: u64, limit: u64) -> ReadCommand {
    let partition = PartitionSelection::Key(PartitionKey::new(partition.to_be_bytes().to_vec().into()));
    let limits = ReadLimits { rows: limit, ..ReadLimits::NONE };
    ReadCommand { limits, ..ReadCommand::everything(TABLE, 1, partition, 0) }
}

/// Looks at the values that it is shown.
#[derive(Default)]
struct Touch {
    rows: u64,
}

impl RowVisitor for Touch {
    fn partition(&mut self, _: KeyRef<'_>, _: Option<&LiveRow<'_>>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn row(&mut self, _: &[u8], row: &LiveRow<'_>) -> ControlFlow<()> {
        for cell in row.cells() {
            black_box(cell);
        }
        self.rows += 1;
        ControlFlow::Continue(())
    }
}

fn read(engine: &Engine, command: &ReadCommand) -> u64 {
    let mut touch = Touch::default();
    // What is not in memory is read again, as the coordinator does it.
    if engine.try_read(command, &mut touch).is_err() {
        let page = engine.read_page(command, usize::MAX).expect("a read");
        let _ = page.show(command.now_seconds, &mut touch);
    }
    touch.rows
}

fn writes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("write of 100 bytes over 100,000 partitions");
    let mut tree = BTreeMap::new();
    let mut n = 0;
    // What a sorted map alone costs.
    group.bench_function("BTreeMap (for comparison)", |bencher| {
        bencher.iter(|| {
            n += 1;
            tree.insert((scrambled(n) % PARTITIONS).to_be_bytes(), vec![7_u8; 100])
        });
    });
    let directory = tempfile::tempdir().expect("a directory");
    let engine = filled(directory.path());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut builder = MutationBuilder::new();
    let mut n = 0;
    group.bench_function("log and memtable", |bencher| {
        bencher.iter(|| {
            n += 1;
            let position = put(&engine, &mut builder, scrambled(n) % PARTITIONS, 0, n as i64);
            // The operating system is given 64 writes with one call.
            if n % 64 == 0 {
                runtime.block_on(engine.wait_safe(position)).expect("a write");
            }
        });
    });
    group.finish();
}

fn reads(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = filled(directory.path());
    for place in ["memtable", "file"] {
        if place == "file" {
            engine.flush(TABLE).expect("a flush");
        }
        let mut group = criterion.benchmark_group(format!("read from a {place}"));
        let mut n = 0;
        group.bench_function("one row", |bencher| {
            bencher.iter(|| {
                n += 1;
                read(&engine, &command(scrambled(n) % PARTITIONS, u64::MAX))
            });
        });
        let missing = command(PARTITIONS + 1, u64::MAX);
        group.bench_function("no row", |bencher| bencher.iter(|| read(&engine, black_box(&missing))));
        let page = command(WIDE, 50);
        assert_eq!(read(&engine, &page), 50);
        group.bench_function("50 of 1,000 rows", |bencher| bencher.iter(|| read(&engine, black_box(&page))));
        group.finish();
    }
}

criterion_group!(benches, writes, reads);
criterion_main!(benches);
