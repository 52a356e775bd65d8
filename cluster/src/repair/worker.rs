//! What a replica does for the leader of a repair: it hashes what it holds, and fetches what it lacks.

use super::history::History;
use super::message::{Answer, Range, Request, Work, empty_trees, of_message};
use super::tree::HashTree;
use crate::counter::Leader;
use crate::error::ClusterError;
use crate::liveness::Liveness;
use crate::on_engine::on_engine;
use crate::placement::Placement;
use crate::replica::Replica;
use crate::ring::Member;
use crate::streaming::fetcher::{Aside, Puller};
use crate::streaming::{Progress, parts};
use crate::transport::Peers;
use arc_swap::ArcSwap;
use dodona_env::Env;
use dodona_storage::{Engine, Part, StorageError};
use dodona_types::TableId;
use dodona_types::read_command::{PartitionRange, PartitionSelection, ReadCommand};
use dodona_types::schema::Table;
use dodona_types::token::TokenRange;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Bytes that are read at a time to be hashed.
const HASH_BYTES: usize = 1 << 20;
/// How long work goes on, and is remembered, that nobody asks after.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// How often, and with which pauses, it is tried to set files aside that compactions work on.
const ASIDE_TRIES: usize = 300;
const ASIDE_PAUSE: Duration = Duration::from_millis(200);

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
    /// Held while the node leads one: one after another.
    pub(super) leads: tokio::sync::Mutex<()>,
    jobs: Mutex<BTreeMap<Uuid, Job>>,
    /// One table is hashed at a time.
    hashes: Semaphore,
}

struct Job {
    state: State,
    /// Monotonic time at which it was last asked after.
    asked_at: Duration,
}

enum State {
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
        let (leads, jobs, hashes) = (tokio::sync::Mutex::default(), Mutex::default(), Semaphore::new(1));
        Self { env, engine, replica, leader, peers, liveness, placement, history, leads, jobs, hashes }
    }

    /// Does what the leader of a repair asks.
    pub fn answer(self: &Arc<Self>, request: Request) -> Answer {
        self.forget_old();
        let now = self.env.clock.mono();
        let mut jobs = self.jobs.lock();
        match request {
            Request::Begin(id, work) => {
                if let Some(job) = jobs.get(&id) {
                    return job.answer();
                }
                jobs.insert(id, Job { state: State::Works, asked_at: now });
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

    /// Forgets work that nobody asks after any more, for as long as the node runs.
    pub(crate) async fn forget_when_old(self: Arc<Self>) {
        loop {
            dodona_env::clock::sleep(FORGOTTEN / 10).await;
            self.forget_old();
        }
    }

    fn forget_old(&self) {
        let now = self.env.clock.mono();
        let mut jobs = self.jobs.lock();
        let old = jobs.extract_if(.., |_, job| now.saturating_sub(job.asked_at) >= FORGOTTEN);
        old.for_each(|(id, job)| self.give_up(id, &job));
    }

    /// What was set aside by work that is forgotten is unrepaired, unless its repair has ended.
    fn give_up(&self, id: Uuid, job: &Job) {
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
                self.hash(id, table, empty_trees(ranges), (*part, *now_seconds)).await
            }
            Work::Fetch { from, repair: None, .. } => self.fetch(id, table, from).await,
            Work::Fetch { from, repair: Some(repair), .. } => {
                self.fetch_aside(id, table, from, *repair).await
            }
            Work::SetAside { ranges, .. } => self.set_aside(id, table, ranges).await,
            Work::End { repair, began_at, .. } => {
                let (repair, began_at) = (*repair, *began_at);
                let end = move |engine: &Engine| engine.end_repair(table, repair, Some(began_at));
                on_engine(self.env.tasks, &self.engine, end).await.map(|_| State::Ended)
            }
        };
        if let Err(error) = &done {
            tracing::info!(%error, "a repair does not go on here");
        }
        let state = done.unwrap_or_else(|error| State::Failed(error.to_string()));
        let mut jobs = self.jobs.lock();
        match jobs.get_mut(&id) {
            Some(job) => job.state = state,
            None => self.give_up(id, &Job { state, asked_at: Duration::ZERO }),
        }
    }

    /// An error once nobody wants the work any more.
    fn check_wanted(&self, id: Uuid) -> Result<(), ClusterError> {
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
                let mut command = ReadCommand::everything(table.id, table.epoch, partitions, now_seconds);
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
                    let (hashed, next) = on_engine(self.env.tasks, &self.engine, hash).await?;
                    let bytes: usize = hashed.iter().map(|partition| partition.bytes).sum();
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
    fn places(&self, from: &[(Uuid, Vec<Range>)]) -> Result<Vec<(Member, PartitionRange)>, ClusterError> {
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

    /// Fetches what others have set aside for a repair, to be a part of it here.
    async fn fetch_aside(
        &self,
        id: Uuid,
        table: TableId,
        from: &[(Uuid, Vec<Range>)],
        repair: Uuid,
    ) -> Result<State, ClusterError> {
        let progress = Progress::default();
        let puller = self.puller(&progress);
        let arrivals = Arc::new(Mutex::new(self.engine.begin_arrivals(table, repair)?));
        let aside = Aside { repair, arrivals: Arc::clone(&arrivals) };
        let table = self.table(table)?;
        let pull = async {
            for (member, range) in self.places(from)? {
                self.check_wanted(id)?;
                puller.pull_aside(member.internode, &table, &range, &aside).await?;
            }
            Ok(())
        };
        let pulled: Result<(), ClusterError> = pull.await;
        let end = move |engine: &Engine| {
            let mut arrivals = arrivals.lock();
            match pulled {
                Ok(()) => engine.finish_arrivals(&mut arrivals).map_err(ClusterError::from),
                Err(error) => {
                    engine.discard_arrivals(&mut arrivals);
                    Err(error)
                }
            }
        };
        on_engine(self.env.tasks, &self.engine, move |engine| Ok(end(engine))).await??;
        Ok(State::fetched(&progress))
    }

    /// Sets aside for a repair what is not repaired of ranges; nothing of it if that does not work.
    async fn set_aside(&self, repair: Uuid, table: TableId, ranges: &[Range]) -> Result<State, ClusterError> {
        let done = self.try_to_set_aside(repair, table, ranges).await;
        if done.is_err() {
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
            if on_engine(self.env.tasks, &self.engine, begin).await? {
                return Ok(State::Aside(table));
            }
            dodona_env::clock::sleep(ASIDE_PAUSE).await;
        }
        Err(ClusterError::Invalid("compactions of the table do not end: try again later".into()))
    }
}

impl State {
    fn fetched(progress: &Progress) -> Self {
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
