//! Carries messages between nodes: connections to each peer, opened when they are needed, dropped
//! when a request on one is not answered in time, and opened again.
//!
//! A peer has a connection for each `Lane`, so that what keeps the cluster together never waits
//! behind data, nor small requests behind large ones. The first frame on a connection, in both
//! directions, says who speaks ([`Introduction`]): only members of the same cluster are listened to,
//! and those who do not know one yet may ask about it.

mod introduction;
mod wire;

pub use introduction::{Introduction, Peer, who_is_at};

use crate::error::ClusterError;
use crate::message::{Body, Message};
use dodona_env::Env;
use dodona_env::collections::HashMap;
use dodona_env::net::{BoxFuture, Stream};
use dodona_types::codec::Reader;
use introduction::{CONNECT_TIMEOUT, meet, open};
use parking_lot::Mutex;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use wire::{Reading, Writing, read_message, write_queue};

/// Messages that wait for one peer on a lane before further ones are refused.
const QUEUE_MESSAGES: usize = 4_096;
/// Messages of more bytes have a lane of their own.
const LARGE_BYTES: usize = 64 << 10;

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
            Body::Stream(_) => Self::Large,
            Body::Mutate(bytes) | Body::Paxos(bytes) if bytes.len() > LARGE_BYTES => Self::Large,
            _ => Self::Small,
        }
    }
}

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Body>>>>;

#[derive(Clone)]
struct Connection {
    queue: mpsc::Sender<Message>,
    waiting: Waiting,
}

/// Connections to peers.
pub struct Peers {
    env: Env,
    introduction: Introduction,
    next_id: AtomicU64,
    connections: Mutex<HashMap<(SocketAddr, Lane), Connection>>,
}

impl Peers {
    /// No connections yet.
    #[must_use]
    pub fn new(env: Env, introduction: Introduction) -> Self {
        Self { env, introduction, next_id: AtomicU64::new(1), connections: Mutex::default() }
    }

    /// How this node introduces itself.
    #[must_use]
    pub const fn introduction(&self) -> Introduction {
        self.introduction
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
        let id = self.next_id.fetch_add(1, Relaxed);
        let patience_micros = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX);
        let lane = Lane::of(&body);
        let connection = self.connection(peer, lane);
        let (answer, answered) = oneshot::channel();
        connection.waiting.lock().insert(id, answer);
        let sent = connection.queue.try_send(Message { id, patience_micros, members, body });
        let result = match sent {
            Err(_) => Err(ClusterError::Peer(format!("{peer} takes no more messages"))),
            Ok(()) => match tokio::time::timeout(timeout, answered).await {
                Ok(Ok(Body::Stale(version))) => return Err(stale(&version)),
                Ok(Ok(body)) => return Ok(body),
                Ok(Err(_)) => Err(ClusterError::Peer(format!("the connection to {peer} broke"))),
                Err(_) => Err(ClusterError::Peer(format!("{peer} did not answer in time"))),
            },
        };
        connection.waiting.lock().remove(&id);
        self.drop_connection((peer, lane), &connection);
        result
    }

    fn connection(&self, peer: SocketAddr, lane: Lane) -> Connection {
        let mut connections = self.connections.lock();
        let present = connections.get(&(peer, lane));
        if let Some(connection) = present.filter(|connection| !connection.queue.is_closed()) {
            return connection.clone();
        }
        let (queue, messages) = mpsc::channel(QUEUE_MESSAGES);
        let connection = Connection { queue, waiting: Waiting::default() };
        connections.insert((peer, lane), connection.clone());
        let waiting = Arc::clone(&connection.waiting);
        let (env, introduction) = (self.env.clone(), self.introduction);
        self.env.tasks.spawn_local(async move {
            let opened = tokio::time::timeout(CONNECT_TIMEOUT, open(&env, peer, introduction)).await;
            match opened {
                Ok(Ok((reader, writer))) => {
                    run_connection(&env, reader, writer, messages, &waiting).await;
                }
                Ok(Err(error)) => tracing::debug!(%peer, %error, "a peer is not reached"),
                Err(_) => tracing::debug!(%peer, "a peer is not reached in time"),
            }
            waiting.lock().clear();
        });
        connection
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

async fn run_connection(
    env: &Env,
    mut reader: Reading,
    mut writer: Writing,
    mut messages: mpsc::Receiver<Message>,
    waiting: &Waiting,
) {
    let answers = Arc::clone(waiting);
    env.tasks.spawn_local(async move {
        while let Ok(message) = read_message(&mut reader).await {
            if let Some(answer) = answers.lock().remove(&message.id) {
                // The one who asked may have given up.
                let _ = answer.send(message.body);
            }
        }
        answers.lock().clear();
    });
    write_queue(&mut writer, &mut messages).await;
}

/// Accepts peers on `address` and answers their requests, until the listener fails.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(
    env: Env,
    address: SocketAddr,
    introduction: Introduction,
    handler: Arc<dyn Handler>,
) -> std::io::Result<impl Future<Output = ()> + 'static> {
    let listener = env.net.listen(address).await?;
    Ok(async move {
        while let Ok((stream, address)) = listener.accept().await {
            let peer = serve_peer(env.clone(), stream, introduction, Arc::clone(&handler));
            env.tasks.spawn_local(async move {
                if let Err(error) = peer.await {
                    tracing::debug!(%address, %error, "a connection of a peer ends");
                }
            });
        }
    })
}

async fn serve_peer(
    env: Env,
    stream: Box<dyn Stream>,
    introduction: Introduction,
    handler: Arc<dyn Handler>,
) -> Result<(), ClusterError> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let met = tokio::time::timeout(CONNECT_TIMEOUT, meet(&mut reader, &mut writer, introduction)).await;
    let peer = met.map_err(|_| ClusterError::Peer("it did not introduce itself in time".into()))??;
    let (answers, mut to_write) = mpsc::channel(QUEUE_MESSAGES);
    env.tasks.spawn_local(async move { write_queue(&mut writer, &mut to_write).await });
    loop {
        let Message { id, patience_micros, members, body } = read_message(&mut reader).await?;
        let peer = Peer { members, ..peer };
        let (handler, answers) = (Arc::clone(&handler), answers.clone());
        env.tasks.spawn_local(async move {
            // Nobody waits for what comes later.
            let patience = Duration::from_micros(patience_micros);
            if let Ok(body) = tokio::time::timeout(patience, handler.handle(peer, body)).await {
                // The peer may be gone.
                let _ = answers.send(Message { id, patience_micros, members, body }).await;
            }
        });
    }
}
