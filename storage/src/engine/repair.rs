//! Incremental repairs: what is not repaired of some ranges is set aside in files of its own, compared with what
//! other replicas have set aside, completed by what comes from them (`arrivals`), and counts as repaired in the end.
//!
//! A repair is known by its id. Files that it has set aside are compacted with no others. Nothing of this outlives the
//! process: after a start, what was not repaired to the end is unrepaired.

use super::Engine;
use super::cleanup::{Share, holds_others, share_of};
use super::compact::Listed;
use crate::compaction::Choice;
use crate::error::{Result, StorageError};
use crate::manifest::Edit;
use crate::repair_state::{Part, RepairState, Set};
use crate::sstable::{Sstable, SstableId};
use crate::table::{Pause, TableStore, TableView};
use dodona_types::TableId;
use dodona_types::token::TokenRange;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

impl Engine {
    /// Sets aside for a repair what a table holds of ranges, which are disjoint and in order (the first may wrap), and
    /// what is not repaired. Files that hold other partitions as well are split. False if a compaction works on one of
    /// them: try again.
    ///
    /// # Errors
    /// Another repair is at one of the ranges; a file could not be read or written; there is no space.
    pub fn begin_repair(&self, table: TableId, repair: Uuid, ranges: &[TokenRange]) -> Result<bool> {
        let store = self.store(table)?;
        {
            let mut under_way = store.repairs.lock();
            let meets = |other: &TokenRange| ranges.iter().any(|range| meet(range, other));
            if under_way.iter().any(|(id, others)| *id != repair && others.iter().any(meets)) {
                let name = &store.settings.load().name;
                return Err(StorageError::Refused(format!(
                    "another incremental repair is at some of the same ranges of {name}"
                )));
            }
            under_way.insert(repair, ranges.into());
        }
        let begun = self.set_aside(&store, repair, ranges);
        if begun.is_err() {
            self.give_repair_up(&store, repair);
        }
        begun
    }

    fn set_aside(&self, store: &Arc<TableStore>, repair: Uuid, ranges: &[TokenRange]) -> Result<bool> {
        let _pause = Pause::new(store);
        if !self.env.mutants.has("repair-forgets-memtables") {
            self.flush(store.settings.load().id)?;
        }
        self.stop_compactions_of(store);
        let view = store.view.load_full();
        let unrepaired = |file: &&Arc<Sstable>| view.repair_of(file.id()).set() == Set::Unrepaired;
        let mut whole = Vec::new();
        for sstable in view.sstables.iter().filter(unrepaired) {
            let choice = Choice {
                inputs: vec![sstable.id()],
                level: view.level_of(sstable.id()),
                ..Choice::merge(&[])
            };
            match share_of(ranges, sstable.summary().tokens()) {
                Share::None => continue,
                Share::Some
                    if !self.env.mutants.has("repair-does-not-split") && holds_others(sstable, ranges)? =>
                {
                    let Some((_claim, choice)) = self.claim(store, choice) else { return Ok(false) };
                    if !self.split_for_repair(store, repair, ranges, sstable, &choice)? {
                        return Ok(false);
                    }
                }
                Share::All | Share::Some => match self.claim(store, choice) {
                    Some(claimed) => whole.push((sstable.id(), claimed)),
                    None => return Ok(false),
                },
            }
        }
        let _publish = store.publish.lock();
        let view = store.view.load_full();
        let is_there = |id: SstableId| view.sstables.iter().any(|sstable| sstable.id() == id);
        if !whole.iter().all(|(id, _)| is_there(*id)) || store.is_dropped() {
            return Ok(false);
        }
        let states = whole.iter().map(|(id, _)| (*id, RepairState::Pending(repair)));
        store.update(|view| view.set_repairs(states));
        Ok(true)
    }

