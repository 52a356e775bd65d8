//! Reading segments.

use super::{
    CRC24_BYTES, LENGTH_BITS, MAX_PAYLOAD_BYTES, SegmentError, SegmentFormat, TRAILER_BYTES, crc24, crc32,
};
use crate::compression::decompress_lz4;
use crate::frame::{EnvelopeRules, HEADER_BYTES};

/// What [`SegmentReader::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// No whole segment: more bytes are needed.
    Incomplete,
    /// A segment of `consumed` bytes, which did not yet complete a message.
    Partial {
        /// Bytes to drop from the front of the buffer.
        consumed: usize,
    },
    /// A segment of `consumed` bytes, with which `envelopes` are complete: one or more whole
    /// envelopes, for [`EnvelopeRules::next`].
    Envelopes {
        /// The envelopes' bytes.
        envelopes: &'a [u8],
        /// Bytes to drop from the front of the buffer, once the envelopes have been used.
        consumed: usize,
    },
}

/// Turns the bytes of a connection of version 5 into the bytes of envelopes.
///
/// A plain self-contained segment is not copied. Memory is held only for the bytes that have
/// arrived of a message longer than a segment, and never beyond the limit on a message.
#[derive(Debug)]
pub struct SegmentReader {
    format: SegmentFormat,
    rules: EnvelopeRules,
    /// The last payload that was decompressed.
    decompressed: Vec<u8>,
    /// What has arrived of a message that spans several segments.
    assembly: Vec<u8>,
    /// True if `assembly` was given out and has to be emptied.
    delivered: bool,
}

impl SegmentReader {
    /// A reader of segments of `format`, whose envelopes keep to `rules`.
    #[must_use]
    pub const fn new(format: SegmentFormat, rules: EnvelopeRules) -> Self {
        Self { format, rules, decompressed: Vec::new(), assembly: Vec::new(), delivered: false }
    }

    /// Memory held for what has arrived of a message longer than a segment, in bytes.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.assembly.capacity()
    }

    /// Reads the first segment of `buffered`.
    ///
    /// # Errors
    /// If it is damaged, or starts a message that is not acceptable.
    #[inline]
    pub fn next<'a>(&'a mut self, buffered: &'a [u8]) -> Result<Step<'a>, SegmentError> {
        if std::mem::take(&mut self.delivered) {
            self.assembly.clear();
            self.assembly.shrink_to(MAX_PAYLOAD_BYTES);
        }
        let Some(raw) = RawSegment::read(self.format, buffered)? else {
            return Ok(Step::Incomplete);
        };
        let consumed = raw.consumed;
        let payload = raw.payload(&mut self.decompressed)?;
        if raw.self_contained {
            if !self.assembly.is_empty() {
                return Err(SegmentError::MixedSegments);
            }
            return Ok(Step::Envelopes { envelopes: payload, consumed });
        }
        self.assembly.extend_from_slice(payload);
        if !is_assembled(&self.rules, &self.assembly)? {
            return Ok(Step::Partial { consumed });
        }
        self.delivered = true;
        Ok(Step::Envelopes { envelopes: &self.assembly, consumed })
    }
}

/// True if `assembly` is one whole envelope, false if more of it is to come.
fn is_assembled(rules: &EnvelopeRules, assembly: &[u8]) -> Result<bool, SegmentError> {
    let Some(header) = rules.peek(assembly)? else {
        return Ok(false);
    };
    let length = HEADER_BYTES + header.body_bytes as usize;
    if assembly.len() > length {
        return Err(SegmentError::MixedSegments);
    }
    Ok(assembly.len() == length)
}

/// A segment whose checksums hold.
struct RawSegment<'a> {
    payload: &'a [u8],
    /// 0 if the payload is not compressed.
    uncompressed_bytes: usize,
    self_contained: bool,
    consumed: usize,
}

impl<'a> RawSegment<'a> {
    /// The segment at the start of `buffered`, or `None` if it is not complete.
    fn read(format: SegmentFormat, buffered: &'a [u8]) -> Result<Option<Self>, SegmentError> {
        let Some((header, rest)) = buffered.split_at_checked(format.header_bytes()) else {
            return Ok(None);
        };
        let fields = check_header(format, header)?;
        let length = fields as usize & MAX_PAYLOAD_BYTES;
        let flags = match format {
            SegmentFormat::Plain => fields,
            SegmentFormat::Lz4 => fields >> LENGTH_BITS,
        };
        let Some((payload, trailer)) = rest.split_at_checked(length) else {
            return Ok(None);
        };
        let Some(trailer) = trailer.first_chunk::<TRAILER_BYTES>() else {
            return Ok(None);
        };
        let (read, computed) = (u32::from_le_bytes(*trailer), crc32(payload));
        if read != computed {
            return Err(SegmentError::PayloadChecksum { read, computed });
        }
        Ok(Some(Self {
            payload,
            uncompressed_bytes: if format == SegmentFormat::Lz4 {
                flags as usize & MAX_PAYLOAD_BYTES
            } else {
                0
            },
            self_contained: (flags >> LENGTH_BITS) & 1 == 1,
            consumed: format.header_bytes() + length + TRAILER_BYTES,
        }))
    }

    fn payload<'b>(&self, scratch: &'b mut Vec<u8>) -> Result<&'b [u8], SegmentError>
    where
        'a: 'b,
    {
        if self.uncompressed_bytes == 0 {
            return Ok(self.payload);
        }
        // At most 128 KiB, which needs no check against the compressed length.
        scratch.clear();
        scratch.resize(self.uncompressed_bytes, 0);
        decompress_lz4(self.payload, scratch).map_err(|_| SegmentError::Decompression)?;
        Ok(scratch)
    }
}

/// The fields of a header as a little-endian number, if the checksum holds.
fn check_header(format: SegmentFormat, header: &[u8]) -> Result<u64, SegmentError> {
    let (fields, crc) = header.split_at(format.fields_bytes());
    let (read, computed) = (little_endian(crc) as u32, crc24(fields));
    debug_assert_eq!(crc.len(), CRC24_BYTES);
    if read == computed {
        Ok(little_endian(fields))
    } else {
        Err(SegmentError::HeaderChecksum { read, computed })
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
