//! The engine, its simulated disk and clock, and the model beside them.

use super::changes::{facts_of, put_change};
use super::generate::COLUMNS;
use super::model::{Ever, Model, key_of};
use super::reads;
use super::step::{End, Setup, StrategyKind, TableSetup, When, Write};
use super::tables::settings_of;
use crate::disk::SimDisk;
use crate::trace::Trace;
use dodona_env::net::NoNet;
use dodona_env::program::NoPrograms;
use dodona_env::{Clock, Env, Mutants, Random, Tasks};
use dodona_storage::settings::ArchiveSettings;
use dodona_storage::{Compaction, Engine, EngineSettings, StorageError, SyncMode, TableSettings};
use dodona_types::{ColumnId, HiddenCells, MutationBuilder, TableId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;
use uuid::Uuid;

/// Every write also notes itself in this table, by the same record of the log: it loses nothing
/// when the other is emptied.
pub(super) const JOURNAL: TableId = TableId(Uuid::from_u128(1));
/// Where the log is archived.
pub(super) const ARCHIVE: &str = "archive";
/// The clock's start, in seconds.
const EPOCH_SECONDS: i64 = 1_767_225_600;
/// Partitions are numbered below this.
pub const PARTITIONS: u8 = 8;

/// A clock that goes on when the history says so.
#[derive(Clone)]
struct ManualClock(Arc<AtomicI64>);

impl Clock for ManualClock {
    fn mono(&self) -> Duration {
        Duration::from_micros(self.0.load(Relaxed).unsigned_abs())
    }

    fn wall_micros(&self) -> i64 {
        EPOCH_SECONDS * 1_000_000 + self.0.load(Relaxed)
    }
}

/// The writes that must be found in a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Promises {
    /// After the process was killed.
    pub(super) acknowledged: BTreeSet<u64>,
    /// After a power cut.
    durable: BTreeSet<u64>,
}

/// Why a step went no further.
pub enum Stop {
    /// A promise was broken.
    Violation(String),
    /// The engine cannot go on, as it must not after what the disk did.
    Failed,
}

/// The engine with all that it was told.
pub struct World {
    pub(super) setup: Setup,
    clock: ManualClock,
    disk: SimDisk,
    pub(super) life_disk: SimDisk,
    pub(super) random: Random,
    mutants: Mutants,
    lives: u64,
    engine: Option<Engine>,
    /// Compactions under way.
    pub compactions: Vec<Compaction>,
    /// The repair that files are set aside for.
    pub repair: Option<Uuid>,
    /// What was written.
    pub model: Model,
    table: TableId,
    /// The table's settings now.
    pub table_setup: TableSetup,
    pub(super) next_write: u64,
    pub(super) latest_timestamp: i64,
    gc_before: i64,
    /// What must be found in the table, and in the journal beside it.
    pub(super) promises: [Promises; 2],
    /// The disk failed while the table was being emptied: that may have happened or not.
    pub maybe_emptied: bool,
    /// A bit that was flipped between two lives.
    pub(super) rotten: Option<(String, usize, u8)>,
    /// Writes that were acknowledged: the log has them. One that was refused may be in files alone.
    pub(super) acknowledged: BTreeSet<u64>,
    /// Everything that was ever said of the table.
    pub(super) ever: Vec<Ever>,
    /// Engines elsewhere.
    pub(super) others: u64,
    /// Files were damaged for good.
    pub(super) has_damage: bool,
    space_is_limited: bool,
    pub(super) sync_may_fail: bool,
    pub(super) snapshots: u64,
    /// Everything that happened.
    pub trace: Trace,
    /// Reads that were compared.
    pub judged: u64,
    /// Writes that were acknowledged.
    pub writes: u64,
}

