//! Reads a range of a table from a peer, answer by answer, and writes it here.

use super::Progress;
use super::walk::Walk;
use crate::error::ClusterError;
use crate::message::{Body, NOT_REPAIRED};
use crate::on_engine::on_engine;
use crate::paxos::acceptor::{Learnt, clustering};
use crate::replica::{Replica, encode_read};
use crate::transport::Peers;
use dodona_env::Env;
use dodona_storage::engine::arrivals::Arrivals;
use dodona_storage::reconcile::{Answer, Assembly, MergedAnswers};
use dodona_storage::{Engine, Part, RepairState, StorageError};
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
pub(super) const CHUNK_BYTES: usize = 1 << 20;
/// How long a peer may take for that, with the pauses that its rate asks for.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a peer that breaks off is waited for, and how often it is asked meanwhile.
const COMES_BACK: Duration = Duration::from_secs(20);
const ASK_AGAIN: Duration = Duration::from_millis(250);

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
        self.each_answer(peer, table, range, Part::All, Taking::Mutations, false).await.map(drop)
    }

    /// Reads what a peer has set aside for a repair of a range of a table, to become a part of the repair here.
    ///
    /// # Errors
    /// As [`Self::pull`].
    pub(crate) async fn pull_aside(
        &self,
        peer: SocketAddr,
        table: &Table,
        range: &PartitionRange,
        repair: Uuid,
        arrivals: &Shared,
    ) -> Result<(), ClusterError> {
        self.each_answer(peer, table, range, Part::Aside(repair), Taking::Arrivals(arrivals), false)
            .await
            .map(drop)
    }

    /// Reads a range of a table from a peer, and writes here what is not repaired there. The rest is to be repaired here
    /// as well: it goes to `arrivals`.
    ///
    /// # Errors
    /// As [`Self::pull`].
    pub(crate) async fn pull_apart(
        &self,
        peer: SocketAddr,
        table: &Table,
        range: &PartitionRange,
        arrivals: &Shared,
    ) -> Result<(), ClusterError> {
        let confuses = self.env.mutants.has("fetched-counts-as-repaired");
        let taking = if confuses { Taking::Arrivals(arrivals) } else { Taking::Mutations };
        // In this order: what becomes repaired meanwhile comes twice, in the other one it would not come at all.
        let since = self.each_answer(peer, table, range, Part::Unrepaired, taking, false).await?;
        if since == NOT_REPAIRED {
            return Ok(());
        }
        arrivals.lock().is_repaired_since(since);
        self.each_answer(peer, table, range, Part::Repaired, Taking::Arrivals(arrivals), true).await.map(drop)
    }

    /// Reads what Paxos at a peer knows of a range of a table, and has the acceptor of this node know it. `paxos` is the
    /// table that it lies in.
    ///
    /// # Errors
    /// As [`Self::pull`].
    pub(crate) async fn pull_paxos(
        &self,
        peer: SocketAddr,
        paxos: &Table,
        table: &Table,
        range: &PartitionRange,
    ) -> Result<(), ClusterError> {
        let of = BTreeMap::from([(clustering(table.id)?, (table.id, table.params.gc_grace_seconds))]);
        self.each_answer(peer, paxos, range, Part::All, Taking::Paxos(&of), true).await.map(drop)
    }

    /// Takes in what is repaired elsewhere, and so is here.
    ///
    /// # Errors
    /// The engine does not know the table.
    pub(crate) fn begin_repaired(&self, table: TableId) -> Result<Shared, ClusterError> {
        self.begin_arrivals(table, RepairState::Repaired(NOT_REPAIRED))
    }

    /// Takes in what is, or is to be, in this state.
    ///
    /// # Errors
    /// The engine does not know the table.
    pub(crate) fn begin_arrivals(&self, table: TableId, state: RepairState) -> Result<Shared, ClusterError> {
        Ok(Arc::new(Mutex::new(self.engine.begin_arrivals(table, state)?)))
    }

    /// Has count what has come to a table if all of it has, all at once, and else forgets it.
    ///
    /// # Errors
    /// Not all has come; or this node does not take it.
    pub(crate) async fn end_arrivals(
        &self,
        arrivals: Vec<Shared>,
        come: Result<(), ClusterError>,
    ) -> Result<(), ClusterError> {
        let end = move |engine: &Engine| {
            let mut locked: Vec<_> = arrivals.iter().map(|arrivals| arrivals.lock()).collect();
            let mut all: Vec<&mut Arrivals> = locked.iter_mut().map(|arrivals| &mut **arrivals).collect();
            Ok(match come {
                Ok(()) => engine.finish_all_arrivals(&mut all).map_err(ClusterError::from),
                Err(error) => {
                    all.into_iter().for_each(|arrivals| engine.discard_arrivals(arrivals));
                    Err(error)
                }
            })
        };
        on_engine(&self.env.tasks, self.engine, end).await?
    }

    /// Brings what was written to the disk.
    ///
    /// # Errors
    /// The disk has failed.
    pub(crate) async fn sync(&self) -> Result<(), ClusterError> {
        on_engine(&self.env.tasks, self.engine, Engine::sync_log).await
    }

    /// Asks a peer for a part. One that breaks off after it has `begun` gets time to come back: what came of it so far
    /// would have to come again from another one.
    pub(super) async fn ask(
        &self,
        peer: SocketAddr,
        body: Body,
        begun: bool,
    ) -> Result<Vec<u8>, ClusterError> {
        let mut broke_at = None;
        loop {
            let broken = match self.peers.ask(peer, body.clone(), TIMEOUT).await {
                Ok(Body::Streamed(bytes)) => {
                    self.progress.resumed.fetch_add(u64::from(broke_at.is_some()), Relaxed);
                    return Ok(bytes);
                }
                Ok(Body::Failed(reason)) => return Err(ClusterError::Peer(format!("{peer}: {reason}"))),
                Ok(_) => return Err(ClusterError::Peer("an answer to another request".into())),
                Err(error) => error,
            };
            let now = self.env.clock.mono();
            if !begun || now.saturating_sub(*broke_at.get_or_insert(now)) >= COMES_BACK {
                return Err(broken);
            }
            dodona_env::clock::sleep(ASK_AGAIN).await;
        }
    }

    /// Reads a part of a range of a table from a peer, chunk by chunk. Tells since when what is repaired there is so, if
    /// what is and what is not is asked for apart.
    async fn each_answer(
        &self,
        peer: SocketAddr,
        table: &Table,
        range: &PartitionRange,
        part: Part,
        taking: Taking<'_>,
        mut begun: bool,
    ) -> Result<i64, ClusterError> {
        let mut walk = Walk::new(table, range, self.env.clock.wall_seconds());
        let mut repaired_since = NOT_REPAIRED;
        loop {
            let request = encode_read(walk.command(), CHUNK_BYTES);
            let body = match part {
                Part::All => Body::Stream(request),
                Part::Aside(repair) => Body::StreamAside([&repair.as_bytes()[..], &request].concat()),
                Part::Unrepaired => Body::StreamApart([&[0][..], &request].concat()),
                Part::Repaired => Body::StreamApart([&[1][..], &request].concat()),
            };
            let mut bytes = self.ask(peer, body, std::mem::replace(&mut begun, true)).await?;
            if matches!(part, Part::Unrepaired | Part::Repaired) {
                let since = bytes.first_chunk().copied().map(i64::from_le_bytes);
                let since = since.ok_or_else(|| ClusterError::Peer("an answer without its time".into()))?;
                repaired_since = since.min(repaired_since);
                bytes.drain(..size_of::<i64>());
            }
            let bytes = Arc::new(bytes);
            let answer = Answer::parse(&bytes).map_err(StorageError::from)?;
            match taking {
                Taking::Mutations => self.apply(&answer).await?,
                Taking::Arrivals(arrivals) => self.take(arrivals, Arc::clone(&bytes)).await?,
                Taking::Paxos(tables) => self.learn(walk.command(), &answer, tables).await?,
            }
            self.count(&answer, &bytes);
            if !walk.advance(&answer) {
                return Ok(repaired_since);
            }
        }
    }

    /// Notes an answer for operators.
    pub(super) fn count(&self, answer: &Answer<'_>, bytes: &[u8]) {
        self.progress.partitions.fetch_add(answer.parts.len() as u64, Relaxed);
        self.progress.bytes.fetch_add(bytes.len() as u64, Relaxed);
    }

    async fn apply(&self, answer: &Answer<'_>) -> Result<(), ClusterError> {
        let views: Vec<MutationView<'_>> = answer.parts.iter().map(|part| part.mutation).collect();
        if views.is_empty() {
            return Ok(());
        }
        let position = self.engine.apply_with_room(&views).await?;
        Ok(self.engine.wait_safe(position).await?)
    }

    /// Takes an answer.
    pub(super) async fn take(&self, arrivals: &Shared, bytes: Arc<Vec<u8>>) -> Result<(), ClusterError> {
        let arrivals = Arc::clone(arrivals);
        on_engine(&self.env.tasks, self.engine, move |engine| {
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

/// What comes apart from what is written to the table.
pub(crate) type Shared = Arc<Mutex<Arrivals>>;

/// What is done with answers.
#[derive(Clone, Copy)]
enum Taking<'a> {
    Mutations,
    Arrivals(&'a Shared),
    /// By the clustering key of each table: the table, and how long it keeps tombstones.
    Paxos(&'a BTreeMap<Vec<u8>, (TableId, u32)>),
}
