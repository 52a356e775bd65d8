//! Answers requests of peers.

use super::complaints::Complaints;
use super::introduction::{ACCEPT_RETRY, CONNECT_TIMEOUT, Link};
use super::queue::{PIECE_BYTES, Queued, Room};
use super::traffic::Inbound;
use super::wire::{read_message, write_queue};
use super::{Handler, Peer, QUEUE_MESSAGES, forward};
use crate::error::ClusterError;
use crate::message::{Body, Message};
use crate::trace::Trace;
use dodona_env::net::Stream;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Bytes of a connection's requests that are worked on before no more are read, and of answers that wait to be written.
const WORK_BYTES: usize = 64 << 20;
/// Peers that have not said yet who they are; others wait for their turn in the operating system.
const MAX_STRANGERS: usize = 256;

/// Accepts peers on `address` and answers their requests, for as long as it is polled.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(
    link: Link,
    address: SocketAddr,
    handler: Arc<dyn Handler>,
) -> std::io::Result<impl Future<Output = ()> + 'static> {
    let listener = link.env.net.listen(address).await?;
    Ok(async move {
        let complaints = Arc::new(Complaints::new(Arc::clone(&link.env.clock)));
        let places = Arc::new(Semaphore::new(MAX_STRANGERS));
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, address)) => {
                    let served = serve_peer(link.clone(), stream, place, Arc::clone(&handler));
                    let complaints = Arc::clone(&complaints);
                    link.env.tasks.spawn_local(async move {
                        if let Err(error) = served.await {
                            tell_of(&complaints, address, &error);
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a peer's connection could not be accepted");
                    dodona_env::clock::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    })
}

fn tell_of(complaints: &Complaints, address: SocketAddr, error: &ClusterError) {
    // The port is another one each time.
    if error.is_for_operators() && complaints.is_due(SocketAddr::new(address.ip(), 0)) {
        tracing::warn!(%address, %error, "a peer is not listened to");
    } else {
        tracing::debug!(%address, %error, "a connection of a peer ends");
    }
}

async fn serve_peer(
    link: Link,
    stream: Box<dyn Stream>,
    place: OwnedSemaphorePermit,
    handler: Arc<dyn Handler>,
) -> Result<(), ClusterError> {
    let late = |_| ClusterError::Peer("it did not introduce itself in time".into());
    let met = tokio::time::timeout(CONNECT_TIMEOUT, link.meet(stream)).await;
    let (mut reader, mut writer, peer) = met.map_err(late)??;
    drop(place);
    let clock = Arc::clone(&link.env.clock);
    let (answers, mut to_write) = mpsc::channel(QUEUE_MESSAGES);
    let of_writer = Arc::clone(&clock);
    link.env.tasks.spawn_local(async move {
        write_queue(&mut writer, &mut to_write, &*of_writer, |_, _, _| {}).await;
    });
    let counts = if peer.is_of_this_cluster { link.traffic.from(peer.host) } else { Arc::default() };
    let (work, to_tell) = (Room::new(WORK_BYTES), Room::new(WORK_BYTES));
    let service = Service { link, handler, answers, counts, work, to_tell };
    loop {
        // Others have their turn however much has arrived.
        tokio::task::consume_budget().await;
        let (message, bytes) = read_message(&mut reader).await?;
        service.counts.received.add(1, bytes);
        let deadline = reader.arrived() + Duration::from_micros(message.patience_micros);
        let peer = Peer { members: message.members, ..peer };
        if let Body::Forward(forward) = &message.body {
            for (id, body) in forward::requests(message.id, forward)? {
                let (bytes, notes) = (body.bytes(), message.notes.clone());
                service.begin(peer, deadline, bytes, Message { id, notes, body, ..message }).await;
            }
        } else {
            service.begin(peer, deadline, bytes, message).await;
        }
    }
}

/// What answers the requests of a connection.
struct Service {
    link: Link,
    handler: Arc<dyn Handler>,
    answers: mpsc::Sender<Queued>,
    counts: Arc<Inbound>,
    /// Room for what is under way, and for large answers.
    work: Room,
    to_tell: Room,
}

impl Service {
    /// Has a request answered that takes so many bytes, once there is room, unless nobody waits for the answer by then.
    async fn begin(&self, peer: Peer, deadline: Duration, bytes: usize, message: Message) {
        let Message { id, notes, body, .. } = message;
        let trace = notes.map(|_| Trace::new(&self.link.env.clock));
        // Where too much is under way, the peer waits: what it cannot send it does not keep.
        let under_way = self.work.take(bytes).await;
        // How long it has waited for that, and before in the buffer, counts.
        let patience = deadline.saturating_sub(self.link.env.clock.mono());
        if patience.is_zero() {
            self.counts.expired.add(1, bytes);
            return;
        }
        let peer = Peer { patience, ..peer };
        let (handler, answers) = (Arc::clone(&self.handler), self.answers.clone());
        let (counts, to_tell) = (Arc::clone(&self.counts), self.to_tell.clone());
        self.link.env.tasks.spawn_local(async move {
            let answered = async {
                let handled = handler.handle(peer, body);
                let body = match &trace {
                    Some(trace) => Box::pin(Arc::clone(trace).around(handled)).await,
                    None => handled.await,
                };
                // What is small waits in the room that its request has.
                let is_small = body.bytes() <= PIECE_BYTES;
                let room = if is_small { under_way } else { to_tell.take(body.bytes()).await };
                let notes = trace.map(|trace| trace.encode());
                let message = Message { id, patience_micros: 0, members: peer.members, notes, body };
                // The peer may be gone.
                let _ = answers.send(Queued { message, deadline, room }).await;
            };
            // Nobody waits for what comes later.
            let in_time = tokio::time::timeout(peer.patience, answered).await.is_ok();
            let count = if in_time { &counts.processed } else { &counts.expired };
            count.add(1, bytes);
        });
    }
}
