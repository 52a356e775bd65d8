//! Segments: the outer frames of version 5, with checksums and optionally LZ4.
//!
//! ```text
//! plain  3 bytes, little-endian: payload length 17 bits, self-contained 1 bit, 6 bits unused
//! LZ4    5 bytes, little-endian: compressed length 17 bits, uncompressed length 17 bits,
//!        self-contained 1 bit, 5 bits unused
//! both   CRC24 of those bytes, 3 bytes little-endian
//!        payload
//!        CRC32 of the payload as it travels, 4 bytes little-endian
//! ```
//! A self-contained segment holds one or more whole envelopes; any other a part of one envelope
//! that is too long for a segment. An LZ4 segment with an uncompressed length of 0 holds bytes
//! that are not compressed.

mod crc;
mod reader;
mod writer;

pub use crc::{crc24, crc32};
pub use reader::{SegmentReader, Step};
pub use writer::{SegmentRun, append_segments};

use thiserror::Error;

/// The longest payload of a segment in bytes.
pub const MAX_PAYLOAD_BYTES: usize = (1 << LENGTH_BITS) - 1;
/// Length of the CRC32 after the payload in bytes.
pub const TRAILER_BYTES: usize = 4;
const LENGTH_BITS: u32 = 17;
const CRC24_BYTES: usize = 3;

/// How the segments of a connection are made: with LZ4 if STARTUP asked for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SegmentFormat {
    /// Payloads travel as they are.
    #[default]
    Plain,
    /// Payloads are LZ4 blocks where that is shorter.
    Lz4,
}

impl SegmentFormat {
    /// Length of a segment's header in bytes, with its CRC24.
    #[must_use]
    pub const fn header_bytes(self) -> usize {
        self.fields_bytes() + CRC24_BYTES
    }

    /// Length of the header's fields in bytes, which the CRC24 covers.
    const fn fields_bytes(self) -> usize {
        match self {
            Self::Plain => 3,
            Self::Lz4 => 5,
        }
    }
}

/// Bytes that are no segment. Nothing after them can be trusted: the connection has to be closed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SegmentError {
    /// The header's checksum does not match.
    #[error("Read corrupt CRC24 in segment header: {read:#08x}, computed {computed:#08x}")]
    HeaderChecksum {
        /// In the header.
        read: u32,
        /// Of the header's fields.
        computed: u32,
    },
    /// The payload's checksum does not match.
    #[error("Read corrupt CRC32 of segment payload: {read:#010x}, computed {computed:#010x}")]
    PayloadChecksum {
        /// In the trailer.
        read: u32,
        /// Of the payload.
        computed: u32,
    },
    /// The payload does not decompress to the length that the header says.
    #[error("Segment payload does not decompress")]
    Decompression,
    /// A self-contained segment came inside a message that spans several segments, or such a
    /// message did not end where its header said.
    #[error("Segments of one message are mixed with others")]
    MixedSegments,
    /// The envelope that starts in these segments is not acceptable.
    #[error(transparent)]
    Frame(#[from] crate::frame::FrameError),
}

#[cfg(test)]
mod tests;
