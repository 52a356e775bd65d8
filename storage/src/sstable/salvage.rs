//! Takes what is left of a damaged file, entry by entry, into a new one.

use super::block::{Block, BlockCursor};
use super::format::{
    self, BLOCK_TRAILER_BYTES, BlockHandle, KIND_CLUSTERED, KIND_PARTITION, KIND_STATIC, VALUE_MARKER,
    VALUE_ROW,
};
use super::reader::{Access, IndexEntry, Sstable};
use super::statistics::{Statistics, Summary};
use super::verify::{Damage, ListedBlock};
use super::writer::SstableWriter;
use crate::error::{Result, StorageError};
use dodona_types::codec::{DecodeError, Reader};
use dodona_types::key::{ABOVE, BELOW};
use dodona_types::row::RowView;
use dodona_types::{Deletion, KeyRef};
use std::ops::Range;

/// Bytes that are tried for a block that no index lists, where one should begin.
const LONGEST_BLOCK: usize = 1 << 20;
/// The same at any other place, where it is not known whether one begins.
const LONGEST_FOUND: usize = 64 << 10;
/// Steps of that search from one block to the next.
const SEARCH_STEPS: usize = 1 << 30;
/// Bytes that are searched at a time.
const WINDOW_BYTES: u64 = 8 << 20;

/// What was done to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvaged {
    /// Rows that are left, static ones as well.
    pub rows: u64,
    /// Partitions that are left.
    pub partitions: u64,
    /// What is lost.
    pub lost: Vec<Damage>,
}

struct Salvage<'a> {
    writer: &'a mut SstableWriter,
    last_key: Vec<u8>,
    prefix: Vec<u8>,
    /// The range deletion that is open in what is written.
    open: Deletion,
    salvaged: Salvaged,
}

/// Copies everything of `file` that can be read to `writer`.
///
/// # Errors
/// The new file could not be written; the old one could not be read at all.
pub fn salvage(file: &Sstable, writer: &mut SstableWriter) -> Result<Salvaged> {
    let mut lost = Vec::new();
    let mut blocks = file.listed_blocks(&mut |handle, error| lost.push(damage(file, handle, &error)))?;
    let index_is_whole = lost.is_empty();
    if !index_is_whole {
        blocks.extend(unlisted_blocks(file, &blocks)?);
    }
    copy(file, blocks, lost, writer)
}

/// Copies what can be read of these blocks.
fn copy(
    file: &Sstable,
    mut blocks: Vec<ListedBlock>,
    lost: Vec<Damage>,
    writer: &mut SstableWriter,
) -> Result<Salvaged> {
    let mut salvage = Salvage {
        writer,
        last_key: Vec::new(),
        prefix: Vec::new(),
        open: Deletion::NONE,
        salvaged: Salvaged { rows: 0, partitions: 0, lost },
    };
    let mut after_gap = false;
    blocks.sort_by(|a, b| a.first_key.cmp(&b.first_key));
    for (index, listed) in blocks.iter().enumerate() {
        let taken = file
            .block(listed.handle, Access::Uncached)
            .and_then(|block| salvage.block(file, listed, &block, after_gap));
        after_gap = false;
        match taken {
            Ok(()) => {}
            Err(error @ StorageError::Corrupt { .. }) => {
                after_gap = true;
                let mut damage = damage(file, listed.handle, &error);
                let until = blocks.get(index + 1).map(|next| partition_of(&next.first_key));
                damage.reason = format!(
                    "{}; lost: what lies between partition {} and {}",
                    damage.reason,
                    partition_of(&listed.first_key),
                    until.unwrap_or_else(|| "the end of the file".into())
                );
                salvage.salvaged.lost.push(damage);
            }
            Err(error) => return Err(error),
        }
    }
    salvage.end_partition()?;
    Ok(salvage.salvaged)
}

fn damage(file: &Sstable, handle: BlockHandle, error: &StorageError) -> Damage {
    let reason = match error {
        StorageError::Corrupt { reason, .. } => reason.clone(),
        other => other.to_string(),
    };
    Damage { path: file.path().to_owned(), offset: handle.offset, bytes: u64::from(handle.length), reason }
}

