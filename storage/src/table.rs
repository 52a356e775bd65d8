//! One table in the engine: its settings, and the memtables and files that make it up now.

use crate::arriving::Arriving;
use crate::compaction::CompactionSettings;
use crate::files_per_read::FilesPerRead;
use crate::manifest::Edit;
use crate::mapping::Known;
use crate::memtable::Memtable;
use crate::metrics::LocalMetrics;
use crate::repair_state::{RepairState, RepairStates, UnderWay};
use crate::shape::RowShape;
use crate::sstable::statistics::{DroppedColumn, StoredColumn};
use crate::sstable::{Sstable, SstableId, WriterOptions};
use crate::sync::ArcSwap;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use dodona_env::Clock;
use dodona_types::{HiddenCells, TableId};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What the engine needs to know of a table.
#[derive(Clone, Debug)]
pub struct TableSettings {
    /// The table.
    pub id: TableId,
    /// Keyspace and name, for people.
    pub name: String,
    /// Columns, as they go into every file.
    pub columns: Vec<StoredColumn>,
    /// Columns that were dropped.
    pub dropped_columns: Vec<DroppedColumn>,
    /// Cells from before those drops: no read sees them, and whoever writes files leaves them out.
    pub dropped_cells: HiddenCells,
    /// What its rows can have; none if that is not known or they are counters: reads by name then look
    /// into every file.
    pub shape: Option<Arc<RowShape>>,
    /// Seconds that a tombstone is kept.
    pub gc_grace_seconds: u32,
    /// How files are written.
    pub writer: WriterOptions,
    /// How files are compacted.
    pub compaction: CompactionSettings,
    /// How long writes may stay in memory alone.
    pub flush_period: Option<Duration>,
    /// Kept in memory alone, without commit log and files: what a start makes anew.
    pub volatile: bool,
    /// Files that come new are linked into `backups` while incremental backups are on.
    pub incremental_backups: bool,
    /// A read of it fails once it has met too many tombstones.
    pub limits_tombstones: bool,
}

impl TableSettings {
    /// A table of which nothing but this is said: tombstones are kept for ten days, as in Cassandra.
    #[must_use]
    pub fn new(id: TableId, name: &str, compaction: CompactionSettings) -> Self {
        Self {
            id,
            name: name.into(),
            columns: Vec::new(),
            dropped_columns: Vec::new(),
            dropped_cells: HiddenCells::NONE,
            shape: None,
            gc_grace_seconds: 864_000,
            writer: WriterOptions::default(),
            compaction,
            flush_period: None,
            volatile: false,
            incremental_backups: true,
            limits_tombstones: true,
        }
    }

    /// What columns from elsewhere are mapped to.
    #[must_use]
    pub fn known(&self) -> Known<'_> {
        Known { name: &self.name, columns: &self.columns, dropped: &self.dropped_columns }
    }
}

/// What makes up a table at one moment. Immutable.
#[derive(Clone)]
pub struct TableView {
    /// Takes writes.
    pub active: Arc<Memtable>,
    /// Being flushed, newest first.
    pub flushing: Vec<Arc<Memtable>>,
    /// Files, greatest maximum timestamp first.
    pub sstables: Vec<Arc<Sstable>>,
    /// The levels of files of another level than 0.
    pub levels: BTreeMap<SstableId, u8>,
    /// What repairs know of files that are not unrepaired.
    pub repairs: RepairStates,
    /// What rows can have, if that is known.
    pub shape: Option<Arc<RowShape>>,
}

impl TableView {
    /// A view of one memtable and files.
    #[must_use]
    pub fn new(active: Arc<Memtable>, sstables: Vec<Arc<Sstable>>, levels: BTreeMap<SstableId, u8>) -> Self {
        let (flushing, repairs) = (Vec::new(), RepairStates::new());
        let mut view = Self { active, flushing, sstables, levels, repairs, shape: None };
        view.sort_sstables();
        view
    }

