//! Carries messages between nodes: connections to each peer, opened when they are needed, dropped
//! when a request on one is not answered in time, and opened again.
//!
//! A peer has a connection for each `Lane`, so that what keeps the cluster together never waits
//! behind data, nor small requests behind large ones. The first frame on a connection, in both
//! directions, says who speaks ([`Introduction`]): only members of the same cluster are listened to,
//! and those who do not know one yet may ask about it.

use crate::error::ClusterError;
use crate::message::{Body, Message, PREFIX_BYTES, VERSION};
use dodona_env::Env;
use dodona_env::collections::HashMap;
use dodona_env::net::{BoxFuture, Stream};
use dodona_types::codec::Reader;
use parking_lot::Mutex;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Messages that wait for one peer on a lane before further ones are refused.
const QUEUE_MESSAGES: usize = 4_096;
/// How long a connection may take to open, with both introductions.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Messages of more bytes have a lane of their own.
const LARGE_BYTES: usize = 64 << 10;
/// Frames are gathered into one write up to about so many bytes.
const WRITE_BYTES: usize = 256 << 10;

/// Who speaks on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The cluster; nil for a node that does not know it yet.
    pub cluster: Uuid,
    /// The node.
    pub host: Uuid,
}

impl Introduction {
    fn encode(self) -> Body {
        let mut out = Vec::with_capacity(36);
        out.extend_from_slice(self.cluster.as_bytes());
        out.extend_from_slice(self.host.as_bytes());
        // The oldest and the newest version that is spoken.
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        Body::Hello(out)
    }

    fn decode(body: &Body) -> Result<Self, ClusterError> {
        let bytes = match body {
            Body::Hello(bytes) => bytes,
            Body::Failed(reason) => return Err(ClusterError::Peer(reason.clone())),
            _ => return Err(ClusterError::Peer("it did not introduce itself".into())),
        };
        let malformed = |error: dodona_types::codec::DecodeError| ClusterError::Peer(error.to_string());
        let mut reader = Reader::new(bytes);
        let mut uuid = || -> Result<Uuid, ClusterError> {
            let bytes = reader.bytes(16).map_err(malformed)?;
            Ok(Uuid::from_slice(bytes).unwrap_or_default())
        };
        let (cluster, host) = (uuid()?, uuid()?);
        let (oldest, newest) = (reader.u16().map_err(malformed)?, reader.u16().map_err(malformed)?);
        if !(oldest..=newest).contains(&VERSION) {
            return Err(ClusterError::Peer(format!(
                "it speaks the versions {oldest} to {newest} of the protocol between nodes, this node \
                 {VERSION}: upgrade the older of the two by way of a version that speaks both"
            )));
        }
        Ok(Self { cluster, host })
    }
}

/// Whom a request is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The node.
    pub host: Uuid,
    /// False for a node that does not know a cluster yet.
    pub is_of_this_cluster: bool,
    /// The version of the members by which it chose this node; 0 where that does not matter.
    pub members: u64,
}

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

type Halves = (ReadHalf<Box<dyn Stream>>, WriteHalf<Box<dyn Stream>>);

/// Connects, and exchanges introductions.
async fn open(env: &Env, peer: SocketAddr, introduction: Introduction) -> Result<Halves, ClusterError> {
    let broke = |error: std::io::Error| ClusterError::Peer(error.to_string());
    let (mut reader, mut writer) = tokio::io::split(env.net.connect(peer).await.map_err(broke)?);
    write_message(&mut writer, introduction.encode()).await.map_err(broke)?;
    let theirs = Introduction::decode(&read_message(&mut reader).await?.body)?;
    if !introduction.cluster.is_nil() && theirs.cluster != introduction.cluster {
        return Err(ClusterError::Peer(format!("{peer} is of another cluster, {}", theirs.cluster)));
    }
    Ok((reader, writer))
}

/// The host id of the node that listens at an address. None if none answers in time.
pub async fn who_is_at(env: &Env, address: SocketAddr, introduction: Introduction) -> Option<Uuid> {
    let meet = async {
        let (mut reader, mut writer) = tokio::io::split(env.net.connect(address).await.ok()?);
        write_message(&mut writer, introduction.encode()).await.ok()?;
        let theirs = Introduction::decode(&read_message(&mut reader).await.ok()?.body).ok()?;
        Some(theirs.host)
    };
    tokio::time::timeout(CONNECT_TIMEOUT, meet).await.ok().flatten()
}

async fn write_message(writer: &mut WriteHalf<Box<dyn Stream>>, body: Body) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    Message { id: 0, patience_micros: 0, members: 0, body }.encode(&mut buffer);
    writer.write_all(&buffer).await
}

async fn run_connection(
    env: &Env,
    mut reader: ReadHalf<Box<dyn Stream>>,
    mut writer: WriteHalf<Box<dyn Stream>>,
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

/// Writes what is in the queue, many messages at once where there are many, until either ends.
async fn write_queue(writer: &mut WriteHalf<Box<dyn Stream>>, messages: &mut mpsc::Receiver<Message>) {
    let mut buffer = Vec::new();
    while let Some(message) = messages.recv().await {
        buffer.clear();
        message.encode(&mut buffer);
        while buffer.len() < WRITE_BYTES
            && let Ok(message) = messages.try_recv()
        {
            message.encode(&mut buffer);
        }
        if writer.write_all(&buffer).await.is_err() {
            return;
        }
    }
}

async fn read_message(reader: &mut ReadHalf<Box<dyn Stream>>) -> Result<Message, ClusterError> {
    let broke = |error: std::io::Error| ClusterError::Peer(error.to_string());
    let mut prefix = [0; PREFIX_BYTES];
    reader.read_exact(&mut prefix).await.map_err(broke)?;
    let (length, crc) = Message::prefix(prefix)?;
    let mut bytes = Vec::with_capacity(length.min(64 << 10));
    let read = reader.take(length as u64).read_to_end(&mut bytes).await.map_err(broke)?;
    if read < length {
        return Err(ClusterError::Peer("the connection broke within a message".into()));
    }
    Message::decode(&bytes, crc)
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

/// Reads a peer's introduction, and answers with this node's, or why it is not listened to.
async fn meet(
    reader: &mut ReadHalf<Box<dyn Stream>>,
    writer: &mut WriteHalf<Box<dyn Stream>>,
    own: Introduction,
) -> Result<Peer, ClusterError> {
    let theirs = Introduction::decode(&read_message(reader).await?.body).and_then(|theirs| {
        let is_of_this_cluster = theirs.cluster == own.cluster;
        if !is_of_this_cluster && !theirs.cluster.is_nil() {
            return Err(ClusterError::Peer(format!(
                "this is the cluster {}, not {}: correct the seeds",
                own.cluster, theirs.cluster
            )));
        }
        if theirs.host == own.host {
            return Err(ClusterError::Peer(format!(
                "both nodes are {}: a data directory was copied; start one of them with an empty one",
                own.host
            )));
        }
        Ok(Peer { host: theirs.host, is_of_this_cluster, members: 0 })
    });
    let answer = theirs.as_ref().map_or_else(|error| Body::Failed(error.to_string()), |_| own.encode());
    write_message(writer, answer).await.map_err(|error| ClusterError::Peer(error.to_string()))?;
    theirs
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
