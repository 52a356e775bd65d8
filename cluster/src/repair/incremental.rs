//! Repairs of what is not repaired yet: each replica sets that aside, only that is compared and fetched, and all of it
//! counts as repaired in the end.
//!
//! A replica that does not hear of the end, or is started anew, has it unrepaired: the next repair compares it again.

use super::message::{Request, Work, to_message};
use super::session::{Group, Job, Options, Outcome};
use super::worker::Repairs;
use crate::error::ClusterError;
use crate::placement::Placement;
use crate::ring::Member;
use dodona_storage::Part;
use dodona_types::TableId;
use futures_util::future::{join_all, try_join_all};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How often replicas hear that the repair goes on.
const REMINDER: Duration = Duration::from_secs(60);

impl Repairs {
    /// Repairs what is not repaired of these ranges. Only if all replicas take part does it count as repaired afterwards.
    pub(super) async fn repair_incrementally(
        self: &Arc<Self>,
        placement: &Placement,
        table: TableId,
        groups: &[Group<'_>],
        options: &Options,
        began_at: i64,
    ) -> Result<Outcome, ClusterError> {
        let repair = self.env.random.uuid_v4();
        let mut ranges: BTreeMap<Uuid, (&Member, Vec<_>)> = BTreeMap::new();
        for group in groups {
            for member in &group.members {
                let (_, held) = ranges.entry(member.host).or_insert((member, Vec::new()));
                held.extend(group.ranges.iter().map(to_message));
            }
        }
        let jobs: Vec<_> = ranges
            .into_values()
            .map(|(member, ranges)| (Job { id: repair, ..Job::new(self, member) }, ranges))
            .collect();
        let set_aside = |(job, ranges): &(Job, Vec<_>)| {
            job.clone().run(Work::SetAside { table: table.0, ranges: ranges.clone() })
        };
        let repaired = async {
            try_join_all(jobs.iter().map(set_aside)).await?;
            self.repair_groups(placement, table, groups, options, Part::Aside(repair)).await
        };
        let remind = async {
            loop {
                dodona_env::clock::sleep(REMINDER).await;
                join_all(jobs.iter().map(|(job, _)| job.ask(Request::Ask(repair)))).await;
            }
        };
        let repaired = tokio::select! {
            biased;
            repaired = repaired => repaired,
            never = remind => never,
        };
        let is_done = repaired.is_ok() || self.env.mutants.has("incremental-ends-all-the-same");
        if is_done && options.is_complete() {
            join_all(jobs.iter().map(|(job, _)| self.end(job, table, began_at))).await;
        }
        join_all(jobs.iter().map(|(job, _)| job.forget())).await;
        repaired
    }

    /// Has what a replica has set aside count as repaired. If that fails, it is repaired again another time.
    async fn end(self: &Arc<Self>, job: &Job, table: TableId, began_at: i64) {
        let end = Job::new(self, &job.member);
        let ended = end.clone().run(Work::End { table: table.0, repair: job.id, began_at }).await;
        if let Err(error) = ended {
            tracing::warn!(
                member = %job.member.internode, %error,
                "what a repair has compared does not count as repaired there"
            );
        }
        end.forget().await;
    }
}
