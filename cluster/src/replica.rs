//! A replica: executes what coordinators ask on the local engine.

use crate::error::ClusterError;
use crate::message::{Body, NOT_REPAIRED};
use crate::on_engine::on_engine;
use crate::paxos::acceptor::Acceptor;
use crate::paxos::message::Request;
use crate::paxos::state::Answer;
use crate::placement::Placement;
use crate::snapshots::{Reason, Snapshots};
use crate::stream_sessions::{self, Request as Asked, Sessions};
use crate::trace::{is_on, note};
use crate::transport::{Handler, Peer};
use arc_swap::ArcSwap;
use dodona_env::Env;
use dodona_env::net::BoxFuture;
use dodona_storage::compaction::throttle::Throttle;
use dodona_storage::reconcile::digest::DIGEST_BYTES;
use dodona_storage::sstable::SstableId;
use dodona_storage::{Engine, Part, StorageError};
use dodona_types::codec::{DecodeError, Reader, put_varint};
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::token::TokenRange;
use dodona_types::{MutationView, TableId, Token};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use uuid::Uuid;

/// An answer to a read stops once it has so many bytes that count, and says how far it goes.
pub const MAX_ANSWER_BYTES: usize = 8 << 20;

/// What is streamed waits no longer for its turn: whoever asks would give up.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The body of a request for data or a digest: the most bytes (varint), and the command.
#[must_use]
pub fn encode_read(command: &ReadCommand, max_bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(80);
    put_varint(&mut out, max_bytes as u64);
    out.extend_from_slice(&command.encode());
    out
}

pub(crate) fn decode_read(bytes: &[u8]) -> Result<(ReadCommand, usize), DecodeError> {
    let mut reader = Reader::new(bytes);
    let max_bytes = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
    Ok((ReadCommand::decode(reader.remaining())?, max_bytes))
}

/// An answer to a read, and its digest.
type Answered = (Vec<u8>, [u8; DIGEST_BYTES]);

/// The local engine as peers see it.
pub struct Replica {
    engine: Arc<Engine>,
    env: Env,
    acceptor: Acceptor,
    placement: Arc<ArcSwap<Placement>>,
    snapshots: Snapshots,
    sessions: Sessions,
    /// The rate of what is streamed to other nodes.
    pub streams: Throttle,
    /// Bytes that were.
    pub streamed_bytes: AtomicU64,
}

impl Replica {
    /// A replica on an engine.
    #[must_use]
    pub fn new(
        engine: Arc<Engine>,
        env: Env,
        placement: Arc<ArcSwap<Placement>>,
        snapshots: Snapshots,
        stream_bytes_per_second: u64,
    ) -> Self {
        let acceptor = Acceptor::new(env.clone(), Arc::clone(&engine), &placement.load().schema);
        Self {
            engine,
            sessions: Sessions::new(env.clone()),
            env,
            acceptor,
            placement,
            snapshots,
            streams: Throttle::new(stream_bytes_per_second),
            streamed_bytes: AtomicU64::new(0),
        }
    }

    /// Does what a proposer of Paxos asks.
    ///
    /// # Errors
    /// The table is not known, or the engine does not read or write.
    pub async fn paxos(&self, request: Request) -> Result<Answer, ClusterError> {
        let schema = Arc::clone(&self.placement.load().schema);
        let table = schema.table_by_id(request.table).ok_or(StorageError::NoSuchTable(request.table))?;
        self.acceptor.handle(request, table.params.gc_grace_seconds).await
    }

