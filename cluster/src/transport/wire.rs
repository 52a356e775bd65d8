//! Messages on a connection.

use crate::error::ClusterError;
use crate::message::{Body, Message, PREFIX_BYTES};
use dodona_env::net::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

/// Frames are gathered into one write up to about so many bytes.
const WRITE_BYTES: usize = 256 << 10;

/// The side of a connection that is read.
pub(super) type Reading = ReadHalf<Box<dyn Stream>>;
/// The side of a connection that is written.
pub(super) type Writing = WriteHalf<Box<dyn Stream>>;

/// Writes a message that is no request.
pub(super) async fn write_message(writer: &mut Writing, body: Body) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    Message { id: 0, patience_micros: 0, members: 0, body }.encode(&mut buffer);
    writer.write_all(&buffer).await
}

/// Writes what is in the queue, many messages at once where there are many, until either ends.
pub(super) async fn write_queue(writer: &mut Writing, messages: &mut mpsc::Receiver<Message>) {
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

/// The next message.
pub(super) async fn read_message(reader: &mut Reading) -> Result<Message, ClusterError> {
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
