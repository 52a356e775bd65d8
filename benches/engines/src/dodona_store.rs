//! Dodona's storage engine, driven as a node does: partitions of one row with one column, or of many in the order of
//! their keys; flushes and compactions by threads of their own.

use crate::store::{Client, Outcome, Store, StoreSettings, Value, owner};
use dodona_storage::compaction::CompactionSettings;
use dodona_storage::sstable::WriterOptions;
use dodona_storage::{Engine, EngineSettings, Maintained, StorageError, SyncMode, TableSettings};
use dodona_types::key::ROW_END;
use dodona_types::mutation::live_cell;
use dodona_types::read_command::{PartitionRange, PartitionSelection, RangeBound, ReadCommand, ReadLimits};
use dodona_types::row::RowHeader;
use dodona_types::{ColumnId, KeyRef, LiveRow, Liveness, MutationBuilder, PartitionKey, RowVisitor, TableId};
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Runtime;
use uuid::Uuid;

const TABLE: TableId = TableId(Uuid::from_u128(7));
const COLUMN: ColumnId = ColumnId(1);
/// Tables of CQL have such blocks by default.
const BLOCK_BYTES: usize = 4 << 10;
/// A page between coordinator and replica.
const PAGE_BYTES: usize = 1 << 20;
/// Rows of a partition that has many.
const PARTITION_ROWS: u64 = 100_000;
/// How often idle workers look whether they shall end.
const PERIOD: Duration = Duration::from_millis(100);

/// The engine with its workers.
pub struct DodonaStore {
    engine: Arc<Engine>,
    group: u64,
    clock: AtomicI64,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl DodonaStore {
    /// An empty database.
    pub fn open(directory: &Path, settings: StoreSettings) -> Outcome<Self> {
        let strategy = [("class".to_owned(), "SizeTieredCompactionStrategy".to_owned())];
        let table = TableSettings {
            writer: WriterOptions {
                block_bytes: settings.block_bytes.unwrap_or(BLOCK_BYTES),
                ..WriterOptions::default()
            },
            incremental_backups: false,
            limits_tombstones: false,
            ..TableSettings::new(TABLE, "ks.t", CompactionSettings::from_options(&strategy.into())?)
        };
        let engine_settings = EngineSettings {
            sync_mode: SyncMode::Periodic { period: Duration::from_secs(10) },
            memtable_bytes: settings.memtable_bytes,
            block_cache_bytes: settings.cache_bytes,
            compaction_bytes_per_second: 0,
            ..EngineSettings::default()
        };
        let env = dodona_env::os::env(directory)?;
        let engine = Arc::new(Engine::open(env, engine_settings, Uuid::from_u128(1), vec![table])?.0);
        let stop = Arc::new(AtomicBool::new(false));
        let workers = [Work::Memtables, Work::Files, Work::Log].map(|work| {
            let (engine, stop) = (Arc::clone(&engine), Arc::clone(&stop));
            std::thread::spawn(move || work_on(&engine, work, &stop))
        });
        Ok(Self { engine, group: settings.group, clock: AtomicI64::new(1), stop, workers: workers.into() })
    }
}

impl Drop for DodonaStore {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

#[derive(Clone, Copy)]
enum Work {
    Memtables,
    Files,
    Log,
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_time().build()
}

/// A worker of a node. A failure ends the process: figures of a broken engine are worth nothing.
fn work_on(engine: &Engine, work: Work, stop: &AtomicBool) {
    let run = || -> Outcome<()> {
        let runtime = runtime()?;
        while !stop.load(Relaxed) {
            let done = match work {
                Work::Memtables => engine.maintain_memtables()?,
                Work::Files => engine.maintain_files()?,
                Work::Log => engine.tend_log().map(|()| Maintained::Idle)?,
            };
            if done == Maintained::Worked {
                continue;
            }
            runtime.block_on(async {
                match work {
                    Work::Memtables => engine.wait_for_work(PERIOD).await,
                    Work::Files => engine.wait_for_files(PERIOD).await,
                    Work::Log => {
                        let _ = tokio::time::timeout(PERIOD, engine.wait_for_log_upkeep()).await;
                    }
                }
            });
        }
        Ok(())
    };
    if let Err(error) = run() {
        eprintln!("a worker of Dodona failed: {error}");
        std::process::exit(1);
    }
}

impl Store for DodonaStore {
    fn name(&self) -> &'static str {
        "Dodona"
    }

    fn client(&self) -> Outcome<Box<dyn Client + '_>> {
        Ok(Box::new(DodonaClient {
            store: self,
            runtime: runtime()?,
            builder: MutationBuilder::new(),
            waiting: 0,
            position: 0,
        }))
    }

