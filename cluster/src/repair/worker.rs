//! What a replica does for the leader of a repair: it hashes what it holds, and fetches what it lacks.

use super::events::Event;
use super::history::History;
use super::known::{Known, Validation};
use super::message::{Answer, Range, Request, Work, empty_trees, of_message};
use super::schedule::{Failures, Late};
use super::sessions::{Session, SessionState, Sessions};
use super::tree::HashTree;
use crate::counter::Leader;
use crate::error::ClusterError;
use crate::liveness::Liveness;
use crate::on_engine::on_engine;
use crate::placement::Placement;
use crate::replica::Replica;
use crate::ring::Member;
use crate::streaming::puller::Puller;
use crate::streaming::{Progress, parts};
use crate::transport::Peers;
use arc_swap::ArcSwap;
use dodona_env::Env;
use dodona_storage::{Engine, Part, StorageError};
use dodona_types::TableId;
use dodona_types::read_command::{PartitionRange, PartitionSelection, ReadCommand};
use dodona_types::schema::Table;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::{Semaphore, broadcast};
use uuid::Uuid;

/// Bytes that are read at a time to be hashed.
const HASH_BYTES: usize = 1 << 20;
/// How long work goes on, and is remembered, that nobody asks after: whoever leads has forgotten it as well.
const FORGOTTEN: Duration = Duration::from_secs(120);
/// How long, at the least, whoever leads is down before it is given up.
const LEADERLESS: Duration = Duration::from_secs(10);
/// How often it is looked for such work.
const LOOK: Duration = Duration::from_secs(5);
/// Events that a subscriber may be behind.
const EVENTS: usize = 4_096;
/// The repairs of a node: those that it leads, and what it does for others that lead one.
pub struct Repairs {
    pub(super) env: Env,
    pub(super) engine: Arc<Engine>,
    pub(super) replica: Arc<Replica>,
    pub(super) leader: Arc<Leader>,
    pub(super) peers: Arc<Peers>,
    pub(super) liveness: Arc<dyn Liveness>,
    pub(super) placement: Arc<ArcSwap<Placement>>,
    /// When what was repaired.
    pub history: History,
    /// What was not repaired in time by itself.
    pub late: Late,
    pub(super) failures: Failures,
    /// The incremental ones that it takes part in.
    pub sessions: Sessions,
    /// The last ones that it has led, and what it has hashed for them and others.
    pub known: Known,
    pub(super) events: broadcast::Sender<Event>,
    /// Held while the node leads some: what is asked for at once is done at once, and the rest afterwards.
    pub(super) leads: tokio::sync::Mutex<()>,
    jobs: Mutex<BTreeMap<Uuid, Job>>,
    /// As many tables are hashed at a time as are compacted.
    hashes: Semaphore,
}

struct Job {
    state: State,
    /// The host id of whoever leads.
    leader: Uuid,
    /// Monotonic time at which it was last asked after.
    asked_at: Duration,
    /// Since when the leader is known to be down.
    leaderless_since: Option<Duration>,
}

pub(super) enum State {
    Works,
    Hashed(Vec<HashTree>),
    Fetched {
        partitions: u64,
        bytes: u64,
    },
    /// Something of this table is set aside.
    Aside(TableId),
    Ended,
    Failed(String),
}

/// What repairs are done with.
pub(crate) struct Means {
    pub(crate) engine: Arc<Engine>,
    pub(crate) replica: Arc<Replica>,
    pub(crate) leader: Arc<Leader>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) liveness: Arc<dyn Liveness>,
    pub(crate) placement: Arc<ArcSwap<Placement>>,
}

impl Repairs {
    /// No repairs yet.
    pub(crate) fn new(env: Env, means: Means) -> Self {
        let Means { engine, replica, leader, peers, liveness, placement } = means;
        let history = History::open(Arc::clone(&env.disk));
        let hashes = Semaphore::new(engine.settings().concurrent_compactors.max(1));
        let (leads, jobs) = (tokio::sync::Mutex::default(), Mutex::default());
        let (sessions, known, events) = (Sessions::default(), Known::default(), broadcast::channel(EVENTS).0);
        Self {
            env,
            engine,
            replica,
            leader,
            peers,
            liveness,
            placement,
            history,
            late: Late::default(),
            failures: Failures::default(),
            sessions,
            known,
            events,
            leads,
            jobs,
            hashes,
        }
    }

