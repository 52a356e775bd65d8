//! Reads blocks of an SSTable. What the manifest tells of a file is in memory from the start. The file is opened when
//! something is looked for in it: its filter and its top index are verified into memory then, and everything else is read,
//! checked and cached block by block.

use super::block::{Block, BlockCursor};
pub use super::blocks::Access;
use super::blocks::BlockFile;
use super::cache::BlockCache;
use super::filter::Filter;
use super::format::{self, BlockHandle};
use super::statistics::{FileSummary, Origin, Statistics, Summary};
use super::{SstableId, path_of};
use crate::error::{Result, StorageError, corrupt};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering::Relaxed};
use dodona_env::{Disk, Mutants};
use dodona_types::codec::{DecodeError, Reader};
use dodona_types::{Deletion, TableId, Token};
use std::sync::{Arc, OnceLock};

/// The index blocks of a file, by their first key.
type TopIndex = Vec<TopIndexEntry>;
pub(crate) type TopIndexEntry = (Box<[u8]>, BlockHandle);

/// An SSTable.
pub struct Sstable {
    id: SstableId,
    path: Arc<str>,
    /// The table that it has to belong to, if that is known.
    table: Option<TableId>,
    disk: Arc<dyn Disk>,
    cache: Arc<BlockCache>,
    summary: Arc<FileSummary>,
    contents: OnceLock<Box<Contents>>,
    /// Held while the file is opened.
    opening: Mutex<()>,
    /// What the cache was told that the file takes while it is closed.
    pinned_bytes: usize,
    mutants: Mutants,
    /// Damage was met.
    is_damaged: AtomicBool,
}

/// What is kept of a file once it is open.
struct Contents {
    file: BlockFile,
    cache_file: u64,
    top_index: TopIndex,
    top_index_offset: u64,
    filter: Filter,
    origin: Origin,
    /// What the cache was told that it takes besides once it is open.
    pinned_bytes: usize,
}

impl Drop for Sstable {
    fn drop(&mut self) {
        let contents = self.contents.get().map_or(0, |contents| contents.pinned_bytes);
        if self.pinned_bytes + contents > 0 {
            self.cache.unpin(self.pinned_bytes + contents);
        }
    }
}

impl Sstable {
    /// Opens a file and verifies its footer, top index, filter and statistics.
    ///
    /// # Errors
    /// The operating system's; the file is damaged or of a newer version.
    pub fn open(
        disk: &Arc<dyn Disk>,
        mutants: &Mutants,
        cache: &Arc<BlockCache>,
        table: TableId,
        id: SstableId,
    ) -> Result<Self> {
        Self::closed(disk, mutants, cache, &path_of(table, id), id, Some(table)).opened()
    }

