//! The engine: applies mutations, executes reads, and keeps tables in shape.
//!
//! A write goes to the commit log's buffer and to its table's memtable under a shared lock; the
//! switch of a memtable takes that lock alone, so that every memtable covers one exact interval of
//! the log. Flushes and compactions build new files and publish them: manifest first, view second.

use crate::commit_log::CommitLog;
use crate::commit_log::archive::Schemas;
use crate::compaction::progress::Progress;
use crate::compaction::throttle::Throttle;
use crate::error::{Result, StorageError};
use crate::manifest::{Edit, Manifest};
use crate::memtable::Memtable;
use crate::metrics::Operation;
use crate::settings::{EngineSettings, SyncMode};
use crate::sstable::Sstable;
use crate::sstable::cache::BlockCache;
use crate::sync::ArcSwap;
use crate::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering::Relaxed};
use crate::sync::{Mutex, RwLock};
use crate::table::{TableSettings, TableStore, TableView};
use dodona_env::Env;
use dodona_types::{MutationView, TableId};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Notify;
use uuid::Uuid;

pub mod arrivals;
pub mod backup;
pub mod cleanup;
pub mod compact;
pub mod flush;
mod heal;
pub mod import;
#[cfg(test)]
mod import_tests;
pub mod incoming;
pub mod maintain;
pub mod operations;
#[cfg(test)]
pub(crate) mod operations_tests;
pub mod outgoing;
#[cfg(test)]
mod outgoing_tests;
mod reads;
pub mod recovery;
pub mod repair;
#[cfg(test)]
mod repair_tests;
pub mod restore;
#[cfg(test)]
mod restore_tests;
pub mod scrub;
#[cfg(test)]
mod scrub_tests;
pub mod snapshot;
pub mod sources;
pub mod statistics;
pub mod truncate;

pub(crate) type Tables = BTreeMap<TableId, Arc<TableStore>>;

/// The commit log as the start found it.
#[derive(Clone, Copy, Debug)]
struct FoundLog {
    /// Behind everything that its files have room for: what comes goes on there.
    end: u64,
    /// Behind its last record.
    last_record: u64,
}

/// The storage engine of one node.
pub struct Engine {
    pub(crate) env: Env,
    pub(crate) settings: EngineSettings,
    pub(crate) host: Uuid,
    pub(crate) log: CommitLog,
    found: FoundLog,
    pub(crate) tables: ArcSwap<Tables>,
    /// Held while the set of tables changes.
    pub(crate) tables_change: Mutex<()>,
    pub(crate) manifest: Mutex<Manifest>,
    pub(crate) cache: Arc<BlockCache>,
    /// Shared by writers, taken alone to switch a memtable.
    pub(crate) switch: RwLock<()>,
    /// Bytes in all memtables, flushing ones as well.
    pub(crate) memtable_bytes: AtomicIsize,
    /// Files out of use, removed once no read holds them.
    pub(crate) obsolete: Mutex<Vec<Arc<Sstable>>>,
    /// The last flush found the disk full.
    pub(crate) flushes_refused: AtomicBool,
    /// The last compaction found no space.
    pub(crate) compactions_refused: AtomicBool,
    /// Told when there is something to flush or compact.
    pub(crate) work: Notify,
    /// Told when memtables have shrunk.
    pub(crate) shrunk: Notify,
    /// Told when there may be something to compact.
    pub(crate) files_changed: Notify,
    pub(crate) compactions: Arc<Progress>,
    pub(crate) throttle: Throttle,
    /// New files are linked into `backups` as well.
    pub(crate) backs_up: AtomicBool,
    /// The tables that this life's log may write of.
    pub(crate) schemas: Mutex<Schemas>,
    /// The table whose turn it is to be compacted.
    pub(crate) next_table: AtomicUsize,
    pub(crate) _lock: recovery::DirectoryLock,
}

impl Engine {
    /// The table's store.
    ///
    /// # Errors
    /// The engine does not know the table.
    pub(crate) fn store(&self, table: TableId) -> Result<Arc<TableStore>> {
        self.tables.load().get(&table).cloned().ok_or(StorageError::NoSuchTable(table))
    }