    fn settle(&self) -> Outcome<()> {
        self.engine.flush(TABLE)?;
        while self.engine.maintain_files()? == Maintained::Worked
            || !self.engine.compaction_progress().0.is_empty()
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn memtable_bytes(&self) -> Outcome<u64> {
        Ok(self.engine.memtable_bytes())
    }

    fn disk_bytes(&self) -> Outcome<u64> {
        Ok(self.engine.table_statistics(TABLE)?.disk_bytes)
    }
}

struct DodonaClient<'s> {
    store: &'s DodonaStore,
    runtime: Runtime,
    builder: MutationBuilder,
    waiting: u64,
    position: u64,
}

impl DodonaClient<'_> {
    fn command(partitions: PartitionSelection, rows: u64) -> ReadCommand {
        let limits = ReadLimits { rows, ..ReadLimits::NONE };
        ReadCommand { limits, ..ReadCommand::everything(TABLE, 0, partitions, 0) }
    }

    /// What is not in memory is read again where it may wait for the disk, as the coordinator does it.
    fn read(&self, command: &ReadCommand) -> Outcome<Seen> {
        let engine = &self.store.engine;
        let mut seen = Seen::default();
        match engine.try_read(command, &mut seen) {
            Ok(_) => {}
            Err(StorageError::NeedsDisk) => {
                seen = Seen::default();
                let page = engine.read_page(command, PAGE_BYTES)?;
                let _ = page.show(command.now_seconds, &mut seen)?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(seen)
    }
}

impl DodonaClient<'_> {
    fn write(&mut self, partition: u64, clustering: &[u8], value: &Value) -> Outcome<()> {
        let engine = &self.store.engine;
        let timestamp = self.store.clock.fetch_add(1, Relaxed);
        self.builder.begin(TABLE, 0, &partition.to_be_bytes());
        let header = RowHeader { liveness: Some(Liveness::new(timestamp)), ..RowHeader::EMPTY };
        self.builder.row(clustering, timestamp, &header, |row| {
            row.push_cell(&live_cell(COLUMN, timestamp, value));
        });
        if engine.must_wait() {
            self.runtime.block_on(engine.wait_for_room())?;
        }
        self.position = engine.apply(&[self.builder.view()])?;
        self.waiting += 1;
        if self.waiting >= self.store.group {
            self.finish()?;
        }
        Ok(())
    }
}

impl Client for DodonaClient<'_> {
    fn put(&mut self, key: u64, value: &Value) -> Outcome<()> {
        self.write(key, &[ROW_END], value)
    }

    fn append(&mut self, key: u64, value: &Value) -> Outcome<()> {
        // A clustering key of type bigint, as comparable bytes have it.
        let mut clustering = [0x40, 0, 0, 0, 0, 0, 0, 0, 0, ROW_END];
        clustering[1..9].copy_from_slice(&(key ^ (1 << 63)).to_be_bytes());
        self.write(key / PARTITION_ROWS, &clustering, value)
    }

    fn finish(&mut self) -> Outcome<()> {
        self.waiting = 0;
        Ok(self.runtime.block_on(self.store.engine.wait_safe(self.position))?)
    }

    fn get(&mut self, key: u64) -> Outcome<Option<u64>> {
        let key = PartitionKey::new(key.to_be_bytes().to_vec().into());
        let seen = self.read(&Self::command(PartitionSelection::Key(key), u64::MAX))?;
        Ok(seen.owner)
    }

    fn range(&mut self, from: u64, rows: u64) -> Outcome<u64> {
        let key = PartitionKey::new(from.to_be_bytes().to_vec().into());
        let range = PartitionRange { start: RangeBound::Key(key, true), end: RangeBound::Unbounded };
        Ok(self.read(&Self::command(PartitionSelection::Range(range), rows))?.rows)
    }

    /// Page by page, as a coordinator does it.
    fn scan(&mut self) -> Outcome<u64> {
        let mut seen = Seen::default();
        let mut start = RangeBound::Unbounded;
        loop {
            let range = PartitionRange { start, end: RangeBound::Unbounded };
            let command = Self::command(PartitionSelection::Range(range), u64::MAX);
            let page = self.store.engine.read_page(&command, PAGE_BYTES)?;
            let _ = page.show(command.now_seconds, &mut seen)?;
            let Some(position) = page.stopped_at else { return Ok(seen.rows) };
            // All partitions have one row: what a page ends with is whole.
            start = RangeBound::Key(PartitionKey::new(position.key.into()), false);
        }
    }
}

/// Looks at the values that it is shown.
#[derive(Default)]
struct Seen {
    rows: u64,
    owner: Option<u64>,
}

impl RowVisitor for Seen {
    fn partition(&mut self, key: KeyRef<'_>, _: Option<&LiveRow<'_>>) -> ControlFlow<()> {
        black_box(key.bytes);
        ControlFlow::Continue(())
    }

    fn row(&mut self, _: &[u8], row: &LiveRow<'_>) -> ControlFlow<()> {
        for cell in row.cells() {
            self.owner = owner(cell.value);
        }
        self.rows += 1;
        ControlFlow::Continue(())
    }
}
