//! Fetches from a holder what it has of ranges of a table: files that hold nothing else as they are, the rest row by row.
//!
//! All of it is of one moment, which the holder holds on to for that (`stream_sessions`), and counts at once. A holder that is
//! started anew knows of no session: the next one tells which of the files are the same, and they go on where they were.

use super::puller::{CHUNK_BYTES, Puller, Shared};
use super::walk::Walk;
use crate::error::ClusterError;
use crate::message::{Body, NOT_REPAIRED};
use crate::on_engine::on_engine;
use crate::replica::encode_read;
use crate::stream_sessions::{Opened, Request, of_answer};
use dodona_storage::engine::incoming::Incoming;
use dodona_storage::engine::outgoing::WholeFile;
use dodona_storage::reconcile::Answer;
use dodona_storage::sstable::SstableId;
use dodona_storage::{RepairState, StorageError};
use dodona_types::Token;
use dodona_types::read_command::{PartitionRange, RangeBound};
use dodona_types::schema::Table;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use uuid::Uuid;

/// Sessions for the same before it is tried in another way.
const TRIES: usize = 5;

/// What is fetched, and from whom.
pub(super) struct Whole<'a> {
    pub(super) puller: &'a Puller<'a>,
    pub(super) peer: SocketAddr,
    pub(super) table: &'a Table,
    /// In the order of the ring.
    pub(super) ranges: Vec<&'a PartitionRange>,
    /// Files of fewer bytes come row by row.
    pub(super) least_bytes: u64,
}

/// Where what comes row by row goes.
struct Rest {
    unrepaired: Shared,
    repaired: Shared,
}

impl Whole<'_> {
    /// Fetches it. False if nothing of it would come as files.
    ///
    /// # Errors
    /// The peer does not answer or cannot read, or a file is damaged; or this node does not take it.
    pub(super) async fn fetch(&self) -> Result<bool, ClusterError> {
        let mut received = BTreeMap::new();
        for _ in 0..TRIES {
            let Some(opened) = self.open(!received.is_empty()).await? else { return Ok(false) };
            // Those of an earlier moment.
            received.retain(|id: &SstableId, _| opened.files().any(|file| file.id == *id));
            let is_all = self.receive_files(&opened, &mut received).await?;
            if is_all && self.receive_rest(&opened, &mut received).await? {
                return Ok(true);
            }
            tracing::info!(peer = %self.peer, "what a node sends in files begins anew there");
        }
        Err(ClusterError::Peer(format!("{} ends what it sends in files again and again", self.peer)))
    }

    async fn open(&self, again: bool) -> Result<Option<Opened>, ClusterError> {
        let request = Request::Open {
            table: self.table.id.0,
            ranges: self.ranges.iter().filter_map(|range| tokens_of(range)).collect(),
            least_bytes: self.least_bytes,
        };
        let answer = self.ask(&request, &[], again).await?.unwrap_or_default();
        let malformed = |error: serde_json::Error| ClusterError::Peer(format!("{}: {error}", self.peer));
        let opened: Opened = serde_json::from_slice(&answer).map_err(malformed)?;
        Ok((!opened.files.is_empty()).then_some(opened))
    }

    /// Receives what lacks of the files. False if the session is over.
    async fn receive_files(
        &self,
        opened: &Opened,
        received: &mut BTreeMap<SstableId, Incoming>,
    ) -> Result<bool, ClusterError> {
        for file in opened.files() {
            if !received.contains_key(&file.id) {
                let (table, WholeFile { id, bytes, .. }) = (self.table.id, file);
                let begun = self.on_engine(move |engine| {
                    let is_known = engine.has_file(table, id)?;
                    (!is_known).then(|| engine.begin_incoming(table, id, bytes)).transpose()
                });
                let Some(begun) = begun.await? else { continue };
                received.insert(id, begun);
            }
            while let Some(incoming) = received.remove(&file.id) {
                let (offset, lacks) = (incoming.written(), incoming.lacks());
                if lacks == 0 {
                    received.insert(file.id, incoming);
                    break;
                }
                let length = lacks.min(CHUNK_BYTES as u64) as u32;
                let request = Request::Piece { session: opened.session, file: file.id.0, offset, length };
                let Some(piece) = self.ask(&request, &[], true).await? else {
                    received.insert(file.id, incoming);
                    return Ok(false);
                };
                if piece.is_empty() {
                    return Err(ClusterError::Peer(format!("{}: a piece of nothing", self.peer)));
                }
                self.puller.progress.bytes.fetch_add(piece.len() as u64, Relaxed);
                let append = move |_: &_| {
                    let mut incoming = incoming;
                    incoming.append(&piece).map(|()| incoming)
                };
                received.insert(file.id, self.on_engine(append).await?);
            }
        }
        Ok(true)
    }

    /// Receives everything else, and has all of it count. False if the session is over.
    async fn receive_rest(
        &self,
        opened: &Opened,
        received: &mut BTreeMap<SstableId, Incoming>,
    ) -> Result<bool, ClusterError> {
        let since = opened.repaired_since.unwrap_or(NOT_REPAIRED);
        let begin = |state| self.puller.begin_arrivals(self.table.id, state);
        let rest = Rest {
            unrepaired: begin(RepairState::Unrepaired)?,
            repaired: begin(RepairState::Repaired(since))?,
        };
        let come = self.take_all(opened, received, &rest).await;
        let is_all = matches!(come, Ok(true));
        let failed = come.as_ref().err().cloned().unwrap_or_else(|| ClusterError::Peer("it is over".into()));
        let end = if is_all { Ok(()) } else { Err(failed) };
        let ended = self.puller.end_arrivals(vec![rest.unrepaired, rest.repaired], end).await;
        if is_all { ended.map(|()| true) } else { come }
    }

    async fn take_all(
        &self,
        opened: &Opened,
        received: &mut BTreeMap<SstableId, Incoming>,
        rest: &Rest,
    ) -> Result<bool, ClusterError> {
        let mutants = &self.puller.env.mutants;
        for range in self.ranges.iter().filter(|_| !mutants.has("files-come-without-the-rest")) {
            let parts = [(false, &rest.unrepaired), (true, &rest.repaired)];
            for (repaired, arrivals) in parts {
                let is_any = !repaired || opened.repaired_since.is_some();
                if is_any && !self.walk(range, opened.session, repaired, arrivals).await? {
                    return Ok(false);
                }
            }
        }
        // It need not hold on to it any longer.
        drop(self.ask(&Request::Close(opened.session), &[], false).await);
        let is_repaired_anyhow = mutants.has("files-count-as-repaired");
        for file in opened.files() {
            let Some(incoming) = received.remove(&file.id) else { continue };
            let state = match file.repaired_at {
                None if is_repaired_anyhow => RepairState::Repaired(self.puller.env.clock.wall_seconds()),
                None => RepairState::Unrepaired,
                Some(at) => RepairState::Repaired(at),
            };
            let arrivals = Arc::clone(&rest.unrepaired);
            self.on_engine(move |engine| engine.take_file(&mut arrivals.lock(), incoming, state)).await?;
            self.puller.progress.files.fetch_add(1, Relaxed);
        }
        Ok(true)
    }

    /// Receives a part of the rest of a range. False if the session is over.
    async fn walk(
        &self,
        range: &PartitionRange,
        session: Uuid,
        repaired: bool,
        arrivals: &Shared,
    ) -> Result<bool, ClusterError> {
        let mut walk = Walk::new(self.table, range, self.puller.env.clock.wall_seconds());
        loop {
            let read = encode_read(walk.command(), CHUNK_BYTES);
            let Some(bytes) = self.ask(&Request::Rest { session, repaired }, &read, true).await? else {
                return Ok(false);
            };
            let bytes = Arc::new(bytes);
            let answer = Answer::parse(&bytes).map_err(StorageError::from)?;
            self.puller.take(arrivals, Arc::clone(&bytes)).await?;
            self.puller.count(&answer, &bytes);
            if !walk.advance(&answer) {
                return Ok(true);
            }
        }
    }

    async fn ask(
        &self,
        request: &Request,
        read: &[u8],
        begun: bool,
    ) -> Result<Option<Vec<u8>>, ClusterError> {
        of_answer(self.puller.ask(self.peer, Body::Session(request.encode(read)), begun).await?)
    }

    async fn on_engine<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dodona_storage::Engine) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, ClusterError> {
        on_engine(&self.puller.env.tasks, self.puller.engine, work).await
    }
}