    /// Creates a table, or replaces the settings of one that exists.
    ///
    /// # Errors
    /// The operating system's.
    pub fn put_table(&self, settings: TableSettings) -> Result<()> {
        let _guard = self.tables_change.lock();
        self.schemas.lock().add(&settings);
        if let Some(store) = self.tables.load().get(&settings.id) {
            store.set_settings(settings);
            return Ok(());
        }
        let memtable = Memtable::new(FIRST_SHARD_BITS, self.log.end(), self.env.clock.mono());
        let mut tables = Tables::clone(&self.tables.load());
        let view = TableView::new(Arc::new(memtable), Vec::new(), BTreeMap::new());
        tables.insert(settings.id, Arc::new(TableStore::new(settings, view)));
        self.tables.store(Arc::new(tables));
        Ok(())
    }

    /// Drops a table and its files.
    ///
    /// # Errors
    /// The operating system's.
    pub fn drop_table(&self, table: TableId) -> Result<()> {
        let _guard = self.tables_change.lock();
        let mut tables = Tables::clone(&self.tables.load());
        let Some(store) = tables.remove(&table) else {
            return Ok(());
        };
        let _publish = store.publish.lock();
        self.manifest.lock().commit(&Edit { dropped: true, ..Edit::new(table) })?;
        store.set_dropped();
        self.tables.store(Arc::new(tables));
        let view = store.view.load();
        let bytes: usize = view.memtables().map(|memtable| memtable.bytes()).sum();
        self.memtable_bytes.fetch_sub(bytes.cast_signed(), Relaxed);
        self.obsolete.lock().extend(view.sstables.iter().cloned());
        self.work.notify_one();
        Ok(())
    }

    /// Applies mutations as one record of the commit log. Returns the position to
    /// [`wait`](Self::wait_safe) for before they are acknowledged.
    ///
    /// # Errors
    /// A table is not known, a mutation is malformed or too large, or the log takes no writes.
    pub fn apply(&self, mutations: &[MutationView<'_>]) -> Result<u64> {
        let tables = self.tables.load();
        let total: usize = mutations.iter().map(|mutation| mutation.bytes().len()).sum();
        if total > dodona_types::limits::MAX_MUTATION_BYTES {
            return Err(StorageError::TooLarge(format!(
                "Mutation of {total} bytes is too large for the maximum size of {}",
                dodona_types::limits::MAX_MUTATION_BYTES
            )));
        }
        for mutation in mutations {
            if !tables.contains_key(&mutation.table) {
                return Err(StorageError::NoSuchTable(mutation.table));
            }
        }
        let _shared = self.switch.read();
        let (_, end) = self.log.append(mutations.iter().map(MutationView::bytes))?;
        let (mut growth, clock) = (0, &*self.env.clock);
        for mutation in mutations {
            if let Some(store) = tables.get(&mutation.table) {
                let operations = &store.metrics(clock).operations;
                let began = operations.begin(Operation::Write, clock);
                growth += store.view.load().active.apply(mutation)?;
                operations.end(Operation::Write, clock, began);
            }
        }
        let before = self.memtable_bytes.fetch_add(growth, Relaxed);
        if before.max(0).cast_unsigned() > self.settings.memtable_bytes {
            self.work.notify_one();
        }
        Ok(end)
    }

    /// Replaces all rows of a volatile table at once: a reader sees the old ones or the new ones.
    ///
    /// # Errors
    /// The table is not known or not volatile, or a mutation is malformed.
    pub fn replace_volatile(&self, table: TableId, mutations: &[Vec<u8>]) -> Result<()> {
        let store = self.volatile_store(table)?;
        // It holds nothing of the commit log.
        let memtable = Memtable::new(1, u64::MAX, self.env.clock.mono());
        for mutation in mutations {
            memtable.apply(&MutationView::parse(mutation)?)?;
        }
        store.update(|view| view.active = Arc::new(memtable));
        Ok(())
    }

    /// Applies mutations to a volatile table, each at once. None of them goes to the log.
    ///
    /// # Errors
    /// The table is not known or not volatile, or a mutation is malformed.
    pub fn change_volatile(&self, table: TableId, mutations: &[Vec<u8>]) -> Result<()> {
        let store = self.volatile_store(table)?;
        let view = store.view.load();
        for mutation in mutations {
            view.active.apply(&MutationView::parse(mutation)?)?;
        }
        Ok(())
    }

    fn volatile_store(&self, table: TableId) -> Result<Arc<TableStore>> {
        let store = self.store(table)?;
        if store.settings.load().volatile {
            return Ok(store);
        }
        Err(StorageError::TooLarge(format!("table {table} is kept on disk: its rows cannot be replaced")))
    }

    /// True if a memtable is to be flushed for its room.
    pub(crate) fn memtables_are_full(&self) -> bool {
        self.memtable_bytes.load(Relaxed).max(0).cast_unsigned() > self.settings.memtable_bytes
    }

    /// True if writes must wait for memtables to be flushed.
    #[must_use]
    pub fn must_wait(&self) -> bool {
        self.memtable_bytes.load(Relaxed).max(0).cast_unsigned() > 2 * self.settings.memtable_bytes
    }

    /// Waits until memtables have room.
    ///
    /// # Errors
    /// They have none, and the disk is too full for them to be flushed.
    pub async fn wait_for_room(&self) -> Result<()> {
        while self.must_wait() {
            self.work.notify_one();
            if self.flushes_refused.load(Relaxed) {
                return Err(StorageError::NoSpace);
            }
            let shrunk = self.shrunk.notified();
            if self.must_wait() {
                // A flush that is over between the two looks does not tell again.
                let _ = tokio::time::timeout(std::time::Duration::from_millis(50), shrunk).await;
            }
        }
        Ok(())
    }

    /// Applies mutations as [`Self::apply`] does, once memtables have room.
    ///
    /// # Errors
    /// As [`Self::wait_for_room`] and [`Self::apply`].
    pub async fn apply_with_room(&self, mutations: &[MutationView<'_>]) -> Result<u64> {
        self.wait_for_room().await?;
        self.apply(mutations)
    }

    /// True if a write up to `position` counts as safe already.
    #[must_use]
    pub fn is_safe(&self, position: u64) -> bool {
        self.log.is_safe(position)
    }

    /// Waits until a write up to `position` is on disk, whatever the log's mode.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn wait_synced(&self, position: u64) -> Result<()> {
        self.log.wait_synced(position).await
    }

    /// Waits until a write up to `position` counts as safe in the log's mode.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn wait_safe(&self, position: u64) -> Result<()> {
        self.log.wait(position).await
    }

