//! What operators ask of tables: compactions of everything, garbage collection, switches.

use super::Engine;
use super::compact::{Extra, candidates};
use crate::compaction::{Candidate, Choice};
use crate::error::Result;
use crate::repair_state::Set;
use crate::table::{Pause, TableStore};
use dodona_types::TableId;
use dodona_types::token::TokenRange;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long an operation waits for compactions that it asked to end, in turns.
const TURNS: usize = 600;
const TURN: Duration = Duration::from_millis(100);
/// Work in the background pauses no longer at a time.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Engine {
    /// Ends the table's compactions, and waits until it has none. Waiting is left out where work
    /// is done in the caller's turn.
    pub(super) fn stop_compactions_of(&self, store: &TableStore) {
        let name = store.settings.load().name.clone();
        for _ in 0..TURNS {
            if self.compactions.stop(|running| running.table == name) == 0 {
                return;
            }
            if !self.env.tasks.can_wait() {
                return;
            }
            self.env.tasks.pause_blocking_work(TURN);
        }
    }

    /// The files that are free, as strategies know them.
    pub(super) fn free_files(&self, store: &TableStore) -> Vec<Candidate> {
        let compacting = store.compacting.lock();
        let view = store.view.load();
        candidates(&view, &compacting, i64::MIN).into_iter().filter(|file| !file.busy).collect()
    }

    /// Merges all files of a table, or those that hold something of a range, as its strategy does.
    /// Compactions of the table that are under way end without effect.
    ///
    /// # Errors
    /// A file could not be read or written, there is no space, or someone stopped it.
    pub fn compact_all(&self, table: TableId, range: Option<TokenRange>) -> Result<()> {
        let store = self.store(table)?;
        let _pause = Pause::new(&store);
        self.stop_compactions_of(&store);
        let files = self.free_files(&store);
        let wanted: Vec<&Candidate> =
            files.iter().filter(|file| range.is_none_or(|range| may_meet(&range, file))).collect();
        let mut sets: BTreeMap<Set, Vec<&Candidate>> = BTreeMap::new();
        wanted.into_iter().for_each(|file| sets.entry(file.set).or_default().push(file));
        let compaction = store.settings.load().compaction.clone();
        for choice in sets.values().flat_map(|files| compaction.choose_all(files)) {
            if let Some(claimed) = self.claim(&store, choice)
                && let Some(compaction) = self.begin_claimed(claimed, Extra::Nothing)?
            {
                self.run_compaction(compaction)?;
            }
        }
        Ok(())
    }

    /// Rewrites each file of a table without what deletions in others cover; with `cells` also
    /// without cells that others have written over.
    ///
    /// # Errors
    /// As [`Self::compact_all`].
    pub fn collect_garbage(&self, table: TableId, cells: bool) -> Result<()> {
        let store = self.store(table)?;
        let _pause = Pause::new(&store);
        self.stop_compactions_of(&store);
        for file in self.free_files(&store) {
            let split = store.settings.load().compaction.split_of_one(&file);
            let choice = Choice { split, ..Choice::tombstones(&file) };
            if let Some(claimed) = self.claim(&store, choice)
                && let Some(compaction) = self.begin_claimed(claimed, Extra::Garbage { cells })?
            {
                self.run_compaction(compaction)?;
            }
        }
        Ok(())
    }

    /// Compacts a table without being asked to, or not, until the next start; `None` to do as its
    /// settings say.
    ///
    /// # Errors
    /// The engine does not know the table.
    pub fn set_automatic_compaction(&self, table: TableId, automatic: Option<bool>) -> Result<()> {
        *self.store(table)?.automatic_compaction.lock() = automatic;
        self.files_changed.notify_one();
        Ok(())
    }

    /// True if the table is compacted without being asked to.
    ///
    /// # Errors
    /// The engine does not know the table.
    pub fn has_automatic_compaction(&self, table: TableId) -> Result<bool> {
        Ok(self.store(table)?.compacts_on_its_own())
    }

    /// How long work in the background must pause that has read so many bytes: it shares the rate of
    /// compactions.
    #[must_use]
    pub fn pace(&self, bytes: u64) -> Duration {
        self.throttle.pause_after(bytes, self.env.clock.mono()).min(LONGEST_PAUSE)
    }

    /// Bytes a second that compactions may write together; 0 for no limit.
    #[must_use]
    pub fn compaction_rate(&self) -> u64 {
        self.throttle.rate()
    }

    /// Changes [`Self::compaction_rate`] until the next start.
    pub fn set_compaction_rate(&self, bytes_per_second: u64) {
        self.throttle.set_rate(bytes_per_second);
    }

    /// Ends compactions of a kind, as [`crate::compaction::progress::Running::kind`] names it; all
    /// of them for `None`. Returns how many.
    pub fn stop_compactions(&self, kind: Option<&str>) -> usize {
        self.compactions.stop(|running| kind.is_none_or(|kind| running.kind == kind))
    }
}

/// False if the file holds nothing of the range.
fn may_meet(range: &TokenRange, file: &Candidate) -> bool {
    let (first, last) = file.tokens;
    range.contains(first) || range.contains(last) || (first < range.end && range.end < last)
}
