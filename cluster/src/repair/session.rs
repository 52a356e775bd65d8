//! Leads repairs: compares what the replicas of each range hold, and has each fetch what it lacks.

use super::message::{Answer, Range, Request, Work, to_message};
use super::plan::{Fetches, differing, fetches};
use super::tree::{HashTree, MAX_LEAVES};
use super::worker::Repairs;
use crate::error::ClusterError;
use crate::message::Body;
use crate::placement::Placement;
use crate::ring::{Member, MemberIndex};
use dodona_storage::{Part, StorageError};
use dodona_types::token::TokenRange;
use dodona_types::{TableId, Token};
use futures_util::future::{join_all, try_join_all};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long a replica may take to answer a request, not the work.
const ANSWER: Duration = Duration::from_secs(10);
/// How often in a row a replica may not answer.
const TRIES: usize = 6;
/// The pauses between two questions how far a replica is: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));
/// Partitions that a part of a range has at the most, as far as that is known beforehand.
const PARTITIONS: f64 = 4.0;
/// The most parts of all ranges that are compared at a time.
const MOST_PARTS: usize = 1 << 18;

/// What is to be repaired of a table.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only ranges of which this node is the first replica: run on every node, that is each range once.
    pub primary: bool,
    /// Only this part of the ring.
    pub range: Option<TokenRange>,
    /// Only between replicas in these data centres, this node's among them; empty for all.
    pub data_centers: Vec<String>,
    /// Only with these members, this node among them; empty for all.
    pub hosts: Vec<Uuid>,
    /// Leave out replicas that are down, instead of giving up.
    pub force: bool,
    /// Only this node fetches.
    pub pull: bool,
    /// Compare, and change nothing.
    pub preview: bool,
    /// Only what is not repaired yet, which is repaired afterwards.
    pub incremental: bool,
    /// With `preview`: only what is repaired.
    pub validate: bool,
    /// Replicas hash one after another, so that one of them at least is as quick as ever.
    pub sequential: bool,
}

impl Options {
    /// Of a node that sees to each range of which it is the first replica.
    #[must_use]
    pub fn primary() -> Self {
        Self { primary: true, ..Self::default() }
    }

    /// True if all replicas hold the same afterwards.
    pub(super) const fn is_complete(&self) -> bool {
        self.data_centers.is_empty() && self.hosts.is_empty() && !self.force && !self.pull && !self.preview
    }
}

/// What came of a repair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Ranges that were compared.
    pub ranges: usize,
    /// Parts of them in which replicas differed.
    pub differing: usize,
    /// Partitions, or pieces of them, that replicas fetched.
    pub partitions: u64,
    /// Bytes that replicas fetched.
    pub bytes: u64,
}

impl Outcome {
    /// Adds another one.
    pub const fn add(&mut self, other: Self) {
        self.ranges += other.ranges;
        self.differing += other.differing;
        self.partitions += other.partitions;
        self.bytes += other.bytes;
    }
}

/// Ranges with the same replicas.
pub(super) type Groups = BTreeMap<Vec<MemberIndex>, Vec<TokenRange>>;

impl Repairs {
    /// Repairs ranges of a table that this node holds.
    ///
    /// # Errors
    /// A replica is down, fails or does not answer; members change; the range is not held here.
    pub async fn repair(
        self: &Arc<Self>,
        table: TableId,
        options: &Options,
    ) -> Result<Outcome, ClusterError> {
        let _lead = self.leads.lock().await;
        let placement = self.placement.load_full();
        if placement.ring.is_changing() {
            return Err(invalid("a member joins or leaves the cluster: repair afterwards"));
        }
        let began_at = self.env.clock.wall_seconds();
        let groups = groups(&placement, table, options)?;
        let mut chosen = Vec::with_capacity(groups.len());
        for (replicas, ranges) in &groups {
            chosen.push(Group { members: self.chosen(&placement, replicas, options)?, ranges });
        }
        chosen.retain(|group| group.members.len() > 1);
        let outcome = if options.incremental && !options.preview {
            self.repair_incrementally(&placement, table, &chosen, options, began_at).await?
        } else {
            let part = match options {
                Options { preview: true, validate: true, .. } => Part::Repaired,
                Options { preview: true, incremental: true, .. } => Part::Unrepaired,
                _ => Part::All,
            };
            self.repair_groups(&placement, table, &chosen, options, part).await?
        };
        if options.is_complete() && self.placement.load().version == placement.version {
            let ranges: Vec<TokenRange> = groups.into_values().flatten().collect();
            self.record(table, &ranges, began_at).await?;
        }
        Ok(outcome)
    }