    /// Writes a file as two: what lies in the ranges, which is set aside, and the rest. False if the file is gone.
    fn split_for_repair(
        &self,
        store: &Arc<TableStore>,
        repair: Uuid,
        ranges: &[TokenRange],
        sstable: &Arc<Sstable>,
        choice: &Choice,
    ) -> Result<bool> {
        if !self.has_space_for(sstable.file_bytes()) {
            return Err(StorageError::NoSpace);
        }
        let settings = store.settings.load_full();
        let kind = "Anticompaction after repair";
        let listed = Listed::begin(&self.compactions, &settings.name, kind, 1, sstable.file_bytes());
        let write = |ranges: Arc<[TokenRange]>| {
            let job = self.merge_job(store, std::slice::from_ref(sstable), choice)?.keeping(ranges);
            let (running, mut written) = (&listed.running, 0);
            self.run_job(store, job, |job| {
                if running.is_stopped() {
                    return Err(StorageError::Stopped(running.kind));
                }
                let before = std::mem::replace(&mut written, job.written_bytes());
                running.set_written(written);
                self.slow_down(written - before, running);
                Ok(())
            })
        };
        let inside = write(ranges.into())?;
        let outside = if self.env.mutants.has("split-for-repair-keeps-one-side") {
            Ok(Vec::new())
        } else {
            write(between(ranges).into())
        };
        let outside = outside.inspect_err(|_| self.discard_files(store, &inside))?;
        let mut edit = Edit::new(settings.id);
        edit.added = inside.iter().chain(&outside).copied().collect();
        if choice.level > 0 {
            edit.levels = edit.added.iter().map(|id| (*id, choice.level)).collect();
        }
        let states = inside.into_iter().map(|id| (id, RepairState::Pending(repair)));
        self.replace_file(store, sstable, edit, |view| view.set_repairs(states))
    }

    /// Ends a repair of a table: what was set aside for it is repaired as of a second since the epoch or, with none,
    /// unrepaired as before. Returns how many files were.
    ///
    /// # Errors
    /// The manifest could not be written: they are unrepaired.
    pub fn end_repair(&self, table: TableId, repair: Uuid, repaired_at: Option<i64>) -> Result<usize> {
        let store = self.store(table)?;
        let publish = store.publish.lock();
        let view = store.view.load_full();
        let files = view.repairs.iter().filter(|(_, state)| **state == RepairState::Pending(repair));
        let files: Vec<SstableId> = files.map(|(id, _)| *id).collect();
        let mut ended = Ok(files.len());
        if let Some(at) = repaired_at.filter(|_| !files.is_empty()) {
            let mut edit = Edit::new(table);
            edit.repaired = files.iter().map(|id| (*id, at)).collect();
            match self.publish(&store, &edit) {
                Ok(()) => store.update(|view| view.apply(&edit, Vec::new())),
                Err(error) => ended = Err(error),
            }
        }
        drop(publish);
        self.give_repair_up(&store, repair);
        self.files_changed.notify_one();
        ended
    }

    /// What is still set aside for a repair is unrepaired as before.
    fn give_repair_up(&self, store: &TableStore, repair: Uuid) {
        let _publish = store.publish.lock();
        store.repairs.lock().remove(&repair);
        store.update(|view| view.repairs.retain(|_, state| *state != RepairState::Pending(repair)));
    }

    /// The earliest second at which a repair began that a file of the table counts as repaired by; none if none does.
    ///
    /// # Errors
    /// The engine does not know the table.
    pub fn repaired_since(&self, table: TableId) -> Result<Option<i64>> {
        Ok(self.store(table)?.view.load().repaired_since())
    }

    /// A part of a table, to be read.
    ///
    /// # Errors
    /// It is what was set aside for a repair that is not under way here.
    pub(super) fn view_of(&self, store: &TableStore, part: Part) -> Result<Arc<TableView>> {
        let view = store.view.load_full();
        match part {
            Part::All => return Ok(view),
            // Looked at behind the view: it is forgotten before what it has set aside is put back.
            Part::Aside(repair) if !store.repairs.lock().contains_key(&repair) => return Err(has_ended()),
            Part::Aside(_) | Part::Unrepaired | Part::Repaired => {}
        }
        Ok(Arc::new(self.part_of(&view, part)))
    }

    /// A part of what a view has.
    pub(super) fn part_of(&self, view: &TableView, part: Part) -> TableView {
        let files = view.sstables.iter().filter(|file| part.has(view.repair_of(file.id())));
        let mut seen = TableView::new(Arc::clone(&view.active), files.cloned().collect(), BTreeMap::new());
        seen.shape.clone_from(&view.shape);
        if part.has_memory() {
            seen.flushing.clone_from(&view.flushing);
        } else {
            seen.active = Arc::new(self.memtable_aside());
        }
        seen
    }
}

/// A repair is not under way here, or not any more.
pub(super) fn has_ended() -> StorageError {
    StorageError::Refused("the repair has ended here".into())
}

/// True if ranges have something in common.
fn meet(one: &TokenRange, other: &TokenRange) -> bool {
    one.contains(other.end) || other.contains(one.end)
}

/// What lies between ranges, which are disjoint and in order.
fn between(ranges: &[TokenRange]) -> Vec<TokenRange> {
    let pairs = ranges.iter().zip(ranges.iter().cycle().skip(1));
    let gaps = pairs.map(|(before, behind)| TokenRange { start: before.end, end: behind.start });
    gaps.filter(|gap| gap.start != gap.end).collect()
}
