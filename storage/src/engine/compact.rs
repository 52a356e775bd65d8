//! Executes what compaction strategies choose, in steps; several at once on different files.

use super::Engine;
use crate::compaction::job::MergeJob;
use crate::compaction::progress::{Progress, Running};
use crate::compaction::shadow::Shadow;
use crate::compaction::{Candidate, Choice, OverlappingTombstones, Purpose, Situation};
use crate::error::{Result, StorageError};
use crate::manifest::{Edit, union_of};
use crate::purge::PurgeRule;
use crate::repair_state::{RepairState, RepairStates, Set};
use crate::scan::MergedScan;
use crate::source::Source;
use crate::sstable::cursor::SstableSource;
use crate::sstable::reader::Access;
use crate::sstable::{Sstable, SstableId};
use crate::sync::atomic::Ordering::Relaxed;
use crate::table::{TableStore, TableView};
use dodona_types::read_command::RangeBound;
use dodona_types::token::TokenRange;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Bytes that a compaction leaves free on the disk.
const SPARE_BYTES: u64 = 64 << 20;
/// A compaction that is slowed down looks this often whether it is to stop.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Files that a compaction works on. Dropping it gives them back.
struct Claim {
    store: Arc<TableStore>,
    files: Vec<SstableId>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.store.compacting.lock().retain(|id| !self.files.contains(id));
    }
}

/// What a compaction is to do besides merging.
pub(super) enum Extra {
    Nothing,
    /// Deletions of all other files take effect, on cells that were written over as well if `cells`.
    Garbage {
        cells: bool,
    },
    /// What lies in none of these ranges goes.
    Keep(Arc<[TokenRange]>),
}

/// A compaction in the list of those that run. Dropping it takes it off.
pub(super) struct Listed {
    progress: Arc<Progress>,
    pub(super) running: Arc<Running>,
}

impl Listed {
    pub(super) fn begin(
        progress: &Arc<Progress>,
        table: &str,
        kind: &'static str,
        files: usize,
        bytes: u64,
    ) -> Self {
        Self { progress: Arc::clone(progress), running: progress.begin(table, kind, files, bytes) }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.progress.end(&self.running);
    }
}

/// A compaction under way. It belongs to the engine that began it, and ends with
/// [`Engine::finish_compaction`] or [`Engine::abandon_compaction`].
pub struct Compaction {
    claim: Claim,
    listed: Listed,
    inputs: Vec<Arc<Sstable>>,
    choice: Choice,
    /// What writes the files, if any are written.
    job: Option<MergeJob>,
    written_bytes: u64,
}

impl Compaction {
    /// What is done.
    #[must_use]
    pub const fn choice(&self) -> &Choice {
        &self.choice
    }
}

/// Files of one state, as the manifest keeps it and as it does not.
fn states_of(files: &[SstableId], state: RepairState) -> (BTreeMap<SstableId, i64>, RepairStates) {
    match state {
        RepairState::Repaired(at) => (files.iter().map(|id| (*id, at)).collect(), RepairStates::new()),
        _ => (BTreeMap::new(), files.iter().map(|id| (*id, state)).collect()),
    }
}

/// What strategies know of a table's files.
pub(super) fn candidates(
    view: &TableView,
    compacting: &[SstableId],
    gc_before_seconds: i64,
) -> Vec<Candidate> {
    let candidate = |sstable: &Arc<Sstable>| {
        let summary = sstable.summary();
        Candidate {
            id: sstable.id(),
            bytes: sstable.file_bytes(),
            tokens: summary.tokens(),
            covered_tokens: summary.covered_tokens,
            timestamps: (summary.min_timestamp, summary.max_timestamp),
            level: view.level_of(sstable.id()),
            written_at_seconds: sstable.id().written_at_seconds(),
            droppable: summary.droppable(gc_before_seconds),
            max_deletion_seconds: summary.max_deletion_seconds,
            busy: compacting.contains(&sstable.id()),
            set: view.repair_of(sstable.id()).set(),
        }
    };
    view.sstables.iter().map(candidate).collect()
}

