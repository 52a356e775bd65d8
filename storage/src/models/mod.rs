//! Models of what threads share, run by [shuttle](https://docs.rs/shuttle): each runs the engine itself on
//! several threads, thousands of times, in another order each time. Without `--cfg shuttle` there are none.
//!
//! ```sh
//! RUSTFLAGS='--cfg shuttle' cargo test -p dodona-storage --lib models
//! ```
//!
//! `DODONA_MODEL_RUNS` says how many orders each model runs in, `DODONA_MODEL_SEED` which. An order is
//! consistent: that a weak ordering of memory might show something else is not looked at.

mod block_cache;
mod commit_log;
mod disk;
mod memtable_switch;
mod version_swap;

use crate::compaction::CompactionSettings;
use crate::engine::Engine;
use crate::engine::recovery::Recovered;
use crate::settings::{EngineSettings, SyncMode};
use crate::sstable::WriterOptions;
use crate::sstable::compression::Compression;
use crate::table::TableSettings;
use disk::ModelDisk;
use dodona_env::net::NoNet;
use dodona_env::program::NoPrograms;
use dodona_env::{Clock, Env, Mutants, Random, Tasks};
use dodona_types::key::ROW_END;
use dodona_types::mutation::live_cell;
use dodona_types::read_command::{
    ClusteringSelection, PartitionRange, PartitionSelection, ReadCommand, ReadLimits,
};
use dodona_types::row::RowHeader;
use dodona_types::{ColumnId, HiddenCells, KeyRef, LiveRow, Liveness, MutationBuilder, RowVisitor, TableId};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, Runner};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use uuid::Uuid;

/// Orders each model runs in, unless the environment says how many.
const RUNS: usize = 2_000;
/// Orders within which a defect must be found.
const RUNS_OF_MUTANTS: usize = 4_000;

fn setting(name: &str, default: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "what someone wants of a test")]
    let value = std::env::var(name);
    value.ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn config(persistence: FailurePersistence) -> Config {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config.failure_persistence = persistence;
    config.silence_warnings = true;
    config
}

/// Runs a model in many orders: half of them at random, half with few preemptions at random places.
fn check(model: impl Fn() + Send + Sync + 'static) {
    let (seed, runs) = (setting("DODONA_MODEL_SEED", 1), setting("DODONA_MODEL_RUNS", RUNS as u64) as usize);
    let model = Arc::new(model);
    let at_random = Arc::clone(&model);
    let scheduler = RandomScheduler::new_from_seed(seed, runs / 2);
    Runner::new(scheduler, config(FailurePersistence::Print)).run(move || at_random());
    let scheduler = PctScheduler::new_from_seed(seed, 3, runs / 2);
    Runner::new(scheduler, config(FailurePersistence::Print)).run(move || model());
}

/// Demands that a model finds a defect.
fn must_find(mutant: &'static str, model: impl Fn(&Mutants) + Send + Sync + 'static) {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let model = Arc::new(model);
    let run = move || {
        count.fetch_add(1, Relaxed);
        model(&Mutants::only(mutant));
    };
    let (runs_each, few) = (RUNS_OF_MUTANTS / 2, run.clone());
    let random = RandomScheduler::new_from_seed(1, runs_each);
    let with_few_preemptions = PctScheduler::new_from_seed(1, 3, runs_each);
    let found = catch_unwind(AssertUnwindSafe(|| {
        Runner::new(random, config(FailurePersistence::None)).run(run);
        Runner::new(with_few_preemptions, config(FailurePersistence::None)).run(few);
    }));
    assert!(found.is_err(), "nothing is wrong with `{mutant}` in {RUNS_OF_MUTANTS} orders");
    println!("`{mutant}` was found in order {}", runs.load(Relaxed));
}

struct StoppedClock;

impl Clock for StoppedClock {
    fn mono(&self) -> Duration {
        Duration::ZERO
    }

    fn wall_micros(&self) -> i64 {
        1_700_000_000_000_000
    }
}

fn env(disk: &ModelDisk, mutants: &Mutants) -> Env {
    Env {
        clock: Arc::new(StoppedClock),
        random: Random::from_seed(1),
        disk: Arc::new(disk.clone()),
        net: Arc::new(NoNet),
        programs: Arc::new(NoPrograms),
        tasks: Tasks::inline(),
        mutants: mutants.clone(),
    }
}

const TABLE: TableId = TableId(Uuid::from_u128(7));

/// An engine with one table, of which nothing is compacted unless that is asked for.
fn open(disk: &ModelDisk, mutants: &Mutants, block_cache_bytes: usize) -> (Arc<Engine>, Recovered) {
    // Files of a life have other ids than those of the one before.
    let env = Env { random: Random::from_seed(disk.lives()), ..env(disk, mutants) };
    let table = TableSettings {
        writer: WriterOptions { block_bytes: 64, compression: Compression::None, ..WriterOptions::default() },
        ..TableSettings::new(TABLE, "ks.t", CompactionSettings::disabled().unwrap())
    };
    let settings = EngineSettings {
        sync_mode: SyncMode::Batch,
        block_cache_bytes,
        segment_bytes: 100,
        compaction_bytes_per_second: 0,
        ..EngineSettings::default()
    };
    let (engine, recovered) = Engine::open(env, settings, Uuid::from_u128(1), vec![table]).unwrap();
    (Arc::new(engine), recovered)
}

/// A row: its partition and its name.
type Row = (u8, u8);

/// Writes a row, with its value as its timestamp. Returns the position to wait for.
fn put(engine: &Engine, (key, row): Row, value: u8) -> u64 {
    let timestamp = i64::from(value);
    let mut builder = MutationBuilder::new();
    builder.begin(TABLE, 0, &[key]);
    let header = RowHeader { liveness: Some(Liveness::new(timestamp)), ..RowHeader::EMPTY };
    builder.row(&[0x40, row, ROW_END], timestamp, &header, |row| {
        row.push_cell(&live_cell(ColumnId(3), timestamp, &[value]));
    });
    engine.apply(&[builder.view()]).unwrap()
}

/// All rows, with their values.
fn read(engine: &Engine) -> BTreeMap<Row, u8> {
    let command = ReadCommand {
        table: TABLE,
        epoch: 0,
        partitions: PartitionSelection::Range(PartitionRange::all()),
        clustering: ClusteringSelection::all(),
        reversed: false,
        hidden: HiddenCells::NONE,
        now_seconds: 0,
        limits: ReadLimits { rows: u64::MAX, per_partition: u64::MAX },
    };
    let mut rows = Rows::default();
    let _ = engine.read_page(&command, usize::MAX).unwrap().show(0, &mut rows).unwrap();
    rows.rows
}

#[derive(Default)]
struct Rows {
    key: u8,
    rows: BTreeMap<Row, u8>,
}

impl RowVisitor for Rows {
    fn partition(&mut self, key: KeyRef<'_>, _: Option<&LiveRow<'_>>) -> ControlFlow<()> {
        self.key = key.bytes[0];
        ControlFlow::Continue(())
    }

    fn row(&mut self, clustering: &[u8], row: &LiveRow<'_>) -> ControlFlow<()> {
        let value = row.cells().next().unwrap().value[0];
        let twice = self.rows.insert((self.key, clustering[1]), value);
        assert_eq!(twice, None, "a row is shown twice");
        ControlFlow::Continue(())
    }
}