    /// What becomes known of the repairs that this node leads, from now on. Nothing of previews.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Does what the leader of a repair asks, who is known by its host id.
    pub fn answer(self: &Arc<Self>, leader: Uuid, request: Request) -> Answer {
        self.forget_old();
        let now = self.env.clock.mono();
        let mut jobs = self.jobs.lock();
        match request {
            Request::Begin(id, work) => {
                if let Some(job) = jobs.get(&id) {
                    return job.answer();
                }
                jobs.insert(id, Job { state: State::Works, leader, asked_at: now, leaderless_since: None });
                if let Work::SetAside { table, ranges, participants } = &work {
                    self.sessions.begin(Session {
                        id,
                        table: TableId(*table),
                        ranges: ranges.iter().map(|range| of_message(*range)).collect(),
                        coordinator: leader,
                        participants: participants.clone(),
                        state: SessionState::Preparing,
                        updated_at: self.env.clock.wall_seconds(),
                    });
                }
                if let Work::Hash { table, ranges, part, session, .. } = &work {
                    let ranges = ranges.iter().map(|(range, _)| of_message(*range)).collect();
                    let of = Validation::new(id, TableId(*table), ranges, leader, self.now_millis());
                    self.known.begin_validation(Validation {
                        is_incremental: matches!(part, Part::Aside(_)),
                        session: *session,
                        ..of
                    });
                }
                self.env.tasks.spawn_local(Arc::clone(self).work(id, work));
                Answer::Working
            }
            Request::Ask(id) => match jobs.get_mut(&id) {
                Some(job) => {
                    job.asked_at = now;
                    job.answer()
                }
                None => Answer::Unknown,
            },
            Request::Leaves(id) => match jobs.get(&id) {
                Some(Job { state: State::Hashed(trees), .. }) => {
                    Answer::Leaves(trees.iter().map(|tree| tree.leaves().to_vec()).collect())
                }
                _ => Answer::Unknown,
            },
            Request::Forget(id) => {
                if let Some(job) = jobs.remove(&id) {
                    self.give_up(id, &job);
                }
                Answer::Unknown
            }
        }
    }

    /// True while this node takes part in an incremental repair.
    pub(super) fn takes_part(&self, repair: Uuid) -> bool {
        self.jobs.lock().contains_key(&repair)
    }

    /// Forgets work that nobody asks after any more, or whose leader is down, for as long as the node runs.
    pub(crate) async fn forget_when_old(self: Arc<Self>) {
        loop {
            dodona_env::clock::sleep(LOOK).await;
            self.forget_old();
        }
    }

    fn forget_old(&self) {
        let now = self.env.clock.mono();
        let is_old = |job: &mut Job| {
            let is_down = !self.liveness.is_alive(job.leader);
            job.leaderless_since = job.leaderless_since.or(Some(now)).filter(|_| is_down);
            let since = |then: Duration| now.saturating_sub(then);
            since(job.asked_at) >= FORGOTTEN
                || job.leaderless_since.is_some_and(|then| since(then) >= LEADERLESS)
        };
        let mut jobs = self.jobs.lock();
        let old = jobs.extract_if(.., |_, job| is_old(job));
        for (id, job) in old {
            tracing::info!(leader = %job.leader, "a repair is given up: its leader is down, or does not go on with it");
            self.give_up(id, &job);
        }
    }

    pub(super) fn note(&self, session: Uuid, state: SessionState) {
        self.sessions.advance(session, state, self.env.clock.wall_seconds());
    }

    /// What was set aside by work that is forgotten is unrepaired, unless its repair has ended.
    fn give_up(&self, id: Uuid, job: &Job) {
        self.note(id, SessionState::Failed);
        if let State::Aside(table) = job.state
            && let Err(error) = self.engine.end_repair(table, id, None)
        {
            tracing::info!(%error, "a repair was given up");
        }
    }

    async fn work(self: Arc<Self>, id: Uuid, work: Work) {
        let table = work.table();
        let done = match &work {
            Work::Hash { ranges, now_seconds, part, .. } => {
                if let Part::Aside(repair) = part {
                    self.note(*repair, SessionState::Repairing);
                }
                let hashed = self.hash(id, table, empty_trees(ranges), (*part, *now_seconds)).await;
                let failure = hashed.as_ref().err().map(ToString::to_string);
                self.known.end_validation(id, failure, self.now_millis());
                hashed
            }
            Work::Fetch { from, repair: None, .. } => self.fetch(id, table, from).await,
            Work::Fetch { from, repair: Some(repair), .. } => {
                self.fetch_aside(id, table, from, *repair).await
            }
            Work::SetAside { ranges, .. } => self.set_aside(id, table, ranges).await,
            Work::End { repair, began_at, members, .. } => {
                self.end(table, *repair, *began_at, *members).await
            }
        };
        if let Err(error) = &done {
            tracing::info!(%error, "a repair does not go on here");
        }
        let state = done.unwrap_or_else(|error| State::Failed(error.to_string()));
        let mut jobs = self.jobs.lock();
        match jobs.get_mut(&id) {
            Some(job) => job.state = state,
            None => {
                let leader = Uuid::nil();
                self.give_up(id, &Job { state, leader, asked_at: Duration::ZERO, leaderless_since: None });
            }
        }
    }

