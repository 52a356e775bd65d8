//! The bytes of a file of hints.
//!
//! ```text
//! file    := header, record*
//! header  := magic 8 bytes, version u16, target 16 bytes, created seconds i64, crc32c u32 of these
//! record  := crc32c u32 of what follows, length u32 of the content, content
//! content := 1, written seconds i64, gc_grace seconds u32, mutation | 2, offset of this record u64
//! ```
//! Integers are little-endian. The second kind of record, the *end*, is written when everything before
//! it is on disk. So in a file that ends in it, a record that does not fit is damage; in another
//! file it is where a crash tore it off.

use dodona_env::DiskReader;
use dodona_types::codec::{DecodeError, Reader};
use std::borrow::Cow;
use std::io;
use uuid::Uuid;

const MAGIC: &[u8; 8] = b"DODOHINT";
/// The version that is written, and the newest that is read.
pub const VERSION: u16 = 1;
/// Bytes of a header.
pub const HEADER_BYTES: usize = 38;
/// The longest mutation that becomes a hint, in bytes.
pub const MAX_MUTATION_BYTES: usize = 32 << 20;

const PREFIX_BYTES: usize = 8;
const HINT_HEAD_BYTES: usize = 13;
const END_BYTES: usize = PREFIX_BYTES + 9;
const HINT: u8 = 1;
const END: u8 = 2;

/// A write that a replica missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint<'a> {
    /// When it was made, in seconds since the epoch.
    pub written_seconds: i64,
    /// The table's `gc_grace_seconds` then.
    pub gc_grace_seconds: u32,
    /// The mutation.
    pub mutation: Cow<'a, [u8]>,
}

/// What a file's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// For whom the hints are.
    pub target: Uuid,
    /// When the file was begun, in seconds since the epoch.
    pub created_seconds: i64,
}

/// Why a header is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHeader {
    /// A crash tore it off: the file holds nothing.
    Torn,
    /// A newer version wrote it.
    Newer(u16),
    /// Something else.
    Damaged(&'static str),
}

impl Header {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(self.target.as_bytes());
        out.extend_from_slice(&self.created_seconds.to_le_bytes());
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// The header at the start of a file.
    ///
    /// # Errors
    /// There is none that this version reads.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        if bytes.len() < HEADER_BYTES || bytes[..HEADER_BYTES].iter().all(|byte| *byte == 0) {
            return Err(BadHeader::Torn);
        }
        let parse = || {
            let mut reader = Reader::new(bytes);
            let magic = reader.bytes(MAGIC.len())?;
            let (version, target, created_seconds) = (reader.u16()?, reader.uuid()?, reader.i64()?);
            Ok::<_, DecodeError>((magic, version, Self { target, created_seconds }, reader.u32()?))
        };
        let (magic, version, header, crc) = parse().map_err(|_| BadHeader::Torn)?;
        if magic != MAGIC {
            Err(BadHeader::Damaged("not a file of hints"))
        } else if version > VERSION {
            Err(BadHeader::Newer(version))
        } else if crc != crc32c::crc32c(&bytes[..HEADER_BYTES - 4]) {
            Err(BadHeader::Damaged("the checksum of the header does not match"))
        } else {
            Ok(header)
        }
    }
}

/// Appends the record of a hint.
pub fn put_hint(out: &mut Vec<u8>, hint: &Hint<'_>) {
    let Hint { written_seconds, gc_grace_seconds, mutation } = hint;
    put_record(out, &[&[HINT], &written_seconds.to_le_bytes(), &gc_grace_seconds.to_le_bytes(), mutation]);
}

/// Appends the end of a file of so many bytes.
pub fn put_end(out: &mut Vec<u8>, offset: u64) {
    put_record(out, &[&[END], &offset.to_le_bytes()]);
}

/// Bytes of the record of a mutation of that length.
#[must_use]
pub const fn hint_bytes(mutation_bytes: usize) -> usize {
    PREFIX_BYTES + HINT_HEAD_BYTES + mutation_bytes
}