    /// Notes that ranges are as if a repair of them had begun at this second.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) async fn record(
        self: &Arc<Self>,
        table: TableId,
        ranges: &[TokenRange],
        at: i64,
    ) -> Result<(), ClusterError> {
        let (this, ranges) = (Arc::clone(self), ranges.to_vec());
        let schema = Arc::clone(&self.placement.load().schema);
        let exists = move |table| schema.table_by_id(table).is_some();
        let recorded = self.env.tasks.blocking(move || this.history.record(table, &ranges, at, exists)).await;
        recorded.map_err(|error| invalid(&error.to_string()))?
    }

    /// The replicas that take part.
    fn chosen(
        &self,
        placement: &Placement,
        replicas: &[MemberIndex],
        options: &Options,
    ) -> Result<Vec<Member>, ClusterError> {
        let mut chosen = Vec::with_capacity(replicas.len());
        for member in replicas.iter().map(|index| &placement.ring.members()[*index]) {
            let is_meant = (options.data_centers.is_empty()
                || options.data_centers.contains(&member.data_center))
                && (options.hosts.is_empty() || options.hosts.contains(&member.host));
            if !is_meant {
                continue;
            }
            if self.liveness.is_alive(member.host) {
                chosen.push(member.clone());
            } else if !options.force {
                return Err(ClusterError::Peer(format!(
                    "{} does not answer: a repair needs all replicas, or --force to leave it out",
                    member.internode
                )));
            }
        }
        let own = placement.ring.members()[placement.local].host;
        if chosen.iter().any(|member| member.host == own) {
            Ok(chosen)
        } else {
            Err(invalid("this node has to be among the hosts and data centres of a repair that it leads"))
        }
    }

    /// Repairs a part of what the table has in these ranges, group by group.
    pub(super) async fn repair_groups(
        self: &Arc<Self>,
        placement: &Placement,
        table: TableId,
        groups: &[Group<'_>],
        options: &Options,
        part: Part,
    ) -> Result<Outcome, ClusterError> {
        let mut outcome = Outcome::default();
        for group in groups {
            outcome.add(self.repair_group(placement, table, group, options, part).await?);
        }
        Ok(outcome)
    }

    async fn repair_group(
        self: &Arc<Self>,
        placement: &Placement,
        table: TableId,
        Group { members, ranges }: &Group<'_>,
        options: &Options,
        part: Part,
    ) -> Result<Outcome, ClusterError> {
        let mut outcome = Outcome { ranges: ranges.len(), ..Outcome::default() };
        let empty = self.empty_trees(placement, table, ranges)?;
        let asked: Vec<(Range, usize)> =
            empty.iter().map(|tree| (to_message(&tree.range()), tree.leaves().len())).collect();
        let now_seconds = self.env.clock.wall_seconds();
        let jobs: Vec<Job> = members.iter().map(|member| Job::new(self, member)).collect();
        let hash = |job: &Job| {
            let work = Work::Hash { table: table.0, ranges: asked.clone(), now_seconds, part };
            job.clone().run(work)
        };
        let hashed = if options.sequential {
            let mut hashed = Vec::with_capacity(jobs.len());
            for job in &jobs {
                hashed.push(hash(job).await);
            }
            hashed.into_iter().collect()
        } else {
            try_join_all(jobs.iter().map(hash)).await
        };
        let trees = match hashed {
            Ok(roots) if roots.windows(2).all(|pair| pair[0] == pair[1]) => Ok(None),
            Ok(_) => try_join_all(jobs.iter().map(|job| job.trees(&empty))).await.map(Some),
            Err(error) => Err(error),
        };
        join_all(jobs.iter().map(Job::forget)).await;
        let Some(trees) = trees? else { return Ok(outcome) };
        outcome.differing = differing(&trees).count();
        if options.preview {
            return Ok(outcome);
        }
        let own = placement.ring.members()[placement.local].host;
        let mut planned = fetches(&trees);
        if self.env.mutants.has("repair-fetches-from-one") {
            planned.iter_mut().for_each(|fetches| fetches.retain(|holder, _| *holder == 0));
        }
        let fetched = planned
            .into_iter()
            .zip(members)
            .filter(|(fetches, member)| !fetches.is_empty() && (!options.pull || member.host == own));
        let fetched =
            fetched.map(|(fetches, member)| self.have_fetched(table, member, members, fetches, part));
        for answer in try_join_all(fetched).await? {
            if let Answer::Fetched(partitions, bytes) = answer {
                outcome.partitions += partitions;
                outcome.bytes += bytes;
            }
        }
        Ok(outcome)
    }

    async fn have_fetched(
        self: &Arc<Self>,
        table: TableId,
        member: &Member,
        members: &[Member],
        fetches: Fetches,
        part: Part,
    ) -> Result<Answer, ClusterError> {
        let of = |(holder, ranges): (usize, Vec<TokenRange>)| {
            (members[holder].host, ranges.iter().map(to_message).collect())
        };
        let job = Job::new(self, member);
        let from = fetches.into_iter().map(of).collect();
        let repair = match part {
            Part::Aside(repair) => Some(repair),
            _ => None,
        };
        let fetched = job.clone().run(Work::Fetch { table: table.0, from, repair }).await;
        job.forget().await;
        fetched
    }

    /// Trees of as many leaves as the partitions that this node holds ask for.
    fn empty_trees(
        &self,
        placement: &Placement,
        table: TableId,
        ranges: &[TokenRange],
    ) -> Result<Vec<HashTree>, ClusterError> {
        let statistics = self.engine.table_statistics(table)?;
        let partitions = statistics.partitions as f64 + statistics.memtable_partitions as f64;
        let held: u128 = placement.held(table)?.iter().map(TokenRange::width).sum();
        let most = (MOST_PARTS / ranges.len().max(1)).clamp(1, MAX_LEAVES);
        let leaves = |range: &TokenRange| {
            let share = range.width() as f64 / held.max(1) as f64;
            ((partitions * share / PARTITIONS) as usize).next_power_of_two().min(most)
        };
        Ok(ranges.iter().map(|range| HashTree::new(*range, leaves(range))).collect())
    }
}

