//! Reads the segments that an earlier life of the process left.

use super::format::{self, Header, Record, RecordKind};
use super::{DIRECTORY, segment_path};
use crate::error::{IoContext, Result, StorageError, corrupt};
use dodona_env::Disk;
use dodona_types::codec::Reader;
use std::ops::Range;

/// A segment on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The number of its file.
    pub sequence: u64,
    /// The position of its first record.
    pub base_position: u64,
    /// The position behind its last whole record.
    pub end_position: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Replayed {
    /// The segments, in order.
    pub segments: Vec<Segment>,
    /// The position behind everything that any segment may hold.
    pub end_position: u64,
    /// A number above those of all files.
    pub next_sequence: u64,
    /// Segments that ended in a torn record: normal after a crash.
    pub torn_tails: usize,
}

impl Replayed {
    /// The ranges of positions of which nothing is left: what a crash or a full disk did not let
    /// reach the disk.
    #[must_use]
    pub fn gaps(&self, end: u64) -> Vec<Range<u64>> {
        let next = self.segments.iter().skip(1).map(|segment| segment.base_position).chain([end]);
        let gaps = self.segments.iter().zip(next).map(|(segment, next)| segment.end_position..next);
        gaps.filter(|gap| !gap.is_empty()).collect()
    }
}

/// A record that does not match its checksum, or an end before the next segment's begin.
struct Tear {
    path: String,
    offset: u64,
    position: u64,
}

/// What a sync marker says: everything below a position is on disk, save for some ranges.
struct Synced {
    below: u64,
    lost: Vec<Range<u64>>,
}

impl Synced {
    fn read(marker: &Record<'_>) -> Result<Self> {
        let mut reader = Reader::new(marker.payload);
        let below = reader.u64()?;
        let mut lost = Vec::new();
        while !reader.is_empty() {
            lost.push(reader.u64()?..reader.u64()?);
        }
        Ok(Self { below, lost })
    }

    fn contradicts(&self, tear: &Tear) -> bool {
        tear.position < self.below && !self.lost.iter().any(|lost| lost.contains(&tear.position))
    }
}

/// Brings what was found to the disk: a process that was killed may have left it with the operating
/// system alone, and the log that goes on behind it takes it for safe.
///
/// # Errors
/// The operating system's.
pub fn sync(disk: &dyn Disk, found: &Replayed) -> Result<()> {
    for segment in &found.segments {
        let path = segment_path(segment.sequence);
        let file = disk.overwrite(&path).during("opening", &path)?;
        file.sync().during("syncing", &path)?;
    }
    disk.sync_dir(DIRECTORY).during("syncing", DIRECTORY)
}