    /// Brings the commit log to the disk: to be called once a period in the periodic mode.
    ///
    /// # Errors
    /// The disk has failed.
    pub fn sync_log(&self) -> Result<()> {
        self.log.sync()
    }

    /// Up to which position the commit log is on disk. It never goes back, over restarts either: room behind the last
    /// record does not count.
    #[must_use]
    pub fn synced_log_position(&self) -> u64 {
        let synced = self.log.synced_position();
        if synced > self.found.end { synced } else { self.found.last_record }
    }

    /// Waits until [`Self::tend_log`] has something to do.
    pub async fn wait_for_log_upkeep(&self) {
        self.log.wait_for_upkeep().await;
    }

    /// Brings what the commit log has left behind to the disk, and makes room for what is to come.
    ///
    /// # Errors
    /// The disk is full or has failed.
    pub fn tend_log(&self) -> Result<()> {
        self.log.tend()
    }

    /// Archives segments of the commit log that have ended, and frees those that nobody needs. Returns how
    /// many.
    ///
    /// # Errors
    /// The archive does not take one: it is kept until it does.
    pub fn archive_log(&self) -> Result<usize> {
        let schemas = self.schemas.lock().clone();
        let archived = self.log.archive(&schemas)?;
        if archived > 0 {
            self.discard_log()?;
        }
        Ok(archived)
    }

    /// As [`Self::archive_log`], of the present segment as well.
    ///
    /// # Errors
    /// As [`Self::archive_log`].
    pub fn archive_whole_log(&self) -> Result<usize> {
        if !self.settings.archive.is_on() {
            return Ok(0);
        }
        self.log.sync()?;
        self.log.end_segment()?;
        self.archive_log()
    }

    /// The engine's settings.
    #[must_use]
    pub const fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    /// How long a write may be in the operating system alone, where that is a matter of time.
    #[must_use]
    pub const fn sync_period(&self) -> Option<std::time::Duration> {
        match self.settings.sync_mode {
            SyncMode::Periodic { period } => Some(period),
            SyncMode::Group { .. } | SyncMode::Batch => None,
        }
    }
}

/// Shards (as a power of two) of a table's first memtable.
pub(crate) const FIRST_SHARD_BITS: u32 = 8;