fn put_record(out: &mut Vec<u8>, content: &[&[u8]]) {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    for part in content {
        out.extend_from_slice(part);
    }
    let length = (out.len() - start - PREFIX_BYTES) as u32;
    out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    let crc = crc32c::crc32c(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Where the reading of a file has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More records follow, from this offset on.
    At(u64),
    /// That was all.
    End,
    /// At this offset is a record that does not fit, in a file that was written to its end.
    Damaged(u64),
}

/// Reads hints from an offset on, as many as fit into about `chunk_bytes`, at least one.
///
/// # Errors
/// The operating system's.
pub fn read(
    file: &dyn DiskReader,
    offset: u64,
    chunk_bytes: usize,
) -> io::Result<(Vec<Hint<'static>>, Next)> {
    let end = file.len()?;
    let left = end.saturating_sub(offset);
    let mut chunk = read_exact(file, offset, left.min(chunk_bytes.max(END_BYTES) as u64))?;
    if let Some(length) = length_of(&chunk)
        && length as u64 > chunk.len() as u64
        && length as u64 <= left
    {
        chunk = read_exact(file, offset, length as u64)?;
    }
    let mut hints = Vec::new();
    let mut at = 0;
    let unreadable = |at: usize| -> io::Result<Next> {
        let at = offset + at as u64;
        Ok(if has_end(file, end)? { Next::Damaged(at) } else { Next::End })
    };
    loop {
        let rest = &chunk[at..];
        let position = offset + at as u64;
        if position == end {
            return Ok((hints, Next::End));
        }
        match length_of(rest) {
            Some(length) if length <= rest.len() => match record(&rest[..length], position) {
                Some(Record::Hint(hint)) => hints.push(hint),
                Some(Record::End) if position + length as u64 == end => return Ok((hints, Next::End)),
                _ => return Ok((hints, unreadable(at)?)),
            },
            Some(length) if length as u64 > end - position => return Ok((hints, unreadable(at)?)),
            None if rest.len() >= PREFIX_BYTES || position + rest.len() as u64 == end => {
                return Ok((hints, unreadable(at)?));
            }
            // It goes on behind the chunk.
            _ => return Ok((hints, Next::At(position))),
        }
        at += length_of(rest).unwrap_or_default();
    }
}

/// The hints of records without an end, from another member. None if they are anything else.
#[must_use]
pub fn hints_of(mut records: &[u8]) -> Option<Vec<Hint<'static>>> {
    let mut hints = Vec::new();
    while !records.is_empty() {
        let (first, rest) = records.split_at_checked(length_of(records)?)?;
        match record(first, 0)? {
            Record::Hint(hint) => hints.push(hint),
            Record::End => return None,
        }
        records = rest;
    }
    Some(hints)
}

fn read_exact(file: &dyn DiskReader, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_at(offset, &mut bytes)?;
    Ok(bytes)
}

enum Record {
    Hint(Hint<'static>),
    End,
}

/// The bytes of the record that begins here, if its length may be one.
fn length_of(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?) as usize;
    (9..=HINT_HEAD_BYTES + MAX_MUTATION_BYTES).contains(&length).then_some(PREFIX_BYTES + length)
}

/// The record of these bytes, which stand at `position`.
fn record(bytes: &[u8], position: u64) -> Option<Record> {
    let mut reader = Reader::new(bytes);
    if reader.u32().ok()? != crc32c::crc32c(&bytes[4..]) {
        return None;
    }
    reader.u32().ok()?;
    match reader.u8().ok()? {
        HINT => {
            let (written_seconds, gc_grace_seconds) = (reader.i64().ok()?, reader.u32().ok()?);
            let mutation = Cow::Owned(reader.remaining().to_vec());
            Some(Record::Hint(Hint { written_seconds, gc_grace_seconds, mutation }))
        }
        END => (reader.u64().ok()? == position).then_some(Record::End),
        _ => None,
    }
}

/// True if a file was written to its end.
fn has_end(file: &dyn DiskReader, length: u64) -> io::Result<bool> {
    let Some(position) = length.checked_sub(END_BYTES as u64) else { return Ok(false) };
    let last = read_exact(file, position, END_BYTES as u64)?;
    Ok(length_of(&last) == Some(END_BYTES) && matches!(record(&last, position), Some(Record::End)))
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