/// The raw partition key in an entry's key, for people.
fn partition_of(entry_key: &[u8]) -> String {
    let length = format::partition_prefix_bytes(entry_key).unwrap_or(entry_key.len());
    let mut raw = Vec::new();
    format::put_raw_partition_key(&mut raw, entry_key.get(..length).unwrap_or_default());
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{hex}")
}

impl Salvage<'_> {
    fn block(&mut self, file: &Sstable, listed: &ListedBlock, block: &Block, after_gap: bool) -> Result<()> {
        let malformed = |error: DecodeError| file.malformed(listed.handle.offset, &error);
        let mut cursor = BlockCursor::default();
        cursor.seek_first(block).map_err(malformed)?;
        let mut open_at_start = after_gap.then_some(listed.open);
        while let Some(key) = cursor.key() {
            if key > self.last_key.as_slice() {
                self.entry(key, block.value(cursor.value_range()), &mut open_at_start)?.map_err(malformed)?;
                self.last_key.clear();
                self.last_key.extend_from_slice(key);
            }
            cursor.advance(block).map_err(malformed)?;
        }
        Ok(())
    }

    /// Takes an entry. The inner error is of the entry, the outer one of the new file.
    fn entry(
        &mut self,
        key: &[u8],
        value: &[u8],
        open_at_start: &mut Option<Deletion>,
    ) -> Result<Result<(), DecodeError>> {
        let length = match format::partition_prefix_bytes(key) {
            Ok(length) => length,
            Err(error) => return Ok(Err(error)),
        };
        let (prefix, rest) = key.split_at(length);
        let wrong = |reason| Ok(Err(DecodeError { offset: 0, reason }));
        let Some((kind, clustering)) = rest.split_first() else {
            return wrong("an entry without a kind");
        };
        let deletion = match kind {
            &KIND_PARTITION => match format::deletion(&mut Reader::new(value)) {
                Ok(deletion) => deletion,
                Err(error) => return Ok(Err(error)),
            },
            _ => Deletion::NONE,
        };
        if prefix != self.prefix {
            self.end_partition()?;
            self.prefix = prefix.to_vec();
            let mut raw = Vec::new();
            format::put_raw_partition_key(&mut raw, prefix);
            self.writer.partition(KeyRef::new(&raw), deletion)?;
            self.salvaged.partitions += 1;
        }
        let open_here = open_at_start.take();
        match (*kind, value.split_first()) {
            (KIND_PARTITION, _) => {}
            (KIND_STATIC, _) => match RowView::validate(value) {
                Ok(_) => {
                    self.writer.static_row(value)?;
                    self.salvaged.rows += 1;
                }
                Err(error) => return Ok(Err(error)),
            },
            (KIND_CLUSTERED, Some((&VALUE_ROW, row))) => {
                if let Err(error) = RowView::validate(row) {
                    return Ok(Err(error));
                }
                if let Some(open) = open_here.filter(|open| *open != self.open)
                    && let Some((_, head)) = clustering.split_last()
                {
                    // The marker at which it changed is lost.
                    self.marker(&[head, &[BELOW]].concat(), open)?;
                }
                self.writer.row(clustering, row)?;
                self.salvaged.rows += 1;
            }
            (KIND_CLUSTERED, Some((&VALUE_MARKER, marker))) => {
                let mut reader = Reader::new(marker);
                let deletions = format::deletion(&mut reader).and_then(|_| format::deletion(&mut reader));
                match deletions {
                    Ok(behind) => self.marker(clustering, behind)?,
                    Err(error) => return Ok(Err(error)),
                }
            }
            _ => return wrong("an entry of an unknown kind"),
        }
        Ok(Ok(()))
    }

    fn marker(&mut self, position: &[u8], open: Deletion) -> Result<()> {
        self.writer.marker(position, open)?;
        self.open = open;
        Ok(())
    }

    /// Closes a range deletion whose end is lost.
    fn end_partition(&mut self) -> Result<()> {
        if !self.open.is_none() {
            self.marker(&[ABOVE], Deletion::NONE)?;
        }
        Ok(())
    }
}

