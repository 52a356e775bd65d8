//! Reads the segments that an earlier life of the process left.

use super::format::{self, Record, RecordKind};
use super::{DIRECTORY, segment_path};
use crate::error::{IoContext, Result, corrupt};
use dodona_env::Disk;
use dodona_types::codec::Reader;

/// A segment on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
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
    /// The position behind everything found.
    pub end_position: u64,
    /// Segments that ended in a torn record: normal after a crash.
    pub torn_tails: usize,
}

/// Walks all segments in order and calls `apply` with the position and mutations of each record.
///
/// # Errors
/// A segment is damaged below a position that was synced; `apply` failed.
pub fn replay(disk: &dyn Disk, mut apply: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<Replayed> {
    let mut found = Replayed::default();
    let mut torn: Option<(String, u64, u64)> = None;
    for path in segment_paths(disk)? {
        let bytes = disk.read(&path).during("reading", &path)?;
        let Some(base_position) = base_position(&path, &bytes, &mut found)? else {
            continue;
        };
        let records = &bytes[format::HEADER_BYTES..];
        let mut offset = 0;
        while let Some(record) = format::parse_record(&records[offset..], base_position + offset as u64) {
            let position = base_position + offset as u64;
            match record.kind {
                RecordKind::Mutations => apply(position, record.payload)?,
                RecordKind::SyncMarker => check_synced(&record, torn.as_ref())?,
            }
            offset += record.total_bytes();
        }
        let end_position = base_position + offset as u64;
        if offset < records.len() {
            found.torn_tails += 1;
            check_tail(&path, &records[offset..], end_position)?;
            torn.get_or_insert((path, (format::HEADER_BYTES + offset) as u64, end_position));
        }
        found.segments.push(Segment { base_position, end_position });
        found.end_position = found.end_position.max(base_position + records.len() as u64);
    }
    Ok(found)
}

fn segment_paths(disk: &dyn Disk) -> Result<Vec<String>> {
    let names = disk.list(DIRECTORY).during("listing", DIRECTORY)?;
    Ok(names.iter().filter(|name| name.ends_with(".log")).map(|name| format!("{DIRECTORY}/{name}")).collect())
}

/// The base position of a segment; `None` for one that a crash cut off within its header.
fn base_position(path: &str, bytes: &[u8], found: &mut Replayed) -> Result<Option<u64>> {
    match format::parse_header(path, bytes) {
        Ok(base) if segment_path(base) == path => Ok(Some(base)),
        Ok(_) => Err(corrupt(path, 10, "the header's position is not that of the file's name")),
        Err(newer @ crate::error::StorageError::NewerFormat { .. }) => Err(newer),
        Err(error) => {
            let has_records =
                bytes.get(format::HEADER_BYTES..).is_some_and(|rest| rest.iter().any(|byte| *byte != 0));
            if has_records {
                return Err(error);
            }
            found.torn_tails += 1;
            let name = path.trim_start_matches(DIRECTORY).trim_matches('/').trim_end_matches(".log");
            found.end_position = found.end_position.max(name.parse::<u64>().unwrap_or(0) + 1);
            Ok(None)
        }
    }
}

/// A torn record is damage if a marker behind it, in this segment, says that it was on disk.
fn check_tail(path: &str, tail: &[u8], torn_position: u64) -> Result<()> {
    for skip in 1..tail.len() {
        if tail[skip..].get(8) != Some(&(RecordKind::SyncMarker as u8)) {
            continue;
        }
        if let Some(record) = format::parse_record(&tail[skip..], torn_position + skip as u64) {
            let torn = (path.to_owned(), format::HEADER_BYTES as u64, torn_position);
            check_synced(&record, Some(&torn))?;
        }
    }
    Ok(())
}

fn check_synced(marker: &Record<'_>, torn: Option<&(String, u64, u64)>) -> Result<()> {
    let Some((path, offset, position)) = torn else {
        return Ok(());
    };
    let mut reader = Reader::new(marker.payload);
    let synced = reader.u64()?;
    while !reader.is_empty() {
        // A range that a full disk did not take: it may end anywhere.
        if (reader.u64()?..reader.u64()?).contains(position) {
            return Ok(());
        }
    }
    if *position >= synced {
        return Ok(());
    }
    Err(corrupt(
        path,
        *offset,
        format!(
            "the record at position {position} does not match its checksum, although everything below position \
             {synced} was on disk. Restore the file from a copy; or, to give up what it holds from there on, move it \
             out of the data directory"
        ),
    ))
}
