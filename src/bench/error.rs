//! Why a run ended early.

use dodona_protocol::{DecodeError, FrameError, SegmentError};
use std::time::Duration;
use thiserror::Error;

/// Why a run ended early.
#[derive(Debug, Error)]
pub enum BenchError {
    /// Arguments that do not go together.
    #[error("{0}")]
    Arguments(&'static str),
    /// The operating system refused something.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Its answer.
        error: std::io::Error,
    },
    /// The server closed a connection.
    #[error("the server closed the connection")]
    Closed,
    /// The server owes answers and says nothing.
    #[error("the server has not answered for {0:?}")]
    Silent(Duration),
    /// A connection could not be opened again.
    #[error("no contact point was reached for {patience:?}; the last try: {error}")]
    Unreached {
        /// How long it was tried.
        patience: Duration,
        /// What the last try gave.
        error: Box<BenchError>,
    },
    /// The server sent a frame that is none.
    #[error("malformed frame: {0}")]
    Frame(#[from] FrameError),
    /// The server sent a damaged segment.
    #[error("malformed segment: {0}")]
    Segment(#[from] SegmentError),
    /// The server sent a message that does not decode.
    #[error("malformed message: {0}")]
    Message(#[from] DecodeError),
    /// The server refused what the loader cannot do without.
    #[error("the server answered {what} with: {message}")]
    Refused {
        /// What it was asked.
        what: &'static str,
        /// Its answer.
        message: String,
    },
    /// Rows are not as they were acknowledged.
    #[error("not everything is as it was acknowledged: {0}")]
    Unverified(String),
    /// A thread of the loader panicked.
    #[error("a thread of the loader died")]
    ThreadDied,
}

impl BenchError {
    /// True if the connection is gone, and the server may be back.
    pub(super) const fn is_of_connection(&self) -> bool {
        matches!(self, Self::Closed | Self::Silent(_) | Self::Io { .. })
    }

    /// For `map_err`: an I/O error while doing `what`.
    pub(super) fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Io { what, error }
    }
}
