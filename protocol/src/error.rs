//! What can be wrong with a message.

use thiserror::Error;

/// A body that does not decode. The server answers it with a protocol error (0x000A) whose text
/// is this error's, and closes the connection.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A field reaches past the end of the body.
    #[error("Not enough bytes to read a field of {needed} bytes: only {available} left")]
    Truncated {
        /// Length of the field in bytes.
        needed: usize,
        /// Bytes left in the body.
        available: usize,
    },
    /// Text that is not UTF-8.
    #[error("Cannot decode string as UTF8")]
    InvalidUtf8,
    /// A length that may not be negative is.
    #[error("Invalid negative length {0}")]
    NegativeLength(i32),
    /// The length of a `[value]` is below -2.
    #[error("Invalid ByteBuf length {0}")]
    InvalidValueLength(i32),
    /// A consistency level without a name.
    #[error("Unknown code {0} for a consistency level")]
    UnknownConsistency(u16),
    /// No kind of batch has this number.
    #[error("Invalid BATCH message type {0}")]
    UnknownBatchKind(u8),
    /// A statement of a batch is neither text nor prepared.
    #[error("Invalid query kind in BATCH messages. Must be 0 or 1 but got {0}")]
    UnknownStatementKind(u8),
    /// A number that stands for nothing here.
    #[error("Invalid {what}: {number}")]
    UnknownNumber {
        /// What the number is for.
        what: &'static str,
        /// The number.
        number: i64,
    },
    /// Text that stands for nothing here.
    #[error("Invalid value '{text}' for {what}")]
    UnknownText {
        /// What the text is for.
        what: &'static str,
        /// The text, cut to a bounded length.
        text: Box<str>,
    },
    /// A type nested deeper than `types::limits::MAX_NESTING`.
    #[error("Type is nested too deeply")]
    TooDeep,
    /// A message that breaks a rule which needs no further detail.
    #[error("{0}")]
    Invalid(&'static str),
    /// A compressed body whose length, once decompressed, is above the limit.
    #[error("CQL Message of size {length} bytes exceeds allowed maximum of {limit} bytes")]
    TooLong {
        /// Length claimed, in bytes.
        length: usize,
        /// The limit, in bytes.
        limit: usize,
    },
}

impl DecodeError {
    /// An [`UnknownText`](Self::UnknownText) with a bounded copy of `text`.
    pub(crate) fn unknown_text(what: &'static str, text: &str) -> Self {
        const MAX_CHARS: usize = 100;
        Self::UnknownText { what, text: text.chars().take(MAX_CHARS).collect() }
    }
}
