//! Reads ranges of tables from their replicas, chunk by chunk, and writes them here.

use super::walk::Walk;
use super::{Missing, Progress};
use crate::error::ClusterError;
use crate::liveness::Liveness;
use crate::message::Body;
use crate::on_engine::on_engine;
use crate::paxos::acceptor::{Learnt, clustering};
use crate::placement::Placement;
use crate::replica::{Replica, encode_read};
use crate::ring::Member;
use crate::transport::Peers;
use dodona_env::Env;
use dodona_storage::engine::repair::Arrivals;
use dodona_storage::reconcile::{Answer, Assembly, MergedAnswers};
use dodona_storage::{Engine, StorageError};
use dodona_types::read_command::{PartitionRange, ReadCommand, ReadLimits};
use dodona_types::schema::Table;
use dodona_types::{MutationView, TableId};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use uuid::Uuid;

/// Bytes that are asked for at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// How often it is said how far a fetch is.
const TELL: Duration = Duration::from_secs(10);
/// How long a peer may take for that, with the pauses that its rate asks for.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Fetches ranges for this node.
pub(crate) struct Fetcher<'a> {
    pub(crate) puller: Puller<'a>,
    pub(crate) liveness: &'a dyn Liveness,
    pub(crate) placement: &'a Placement,
}

impl Fetcher<'_> {
    /// Fetches all of this, and brings it to the disk: others may forget it then.
    ///
    /// # Errors
    /// Too few of a range's replicas answer; or this node does not take it.
    pub(crate) async fn fetch_all(&self, missing: &[Missing]) -> Result<(), ClusterError> {
        if self.puller.env.mutants.has("join-skips-fetch") {
            return Ok(());
        }
        let progress = self.puller.progress;
        progress.ranges.store(missing.len() as u64, Relaxed);
        progress.ranges_done.store(0, Relaxed);
        let mut told = self.puller.env.clock.mono();
        for one in missing {
            self.fetch(one).await?;
            let done = 1 + progress.ranges_done.fetch_add(1, Relaxed);
            let now = self.puller.env.clock.mono();
            if now.saturating_sub(told) >= TELL {
                told = now;
                let bytes = progress.bytes.load(Relaxed);
                tracing::info!(done, of = missing.len(), bytes, "fetching what this node is to hold");
            }
        }
        self.puller.sync().await
    }

    async fn fetch(&self, missing: &Missing) -> Result<(), ClusterError> {
        let schema = &self.placement.schema;
        let unknown = || StorageError::NoSuchTable(missing.table);
        let table = schema.table_by_id(missing.table).ok_or_else(unknown)?;
        let needed = missing.needed;
        if needed == 0 {
            tracing::warn!(
                keyspace = %table.keyspace, table = %table.name, range = ?missing.range,
                "no replica is left: what the member that is given up held alone is lost"
            );
        }
        let members = self.placement.ring.members();
        let mut fetched = 0;
        let mut last = None;
        for holder in missing.holders.iter().map(|index| &members[*index]) {
            if fetched == needed {
                break;
            }
            if !self.liveness.is_alive(holder.host) {
                continue;
            }
            match self.fetch_from(holder, table, &missing.range).await {
                Ok(()) => fetched += 1,
                Err(error @ ClusterError::Peer(_)) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        if fetched == needed {
            return Ok(());
        }
        let reason = last.map_or_else(|| "the others are down".to_owned(), |error| error.to_string());
        Err(ClusterError::Peer(format!(
            "a range of {}.{} is held by {} nodes, of which {fetched} could be read and {needed} are needed: {reason}",
            table.keyspace,
            table.name,
            missing.holders.len(),
        )))
    }

    async fn fetch_from(
        &self,
        holder: &Member,
        table: &Table,
        range: &PartitionRange,
    ) -> Result<(), ClusterError> {
        self.puller.pull(holder.internode, table, range).await?;
        let Some(paxos) = self.placement.schema.table("system", "paxos") else { return Ok(()) };
        let of = BTreeMap::from([(clustering(table.id)?, (table.id, table.params.gc_grace_seconds))]);
        self.puller.each_answer(holder.internode, paxos, range, Taking::Paxos(&of)).await
    }
}

/// Reads ranges of tables from peers, and writes them here.
pub(crate) struct Puller<'a> {
    pub(crate) env: &'a Env,
    pub(crate) engine: &'a Arc<Engine>,
    pub(crate) replica: &'a Replica,
    pub(crate) peers: &'a Peers,
    pub(crate) progress: &'a Progress,
}

