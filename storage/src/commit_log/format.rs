//! The bytes of a commit-log segment.
//!
//! ```text
//! segment := header, record*, rest
//! header  := magic "DODONALG", version u16, flags u8, sequence u64, previous sequence u64,
//!            base position u64, crc32c u32 of all that
//! record  := crc32c u32 of (position u64, length u32, kind u8, payload), length u32, kind u8, payload
//! ```
//! Integers are little-endian. A *position* counts the bytes of records ever appended, over all
//! segments; it never goes back. Kind 1 is a batch of mutations, each behind its length (u32),
//! applied as one; kind 2 a sync marker: every position below its first u64 is on disk, save for the
//! ranges (start u64, end u64) behind it, which the disk did not take.
//!
//! A file is named by its sequence number. It is made ahead of time, of zeros or of a segment that
//! is not needed any more (flag 1), so its rest is old; no old record is taken for a new one, for
//! its checksum is of another position. A file whose header has another sequence number has not
//! been begun. Version 1 had no flags and no sequence numbers, and the base position as its name.

use crate::error::{Result, StorageError, corrupt};
use dodona_types::codec::{DecodeError, Reader};

/// The version that is written, and the newest that is read.
pub const VERSION: u16 = 2;
/// Bytes before the first record.
pub const HEADER_BYTES: usize = 39;
/// Bytes before the first record in version 1.
pub const HEADER_BYTES_V1: usize = 22;
/// Bytes of a record before its payload.
pub const RECORD_HEADER_BYTES: usize = 9;

const MAGIC: &[u8; 8] = b"DODONALG";
const FLAG_USED_BEFORE: u8 = 1;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// Mutations.
    Mutations = 1,
    /// Everything below a position is on disk.
    SyncMarker = 2,
}

/// The head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its number, which is its file's name.
    pub sequence: u64,
    /// The number of the segment before it; 0 for the first.
    pub previous: u64,
    /// The position of its first record.
    pub base_position: u64,
    /// True if the file held another segment before, of which its rest may be left.
    pub used_before: bool,
    /// Bytes before the first record.
    pub header_bytes: usize,
}

impl Header {
    /// The header's bytes, as version 2 has them.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[10] = if self.used_before { FLAG_USED_BEFORE } else { 0 };
        out[11..19].copy_from_slice(&self.sequence.to_le_bytes());
        out[19..27].copy_from_slice(&self.previous.to_le_bytes());
        out[27..35].copy_from_slice(&self.base_position.to_le_bytes());
        let crc = crc32c::crc32c(&out[..35]);
        out[35..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the header at the start of a file.
    ///
    /// # Errors
    /// It is damaged or of a newer version.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<Self> {
        let damaged = |reason| corrupt(path, 0, reason);
        let cut_off = |_| damaged("the header is cut off");
        let mut reader = Reader::new(bytes);
        if reader.bytes(8).map_err(cut_off)? != MAGIC {
            return Err(damaged("not a commit-log segment"));
        }
        let version = reader.u16().map_err(cut_off)?;
        let header = if version == 1 { read_v1(&mut reader) } else { read_v2(&mut reader) };
        let (header, crc) = header.map_err(cut_off)?;
        if crc != crc32c::crc32c(&bytes[..header.header_bytes - 4]) {
            return Err(damaged("the header's checksum does not match"));
        }
        if version > VERSION {
            return Err(StorageError::NewerFormat {
                path: path.to_owned(),
                found: version,
                supported: VERSION,
            });
        }
        Ok(header)
    }
}

fn read_v1(reader: &mut Reader<'_>) -> Result<(Header, u32), DecodeError> {
    let base_position = reader.u64()?;
    let header = Header {
        sequence: base_position,
        previous: 0,
        base_position,
        used_before: false,
        header_bytes: HEADER_BYTES_V1,
    };
    Ok((header, reader.u32()?))
}

fn read_v2(reader: &mut Reader<'_>) -> Result<(Header, u32), DecodeError> {
    let used_before = reader.u8()? & FLAG_USED_BEFORE != 0;
    let header = Header {
        sequence: reader.u64()?,
        previous: reader.u64()?,
        base_position: reader.u64()?,
        used_before,
        header_bytes: HEADER_BYTES,
    };
    Ok((header, reader.u32()?))
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

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    const HEADER: Header =
        Header { sequence: 5, previous: 4, base_position: 7, used_before: true, header_bytes: HEADER_BYTES };

    #[test]
    fn a_segment_has_these_bytes() {
        let mut out = HEADER.encode().to_vec();
        put_record(&mut out, 7, RecordKind::Mutations, |out| {
            out.extend_from_slice(b"\x02\0\0\0ab");
        });
        put_record(&mut out, 22, RecordKind::SyncMarker, |out| {
            out.extend_from_slice(&22u64.to_le_bytes());
        });
        let golden = concat!(
            "444f444f4e414c470200010500000000000000",
            "0400000000000000070000000000000062d2fa35",
            "816b5b490600000001",
            "020000006162",
            "00ac3f690800000002",
            "1600000000000000"
        );
        assert_eq!(hex(&out), golden);
        assert_eq!(Header::parse("5.log", &out).unwrap(), HEADER);
    }

    #[test]
    fn a_header_of_version_1_is_read() {
        let bytes = b"DODONALG\x01\0\x07\0\0\0\0\0\0\0\xdf\xc0\x5e\x58";
        let header = Header::parse("7.log", bytes).unwrap();
        assert_eq!((header.sequence, header.base_position), (7, 7));
        assert_eq!(header.header_bytes, HEADER_BYTES_V1);
    }

    #[test]
    fn any_flipped_bit_of_a_header_is_noticed() {
        let header = HEADER.encode();
        for bit in 0..header.len() * 8 {
            let mut damaged = header;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::parse("5.log", &damaged).is_err(), "bit {bit}");
        }
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
