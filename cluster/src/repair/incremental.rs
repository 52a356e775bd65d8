//! Repairs of what is not repaired yet: each replica sets that aside, only that is compared and fetched, and all of it
//! counts as repaired in the end.
//!
//! A replica that does not hear of the end, or is started anew, has it unrepaired: the next repair compares it again. One
//! whose leader is down gives it up, and so does one that is told to ([`Repairs::cancel`]); the leader then fails.

use super::aside::members_changed;
use super::events::Led;
use super::job::{Job, reminding};
use super::message::{Request, Work, to_message};
use super::options::Outcome;
use super::ranges::{Group, invalid};
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

/// How often the leader looks whether it still takes part itself.
const LOOK: Duration = Duration::from_secs(1);

impl Repairs {
    /// Repairs what is not repaired of these ranges. Only if all replicas take part does it count as repaired afterwards.
    pub(super) async fn repair_incrementally(
        self: &Arc<Self>,
        placement: &Placement,
        led: &Arc<Led>,
        groups: &[Group],
        began_at: i64,
    ) -> Result<Outcome, ClusterError> {
        let (repair, table) = (led.id, led.table);
        let mut ranges: BTreeMap<Uuid, (&Member, Vec<_>)> = BTreeMap::new();
        for group in groups {
            for member in &group.members {
                let (_, held) = ranges.entry(member.host).or_insert((member, Vec::new()));
                held.extend(group.ranges.iter().map(to_message));
            }
        }
        let participants: Vec<Uuid> = ranges.keys().copied().collect();
        let (jobs, ranges): (Vec<Job>, Vec<_>) = ranges
            .into_values()
            .map(|(member, ranges)| (Job { id: repair, ..Job::new(self, member) }, ranges))
            .unzip();
        let set_aside = |(job, ranges): (&Job, Vec<_>)| {
            let participants = participants.clone();
            job.clone().run(Work::SetAside { table: table.0, ranges, participants })
        };
        let repaired = async {
            try_join_all(jobs.iter().zip(ranges).map(set_aside)).await?;
            let mut outcome = Outcome::default();
            for group in groups {
                outcome.add(self.lead_group(placement, led, group, Part::Aside(repair)).await?);
            }
            Ok(outcome)
        };
        let given_up = async {
            loop {
                dodona_env::clock::sleep(LOOK).await;
                if !self.takes_part(repair) {
                    return Err(invalid("the repair was cancelled"));
                }
            }
        };
        let repaired = async {
            tokio::select! {
                biased;
                repaired = repaired => repaired,
                given_up = given_up, if !jobs.is_empty() => given_up,
            }
        };
        let repaired = reminding(&jobs, repaired).await.and_then(|outcome| {
            if self.is_still(placement.version) { Ok(outcome) } else { Err(members_changed()) }
        });
        let is_done = repaired.is_ok() || self.env.mutants.has("incremental-ends-all-the-same");
        if is_done && led.options.is_complete() {
            join_all(jobs.iter().map(|job| self.have_end(job, table, began_at, placement.version))).await;
        }
        join_all(jobs.iter().map(Job::forget)).await;
        repaired
    }

    /// Has what a replica has set aside count as repaired. If that fails, it is repaired again another time.
    async fn have_end(self: &Arc<Self>, job: &Job, table: TableId, began_at: i64, members: u64) {
        let end = Job::new(self, &job.member);
        let work = Work::End { table: table.0, repair: job.id, began_at, members };
        let ended = end.clone().run(work).await;
        if let Err(error) = ended {
            tracing::warn!(
                member = %job.member.internode, %error,
                "what a repair has compared does not count as repaired there"
            );
        }
        end.forget().await;
    }

    /// Has all that take part in an incremental repair give it up.
    ///
    /// # Errors
    /// This node does not take part in it, or does not lead it, and it is not to be `forced`.
    pub async fn cancel(self: &Arc<Self>, repair: Uuid, force: bool) -> Result<(), ClusterError> {
        let session = self.sessions.get(repair);
        let session = session.ok_or_else(|| invalid(&format!("Session {repair} does not exist")))?;
        if session.state.is_over() {
            return Err(invalid(&format!("Session {repair} is {} already", session.state.name())));
        }
        let placement = self.placement.load_full();
        if !force && session.coordinator != placement.ring.members()[placement.local].host {
            let coordinator = placement.ring.member(session.coordinator);
            let coordinator = coordinator
                .map_or_else(|| session.coordinator.to_string(), |member| member.internode.to_string());
            return Err(invalid(&format!(
                "Cancel session {repair} from its coordinator ({coordinator}) or use --force"
            )));
        }
        let members = session.participants.iter().filter_map(|host| placement.ring.member(*host));
        let jobs: Vec<Job> = members.map(|member| Job { id: repair, ..Job::new(self, member) }).collect();
        self.answer(session.coordinator, Request::Forget(repair));
        join_all(jobs.iter().map(Job::forget)).await;
        Ok(())
    }
}
