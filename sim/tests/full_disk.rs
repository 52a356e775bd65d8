//! A disk that fills up under writes: they are refused at once, reads go on, and writes are taken again once there is space.

use dodona_env::{Env, Random};
use dodona_sim::disk::SimDisk;
use dodona_storage::compaction::CompactionSettings;
use dodona_storage::{Engine, EngineSettings, StorageError, TableSettings};
use dodona_types::key::ROW_END;
use dodona_types::mutation::live_cell;
use dodona_types::read_command::{PartitionRange, PartitionSelection, ReadCommand};
use dodona_types::row::RowHeader;
use dodona_types::{ColumnId, KeyRef, LiveRow, Liveness, MutationBuilder, RowVisitor, TableId};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const TABLE: TableId = TableId(Uuid::from_u128(7));
const MEMTABLE_BYTES: usize = 64 << 10;

struct Count(usize);

impl RowVisitor for Count {
    fn partition(&mut self, _: KeyRef<'_>, _: Option<&LiveRow<'_>>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn row(&mut self, _: &[u8], _: &LiveRow<'_>) -> ControlFlow<()> {
        self.0 += 1;
        ControlFlow::Continue(())
    }
}

struct Full {
    disk: SimDisk,
    engine: Engine,
    written: usize,
    _directory: tempfile::TempDir,
}

impl Full {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let disk = SimDisk::new(Random::from_seed(1)).next_life();
        let env = Env { disk: Arc::new(disk.clone()), ..dodona_env::os::env(directory.path()).unwrap() };
        let settings = EngineSettings { memtable_bytes: MEMTABLE_BYTES, ..EngineSettings::default() };
        let table = TableSettings::new(TABLE, "ks.t", CompactionSettings::disabled().unwrap());
        let engine = Engine::open(env, settings, Uuid::from_u128(1), vec![table]).unwrap().0;
        Self { disk, engine, written: 0, _directory: directory }
    }

    /// As a coordinator writes.
    async fn write(&mut self) -> Result<(), StorageError> {
        let mut builder = MutationBuilder::new();
        builder.begin(TABLE, 0, &self.written.to_be_bytes());
        let header = RowHeader { liveness: Some(Liveness::new(1)), ..RowHeader::EMPTY };
        builder.row(&[ROW_END], 1, &header, |row| row.push_cell(&live_cell(ColumnId(0), 1, &[7; 100])));
        self.engine.apply_with_room(&[builder.view()]).await?;
        self.written += 1;
        Ok(())
    }

    fn rows(&self) -> usize {
        let partitions = PartitionSelection::Range(PartitionRange::all());
        let command = ReadCommand::everything(TABLE, 0, partitions, 1);
        let mut count = Count(0);
        assert!(
            self.engine.read_page(&command, usize::MAX).unwrap().show(1, &mut count).unwrap().is_continue()
        );
        count.0
    }
}

#[tokio::test]
async fn writes_are_refused_while_memtables_cannot_be_flushed_and_reads_go_on() {
    let mut full = Full::new();
    // The segment of the log is there already; files have no room.
    full.write().await.unwrap();
    full.disk.limit_space(Some(0));
    while !full.engine.must_wait() {
        full.write().await.unwrap();
    }
    assert!(matches!(full.engine.flush(TABLE), Err(StorageError::NoSpace)));
    for _ in 0..3 {
        let refused = tokio::time::timeout(Duration::from_secs(5), full.write()).await;
        assert!(matches!(refused, Ok(Err(StorageError::NoSpace))), "{refused:?}");
    }
    assert_eq!(full.rows(), full.written);
    full.disk.limit_space(None);
    full.engine.flush(TABLE).unwrap();
    full.write().await.unwrap();
    assert_eq!(full.rows(), full.written);
}
