//! Fetches ranges of tables from their holders, from several of them at a time.

use super::batches::{Batches, Since};
use super::notes::{Note, Notes};
use super::puller::{Puller, Shared};
use super::schedule::{Ended, MOST, Schedule};
use super::whole::Whole;
use super::{Missing, Progress};
use crate::error::ClusterError;
use crate::liveness::Liveness;
use crate::metadata::log::ask;
use crate::metadata::message;
use crate::placement::Placement;
use crate::ring::{Member, MemberIndex};
use dodona_storage::StorageError;
use dodona_types::read_command::{PartitionRange, RangeBound};
use dodona_types::schema::Table;
use futures_util::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use uuid::Uuid;

/// How often it is said how far a fetch is.
const TELL: Duration = Duration::from_secs(10);
/// How long a member may take to say which members it knows of.
const ANSWER: Duration = Duration::from_secs(5);

/// Fetches ranges for this node.
pub(crate) struct Fetcher<'a> {
    pub(crate) puller: Puller<'a>,
    pub(crate) liveness: &'a dyn Liveness,
    pub(crate) placement: &'a Placement,
    /// The members that know of those of the placement.
    pub(crate) knowing: Mutex<BTreeSet<Uuid>>,
    /// Where it is noted what was fetched, if that is to count for another try.
    pub(crate) notes: Option<&'a Arc<Notes>>,
    /// Files of so many bytes come as they are.
    pub(crate) least_file_bytes: u64,
}

/// Ranges, by their place among those that are missing of a table, and holders from which they have come.
type Come = BTreeSet<(usize, MemberIndex)>;

/// Ranges that were fetched and are not noted yet, and since when.
struct Unnoted {
    notes: Vec<Note>,
    since: Since,
}

