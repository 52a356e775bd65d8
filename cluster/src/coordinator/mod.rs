//! The coordinator: brings a request to the replicas that hold its partition, and waits for as
//! many of them as its consistency level asks for.
//!
//! Where this node is the only replica, a request is executed at once on the caller's turn
//! ([`Coordinator::try_write`], [`Coordinator::try_read`]); everything else is asynchronous.

mod asking;
mod batch;
pub mod conditional;
mod counter;
pub mod explain;
mod forwarding;
mod gather;
pub mod hint_sink;
mod latency;
pub mod plan;
mod proposer;
mod range;
mod read;
mod repair;
pub mod served;
pub mod speculate;
mod tables;
mod tracing_notes;
mod truncate;
mod write;

pub use read::TryRead;
pub use write::TryWrite;

use crate::batch_log;
use crate::counter::Leader;
use crate::error::ClusterError;
use crate::liveness::Liveness;
use crate::placement::Placement;
use crate::replica::Replica;
use crate::timestamp::Timestamps;
use crate::transport::Peers;
use arc_swap::ArcSwap;
use dodona_env::{Env, Random};
use dodona_storage::Engine;
use dodona_types::{Consistency, TableId, Token};
use hint_sink::HintSink;
use latency::Latencies;
use plan::{Defects, Pending, Plan, Planner};
use served::Served;
use std::sync::Arc;
use std::time::Duration;
use tables::Tables;

/// How long a coordinator waits for replicas.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a read.
    pub read: Duration,
    /// For a write.
    pub write: Duration,
    /// For a conditional write or a SERIAL read, with all its tries.
    pub contention: Duration,
}

impl Default for Timeouts {
    /// What `cassandra.yaml` has.
    fn default() -> Self {
        Self {
            read: Duration::from_secs(5),
            write: Duration::from_secs(2),
            contention: Duration::from_millis(1_800),
        }
    }
}

/// Coordinates requests on behalf of clients.
pub struct Coordinator {
    env: Env,
    engine: Arc<Engine>,
    replica: Arc<Replica>,
    peers: Arc<Peers>,
    placement: Arc<ArcSwap<Placement>>,
    timeouts: Timeouts,
    timestamps: Arc<Timestamps>,
    random: Random,
    /// Held by conditional requests on a partition of each stripe.
    turns: Vec<tokio::sync::Mutex<()>>,
    leader: Arc<Leader>,
    batches: Arc<batch_log::Store>,
    liveness: Arc<dyn Liveness>,
    hints: Arc<dyn HintSink>,
    latencies: Arc<Latencies>,
    tables: Tables,
    served: Served,
}

/// What a coordinator uses of its own node.
pub(crate) struct Local {
    pub(crate) engine: Arc<Engine>,
    pub(crate) replica: Arc<Replica>,
    pub(crate) leader: Arc<Leader>,
    pub(crate) batches: Arc<batch_log::Store>,
}

/// How a coordinator deals with other nodes.
pub(crate) struct Others {
    /// Brings them requests.
    pub(crate) peers: Arc<Peers>,
    /// Tells which of them answer.
    pub(crate) liveness: Arc<dyn Liveness>,
    /// Keeps what they have missed.
    pub(crate) hints: Arc<dyn HintSink>,
}

/// How often it is looked whether news of the members have come.
const STALE_PAUSE: Duration = Duration::from_millis(5);
/// Stripes of partitions whose conditional requests take turns.
const TURNS: usize = 256;

impl Coordinator {
    pub(crate) fn new(
        env: Env,
        local: Local,
        others: Others,
        placement: Arc<ArcSwap<Placement>>,
        timeouts: Timeouts,
        timestamps: Arc<Timestamps>,
    ) -> Self {
        let Local { engine, replica, leader, batches } = local;
        let Others { peers, liveness, hints } = others;
        let random = env.random.split("coordinator");
        let turns = (0..TURNS).map(|_| tokio::sync::Mutex::new(())).collect();
        let latencies = Arc::new(Latencies::new(Arc::clone(&env.clock)));
        Self {
            env,
            engine,
            replica,
            peers,
            placement,
            timeouts,
            timestamps,
            random,
            turns,
            leader,
            batches,
            liveness,
            hints,
            latencies,
            tables: Tables::default(),
            served: Served::default(),
        }
    }

    fn planner<'a>(&'a self, placement: &'a Placement) -> Planner<'a> {
        Planner {
            placement,
            liveness: &*self.liveness,
            keeps_hints: self.hints.keeps(),
            defects: Defects {
                counts_dead: self.env.mutants.has("plan-counts-dead"),
                forgets_shares: self.env.mutants.has("each-quorum-takes-any"),
                takes_all_for_near: self.env.mutants.has("local-levels-take-any"),
            },
            pending: if self.env.mutants.has("pending-not-written") {
                Pending::Forgotten
            } else if self.env.mutants.has("pending-not-waited-for") {
                Pending::Written
            } else {
                Pending::Awaited
            },
        }
    }

    /// The plan of a write or of a conditional request.
    fn plan(&self, table: TableId, token: Token, consistency: Consistency) -> Result<Plan, ClusterError> {
        self.planner(&self.placement.load()).write(table, token, consistency)
    }

    /// Waits until this node knows of members that others know of.
    ///
    /// # Errors
    /// [`ClusterError::Stale`] if it takes too long.
    async fn follow_members(&self, version: u64) -> Result<(), ClusterError> {
        let known = async {
            while self.placement.load().version < version {
                dodona_env::clock::sleep(STALE_PAUSE).await;
            }
        };
        let waited = tokio::time::timeout(self.timeouts.write, known).await;
        waited.map_err(|_| ClusterError::Stale(version))
    }

    /// Notes that the node ends cleanly: everything is on disk.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn end(&self) -> Result<(), ClusterError> {
        self.leader.end().await
    }

    /// Counts in new shards of counters from now on: this node's may come back as they once were.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) async fn count_anew(&self) -> Result<(), ClusterError> {
        self.leader.begin_anew().await
    }

    /// True if the write behind a position counts as safe already.
    #[must_use]
    pub fn is_safe(&self, position: u64) -> bool {
        self.engine.is_safe(position)
    }

    /// Waits until the write behind a position counts as safe.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn wait_safe(&self, position: u64) -> Result<(), ClusterError> {
        Ok(self.engine.wait_safe(position).await?)
    }
}
