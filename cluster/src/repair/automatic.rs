//! Repairs that nobody has asked for: each node sees to the ranges of which it is the first replica.
//!
//! What is most overdue is repaired, then what is so next, without a pause while something is due: the rate of hashing and
//! fetching is bounded elsewhere. Ranges with a replica that is down, or that failed a moment ago, hold up nothing else.

use super::history::Replicated;
use super::options::Options;
use super::ranges::{Groups, groups};
use super::schedule::{Due, Standing, interval_seconds, next, next_at};
use super::worker::Repairs;
use crate::error::ClusterError;
use crate::paxos::ballot::Ballot;
use crate::placement::Placement;
use dodona_types::TableId;
use dodona_types::schema::{Schema, Table};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How often it is looked at the least what is due: who is down may be up again.
const PERIOD: Duration = Duration::from_secs(60);
/// How often at the most.
const SHORTEST: Duration = Duration::from_secs(1);
/// How long ranges whose repair failed wait for another one at the most.
const BACK_OFF: Duration = Duration::from_secs(600);
/// Such a part of the interval between two repairs they wait at the most.
const BACK_OFF_PART: u32 = 4;
/// Within so many seconds nodes begin with what they know no last repair of.
const SPREAD: u64 = 60;

impl Repairs {
    /// Repairs what is due for as long as the node runs: all of it, or only what is not repaired yet where nothing else can be
    /// missing.
    pub(crate) async fn repair_when_due(self: Arc<Self>, incremental: bool) {
        let spread = i64::try_from(self.env.random.below(SPREAD)).unwrap_or_default();
        let mut pause = PERIOD;
        loop {
            dodona_env::clock::sleep(pause).await;
            pause = match self.repair_next(spread, incremental).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(%error, "nothing is repaired");
                    PERIOD
                }
            };
        }
    }

    /// Tells which tables were not repaired within the time for which they keep tombstones, for as long as the node runs.
    pub(crate) async fn tell_of_late(self: Arc<Self>) {
        loop {
            dodona_env::clock::sleep(PERIOD).await;
            let Ok(standings) = self.standings() else { continue };
            let (now, mono) = (self.env.clock.wall_seconds(), self.env.clock.mono());
            for (table, reason) in self.late.look(now, mono, &standings) {
                tracing::warn!(
                    table = self.name(table),
                    reason = reason.as_deref().unwrap_or("its turn has not come yet"),
                    "ranges were not repaired within gc_grace_seconds: what was deleted may come back"
                );
            }
        }
    }

    /// Repairs what is most overdue, if anything is. Returns how long it has time until the next one.
    async fn repair_next(self: &Arc<Self>, spread: i64, incremental: bool) -> Result<Duration, ClusterError> {
        let now = self.env.clock.wall_seconds();
        let mut standings = self.standings()?;
        let mut unknown = BTreeMap::new();
        for standing in standings.iter_mut().filter(|standing| standing.repaired_at().is_none()) {
            unknown.insert(standing.table, *standing.unknown_since.get_or_insert(now));
        }
        self.note_unknown(unknown).await?;
        let Some(due) = next(now, spread, &standings) else {
            let seconds = next_at(spread, &standings).map(|at| at.saturating_sub(now));
            let left = seconds.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
            return Ok(left.map_or(PERIOD, |left| left.clamp(SHORTEST, PERIOD)));
        };
        self.repair_due(due, incremental).await;
        Ok(Duration::ZERO)
    }

    async fn repair_due(self: &Arc<Self>, due: Due, incremental: bool) {
        let table = due.table;
        // What is repaired already of a range may be missing with a replica that is new to it.
        let options = Options { incremental: incremental && due.is_known, ..Options::primary() };
        let replicas: Vec<Vec<Uuid>> = due.ranges.keys().cloned().collect();
        let left = match self.repair_these(table, &options, due.ranges).await {
            Ok(done) => {
                if done.outcome.differing > 0 {
                    let outcome = done.outcome;
                    tracing::info!(
                        table = self.name(table),
                        ?outcome,
                        "replicas differed, and were repaired"
                    );
                }
                done.left
            }
            Err(error) => replicas.into_iter().map(|replicas| (replicas, error.clone())).collect(),
        };
        let placement = self.placement.load();
        let grace = placement.schema.table_by_id(table).map_or(0, |table| table.params.gc_grace_seconds);
        let part = Duration::from_secs(interval_seconds(grace).unsigned_abs()) / BACK_OFF_PART;
        let until = self.env.clock.mono() + part.clamp(SHORTEST, BACK_OFF);
        for (replicas, error) in left {
            tracing::info!(table = self.name(table), %error, "a scheduled repair did not work; it is made again");
            self.failures.note(table, replicas, error.to_string(), until);
        }
    }

    fn name(&self, table: TableId) -> String {
        let placement = self.placement.load();
        let known = placement.schema.table_by_id(table);
        known.map_or_else(|| table.to_string(), |table| format!("{}.{}", table.keyspace, table.name))
    }

    /// Notes the tables that were created: replicas lack nothing of what was written before that.
    pub(crate) fn see_created(&self, before: &Schema, schema: &Schema) {
        let now = self.env.clock.wall_seconds();
        for table in schema.tables().filter(|table| before.table_by_id(table.id).is_none()) {
            let Some(keyspace) = schema.keyspace(&table.keyspace) else { continue };
            // This node may hear of it late.
            let is_timeuuid = table.id.0.get_version_num() == 1;
            let created_at = is_timeuuid.then(|| Ballot::from_timeuuid(table.id.0).micros / 1_000_000);
            let of = Replicated { table: table.id, replication: &keyspace.replication };
            self.history.begin(of, created_at.map_or(now, |at| at.min(now)));
        }
    }

    /// How the ranges stand of which this node is the first replica, those of a table with the same replicas together.
    ///
    /// # Errors
    /// The placement does not fit the schema.
    pub fn standings(&self) -> Result<Vec<Standing>, ClusterError> {
        let placement = self.placement.load_full();
        let mut of_keyspaces: BTreeMap<&str, Groups> = BTreeMap::new();
        let mut standings = Vec::new();
        for table in placement.schema.tables() {
            // Tables of a keyspace have the same replicas.
            let primary = match of_keyspaces.entry(&table.keyspace) {
                Entry::Occupied(present) => present.into_mut(),
                Entry::Vacant(place) => {
                    let mut primary = groups(&placement, table.id, &Options::primary())?;
                    primary.retain(|replicas, _| replicas.len() > 1);
                    place.insert(primary)
                }
            };
            standings.extend(self.standings_of(&placement, table, primary));
        }
        Ok(standings)
    }

    fn standings_of(&self, placement: &Placement, table: &Table, primary: &Groups) -> Vec<Standing> {
        let Some(keyspace) = placement.schema.keyspace(&table.keyspace) else { return Vec::new() };
        let of = Replicated { table: table.id, replication: &keyspace.replication };
        let changes = placement.ring.is_changing().then(|| "a member joins, moves or leaves".to_owned());
        let (unknown_since, mono) = (self.history.unknown_since(table.id), self.env.clock.mono());
        let standing = |(replicas, ranges): (&Vec<usize>, &Vec<_>)| {
            let members = replicas.iter().map(|index| &placement.ring.members()[*index]);
            let mut dead = members.clone().filter(|member| !self.liveness.is_alive(member.host));
            let dead = dead.next().map(|member| format!("the replica {} does not answer", member.internode));
            let replicas: Vec<Uuid> = members.map(|member| member.host).collect();
            let failed = || self.failures.reason(table.id, &replicas, mono);
            let held_up = dead.or_else(|| changes.clone()).or_else(failed);
            Standing {
                table: table.id,
                gc_grace_seconds: table.params.gc_grace_seconds,
                replicas,
                ranges: ranges.iter().map(|range| (*range, self.history.oldest(of, range))).collect(),
                unknown_since,
                held_up,
            }
        };
        primary.iter().map(standing).collect()
    }
}