/// The ranges to repair of a table, those with the same replicas together.
pub(super) fn groups(
    placement: &Placement,
    table: TableId,
    options: &Options,
) -> Result<Groups, ClusterError> {
    let schema_table = placement.schema.table_by_id(table).ok_or(StorageError::NoSuchTable(table))?;
    let mut groups = Groups::new();
    let mut is_held = false;
    for range in placement.ring.ranges() {
        let replicas = placement.replicas(table, range.end)?;
        let is_meant = if options.primary {
            replicas.first() == Some(&placement.local)
        } else {
            replicas.contains(&placement.local)
        };
        for part in options.range.as_ref().map_or_else(|| vec![range], |within| common(&range, within)) {
            is_held |= replicas.contains(&placement.local);
            if is_meant {
                groups.entry(replicas.clone()).or_default().push(part);
            } else if !replicas.contains(&placement.local) && options.range.is_some() {
                return Err(ClusterError::Invalid(format!(
                    "this node does not hold all of the range of {}.{}: ({}, {}] belongs to others",
                    schema_table.keyspace, schema_table.name, part.start, part.end
                )));
            }
        }
    }
    if is_held || options.range.is_none() { Ok(groups) } else { Err(invalid("the range is empty")) }
}

/// What two ranges have in common.
pub(super) fn common(one: &TokenRange, other: &TokenRange) -> Vec<TokenRange> {
    if other.start == other.end {
        return vec![*one];
    }
    if one.start == one.end {
        return vec![*other];
    }
    // Measured from where the one begins, it does not wrap.
    let offset = |token: Token| token.ordinal().wrapping_sub(one.start.ordinal());
    let at = |offset: u64| Token::from_ordinal(one.start.ordinal().wrapping_add(offset));
    let (length, start, end) = (offset(one.end), offset(other.start), offset(other.end));
    let pieces = if start < end { vec![(start, end)] } else { vec![(0, end), (start, u64::MAX)] };
    let within = pieces.into_iter().map(|(start, end)| (start.min(length), end.min(length)));
    within
        .filter(|(start, end)| start < end)
        .map(|(start, end)| TokenRange { start: at(start), end: at(end) })
        .collect()
}