impl Engine {
    /// The compaction that is due, if there is one. Tables take turns.
    ///
    /// # Errors
    /// A file could not be read.
    pub fn next_compaction(&self) -> Result<Option<Compaction>> {
        let tables = self.tables.load();
        let first = self.next_table.fetch_add(1, Relaxed) % tables.len().max(1);
        for store in tables.values().skip(first).chain(tables.values().take(first)) {
            let Some(claimed) = self.choose_compaction(store) else { continue };
            match self.begin_compaction(claimed.0, claimed.1, Extra::Nothing) {
                Err(StorageError::NoSpace) | Ok(None) => {}
                compaction => return compaction,
            }
        }
        Ok(None)
    }

    /// What is to be compacted of a table, with its files claimed.
    fn choose_compaction(&self, store: &Arc<TableStore>) -> Option<(Claim, Choice)> {
        let settings = store.settings.load();
        if settings.volatile || !store.compacts_on_its_own() {
            return None;
        }
        let now = self.env.clock.mono();
        // Claims are given back behind the change of the view: with the lock held, no file that is
        // free is one that is gone.
        let mut compacting = store.compacting.lock();
        let view = store.view.load();
        let gc_before_seconds = self.gc_before_seconds(store);
        let mut candidates = candidates(&view, &compacting, gc_before_seconds);
        if self.env.mutants.has("expiry-ignores-overlaps") {
            candidates.iter_mut().for_each(|file| file.timestamps.0 = i64::MAX);
        }
        if settings.compaction.only_purge_repaired {
            for file in candidates.iter_mut().filter(|file| file.set != Set::Repaired) {
                (file.droppable, file.max_deletion_seconds) = (0.0, i64::MAX);
            }
        }
        let check_expired = store.expired_check_is_due(now);
        let in_memory = view.memtables().map(|memtable| memtable.min_timestamp());
        // What is on its way may be older than anything.
        let memtable_min_timestamp =
            if store.arriving.is_any() { i64::MIN } else { in_memory.min().unwrap_or(i64::MAX) };
        // The unrepaired first and the repaired last. What a repair is at lies between, and is left alone.
        candidates.sort_by_key(|file| file.set);
        let (unrepaired, rest) =
            candidates.split_at(candidates.partition_point(|file| file.set == Set::Unrepaired));
        let (before, repaired) =
            candidates.split_at(candidates.partition_point(|file| file.set < Set::Repaired));
        let choice =
            [(unrepaired, rest), (repaired, before)].into_iter().find_map(|(candidates, apart)| {
                let situation = Situation {
                    candidates,
                    apart,
                    now_seconds: self.env.clock.wall_seconds(),
                    gc_before_seconds,
                    memtable_min_timestamp,
                    flush_bytes: store.flush_bytes.load(Relaxed),
                    check_expired,
                };
                settings.compaction.choose(&situation)
            })?;
        let choice = self.fit_to_space(choice, &candidates);
        compacting.extend(&choice.inputs);
        drop(compacting);
        Some((Claim { store: Arc::clone(store), files: choice.inputs.clone() }, choice))
    }

    /// Claims files for a compaction that someone asked for. None if one of them is not free.
    pub(super) fn claim(&self, store: &Arc<TableStore>, choice: Choice) -> Option<(ClaimedChoice, Choice)> {
        let mut compacting = store.compacting.lock();
        if choice.inputs.iter().any(|id| compacting.contains(id)) {
            return None;
        }
        compacting.extend(&choice.inputs);
        drop(compacting);
        Some((ClaimedChoice(Claim { store: Arc::clone(store), files: choice.inputs.clone() }), choice))
    }

