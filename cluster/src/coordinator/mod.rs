//! The coordinator: brings a request to the replicas that hold its partition, and waits for as
//! many of them as its consistency level asks for.
//!
//! Where this node is the only replica, a request is executed at once on the caller's turn
//! ([`Coordinator::try_write`], [`Coordinator::try_read`]); everything else is asynchronous.

pub mod conditional;
mod counter;
pub mod plan;

use crate::counter::Leader;
use crate::error::ClusterError;
use crate::message::Body;
use crate::placement::Placement;
use crate::replica::Replica;
use crate::timestamp::Timestamps;
use crate::transport::Peers;
use arc_swap::ArcSwap;
use dodona_env::{Env, Random};
use dodona_storage::reconcile::merge_answers;
use dodona_storage::{Engine, Page, StorageError};
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::{Consistency, MutationView, RowVisitor, TableId, Token};
use plan::Plan;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

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

/// What came of a try to write at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryWrite {
    /// Applied; acknowledge it once [`Coordinator::wait_safe`] has returned for this position.
    Applied(u64),
    /// It takes other nodes, or must wait: use [`Coordinator::write`].
    NotHere,
}

/// What came of a try to read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRead {
    /// All rows were shown.
    Shown,
    /// It takes other nodes or the disk: forget what was shown, and use [`Coordinator::read_page`].
    NotHere,
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
    leader: Leader,
}

/// What a coordinator uses of its own node.
pub(crate) struct Local {
    pub(crate) engine: Arc<Engine>,
    pub(crate) replica: Arc<Replica>,
    pub(crate) leader: Leader,
}

/// Stripes of partitions whose conditional requests take turns.
const TURNS: usize = 256;

impl Coordinator {
    pub(crate) fn new(
        env: Env,
        local: Local,
        peers: Arc<Peers>,
        placement: Arc<ArcSwap<Placement>>,
        timeouts: Timeouts,
        timestamps: Arc<Timestamps>,
    ) -> Self {
        let Local { engine, replica, leader } = local;
        let random = env.random.split("coordinator");
        let turns = (0..TURNS).map(|_| tokio::sync::Mutex::new(())).collect();
        Self { env, engine, replica, peers, placement, timeouts, timestamps, random, turns, leader }
    }

    fn plan(&self, table: TableId, token: Token, consistency: Consistency) -> Result<Plan, ClusterError> {
        Plan::new(&self.placement.load(), table, token, consistency)
    }