/// Walks all segments in order and calls `apply` with the position and mutations of each record.
/// Files that no segment has been begun in are removed.
///
/// # Errors
/// A segment is damaged below a position that was synced; `apply` failed.
pub fn replay(disk: &dyn Disk, mut apply: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<Replayed> {
    let mut found = Replayed::default();
    let mut tears: Vec<Tear> = Vec::new();
    let mut markers: Vec<Synced> = Vec::new();
    let headers = headers(disk, &mut found)?;
    for (index, header) in headers.iter().enumerate() {
        let path = segment_path(header.sequence);
        let bytes = disk.read(&path).during("reading", &path)?;
        let records = &bytes[header.header_bytes..];
        let mut offset = 0;
        while let Some(record) =
            format::parse_record(&records[offset..], header.base_position + offset as u64)
        {
            let position = header.base_position + offset as u64;
            match record.kind {
                RecordKind::Mutations => apply(position, record.payload)?,
                RecordKind::SyncMarker => markers.push(Synced::read(&record)?),
            }
            offset += record.total_bytes();
        }
        let segment = Segment {
            sequence: header.sequence,
            base_position: header.base_position,
            end_position: header.base_position + offset as u64,
        };
        found.segments.push(segment);
        found.end_position = found.end_position.max(header.base_position + records.len() as u64);
        let rest = &records[offset..];
        if is_torn(header, segment.end_position, rest, headers.get(index + 1)) {
            found.torn_tails += 1;
            markers.extend(markers_in(rest, segment.end_position)?);
            let offset = (header.header_bytes + offset) as u64;
            tears.push(Tear { path, offset, position: segment.end_position });
        }
    }
    let damage = tears.iter().find_map(|tear| {
        markers.iter().find(|synced| synced.contradicts(tear)).map(|synced| (tear, synced.below))
    });
    match damage {
        Some((tear, synced)) => Err(damaged(tear, synced)),
        None => Ok(found),
    }
}

/// True if a segment ends in the middle of something.
fn is_torn(header: &Header, end_position: u64, rest: &[u8], next: Option<&Header>) -> bool {
    let is_blank = rest.iter().all(|byte| *byte == 0);
    match next {
        // What was made ready for records that went to the next segment.
        Some(next) if next.base_position == end_position => false,
        // The segment between the two is not there: whoever took it away knows.
        Some(next) if is_blank && next.previous != header.sequence => false,
        Some(_) => true,
        None => !is_blank && !header.used_before,
    }
}

/// The headers of all segments, in the order of their positions.
fn headers(disk: &dyn Disk, found: &mut Replayed) -> Result<Vec<Header>> {
    let mut headers = Vec::new();
    let mut unused = Vec::new();
    for name in disk.list(DIRECTORY).during("listing", DIRECTORY)? {
        let Some(sequence) = name.strip_suffix(".log").and_then(|name| name.parse::<u64>().ok()) else {
            continue;
        };
        found.next_sequence = found.next_sequence.max(sequence.saturating_add(1));
        match header(disk, sequence)? {
            Some(header) => headers.push(header),
            None => unused.push(segment_path(sequence)),
        }
    }
    for path in &unused {
        disk.remove(path).during("removing", path)?;
    }
    if !unused.is_empty() {
        disk.sync_dir(DIRECTORY).during("syncing", DIRECTORY)?;
    }
    headers.sort_by_key(|header| header.base_position);
    Ok(headers)
}

/// The header of a file; `None` if no segment was begun in it, or none that reached the disk.
fn header(disk: &dyn Disk, sequence: u64) -> Result<Option<Header>> {
    let path = segment_path(sequence);
    let file = disk.open(&path).during("opening", &path)?;
    let length = file.len().during("reading", &path)?.min(format::HEADER_BYTES as u64) as usize;
    let mut bytes = [0; format::HEADER_BYTES];
    file.read_at(0, &mut bytes[..length]).during("reading", &path)?;
    let bytes = &bytes[..length];
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    match Header::parse(&path, bytes) {
        Ok(header) => Ok((header.sequence == sequence).then_some(header)),
        // A crash cut it off: nothing behind it was on disk.
        Err(StorageError::Corrupt { .. }) if length < format::HEADER_BYTES => Ok(None),
        Err(error) => Err(error),
    }
}

/// The sync markers in what lies behind a torn record.
fn markers_in(rest: &[u8], position: u64) -> Result<Vec<Synced>> {
    let mut markers = Vec::new();
    for skip in 1..rest.len() {
        if rest[skip..].get(8) != Some(&(RecordKind::SyncMarker as u8)) {
            continue;
        }
        if let Some(record) = format::parse_record(&rest[skip..], position + skip as u64) {
            markers.push(Synced::read(&record)?);
        }
    }
    Ok(markers)
}

fn damaged(tear: &Tear, synced: u64) -> StorageError {
    corrupt(
        &tear.path,
        tear.offset,
        format!(
            "the record at position {} does not match its checksum, although everything below position {synced} \
             was on disk. Restore the file from a copy; or, to give up what it holds from there on, move it out of \
             the data directory",
            tear.position
        ),
    )
}
