//! Appending an envelope to an output buffer: header, body, then the length once it is known.

use bytes::{BufMut, BytesMut};

use crate::compression::Compression;
use crate::frame::{Flags, HEADER_BYTES, Header, Opcode};
use crate::version::Version;

/// Where the length stands in a header.
const LENGTH_RANGE: std::ops::Range<usize> = 5..9;

/// What a connection has agreed on, as far as bytes depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// The protocol version.
    pub version: Version,
    /// Compression of bodies; ignored in version 5, which compresses segments.
    pub compression: Compression,
}

impl Encoding {
    /// An encoding of these.
    #[must_use]
    pub const fn new(version: Version, compression: Compression) -> Self {
        Self { version, compression }
    }
}

/// An envelope being written at the end of a buffer. Dropped before [`finish`](Self::finish), it
/// leaves the buffer as it was.
#[derive(Debug)]
#[must_use = "an envelope that is not finished is taken back"]
pub struct EnvelopeWriter<'b> {
    out: &'b mut BytesMut,
    start: usize,
    compression: Compression,
    finished: bool,
}

impl<'b> EnvelopeWriter<'b> {
    /// Begins an envelope with a header; the direction follows from `opcode`.
    #[inline]
    pub fn begin(
        out: &'b mut BytesMut,
        encoding: Encoding,
        stream: i16,
        opcode: Opcode,
        flags: Flags,
    ) -> Self {
        let start = out.len();
        let version = encoding.version;
        let header = Header { version, direction: opcode.direction(), flags, stream, opcode, body_bytes: 0 };
        out.put_slice(&header.encode());
        let compression = match (version, opcode) {
            // A peer that has not agreed on a compression yet could not read it.
            (Version::V5, _) | (_, Opcode::Startup | Opcode::Options) => Compression::None,
            _ => encoding.compression,
        };
        Self { out, start, compression, finished: false }
    }

    /// The buffer, to append the body to. Bytes before the envelope are not to be touched.
    #[inline]
    pub const fn body(&mut self) -> &mut BytesMut {
        self.out
    }

    /// Where the body starts in the buffer.
    #[inline]
    #[must_use]
    pub const fn body_start(&self) -> usize {
        self.start + HEADER_BYTES
    }

    /// Length of the body so far in bytes.
    #[inline]
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.out.len() - self.body_start()
    }

    /// Where the body ends in the buffer so far.
    #[inline]
    #[must_use]
    pub fn end(&self) -> usize {
        self.out.len()
    }

    /// Compresses the body if the connection agreed on it, and writes its length.
    #[inline]
    pub fn finish(mut self) {
        let body_start = self.body_start();
        if self.compression.compress_tail(self.out, body_start) {
            self.out[self.start + 1] |= Flags::COMPRESSED.0;
        }
        let length = u32::try_from(self.body_bytes()).unwrap_or(u32::MAX);
        let header = &mut self.out[self.start..body_start];
        header[LENGTH_RANGE].copy_from_slice(&length.to_be_bytes());
        self.finished = true;
    }
}

impl Drop for EnvelopeWriter<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}
