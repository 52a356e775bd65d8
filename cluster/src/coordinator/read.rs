//! Reads: data of one replica and digests of as many others as the level asks for. Where these
//! differ, data of all of them, merged; the client is answered once each has what it lacked
//! (blocking read repair).

use super::Coordinator;
use super::asking::{Asking, Got, Want};
use super::plan::Plan;
use super::tables::TableReads;
use super::tracing_notes::note_read;
use crate::error::ClusterError;
use crate::on_engine::read_from_engine;
use crate::trace::note;
use dodona_storage::reconcile::{Answer, Assembly, DigestRules, MergedAnswers};
use dodona_storage::{Engine, Page, StorageError};
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::{Consistency, HiddenCells, RowVisitor};

/// What came of a try to read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRead {
    /// All rows were shown.
    Shown {
        /// Tombstones that were met.
        tombstones: u64,
    },
    /// It takes other nodes or the disk: forget what was shown, and use [`Coordinator::read_page`].
    NotHere,
}

/// The least that replicas are asked for when a page is nearly full, in bytes.
const LEAST_BYTES: usize = 4 << 10;

impl Coordinator {
    /// Executes a read at once and shows its rows where they lie, if this node holds them all and
    /// the level asks for no other.
    ///
    /// # Errors
    /// Too few replicas exist for the level; a file is damaged that no other node has.
    pub fn try_read(
        &self,
        command: &ReadCommand,
        consistency: Consistency,
        visitor: &mut dyn RowVisitor,
    ) -> Result<TryRead, ClusterError> {
        let placement = self.placement.load();
        if !placement.only_here(command.table, consistency)? {
            let (PartitionSelection::Key(key), Consistency::One | Consistency::LocalOne) =
                (&command.partitions, consistency)
            else {
                return Ok(TryRead::NotHere);
            };
            let is_here = placement.replicas(command.table, key.token())?.contains(&placement.local);
            if !is_here {
                return Ok(TryRead::NotHere);
            }
            // If this one cannot, others may.
            return Ok(match self.engine.try_read(command, visitor) {
                Ok(read) => TryRead::Shown { tombstones: read.tombstones },
                Err(_) => TryRead::NotHere,
            });
        }
        match self.engine.try_read(command, visitor) {
            Ok(read) => Ok(TryRead::Shown { tombstones: read.tombstones }),
            Err(StorageError::NeedsDisk) => Ok(TryRead::NotHere),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a page of at most about `max_bytes`.
    ///
    /// # Errors
    /// Too few replicas are alive, answer in time, or can read.
    pub async fn read_page(
        &self,
        command: ReadCommand,
        consistency: Consistency,
        max_bytes: usize,
    ) -> Result<Page, ClusterError> {
        loop {
            match self.try_read_page(command.clone(), consistency, max_bytes).await {
                Err(ClusterError::Stale(version)) => self.follow_members(version).await?,
                read => return read,
            }
        }
    }

    async fn try_read_page(
        &self,
        command: ReadCommand,
        consistency: Consistency,
        max_bytes: usize,
    ) -> Result<Page, ClusterError> {
        let placement = self.placement.load_full();
        let PartitionSelection::Key(key) = &command.partitions else {
            return Box::pin(self.read_range(&placement, command, consistency, max_bytes)).await;
        };
        let planner = self.planner(&placement);
        let mut plan = planner.read(command.table, key.token(), consistency, &self.latencies)?;
        note_read(&plan, &command);
        let table = self.tables.get(&placement.schema, command.table)?;
        if plan.block_for == 1 && plan.replicas.first().is_some_and(|target| target.local) {
            let read = self.read_here_in_time(&plan, &table, &command, max_bytes).await;
            let met = matches!(read, Err(ClusterError::Storage(StorageError::TooManyTombstones { .. })));
            if read.is_ok() || met || plan.only_local() {
                return read;
            }
            // Whoever failed or was slow just now comes last.
            plan.replicas.rotate_left(1);
        }
        let mut assembly = Assembly::new(command.limits, command.now_seconds, max_bytes);
        assembly.begin(command);
        self.fill(&mut assembly, &plan, &table, Want::Digest).await?;
        Ok(assembly.finish())
    }

    /// Reads what this node holds, as long as others would be waited for: its disk may be the slow one.
    async fn read_here_in_time(
        &self,
        plan: &Plan,
        table: &TableReads,
        command: &ReadCommand,
        max_bytes: usize,
    ) -> Result<Page, ClusterError> {
        let (begun, timeout) = (self.env.clock.mono(), self.timeouts.read);
        let patience = match table.policy.patience(|part| table.times.percentile(part), timeout / 2) {
            Some(patience) if !plan.only_local() => patience.min(timeout),
            _ => timeout,
        };
        let read = tokio::time::timeout(patience, self.read_here(command.clone(), max_bytes)).await;
        let Ok(read) = read else {
            note(|| "Too slow here");
            let Plan { consistency, block_for, .. } = *plan;
            return Err(ClusterError::ReadTimeout {
                consistency,
                received: 0,
                block_for,
                data_present: false,
            });
        };
        table.times.note(self.env.clock.mono().saturating_sub(begun));
        read
    }

    /// Reads what this node holds.
    pub(super) async fn read_here(
        &self,
        command: ReadCommand,
        max_bytes: usize,
    ) -> Result<Page, ClusterError> {
        self.replica.note_sources(&command);
        let read = move |engine: &Engine| engine.read_page_counted(&command, max_bytes);
        let (page, files_read) = read_from_engine(&self.env.tasks, &self.engine, read).await?;
        note(|| {
            let files =
                files_read.map_or_else(String::new, |files| format!(", {files} SSTables looked into"));
            format!("Merged what this node holds: {} tombstones met{files}", page.tombstones)
        });
        Ok(page)
    }

    /// Asks until the present command of a page is done, or the page is full.
    pub(super) async fn fill(
        &self,
        assembly: &mut Assembly,
        plan: &Plan,
        table: &TableReads,
        others: Want,
    ) -> Result<(), ClusterError> {
        while let Some(command) = assembly.next_command() {
            let max_bytes = assembly.bytes_left().max(LEAST_BYTES);
            let answers = self.read_round(plan, table, &command, max_bytes, others).await?;
            assembly.take(&command, &answers)?;
        }
        Ok(())
    }

    /// What the replicas that the level asks for hold, as far as all of them have answered. They
    /// agree on it afterwards.
    pub(super) async fn read_round(
        &self,
        plan: &Plan,
        table: &TableReads,
        command: &ReadCommand,
        max_bytes: usize,
        others: Want,
    ) -> Result<MergedAnswers, ClusterError> {
        let clock = &self.env.clock;
        let begun = clock.mono();
        let patience = table.policy.patience(|part| table.times.percentile(part), self.timeouts.read / 2);
        let mut asking = Asking::new(self, plan, command, max_bytes);
        asking.ask_first(plan.block_for as usize, others);
        asking.gather(others, patience).await?;
        // A scan takes longer than a read of a partition, which is none the slower for it.
        if matches!(command.partitions, PartitionSelection::Key(_)) {
            table.times.note(clock.mono().saturating_sub(begun));
        }
        let rules = DigestRules {
            ignores_deletions: self.env.mutants.has("digest-ignores-deletions"),
            ignores_values: self.env.mutants.has("digest-ignores-values"),
            ..DigestRules::new(command.now_seconds, table.gc_grace_seconds)
        };
        let one_is_enough = agree(&asking.got, rules, &command.hidden)?
            || self.env.mutants.has("read-first-answer-only")
            || (others == Want::Digest && self.env.mutants.has("read-stops-at-first-answer-of-mismatch"));
        if !one_is_enough {
            note(|| "Answers differ: asking for data of all");
            asking.ask_for_data();
            asking.gather(Want::Data, patience).await?;
        }
        let data = asking.got.iter().filter_map(|(place, got)| match got {
            Got::Data(bytes) => Some((*place, bytes)),
            Got::Digest(_) => None,
        });
        let mut answers = Vec::new();
        for (place, bytes) in data.take(if one_is_enough { 1 } else { usize::MAX }) {
            answers.push((place, Answer::parse(bytes).map_err(StorageError::from)?));
        }
        let only: Vec<Answer<'_>> = answers.iter().map(|(_, answer)| answer.clone()).collect();
        let mut merged = MergedAnswers::new(command, &only)?;
        if self.env.mutants.has("short-read-trusts-limit") {
            merged.stops = false;
            merged.parts.iter_mut().for_each(|part| part.covered = None);
        }
        if self.env.mutants.has("range-read-ends-with-its-answer") {
            merged.stops = false;
        }
        if !one_is_enough && table.repairs && !self.env.mutants.has("read-repair-skips") {
            note(|| "Bringing replicas what they lack");
            Box::pin(self.repair(plan, command, &merged, &answers)).await?;
        }
        Ok(merged)
    }
}

/// True if all answers say the same, as far as digests tell.
fn agree(got: &[(usize, Got)], rules: DigestRules, hidden: &HiddenCells) -> Result<bool, ClusterError> {
    if got.len() < 2 {
        return Ok(true);
    }
    let mut first: Option<Vec<u8>> = None;
    for (_, got) in got {
        let digest = match got {
            Got::Digest(digest) => digest.clone(),
            Got::Data(bytes) => {
                let answer = Answer::parse(bytes).map_err(StorageError::from)?;
                answer.digest(rules, hidden)?.finish().to_vec()
            }
        };
        if *first.get_or_insert_with(|| digest.clone()) != digest {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
