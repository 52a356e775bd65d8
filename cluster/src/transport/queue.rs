//! What waits on its way to a peer and back: bounded in bytes, and dropped once nobody waits for it.

use crate::message::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a message takes besides its body, about.
const MESSAGE_BYTES: usize = 256;
/// Room for what a peer asks is counted in pieces of so many bytes.
pub(super) const PIECE_BYTES: usize = 1 << 10;

/// A message that waits to be written.
pub(super) struct Queued {
    /// Its patience is what is left of it when it is written.
    pub(super) message: Message,
    /// When nobody waits for its answer any more, or for it as an answer; of the monotonic clock.
    pub(super) deadline: Duration,
    /// What it takes until it is written.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// Bytes of requests that wait to be written or answered.
#[derive(Debug, Default)]
pub struct Outstanding(AtomicUsize);

impl Outstanding {
    /// Takes a request in, unless there are `most` bytes with it. One alone is always taken in. Gives its bytes.
    pub(super) fn take(&self, body_bytes: usize, most: usize) -> Option<usize> {
        let bytes = body_bytes + MESSAGE_BYTES;
        let before = self.0.fetch_add(bytes, Relaxed);
        if before == 0 || before + bytes <= most {
            return Some(bytes);
        }
        self.give_back(bytes);
        None
    }

    /// Gives back what a request has taken.
    pub(super) fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Relaxed);
    }

    /// How many there are.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// Room for what a peer has asked and is told.
#[derive(Clone)]
pub(super) struct Room {
    pieces: Arc<Semaphore>,
    most: usize,
}

impl Room {
    pub(super) fn new(most_bytes: usize) -> Self {
        let most = most_bytes / PIECE_BYTES;
        Self { pieces: Arc::new(Semaphore::new(most)), most }
    }

    /// Waits for room for a message. One that is larger than all of it has it alone.
    pub(super) async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let pieces = bytes.div_ceil(PIECE_BYTES).clamp(1, self.most);
        // Nobody closes it.
        Arc::clone(&self.pieces).acquire_many_owned(u32::try_from(pieces).ok()?).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outstanding_is_bounded_and_given_back() {
        let outstanding = Outstanding::default();
        let first = outstanding.take(5_000, 1_000).expect("one is always taken in");
        assert!(outstanding.take(0, 5_000).is_none());
        assert_eq!(outstanding.bytes(), 5_000 + MESSAGE_BYTES);
        let second = outstanding.take(0, 5_000 + 2 * MESSAGE_BYTES).unwrap();
        outstanding.give_back(first);
        outstanding.give_back(second);
        assert_eq!(outstanding.bytes(), 0);
    }
}
