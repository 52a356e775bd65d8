//! One table in the engine: its settings, and the memtables and files that make it up now.

use crate::compaction::CompactionSettings;
use crate::memtable::Memtable;
use crate::sstable::statistics::StoredColumn;
use crate::sstable::{Sstable, WriterOptions};
use arc_swap::ArcSwap;
use dodona_types::TableId;
use parking_lot::Mutex;
use std::sync::Arc;
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
}

impl TableView {
    /// All memtables.
    pub fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(&self.flushing)
    }

    /// Puts the files into the order that reads want.
    pub fn sort_sstables(&mut self) {
        self.sstables
            .sort_by_key(|sstable| (std::cmp::Reverse(sstable.statistics().max_timestamp), sstable.id()));
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
    pub compacting: Mutex<Vec<crate::sstable::SstableId>>,
    /// Held from the look whether a change still applies until it is published, so that a
    /// truncation cannot come between.
    pub(crate) publish: Mutex<()>,
    /// The memtable that is being flushed.
    flush: Mutex<Option<Arc<Memtable>>>,
}

impl TableStore {
    /// A table with these files.
    #[must_use]
    pub fn new(settings: TableSettings, active: Memtable, sstables: Vec<Arc<Sstable>>) -> Self {
        let mut view = TableView { active: Arc::new(active), flushing: Vec::new(), sstables };
        view.sort_sstables();
        Self {
            settings: ArcSwap::from_pointee(settings),
            view: ArcSwap::from_pointee(view),
            change: Mutex::new(()),
            compacting: Mutex::default(),
            publish: Mutex::new(()),
            flush: Mutex::default(),
        }
    }

    /// Replaces the view by what `change` makes of it.
    pub fn update(&self, change: impl FnOnce(&mut TableView)) {
        let _guard = self.change.lock();
        let mut view = TableView::clone(&self.view.load());
        change(&mut view);
        self.view.store(Arc::new(view));
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

    /// Gives the place back.
    pub(crate) fn release_flush(&self) {
        *self.flush.lock() = None;
    }
}
