//! Carries messages between nodes: a connection to each peer, opened when it is needed, dropped
//! when a request on it is not answered in time, and opened again.

use crate::error::ClusterError;
use crate::message::{Body, Message, PREFIX_BYTES};
use dodona_env::Env;
use dodona_env::collections::HashMap;
use dodona_env::net::{BoxFuture, Stream};
use parking_lot::Mutex;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};

/// Messages that wait for one peer before further ones are refused.
const QUEUE_MESSAGES: usize = 4_096;
/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Answers requests of peers.
pub trait Handler: Send + Sync {
    /// The answer to a request.
    fn handle(self: Arc<Self>, body: Body) -> BoxFuture<'static, Body>;
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
    next_id: AtomicU64,
    connections: Mutex<HashMap<SocketAddr, Connection>>,
}

impl Peers {
    /// No connections yet.
    #[must_use]
    pub fn new(env: Env) -> Self {
        Self { env, next_id: AtomicU64::new(1), connections: Mutex::default() }
    }

    /// Sends a request and waits for the answer, at most `timeout`.
    ///
    /// # Errors
    /// The peer cannot be reached, or does not answer in time: the connection is dropped then.
    pub async fn ask(&self, peer: SocketAddr, body: Body, timeout: Duration) -> Result<Body, ClusterError> {
        let id = self.next_id.fetch_add(1, Relaxed);
        let micros = i64::try_from(timeout.as_micros()).unwrap_or(i64::MAX);
        let deadline_micros = self.env.clock.wall_micros().saturating_add(micros);
        let connection = self.connection(peer);
        let (answer, answered) = oneshot::channel();
        connection.waiting.lock().insert(id, answer);
        let sent = connection.queue.try_send(Message { id, deadline_micros, body });
        let result = match sent {
            Err(_) => Err(ClusterError::Peer(format!("{peer} takes no more messages"))),
            Ok(()) => match tokio::time::timeout(timeout, answered).await {
                Ok(Ok(body)) => return Ok(body),
                Ok(Err(_)) => Err(ClusterError::Peer(format!("the connection to {peer} broke"))),
                Err(_) => Err(ClusterError::Peer(format!("{peer} did not answer in time"))),
            },
        };
        connection.waiting.lock().remove(&id);
        self.drop_connection(peer, &connection);
        result
    }

    fn connection(&self, peer: SocketAddr) -> Connection {
        let mut connections = self.connections.lock();
        if let Some(connection) = connections.get(&peer).filter(|connection| !connection.queue.is_closed()) {
            return connection.clone();
        }
        let (queue, messages) = mpsc::channel(QUEUE_MESSAGES);
        let connection = Connection { queue, waiting: Waiting::default() };
        connections.insert(peer, connection.clone());
        let waiting = Arc::clone(&connection.waiting);
        let env = self.env.clone();
        self.env.tasks.spawn_local(async move {
            let opened = tokio::time::timeout(CONNECT_TIMEOUT, env.net.connect(peer)).await;
            if let Ok(Ok(stream)) = opened {
                run_connection(&env, stream, messages, &waiting).await;
            }
            waiting.lock().clear();
        });
        connection
    }

    fn drop_connection(&self, peer: SocketAddr, connection: &Connection) {
        let mut connections = self.connections.lock();
        if connections.get(&peer).is_some_and(|present| present.queue.same_channel(&connection.queue)) {
            connections.remove(&peer);
        }
    }
}

async fn run_connection(
    env: &Env,
    stream: Box<dyn Stream>,
    mut messages: mpsc::Receiver<Message>,
    waiting: &Waiting,
) {
    let (mut reader, mut writer) = tokio::io::split(stream);
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
    let mut buffer = Vec::new();
    while let Some(message) = messages.recv().await {
        buffer.clear();
        message.encode(&mut buffer);
        while let Ok(message) = messages.try_recv() {
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
    handler: Arc<dyn Handler>,
) -> std::io::Result<impl Future<Output = ()> + 'static> {
    let listener = env.net.listen(address).await?;
    Ok(async move {
        while let Ok((stream, _)) = listener.accept().await {
            env.tasks.spawn_local(serve_peer(env.clone(), stream, Arc::clone(&handler)));
        }
    })
}

async fn serve_peer(env: Env, stream: Box<dyn Stream>, handler: Arc<dyn Handler>) {
    let (mut reader, writer) = tokio::io::split(stream);
    let (answers, to_write) = mpsc::channel(QUEUE_MESSAGES);
    env.tasks.spawn_local(write_answers(writer, to_write));
    loop {
        let message = match read_message(&mut reader).await {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(%error, "a connection of a peer ends");
                return;
            }
        };
        let (handler, answers) = (Arc::clone(&handler), answers.clone());
        env.tasks.spawn_local(async move {
            let Message { id, deadline_micros, body } = message;
            let body = handler.handle(body).await;
            // The peer may be gone.
            let _ = answers.send(Message { id, deadline_micros, body }).await;
        });
    }
}

async fn write_answers(mut writer: WriteHalf<Box<dyn Stream>>, mut answers: mpsc::Receiver<Message>) {
    let mut buffer = Vec::new();
    while let Some(message) = answers.recv().await {
        buffer.clear();
        message.encode(&mut buffer);
        if writer.write_all(&buffer).await.is_err() {
            return;
        }
    }
}
