//! Reads blocks of an SSTable. The filter and the top index are verified into memory when the
//! file is opened; everything else is read, checked and cached block by block.

use super::block::{Block, BlockCursor};
use super::compression;
use super::filter::Filter;
use super::format::{self, BLOCK_TRAILER_BYTES, BlockHandle, FOOTER_BYTES, Footer};
use super::statistics::Statistics;
use super::{SstableId, path_of};
use crate::error::{IoContext, Result, StorageError, corrupt};
use crate::sstable::cache::BlockCache;
use crate::sync::atomic::{AtomicBool, Ordering::Relaxed};
use dodona_env::{Disk, DiskReader, Mutants};
use dodona_types::codec::{DecodeError, Reader};
use dodona_types::{Deletion, TableId, Token};
use std::sync::Arc;

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only what is in memory, the operating system's included; else [`StorageError::NeedsDisk`].
    Memory,
    /// As long as it takes, and blocks go into the cache.
    Disk,
    /// As long as it takes, past the cache: for compactions and other walks over everything.
    Uncached,
}

/// The index blocks of a file, by their first key.
type TopIndex = Vec<(Box<[u8]>, BlockHandle)>;

/// An open SSTable.
pub struct Sstable {
    id: SstableId,
    path: String,
    file: Arc<dyn DiskReader>,
    file_bytes: u64,
    cache_file: u64,
    cache: Arc<BlockCache>,
    top_index: TopIndex,
    top_index_offset: u64,
    filter: Filter,
    statistics: Statistics,
    /// What the cache was told that the open file takes.
    pinned_bytes: usize,
    mutants: Mutants,
    /// Damage was met.
    is_damaged: AtomicBool,
}

impl Drop for Sstable {
    fn drop(&mut self) {
        if self.pinned_bytes > 0 {
            self.cache.unpin(self.pinned_bytes);
        }
    }
}

impl Sstable {
    /// Opens a file and verifies its footer, top index, filter and statistics.
    ///
    /// # Errors
    /// The operating system's; the file is damaged or of a newer version.
    pub fn open(
        disk: &dyn Disk,
        mutants: &Mutants,
        cache: &Arc<BlockCache>,
        table: TableId,
        id: SstableId,
    ) -> Result<Self> {
        let path = path_of(table, id);
        let sstable = Self::open_elsewhere(disk, mutants, cache, &path, id)?;
        if sstable.statistics.table != table {
            return Err(corrupt(&path, sstable.top_index_offset, "the file belongs to another table"));
        }
        Ok(sstable)
    }