    /// Leaves the largest files out of a merge for which there is no space.
    fn fit_to_space(&self, mut choice: Choice, candidates: &[Candidate]) -> Choice {
        let bytes_of =
            |id: &SstableId| candidates.iter().find(|file| file.id == *id).map_or(0, |file| file.bytes);
        if choice.purpose == Purpose::Merge && choice.level == 0 {
            while choice.inputs.len() > 2 && !self.has_space_for(choice.inputs.iter().map(bytes_of).sum()) {
                let Some(largest) = (0..choice.inputs.len()).max_by_key(|at| bytes_of(&choice.inputs[*at]))
                else {
                    break;
                };
                choice.inputs.remove(largest);
            }
        }
        choice
    }

    /// True if there is space for so many bytes beside what other compactions still write.
    pub(super) fn has_space_for(&self, bytes: u64) -> bool {
        let others: u64 = self
            .compactions
            .running()
            .iter()
            .map(|running| running.total_bytes.saturating_sub(running.written_bytes()))
            .sum();
        self.env.disk.available_bytes().is_ok_and(|available| available >= bytes + others + SPARE_BYTES)
    }

    fn gc_before_seconds(&self, store: &TableStore) -> i64 {
        let gc_grace = i64::from(store.settings.load().gc_grace_seconds);
        if self.env.mutants.has("purge-before-gc-grace") {
            return i64::MAX;
        }
        self.env.clock.wall_seconds().saturating_sub(gc_grace)
    }

    /// Begins a claimed compaction. None if a file is gone.
    fn begin_compaction(&self, claim: Claim, choice: Choice, extra: Extra) -> Result<Option<Compaction>> {
        let store = Arc::clone(&claim.store);
        let view = store.view.load_full();
        let inputs: Vec<Arc<Sstable>> =
            view.sstables.iter().filter(|sstable| choice.inputs.contains(&sstable.id())).cloned().collect();
        if inputs.len() != choice.inputs.len() {
            return Ok(None);
        }
        let total_bytes: u64 = inputs.iter().map(|sstable| sstable.file_bytes()).sum();
        let settings = store.settings.load_full();
        let writes = matches!(choice.purpose, Purpose::Merge | Purpose::Tombstones) && !inputs.is_empty();
        if writes && !self.has_space_for(total_bytes) {
            if !self.compactions_refused.swap(true, Relaxed) {
                let table = &settings.name;
                tracing::warn!(table, total_bytes, "no space for a compaction; it is tried again and again");
            }
            return Err(StorageError::NoSpace);
        }
        if writes {
            self.compactions_refused.store(false, Relaxed);
        }
        let kind = match (choice.purpose, &extra) {
            (_, Extra::Garbage { .. }) => "Remove deleted data",
            (_, Extra::Keep(_)) => "Cleanup",
            (Purpose::Tombstones, _) => "Tombstone Compaction",
            _ => "Compaction",
        };
        let job = if writes {
            let cells = match (&extra, settings.compaction.overlapping_tombstones) {
                (Extra::Garbage { cells }, _) => Some(*cells),
                (_, OverlappingTombstones::None) => None,
                (_, OverlappingTombstones::Row) => Some(false),
                (_, OverlappingTombstones::Cell) => Some(true),
            };
            let others =
                || view.sstables.iter().filter(|other| !choice.inputs.contains(&other.id())).cloned();
            let shadow = cells.map(|cells| Shadow::new(others().collect(), cells));
            let job = self.merge_job(&store, &inputs, &choice)?.with_shadow(shadow);
            Some(if let Extra::Keep(ranges) = extra { job.keeping(ranges) } else { job })
        } else {
            None
        };
        let listed = Listed::begin(&self.compactions, &settings.name, kind, inputs.len(), total_bytes);
        Ok(Some(Compaction { claim, listed, inputs, choice, job, written_bytes: 0 }))
    }