    /// As [`Self::open`], of a file that lies anywhere and belongs to whatever table.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_elsewhere(
        disk: &Arc<dyn Disk>,
        mutants: &Mutants,
        cache: &Arc<BlockCache>,
        path: &str,
        id: SstableId,
    ) -> Result<Self> {
        Self::closed(disk, mutants, cache, path, id, None).opened()
    }

    /// A file of which this is known: it is opened when something is looked for in it.
    #[must_use]
    pub fn known(
        disk: &Arc<dyn Disk>,
        mutants: &Mutants,
        cache: &Arc<BlockCache>,
        table: TableId,
        id: SstableId,
        summary: Arc<FileSummary>,
    ) -> Self {
        let mut sstable = Self::closed(disk, mutants, cache, &path_of(table, id), id, Some(table));
        sstable.set_summary(summary);
        sstable
    }

    /// Opens a file of which only the blocks can be trusted, to salvage them. Gives the handles that
    /// its footer names as well, if it can be read.
    ///
    /// # Errors
    /// The operating system's; there is no footer.
    pub fn open_unindexed(
        disk: &Arc<dyn Disk>,
        cache: &Arc<BlockCache>,
        table: TableId,
        id: SstableId,
    ) -> Result<(Self, Vec<BlockHandle>)> {
        let mut sstable = Self::closed(disk, &Mutants::none(), cache, &path_of(table, id), id, Some(table));
        let file = BlockFile::open(&**disk, &sstable.mutants, &sstable.path, id)?;
        let known =
            file.footer().map_or_else(|_| Vec::new(), |it| vec![it.top_index, it.filter, it.statistics]);
        sstable.summary = Arc::new(FileSummary { bytes: file.bytes(), summary: Summary::NOTHING });
        sstable.contents = OnceLock::from(Box::new(Contents {
            cache_file: cache.register_file(),
            top_index: Vec::new(),
            top_index_offset: file.footer_at(),
            filter: Filter::of_everything(),
            origin: Statistics::new(table, Vec::new(), uuid::Uuid::nil()).origin,
            pinned_bytes: 0,
            file,
        }));
        Ok((sstable, known))
    }

    /// A file of which nothing is known yet.
    fn closed(
        disk: &Arc<dyn Disk>,
        mutants: &Mutants,
        cache: &Arc<BlockCache>,
        path: &str,
        id: SstableId,
        table: Option<TableId>,
    ) -> Self {
        Self {
            id,
            path: path.into(),
            table,
            disk: Arc::clone(disk),
            cache: Arc::clone(cache),
            summary: Arc::new(FileSummary { bytes: 0, summary: Summary::NOTHING }),
            contents: OnceLock::new(),
            opening: Mutex::new(()),
            pinned_bytes: 0,
            mutants: mutants.clone(),
            is_damaged: AtomicBool::new(false),
        }
    }

    /// Opens the file, and knows of it what it says of itself.
    fn opened(mut self) -> Result<Self> {
        let (contents, summary) = self.read_contents()?;
        self.contents = OnceLock::from(Box::new(contents));
        self.set_summary(Arc::new(summary));
        Ok(self)
    }

    fn set_summary(&mut self, summary: Arc<FileSummary>) {
        self.summary = summary;
        self.pinned_bytes = self.closed_bytes();
        self.cache.pin(self.pinned_bytes);
    }

    /// Bytes of memory that the file takes while it is closed.
    fn closed_bytes(&self) -> usize {
        size_of::<Self>() + self.path.len() + size_of::<FileSummary>() + self.summary().heap_bytes()
    }

    /// What is kept of the open file.
    #[inline]
    fn contents(&self, access: Access) -> Result<&Contents> {
        match self.contents.get() {
            Some(contents) => Ok(contents),
            None => self.open_now(access),
        }
    }

    #[cold]
    fn open_now(&self, access: Access) -> Result<&Contents> {
        if access == Access::Memory {
            return Err(StorageError::NeedsDisk);
        }
        let _one = self.opening.lock();
        if let Some(contents) = self.contents.get() {
            return Ok(contents);
        }
        let (contents, summary) = self.noting_damage(self.read_contents())?;
        if summary != *self.summary {
            self.cache.unpin(contents.pinned_bytes);
            let error = DecodeError { offset: 0, reason: "the manifest tells other things of the file" };
            return Err(self.malformed(contents.file.footer_at(), &error));
        }
        Ok(self.contents.get_or_init(|| Box::new(contents)))
    }

    fn read_contents(&self) -> Result<(Contents, FileSummary)> {
        let file = BlockFile::open(&*self.disk, &self.mutants, &self.path, self.id)?;
        let footer = file.footer()?;
        let wrong =
            |handle: BlockHandle, error: &DecodeError| corrupt(&self.path, handle.offset, error.to_string());
        let load = |handle| file.load(handle, Access::Disk);
        let filter = Filter::decode(&load(footer.filter)?).map_err(|error| wrong(footer.filter, &error))?;
        let statistics: Statistics = serde_json::from_slice(&load(footer.statistics)?)
            .map_err(|error| corrupt(&self.path, footer.statistics.offset, error.to_string()))?;
        let Statistics { origin, summary, .. } = statistics;
        let top_index =
            parse_top_index(&load(footer.top_index)?).map_err(|error| wrong(footer.top_index, &error))?;
        if self.table.is_some_and(|table| table != origin.table) {
            return Err(corrupt(&self.path, footer.top_index.offset, "the file belongs to another table"));
        }
        let summary = FileSummary { bytes: file.bytes(), summary };
        let mut contents = Contents {
            file,
            cache_file: self.cache.register_file(),
            top_index,
            top_index_offset: footer.top_index.offset,
            filter,
            origin,
            pinned_bytes: 0,
        };
        contents.pinned_bytes = contents.heap_bytes();
        self.cache.pin(contents.pinned_bytes);
        Ok((contents, summary))
    }

    fn noting_damage<T>(&self, read: Result<T>) -> Result<T> {
        if matches!(read, Err(StorageError::Corrupt { .. })) {
            self.is_damaged.store(true, Relaxed);
        }
        read
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

    /// True once something was looked for in the file.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.contents.get().is_some()
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
    pub fn file_bytes(&self) -> u64 {
        self.summary.bytes
    }

    /// Defects, for simulations.
    pub(crate) const fn mutants(&self) -> &Mutants {
        &self.mutants
    }

    /// What the file holds.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary.summary
    }

    /// What the manifest is to tell of the file.
    #[must_use]
    pub const fn file_summary(&self) -> &Arc<FileSummary> {
        &self.summary
    }

    /// Where the file comes from.
    ///
    /// # Errors
    /// The file could not be opened.
    pub fn origin(&self) -> Result<&Origin> {
        Ok(&self.contents(Access::Disk)?.origin)
    }

    /// Bytes of memory that the file takes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.closed_bytes() + self.contents.get().map_or(0, |contents| contents.heap_bytes())
    }

    /// False if the file has no partition with this token.
    ///
    /// # Errors
    /// The file could not be opened.
    #[inline]
    pub fn may_contain(&self, token: Token, access: Access) -> Result<bool> {
        let (first, last) = self.summary().tokens();
        Ok(first <= token && token <= last && self.contents(access)?.filter.may_contain(token))
    }

    /// Where the data and index blocks end.
    ///
    /// # Errors
    /// The file could not be opened.
    pub(crate) fn top_index_offset(&self) -> Result<u64> {
        Ok(self.contents(Access::Disk)?.top_index_offset)
    }

    /// The index blocks, by their first key.
    ///
    /// # Errors
    /// The file could not be opened.
    pub(crate) fn top_index(&self, access: Access) -> Result<&[TopIndexEntry]> {
        Ok(&self.contents(access)?.top_index)
    }

    /// A data or index block.
    pub(crate) fn block(&self, handle: BlockHandle, access: Access) -> Result<Arc<Block>> {
        let id = (self.contents(access)?.cache_file, handle.offset);
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

    /// The file, past everything that is in memory.
    ///
    /// # Errors
    /// The file could not be opened.
    pub(crate) fn file(&self) -> Result<&BlockFile> {
        Ok(&self.contents(Access::Disk)?.file)
    }

    /// A block, checked and decompressed.
    pub(crate) fn load(&self, handle: BlockHandle, access: Access) -> Result<Box<[u8]>> {
        self.noting_damage(self.contents(access)?.file.load(handle, access))
    }
}

impl Contents {
    fn heap_bytes(&self) -> usize {
        let index: usize = self.top_index.iter().map(|(key, _)| key.len() + 48).sum();
        size_of::<Self>() + self.filter.heap_bytes() + index + self.origin.heap_bytes()
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
