//! Leads repairs: compares what the replicas of each range hold, and has each fetch what it lacks.

use super::aside::members_changed;
use super::events::{Event, Led, LedRanges, Step};
use super::history::Replicated;
use super::job::{Job, reminding};
use super::message::{Answer, Range, Work, to_message};
use super::options::{Options, Outcome};
use super::plan::{Fetches, differing, fetches};
use super::ranges::{Done, Group, groups, invalid};
use super::tree::{HashTree, MAX_LEAVES};
use super::worker::Repairs;
use crate::error::ClusterError;
use crate::paxos::ballot::Ballot;
use crate::placement::Placement;
use crate::ring::{Member, MemberIndex};
use dodona_storage::Part;
use dodona_types::TableId;
use dodona_types::token::TokenRange;
use futures_util::future::{join_all, try_join_all};
use futures_util::stream::{self, StreamExt};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Partitions that a part of a range has at the most, as far as that is known beforehand.
const PARTITIONS: f64 = 4.0;
/// The most parts of all ranges that are compared at a time.
const MOST_PARTS: usize = 1 << 18;

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
        self.repair_table(table, options).await
    }

    /// Repairs several tables, some of them at once, and tells of each what came of it, in their order.
    pub async fn repair_tables(
        self: &Arc<Self>,
        tables: &[TableId],
        options: &Options,
    ) -> Vec<Result<Outcome, ClusterError>> {
        let _lead = self.leads.lock().await;
        let repairs = tables.iter().copied().map(|table| self.repair_table(table, options));
        stream::iter(repairs).buffered(options.job_threads.max(1)).collect().await
    }

    async fn repair_table(
        self: &Arc<Self>,
        table: TableId,
        options: &Options,
    ) -> Result<Outcome, ClusterError> {
        let placement = self.unchanging()?;
        let groups = groups(&placement, table, options)?;
        let led = self.led(table, options, groups.values().flatten().copied().collect());
        self.tell(&led, Step::Began);
        let chosen = groups.into_iter().map(|(replicas, ranges)| {
            Ok(Group { members: self.chosen(&placement, &replicas, options)?, ranges })
        });
        let repaired = match chosen.collect::<Result<Vec<_>, _>>() {
            Ok(chosen) => self.repair_all(&placement, &led, chosen).await,
            Err(error) => Err(error),
        };
        let repaired = repaired.and_then(|done| match done.left.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(done.outcome),
        });
        self.tell(&led, Step::Ended(told(&repaired)));
        repaired
    }

    /// Repairs these ranges, by the host ids of their replicas. Those that fail are left as they are, and the others repaired
    /// all the same.
    ///
    /// # Errors
    /// Members change, or the table is gone.
    pub(super) async fn repair_these(
        self: &Arc<Self>,
        table: TableId,
        options: &Options,
        ranges: BTreeMap<Vec<Uuid>, Vec<TokenRange>>,
    ) -> Result<Done, ClusterError> {
        let _lead = self.leads.lock().await;
        let placement = self.unchanging()?;
        let led = self.led(table, options, ranges.values().flatten().copied().collect());
        let mut chosen = Vec::with_capacity(ranges.len());
        for (hosts, ranges) in ranges {
            let members = hosts.iter().map(|host| placement.ring.member(*host).cloned());
            let members = members.collect::<Option<_>>().ok_or_else(members_changed)?;
            chosen.push(Group { members, ranges });
        }
        self.tell(&led, Step::Began);
        let done = self.repair_all(&placement, &led, chosen).await;
        let ended = match &done {
            Ok(done) => done.left.first().map_or(Ok(()), |(_, error)| Err(error.to_string())),
            Err(error) => Err(error.to_string()),
        };
        self.tell(&led, Step::Ended(ended));
        done
    }

    /// # Errors
    /// Members change.
    fn unchanging(&self) -> Result<Arc<Placement>, ClusterError> {
        let placement = self.placement.load_full();
        if placement.ring.is_changing() {
            return Err(invalid("a member joins or leaves the cluster: repair afterwards"));
        }
        Ok(placement)
    }

    fn led(&self, table: TableId, options: &Options, ranges: Vec<TokenRange>) -> Arc<Led> {
        Arc::new(Led { id: self.timeuuid(), table, options: options.clone(), ranges })
    }

    /// Repairs groups of ranges, and notes each that is.
    async fn repair_all(
        self: &Arc<Self>,
        placement: &Placement,
        led: &Arc<Led>,
        mut chosen: Vec<Group>,
    ) -> Result<Done, ClusterError> {
        let options = &led.options;
        chosen.retain(|group| group.members.len() > 1);
        if options.incremental && !options.preview {
            // All of it is set aside at once, and ends at once.
            let began_at = self.env.clock.wall_seconds();
            let outcome = self.repair_incrementally(placement, led, &chosen, began_at).await?;
            let ranges: Vec<TokenRange> = chosen.into_iter().flat_map(|group| group.ranges).collect();
            self.note_repaired(placement, led, &ranges, began_at).await?;
            return Ok(Done { outcome, left: Vec::new() });
        }
        let part = match options {
            Options { preview: true, validate: true, .. } => Part::Repaired,
            Options { preview: true, incremental: true, .. } => Part::Unrepaired,
            _ => Part::All,
        };
        let mut done = Done::default();
        for group in chosen {
            let began_at = self.env.clock.wall_seconds();
            match self.lead_group(placement, led, &group, part).await {
                Ok(outcome) => {
                    done.outcome.add(outcome);
                    self.note_repaired(placement, led, &group.ranges, began_at).await?;
                }
                Err(error) => {
                    let hosts = group.members.iter().map(|member| member.host).collect();
                    done.left.push((hosts, error));
                }
            }
        }
        Ok(done)
    }

    /// An id for something of a repair.
    fn timeuuid(&self) -> Uuid {
        Ballot::new(self.env.clock.wall_micros(), self.env.random.next_u64()).to_timeuuid()
    }

    /// Notes it, and tells whoever keeps a record of repairs. A preview leaves none.
    fn tell(&self, led: &Arc<Led>, step: Step) {
        let event = Event { led: Arc::clone(led), step, at_millis: self.now_millis() };
        self.known.note(&event);
        if !led.options.preview {
            // Nobody may be listening.
            let _ = self.events.send(event);
        }
    }

    pub(super) fn now_millis(&self) -> i64 {
        self.env.clock.wall_micros() / 1_000
    }

    /// Notes that a repair of ranges began at this second, if their replicas hold the same now and are still those.
    async fn note_repaired(
        self: &Arc<Self>,
        placement: &Placement,
        led: &Led,
        ranges: &[TokenRange],
        at: i64,
    ) -> Result<(), ClusterError> {
        let (present, table) = (self.placement.load_full(), led.table);
        let replication_of = |placement: &Placement| {
            let table = placement.schema.table_by_id(table)?;
            placement.schema.keyspace(&table.keyspace).map(|keyspace| keyspace.replication.clone())
        };
        let Some(replication) = replication_of(&present) else { return Ok(()) };
        let are_those =
            present.version == placement.version && replication_of(placement).as_ref() == Some(&replication);
        if !are_those || !led.options.is_complete() {
            return Ok(());
        }
        let (this, mut ranges, incremental) = (Arc::clone(self), ranges.to_vec(), led.options.incremental);
        let recorded = self.env.tasks.blocking(move || {
            let of = Replicated { table, replication: &replication };
            // What was repaired before is not compared then, and may be missing with a replica that is new to a range.
            ranges.retain(|range| !incremental || this.history.oldest(of, range).is_some());
            this.history.record(of, &ranges, at, |table| present.schema.table_by_id(table).is_some())
        });
        recorded.await.map_err(|error| invalid(&error.to_string()))?
    }

    /// Notes since which second the last repair of ranges of tables is not known.
    pub(super) async fn note_unknown(
        self: &Arc<Self>,
        since: BTreeMap<TableId, i64>,
    ) -> Result<(), ClusterError> {
        let this = Arc::clone(self);
        let noted = self.env.tasks.blocking(move || this.history.note_unknown(&since)).await;
        noted.map_err(|error| invalid(&error.to_string()))?
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
                return Err(down(member));
            }
        }
        let own = placement.ring.members()[placement.local].host;
        if chosen.iter().any(|member| member.host == own) {
            Ok(chosen)
        } else {
            Err(invalid("this node has to be among the hosts and data centres of a repair that it leads"))
        }
    }

    /// Repairs a part of what the table has in the ranges of a group, if all of its members are up.
    pub(super) async fn lead_group(
        self: &Arc<Self>,
        placement: &Placement,
        led: &Arc<Led>,
        group: &Group,
        part: Part,
    ) -> Result<Outcome, ClusterError> {
        let own = placement.ring.members()[placement.local].host;
        if let Some(member) = group.members.iter().find(|member| !self.liveness.is_alive(member.host)) {
            return Err(down(member));
        }
        let others = group.members.iter().filter(|member| member.host != own);
        let ranges = Arc::new(LedRanges {
            id: self.timeuuid(),
            job: self.env.random.uuid_v4(),
            ranges: group.ranges.iter().map(|range| (self.timeuuid(), *range)).collect(),
            others: others.map(|member| member.internode).collect(),
        });
        self.tell(led, Step::RangesBegan(Arc::clone(&ranges)));
        let repaired = self.repair_group(placement, led, group, &ranges, part).await;
        self.tell(led, Step::RangesEnded(ranges, told(&repaired)));
        repaired
    }

    async fn repair_group(
        self: &Arc<Self>,
        placement: &Placement,
        led: &Arc<Led>,
        Group { members, ranges }: &Group,
        led_ranges: &Arc<LedRanges>,
        part: Part,
    ) -> Result<Outcome, ClusterError> {
        let (table, options) = (led.table, &led.options);
        let mut outcome = Outcome { ranges: ranges.len(), ..Outcome::default() };
        let empty = self.empty_trees(placement, table, ranges)?;
        let asked: Vec<(Range, usize)> =
            empty.iter().map(|tree| (to_message(&tree.range()), tree.leaves().len())).collect();
        let now_seconds = self.env.clock.wall_seconds();
        let jobs: Vec<Job> = members.iter().map(|member| Job::new(self, member)).collect();
        let hash = |job: &Job| {
            let session = Some((led.id, led_ranges.id));
            let work = Work::Hash { table: table.0, ranges: asked.clone(), now_seconds, part, session };
            job.clone().run(work)
        };
        let compare = async {
            let data_centers: Vec<&str> = members.iter().map(|member| &*member.data_center).collect();
            let lanes = options.parallelism.lanes(&data_centers).into_iter().map(async |lane| {
                let mut roots = Vec::with_capacity(lane.len());
                for place in lane {
                    roots.push(hash(&jobs[place]).await?);
                }
                Ok(roots)
            });
            match try_join_all(lanes).await.map(|lanes| lanes.concat()) {
                Ok(roots) if roots.windows(2).all(|pair| pair[0] == pair[1]) => Ok(None),
                Ok(_) => try_join_all(jobs.iter().map(|job| job.trees(&empty))).await.map(Some),
                Err(error) => Err(error),
            }
        };
        let trees = reminding(&jobs, compare).await;
        join_all(jobs.iter().map(Job::forget)).await;
        let trees = trees?;
        self.tell(led, Step::RangesHashed(Arc::clone(led_ranges)));
        let Some(trees) = trees else { return Ok(outcome) };
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

fn down(member: &Member) -> ClusterError {
    ClusterError::Peer(format!(
        "{} does not answer: a repair needs all replicas, or --force to leave it out",
        member.internode
    ))
}

/// What came of something, for a record of it.
fn told<T>(done: &Result<T, ClusterError>) -> Result<(), String> {
    done.as_ref().map(drop).map_err(ToString::to_string)
}
