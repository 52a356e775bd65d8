//! What comes from other nodes, apart from what is written here: it goes into files of its own, which count all at once,
//! as a part of a repair or as repaired.
//!
//! Among it may be what a tombstone hides that is here already. As long as it does not count, nothing sees that it is
//! hidden once the tombstone is gone: no tombstone of the table goes meanwhile.

use super::Engine;
use super::repair::has_ended;
use crate::compaction::Split;
use crate::error::{Result, StorageError};
use crate::manifest::Edit;
use crate::memtable::Memtable;
use crate::repair_state::{RepairState, RepairStates};
use crate::sstable::{Sstable, SstableId};
use crate::sync::atomic::Ordering::Relaxed;
use crate::table::TableStore;
use dodona_types::{MutationView, TableId};
use std::sync::Arc;

/// Bytes of what comes from other nodes that are in memory at a time.
const ARRIVING_BYTES: usize = 16 << 20;

/// What comes from other nodes. It counts once all of it is there.
pub struct Arrivals {
    store: Arc<TableStore>,
    number: u64,
    state: RepairState,
    memtable: Memtable,
    /// What was written of it.
    files: Vec<SstableId>,
    /// What has come as files, each in its own state.
    whole: Vec<(Arc<Sstable>, RepairState)>,
    is_over: bool,
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.store.arriving.end(self.number);
    }
}

impl Arrivals {
    /// What has come is repaired since this second, or an earlier one that it was told of before.
    pub fn is_repaired_since(&mut self, at: i64) {
        self.state = self.state.merged(RepairState::Repaired(at));
    }

    /// The files that are to count, and the state of each.
    fn states(&self) -> impl Iterator<Item = (SstableId, RepairState)> {
        let written = self.files.iter().map(|id| (*id, self.state));
        written.chain(self.whole.iter().map(|(file, state)| (file.id(), *state)))
    }

    pub(super) const fn store(&self) -> &Arc<TableStore> {
        &self.store
    }

    /// Takes files that lie beside the table's.
    pub(super) fn take_files(&mut self, files: impl IntoIterator<Item = (Arc<Sstable>, RepairState)>) {
        self.whole.extend(files);
    }
}

impl Engine {
    /// Takes in what other replicas hold: for a repair that has begun here, or what is repaired there and is so here.
    ///
    /// # Errors
    /// The engine does not know the table.
    pub fn begin_arrivals(&self, table: TableId, state: RepairState) -> Result<Arrivals> {
        let (store, memtable) = (self.store(table)?, self.memtable_aside());
        let number = store.arriving.begin();
        Ok(Arrivals { store, number, state, memtable, files: Vec::new(), whole: Vec::new(), is_over: false })
    }

    /// A memtable that holds nothing of the commit log.
    pub(super) fn memtable_aside(&self) -> Memtable {
        Memtable::new(1, u64::MAX, self.env.clock.mono())
    }

    /// Takes mutations. Waits for the disk once many have come.
    ///
    /// # Errors
    /// A mutation is malformed, or a file could not be written: what has come is discarded. It was before, or counts already.
    pub fn take_arrivals(&self, arrivals: &mut Arrivals, mutations: &[MutationView<'_>]) -> Result<()> {
        if arrivals.is_over {
            return Err(StorageError::Refused("nothing more is taken of what comes".into()));
        }
        let taken = mutations.iter().try_for_each(|mutation| {
            let growth = arrivals.memtable.apply(mutation)?;
            self.memtable_bytes.fetch_add(growth, Relaxed);
            Ok(())
        });
        let written = taken.and_then(|()| {
            let is_much = arrivals.memtable.bytes() > ARRIVING_BYTES.min(self.settings.memtable_bytes / 4);
            if is_much { self.write_arrivals(arrivals) } else { Ok(()) }
        });
        if written.is_err() {
            self.discard_arrivals(arrivals);
        }
        written
    }

    fn write_arrivals(&self, arrivals: &mut Arrivals) -> Result<()> {
        let memtable = Arc::new(std::mem::replace(&mut arrivals.memtable, self.memtable_aside()));
        let bytes = memtable.bytes().cast_signed();
        let written = self.write_files(&arrivals.store, &memtable, Split::Never, Vec::new());
        self.memtable_bytes.fetch_sub(bytes, Relaxed);
        arrivals.files.extend(written?);
        Ok(())
    }

    /// Has count what has come.
    ///
    /// # Errors
    /// As [`Self::finish_all_arrivals`].
    pub fn finish_arrivals(&self, arrivals: &mut Arrivals) -> Result<()> {
        self.finish_all_arrivals(&mut [arrivals])
    }

    /// Has count what has come to one table in several ways, all of it at once.
    ///
    /// # Errors
    /// The repair has ended here, the table was truncated or dropped, or a file could not be written: what has come is
    /// discarded.
    pub fn finish_all_arrivals(&self, all: &mut [&mut Arrivals]) -> Result<()> {
        let finished = self.publish_arrivals(all);
        for arrivals in all {
            if finished.is_err() {
                self.discard_arrivals(arrivals);
            }
            arrivals.is_over = true;
            arrivals.store.arriving.end(arrivals.number);
        }
        finished
    }

    fn publish_arrivals(&self, all: &mut [&mut Arrivals]) -> Result<()> {
        let Some(store) = all.first().map(|first| Arc::clone(&first.store)) else { return Ok(()) };
        let table = store.settings.load().id;
        let mut opened = Vec::new();
        for arrivals in all.iter_mut() {
            if !arrivals.memtable.is_empty() {
                self.write_arrivals(arrivals)?;
            }
            opened.extend(self.open_outputs(table, &arrivals.files)?);
            opened.extend(arrivals.whole.iter().map(|(file, _)| Arc::clone(file)));
        }
        let _publish = store.publish.lock();
        if !all.iter().all(|arrivals| store.arriving.has(arrivals.number)) || store.is_dropped() {
            return Err(StorageError::Refused("the table was truncated or dropped meanwhile".into()));
        }
        let mut edit = Edit::new(table);
        let mut pending = RepairStates::new();
        for arrivals in all.iter() {
            if let RepairState::Pending(repair) = arrivals.state
                && !store.repairs.lock().contains_key(&repair)
            {
                return Err(has_ended());
            }
            for (id, state) in arrivals.states() {
                edit.added.push(id);
                match state {
                    RepairState::Repaired(at) => drop(edit.repaired.insert(id, at)),
                    state => drop(pending.insert(id, state)),
                }
            }
        }
        if edit.added.is_empty() {
            return Ok(());
        }
        edit.describe(&opened);
        self.back_up(&store, &edit.added)?;
        self.publish(&store, &edit)?;
        store.update(|view| {
            view.apply(&edit, opened);
            view.set_repairs(pending);
        });
        for arrivals in all {
            arrivals.files.clear();
            arrivals.whole.clear();
        }
        self.files_changed.notify_one();
        Ok(())
    }

    /// Forgets what has come. Nothing is taken any more.
    pub fn discard_arrivals(&self, arrivals: &mut Arrivals) {
        arrivals.is_over = true;
        self.memtable_bytes.fetch_sub(arrivals.memtable.bytes().cast_signed(), Relaxed);
        arrivals.memtable = self.memtable_aside();
        let files: Vec<SstableId> = arrivals.states().map(|(id, _)| id).collect();
        arrivals.files.clear();
        arrivals.whole.clear();
        self.discard_files(&arrivals.store, &files);
    }
}