    /// The acceptor of this node.
    pub(crate) const fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }

    /// Applies a mutation, and returns once it is safe.
    ///
    /// # Errors
    /// The mutation is malformed, or the engine does not take it.
    pub async fn mutate(&self, mutation: &[u8]) -> Result<(), StorageError> {
        let view = MutationView::parse(mutation)?;
        view.validate()?;
        let position = self.engine.apply_with_room(&[view]).await?;
        note(|| "Appended a mutation to the commit log and the memtable");
        self.engine.wait_safe(position).await?;
        note(|| "The commit log has it");
        Ok(())
    }

    /// Removes all rows of a table, after a snapshot if one is due.
    ///
    /// # Errors
    /// The engine cannot, or the snapshot cannot be taken.
    pub async fn truncate(&self, table: TableId) -> Result<(), StorageError> {
        let engine = Arc::clone(&self.engine);
        let (snapshots, schema) = (self.snapshots.clone(), Arc::clone(&self.placement.load().schema));
        let truncate = move || {
            if let Some(table) = schema.table_by_id(table) {
                snapshots.before(Reason::Truncated, &schema, table)?;
            }
            engine.truncate(table)
        };
        let done = self.env.tasks.blocking(truncate).await;
        // Whoever fetches begins anew.
        self.sessions.end_of(table);
        done.map_err(|error| StorageError::LogFailed(error.to_string()))?
    }

    /// Executes a read, and gives what it finds ([`dodona_storage::reconcile::answer`]).
    ///
    /// # Errors
    /// The engine could not read.
    pub async fn read(&self, command: ReadCommand, max_bytes: usize) -> Result<Vec<u8>, StorageError> {
        let (engine, max_bytes) = (Arc::clone(&self.engine), max_bytes.min(MAX_ANSWER_BYTES));
        if let Some((answer, _)) = self.try_read(&command, max_bytes, true)? {
            return Ok(answer);
        }
        let read = self.env.tasks.blocking_read(move || engine.read_answer(&command, max_bytes)).await;
        read.map_err(|error| StorageError::LogFailed(error.to_string()))?
    }

    /// Executes a read for another node that fetches, at the rate for that.
    async fn stream(&self, request: &[u8], part: Part) -> Result<Vec<u8>, StorageError> {
        let (command, max_bytes) = decode_read(request)?;
        let (engine, max_bytes) = (Arc::clone(&self.engine), max_bytes.min(MAX_ANSWER_BYTES));
        let read = self.env.tasks.blocking(move || engine.read_all(&command, max_bytes, part)).await;
        let answer = read.map_err(|error| StorageError::LogFailed(error.to_string()))??;
        self.at_rate(&answer).await;
        Ok(answer)
    }

    /// Waits until it is the turn of what is about to be streamed.
    async fn at_rate(&self, bytes: &[u8]) {
        self.streamed_bytes.fetch_add(bytes.len() as u64, Relaxed);
        let pause = self.streams.pause_after(bytes.len() as u64, self.env.clock.mono());
        if !pause.is_zero() {
            dodona_env::clock::sleep(pause.min(LONGEST_PAUSE)).await;
        }
    }

    /// Does what a node that fetches asks about a session, at the rate for that. None if the session is over.
    async fn on_session(&self, request: &[u8]) -> Result<Option<Vec<u8>>, ClusterError> {
        let (request, read) = Asked::decode(request).map_err(StorageError::from)?;
        let get = |session| self.sessions.get(session);
        let answer = match request {
            Asked::Open { table, ranges, least_bytes } => {
                let range = |(start, end)| TokenRange { start: Token(start), end: Token(end) };
                let ranges: Vec<TokenRange> = ranges.into_iter().map(range).collect();
                let pin = move |engine: &Engine| engine.pin(TableId(table), &ranges, least_bytes);
                let pinned = on_engine(&self.env.tasks, &self.engine, pin).await?;
                let opened = self.sessions.begin(pinned)?;
                return Ok(Some(serde_json::to_vec(&opened).unwrap_or_default()));
            }
            Asked::Piece { session, file, offset, length } => {
                let Some(pinned) = get(session) else { return Ok(None) };
                let length = length.min(MAX_ANSWER_BYTES as u32);
                let piece = move |_: &Engine| pinned.read_file(SstableId(file), offset, length);
                on_engine(&self.env.tasks, &self.engine, piece).await?
            }
            Asked::Rest { session, repaired } => {
                let Some(pinned) = get(session) else { return Ok(None) };
                let (command, max_bytes) = decode_read(read).map_err(StorageError::from)?;
                let part = if repaired { Part::Repaired } else { Part::Unrepaired };
                let most = max_bytes.min(MAX_ANSWER_BYTES);
                let rest = move |engine: &Engine| engine.read_rest(&pinned, &command, most, part);
                on_engine(&self.env.tasks, &self.engine, rest).await?
            }
            Asked::Close(session) => {
                self.sessions.end(session);
                Vec::new()
            }
        };
        self.at_rate(&answer).await;
        Ok(Some(answer))
    }

    /// As [`Self::stream`], behind the second since which what is repaired of the table is so.
    async fn stream_apart(&self, request: &[u8], part: Part) -> Result<Vec<u8>, StorageError> {
        let (command, _) = decode_read(request)?;
        let streamed = self.stream(request, part).await?;
        // Looked at afterwards: what was not streamed as unrepaired is repaired by now.
        let repaired_at = self.engine.repaired_since(command.table)?.unwrap_or(NOT_REPAIRED);
        Ok([&repaired_at.to_le_bytes()[..], &streamed].concat())
    }

    /// Executes a read of one partition on the caller's turn; none if it has to wait, or is long.
    fn try_read(
        &self,
        command: &ReadCommand,
        max_bytes: usize,
        with_data: bool,
    ) -> Result<Option<Answered>, StorageError> {
        if !matches!(command.partitions, PartitionSelection::Key(_)) {
            return Ok(None);
        }
        match self.engine.try_read_answer(command, max_bytes, with_data) {
            Err(StorageError::NeedsDisk) => Ok(None),
            read => read.map(Some),
        }
    }

    /// Executes a read, and gives a digest of what it finds.
    ///
    /// # Errors
    /// The engine could not read.
    pub async fn digest(&self, command: ReadCommand, max_bytes: usize) -> Result<Vec<u8>, StorageError> {
        let (engine, max_bytes) = (Arc::clone(&self.engine), max_bytes.min(MAX_ANSWER_BYTES));
        if let Some((_, digest)) = self.try_read(&command, max_bytes, false)? {
            return Ok(digest.to_vec());
        }
        let read = self.env.tasks.blocking_read(move || engine.read_digest(&command, max_bytes)).await;
        read.map_err(|error| StorageError::LogFailed(error.to_string()))?.map(|digest| digest.to_vec())
    }

    /// Notes what this node is about to look into.
    pub(crate) fn note_sources(&self, command: &ReadCommand) {
        if !is_on() {
            return;
        }
        let Ok(sources) = self.engine.sources_of(command) else { return };
        note(|| format!("Reading {} of {} memtables", sources.holding.len(), sources.memtables));
        for file in &sources.files {
            note(|| format!("SSTable {} may hold it", file.path));
        }
        let by = [
            (sources.left_out_by_tokens, "tokens"),
            (sources.left_out_by_filter.unwrap_or_default(), "filters"),
            (sources.left_out_by_timestamps.unwrap_or_default(), "timestamps"),
        ];
        for (count, why) in by.into_iter().filter(|(count, _)| *count > 0) {
            note(|| format!("Skipping {count} SSTables by their {why}"));
        }
    }
}

