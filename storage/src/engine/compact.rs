//! Executes what compaction strategies choose.

use super::Engine;
use super::flush::STEP_BYTES;
use crate::compaction::job::{MergeJob, PurgeRule};
use crate::compaction::progress::CompactionProgress;
use crate::compaction::{Candidate, Choice};
use crate::error::{IoContext, Result, StorageError};
use crate::manifest::Edit;
use crate::purge::Purge;
use crate::scan::MergedScan;
use crate::source::Source;
use crate::sstable::cursor::SstableSource;
use crate::sstable::reader::Access;
use crate::sstable::{Sstable, SstableId};
use crate::table::TableStore;
use dodona_types::TableId;
use dodona_types::read_command::RangeBound;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// What a call of [`Engine::maintain`] found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintained {
    /// Nothing.
    Idle,
    /// Something was done; there may be more.
    Worked,
}

impl Engine {
    /// Waits until there may be something to do.
    pub async fn wait_for_work(&self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, self.work.notified()).await;
    }

    /// Does one piece of work, if there is any: a flush that is due, else a compaction.
    ///
    /// # Errors
    /// A file could not be read or written.
    pub fn maintain(&self) -> Result<Maintained> {
        self.remove_obsolete()?;
        if let Some(table) = self.flush_due() {
            self.flush(table)?;
            return Ok(Maintained::Worked);
        }
        for store in self.tables.load().values() {
            if let Some(inputs) = self.choose_compaction(store) {
                self.compact(store, inputs.0, inputs.1)?;
                return Ok(Maintained::Worked);
            }
        }
        Ok(Maintained::Idle)
    }

    /// Removes files that are out of use and that no read holds.
    fn remove_obsolete(&self) -> Result<()> {
        let free: Vec<Arc<Sstable>> = {
            let mut obsolete = self.obsolete.lock();
            obsolete.extract_if(.., |sstable| Arc::strong_count(sstable) == 1).collect()
        };
        for sstable in free {
            match self.env.disk.remove(sstable.path()) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).during("removing", sstable.path());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn choose_compaction(&self, store: &TableStore) -> Option<(Vec<Arc<Sstable>>, u64)> {
        let view = store.view.load();
        let mut compacting = store.compacting.lock();
        let free: Vec<&Arc<Sstable>> =
            view.sstables.iter().filter(|sstable| !compacting.contains(&sstable.id())).collect();
        let candidates: Vec<Candidate> = free
            .iter()
            .map(|sstable| Candidate {
                id: sstable.id(),
                bytes: sstable.file_bytes(),
                tokens: sstable.statistics().tokens(),
                max_deletion_seconds: sstable.statistics().max_deletion_seconds,
            })
            .collect();
        match store.settings.load().compaction.choose(&candidates) {
            Choice::Nothing => None,
            Choice::Merge { inputs, target_bytes } => {
                let inputs: Vec<Arc<Sstable>> =
                    free.into_iter().filter(|sstable| inputs.contains(&sstable.id())).cloned().collect();
                compacting.extend(inputs.iter().map(|sstable| sstable.id()));
                Some((inputs, target_bytes))
            }
        }
    }

    /// Merges all files of a table.
    ///
    /// # Errors
    /// A file could not be read or written.
    pub fn compact_all(&self, table: TableId) -> Result<()> {
        let store = self.store(table)?;
        let inputs: Vec<Arc<Sstable>> = {
            let view = store.view.load();
            let mut compacting = store.compacting.lock();
            let free: Vec<_> =
                view.sstables.iter().filter(|sstable| !compacting.contains(&sstable.id())).cloned().collect();
            compacting.extend(free.iter().map(|sstable| sstable.id()));
            free
        };
        self.compact(&store, inputs, u64::MAX)
    }

    fn compact(&self, store: &Arc<TableStore>, inputs: Vec<Arc<Sstable>>, target_bytes: u64) -> Result<()> {
        let ids: Vec<SstableId> = inputs.iter().map(|sstable| sstable.id()).collect();
        let result = if inputs.is_empty() { Ok(()) } else { self.merge_files(store, &inputs, target_bytes) };
        store.compacting.lock().retain(|id| !ids.contains(id));
        result
    }

    fn merge_files(&self, store: &Arc<TableStore>, inputs: &[Arc<Sstable>], target_bytes: u64) -> Result<()> {
        let total_bytes: u64 = inputs.iter().map(|sstable| sstable.file_bytes()).sum();
        let available =
            self.env.disk.available_bytes().during("asking for the space left on", "the data disk")?;
        if available < total_bytes + (64 << 20) {
            tracing::warn!(
                table = store.settings.load().name,
                total_bytes,
                available,
                "no space for a compaction"
            );
            return Err(StorageError::NoSpace);
        }
        let mut sources = Vec::with_capacity(inputs.len());
        for sstable in inputs {
            let mut source = Source::Sstable(SstableSource::new(Arc::clone(sstable), Access::Uncached));
            source.seek(&RangeBound::Unbounded)?;
            sources.push(source);
        }
        let mut intervals: Vec<_> =
            inputs.iter().flat_map(|sstable| sstable.statistics().log_intervals.clone()).collect();
        intervals.sort_by_key(|range| range.start);
        let output = self.job_output(store, target_bytes, intervals);
        let purge = self.purge_rule(store, inputs);
        let mut job = MergeJob::new(self.env.clone(), MergedScan::new(sources), output, purge);
        let progress = CompactionProgress {
            table: store.settings.load().name.clone(),
            inputs: inputs.len(),
            total_bytes,
            written_bytes: 0,
        };
        self.compactions.running.lock().push(progress.clone());
        let outputs = self.run_compaction(&mut job, &progress);
        self.compactions.running.lock().retain(|other| other.table != progress.table);
        match outputs {
            Ok(()) => self.publish_compaction(store, inputs, job.into_outputs()),
            Err(error) => {
                self.discard_files(store, &job.abandon());
                Err(error)
            }
        }
    }

    fn run_compaction(&self, job: &mut MergeJob, progress: &CompactionProgress) -> Result<()> {
        let rate = self.settings.compaction_bytes_per_second;
        let started = self.env.clock.mono();
        while !job.step(STEP_BYTES)? {
            if rate > 0 {
                // What is written so far should have taken this long.
                let due = Duration::from_secs_f64(job.written_bytes() as f64 / rate as f64);
                let spent = self.env.clock.mono().saturating_sub(started);
                self.env.tasks.pause_blocking_work(due.saturating_sub(spent).min(Duration::from_secs(1)));
            }
            let mut running = self.compactions.running.lock();
            if let Some(running) = running.iter_mut().find(|running| running.table == progress.table) {
                running.written_bytes = job.written_bytes();
            }
        }
        Ok(())
    }

    fn publish_compaction(
        &self,
        store: &TableStore,
        inputs: &[Arc<Sstable>],
        outputs: Vec<SstableId>,
    ) -> Result<()> {
        let table = store.settings.load().id;
        let opened = self.open_outputs(table, &outputs)?;
        let _publish = store.publish.lock();
        let view = store.view.load_full();
        if !inputs.iter().all(|input| view.sstables.iter().any(|sstable| sstable.id() == input.id())) {
            // The table was truncated meanwhile.
            self.discard_files(store, &outputs);
            return Ok(());
        }
        let mut edit = Edit::new(table);
        edit.added = outputs;
        edit.removed = inputs.iter().map(|sstable| sstable.id()).collect();
        self.publish(store, &edit)?;
        store.update(|view| {
            view.sstables.retain(|sstable| !edit.removed.contains(&sstable.id()));
            view.sstables.extend(opened);
            view.sort_sstables();
        });
        self.obsolete.lock().extend(inputs.iter().cloned());
        self.compactions.completed.fetch_add(1, Relaxed);
        self.work.notify_one();
        Ok(())
    }

    /// What a compaction of `inputs` may purge: see [`crate::purge`].
    fn purge_rule(&self, store: &Arc<TableStore>, inputs: &[Arc<Sstable>]) -> PurgeRule {
        let gc_grace = i64::from(store.settings.load().gc_grace_seconds);
        let deleted_before_seconds = self.env.clock.wall_seconds().saturating_sub(gc_grace);
        let inputs: Vec<SstableId> = inputs.iter().map(|sstable| sstable.id()).collect();
        let store = Arc::clone(store);
        let ignore_others = self.env.mutants.has("purge-ignores-other-tables");
        Box::new(move |key| {
            // The view is looked at anew for each partition: writes and flushes go on meanwhile.
            let view = store.view.load();
            let in_files = view
                .sstables
                .iter()
                .filter(|sstable| !inputs.contains(&sstable.id()) && sstable.may_contain(key.token))
                .map(|sstable| sstable.statistics().min_timestamp);
            let in_memory = view
                .memtables()
                .filter(|memtable| memtable.get(key).is_some())
                .map(|memtable| memtable.min_timestamp());
            let oldest = in_files.chain(in_memory).min().unwrap_or(i64::MAX);
            let older_than_micros = if ignore_others { i64::MAX } else { oldest };
            Purge { deleted_before_seconds, older_than_micros }
        })
    }
}