/// Blocks in the parts of a file that nothing accounts for: those that a damaged index block
/// listed. They are found by their checksums.
fn unlisted_blocks(file: &Sstable, listed: &[ListedBlock]) -> Result<Vec<ListedBlock>> {
    let mut parts: Vec<(u64, u64)> = listed.iter().map(|block| part(block.handle)).collect();
    parts.extend(file.top_index(Access::Disk)?.iter().map(|(_, handle)| part(*handle)));
    parts.push((file.top_index_offset()?, u64::MAX));
    parts.sort_unstable();
    let mut found = Vec::new();
    let mut end = 0;
    for (start, behind) in parts {
        if start > end {
            found.extend(blocks_in(file, end..start)?);
        }
        end = end.max(behind);
    }
    Ok(found)
}

const fn part(handle: BlockHandle) -> (u64, u64) {
    (handle.offset, handle.offset + handle.length as u64)
}

fn blocks_in(file: &Sstable, gap: Range<u64>) -> Result<Vec<ListedBlock>> {
    let mut found = Vec::new();
    for handle in handles_in(file, gap)? {
        found.extend(listed(file, handle));
    }
    Ok(found)
}

/// A block with its first key, if it has one.
fn listed(file: &Sstable, handle: BlockHandle) -> Option<ListedBlock> {
    let block = file.block(handle, Access::Uncached).ok()?;
    let mut cursor = BlockCursor::default();
    cursor.seek_first(&block).ok()?;
    Some(ListedBlock { handle, first_key: cursor.key()?.into(), open: Deletion::NONE })
}

/// The blocks in a part of a file, found by their checksums.
fn handles_in(file: &Sstable, gap: Range<u64>) -> Result<Vec<BlockHandle>> {
    let mut found = Vec::new();
    let mut window = Window { file, until: gap.end, offset: gap.start, bytes: Vec::new() };
    let (mut at, mut longest, mut steps) = (gap.start, LONGEST_BLOCK, 0);
    while at < gap.end && steps < SEARCH_STEPS {
        let (length, tried) = block_length(file, at, window.from(at)?, longest);
        steps += tried;
        if let Some(length) = length {
            found.push(BlockHandle { offset: at, length: length as u32 });
            at += length as u64;
            (longest, steps) = (LONGEST_BLOCK, 0);
        } else {
            at += 1;
            longest = LONGEST_FOUND;
        }
    }
    Ok(found)
}

/// A part of a file in memory, which moves on with the search.
struct Window<'a> {
    file: &'a Sstable,
    until: u64,
    offset: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// What follows from `offset` on: at least as much as a block can have, unless the part ends before.
    fn from(&mut self, offset: u64) -> Result<&[u8]> {
        let end = self.offset + self.bytes.len() as u64;
        if end < self.until && end < offset + LONGEST_BLOCK as u64 + 4 {
            let length = (self.until - offset).min(WINDOW_BYTES) as u32;
            self.bytes = self.file.file()?.read(BlockHandle { offset, length })?;
            self.offset = offset;
        }
        Ok(&self.bytes[(offset - self.offset) as usize..])
    }
}