impl Handler for Replica {
    /// What is not asked for all the time is boxed: the future has room for the largest of what is not.
    fn handle(self: Arc<Self>, _: Peer, body: Body) -> BoxFuture<'static, Body> {
        Box::pin(async move {
            let answer = match body {
                Body::Mutate(mutation) => self.mutate(&mutation).await.map(|()| Body::Mutated),
                Body::Read(request) => match decode_read(&request) {
                    Ok((command, max_bytes)) => {
                        self.note_sources(&command);
                        let found = self.read(command, max_bytes).await;
                        note(|| match &found {
                            Ok(answer) => format!("Merged what it holds: {} bytes", answer.len()),
                            Err(error) => error.to_string(),
                        });
                        found.map(Body::Found)
                    }
                    Err(error) => Err(error.into()),
                },
                Body::Digest(request) => match decode_read(&request) {
                    Ok((command, max_bytes)) => {
                        self.note_sources(&command);
                        let digest = self.digest(command, max_bytes).await;
                        note(|| "Made a digest of what it holds");
                        digest.map(Body::Digested)
                    }
                    Err(error) => Err(error.into()),
                },
                Body::Truncate(table) => match Uuid::from_slice(&table) {
                    Ok(table) => Box::pin(self.truncate(TableId(table))).await.map(|()| Body::Mutated),
                    Err(error) => return Body::Failed(error.to_string()),
                },
                // As a read, but apart from those that clients wait for.
                Body::Stream(request) => Box::pin(self.stream(&request, Part::All)).await.map(Body::Streamed),
                Body::StreamAside(request) => match request.split_first_chunk() {
                    Some((repair, request)) => {
                        let part = Part::Aside(Uuid::from_bytes(*repair));
                        Box::pin(self.stream(request, part)).await.map(Body::Streamed)
                    }
                    None => return Body::Failed("a request without the id of a repair".into()),
                },
                Body::StreamApart(request) => match request.split_first() {
                    Some((repaired @ (0 | 1), request)) => {
                        let part = if *repaired == 1 { Part::Repaired } else { Part::Unrepaired };
                        Box::pin(self.stream_apart(request, part)).await.map(Body::Streamed)
                    }
                    _ => return Body::Failed("a request without what is asked for".into()),
                },
                Body::Session(request) => {
                    return match Box::pin(self.on_session(&request)).await {
                        Ok(answer) => Body::Streamed(stream_sessions::answer(answer.as_deref())),
                        Err(error) => Body::Failed(error.to_string()),
                    };
                }
                Body::Paxos(request) => {
                    let answer = match Request::decode(&request) {
                        Ok(request) => {
                            let step = request.step;
                            let answer = Box::pin(self.paxos(request)).await;
                            note(|| match &answer {
                                Ok(Answer::Promised { .. }) => format!("Paxos {step:?}: promised"),
                                Ok(Answer::Accepted) => format!("Paxos {step:?}: accepted"),
                                Ok(Answer::Refused(_)) => {
                                    format!("Paxos {step:?}: refused for a later ballot")
                                }
                                Err(error) => format!("Paxos {step:?} failed: {error}"),
                            });
                            answer
                        }
                        Err(error) => Err(error),
                    };
                    return answer.map_or_else(
                        |error| Body::Failed(error.to_string()),
                        |answer| Body::PaxosAnswer(answer.encode()),
                    );
                }
                // The node's coordinator does that.
                Body::Count(_) => return Body::Failed("no leader of counters".into()),
                _ => return Body::Failed("not a request to a replica".into()),
            };
            answer.unwrap_or_else(|error| match error {
                StorageError::TooManyTombstones { at_most } => {
                    Body::TooManyTombstones(at_most.to_le_bytes().to_vec())
                }
                error => Body::Failed(error.to_string()),
            })
        })
    }
}
