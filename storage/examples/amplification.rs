//! What compaction strategies cost: bytes written for each byte given, bytes on disk for each live
//! byte, files looked into by a read of a partition; and how long reads and writes take while
//! everything is compacted.
//!
//! `cargo run --release -p dodona-storage --example amplification`
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a measurement of real time")]

use dodona_storage::compaction::CompactionSettings;
use dodona_storage::{Engine, EngineSettings, Maintained, SyncMode, TableSettings};
use dodona_types::key::ROW_END;
use dodona_types::mutation::live_cell;
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::row::RowHeader;
use dodona_types::{ColumnId, KeyRef, Liveness, MutationBuilder, PartitionKey, TableId};
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use uuid::Uuid;

const TABLE: TableId = TableId(Uuid::from_u128(7));
const KEYS: u64 = 100_000;
const WRITES: u64 = 400_000;
const VALUE_BYTES: usize = 256;
const MEMTABLE_BYTES: usize = 4 << 20;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A sequence that is the same every time (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn open(directory: &std::path::Path, options: &[(&str, &str)]) -> Outcome<Engine> {
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let table = TableSettings::new(TABLE, "ks.t", CompactionSettings::from_options(&options)?);
    let settings = EngineSettings {
        sync_mode: SyncMode::Periodic { period: Duration::from_secs(10) },
        memtable_bytes: MEMTABLE_BYTES,
        block_cache_bytes: 16 << 20,
        compaction_bytes_per_second: 0,
        ..EngineSettings::default()
    };
    let env = dodona_env::os::env(directory)?;
    Ok(Engine::open(env, settings, Uuid::from_u128(1), vec![table])?.0)
}

fn put(
    engine: &Engine,
    builder: &mut MutationBuilder,
    key: u64,
    timestamp: i64,
    numbers: &mut Numbers,
) -> Outcome<()> {
    let value: Vec<u8> = (0..VALUE_BYTES / 8).flat_map(|_| numbers.next().to_le_bytes()).collect();
    builder.begin(TABLE, 0, &key.to_be_bytes());
    let header = RowHeader { liveness: Some(Liveness::new(timestamp)), ..RowHeader::EMPTY };
    builder.row(&[ROW_END], timestamp, &header, |row| {
        row.push_cell(&live_cell(ColumnId(3), timestamp, &value));
    });
    engine.apply(&[builder.view()])?;
    Ok(())
}

fn measure(name: &str, options: &[(&str, &str)]) -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    let engine = open(directory.path(), options)?;
    let (mut numbers, mut builder) = (Numbers(1), MutationBuilder::new());
    let mut space: f64 = 0.0;
    for write in 0..WRITES {
        let key = numbers.next() % KEYS;
        put(&engine, &mut builder, key, write as i64, &mut numbers)?;
        if write % 64 == 0 && engine.maintain_memtables()? == Maintained::Worked {
            while engine.maintain_files()? == Maintained::Worked {
                engine.maintain_memtables()?;
            }
            if write > WRITES / 2 {
                space = space.max(engine.table_statistics(TABLE)?.disk_bytes as f64);
            }
        }
    }
    engine.flush(TABLE)?;
    while engine.maintain_files()? == Maintained::Worked {}
    let (flushed, compacted) = engine.written_bytes();
    let given = WRITES as f64 * (VALUE_BYTES + 8) as f64;
    let live = KEYS as f64 * (VALUE_BYTES + 8) as f64;
    let mut looked_into = 0;
    for _ in 0..10_000 {
        let key = (numbers.next() % KEYS).to_be_bytes();
        looked_into += engine.files_of_partition(TABLE, KeyRef::new(&key))?.len();
    }
    let disk = engine.table_statistics(TABLE)?.disk_bytes as f64;
    println!(
        "| {name} | {:.1} | {:.2} | {:.2} | {:.2} | {} |",
        (flushed + compacted) as f64 / given,
        disk / live,
        space / live,
        looked_into as f64 / 10_000.0,
        engine.files(TABLE)?.len()
    );
    Ok(())
}

