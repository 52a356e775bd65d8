//! Requests to peers that wait for their answers.

use super::queue::Queued;
use super::{Connection, Lane, OUTSTANDING_BYTES, Peers, stale};
use crate::error::ClusterError;
use crate::message::{Body, Message};
use crate::trace::Trace;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

/// A request to a peer, from before it is sent until it is answered or given up.
pub(crate) struct UnderWay {
    id: u64,
    peer: SocketAddr,
    lane: Lane,
    connection: Connection,
    answered: oneshot::Receiver<Message>,
    is_answered: bool,
    timeout: Duration,
    /// The trace that it is for, and when it was asked for that.
    asked: Option<(u64, Arc<Trace>)>,
    /// Bytes that wait with it; none if another request brings it along.
    bytes: Option<usize>,
}

impl UnderWay {
    /// A request that this one brings along: the peer answers it with this id.
    pub(super) fn beside(&self, id: u64) -> Self {
        let (answer, answered) = oneshot::channel();
        self.connection.waiting.lock().insert(id, answer);
        let (connection, asked) = (self.connection.clone(), self.asked.clone());
        Self { id, connection, answered, is_answered: false, asked, bytes: None, ..*self }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.is_answered {
            self.connection.waiting.lock().remove(&self.id);
        }
        if let Some(bytes) = self.bytes {
            self.connection.counts.outstanding[self.lane as usize].give_back(bytes);
        }
    }
}

impl Peers {
    /// The first of so many ids of requests.
    pub(super) fn ids(&self, count: u64) -> u64 {
        self.next_id.fetch_add(count, Relaxed)
    }

    /// Takes a request in that is to be sent.
    ///
    /// # Errors
    /// The peer is not reached, as far as that is known, or too much waits for it.
    pub(super) fn begin(
        &self,
        trace: Option<Arc<Trace>>,
        peer: SocketAddr,
        body: &Body,
        id: u64,
        timeout: Duration,
    ) -> Result<UnderWay, ClusterError> {
        let lane = Lane::of(body);
        let connection = self.connection(peer, lane)?;
        let outstanding = &connection.counts.outstanding[lane as usize];
        let Some(bytes) = outstanding.take(body.bytes(), OUTSTANDING_BYTES) else {
            return Err(full(peer, &connection));
        };
        let asked = trace.map(|trace| (trace.elapsed_micros(), trace));
        let (answer, answered) = oneshot::channel();
        connection.waiting.lock().insert(id, answer);
        let bytes = Some(bytes);
        Ok(UnderWay { id, peer, lane, connection, answered, is_answered: false, timeout, asked, bytes })
    }

    /// Sends it.
    ///
    /// # Errors
    /// Too much waits for the peer, or the connection broke.
    pub(super) fn send(&self, request: &UnderWay, members: u64, body: Body) -> Result<(), ClusterError> {
        let UnderWay { id, peer, lane, connection, timeout, asked, .. } = request;
        let notes = asked.is_some().then(Vec::new);
        let message = Message { id: *id, patience_micros: 0, members, notes, body };
        let deadline = self.link.env.clock.mono() + *timeout;
        connection.queue.try_send(Queued { message, deadline, room: None }).map_err(|error| match error {
            TrySendError::Full(_) => full(*peer, connection),
            TrySendError::Closed(_) => {
                self.drop_connection((*peer, *lane), connection);
                broken(*peer, connection)
            }
        })
    }

    /// Waits for its answer.
    ///
    /// # Errors
    /// The connection breaks, or the peer does not answer in time: the connection is dropped then, unless it is another one
    /// that is late, which the peer asks. [`ClusterError::Stale`] if the peer knows of later members.
    pub(crate) async fn answer(&self, mut request: UnderWay) -> Result<Body, ClusterError> {
        let answered = tokio::time::timeout(request.timeout, &mut request.answered).await;
        request.is_answered = matches!(answered, Ok(Ok(_)));
        let UnderWay { peer, lane, connection, bytes, .. } = &request;
        match answered {
            Ok(Ok(Message { body: Body::Stale(version), .. })) => Err(stale(&version)),
            Ok(Ok(Message { notes, body, .. })) => {
                if let Some(((at_micros, trace), notes)) = request.asked.as_ref().zip(notes) {
                    trace.note_from(*peer, *at_micros, &notes);
                }
                Ok(body)
            }
            Ok(Err(_)) => {
                self.drop_connection((*peer, *lane), connection);
                Err(broken(*peer, connection))
            }
            Err(_) => {
                if bytes.is_some() {
                    self.drop_connection((*peer, *lane), connection);
                }
                Err(ClusterError::Peer(format!("{peer} did not answer in time")))
            }
        }
    }
}

fn full(peer: SocketAddr, connection: &Connection) -> ClusterError {
    connection.counts.refused.fetch_add(1, Relaxed);
    ClusterError::Peer(format!("{peer} takes no more messages"))
}

fn broken(peer: SocketAddr, connection: &Connection) -> ClusterError {
    connection.counts.failed.fetch_add(1, Relaxed);
    ClusterError::Peer(format!("the connection to {peer} broke"))
}