impl World {
    /// Starts an engine on an empty disk.
    ///
    /// # Errors
    /// It does not start.
    pub fn new(setup: Setup, seed: u64, mutant: Option<&str>) -> Result<Self, String> {
        let random = Random::from_seed(seed);
        let disk = SimDisk::new(random.split("disk"));
        let mut world = Self {
            table_setup: setup.table,
            setup,
            clock: ManualClock(Arc::new(AtomicI64::new(0))),
            life_disk: disk.clone(),
            disk,
            random,
            mutants: mutant.map_or_else(Mutants::none, Mutants::only),
            lives: 0,
            engine: None,
            compactions: Vec::new(),
            repair: None,
            model: Model::default(),
            table: TableId(Uuid::from_u128(100)),
            next_write: 0,
            latest_timestamp: 1_000,
            gc_before: i64::MIN,
            promises: Default::default(),
            maybe_emptied: false,
            rotten: None,
            acknowledged: BTreeSet::new(),
            ever: Vec::new(),
            others: 0,
            has_damage: false,
            space_is_limited: false,
            sync_may_fail: false,
            snapshots: 0,
            trace: Trace::default(),
            judged: 0,
            writes: 0,
        };
        world.start()?;
        Ok(world)
    }

    fn start(&mut self) -> Result<(), String> {
        self.lives += 1;
        self.life_disk = self.disk.next_life();
        let env = Env {
            random: self.random.split(&format!("life {}", self.lives)),
            ..self.env(self.life_disk.clone())
        };
        let tables = vec![Self::journal_settings(), self.table_settings()];
        let opened = Engine::open(env, self.engine_settings(), Uuid::from_u128(5), tables);
        let (engine, recovered) = opened.map_err(|error| format!("the engine does not start: {error}"))?;
        self.trace.note(&format!("life {} {recovered:?}", self.lives));
        self.engine = Some(engine);
        Ok(())
    }

    pub(super) fn env(&self, disk: SimDisk) -> Env {
        Env {
            clock: Arc::new(self.clock.clone()),
            random: self.random.clone(),
            disk: Arc::new(disk),
            net: Arc::new(NoNet),
            programs: Arc::new(NoPrograms),
            tasks: Tasks::inline(),
            mutants: self.mutants.clone(),
        }
    }

    pub(super) fn engine_settings(&self) -> EngineSettings {
        EngineSettings {
            sync_mode: match self.setup.sync_mode {
                0 => SyncMode::Batch,
                1 => SyncMode::Group { window: Duration::from_millis(1) },
                _ => SyncMode::Periodic { period: Duration::from_secs(10) },
            },
            memtable_bytes: self.setup.memtable_bytes as usize,
            block_cache_bytes: 8 << 10,
            commit_log_bytes: 40_000,
            segment_bytes: self.setup.segment_bytes.into(),
            compaction_bytes_per_second: 0,
            concurrent_compactors: 1,
            step_bytes: 300,
            incremental_backups: self.setup.elsewhere,
            archive: ArchiveSettings {
                directory: self.setup.elsewhere.then(|| ARCHIVE.to_owned()),
                command: None,
            },
            ..EngineSettings::default()
        }
    }

    pub(super) fn journal_settings() -> TableSettings {
        let journal = TableSetup {
            strategy: StrategyKind::SizeTiered,
            gc_grace_seconds: 864_000,
            compressed: false,
            overlapping: None,
            only_purge_repaired: false,
            plain: true,
            named: false,
        };
        settings_of(JOURNAL, journal)
    }

    /// The engine.
    ///
    /// # Errors
    /// There is none: it is between two lives.
    pub fn engine(&self) -> Result<&Engine, Stop> {
        self.engine.as_ref().ok_or(Stop::Failed)
    }

    /// The table.
    #[must_use]
    pub const fn table(&self) -> TableId {
        self.table
    }

