//! The acceptor of a node: keeps its state in `system.paxos`, on disk before it answers.

use super::ballot::Ballot;
use super::message::{Request, Step};
use super::state::{Answer, Proposal, State};
use crate::error::ClusterError;
use crate::on_engine::on_engine;
use dodona_env::Env;
use dodona_storage::{Engine, Page, StorageError};
use dodona_types::comparable::encode_component;
use dodona_types::key::ROW_END;
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::row::RowHeader;
use dodona_types::schema::{Schema, Table};
use dodona_types::{
    Cell, CellKind, ColumnId, CqlType, KeyRef, LiveRow, MutationBuilder, MutationView, PartitionKey,
    RowVisitor, TableId, Token,
};
use std::ops::ControlFlow;
use std::sync::Arc;
use uuid::Uuid;

/// Locks that partitions share.
const STRIPES: usize = 256;
/// How long state is kept at least, in seconds: as long as a proposal may be under way (Cassandra
/// keeps it as long as the table's tombstones, and three hours at least).
const MIN_TTL_SECONDS: u32 = 3 * 60 * 60;

/// Where the columns of `system.paxos` are.
#[derive(Clone, Copy, Debug)]
struct Layout {
    table: TableId,
    epoch: u64,
    promised: ColumnId,
    accepted_at: ColumnId,
    accepted: ColumnId,
    committed_at: ColumnId,
    committed: ColumnId,
}

impl Layout {
    fn of(table: &Table) -> Option<Self> {
        let column = |name| table.column(name).map(|column| column.id);
        Some(Self {
            table: table.id,
            epoch: table.epoch,
            promised: column("in_progress_ballot")?,
            accepted_at: column("proposal_ballot")?,
            accepted: column("proposal")?,
            committed_at: column("most_recent_commit_at")?,
            committed: column("most_recent_commit")?,
        })
    }
}

/// What an acceptor knows of a partition.
pub struct Learnt {
    /// The clustering key of the table's row ([`clustering`]).
    pub row: Vec<u8>,
    /// The partition's key.
    pub key: Vec<u8>,
    /// Its state.
    pub state: State,
}

/// The acceptor of a node.
pub struct Acceptor {
    env: Env,
    engine: Arc<Engine>,
    layout: Option<Layout>,
    /// One request at a time works on a partition.
    locks: Vec<tokio::sync::Mutex<()>>,
}

impl Acceptor {
    /// An acceptor whose state is in the schema's `system.paxos`. Without that table it takes no
    /// requests.
    #[must_use]
    pub fn new(env: Env, engine: Arc<Engine>, schema: &Schema) -> Self {
        let layout = schema.table("system", "paxos").and_then(|table| Layout::of(table));
        let locks = (0..STRIPES).map(|_| tokio::sync::Mutex::new(())).collect();
        Self { env, engine, layout, locks }
    }

    /// Does what a proposer asks.
    ///
    /// # Errors
    /// The engine does not read or write, or the mutation is malformed.
    pub async fn handle(&self, request: Request, gc_grace_seconds: u32) -> Result<Answer, ClusterError> {
        let Some(layout) = self.layout else {
            return Err(ClusterError::Invalid("there is no table system.paxos".into()));
        };
        let Request { step, table, key, proposal } = request;
        let stripe = (Token::of_key(&key).ordinal() >> 56) as usize % STRIPES;
        let _alone = self.locks[stripe].lock().await;
        let Stored { mut state, timestamp_micros } = self.load(&layout, table, &key).await?;
        if self.env.mutants.has("paxos-forgets-promises") {
            state.promised = Ballot::NONE;
        }
        let mut save = true;
        let mut mutations = Vec::new();
        let answer = match step {
            Step::Prepare => state.prepare(proposal.ballot),
            Step::Propose => state.propose(proposal),
            Step::Commit => {
                if !proposal.mutation.is_empty() {
                    mutations.push(proposal.mutation.clone());
                }
                save = state.commit(proposal);
                Answer::Accepted
            }
        };
        if save && !matches!(answer, Answer::Refused(_)) {
            let ttl_seconds = gc_grace_seconds.max(MIN_TTL_SECONDS);
            mutations.push(self.encode(&layout, table, &key, &state, timestamp_micros, ttl_seconds));
        }
        self.write(&mutations, step).await?;
        Ok(answer)
    }

