//! What a replica does for the leader of a repair: it hashes what it holds, and fetches what it lacks.

use super::history::History;
use super::message::{Answer, Request, Work, empty_trees, of_message};
use super::tree::HashTree;
use crate::counter::Leader;
use crate::error::ClusterError;
use crate::liveness::Liveness;
use crate::on_engine::on_engine;
use crate::placement::Placement;
use crate::replica::Replica;
use crate::streaming::fetcher::Puller;
use crate::streaming::{Progress, parts};
use crate::transport::Peers;
use arc_swap::ArcSwap;
use dodona_env::Env;
use dodona_storage::{Engine, StorageError};
use dodona_types::TableId;
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::schema::Table;
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
    Fetched { partitions: u64, bytes: u64 },
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
        let now = self.env.clock.mono();
        let mut jobs = self.jobs.lock();
        jobs.retain(|_, job| now.saturating_sub(job.asked_at) < FORGOTTEN);
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
                jobs.remove(&id);
                Answer::Unknown
            }
        }
    }

    async fn work(self: Arc<Self>, id: Uuid, work: Work) {
        let done = match &work {
            Work::Hash { table, ranges, now_seconds } => {
                self.hash(id, TableId(*table), empty_trees(ranges), *now_seconds).await
            }
            Work::Fetch { table, from } => self.fetch(id, TableId(*table), from).await,
        };
        if let Err(error) = &done {
            tracing::info!(%error, "a repair does not go on here");
        }
        if let Some(job) = self.jobs.lock().get_mut(&id) {
            job.state = done.unwrap_or_else(|error| State::Failed(error.to_string()));
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
        now_seconds: i64,
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
                            engine.hash_partitions(&asked, HASH_BYTES, None, &mut |one| hashed.push(one))?;
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
        from: &[(Uuid, Vec<(i64, i64)>)],
    ) -> Result<State, ClusterError> {
        let table = self.table(table)?;
        let progress = Progress::default();
        let puller = self.puller(&progress);
        for (host, ranges) in from {
            let member = self.placement.load().ring.member(*host).cloned();
            let member =
                member.ok_or_else(|| ClusterError::Invalid(format!("{host} is not a member any more")))?;
            for range in ranges.iter().flat_map(|range| parts(&of_message(*range))) {
                self.check_wanted(id)?;
                puller.pull(member.internode, &table, &range).await?;
            }
        }
        if !self.env.mutants.has("repair-no-sync") {
            puller.sync().await?;
        }
        Ok(State::Fetched {
            partitions: progress.partitions.load(Relaxed),
            bytes: progress.bytes.load(Relaxed),
        })
    }
}

impl Job {
    fn answer(&self) -> Answer {
        match &self.state {
            State::Works => Answer::Working,
            State::Hashed(trees) => Answer::Hashed(trees.iter().map(HashTree::root).collect()),
            State::Fetched { partitions, bytes } => Answer::Fetched(*partitions, *bytes),
            State::Failed(reason) => Answer::Failed(reason.clone()),
        }
    }
}