/// A range as messages have it; none of one that has no tokens.
fn tokens_of(range: &PartitionRange) -> Option<(i64, i64)> {
    let token = |bound: &RangeBound| match bound {
        RangeBound::Token(token, _) => Some(*token),
        _ => None,
    };
    // Nothing lies behind the greatest token: what nothing bounds begins there, and wraps.
    match (token(&range.start), token(&range.end)) {
        (Some(Token::MAX), _) => None,
        (start, end) => Some((start.unwrap_or(Token::MAX).0, end.unwrap_or(Token::MAX).0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_types::token::TokenRange;
    use proptest::prelude::*;

    fn bound(is_inclusive: bool) -> impl Strategy<Value = RangeBound> {
        let tokens = prop_oneof![-3..3i64, Just(i64::MAX), Just(i64::MIN + 1)];
        prop_oneof![
            1 => Just(RangeBound::Unbounded),
            5 => tokens.prop_map(move |token| RangeBound::Token(Token(token), is_inclusive)),
        ]
    }

    proptest! {
        #[test]
        fn a_range_has_the_same_tokens_in_a_message(start in bound(false), end in bound(true), token in -4..4i64) {
            let range = PartitionRange { start, end };
            let behind = |bound: &RangeBound, otherwise: bool| match bound {
                RangeBound::Token(at, _) => token > at.0,
                _ => otherwise,
            };
            // A range of the ring goes forward.
            if let (RangeBound::Token(start, _), RangeBound::Token(end, _)) = (&range.start, &range.end) {
                prop_assume!(start < end);
            }
            let is_in = behind(&range.start, true) && !behind(&range.end, false);
            let found = tokens_of(&range).is_some_and(|(start, end)| {
                TokenRange { start: Token(start), end: Token(end) }.contains(Token(token))
            });
            prop_assert_eq!(found, is_in, "{:?} of {:?}", token, range);
        }
    }
}