impl Puller<'_> {
    /// Reads a range of a table from a peer, and writes it here.
    ///
    /// # Errors
    /// The peer does not answer or cannot read; or this node does not take it.
    pub(crate) async fn pull(
        &self,
        peer: SocketAddr,
        table: &Table,
        range: &PartitionRange,
    ) -> Result<(), ClusterError> {
        self.each_answer(peer, table, range, Taking::Mutations).await
    }

    /// Reads what a peer has set aside for a repair of a range of a table, and has it become a part of the repair here.
    ///
    /// # Errors
    /// As [`Self::pull`].
    pub(crate) async fn pull_aside(
        &self,
        peer: SocketAddr,
        table: &Table,
        range: &PartitionRange,
        aside: &Aside,
    ) -> Result<(), ClusterError> {
        self.each_answer(peer, table, range, Taking::Aside(aside)).await
    }

    /// Brings what was written to the disk.
    ///
    /// # Errors
    /// The disk has failed.
    pub(crate) async fn sync(&self) -> Result<(), ClusterError> {
        on_engine(self.env.tasks, self.engine, Engine::sync_log).await
    }

    /// Reads a range of a table from a peer, chunk by chunk.
    async fn each_answer(
        &self,
        peer: SocketAddr,
        table: &Table,
        range: &PartitionRange,
        taking: Taking<'_>,
    ) -> Result<(), ClusterError> {
        let mut walk = Walk::new(table, range, self.env.clock.wall_seconds());
        loop {
            let request = encode_read(walk.command(), CHUNK_BYTES);
            let body = match taking {
                Taking::Aside(aside) => Body::StreamAside([&aside.repair.as_bytes()[..], &request].concat()),
                Taking::Mutations | Taking::Paxos(_) => Body::Stream(request),
            };
            let bytes = match self.peers.ask(peer, body, TIMEOUT).await? {
                Body::Streamed(bytes) => Arc::new(bytes),
                Body::Failed(reason) => return Err(ClusterError::Peer(format!("{peer}: {reason}"))),
                _ => return Err(ClusterError::Peer("an answer to another request".into())),
            };
            let answer = Answer::parse(&bytes).map_err(StorageError::from)?;
            match taking {
                Taking::Mutations => self.apply(&answer).await?,
                Taking::Aside(aside) => self.set_aside(aside, Arc::clone(&bytes)).await?,
                Taking::Paxos(tables) => self.learn(walk.command(), &answer, tables).await?,
            }
            self.progress.partitions.fetch_add(answer.parts.len() as u64, Relaxed);
            self.progress.bytes.fetch_add(bytes.len() as u64, Relaxed);
            if !walk.advance(&answer) {
                return Ok(());
            }
        }
    }

    async fn apply(&self, answer: &Answer<'_>) -> Result<(), ClusterError> {
        let views: Vec<MutationView<'_>> = answer.parts.iter().map(|part| part.mutation).collect();
        if views.is_empty() {
            return Ok(());
        }
        let position = self.engine.apply_with_room(&views).await?;
        Ok(self.engine.wait_safe(position).await?)
    }

    async fn set_aside(&self, aside: &Aside, bytes: Arc<Vec<u8>>) -> Result<(), ClusterError> {
        let arrivals = Arc::clone(&aside.arrivals);
        on_engine(self.env.tasks, self.engine, move |engine| {
            let answer = Answer::parse(&bytes)?;
            let mutations: Vec<MutationView<'_>> = answer.parts.iter().map(|part| part.mutation).collect();
            engine.take_arrivals(&mut arrivals.lock(), &mutations)
        })
        .await
    }

    /// Has the acceptor of this node know what another knows of these tables.
    async fn learn(
        &self,
        command: &ReadCommand,
        answer: &Answer<'_>,
        tables: &BTreeMap<Vec<u8>, (TableId, u32)>,
    ) -> Result<(), ClusterError> {
        let merged = MergedAnswers::new(command, std::slice::from_ref(answer))?;
        let mut assembly = Assembly::new(ReadLimits::NONE, command.now_seconds, usize::MAX);
        assembly.begin(command.clone());
        assembly.take(command, &merged)?;
        let acceptor = self.replica.acceptor();
        for Learnt { row, key, state } in acceptor.states_of(&assembly.finish(), command.now_seconds)? {
            if let Some((table, gc_grace_seconds)) = tables.get(&row) {
                acceptor.learn(*table, &key, state, *gc_grace_seconds).await?;
            }
        }
        Ok(())
    }
}

/// What comes for a repair, beside the table.
pub(crate) struct Aside {
    pub(crate) repair: Uuid,
    pub(crate) arrivals: Arc<Mutex<Arrivals>>,
}

/// What is done with answers.
#[derive(Clone, Copy)]
enum Taking<'a> {
    Mutations,
    Aside(&'a Aside),
    /// By the clustering key of each table: the table, and how long it keeps tombstones.
    Paxos(&'a BTreeMap<Vec<u8>, (TableId, u32)>),
}