fn percentiles(name: &str, mut micros: Vec<f64>) {
    micros.sort_by(f64::total_cmp);
    let at = |part: f64| micros.get((micros.len() as f64 * part) as usize).copied().unwrap_or(f64::NAN);
    println!("| {name} | {} | {:.1} | {:.1} | {:.1} |", micros.len(), at(0.5), at(0.99), at(0.999));
}

fn read(engine: &Engine, key: u64) -> Outcome<()> {
    let key = PartitionKey::new(key.to_be_bytes().to_vec().into());
    let command = ReadCommand::everything(TABLE, 0, PartitionSelection::Key(key), 0);
    engine.read_page(&command, usize::MAX)?;
    Ok(())
}

/// Reads and writes, half and half, until `stop` says so.
fn work(engine: &Engine, stop: &dyn Fn(usize) -> bool) -> Outcome<(Vec<f64>, Vec<f64>)> {
    let (mut numbers, mut builder) = (Numbers(99), MutationBuilder::new());
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    while !stop(reads.len()) {
        let key = numbers.next() % KEYS;
        let start = Instant::now();
        put(engine, &mut builder, key, i64::MAX / 2, &mut numbers)?;
        writes.push(start.elapsed().as_secs_f64() * 1e6);
        let start = Instant::now();
        read(engine, numbers.next() % KEYS)?;
        reads.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok((reads, writes))
}

fn during_a_compaction() -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    let engine = open(directory.path(), &[("class", "SizeTieredCompactionStrategy"), ("enabled", "false")])?;
    let (mut numbers, mut builder) = (Numbers(1), MutationBuilder::new());
    for write in 0..WRITES {
        put(&engine, &mut builder, numbers.next() % KEYS, write as i64, &mut numbers)?;
        if write % 64 == 0 {
            engine.maintain_memtables()?;
        }
    }
    engine.set_compaction_rate(64 << 20);
    println!("\n| | operations | p50 µs | p99 | p99.9 |\n|---|---|---|---|---|");
    let (reads, writes) = work(&engine, &|count| count >= 50_000)?;
    percentiles("reads, nothing else", reads);
    percentiles("writes, nothing else", writes);
    let done = AtomicBool::new(false);
    let (reads, writes) = std::thread::scope(|scope| {
        let compaction = scope.spawn(|| {
            let compacted = engine.compact_all(TABLE, None);
            done.store(true, Relaxed);
            compacted
        });
        let worked = work(&engine, &|_| done.load(Relaxed));
        compaction.join().map_err(|_| "the compaction panicked")??;
        worked
    })?;
    percentiles("reads, all files being merged", reads);
    percentiles("writes, all files being merged", writes);
    Ok(())
}

fn main() -> Outcome<()> {
    println!(
        "| strategy | written / given | on disk / live | on disk / live, at most | files a read | files |"
    );
    println!("|---|---|---|---|---|---|");
    measure("SizeTiered", &[("class", "SizeTieredCompactionStrategy"), ("min_sstable_size", "1000000")])?;
    measure("Leveled, 2 MB", &[("class", "LeveledCompactionStrategy"), ("sstable_size_in_mb", "2")])?;
    measure(
        "TimeWindow, one window",
        &[("class", "TimeWindowCompactionStrategy"), ("min_sstable_size", "1000000")],
    )?;
    let unified = |scaling| {
        [
            ("class", "UnifiedCompactionStrategy"),
            ("scaling_parameters", scaling),
            ("min_sstable_size", "1MiB"),
            ("target_sstable_size", "8MiB"),
        ]
    };
    measure("Unified T4", &unified("T4"))?;
    measure("Unified N", &unified("N"))?;
    measure("Unified L4", &unified("L4"))?;
    measure("Unified L10", &unified("L10"))?;
    during_a_compaction()
}