/// Copies all that can be read of a file whose footer, filter, statistics or top index is damaged, found by the
/// checksums of its blocks alone, and tells whether that is all that the file held. `known` are the blocks that the
/// footer names, if it can be read: they hold no data. `summary` is what the manifest tells of the file, if it does.
///
/// # Errors
/// A file could not be read or written.
pub fn salvage_without_index(
    file: &Sstable,
    known: &[BlockHandle],
    summary: Option<&Summary>,
    writer: &mut SstableWriter,
) -> Result<(Salvaged, bool)> {
    let length = file.top_index_offset()?;
    let handles = handles_in(file, 0..length)?;
    let mut end = 0;
    let mut lost = Vec::new();
    for handle in handles.iter().copied().chain([BlockHandle { offset: length, length: 0 }]) {
        // What no checksum fits must be something that can be made anew.
        let is_harmless = |from: u64, to: u64| known.iter().any(|known| part(*known) == (from, to));
        if handle.offset > end && !is_harmless(end, handle.offset) {
            let reason = "no checksum fits what lies here".to_owned();
            let path = file.path().to_owned();
            lost.push(Damage { path, offset: end, bytes: handle.offset - end, reason });
        }
        end = handle.offset + u64::from(handle.length);
    }
    let data: Vec<ListedBlock> = handles
        .iter()
        .filter(|handle| !known.contains(handle))
        .filter_map(|handle| listed(file, *handle))
        .filter(|block| !is_index(file, block.handle, &handles) && is_data(file, block.handle))
        .collect();
    let mut salvaged = copy(file, data, lost, writer)?;
    // Without a footer nothing says where the data end, save for the statistics and the manifest.
    let is_whole = match summary {
        Some(summary) => is_of(summary, &salvaged),
        None => !known.is_empty() || handles.iter().any(|handle| counts(file, *handle, &salvaged)),
    };
    let is_whole = is_whole && salvaged.lost.is_empty();
    if !is_whole && salvaged.lost.is_empty() {
        let path = file.path().to_owned();
        let reason = "nothing shows that all that it held was found".to_owned();
        salvaged.lost.push(Damage { path, offset: 0, bytes: length, reason });
    }
    Ok((salvaged, is_whole))
}

fn is_of(summary: &Summary, salvaged: &Salvaged) -> bool {
    (summary.partitions, summary.rows) == (salvaged.partitions, salvaged.rows)
}

/// True if a block holds the file's statistics, and they are of what was salvaged.
fn counts(file: &Sstable, handle: BlockHandle, salvaged: &Salvaged) -> bool {
    let statistics = file.load(handle, Access::Uncached).ok();
    let statistics = statistics.and_then(|bytes| serde_json::from_slice::<Statistics>(&bytes).ok());
    statistics.is_some_and(|said| {
        file.origin().is_ok_and(|origin| said.origin.table == origin.table) && is_of(&said.summary, salvaged)
    })
}

/// True if every entry names a block.
fn is_index(file: &Sstable, handle: BlockHandle, handles: &[BlockHandle]) -> bool {
    every_value(file, handle, |_, value| {
        IndexEntry::parse(value).is_ok_and(|entry| handles.contains(&entry.handle))
    })
}

/// True if every entry is of a partition: a filter or statistics may look like a block.
fn is_data(file: &Sstable, handle: BlockHandle) -> bool {
    every_value(file, handle, |key, _| {
        let kind = format::partition_prefix_bytes(key).ok().and_then(|length| key.get(length));
        kind.is_some_and(|kind| [KIND_PARTITION, KIND_STATIC, KIND_CLUSTERED].contains(kind))
    })
}

fn every_value(file: &Sstable, handle: BlockHandle, fits: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    let Ok(block) = file.block(handle, Access::Uncached) else { return false };
    let mut cursor = BlockCursor::default();
    if cursor.seek_first(&block).is_err() {
        return false;
    }
    while let Some(key) = cursor.key() {
        if !fits(key, block.value(cursor.value_range())) || cursor.advance(&block).is_err() {
            return false;
        }
    }
    true
}

/// The length of the block that begins here, if one does, and the bytes looked at.
fn block_length(file: &Sstable, offset: u64, bytes: &[u8], longest: usize) -> (Option<usize>, usize) {
    let mut crc = format::block_crc(file.id().0, offset, &[]);
    for (covered, byte) in bytes.iter().enumerate().take(longest) {
        crc = crc32c::crc32c_append(crc, &[*byte]);
        let end = covered + 1;
        let Some(stored) = bytes.get(end..end + 4) else { return (None, end) };
        if end + 4 >= BLOCK_TRAILER_BYTES && stored == crc.to_le_bytes() {
            return (Some(end + 4), end);
        }
    }
    (None, bytes.len().min(longest))
}
