//! Compression of bodies in versions 3 and 4 (native_protocol_v5 section 5). Version 5 compresses
//! segments instead.

use bytes::{BufMut, BytesMut};

use crate::error::DecodeError;
use crate::frame::{Envelope, Flags};
use crate::version::Version;

/// A shorter body is sent as it is: compressing it costs more than it saves.
pub const MIN_COMPRESSED_BODY_BYTES: usize = 512;
/// Length of the field before an LZ4 block that holds its uncompressed length.
const LZ4_LENGTH_BYTES: usize = 4;
/// No LZ4 block expands further than this: a match costs a byte per 255 bytes.
const MAX_LZ4_RATIO: usize = 255;
/// No Snappy block expands further than this: a copy costs 2 bytes or more and gives at most 64.
const MAX_SNAPPY_RATIO: usize = 64;

/// The compression that STARTUP agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// `lz4`
    Lz4,
    /// `snappy`, only in versions 3 and 4.
    Snappy,
}

impl Compression {
    /// The compression with this name in STARTUP, in any case of letters.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Lz4, Self::Snappy].into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }

    /// The name in STARTUP and SUPPORTED; empty for none.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Lz4 => "lz4",
            Self::Snappy => "snappy",
        }
    }

    /// The body of `envelope`, decompressed into `scratch` if it is compressed.
    ///
    /// As in Cassandra, the flag means nothing on a connection that agreed on no compression.
    ///
    /// # Errors
    /// If the body does not decompress or is longer than `max_bytes` once decompressed.
    #[inline]
    pub fn body<'a>(
        self,
        envelope: &Envelope<'a>,
        max_bytes: usize,
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], DecodeError> {
        let compressed = envelope.header.flags.contains(Flags::COMPRESSED);
        if !compressed || self == Self::None || envelope.header.version >= Version::V5 {
            return Ok(envelope.body);
        }
        self.decompress(envelope.body, max_bytes, scratch)?;
        Ok(scratch)
    }

    /// Replaces `out` by the decompressed `body`.
    ///
    /// # Errors
    /// If `body` does not decompress or its claimed length is above `max_bytes`.
    pub fn decompress(self, body: &[u8], max_bytes: usize, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        match self {
            Self::None => Err(DecodeError::Invalid("Compressed message, but no compression was agreed on")),
            Self::Lz4 => {
                let (length, block) = body
                    .split_first_chunk::<LZ4_LENGTH_BYTES>()
                    .ok_or(DecodeError::Truncated { needed: LZ4_LENGTH_BYTES, available: body.len() })?;
                let length = u32::from_be_bytes(*length) as usize;
                prepare(out, length, block.len().saturating_mul(MAX_LZ4_RATIO), max_bytes)?;
                decompress_lz4(block, out)
            }
            Self::Snappy => {
                let length = snap::raw::decompress_len(body).map_err(|_| MALFORMED)?;
                prepare(out, length, body.len().saturating_mul(MAX_SNAPPY_RATIO), max_bytes)?;
                let written = snap::raw::Decoder::new().decompress(body, out).map_err(|_| MALFORMED)?;
                if written == length { Ok(()) } else { Err(MALFORMED) }
            }
        }
    }

    /// Compresses what `out` holds from `start` on in place, unless that makes it no shorter.
    /// Returns whether it did.
    pub(crate) fn compress_tail(self, out: &mut BytesMut, start: usize) -> bool {
        let length = out.len() - start;
        if self == Self::None || length < MIN_COMPRESSED_BODY_BYTES {
            return false;
        }
        let body = out.split_off(start);
        let done = match self {
            Self::None => false,
            Self::Lz4 => append_lz4_body(&body, out),
            Self::Snappy => append_snappy_body(&body, out),
        };
        if done && out.len() - start < length {
            return true;
        }
        out.truncate(start);
        out.unsplit(body);
        false
    }
}

const MALFORMED: DecodeError = DecodeError::Invalid("Compressed message does not decompress");

/// Makes `out` exactly `length` bytes long, after checking that this many can be meant.
fn prepare(out: &mut Vec<u8>, length: usize, possible: usize, limit: usize) -> Result<(), DecodeError> {
    if length > limit {
        return Err(DecodeError::TooLong { length, limit });
    }
    if length > possible {
        return Err(MALFORMED);
    }
    out.clear();
    out.resize(length, 0);
    Ok(())
}

/// Fills exactly `out` from an LZ4 block.
pub(crate) fn decompress_lz4(block: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
    match lz4_flex::block::decompress_into(block, out) {
        Ok(written) if written == out.len() => Ok(()),
        _ if out.is_empty() && matches!(block, [] | [0]) => Ok(()),
        _ => Err(MALFORMED),
    }
}

/// Appends `input` as an LZ4 block. Returns false, with anything behind the former end, on failure.
pub(crate) fn append_lz4_block(input: &[u8], out: &mut BytesMut) -> bool {
    let start = out.len();
    out.put_bytes(0, lz4_flex::block::get_maximum_output_size(input.len()));
    match lz4_flex::block::compress_into(input, &mut out[start..]) {
        Ok(written) => {
            out.truncate(start + written);
            true
        }
        Err(_) => false,
    }
}

fn append_lz4_body(body: &[u8], out: &mut BytesMut) -> bool {
    let Ok(length) = u32::try_from(body.len()) else {
        return false;
    };
    out.put_u32(length);
    append_lz4_block(body, out)
}

fn append_snappy_body(body: &[u8], out: &mut BytesMut) -> bool {
    let start = out.len();
    out.put_bytes(0, snap::raw::max_compress_len(body.len()));
    match snap::raw::Encoder::new().compress(body, &mut out[start..]) {
        Ok(written) => {
            out.truncate(start + written);
            true
        }
        Err(_) => false,
    }
}

#[cfg(test)]
#[path = "compression_tests.rs"]
mod tests;
