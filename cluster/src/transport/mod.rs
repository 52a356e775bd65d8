//! Carries messages between nodes: connections to each peer, opened when they are needed, dropped
//! when a request on one is not answered in time, and opened again.
//!
//! Where a peer is not reached, there is a pause before the next try, longer each time.
//!
//! A peer has a connection for each `Lane`, so that what keeps the cluster together never waits
//! behind data, nor small requests behind large ones. An answer goes back where its request came, a
//! small one before the large ones that wait there. The first frame on a connection, in both directions, says who speaks ([`Introduction`]): only members of the same cluster are listened to,
//! and those who do not know one yet may ask about it. With [`tls`] nothing is read before the other
//! side has shown a certificate that is trusted.

mod complaints;
pub mod forward;
mod introduction;
#[cfg(test)]
mod patience_tests;
mod queue;
mod service;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod traffic;
#[cfg(test)]
mod turn_tests;
mod under_way;
#[cfg(test)]
mod version_tests;
mod wire;

#[cfg(test)]
pub(crate) use introduction::tests::of_later_release;
pub use introduction::{Introduction, Link, Peer, Versions};
pub use service::serve;

use crate::error::ClusterError;
use crate::message::{Body, Message};
use crate::trace::{self, Trace};
use complaints::Complaints;
use dodona_env::Env;
use dodona_env::collections::HashMap;
use dodona_env::net::BoxFuture;
use dodona_types::codec::Reader;
use introduction::CONNECT_TIMEOUT;
use parking_lot::Mutex;
use queue::Queued;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use traffic::Outbound;
use wire::{Reading, Writing, read_message, write_queue};

/// Messages that wait to be written to one peer on a lane before further ones are refused.
const QUEUE_MESSAGES: usize = 1 << 17;
/// Bytes of requests that wait for one peer on a lane, to be written or answered, before further ones are refused.
const OUTSTANDING_BYTES: usize = 64 << 20;
/// Messages of more bytes have a lane of their own, if they are requests, and wait for their turn behind smaller ones.
const LARGE_BYTES: usize = 64 << 10;
/// The pause before another try to connect where one has failed, and the longest: each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Answers requests of peers.
pub trait Handler: Send + Sync {
    /// The answer to a request.
    fn handle(self: Arc<Self>, from: Peer, body: Body) -> BoxFuture<'static, Body>;
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lane {
    /// Gossip and the metadata log.
    Urgent,
    Small,
    Large,
}

impl Lane {
    fn of(body: &Body) -> Self {
        match body {
            Body::Gossip(_) | Body::Metadata(_) => Self::Urgent,
            Body::Stream(_)
            | Body::StreamAside(_)
            | Body::StreamApart(_)
            | Body::Session(_)
            | Body::KeepHints(_) => Self::Large,
            Body::Mutate(bytes)
            | Body::Forward(bytes)
            | Body::Relay(bytes)
            | Body::Paxos(bytes)
            | Body::KeepBatch(bytes)
                if bytes.len() > LARGE_BYTES =>
            {
                Self::Large
            }
            _ => Self::Small,
        }
    }
}

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Message>>>>;

#[derive(Clone)]
struct Connection {
    queue: mpsc::Sender<Queued>,
    waiting: Waiting,
    counts: Arc<Outbound>,
}

/// Until when nobody connects again, and how long that pause is.
#[derive(Clone)]
struct Pause {
    until: Duration,
    lasts: Duration,
    /// Why the two do not belong together, if they do not.
    unwelcome: Option<String>,
}

/// Connections to peers.
pub struct Peers {
    link: Link,
    complaints: Arc<Complaints>,
    next_id: AtomicU64,
    connections: Mutex<HashMap<(SocketAddr, Lane), Connection>>,
    /// Where the last try to connect has failed.
    pauses: Arc<Mutex<HashMap<(SocketAddr, Lane), Pause>>>,
}

impl Peers {
    /// No connections yet.
    #[must_use]
    pub fn new(link: Link) -> Self {
        let complaints = Arc::new(Complaints::new(Arc::clone(&link.env.clock)));
        let (connections, pauses) = (Mutex::default(), Arc::default());
        Self { link, complaints, next_id: AtomicU64::new(1), connections, pauses }
    }