/// Replicas that hold the same ranges, and take part.
pub(super) struct Group<'a> {
    pub(super) members: Vec<Member>,
    pub(super) ranges: &'a [TokenRange],
}

/// Work that a replica does.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) repairs: Arc<Repairs>,
    pub(super) member: Member,
    pub(super) id: Uuid,
}

impl Job {
    pub(super) fn new(repairs: &Arc<Repairs>, member: &Member) -> Self {
        Self { repairs: Arc::clone(repairs), member: member.clone(), id: repairs.env.random.uuid_v4() }
    }

    /// Asks the replica, this node itself without a message.
    pub(super) async fn ask(&self, request: Request) -> Result<Answer, ClusterError> {
        let placement = self.repairs.placement.load();
        if placement.ring.members()[placement.local].host == self.member.host {
            return Ok(self.repairs.answer(request));
        }
        let body = Body::Repair(serde_json::to_vec(&request).unwrap_or_default());
        match self.repairs.peers.ask(self.member.internode, body, ANSWER).await? {
            Body::RepairAnswer(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| ClusterError::Peer(format!("an answer about a repair: {error}"))),
            Body::Failed(reason) => Err(self.failed(&reason)),
            _ => Err(ClusterError::Peer("an answer to another request".into())),
        }
    }

    fn failed(&self, reason: &str) -> ClusterError {
        ClusterError::Peer(format!("{}: {reason}", self.member.internode))
    }

    /// Has the work done, however long it takes, as long as the replica answers.
    pub(super) async fn run(self, work: Work) -> Result<Answer, ClusterError> {
        let mut pause = PAUSES.0;
        let mut unanswered = 0;
        let mut request = Request::Begin(self.id, work);
        loop {
            match self.ask(request.clone()).await {
                Ok(Answer::Working) => (request, unanswered) = (Request::Ask(self.id), 0),
                Ok(Answer::Failed(reason)) => return Err(self.failed(&reason)),
                Ok(Answer::Unknown) => return Err(self.failed("it was started anew while it was repaired")),
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    unanswered += 1;
                    if unanswered == TRIES {
                        return Err(error);
                    }
                }
            }
            dodona_env::clock::sleep(pause).await;
            pause = (2 * pause).min(PAUSES.1);
        }
    }

    /// The trees that the replica has made.
    async fn trees(&self, empty: &[HashTree]) -> Result<Vec<HashTree>, ClusterError> {
        let malformed = || self.failed("the hashes are not those that were asked for");
        let Answer::Leaves(leaves) = self.ask(Request::Leaves(self.id)).await? else {
            return Err(malformed());
        };
        if leaves.len() != empty.len() {
            return Err(malformed());
        }
        let trees = leaves.into_iter().zip(empty).map(|(leaves, tree)| tree.with_leaves(leaves));
        trees.collect::<Option<_>>().ok_or_else(malformed)
    }

    pub(super) async fn forget(&self) {
        // One that is not reached forgets by itself.
        let _ = self.ask(Request::Forget(self.id)).await;
    }
}

pub(super) fn invalid(reason: &str) -> ClusterError {
    ClusterError::Invalid(reason.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range() -> impl Strategy<Value = TokenRange> {
        let token = || prop::sample::select(vec![i64::MIN, -7, -3, 0, 2, 5, i64::MAX]);
        (token(), token()).prop_map(|(start, end)| TokenRange { start: Token(start), end: Token(end) })
    }

    proptest! {
        #[test]
        fn what_is_common_lies_in_both(one in range(), other in range()) {
            let parts = common(&one, &other);
            for token in [i64::MIN, i64::MIN + 1, -7, -6, -3, -2, 0, 1, 2, 3, 5, 6, i64::MAX].map(Token) {
                let found = parts.iter().filter(|part| part.contains(token)).count();
                prop_assert_eq!(found, usize::from(one.contains(token) && other.contains(token)), "{:?}", parts);
            }
        }
    }
}