    /// Takes over what another acceptor has promised, accepted and heard of as chosen, where that is
    /// later than what is known here: for a node that takes its place.
    ///
    /// # Errors
    /// The engine does not read or write.
    pub async fn learn(
        &self,
        table: TableId,
        key: &[u8],
        theirs: State,
        gc_grace_seconds: u32,
    ) -> Result<(), ClusterError> {
        let Some(layout) = self.layout else { return Ok(()) };
        let stripe = (Token::of_key(key).ordinal() >> 56) as usize % STRIPES;
        let _alone = self.locks[stripe].lock().await;
        let Stored { state, timestamp_micros } = self.load(&layout, table, key).await?;
        let both = state.clone().with(theirs);
        if both == state {
            return Ok(());
        }
        let ttl_seconds = gc_grace_seconds.max(MIN_TTL_SECONDS);
        let mutation = self.encode(&layout, table, key, &both, timestamp_micros, ttl_seconds);
        self.write(&[mutation], Step::Propose).await
    }

    /// The states in a page of `system.paxos`.
    ///
    /// # Errors
    /// A row is malformed.
    pub fn states_of(&self, page: &Page, now_seconds: i64) -> Result<Vec<Learnt>, ClusterError> {
        let Some(layout) = self.layout else { return Ok(Vec::new()) };
        let mut collecting = Collecting { layout: &layout, key: Vec::new(), states: Vec::new() };
        let _ = page.show(now_seconds, &mut collecting)?;
        Ok(collecting.states)
    }

    async fn write(&self, mutations: &[Vec<u8>], step: Step) -> Result<(), ClusterError> {
        if mutations.is_empty() {
            return Ok(());
        }
        let views = mutations.iter().map(|bytes| {
            let view = MutationView::parse(bytes)?;
            view.validate()?;
            Ok(view)
        });
        let views = views.collect::<Result<Vec<_>, _>>().map_err(StorageError::Malformed)?;
        // What is chosen and the state that says so are one record of the commit log.
        let position = self.engine.apply_with_room(&views).await?;
        if step == Step::Commit {
            // If it is lost, what was accepted is still there, and will be chosen again.
            self.engine.wait_safe(position).await?;
        } else if !self.env.mutants.has("paxos-no-sync") {
            self.engine.wait_synced(position).await?;
        }
        Ok(())
    }

    async fn load(&self, layout: &Layout, table: TableId, key: &[u8]) -> Result<Stored, ClusterError> {
        let partition = PartitionSelection::Key(PartitionKey::new(key.to_vec().into()));
        let now_seconds = self.env.clock.wall_seconds();
        let command = ReadCommand::everything(layout.table, layout.epoch, partition, now_seconds)
            .of_rows_or_first(vec![clustering(table)?]);
        let mut reading = Reading { layout, stored: Stored::default() };
        match self.engine.try_read(&command, &mut reading) {
            Ok(_) => return Ok(reading.stored),
            Err(StorageError::NeedsDisk) => {}
            Err(error) => return Err(error.into()),
        }
        let read = move |engine: &Engine| engine.read_page(&command, usize::MAX);
        let page = on_engine(&self.env.tasks, &self.engine, read).await?;
        let mut reading = Reading { layout, stored: Stored::default() };
        let _ = page.show(now_seconds, &mut reading)?;
        Ok(reading.stored)
    }