impl Fetcher<'_> {
    /// Fetches all of this, and brings it to the disk: others may forget it then. What was noted is left out.
    ///
    /// # Errors
    /// Too few of a range's replicas answer; or this node does not take it.
    pub(crate) async fn fetch_all(&self, missing: &[Missing]) -> Result<(), ClusterError> {
        if self.puller.env.mutants.has("join-skips-fetch") {
            return Ok(());
        }
        let members = self.placement.ring.members();
        let is_noted = |one: &&Missing| {
            let noted = self.notes.zip(Note::of(one, members));
            noted.is_some_and(|(notes, note)| notes.has(self.placement.version, &note))
        };
        let rest: Vec<&Missing> = missing.iter().filter(|one| !is_noted(one)).collect();
        let progress = self.puller.progress;
        let kept = (missing.len() - rest.len()) as u64;
        progress.ranges.store(missing.len() as u64, Relaxed);
        progress.ranges_done.store(kept, Relaxed);
        progress.ranges_kept.store(kept, Relaxed);
        if kept > 0 {
            tracing::info!(kept, of = missing.len(), "some of what this node is to hold was fetched before");
        }
        let mut told = Told { progress, at: self.puller.env.clock.mono() };
        let mut unnoted = Unnoted { notes: Vec::new(), since: Since::now(&self.puller) };
        let mut failed = Ok(());
        for of_table in rest.chunk_by(|one, next| one.table == next.table) {
            match self.fetch_table(of_table, &mut told, &mut unnoted).await {
                Err(error @ ClusterError::Peer(_)) => failed = failed.and(Err(error)),
                fetched => fetched?,
            }
        }
        self.note(&mut unnoted).await?;
        failed
    }

    /// Fetches ranges of one table. Those that cannot be had do not hold the others up.
    async fn fetch_table(
        &self,
        missing: &[&Missing],
        told: &mut Told<'_>,
        unnoted: &mut Unnoted,
    ) -> Result<(), ClusterError> {
        let id = missing[0].table;
        let table = self.placement.schema.table_by_id(id).ok_or(StorageError::NoSuchTable(id))?;
        for one in missing.iter().filter(|one| one.needed == 0) {
            tracing::warn!(
                keyspace = %table.keyspace, table = %table.name, range = ?one.range,
                "no replica is left: what the member that is given up held alone is lost"
            );
            told.done(self.puller.env.clock.mono());
        }
        let come = self.fetch_files(table, missing, told, unnoted).await?;
        let mut batches = Batches::new(&self.puller, id);
        match self.fetch_ranges(table, missing, &come, &mut batches, told, unnoted).await {
            Ok(failed) => {
                let done = batches.end().await?;
                self.count(&done, missing, unnoted).await?;
                failed.map_or(Ok(()), Err)
            }
            Err(error) => Err(batches.discard(error).await),
        }
    }

    /// Fetches from each holder at once, in files as far as it can be, all the ranges that are to come from it. Gives what
    /// has come.
    async fn fetch_files(
        &self,
        table: &Table,
        missing: &[&Missing],
        told: &mut Told<'_>,
        unnoted: &mut Unnoted,
    ) -> Result<Come, ClusterError> {
        let mut of_holder: BTreeMap<MemberIndex, Vec<usize>> = BTreeMap::new();
        for (range, one) in missing.iter().enumerate() {
            for holder in self.holders_of_files(one) {
                of_holder.entry(holder).or_default().push(range);
            }
        }
        let fetch = |(holder, ranges): (MemberIndex, Vec<usize>)| async move {
            let member = &self.placement.ring.members()[holder];
            let wanted = ranges.iter().map(|range| &missing[*range].range).collect();
            (holder, ranges, self.fetch_files_from(member, table, wanted).await)
        };
        let mut fetches = futures_util::stream::iter(of_holder.into_iter().map(fetch)).buffer_unordered(MOST);
        let (mut come, mut failed) = (Come::new(), None);
        while let Some((holder, ranges, fetched)) = fetches.next().await {
            let peer = self.placement.ring.members()[holder].internode;
            match fetched {
                Ok(true) => come.extend(ranges.into_iter().map(|range| (range, holder))),
                Ok(false) => {}
                // A column of a file may have had another type: rows are taken all the same.
                Err(
                    error @ (ClusterError::Peer(_)
                    | ClusterError::Storage(StorageError::Corrupt { .. } | StorageError::Refused(_))),
                ) => {
                    tracing::warn!(
                        keyspace = %table.keyspace, table = %table.name, %peer, %error,
                        "it does not come in files: it is fetched row by row"
                    );
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        drop(fetches);
        let lacks = |range: &usize| lacks_of(*range, missing[*range], &come);
        let done: Vec<usize> =
            (0..missing.len()).filter(|range| missing[*range].needed > 0 && lacks(range) == 0).collect();
        done.iter().for_each(|_| told.done(self.puller.env.clock.mono()));
        self.count(&done, missing, unnoted).await?;
        failed.map_or(Ok(come), Err)
    }

    /// The holders that a range is to come from in files: those of other ranges with the same holders, as a file has many
    /// ranges; but others for other tables.
    fn holders_of_files(&self, missing: &Missing) -> Vec<MemberIndex> {
        let mut chosen = missing.holders.clone();
        let staying = &mut chosen[missing.leaving..];
        staying.sort_unstable();
        if !staying.is_empty() {
            // The low part of its time.
            let turn = missing.table.0.as_fields().0 as usize;
            staying.rotate_left(turn % staying.len());
        }
        chosen.truncate(missing.needed);
        chosen
    }

    /// Fetches ranges from one of their holders, in files as far as it can be. False if none would be, or it is down.
    async fn fetch_files_from(
        &self,
        holder: &Member,
        table: &Table,
        mut ranges: Vec<&PartitionRange>,
    ) -> Result<bool, ClusterError> {
        let is_asked = self.least_file_bytes < u64::MAX && self.liveness.is_alive(holder.host);
        if !is_asked || !self.knows_of_us(holder).await {
            return Ok(false);
        }
        ranges.sort_unstable_by_key(|range| match range.start {
            RangeBound::Token(token, _) => Some(token),
            _ => None,
        });
        let (puller, peer, least_bytes) = (&self.puller, holder.internode, self.least_file_bytes);
        let whole = Whole { puller, peer, table, ranges, least_bytes };
        if !whole.fetch().await? {
            return Ok(false);
        }
        for range in &whole.ranges {
            self.pull_paxos(peer, table, range).await?;
        }
        Ok(true)
    }

    /// Has the acceptor of this node know what another one knows of a range of a table.
    async fn pull_paxos(
        &self,
        peer: SocketAddr,
        table: &Table,
        range: &PartitionRange,
    ) -> Result<(), ClusterError> {
        match self.placement.schema.table("system", "paxos") {
            Some(paxos) => self.puller.pull_paxos(peer, paxos, table, range).await,
            None => Ok(()),
        }
    }

    /// Fetches ranges of one table, as far as they have not come. Gives what is wrong with the first one that cannot be had.
    async fn fetch_ranges(
        &self,
        table: &Table,
        missing: &[&Missing],
        come: &Come,
        batches: &mut Batches<'_>,
        told: &mut Told<'_>,
        unnoted: &mut Unnoted,
    ) -> Result<Option<ClusterError>, ClusterError> {
        let members = self.placement.ring.members();
        let mut schedule = Schedule::new(missing.iter().enumerate().map(|(range, one)| {
            let rest = one.holders.iter().filter(move |holder| !come.contains(&(range, **holder)));
            (rest.copied(), lacks_of(range, one, come))
        }));
        let mut under_way = FuturesUnordered::new();
        let mut failed = None;
        let mut reasons = vec![None; missing.len()];
        loop {
            while let Some((range, holder)) = schedule.next() {
                let (one, member) = (missing[range], &members[holder]);
                let arrivals = batches.arrivals_of(range)?;
                if self.puller.env.mutants.has("fetched-is-noted-early") {
                    self.count(&[range], missing, unnoted).await?;
                }
                under_way.push(async move {
                    (range, holder, self.fetch_from(member, table, one, &arrivals).await)
                });
            }
            let Some((range, holder, fetched)) = under_way.next().await else { return Ok(failed) };
            let has_come = match fetched {
                Ok(has_come) => has_come,
                Err(ClusterError::Peer(reason)) => {
                    reasons[range] = Some(reason);
                    false
                }
                // What is still under way is not waited for.
                Err(error) => return Err(error),
            };
            let ended = schedule.ended(range, holder, has_come);
            match ended {
                Ended::GoesOn => continue,
                Ended::Done => told.done(self.puller.env.clock.mono()),
                Ended::Lacks(lacks) => {
                    let reason = reasons[range].take();
                    failed.get_or_insert_with(|| too_few(table, missing[range], lacks, reason));
                }
            }
            let done = batches.ended(range, ended == Ended::Done).await?;
            self.count(&done, missing, unnoted).await?;
        }
    }

    /// Ranges count now: they are noted before long.
    async fn count(
        &self,
        done: &[usize],
        missing: &[&Missing],
        unnoted: &mut Unnoted,
    ) -> Result<(), ClusterError> {
        let members = self.placement.ring.members();
        unnoted.notes.extend(done.iter().filter_map(|range| Note::of(missing[*range], members)));
        let is_due = unnoted.since.is_due(&self.puller);
        if is_due || self.puller.env.mutants.has("fetched-is-noted-early") {
            self.note(unnoted).await?;
        }
        Ok(())
    }

    /// Brings all that counts to the disk, and notes which ranges that is.
    async fn note(&self, unnoted: &mut Unnoted) -> Result<(), ClusterError> {
        self.puller.sync().await?;
        unnoted.since = Since::now(&self.puller);
        let fetched = std::mem::take(&mut unnoted.notes);
        let Some(notes) = self.notes.filter(|_| !fetched.is_empty()) else { return Ok(()) };
        let (notes, change) = (Arc::clone(notes), self.placement.version);
        match self.puller.env.tasks.blocking(move || notes.add(change, fetched)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "it is not noted what was fetched"),
            Err(error) => tracing::warn!(%error, "it is not noted what was fetched"),
        }
        Ok(())
    }

    /// Fetches a range from one of its holders. False if that one is down.
    async fn fetch_from(
        &self,
        holder: &Member,
        table: &Table,
        missing: &Missing,
        arrivals: &Shared,
    ) -> Result<bool, ClusterError> {
        if !self.liveness.is_alive(holder.host) {
            return Ok(false);
        }
        if !self.knows_of_us(holder).await {
            let reason = format!("{} does not know of this node yet", holder.internode);
            return Err(ClusterError::Peer(reason));
        }
        let (peer, range) = (holder.internode, &missing.range);
        self.puller.pull_apart(peer, table, range, arrivals).await?;
        self.pull_paxos(peer, table, range).await?;
        Ok(true)
    }

    /// True if a member knows of the members by which it is asked: a repair that began before that does not end there any
    /// more, so that nothing becomes repaired there that it did not hold when it was asked.
    async fn knows_of_us(&self, holder: &Member) -> bool {
        if self.knowing.lock().contains(&holder.host) {
            return true;
        }
        let version = self.placement.version;
        let reached =
            ask(self.puller.peers, holder.internode, &message::Request::Reach(version), ANSWER).await;
        let knows = matches!(reached, Ok(message::Answer::Version(reached)) if reached >= version);
        if knows {
            self.knowing.lock().insert(holder.host);
        }
        knows
    }
}

/// How far a fetch is, and when that was last said.
struct Told<'a> {
    progress: &'a Progress,
    at: Duration,
}

impl Told<'_> {
    /// One more range is done.
    fn done(&mut self, now: Duration) {
        let done = 1 + self.progress.ranges_done.fetch_add(1, Relaxed);
        if now.saturating_sub(self.at) >= TELL {
            self.at = now;
            let bytes = self.progress.bytes.load(Relaxed);
            let of = self.progress.ranges.load(Relaxed);
            tracing::info!(done, of, bytes, "fetching what this node is to hold");
        }
    }
}

/// From how many holders a range has to come still.
fn lacks_of(range: usize, missing: &Missing, come: &Come) -> usize {
    missing.needed - come.range((range, 0)..(range + 1, 0)).count()
}

fn too_few(table: &Table, missing: &Missing, lacks: usize, reason: Option<String>) -> ClusterError {
    let reason = reason.unwrap_or_else(|| "the others are down".to_owned());
    let (fetched, needed) = (missing.needed - lacks, missing.needed);
    ClusterError::Peer(format!(
        "a range of {}.{} is held by {} nodes, of which {fetched} could be read and {needed} are needed: {reason}",
        table.keyspace,
        table.name,
        missing.holders.len(),
    ))
}
