//! The bytes of a commit-log segment.
//!
//! ```text
//! segment := magic "DODONALG", version u16, base position u64, crc32c u32 of the three, record*
//! record  := crc32c u32 of (position u64, length u32, kind u8, payload), length u32, kind u8, payload
//! ```
//! Integers are little-endian. A *position* counts the bytes of records ever appended, over all
//! segments; it never goes back. Kind 1 is a batch of mutations, each behind its length (u32),
//! applied as one; kind 2 a sync marker: every position below its first u64 is on disk, save for the
//! ranges (start u64, end u64) behind it, which a full disk did not take.

use crate::error::{Result, StorageError, corrupt};
use dodona_types::codec::Reader;

/// The version that is written, and the newest that is read.
pub const VERSION: u16 = 1;
/// Bytes before the first record.
pub const HEADER_BYTES: usize = 22;
/// Bytes of a record before its payload.
pub const RECORD_HEADER_BYTES: usize = 9;

const MAGIC: &[u8; 8] = b"DODONALG";

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// Mutations.
    Mutations = 1,
    /// Everything below a position is on disk.
    SyncMarker = 2,
}

/// The header of the segment that begins at a position.
#[must_use]
pub fn header(base_position: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..10].copy_from_slice(&VERSION.to_le_bytes());
    header[10..18].copy_from_slice(&base_position.to_le_bytes());
    let crc = crc32c::crc32c(&header[..18]);
    header[18..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// The base position in a segment's header.
///
/// # Errors
/// The header is damaged or of a newer version.
pub fn parse_header(path: &str, bytes: &[u8]) -> Result<u64> {
    let damaged = |reason| corrupt(path, 0, reason);
    let header = bytes.get(..HEADER_BYTES).ok_or_else(|| damaged("the header is cut off"))?;
    let mut reader = Reader::new(header);
    if reader.bytes(8)? != MAGIC {
        return Err(damaged("not a commit-log segment"));
    }
    let version = reader.u16()?;
    let base_position = reader.u64()?;
    if reader.u32()? != crc32c::crc32c(&header[..18]) {
        return Err(damaged("the header's checksum does not match"));
    }
    if version > VERSION {
        return Err(StorageError::NewerFormat { path: path.to_owned(), found: version, supported: VERSION });
    }
    Ok(base_position)
}

/// Appends a record whose payload `fill` writes, at `position`. Returns the record's bytes.
pub fn put_record(
    out: &mut Vec<u8>,
    position: u64,
    kind: RecordKind,
    fill: impl FnOnce(&mut Vec<u8>),
) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
    fill(out);
    let length = (out.len() - start - RECORD_HEADER_BYTES) as u32;
    out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    out[start + 8] = kind as u8;
    let crc = record_crc(position, &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    out.len() - start
}

fn record_crc(position: u64, behind_crc: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&position.to_le_bytes()), behind_crc)
}

/// A record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it holds.
    pub kind: RecordKind,
    /// Its payload.
    pub payload: &'a [u8],
}

impl Record<'_> {
    /// Bytes of the record in the segment.
    #[must_use]
    pub const fn total_bytes(&self) -> usize {
        RECORD_HEADER_BYTES + self.payload.len()
    }
}

/// The record at the start of `bytes`, which stands at `position`; `None` if there is no whole,
/// undamaged one.
#[must_use]
pub fn parse_record(bytes: &[u8], position: u64) -> Option<Record<'_>> {
    let mut reader = Reader::new(bytes);
    let crc = reader.u32().ok()?;
    let length = reader.u32().ok()? as usize;
    let kind = match reader.u8().ok()? {
        1 => RecordKind::Mutations,
        2 => RecordKind::SyncMarker,
        _ => return None,
    };
    let payload = reader.bytes(length).ok()?;
    (crc == record_crc(position, &bytes[4..RECORD_HEADER_BYTES + length])).then_some(Record { kind, payload })
}

/// The mutations of a record's payload.
pub fn mutations(payload: &[u8]) -> impl Iterator<Item = Result<&[u8]>> {
    let mut reader = Reader::new(payload);
    std::iter::from_fn(move || {
        if reader.is_empty() {
            return None;
        }
        let mutation = reader.u32().and_then(|length| reader.bytes(length as usize));
        if mutation.is_err() {
            reader = Reader::new(&[]);
        }
        Some(mutation.map_err(StorageError::from))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_these_bytes() {
        let mut out = header(7).to_vec();
        put_record(&mut out, 7, RecordKind::Mutations, |out| {
            out.extend_from_slice(b"\x02\0\0\0ab");
        });
        put_record(&mut out, 22, RecordKind::SyncMarker, |out| {
            out.extend_from_slice(&22u64.to_le_bytes());
        });
        let golden = concat!(
            "444f444f4e414c4701000700000000000000dfc05e58",
            "816b5b490600000001",
            "020000006162",
            "00ac3f690800000002",
            "1600000000000000"
        );
        let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, golden);
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let mut out = Vec::new();
        put_record(&mut out, 3, RecordKind::Mutations, |out| {
            out.extend_from_slice(b"payload");
        });
        assert!(parse_record(&out, 3).is_some());
        assert!(parse_record(&out, 4).is_none(), "a record at another position is not this record");
        for bit in 0..out.len() * 8 {
            let mut damaged = out.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(parse_record(&damaged, 3).is_none(), "bit {bit}");
        }
    }
}