    /// As [`Self::open`], of a file that lies anywhere and belongs to whatever table.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_elsewhere(
        disk: &dyn Disk,
        mutants: &Mutants,
        cache: &Arc<BlockCache>,
        path: &str,
        id: SstableId,
    ) -> Result<Self> {
        let nobody = TableId(uuid::Uuid::nil());
        let (mut sstable, footer_at, footer) = Self::bare(disk, cache, path.to_owned(), nobody, id)?;
        let footer = Footer::decode(&sstable.path, id.0, footer_at, &footer)?;
        sstable.top_index_offset = footer.top_index.offset;
        sstable.mutants = mutants.clone();
        sstable.filter = sstable.decoded(footer.filter, Filter::decode)?;
        let statistics = sstable.load(footer.statistics, Access::Disk)?;
        sstable.statistics = serde_json::from_slice(&statistics)
            .map_err(|error| corrupt(&sstable.path, footer.statistics.offset, error.to_string()))?;
        sstable.top_index = sstable.decoded(footer.top_index, parse_top_index)?;
        sstable.pinned_bytes = sstable.heap_bytes();
        cache.pin(sstable.pinned_bytes);
        Ok(sstable)
    }

    /// Opens a file of which only the blocks can be trusted, to salvage them. Gives the handles that
    /// its footer names as well, if it can be read.
    ///
    /// # Errors
    /// The operating system's; there is no footer.
    pub fn open_unindexed(
        disk: &dyn Disk,
        cache: &Arc<BlockCache>,
        table: TableId,
        id: SstableId,
    ) -> Result<(Self, Vec<BlockHandle>)> {
        let (sstable, footer_at, footer) = Self::bare(disk, cache, path_of(table, id), table, id)?;
        let footer = Footer::decode(&sstable.path, id.0, footer_at, &footer);
        let known = footer.map_or_else(|_| Vec::new(), |it| vec![it.top_index, it.filter, it.statistics]);
        Ok((sstable, known))
    }

    /// A file of which nothing is read yet but the bytes of its footer, and where these lie: its blocks
    /// end there, and its filter excludes nothing.
    fn bare(
        disk: &dyn Disk,
        cache: &Arc<BlockCache>,
        path: String,
        table: TableId,
        id: SstableId,
    ) -> Result<(Self, u64, [u8; FOOTER_BYTES])> {
        let file = disk.open(&path).during("opening", &path)?;
        let file_bytes = file.len().during("opening", &path)?;
        let Some(footer_at) = file_bytes.checked_sub(FOOTER_BYTES as u64) else {
            return Err(corrupt(&path, 0, "the file is shorter than a footer"));
        };
        let mut footer = [0; FOOTER_BYTES];
        file.read_at(footer_at, &mut footer).during("reading", &path)?;
        let sstable = Self {
            id,
            path,
            file,
            file_bytes,
            cache_file: cache.register_file(),
            cache: Arc::clone(cache),
            top_index: Vec::new(),
            top_index_offset: footer_at,
            filter: Filter::of_everything(),
            statistics: Statistics::new(table, Vec::new(), uuid::Uuid::nil()),
            pinned_bytes: 0,
            mutants: Mutants::none(),
            is_damaged: AtomicBool::new(false),
        };
        Ok((sstable, footer_at, footer))
    }

    fn decoded<T>(
        &self,
        handle: BlockHandle,
        decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<T> {
        decode(&self.load(handle, Access::Disk)?).map_err(|error| self.malformed(handle.offset, &error))
    }

    /// The error of a block that passed its checksum and still does not follow the format.
    pub(crate) fn malformed(&self, offset: u64, error: &DecodeError) -> StorageError {
        self.is_damaged.store(true, Relaxed);
        corrupt(&self.path, offset, error.to_string())
    }

    /// True once something was read that is not what was written.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.is_damaged.load(Relaxed)
    }

    /// The file's id.
    #[must_use]
    pub const fn id(&self) -> SstableId {
        self.id
    }

    /// The file's path in the data directory.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The file's length in bytes.
    #[must_use]
    pub const fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Defects, for simulations.
    pub(crate) const fn mutants(&self) -> &Mutants {
        &self.mutants
    }

    /// What the file says of itself.
    #[must_use]
    pub const fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Bytes of memory that the open file takes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let index: usize = self.top_index.iter().map(|(key, _)| key.len() + 48).sum();
        size_of::<Self>() + self.path.len() + self.filter.heap_bytes() + index + self.statistics.heap_bytes()
    }

    /// False if the file has no partition with this token.
    #[must_use]
    #[inline]
    pub fn may_contain(&self, token: Token) -> bool {
        let (first, last) = self.statistics.tokens();
        first <= token && token <= last && self.filter.may_contain(token)
    }

    /// Where the data and index blocks end.
    pub(crate) const fn top_index_offset(&self) -> u64 {
        self.top_index_offset
    }

    /// The index blocks, by their first key.
    pub(crate) fn top_index(&self) -> &[(Box<[u8]>, BlockHandle)] {
        &self.top_index
    }

    /// A data or index block.
    pub(crate) fn block(&self, handle: BlockHandle, access: Access) -> Result<Arc<Block>> {
        let id = (self.cache_file, handle.offset);
        if access != Access::Uncached
            && let Some(block) = self.cache.get(id)
        {
            return Ok(block);
        }
        let bytes = self.load(handle, access)?;
        let block = Block::new(bytes).map_err(|error| self.malformed(handle.offset, &error))?;
        let block = Arc::new(block);
        if access != Access::Uncached {
            self.cache.put(id, Arc::clone(&block));
        }
        Ok(block)
    }

    /// Bytes of the file as they are, past everything that is in memory.
    pub(crate) fn read(&self, handle: BlockHandle) -> Result<Vec<u8>> {
        let mut bytes = vec![0; handle.length as usize];
        self.file.read_at(handle.offset, &mut bytes).during("reading", &self.path)?;
        Ok(bytes)
    }

    /// A block, checked and decompressed.
    pub(crate) fn load(&self, handle: BlockHandle, access: Access) -> Result<Box<[u8]>> {
        let loaded = self.load_checked(handle, access);
        if matches!(loaded, Err(StorageError::Corrupt { .. })) {
            self.is_damaged.store(true, Relaxed);
        }
        loaded
    }

    fn load_checked(&self, handle: BlockHandle, access: Access) -> Result<Box<[u8]>> {
        let length = handle.length as usize;
        if length < BLOCK_TRAILER_BYTES
            || handle.offset.saturating_add(u64::from(handle.length)) > self.file_bytes
        {
            return Err(corrupt(&self.path, handle.offset, "a block reaches past the end of the file"));
        }
        let bytes = if access == Access::Memory {
            let mut bytes = vec![0; length];
            if !self.file.try_read_at(handle.offset, &mut bytes).during("reading", &self.path)? {
                return Err(StorageError::NeedsDisk);
            }
            bytes
        } else {
            self.read(handle)?
        };
        let (covered, crc) = bytes.split_at(length - 4);
        let expected = format::block_crc(self.id.0, handle.offset, covered);
        if crc != expected.to_le_bytes() && !self.mutants.has("sstable-no-checksum") {
            return Err(corrupt(&self.path, handle.offset, "the block's checksum does not match"));
        }
        let (payload, trailer) = covered.split_at(covered.len() - 5);
        let uncompressed = Reader::new(&trailer[1..]).u32()? as usize;
        compression::decompress(&self.path, handle.offset, trailer[0], payload, uncompressed)
    }
}

fn parse_top_index(bytes: &[u8]) -> Result<TopIndex, DecodeError> {
    let block = Block::new(bytes.into())?;
    let mut cursor = BlockCursor::default();
    let mut index = Vec::new();
    cursor.seek_first(&block)?;
    while let Some(key) = cursor.key() {
        index.push((key.into(), IndexEntry::parse(block.value(cursor.value_range()))?.handle));
        cursor.advance(&block)?;
    }
    Ok(index)
}

/// What an index says of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    /// Where it is.
    pub(crate) handle: BlockHandle,
    /// The range deletion that is open where it begins.
    pub(crate) open: Deletion,
}

impl IndexEntry {
    pub(crate) fn parse(value: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(value);
        let offset = reader.varint()?;
        let length = u32::try_from(reader.varint()?).map_err(|_| reader.error("length of a block"))?;
        let open = if reader.is_empty() { Deletion::NONE } else { format::deletion(&mut reader)? };
        Ok(Self { handle: BlockHandle { offset, length }, open })
    }
}