    /// How this node connects to others.
    #[must_use]
    pub const fn link(&self) -> &Link {
        &self.link
    }

    /// Sends a request and waits for the answer, at most `timeout`.
    ///
    /// # Errors
    /// The peer cannot be reached, or does not answer in time: the connection is dropped then.
    pub async fn ask(&self, peer: SocketAddr, body: Body, timeout: Duration) -> Result<Body, ClusterError> {
        self.ask_chosen(0, peer, body, timeout).await
    }

    /// As [`Self::ask`], of a peer that was chosen by this version of the members.
    ///
    /// # Errors
    /// As [`Self::ask`]; [`ClusterError::Stale`] if the peer knows of later members.
    pub async fn ask_chosen(
        &self,
        members: u64,
        peer: SocketAddr,
        body: Body,
        timeout: Duration,
    ) -> Result<Body, ClusterError> {
        self.ask_for(trace::current(), members, peer, body, timeout).await
    }

    /// As [`Self::ask_chosen`], for a request with this trace.
    ///
    /// # Errors
    /// As [`Self::ask_chosen`].
    pub(crate) async fn ask_for(
        &self,
        trace: Option<Arc<Trace>>,
        members: u64,
        peer: SocketAddr,
        body: Body,
        timeout: Duration,
    ) -> Result<Body, ClusterError> {
        let request = self.begin(trace, peer, &body, self.ids(1), timeout)?;
        self.send(&request, members, body)?;
        self.answer(request).await
    }

    fn connection(&self, peer: SocketAddr, lane: Lane) -> Result<Connection, ClusterError> {
        let mut connections = self.connections.lock();
        let present = connections.get(&(peer, lane));
        if let Some(connection) = present.filter(|connection| !connection.queue.is_closed()) {
            return Ok(connection.clone());
        }
        let counts = self.link.traffic.to(peer);
        let pause = self.pauses.lock().get(&(peer, lane)).cloned();
        if pause.as_ref().is_some_and(|pause| self.link.env.clock.mono() < pause.until) {
            counts.failed.fetch_add(1, Relaxed);
            return Err(ClusterError::Peer(format!("{peer} is not reached, as a moment ago")));
        }
        let (queue, messages) = mpsc::channel(QUEUE_MESSAGES);
        let connection = Connection { queue, waiting: Waiting::default(), counts: Arc::clone(&counts) };
        connections.insert((peer, lane), connection.clone());
        let waiting = Arc::clone(&connection.waiting);
        let (link, complaints) = (self.link.clone(), Arc::clone(&self.complaints));
        let pauses = Arc::clone(&self.pauses);
        self.link.env.tasks.spawn_local(async move {
            counts.attempts.fetch_add(1, Relaxed);
            match open(&link, peer).await {
                Ok((reader, writer)) => {
                    // Where it is reached for one thing it is for another.
                    pauses.lock().retain(|(address, _), _| *address != peer);
                    counts.connected.fetch_add(1, Relaxed);
                    counts.open.fetch_add(1, Relaxed);
                    let ended = run_connection(&link.env, reader, writer, messages, &waiting, &counts).await;
                    counts.open.fetch_sub(1, Relaxed);
                    if let Some(error) = ended {
                        tracing::debug!(%peer, %error, "a connection to a peer ends");
                    }
                }
                Err(error) => {
                    let lasts = pause.map_or(FIRST_PAUSE, |pause| (2 * pause.lasts).min(LONGEST_PAUSE));
                    let until = link.env.clock.mono() + lasts;
                    let unwelcome = matches!(error, ClusterError::Unwelcome(_)).then(|| error.to_string());
                    pauses.lock().insert((peer, lane), Pause { until, lasts, unwelcome });
                    if error.is_for_operators() && complaints.is_due(peer) {
                        tracing::warn!(%peer, %error, "a peer is not spoken with");
                    } else {
                        tracing::debug!(%peer, %error, "a peer is not reached");
                    }
                }
            }
            waiting.lock().clear();
        });
        Ok(connection)
    }