    /// Applies mutations at once, if this node is the only replica of each of them and memtables
    /// have room. Several mutations are one record of the commit log.
    ///
    /// # Errors
    /// Too few replicas exist for the level; the engine does not take the write.
    pub fn try_write(
        &self,
        mutations: &[MutationView<'_>],
        consistency: Consistency,
    ) -> Result<TryWrite, ClusterError> {
        let placement = self.placement.load();
        for mutation in mutations {
            if !placement.only_here(mutation.table, consistency)? {
                return Ok(TryWrite::NotHere);
            }
        }
        if self.engine.must_wait() {
            return Ok(TryWrite::NotHere);
        }
        Ok(TryWrite::Applied(self.engine.apply(mutations)?))
    }

    /// Notes that the node ends cleanly: everything is on disk.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn end(&self) -> Result<(), ClusterError> {
        self.leader.end().await
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

    /// Writes encoded mutations, and returns once enough replicas have each.
    ///
    /// # Errors
    /// Too few replicas exist, answer in time, or take the write.
    pub async fn write(&self, mutations: &[Vec<u8>], consistency: Consistency) -> Result<(), ClusterError> {
        let views = mutations.iter().map(|bytes| MutationView::parse(bytes)).collect::<Result<Vec<_>, _>>();
        let views = views.map_err(StorageError::from)?;
        let plans = views
            .iter()
            .map(|view| self.plan(view.table, view.key.token, consistency))
            .collect::<Result<Vec<_>, _>>()?;
        if plans.iter().all(|plan| plan.only_local()) {
            self.engine.wait_for_room().await;
            let position = self.engine.apply(&views)?;
            return self.wait_safe(position).await;
        }
        for (plan, mutation) in plans.iter().zip(mutations) {
            self.write_one(plan, mutation).await?;
        }
        Ok(())
    }

    async fn write_one(&self, plan: &Plan, mutation: &[u8]) -> Result<(), ClusterError> {
        let (answers, mut answered) = mpsc::channel(plan.replicas.len().max(1));
        for replica in &plan.replicas {
            let (answers, mutation) = (answers.clone(), mutation.to_vec());
            let (local, peers, timeout) =
                (Arc::clone(&self.replica), Arc::clone(&self.peers), self.timeouts.write);
            let address = (!replica.local).then_some(replica.internode);
            self.env.tasks.spawn_local(async move {
                let answer = match address {
                    None => local.mutate(&mutation).await.map_err(ClusterError::from),
                    Some(peer) => expect_mutated(peers.ask(peer, Body::Mutate(mutation), timeout).await),
                };
                // The coordinator may have enough answers already.
                let _ = answers.send(answer).await;
            });
        }
        drop(answers);
        let mut gather = Gather::new(plan);
        let gathered = async {
            while gather.received < plan.block_for {
                match answered.recv().await {
                    Some(Ok(())) => gather.received += 1,
                    Some(Err(error)) => gather.fail(&error),
                    None => break,
                }
            }
        };
        let _ = tokio::time::timeout(self.timeouts.write, gathered).await;
        gather.write_result()
    }

    /// Executes a read at once and shows its rows where they lie, if this node holds them all.
    ///
    /// # Errors
    /// Too few replicas exist for the level; a file is damaged.
    pub fn try_read(
        &self,
        command: &ReadCommand,
        consistency: Consistency,
        visitor: &mut dyn RowVisitor,
    ) -> Result<TryRead, ClusterError> {
        if !self.placement.load().only_here(command.table, consistency)? {
            return Ok(TryRead::NotHere);
        }
        match self.engine.try_read(command, visitor) {
            Ok(_) => Ok(TryRead::Shown),
            Err(StorageError::NeedsDisk) => Ok(TryRead::NotHere),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a page of at most about `max_bytes`.
    ///
    /// # Errors
    /// Too few replicas exist, answer in time, or can read.
    pub async fn read_page(
        &self,
        command: ReadCommand,
        consistency: Consistency,
        max_bytes: usize,
    ) -> Result<Page, ClusterError> {
        let token = match &command.partitions {
            PartitionSelection::Key(key) => key.token(),
            PartitionSelection::Range(_) => Token::MIN,
        };
        let mut plan = self.plan(command.table, token, consistency)?;
        if plan.only_local() {
            let engine = Arc::clone(&self.engine);
            let read = self.env.tasks.blocking(move || engine.read_page(&command, max_bytes)).await;
            return Ok(read.map_err(|error| ClusterError::Invalid(error.to_string()))??);
        }
        if matches!(command.partitions, PartitionSelection::Range(_)) {
            plan.ask_all_members(&self.placement.load());
        }
        self.read_from_replicas(&plan, command, max_bytes).await
    }

    async fn read_from_replicas(
        &self,
        plan: &Plan,
        command: ReadCommand,
        max_bytes: usize,
    ) -> Result<Page, ClusterError> {
        let (answers, mut answered) = mpsc::channel(plan.replicas.len().max(1));
        let encoded = command.encode();
        for replica in &plan.replicas {
            let (answers, encoded) = (answers.clone(), encoded.clone());
            let (local, peers, timeout) =
                (Arc::clone(&self.replica), Arc::clone(&self.peers), self.timeouts.read);
            let (address, command) = ((!replica.local).then_some(replica.internode), command.clone());
            self.env.tasks.spawn_local(async move {
                let answer = match address {
                    None => local.read(command).await.map_err(ClusterError::from),
                    Some(peer) => expect_found(peers.ask(peer, Body::Read(encoded), timeout).await),
                };
                // The coordinator may have enough answers already.
                let _ = answers.send(answer).await;
            });
        }
        drop(answers);
        let mut gather = Gather::new(plan);
        let mut found = Vec::new();
        let gathered = async {
            while gather.received < plan.block_for {
                match answered.recv().await {
                    Some(Ok(answer)) => {
                        gather.received += 1;
                        found.push(answer);
                    }
                    Some(Err(error)) => gather.fail(&error),
                    None => break,
                }
            }
        };
        let _ = tokio::time::timeout(self.timeouts.read, gathered).await;
        gather.read_result()?;
        if self.env.mutants.has("read-first-answer-only") {
            found.truncate(1);
        }
        Ok(merge_answers(&command, &found, max_bytes)?)
    }
}

fn expect_mutated(answer: Result<Body, ClusterError>) -> Result<(), ClusterError> {
    match answer? {
        Body::Mutated => Ok(()),
        Body::Failed(reason) => Err(ClusterError::Invalid(reason)),
        _ => Err(ClusterError::Peer("an answer to another request".into())),
    }
}

fn expect_found(answer: Result<Body, ClusterError>) -> Result<Vec<u8>, ClusterError> {
    match answer? {
        Body::Found(found) => Ok(found),
        Body::Failed(reason) => Err(ClusterError::Invalid(reason)),
        _ => Err(ClusterError::Peer("an answer to another request".into())),
    }
}

/// Counts answers.
struct Gather<'a> {
    plan: &'a Plan,
    received: u32,
    failures: u32,
    reason: Option<String>,
}

impl<'a> Gather<'a> {
    const fn new(plan: &'a Plan) -> Self {
        Self { plan, received: 0, failures: 0, reason: None }
    }

    /// A peer that is not reached is one that did not answer; one that says no has failed.
    fn fail(&mut self, error: &ClusterError) {
        if !matches!(error, ClusterError::Peer(_)) {
            self.failures += 1;
            self.reason.get_or_insert_with(|| error.to_string());
        }
    }

    fn write_result(self) -> Result<(), ClusterError> {
        let Self { plan: Plan { consistency, block_for, .. }, received, failures, reason } = self;
        let (consistency, block_for) = (*consistency, *block_for);
        match reason {
            _ if received >= block_for => Ok(()),
            Some(reason) => {
                Err(ClusterError::WriteFailure { consistency, received, block_for, failures, reason })
            }
            None => Err(ClusterError::WriteTimeout { consistency, received, block_for }),
        }
    }

    fn read_result(self) -> Result<(), ClusterError> {
        let Self { plan: Plan { consistency, block_for, .. }, received, failures, reason } = self;
        let (consistency, block_for, data_present) = (*consistency, *block_for, received > 0);
        match reason {
            _ if received >= block_for => Ok(()),
            Some(reason) => Err(ClusterError::ReadFailure {
                consistency,
                received,
                block_for,
                failures,
                reason,
                data_present,
            }),
            None => Err(ClusterError::ReadTimeout { consistency, received, block_for, data_present }),
        }
    }
}
