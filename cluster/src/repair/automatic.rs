//! Repairs that nobody has asked for: each node sees to the ranges of which it is the first replica.

use super::options::Options;
use super::ranges::groups;
use super::schedule::{Standing, next};
use super::worker::Repairs;
use crate::error::ClusterError;
use crate::placement::Placement;
use dodona_types::TableId;
use dodona_types::token::TokenRange;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked what is due.
const PERIOD: Duration = Duration::from_secs(60);
/// How long a table whose repair failed waits for another one.
const BACK_OFF: Duration = Duration::from_secs(600);

impl Repairs {
    /// Repairs what is due, one table after another, for as long as the node runs: all of it, or only what is not repaired
    /// yet.
    pub(crate) async fn repair_when_due(self: Arc<Self>, incremental: bool) {
        let mut failed: BTreeMap<TableId, Duration> = BTreeMap::new();
        loop {
            dodona_env::clock::sleep(PERIOD).await;
            let now = self.env.clock.mono();
            failed.retain(|_, at| now.saturating_sub(*at) < BACK_OFF);
            match self.repair_next(&failed, incremental).await {
                Ok(()) => {}
                Err((Some(table), error)) => {
                    tracing::info!(%error, "a scheduled repair did not work; it is made again");
                    failed.insert(table, self.env.clock.mono());
                }
                Err((None, error)) => tracing::warn!(%error, "nothing is repaired"),
            }
        }
    }

    /// Repairs the table that is most overdue, if one is.
    async fn repair_next(
        self: &Arc<Self>,
        failed: &BTreeMap<TableId, Duration>,
        incremental: bool,
    ) -> Result<(), (Option<TableId>, ClusterError)> {
        let now = self.env.clock.wall_seconds();
        let mut standings = self.standings().await.map_err(|error| (None, error))?;
        standings.retain(|standing| !failed.contains_key(&standing.table));
        let Some(due) = next(now, &standings) else { return Ok(()) };
        let outcome = self.repair(due.table, &Options { incremental, ..Options::primary() }).await.map_err(
            |error| {
                if due.is_late(now) {
                    tracing::warn!(
                        table = %due.table, since = due.repaired_at, %error,
                        "not repaired within gc_grace_seconds: what was deleted may come back"
                    );
                }
                (Some(due.table), error)
            },
        )?;
        if outcome.differing > 0 {
            tracing::info!(table = %due.table, ?outcome, "replicas differed, and were repaired");
        }
        Ok(())
    }

    /// How the tables stand of which this node is the first replica of a range. A range that is new here
    /// counts as repaired when it is first looked at.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn standings(self: &Arc<Self>) -> Result<Vec<Standing>, ClusterError> {
        let placement = self.placement.load_full();
        let now = self.env.clock.wall_seconds();
        let mut standings = Vec::new();
        for table in placement.schema.tables() {
            let ranges = primary_ranges(&placement, table.id)?;
            if ranges.is_empty() {
                continue;
            }
            let repaired_at = match self.history.oldest(table.id, &ranges) {
                Some(at) => at,
                None => {
                    let new = |range: &&TokenRange| self.history.oldest(table.id, &[**range]).is_none();
                    let new: Vec<TokenRange> = ranges.iter().filter(new).copied().collect();
                    self.record(table.id, &new, now).await?;
                    self.history.oldest(table.id, &ranges).unwrap_or(now)
                }
            };
            let gc_grace_seconds = table.params.gc_grace_seconds;
            standings.push(Standing { table: table.id, gc_grace_seconds, repaired_at });
        }
        Ok(standings)
    }
}

/// The ranges that other nodes hold as well, and of which this one is the first replica.
fn primary_ranges(placement: &Placement, table: TableId) -> Result<Vec<TokenRange>, ClusterError> {
    let groups = groups(placement, table, &Options::primary())?.into_iter();
    Ok(groups.filter(|(replicas, _)| replicas.len() > 1).flat_map(|(_, ranges)| ranges).collect())
}