    /// An error once nobody wants the work any more.
    pub(super) fn check_wanted(&self, id: Uuid) -> Result<(), ClusterError> {
        let is_wanted = self.jobs.lock().contains_key(&id);
        is_wanted.then_some(()).ok_or_else(|| ClusterError::Invalid("the repair was given up".into()))
    }

    pub(super) fn table(&self, id: TableId) -> Result<Arc<Table>, ClusterError> {
        let schema = Arc::clone(&self.placement.load().schema);
        schema.table_by_id(id).cloned().ok_or_else(|| StorageError::NoSuchTable(id).into())
    }

    async fn hash(
        &self,
        id: Uuid,
        table: TableId,
        mut trees: Vec<HashTree>,
        (part, now_seconds): (Part, i64),
    ) -> Result<State, ClusterError> {
        let closed = |_| ClusterError::Invalid("the node stops".into());
        let _turn = self.hashes.acquire().await.map_err(closed)?;
        let table = self.table(table)?;
        let skips = self.env.mutants.has("repair-skips-a-range");
        for tree in trees.iter_mut().skip(usize::from(skips)) {
            for range in parts(&tree.range()) {
                let partitions = PartitionSelection::Range(range.clone());
                let mut command = ReadCommand::everything(table.id, table.epoch, partitions, now_seconds)
                    .hiding(table.dropped_cells());
                let mut rest = range;
                loop {
                    self.check_wanted(id)?;
                    let asked = command.clone();
                    let hash = move |engine: &Engine| {
                        let mut hashed = Vec::new();
                        let next =
                            engine.hash_partitions(&asked, HASH_BYTES, part, &mut |one| hashed.push(one))?;
                        Ok((hashed, next))
                    };
                    let (hashed, next) = on_engine(&self.env.tasks, &self.engine, hash).await?;
                    let bytes: usize = hashed.iter().map(|partition| partition.bytes).sum();
                    let partitions = hashed.len() as u64;
                    self.known.advance_validation(id, partitions, bytes as u64, self.now_millis());
                    hashed.into_iter().for_each(|partition| tree.add(partition));
                    let Some(next) = next else { break };
                    rest.start = next;
                    command.partitions = PartitionSelection::Range(rest.clone());
                    let pause = self.engine.pace(bytes as u64);
                    if pause.is_zero() {
                        tokio::task::yield_now().await;
                    } else {
                        dodona_env::clock::sleep(pause).await;
                    }
                }
            }
        }
        Ok(State::Hashed(trees))
    }

    /// What others hold is read and written here with this.
    pub(crate) fn puller<'a>(&'a self, progress: &'a Progress) -> Puller<'a> {
        Puller { env: &self.env, engine: &self.engine, replica: &self.replica, peers: &self.peers, progress }
    }

    async fn fetch(
        &self,
        id: Uuid,
        table: TableId,
        from: &[(Uuid, Vec<Range>)],
    ) -> Result<State, ClusterError> {
        let table = self.table(table)?;
        let progress = Progress::default();
        let puller = self.puller(&progress);
        for (member, range) in self.places(from)? {
            self.check_wanted(id)?;
            puller.pull(member.internode, &table, &range).await?;
        }
        if !self.env.mutants.has("repair-no-sync") {
            puller.sync().await?;
        }
        Ok(State::fetched(&progress))
    }

    /// From whom which ranges are fetched.
    pub(super) fn places(
        &self,
        from: &[(Uuid, Vec<Range>)],
    ) -> Result<Vec<(Member, PartitionRange)>, ClusterError> {
        let placement = self.placement.load();
        let mut places = Vec::new();
        for (host, ranges) in from {
            let member = placement.ring.member(*host);
            let member =
                member.ok_or_else(|| ClusterError::Invalid(format!("{host} is not a member any more")))?;
            let ranges = ranges.iter().flat_map(|range| parts(&of_message(*range)));
            places.extend(ranges.map(|range| (member.clone(), range)));
        }
        Ok(places)
    }
}

impl State {
    /// What was fetched.
    pub(super) fn fetched(progress: &Progress) -> Self {
        let (partitions, bytes) = (progress.partitions.load(Relaxed), progress.bytes.load(Relaxed));
        Self::Fetched { partitions, bytes }
    }
}

impl Job {
    fn answer(&self) -> Answer {
        match &self.state {
            State::Works => Answer::Working,
            State::Hashed(trees) => Answer::Hashed(trees.iter().map(HashTree::root).collect()),
            State::Fetched { partitions, bytes } => Answer::Fetched(*partitions, *bytes),
            State::Aside(_) | State::Ended => Answer::Done,
            State::Failed(reason) => Answer::Failed(reason.clone()),
        }
    }
}