    pub(super) fn merge_job(
        &self,
        store: &Arc<TableStore>,
        inputs: &[Arc<Sstable>],
        choice: &Choice,
    ) -> Result<MergeJob> {
        let mut sources = Vec::with_capacity(inputs.len());
        for sstable in inputs {
            let mut source = Source::Sstable(SstableSource::new(Arc::clone(sstable), Access::Uncached));
            source.seek(&RangeBound::Unbounded)?;
            sources.push(source);
        }
        // Together: every output has those of all inputs, and would double them each time. Intervals of
        // another node's log say nothing here.
        let mut intervals = Vec::new();
        for sstable in inputs {
            let origin = sstable.origin()?;
            if origin.writer == self.host {
                intervals.extend(origin.log_intervals.iter().cloned());
            }
        }
        let intervals = union_of(intervals);
        let output = self.job_output(store, choice.split, intervals);
        let purge = self.purge_rule(store, inputs);
        Ok(MergeJob::new(self.env.clone(), MergedScan::new(sources), output, purge))
    }

    /// Goes on with a compaction. True once everything is written.
    ///
    /// # Errors
    /// A file could not be read or written, or someone wants the compaction to end: it is then to
    /// be abandoned.
    pub fn step_compaction(&self, compaction: &mut Compaction) -> Result<bool> {
        let running = &compaction.listed.running;
        if running.is_stopped() {
            return Err(StorageError::Stopped(running.kind));
        }
        let Some(job) = &mut compaction.job else { return Ok(true) };
        let done = job.step(self.settings.step_bytes)?;
        compaction.written_bytes = job.written_bytes();
        running.set_written(compaction.written_bytes);
        Ok(done)
    }

    /// Gives a compaction up; nothing is left of it.
    pub fn abandon_compaction(&self, compaction: Compaction) {
        if let Some(job) = compaction.job {
            self.discard_files(&compaction.claim.store, &job.abandon());
        }
    }

    /// Executes a compaction at the rate that all of them share.
    ///
    /// # Errors
    /// A file could not be read or written, or someone wanted it to end.
    pub fn run_compaction(&self, mut compaction: Compaction) -> Result<()> {
        loop {
            let before = compaction.written_bytes;
            match self.step_compaction(&mut compaction) {
                Ok(true) => return self.finish_compaction(compaction),
                Ok(false) => {
                    let written = compaction.written_bytes.saturating_sub(before);
                    self.slow_down(written, &compaction.listed.running);
                }
                Err(error) => {
                    self.abandon_compaction(compaction);
                    return Err(error);
                }
            }
        }
    }

    /// Waits as long as those must together that have written so many bytes.
    pub(super) fn slow_down(&self, written_bytes: u64, running: &Running) {
        let mut pause = self.throttle.pause_after(written_bytes, self.env.clock.mono());
        while !pause.is_zero() && !running.is_stopped() {
            self.env.tasks.pause_blocking_work(pause.min(LONGEST_PAUSE));
            pause = pause.saturating_sub(LONGEST_PAUSE);
        }
    }

