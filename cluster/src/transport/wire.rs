//! Messages on a connection.

use super::LARGE_BYTES;
use super::queue::Queued;
use super::tls::{SPEAKS_TLS, explain};
use crate::error::ClusterError;
use crate::message::{Body, FIRST, MAX_FRAME_BYTES, Message, PREFIX_BYTES};
use dodona_env::clock::Clock;
use dodona_env::net::Stream;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, ReadBuf, ReadHalf, WriteHalf,
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Frames are gathered into one write up to about so many bytes.
const WRITE_BYTES: usize = 256 << 10;
/// The longest first frame: nobody knows yet who sends it. No beginning of TLS is the length of one.
const FIRST_FRAME_BYTES: usize = 64 << 10;

/// Small messages that have arrived together are read at once, up to so many bytes.
const READ_BYTES: usize = 16 << 10;

/// The side of a connection that is read.
pub(super) struct Reading {
    stream: BufReader<Stamped>,
    /// What is read is of this version: that of introductions until another is agreed on.
    pub(super) version: u16,
}

impl Reading {
    /// When the end of what was read last had come, or before: it may have lain in the buffer since. How long it lay in the operating
    /// system nobody knows.
    pub(super) fn arrived(&self) -> Duration {
        self.stream.get_ref().at
    }
}

/// Notes when something came the last time.
struct Stamped {
    stream: ReadHalf<Box<dyn Stream>>,
    clock: Arc<dyn Clock>,
    at: Duration,
}

impl AsyncRead for Stamped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.at = self.clock.mono();
        }
        read
    }
}

/// The side of a connection that is written.
pub(super) struct Writing {
    stream: WriteHalf<Box<dyn Stream>>,
    /// What is written is of this version.
    pub(super) version: u16,
}

/// Both sides of a connection.
pub(super) fn split(stream: Box<dyn Stream>, clock: &Arc<dyn Clock>) -> (Reading, Writing) {
    let (reader, writer) = tokio::io::split(stream);
    let reader = Stamped { stream: reader, clock: Arc::clone(clock), at: Duration::ZERO };
    let reader = BufReader::with_capacity(READ_BYTES, reader);
    (Reading { stream: reader, version: FIRST }, Writing { stream: writer, version: FIRST })
}

/// What a broken connection says.
pub(super) fn broke(error: io::Error) -> ClusterError {
    explain(&error).map_or_else(|| ClusterError::Peer(error.to_string()), ClusterError::Tls)
}

/// Writes a message that is no request.
pub(super) async fn write_message(writer: &mut Writing, body: Body) -> Result<(), ClusterError> {
    let mut buffer = Vec::new();
    Message { id: 0, patience_micros: 0, members: 0, notes: None, body }.encode(writer.version, &mut buffer);
    write(writer, &buffer).await.map_err(broke)
}

/// Writes bytes. TLS keeps a part of them until it is flushed.
async fn write(writer: &mut Writing, bytes: &[u8]) -> io::Result<()> {
    writer.stream.write_all(bytes).await?;
    writer.stream.flush().await
}

/// What is gathered for one write.
#[derive(Default)]
struct Batch {
    buffer: Vec<u8>,
    rooms: Vec<OwnedSemaphorePermit>,
    written: u64,
    expired: u64,
}

impl Batch {
    fn begin(&mut self) {
        self.buffer.clear();
        (self.written, self.expired) = (0, 0);
    }

    /// Takes a message in, unless nobody waits for it any more.
    fn put(&mut self, version: u16, Queued { mut message, deadline, room }: Queued, now: Duration) {
        let left = deadline.saturating_sub(now);
        if left.is_zero() {
            self.expired += 1;
            return;
        }
        // How long it has waited here counts.
        message.patience_micros = u64::try_from(left.as_micros()).unwrap_or(u64::MAX);
        message.encode(version, &mut self.buffer);
        self.written += 1;
        self.rooms.extend(room);
    }
}

/// Writes what is in the queue, many messages at once where there are many, until either ends. Large ones are set aside and go one at a
/// time, in their order: what is small and has come meanwhile goes before the next, so that it waits for one of them and not for all. What
/// nobody waits for any more is left out. `told` is how many were written, their bytes, and how many were left out.
pub(super) async fn write_queue(
    writer: &mut Writing,
    messages: &mut mpsc::Receiver<Queued>,
    clock: &dyn Clock,
    told: impl Fn(u64, usize, u64),
) {
    // Bounded as the queue is, by what room there is for answers, or for requests.
    let (mut batch, mut large) = (Batch::default(), VecDeque::new());
    loop {
        let mut next = if large.is_empty() {
            let Some(first) = messages.recv().await else { return };
            Some(first)
        } else {
            messages.try_recv().ok()
        };
        batch.begin();
        let now = clock.mono();
        while let Some(queued) = next {
            if queued.message.body.bytes() > LARGE_BYTES {
                large.push_back(queued);
            } else {
                batch.put(writer.version, queued, now);
            }
            next = if batch.buffer.len() < WRITE_BYTES { messages.try_recv().ok() } else { None };
        }
        if let Some(queued) = large.pop_front() {
            batch.put(writer.version, queued, now);
        }
        if !batch.buffer.is_empty() && write(writer, &batch.buffer).await.is_err() {
            return;
        }
        batch.rooms.clear();
        told(batch.written, batch.buffer.len(), batch.expired);
    }
}

/// The first message of a peer.
pub(super) async fn read_first_message(reader: &mut Reading) -> Result<Message, ClusterError> {
    let mut prefix = [0; PREFIX_BYTES];
    let (begin, rest) = prefix.split_at_mut(4);
    reader.stream.read_exact(begin).await.map_err(broke)?;
    // The head of a TLS record with a handshake or an alert (RFC 8446 section 5.1).
    if matches!(begin, [0x15 | 0x16, 3, 1..=4, _]) {
        return Err(ClusterError::Tls(SPEAKS_TLS.into()));
    }
    reader.stream.read_exact(rest).await.map_err(broke)?;
    read_behind(prefix, FIRST_FRAME_BYTES, reader).await.map(|(message, _)| message)
}

/// The next message, and the bytes of its frame.
pub(super) async fn read_message(reader: &mut Reading) -> Result<(Message, usize), ClusterError> {
    let mut prefix = [0; PREFIX_BYTES];
    reader.stream.read_exact(&mut prefix).await.map_err(broke)?;
    read_behind(prefix, MAX_FRAME_BYTES, reader).await
}

/// The rest of a message.
async fn read_behind(
    prefix: [u8; PREFIX_BYTES],
    most: usize,
    reader: &mut Reading,
) -> Result<(Message, usize), ClusterError> {
    let Reading { stream, version } = reader;
    let (length, crc) = Message::prefix(prefix)?;
    if length > most {
        return Err(ClusterError::Peer(format!("a frame of {length} bytes before it is known whose")));
    }
    if let Some(frame) = stream.buffer().get(..length) {
        let message = Message::decode(*version, frame, crc)?;
        stream.consume(length);
        return Ok((message, PREFIX_BYTES + length));
    }
    let mut bytes = Vec::with_capacity(length.min(64 << 10));
    let read = stream.take(length as u64).read_to_end(&mut bytes).await.map_err(broke)?;
    if read < length {
        return Err(ClusterError::Peer("the connection broke within a message".into()));
    }
    Ok((Message::decode(*version, &bytes, crc)?, PREFIX_BYTES + length))
}