    /// A file's level.
    #[must_use]
    pub fn level_of(&self, file: SstableId) -> u8 {
        self.levels.get(&file).copied().unwrap_or(0)
    }

    /// What repairs know of a file.
    #[must_use]
    pub fn repair_of(&self, file: SstableId) -> RepairState {
        self.repairs.get(&file).copied().unwrap_or_default()
    }

    /// The earliest second at which a repair began that a file counts as repaired by; none if none does.
    pub(crate) fn repaired_since(&self) -> Option<i64> {
        self.repairs.values().filter_map(|state| state.repaired_at()).min()
    }

    /// Changes the files as an edit of the manifest says, of which `added` are open.
    pub(crate) fn apply(&mut self, edit: &Edit, added: Vec<Arc<Sstable>>) {
        self.sstables.retain(|sstable| !edit.removed.contains(&sstable.id()));
        self.sstables.extend(added);
        self.levels.extend(&edit.levels);
        self.levels.retain(|id, _| !edit.removed.contains(id));
        self.set_repairs(edit.repaired.iter().map(|(id, at)| (*id, RepairState::Repaired(*at))));
        self.repairs.retain(|id, _| !edit.removed.contains(id));
        self.sort_sstables();
    }

    /// Notes what repairs know of files.
    pub(crate) fn set_repairs(&mut self, states: impl IntoIterator<Item = (SstableId, RepairState)>) {
        self.repairs.extend(states);
        self.repairs.retain(|_, state| *state != RepairState::Unrepaired);
    }

    /// All memtables.
    pub fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(&self.flushing)
    }

    /// Puts the files into the order that reads want.
    fn sort_sstables(&mut self) {
        self.sstables
            .sort_by_key(|sstable| (std::cmp::Reverse(sstable.summary().max_timestamp), sstable.id()));
        debug_assert!(self.sstables.is_sorted_by(|one, next| one.id() != next.id()), "a file counts once");
    }
}

/// A table in the engine.
pub struct TableStore {
    /// Settings; a change of the schema replaces them.
    pub settings: ArcSwap<TableSettings>,
    /// What makes up the table now. Replaced under `change`.
    pub view: ArcSwap<TableView>,
    /// Held while `view` is replaced.
    pub change: Mutex<()>,
    /// Files that a compaction works on.
    pub compacting: Mutex<Vec<SstableId>>,
    /// What an operator wants instead of what the settings say.
    pub(crate) automatic_compaction: Mutex<Option<bool>>,
    /// How many operations keep compactions from beginning on their own.
    paused: AtomicUsize,
    /// Bytes that a flush writes, on average; 0 before the first.
    pub(crate) flush_bytes: AtomicU64,
    /// Monotonic time of the last look for files that have expired.
    expired_check: Mutex<Option<Duration>>,
    /// How many files reads of one partition have looked into.
    pub(crate) files_per_read: FilesPerRead,
    /// What is counted of its reads and writes, once there was one.
    metrics: OnceLock<Box<LocalMetrics>>,
    dropped: AtomicBool,
    /// Held from the look whether a change still applies until it is published, so that a
    /// truncation cannot come between.
    pub(crate) publish: Mutex<()>,
    /// The incremental repairs that it takes part in.
    pub(crate) repairs: Mutex<UnderWay>,
    /// What comes from other nodes and does not count yet.
    pub(crate) arriving: Arriving,
    /// The memtable that is being flushed.
    flush: Mutex<Option<Arc<Memtable>>>,
}

impl TableStore {
    /// A table with these files.
    #[must_use]
    pub fn new(settings: TableSettings, mut view: TableView) -> Self {
        view.shape.clone_from(&settings.shape);
        Self {
            settings: ArcSwap::from_pointee(settings),
            view: ArcSwap::from_pointee(view),
            change: Mutex::new(()),
            compacting: Mutex::default(),
            automatic_compaction: Mutex::new(None),
            paused: AtomicUsize::new(0),
            flush_bytes: AtomicU64::new(0),
            expired_check: Mutex::new(None),
            files_per_read: FilesPerRead::default(),
            metrics: OnceLock::new(),
            dropped: AtomicBool::new(false),
            publish: Mutex::new(()),
            repairs: Mutex::default(),
            arriving: Arriving::default(),
            flush: Mutex::default(),
        }
    }