    /// Why a peer and this node do not belong together, if the last try to connect has shown that.
    #[must_use]
    pub fn unwelcome(&self, peer: SocketAddr) -> Option<String> {
        let pauses = self.pauses.lock();
        let mut of_peer = pauses.iter().filter(|((address, _), _)| *address == peer);
        of_peer.find_map(|(_, pause)| pause.unwelcome.clone())
    }

    /// True if a connection to a peer is open.
    pub(crate) fn is_connected(&self, peer: SocketAddr) -> bool {
        self.link.traffic.to(peer).open.load(Relaxed) > 0
    }

    /// Requests to a peer that wait to be written.
    #[must_use]
    pub fn pending(&self, peer: SocketAddr) -> usize {
        let connections = self.connections.lock();
        let of_peer = connections.iter().filter(|((address, _), _)| *address == peer);
        of_peer.map(|(_, one)| one.queue.max_capacity() - one.queue.capacity()).sum()
    }

    fn drop_connection(&self, key: (SocketAddr, Lane), connection: &Connection) {
        let mut connections = self.connections.lock();
        if connections.get(&key).is_some_and(|present| present.queue.same_channel(&connection.queue)) {
            connections.remove(&key);
        }
    }
}

fn stale(version: &[u8]) -> ClusterError {
    Reader::new(version).u64().map_or_else(|error| ClusterError::Peer(error.to_string()), ClusterError::Stale)
}

/// A connection to a peer of this cluster, or of any if this node knows none yet.
async fn open(link: &Link, peer: SocketAddr) -> Result<(Reading, Writing), ClusterError> {
    let late = |_| ClusterError::Peer("it did not introduce itself in time".into());
    let (reader, writer, theirs) =
        tokio::time::timeout(CONNECT_TIMEOUT, link.open(peer)).await.map_err(late)??;
    if !link.introduction.cluster.is_nil() && theirs.cluster != link.introduction.cluster {
        return Err(ClusterError::Unwelcome(format!(
            "{peer} is of another cluster, {}: correct the seeds of one of the two, or give it another address",
            theirs.cluster
        )));
    }
    Ok((reader, writer))
}

/// Runs a connection until one side of it ends; then the other one does, too. A connection that its
/// peer has closed would else be taken for one that answers are still to come on. Gives why, if it ends with what is read.
async fn run_connection(
    env: &Env,
    mut reader: Reading,
    mut writer: Writing,
    mut messages: mpsc::Receiver<Queued>,
    waiting: &Waiting,
    counts: &Outbound,
) -> Option<ClusterError> {
    let (reads, end_of_reading) = oneshot::channel();
    let (writes, end_of_writing) = oneshot::channel::<()>();
    let answers = Arc::clone(waiting);
    env.tasks.spawn_local(async move {
        tokio::select! {
            biased;
            _ = end_of_writing => {}
            error = read_answers(&mut reader, &answers) => {
                // Nobody waits for it once writing has ended.
                let _ = reads.send(error);
            }
        }
    });
    let ended = tokio::select! {
        biased;
        ended = end_of_reading => ended.ok(),
        () = write_queue(&mut writer, &mut messages, &*env.clock, |written, bytes, expired| {
            counts.sent.add(written, bytes);
            counts.expired.fetch_add(expired, Relaxed);
        }) => None,
    };
    drop(writes);
    ended
}

/// Takes answers until no more can be read, and gives why.
async fn read_answers(reader: &mut Reading, waiting: &Waiting) -> ClusterError {
    loop {
        let message = match read_message(reader).await {
            Ok((message, _)) => message,
            Err(error) => return error,
        };
        tokio::task::consume_budget().await;
        if let Some(answer) = waiting.lock().remove(&message.id) {
            // The one who asked may have given up.
            let _ = answer.send(message);
        }
    }
}