    /// The mutation that writes the state anew, above what was written before.
    fn encode(
        &self,
        layout: &Layout,
        table: TableId,
        key: &[u8],
        state: &State,
        before_micros: i64,
        ttl_seconds: u32,
    ) -> Vec<u8> {
        let timestamp_micros = self.env.clock.wall_micros().max(before_micros + 1);
        let now_seconds = self.env.clock.wall_seconds();
        let expires_at_seconds = now_seconds + i64::from(ttl_seconds);
        let tombstone = CellKind::Tombstone { deleted_at_seconds: now_seconds };
        let value = CellKind::Expiring { ttl_seconds, expires_at_seconds };
        let id = |ballot: Ballot| ballot.to_timeuuid().as_bytes().to_vec();
        let accepted = state.accepted.as_ref();
        let mut cells = vec![
            (layout.promised, Some(id(state.promised))),
            (layout.accepted_at, accepted.map(|proposal| id(proposal.ballot))),
            (layout.accepted, accepted.map(|proposal| proposal.mutation.clone())),
            (layout.committed_at, Some(id(state.committed.ballot))),
            (layout.committed, Some(state.committed.mutation.clone())),
        ];
        cells.sort_by_key(|(column, _)| *column);
        let mut builder = MutationBuilder::new();
        builder.begin(layout.table, layout.epoch, key);
        let clustering = clustering(table).unwrap_or_default();
        builder.row(&clustering, timestamp_micros, &RowHeader::EMPTY, |row| {
            for (column, bytes) in &cells {
                let kind = if bytes.is_some() { value } else { tombstone };
                let value = bytes.as_deref().unwrap_or_default();
                row.push_cell(&Cell { column: *column, path: None, timestamp_micros, kind, value });
            }
        });
        builder.view().bytes().to_vec()
    }
}

/// The clustering key of a table's row.
///
/// # Errors
/// None for an id that is one.
pub fn clustering(table: TableId) -> Result<Vec<u8>, ClusterError> {
    let mut out = Vec::with_capacity(24);
    let encoded = encode_component(&CqlType::Uuid, false, Some(table.0.as_bytes()), &mut out);
    encoded.map_err(|error| ClusterError::Invalid(error.to_string()))?;
    out.push(ROW_END);
    Ok(out)
}

/// State as it was read.
#[derive(Default)]
struct Stored {
    state: State,
    /// The greatest timestamp of its cells.
    timestamp_micros: i64,
}

struct Reading<'a> {
    layout: &'a Layout,
    stored: Stored,
}

impl RowVisitor for Reading<'_> {
    fn partition(&mut self, _: KeyRef<'_>, _: Option<&LiveRow<'_>>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn row(&mut self, _: &[u8], row: &LiveRow<'_>) -> ControlFlow<()> {
        let ballot = |value: &[u8]| Uuid::from_slice(value).map_or(Ballot::NONE, Ballot::from_timeuuid);
        let mut accepted = (None, Vec::new());
        let mut committed = Proposal::default();
        for cell in row.cells() {
            let (layout, value) = (self.layout, cell.value);
            self.stored.timestamp_micros = self.stored.timestamp_micros.max(cell.timestamp_micros);
            match cell.column {
                column if column == layout.promised => self.stored.state.promised = ballot(value),
                column if column == layout.accepted_at => accepted.0 = Some(ballot(value)),
                column if column == layout.accepted => accepted.1 = value.to_vec(),
                column if column == layout.committed_at => committed.ballot = ballot(value),
                column if column == layout.committed => committed.mutation = value.to_vec(),
                _ => {}
            }
        }
        self.stored.state.accepted = accepted.0.map(|ballot| Proposal { ballot, mutation: accepted.1 });
        self.stored.state.committed = committed;
        ControlFlow::Continue(())
    }
}

/// Collects the states of many partitions and tables.
struct Collecting<'a> {
    layout: &'a Layout,
    key: Vec<u8>,
    states: Vec<Learnt>,
}

impl RowVisitor for Collecting<'_> {
    fn partition(&mut self, key: KeyRef<'_>, _: Option<&LiveRow<'_>>) -> ControlFlow<()> {
        self.key = key.bytes.to_vec();
        ControlFlow::Continue(())
    }

    fn row(&mut self, clustering: &[u8], row: &LiveRow<'_>) -> ControlFlow<()> {
        let mut reading = Reading { layout: self.layout, stored: Stored::default() };
        let _ = reading.row(clustering, row);
        let (row, key) = (clustering.to_vec(), self.key.clone());
        self.states.push(Learnt { row, key, state: reading.stored.state });
        ControlFlow::Continue(())
    }
}