    /// What is counted of its reads and writes, from now on at the latest.
    #[inline]
    pub(crate) fn metrics(&self, clock: &dyn Clock) -> &LocalMetrics {
        self.metrics.get_or_init(|| Box::new(LocalMetrics::new(clock.mono())))
    }

    /// What is counted of its reads and writes; none if there was none.
    pub(crate) fn present_metrics(&self) -> Option<&LocalMetrics> {
        self.metrics.get().map(|metrics| &**metrics)
    }

    /// Replaces the settings.
    pub(crate) fn set_settings(&self, settings: TableSettings) {
        let shape = settings.shape.clone();
        self.settings.store(Arc::new(settings));
        self.update(|view| view.shape = shape);
    }

    /// Replaces the view by what `change` makes of it.
    pub fn update(&self, change: impl FnOnce(&mut TableView)) {
        let _guard = self.change.lock();
        let mut view = TableView::clone(&self.view.load());
        change(&mut view);
        self.view.store(Arc::new(view));
    }

    /// True if compactions begin without being asked to.
    pub(crate) fn compacts_on_its_own(&self) -> bool {
        let wanted = self.automatic_compaction.lock().unwrap_or(self.settings.load().compaction.enabled);
        wanted && self.paused.load(Relaxed) == 0
    }

    /// True if it is time to look for files that have expired; the next time is then later.
    pub(crate) fn expired_check_is_due(&self, now: Duration) -> bool {
        let Some(seconds) = self.settings.load().compaction.expired_check_seconds() else {
            return false;
        };
        let mut last = self.expired_check.lock();
        let is_due = last.is_none_or(|last| now.saturating_sub(last).as_secs() >= seconds);
        if is_due {
            *last = Some(now);
        }
        is_due
    }

    /// Notes what a flush has written.
    pub(crate) fn note_flush(&self, bytes: u64) {
        let average = self.flush_bytes.load(Relaxed);
        let next = if average == 0 { bytes } else { average - average / 8 + bytes / 8 };
        self.flush_bytes.store(next, Relaxed);
    }

    /// Nothing is published for the table any more. To be called with `publish` held.
    pub(crate) fn set_dropped(&self) {
        self.dropped.store(true, Relaxed);
    }

    /// True if the table was dropped. To be asked with `publish` held.
    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(Relaxed)
    }

    /// Takes the table's one place for a flush, for the oldest memtable. False if it is taken, or
    /// the memtable is gone or not the oldest.
    pub(crate) fn claim_flush(&self, memtable: &Arc<Memtable>) -> bool {
        let mut flush = self.flush.lock();
        let oldest = self.view.load().flushing.last().is_some_and(|oldest| Arc::ptr_eq(oldest, memtable));
        if flush.is_some() || !oldest {
            return false;
        }
        *flush = Some(Arc::clone(memtable));
        true
    }

    /// True if a memtable waits to be written that nobody writes: the disk did not take it.
    pub(crate) fn has_unflushed(&self) -> bool {
        self.flush.lock().is_none() && !self.view.load().flushing.is_empty()
    }

    /// True while a memtable is written to a file.
    pub(crate) fn is_flushed(&self) -> bool {
        self.flush.lock().is_some()
    }

    /// Gives the place back.
    pub(crate) fn release_flush(&self) {
        *self.flush.lock() = None;
    }
}

/// Compactions of a table do not begin on their own while this is held.
pub(crate) struct Pause(Arc<TableStore>);

impl Pause {
    pub(crate) fn new(store: &Arc<TableStore>) -> Self {
        store.paused.fetch_add(1, Relaxed);
        Self(Arc::clone(store))
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        self.0.paused.fetch_sub(1, Relaxed);
    }
}