    /// Publishes what a compaction has written: the manifest first, the view afterwards.
    ///
    /// # Errors
    /// A file or the manifest could not be written.
    pub fn finish_compaction(&self, compaction: Compaction) -> Result<()> {
        let Compaction { claim, listed: _listed, inputs, choice, job, .. } = compaction;
        let store = &claim.store;
        let outputs = job.map(MergeJob::into_outputs).unwrap_or_default();
        let table = store.settings.load().id;
        let opened = self.open_outputs(table, &outputs)?;
        let _publish = store.publish.lock();
        let view = store.view.load_full();
        let all_there =
            inputs.iter().all(|input| view.sstables.iter().any(|sstable| sstable.id() == input.id()));
        let mutants = &self.env.mutants;
        if (!all_there && !mutants.has("compaction-publishes-after-truncate")) || store.is_dropped() {
            // The table was truncated or dropped meanwhile.
            self.discard_files(store, &outputs);
            return Ok(());
        }
        let is_lift = choice.purpose == Purpose::Lift;
        let mut pending = RepairStates::new();
        let mut edit = Edit::new(table);
        if is_lift {
            edit.levels = inputs.iter().map(|input| (input.id(), choice.level)).collect();
        } else {
            edit.levels =
                outputs.iter().map(|id| (*id, choice.level)).filter(|(_, level)| *level > 0).collect();
            let states = inputs.iter().map(|input| view.repair_of(input.id()));
            let state = states.reduce(RepairState::merged).unwrap_or_default();
            (edit.repaired, pending) = states_of(&outputs, state);
            edit.added = outputs;
            edit.describe(&opened);
            edit.removed = inputs.iter().map(|sstable| sstable.id()).collect();
        }
        if mutants.has("compaction-removes-inputs-early") {
            self.discard_files(store, &edit.removed);
        }
        if mutants.has("manifest-keeps-compacted-files") {
            self.publish(store, &Edit { removed: Vec::new(), ..edit.clone() })?;
        } else {
            self.publish(store, &edit)?;
        }
        let written: u64 = opened.iter().map(|sstable| sstable.file_bytes()).sum();
        self.compactions.compacted_bytes.fetch_add(written, Relaxed);
        if mutants.has("view-loses-inputs-first") {
            store.update(|view| view.apply(&Edit { added: Vec::new(), ..edit.clone() }, Vec::new()));
        }
        store.update(|view| {
            view.apply(&edit, opened);
            view.set_repairs(pending);
        });
        if !is_lift {
            self.obsolete.lock().extend(inputs.iter().cloned());
        }
        self.compactions.completed.fetch_add(1, Relaxed);
        self.work.notify_one();
        Ok(())
    }

    /// What a compaction of `inputs` may purge: see [`crate::purge`].
    fn purge_rule(&self, store: &Arc<TableStore>, inputs: &[Arc<Sstable>]) -> PurgeRule {
        let deleted_before_seconds = self.gc_before_seconds(store);
        let inputs: Vec<SstableId> = inputs.iter().map(|sstable| sstable.id()).collect();
        if store.settings.load().compaction.only_purge_repaired {
            let view = store.view.load();
            if inputs.iter().any(|id| view.repair_of(*id).set() != Set::Repaired) {
                return PurgeRule::nothing();
            }
        }
        let store = Arc::clone(store);
        let mutants = &self.env.mutants;
        let ignore_others = mutants.has("purge-ignores-other-tables");
        let ignore_memtables = mutants.has("purge-ignores-memtables");
        // Late timestamps come with young files: their age says nothing.
        let ignore_younger = mutants.has("purge-looks-at-older-tables-only");
        let newest = inputs.iter().max().copied();
        PurgeRule::new(deleted_before_seconds, move |key| {
            // Both are looked at anew for each partition: writes and flushes go on meanwhile.
            if store.arriving.is_any() {
                return i64::MIN;
            }
            let view = store.view.load();
            let in_files = view
                .sstables
                .iter()
                .filter(|sstable| !inputs.contains(&sstable.id()))
                // One that cannot be opened may hold anything.
                .filter(|sstable| sstable.may_contain(key.token, Access::Disk).unwrap_or(true))
                .filter(|sstable| !ignore_younger || Some(sstable.id()) < newest)
                .map(|sstable| sstable.summary().min_timestamp);
            let in_memory = view
                .memtables()
                .filter(|memtable| !ignore_memtables && memtable.get(key).is_some())
                .map(|memtable| memtable.min_timestamp());
            let oldest = in_files.chain(in_memory).min().unwrap_or(i64::MAX);
            if ignore_others { i64::MAX } else { oldest }
        })
    }

    /// Begins a compaction that someone asked for. None if a file is gone.
    ///
    /// # Errors
    /// No space, or a file could not be read.
    pub(super) fn begin_claimed(
        &self,
        (claimed, choice): (ClaimedChoice, Choice),
        extra: Extra,
    ) -> Result<Option<Compaction>> {
        self.begin_compaction(claimed.0, choice, extra)
    }
}

/// Files claimed for a compaction that is about to begin.
pub(super) struct ClaimedChoice(Claim);