    /// Seconds since the epoch.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.clock.wall_seconds()
    }

    /// Lets seconds pass.
    pub fn pass(&mut self, seconds: u32) {
        self.clock.0.fetch_add(i64::from(seconds) * 1_000_000, Relaxed);
        self.note_gc();
    }

    /// What may have been purged by now stays that way, whatever gc_grace is later.
    fn note_gc(&mut self) {
        let gc_before = self.now() - i64::from(self.table_setup.gc_grace_seconds);
        self.gc_before = self.gc_before.max(gc_before);
    }

    /// Takes what the engine answered. A refusal is a violation unless the disk was made to cause it.
    ///
    /// # Errors
    /// The violation; or the engine cannot go on.
    pub fn take<T>(&self, what: &str, result: Result<T, StorageError>) -> Result<Option<T>, Stop> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(StorageError::NoSpace) if self.space_is_limited => {
                self.trace.note(&format!("{what}: no space"));
                Ok(None)
            }
            Err(StorageError::LogFailed(_) | StorageError::Io { .. }) if self.sync_may_fail => {
                Err(Stop::Failed)
            }
            Err(error) => Err(Stop::Violation(format!("{what}: {error}"))),
        }
    }

    pub(super) fn timestamp(&mut self, when: When) -> i64 {
        match when {
            When::Now => {
                self.latest_timestamp += 1;
                self.latest_timestamp
            }
            When::Same => self.latest_timestamp,
            When::Earlier(by) => self.latest_timestamp - by,
        }
    }

    /// Writes as one record, and waits until that is safe.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub async fn write(&mut self, writes: &[Write]) -> Result<(), Stop> {
        let number = self.next_write;
        self.next_write += 1;
        let now = self.now();
        let mut builders = Vec::new();
        let mut facts = Vec::new();
        for write in writes {
            let timestamp = self.timestamp(write.when);
            if timestamp <= self.purged_up_to(write.partition) {
                // Nobody can tell whether it would be seen.
                continue;
            }
            let mut builder = MutationBuilder::new();
            builder.begin(self.table, 0, &key_of(write.partition));
            let mut said = Vec::new();
            for change in &write.changes {
                put_change(&mut builder, change, timestamp, now);
                said.extend(facts_of(change, timestamp, now));
            }
            facts.push(Ever::new(number, write.partition, said));
            if !builder.is_empty() {
                builders.push(builder);
            }
        }
        let tables = [JOURNAL, self.table];
        for table in &tables[..if self.setup.inner_journal { 2 } else { 1 }] {
            // Of the time of the others, so that it is no reason to keep tombstones.
            builders.push(reads::note_number(*table, number, self.latest_timestamp));
        }
        let views: Vec<_> = builders.iter().map(MutationBuilder::view).collect();
        let applied = self.engine()?.apply(&views);
        let Some(position) = self.take("a write", applied)? else { return Ok(()) };
        for said in facts {
            said.facts.iter().for_each(|fact| self.model.add(number, said.partition, fact.clone()));
            if self.setup.elsewhere {
                self.ever.push(said);
            }
        }
        let safe = self.engine()?.wait_safe(position).await;
        if self.take("a write", safe)?.is_some() {
            self.writes += 1;
            self.acknowledged.insert(number);
            for promises in &mut self.promises {
                promises.acknowledged.insert(number);
                if self.setup.sync_mode != 2 {
                    promises.durable.insert(number);
                }
            }
        }
        Ok(())
    }

    /// Up to which timestamp nobody can tell whether a write would be seen.
    pub(super) fn purged_up_to(&self, partition: u8) -> i64 {
        self.model.purged_up_to(partition, self.gc_before)
    }

    /// Files were imported that hold a write.
    pub(super) fn promise_imported(&mut self, number: u64) {
        self.promises[0].acknowledged.insert(number);
        self.promises[0].durable.insert(number);
    }

    /// Everything acknowledged so far must survive a power cut from now on.
    pub fn promise(&mut self) {
        for promises in &mut self.promises {
            promises.durable.extend(&promises.acknowledged);
        }
    }

    /// The table was flushed: what was written to it is in files.
    pub fn promise_flushed(&mut self) {
        if !self.setup.inner_journal {
            // A write may have had nothing for the table.
            return;
        }
        let [table, journal] = &mut self.promises;
        table.durable.extend(&table.acknowledged);
        // A write that was refused may be in the table's files, and never was in the journal.
        let in_both = table.acknowledged.intersection(&journal.acknowledged);
        journal.durable.extend(in_both);
    }

    /// The table was emptied.
    pub fn forget(&mut self) {
        self.model.clear();
        self.promises[0] = Promises::default();
    }

    /// Ends the engine's life and starts the next one. What was promised must be there.
    ///
    /// # Errors
    /// It does not start, or something is lost.
    pub fn restart(&mut self, end: End) -> Result<(), Stop> {
        self.compactions.clear();
        self.repair = None;
        match end {
            End::Kill => self.life_disk.fence(),
            End::PowerCut(seed) => self.disk.power_cut_by(&Random::from_seed(seed)),
        }
        self.engine = None;
        self.life_disk.limit_space(None);
        self.life_disk.fail_sync_after(None);
        (self.space_is_limited, self.sync_may_fail) = (false, false);
        self.start().map_err(Stop::Violation)?;
        if let Some((path, at, mask)) = self.rotten.take() {
            // What is not healed is in the data: who reads them finds it.
            self.life_disk.flip(&path, at, mask);
        }
        for (index, table) in [self.table, JOURNAL].into_iter().enumerate() {
            let survived = self.journal(if self.setup.inner_journal { table } else { JOURNAL })?;
            let promises = &mut self.promises[index];
            let promised = if end == End::Kill { &promises.acknowledged } else { &promises.durable };
            let was_emptied = index == 0 && self.maybe_emptied && survived.is_empty();
            if !was_emptied && let Some(lost) = promised.iter().find(|write| !survived.contains(write)) {
                return Err(Stop::Violation(format!(
                    "write {lost} was acknowledged, and is lost from table {table} after {end:?}"
                )));
            }
            if index == 0 {
                self.model.retain(|write| survived.contains(&write));
            }
            *promises = Promises { acknowledged: survived.clone(), durable: survived };
        }
        self.maybe_emptied = false;
        Ok(())
    }

    /// The numbers of the writes that the engine has.
    fn journal(&self, table: TableId) -> Result<BTreeSet<u64>, Stop> {
        reads::numbers_in(self.engine()?, table, self.now())
            .map_err(|error| Stop::Violation(format!("the journal cannot be read: {error}")))
    }

    /// Limits what can be written.
    pub fn limit_space(&mut self, bytes: Option<u32>) {
        self.life_disk.limit_space(bytes.map(u64::from));
        self.space_is_limited = bytes.is_some();
    }

    /// Lets a sync fail.
    pub fn fail_sync(&mut self, after: u8) {
        self.life_disk.fail_sync_after(Some(after.into()));
        self.sync_may_fail = true;
    }

    /// Gives the table other settings.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn alter(&mut self, setup: TableSetup) -> Result<(), Stop> {
        self.table_setup = setup;
        self.note_gc();
        let put = self.engine()?.put_table(self.table_settings());
        self.take("a change of the schema", put).map(drop)
    }

    /// The table's settings.
    pub(super) fn table_settings(&self) -> TableSettings {
        TableSettings { dropped_cells: self.dropped_cells(), ..settings_of(self.table, self.table_setup) }
    }

    /// Cells of columns from before their drops.
    pub(super) fn dropped_cells(&self) -> HiddenCells {
        let number = |column: u8| if column == COLUMNS { reads::MAP.0 } else { column.into() };
        let both = |column: u32| [ColumnId(column), ColumnId(reads::STATIC_BASE + column)];
        let cells = |(column, at): (&u8, &i64)| both(number(*column)).map(|column| (column, *at));
        HiddenCells::new(self.model.dropped.iter().flat_map(cells).collect())
    }

    /// Drops a column, and adds it again: nothing that was written before is seen any more.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn drop_column(&mut self, column: u8) -> Result<(), Stop> {
        self.model.dropped.insert(column, self.latest_timestamp);
        let put = self.engine()?.put_table(self.table_settings());
        self.take("the drop of a column", put).map(drop)
    }

    /// Drops the table, and creates another.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn recreate(&mut self) -> Result<(), Stop> {
        let dropped = self.engine()?.drop_table(self.table);
        let dropped = self.take("a drop", dropped);
        if !matches!(dropped, Ok(None)) {
            // Also if the disk failed: the schema has the table no more, as a start will see.
            self.compactions.clear();
            self.repair = None;
            self.table = TableId(Uuid::from_u128(self.table.0.as_u128() + 1));
            self.forget();
            self.ever.clear();
            self.model.dropped.clear();
        }
        if dropped?.is_some() {
            let put = self.engine()?.put_table(self.table_settings());
            self.take("a new table", put)?;
        }
        Ok(())
    }
}
