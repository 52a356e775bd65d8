//! Writing segments.

use bytes::{BufMut, BytesMut};

use super::{CRC24_BYTES, LENGTH_BITS, MAX_PAYLOAD_BYTES, SegmentFormat, TRAILER_BYTES, crc24, crc32};
use crate::compression::append_lz4_block;
use crate::frame::HEADER_BYTES;

/// Marks where the envelopes of one socket write start in the output buffer, so that they can be
/// turned into segments where they stand: up to 128 KiB of plain envelopes are not copied.
///
/// ```
/// # use dodona_protocol::{Encoding, ResponseWriter, SegmentFormat, Version, Compression};
/// # use dodona_protocol::segment::SegmentRun;
/// let mut out = bytes::BytesMut::new();
/// let run = SegmentRun::begin(&mut out, SegmentFormat::Plain);
/// ResponseWriter::new(&mut out, Encoding::new(Version::V5, Compression::None)).void(7, &Default::default());
/// run.seal(&mut out);
/// assert_eq!(out.len(), 6 + 9 + 4 + 4);
/// ```
#[derive(Debug)]
#[must_use = "the envelopes are no segment before `seal`"]
pub struct SegmentRun {
    start: usize,
    format: SegmentFormat,
}

impl SegmentRun {
    /// Begins a run at the end of `out`.
    #[inline]
    pub fn begin(out: &mut BytesMut, format: SegmentFormat) -> Self {
        let start = out.len();
        if format == SegmentFormat::Plain {
            out.put_bytes(0, format.header_bytes());
        }
        Self { start, format }
    }

    /// Makes segments of the envelopes appended since [`begin`](Self::begin).
    #[inline]
    pub fn seal(self, out: &mut BytesMut) {
        let reserved = if self.format == SegmentFormat::Plain { self.format.header_bytes() } else { 0 };
        let payload_start = self.start + reserved;
        let length = out.len() - payload_start;
        if length == 0 {
            out.truncate(self.start);
        } else if self.format == SegmentFormat::Plain && length <= MAX_PAYLOAD_BYTES {
            let header = plain_header(length, true);
            out[self.start..payload_start].copy_from_slice(&header);
            let crc = crc32(&out[payload_start..]);
            out.put_u32_le(crc);
        } else {
            let envelopes = out.split_off(payload_start);
            out.truncate(self.start);
            append_segments(self.format, &envelopes, out);
        }
    }
}

/// Appends `envelopes`, which are whole, to `out` as segments: as many envelopes in each
/// self-contained segment as fit, one that does not fit split over segments of its own.
pub fn append_segments(format: SegmentFormat, envelopes: &[u8], out: &mut BytesMut) {
    let mut rest = envelopes;
    while !rest.is_empty() {
        let fitting = whole_envelopes_within(rest, MAX_PAYLOAD_BYTES);
        if fitting > 0 {
            let (run, others) = rest.split_at(fitting);
            append_segment(format, run, true, out);
            rest = others;
        } else {
            let (envelope, others) = rest.split_at(first_envelope_bytes(rest));
            for part in envelope.chunks(MAX_PAYLOAD_BYTES) {
                append_segment(format, part, false, out);
            }
            rest = others;
        }
    }
}

/// Length of the longest prefix of `envelopes` that is made of whole envelopes and is no longer
/// than `limit`.
fn whole_envelopes_within(envelopes: &[u8], limit: usize) -> usize {
    if envelopes.len() <= limit {
        return envelopes.len();
    }
    let mut end = 0;
    while end < envelopes.len() {
        let next = end + first_envelope_bytes(&envelopes[end..]);
        if next > limit {
            break;
        }
        end = next;
    }
    end
}

/// Length of the first envelope; all that there is if the bytes are no envelope.
fn first_envelope_bytes(envelopes: &[u8]) -> usize {
    match envelopes.first_chunk::<HEADER_BYTES>() {
        Some(&[.., l0, l1, l2, l3]) => {
            let body = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
            envelopes.len().min(HEADER_BYTES + body)
        }
        None => envelopes.len(),
    }
}

/// Appends one segment. `payload` is at most [`MAX_PAYLOAD_BYTES`] long.
fn append_segment(format: SegmentFormat, payload: &[u8], self_contained: bool, out: &mut BytesMut) {
    out.reserve(format.header_bytes() + payload.len() + TRAILER_BYTES);
    match format {
        SegmentFormat::Plain => {
            out.put_slice(&plain_header(payload.len(), self_contained));
            out.put_slice(payload);
            out.put_u32_le(crc32(payload));
        }
        SegmentFormat::Lz4 => append_lz4_segment(payload, self_contained, out),
    }
}

fn append_lz4_segment(payload: &[u8], self_contained: bool, out: &mut BytesMut) {
    const FIELDS: usize = SegmentFormat::Lz4.fields_bytes();
    let start = out.len();
    out.put_bytes(0, SegmentFormat::Lz4.header_bytes());
    let block_start = out.len();
    let mut uncompressed = payload.len();
    if !append_lz4_block(payload, out) || out.len() - block_start >= payload.len() {
        out.truncate(block_start);
        out.put_slice(payload);
        uncompressed = 0;
    }
    let length = out.len() - block_start;
    let fields =
        length as u64 | (uncompressed as u64) << LENGTH_BITS | u64::from(self_contained) << (2 * LENGTH_BITS);
    out[start..start + FIELDS].copy_from_slice(&fields.to_le_bytes()[..FIELDS]);
    let crc = crc24(&out[start..start + FIELDS]);
    out[start + FIELDS..block_start].copy_from_slice(&crc.to_le_bytes()[..CRC24_BYTES]);
    let crc = crc32(&out[block_start..]);
    out.put_u32_le(crc);
}

fn plain_header(length: usize, self_contained: bool) -> [u8; 6] {
    let fields = (length | usize::from(self_contained) << LENGTH_BITS).to_le_bytes();
    let crc = crc24(&fields[..3]).to_le_bytes();
    [fields[0], fields[1], fields[2], crc[0], crc[1], crc[2]]
}
