//! What a replica does of an incremental repair, besides hashing: it sets aside what is not repaired, fetches what others
//! have set aside, and has all of it count as repaired in the end.

use super::message::{Range, of_message};
use super::sessions::SessionState;
use super::worker::{Repairs, State};
use crate::error::ClusterError;
use crate::on_engine::on_engine;
use crate::streaming::Progress;
use dodona_storage::{Engine, RepairState};
use dodona_types::TableId;
use dodona_types::token::TokenRange;
use std::time::Duration;
use uuid::Uuid;

/// How often, and with which pauses, it is tried to set files aside that compactions work on.
const ASIDE_TRIES: usize = 300;
const ASIDE_PAUSE: Duration = Duration::from_millis(200);

impl Repairs {
    /// Fetches what others have set aside for a repair, to be a part of it here.
    pub(super) async fn fetch_aside(
        &self,
        id: Uuid,
        table: TableId,
        from: &[(Uuid, Vec<Range>)],
        repair: Uuid,
    ) -> Result<State, ClusterError> {
        let progress = Progress::default();
        let puller = self.puller(&progress);
        let arrivals = puller.begin_arrivals(table, RepairState::Pending(repair))?;
        let table = self.table(table)?;
        let pull = async {
            for (member, range) in self.places(from)? {
                self.check_wanted(id)?;
                puller.pull_aside(member.internode, &table, &range, repair, &arrivals).await?;
            }
            Ok(())
        };
        let pulled: Result<(), ClusterError> = pull.await;
        puller.end_arrivals(vec![arrivals], pulled).await?;
        Ok(State::fetched(&progress))
    }

    /// Sets aside for a repair what is not repaired of ranges; nothing of it if that does not work.
    pub(super) async fn set_aside(
        &self,
        repair: Uuid,
        table: TableId,
        ranges: &[Range],
    ) -> Result<State, ClusterError> {
        let done = self.try_to_set_aside(repair, table, ranges).await;
        if done.is_err() {
            self.note(repair, SessionState::Failed);
            self.engine.end_repair(table, repair, None)?;
        }
        done
    }

    async fn try_to_set_aside(
        &self,
        repair: Uuid,
        table: TableId,
        ranges: &[Range],
    ) -> Result<State, ClusterError> {
        let mut ranges: Vec<TokenRange> = ranges.iter().map(|range| of_message(*range)).collect();
        // In the order of the ring, the one that wraps first.
        ranges.sort_unstable_by_key(|range| range.end);
        for _ in 0..ASIDE_TRIES {
            self.check_wanted(repair)?;
            let asked = ranges.clone();
            let begin = move |engine: &Engine| engine.begin_repair(table, repair, &asked);
            if on_engine(&self.env.tasks, &self.engine, begin).await? {
                self.note(repair, SessionState::Prepared);
                return Ok(State::Aside(table));
            }
            dodona_env::clock::sleep(ASIDE_PAUSE).await;
        }
        Err(ClusterError::Invalid("compactions of the table do not end: try again later".into()))
    }

    /// Has count as repaired what was set aside for a repair. Whoever has joined since may have fetched what was here before
    /// the repair brought the rest.
    pub(super) async fn end(
        &self,
        table: TableId,
        repair: Uuid,
        began_at: i64,
        members: u64,
    ) -> Result<State, ClusterError> {
        if members != 0 && !self.is_still(members) {
            return Err(members_changed());
        }
        let end = move |engine: &Engine| engine.end_repair(table, repair, Some(began_at));
        on_engine(&self.env.tasks, &self.engine, end).await?;
        self.note(repair, SessionState::Finalized);
        Ok(State::Ended)
    }

    /// True if members are still those of this version.
    pub(super) fn is_still(&self, members: u64) -> bool {
        self.placement.load().version == members || self.env.mutants.has("repair-ends-whoever-joins")
    }
}

/// What a repair has compared is not all that there is now.
pub(super) fn members_changed() -> ClusterError {
    ClusterError::Invalid("members have changed since the repair began: repair again".into())
}
