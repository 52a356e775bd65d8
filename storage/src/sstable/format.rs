//! The bytes of an SSTable: one file, sorted, immutable.
//!
//! ```text
//! file   := data block*, index block*, top index block, filter block, statistics block, footer
//! block  := payload, compression u8, uncompressed length u32,
//!           crc32c u32 of (file id 16 bytes, offset u64, payload, compression, uncompressed length)
//! footer := top index, filter, statistics as (offset u64, length u32) each,
//!           version u16, crc32c u32 of (file id, all before), magic "DODONASS"
//! ```
//! Integers are little-endian. A block's length counts all of it. Data, index and top index
//! blocks hold sorted entries ([`super::block`]).
//!
//! A data entry's key is memcmp-comparable:
//! ```text
//! key  := token 8 bytes big-endian with the sign flipped, partition key with 00 as 00 FF, 00 00, kind
//! kind := 1 partition deletion | 2 static row | 3, clustering or bound: row or marker
//! ```
//! Its value is a deletion (timestamp i64, deleted at i64), a row, or behind a byte 0 a row and
//! behind a byte 1 a marker (the deletion before it and the deletion behind it).
//!
//! An index entry's key is the first key of a block, its value the block's offset (varint) and
//! length (varint), and the range deletion that is open where the block begins, if there is one.

use crate::error::{Result, StorageError, corrupt};
use dodona_types::codec::{DecodeError, Reader};
use dodona_types::{Deletion, KeyRef};
use uuid::Uuid;

/// The version that is written, and the newest that is read.
pub const VERSION: u16 = 1;
/// Bytes of the footer.
pub const FOOTER_BYTES: usize = 50;
/// Bytes of a block behind its payload.
pub const BLOCK_TRAILER_BYTES: usize = 9;

const MAGIC: &[u8; 8] = b"DODONASS";

/// The kind byte of a partition's deletion.
pub const KIND_PARTITION: u8 = 1;
/// The kind byte of a static row.
pub const KIND_STATIC: u8 = 2;
/// The kind byte of rows and markers.
pub const KIND_CLUSTERED: u8 = 3;
/// The first byte of a row's value.
pub const VALUE_ROW: u8 = 0;
/// The first byte of a marker's value.
pub const VALUE_MARKER: u8 = 1;

/// Where a block lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct BlockHandle {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Bytes, with the trailer.
    pub length: u32,
}

/// The last bytes of a file: where everything else is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The index of the index blocks.
    pub top_index: BlockHandle,
    /// The filter.
    pub filter: BlockHandle,
    /// The statistics.
    pub statistics: BlockHandle,
}

impl Footer {
    /// The footer's bytes, for the file with this id.
    #[must_use]
    pub fn encode(&self, file: Uuid) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER_BYTES);
        for handle in [self.top_index, self.filter, self.statistics] {
            out.extend_from_slice(&handle.offset.to_le_bytes());
            out.extend_from_slice(&handle.length.to_le_bytes());
        }
        out.extend_from_slice(&VERSION.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(file.as_bytes()), &out);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(MAGIC);
        out
    }

    /// Reads a footer that stands at `offset` of the file.
    ///
    /// # Errors
    /// It is damaged, or of a newer version.
    pub fn decode(path: &str, file: Uuid, offset: u64, bytes: &[u8]) -> Result<Self> {
        let damaged = |reason: &str| corrupt(path, offset, reason);
        let mut reader = Reader::new(bytes);
        let mut handle =
            || Ok::<_, DecodeError>(BlockHandle { offset: reader.u64()?, length: reader.u32()? });
        let footer = Self { top_index: handle()?, filter: handle()?, statistics: handle()? };
        let version = reader.u16()?;
        let crc = reader.u32()?;
        if reader.bytes(8)? != MAGIC {
            return Err(damaged("not an SSTable, or its end is missing"));
        }
        if crc != crc32c::crc32c_append(crc32c::crc32c(file.as_bytes()), &bytes[..FOOTER_BYTES - 12]) {
            return Err(damaged("the footer's checksum does not match"));
        }
        if version > VERSION {
            return Err(StorageError::NewerFormat {
                path: path.to_owned(),
                found: version,
                supported: VERSION,
            });
        }
        Ok(footer)
    }
}

/// The checksum of a block's payload and the first five bytes of its trailer.
#[must_use]
pub fn block_crc(file: Uuid, offset: u64, covered: &[u8]) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(file.as_bytes()), &offset.to_le_bytes());
    crc32c::crc32c_append(crc, covered)
}

/// Appends the part of an entry's key that all entries of a partition share.
pub fn put_partition_prefix(out: &mut Vec<u8>, key: KeyRef<'_>) {
    out.extend_from_slice(&key.token.to_ordered_bytes());
    let mut rest = key.bytes;
    while let Some(zero) = rest.iter().position(|byte| *byte == 0) {
        out.extend_from_slice(&rest[..zero]);
        out.extend_from_slice(&[0, 0xff]);
        rest = &rest[zero + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0, 0]);
}

/// How long the partition's part of an entry's key is.
///
/// # Errors
/// It has no end.
pub fn partition_prefix_bytes(entry_key: &[u8]) -> Result<usize, DecodeError> {
    let mut at = 8;
    while let Some(pair) = entry_key.get(at..at + 2) {
        match pair {
            [0, 0] => return Ok(at + 2),
            [0, _] => at += 2,
            _ => at += 1,
        }
    }
    Err(DecodeError { offset: at, reason: "partition key without end" })
}

/// Appends the raw partition key in the partition's part of an entry's key.
pub fn put_raw_partition_key(out: &mut Vec<u8>, prefix: &[u8]) {
    let mut rest = prefix.get(8..prefix.len().saturating_sub(2)).unwrap_or_default();
    while let Some(zero) = rest.iter().position(|byte| *byte == 0) {
        out.extend_from_slice(&rest[..=zero]);
        rest = rest.get(zero + 2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// Appends a deletion.
pub fn put_deletion(out: &mut Vec<u8>, deletion: Deletion) {
    out.extend_from_slice(&deletion.timestamp_micros.to_le_bytes());
    out.extend_from_slice(&deletion.deleted_at_seconds.to_le_bytes());
}

/// Reads a deletion.
///
/// # Errors
/// Bytes are missing.
pub fn deletion(reader: &mut Reader<'_>) -> Result<Deletion, DecodeError> {
    Ok(Deletion { timestamp_micros: reader.i64()?, deleted_at_seconds: reader.i64()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn prefixes_order_as_keys_do_and_give_them_back(a: Vec<u8>, b: Vec<u8>) {
            let prefix = |bytes: &[u8]| {
                // One token for both, so that the bytes decide.
                let mut out = Vec::new();
                put_partition_prefix(&mut out, KeyRef { token: dodona_types::Token(1), bytes });
                out
            };
            let (pa, pb) = (prefix(&a), prefix(&b));
            prop_assert_eq!(a.cmp(&b), pa.cmp(&pb));
            let mut key = pa.clone();
            key.extend_from_slice(b"\x03rest");
            prop_assert_eq!(partition_prefix_bytes(&key).unwrap(), pa.len());
            let mut raw = Vec::new();
            put_raw_partition_key(&mut raw, &pa);
            prop_assert_eq!(raw, a);
        }
    }
}
