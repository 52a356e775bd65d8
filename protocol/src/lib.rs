//! The native protocol of Cassandra, versions 3, 4 and 5: bytes to messages and back, for the
//! server and for clients. Nothing here does I/O.
//!
//! Vocabulary, from the wire inwards:
//! - a **segment** ([`segment`]) is the outer frame of version 5, with checksums and optionally LZ4;
//! - an **envelope** ([`frame`]) is a 9-byte header and a body: one message. Versions 3 and 4 send
//!   envelopes as they are, with bodies that may be compressed ([`compression`]);
//! - a **message** is a [`request`] or a [`response`].
//!
//! A server reads bytes, finds envelopes ([`EnvelopeRules::next`], for version 5 in what
//! [`SegmentReader`] yields), decodes a [`Request`] which borrows from them, and appends the
//! answer to its output buffer with a [`ResponseWriter`].
#![forbid(unsafe_code)]

pub mod compression;
pub mod envelope_writer;
pub mod error;
pub mod error_code;
pub mod frame;
pub mod primitives;
pub mod request;
pub mod response;
pub mod segment;
pub mod types_option;
pub mod version;

pub use compression::Compression;
pub use envelope_writer::{Encoding, EnvelopeWriter};
pub use error::DecodeError;
pub use error_code::{ErrorCode, WriteType};
pub use frame::{Direction, Envelope, EnvelopeRules, Flags, FrameError, Header, Opcode};
pub use primitives::{Reader, Value};
pub use request::{Request, RequestExtras};
pub use response::{
    ColumnSpec, EncodedMetadata, ErrorBody, ErrorResponse, Extras, PreparedMetadata, Response,
    ResponseWriter, ResultMetadata, RowsOptions, RowsWriter,
};
pub use segment::{SegmentError, SegmentFormat, SegmentReader};
pub use version::Version;
