//! Walks every byte of a file: what is damaged, and where.

use super::block::{Block, BlockCursor};
use super::blocks::BlockFile;
use super::format::{self, BlockHandle, FOOTER_BYTES, KIND_CLUSTERED, KIND_PARTITION, KIND_STATIC};
use super::reader::{Access, IndexEntry, Sstable};
use super::statistics::Summary;
use crate::error::{Result, StorageError};
use dodona_types::codec::{DecodeError, Reader};
use dodona_types::row::RowView;
use dodona_types::{Deletion, KeyRef, Token};

/// A part of a file that does not hold what was written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file, relative to the data directory.
    pub path: String,
    /// Where in the file.
    pub offset: u64,
    /// How long the part is.
    pub bytes: u64,
    /// What does not fit.
    pub reason: String,
}

/// A data block of a file, and the first key it should have.
#[derive(Clone, Debug)]
pub(crate) struct ListedBlock {
    pub(crate) handle: BlockHandle,
    pub(crate) first_key: Box<[u8]>,
    /// The range deletion that is open where it begins.
    pub(crate) open: Deletion,
}

/// What a walk over a file comes to.
struct Walk<'a> {
    file: &'a Sstable,
    damages: Vec<Damage>,
    /// Parts of the file that something accounts for.
    parts: Vec<(u64, u64)>,
    last_key: Vec<u8>,
    last_prefix: Vec<u8>,
    counted: Summary,
}

impl Sstable {
    /// Reads every byte past the cache and checks it: checksums, the order of keys, every row, the
    /// filter, and that nothing lies between the blocks.
    ///
    /// # Errors
    /// The operating system's.
    pub fn verify(&self) -> Result<Vec<Damage>> {
        let file = match self.file() {
            Err(StorageError::Corrupt { path, offset, reason }) => {
                let bytes = self.file_bytes().saturating_sub(offset).max(1);
                return Ok(vec![Damage { path, offset, bytes, reason }]);
            }
            file => file?,
        };
        let mut walk = Walk {
            file: self,
            damages: Vec::new(),
            parts: Vec::new(),
            last_key: Vec::new(),
            last_prefix: Vec::new(),
            counted: Summary::NOTHING,
        };
        walk.tail(file)?;
        for block in self.listed_blocks(&mut |handle, error| walk.note(handle, &error))? {
            walk.data(&block)?;
        }
        for (_, handle) in self.top_index(Access::Disk)? {
            walk.parts.push((handle.offset, u64::from(handle.length)));
        }
        walk.compare();
        Ok(walk.damages)
    }

    /// The tokens, first and last, of which damaged parts may hold something. Empty if all damage is in
    /// what can be made anew.
    ///
    /// # Errors
    /// The operating system's.
    pub fn damaged_tokens(&self) -> Result<Vec<(Token, Token)>> {
        let damages = self.verify()?;
        if damages.iter().any(|damage| damage.bytes == 0) {
            // All is well by itself, and not what was written.
            return Ok(vec![self.summary().tokens()]);
        }
        let at: Vec<u64> = damages.iter().map(|damage| damage.offset).collect();
        let top = self.top_index(Access::Disk)?.iter().map(|(key, handle)| (&**key, handle.offset));
        // What a damaged index block lists is looked for where that begins.
        let listed = self.listed_blocks(&mut |_, _| ())?;
        let listed = listed.iter().map(|block| (&*block.first_key, block.handle.offset));
        let mut blocks: Vec<(&[u8], u64)> = top.chain(listed).collect();
        blocks.sort_unstable();
        let mut damaged = Vec::new();
        for (first_key, _) in blocks.iter().filter(|(_, offset)| at.contains(offset)) {
            let behind = blocks.iter().find(|(key, _)| key > first_key).map(|(key, _)| token_of(key));
            damaged.push((token_of(first_key), behind.unwrap_or_else(|| self.summary().tokens().1)));
        }
        Ok(damaged)
    }

    /// The data blocks that the index lists. An index block that is damaged is told to `damaged`.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn listed_blocks(
        &self,
        damaged: &mut dyn FnMut(BlockHandle, StorageError),
    ) -> Result<Vec<ListedBlock>> {
        let mut blocks = Vec::new();
        for (_, handle) in self.top_index(Access::Disk)? {
            let listed = self.block(*handle, Access::Uncached).and_then(|index| {
                list(&index, &mut blocks).map_err(|error| self.malformed(handle.offset, &error))
            });
            match listed {
                Err(error @ StorageError::Corrupt { .. }) => damaged(*handle, error),
                listed => listed?,
            }
        }
        Ok(blocks)
    }
}

/// The token in an entry's key.
fn token_of(key: &[u8]) -> Token {
    Token::from_ordinal(u64::from_be_bytes(key.first_chunk().copied().unwrap_or_default()))
}

fn list(index: &Block, blocks: &mut Vec<ListedBlock>) -> Result<(), DecodeError> {
    let mut cursor = BlockCursor::default();
    cursor.seek_first(index)?;
    while let Some(key) = cursor.key() {
        let first_key = key.into();
        let IndexEntry { handle, open } = IndexEntry::parse(index.value(cursor.value_range()))?;
        blocks.push(ListedBlock { handle, first_key, open });
        cursor.advance(index)?;
    }
    Ok(())
}

impl Walk<'_> {
    fn note(&mut self, handle: BlockHandle, error: &StorageError) {
        let reason = match error {
            StorageError::Corrupt { reason, .. } => reason.clone(),
            other => other.to_string(),
        };
        let (path, bytes) = (self.file.path().to_owned(), u64::from(handle.length));
        self.damages.push(Damage { path, offset: handle.offset, bytes, reason });
        self.parts.push((handle.offset, bytes));
    }

    /// Checks a block's bytes, past everything that is in memory.
    fn block<T>(
        &mut self,
        handle: BlockHandle,
        decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<Option<T>> {
        let decoded = self
            .file
            .load(handle, Access::Uncached)
            .and_then(|bytes| decode(&bytes).map_err(|error| self.file.malformed(handle.offset, &error)));
        match decoded {
            Ok(decoded) => {
                self.parts.push((handle.offset, u64::from(handle.length)));
                Ok(Some(decoded))
            }
            Err(error @ StorageError::Corrupt { .. }) => {
                self.note(handle, &error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The footer, and what it points to.
    fn tail(&mut self, file: &BlockFile) -> Result<()> {
        let here = BlockHandle { offset: file.footer_at(), length: FOOTER_BYTES as u32 };
        match file.footer() {
            Ok(footer) => {
                self.parts.push((here.offset, u64::from(here.length)));
                for handle in [footer.top_index, footer.filter, footer.statistics] {
                    self.block(handle, |_| Ok(()))?;
                }
                Ok(())
            }
            Err(error @ StorageError::Corrupt { .. }) => {
                self.note(here, &error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn data(&mut self, listed: &ListedBlock) -> Result<()> {
        let Some(block) = self.block(listed.handle, |bytes| Block::new(bytes.into()))? else {
            self.last_key.clone_from(&listed.first_key.to_vec());
            return Ok(());
        };
        if let Err(error) = self.entries(&block, &listed.first_key) {
            self.note(listed.handle, &self.file.malformed(listed.handle.offset, &error));
        }
        Ok(())
    }

    fn entries(&mut self, block: &Block, first_key: &[u8]) -> Result<(), DecodeError> {
        let wrong = |reason| DecodeError { offset: 0, reason };
        let mut cursor = BlockCursor::default();
        cursor.seek_first(block)?;
        if cursor.key() != Some(first_key) {
            return Err(wrong("the block begins with another key than the index says"));
        }
        while let Some(key) = cursor.key() {
            if !self.last_key.is_empty() && key <= self.last_key.as_slice() && key != first_key {
                return Err(wrong("keys that do not increase"));
            }
            self.entry(key, block.value(cursor.value_range()))?;
            self.last_key.clear();
            self.last_key.extend_from_slice(key);
            cursor.advance(block)?;
        }
        Ok(())
    }

    fn entry(&mut self, key: &[u8], value: &[u8]) -> Result<(), DecodeError> {
        let wrong = |reason| DecodeError { offset: 0, reason };
        let length = format::partition_prefix_bytes(key)?;
        let prefix = key.get(..length).unwrap_or_default();
        if prefix != self.last_prefix {
            let mut raw = Vec::new();
            format::put_raw_partition_key(&mut raw, prefix);
            let token = KeyRef::new(&raw).token;
            if token.to_ordered_bytes() != prefix.get(..8).unwrap_or_default() {
                return Err(wrong("a token that is not its key's"));
            }
            if !self.file.may_contain(token, Access::Disk).unwrap_or(true) {
                return Err(wrong("a partition that the filter does not know"));
            }
            self.counted.partition(token);
            self.last_prefix.clear();
            self.last_prefix.extend_from_slice(prefix);
        }
        let row = match (key.get(length), value.split_first()) {
            (Some(&KIND_PARTITION), _) => {
                let deletion = format::deletion(&mut Reader::new(value))?;
                self.counted.deletion(deletion);
                return Ok(());
            }
            (Some(&KIND_STATIC), _) => value,
            (Some(&KIND_CLUSTERED), Some((&format::VALUE_MARKER, marker))) => {
                let mut reader = Reader::new(marker);
                format::deletion(&mut reader)?;
                format::deletion(&mut reader)?;
                return Ok(());
            }
            (Some(&KIND_CLUSTERED), Some((&format::VALUE_ROW, row))) => row,
            _ => return Err(wrong("an entry of an unknown kind")),
        };
        self.counted.row(&RowView::validate(row)?)
    }

    /// Compares the walk with what the file says of itself.
    fn compare(&mut self) {
        if !self.damages.is_empty() {
            return;
        }
        let said = self.file.summary();
        let same = (said.rows, said.cells) == (self.counted.rows, self.counted.cells)
            && said.tokens() == self.counted.tokens();
        let whole = BlockHandle { offset: 0, length: 0 };
        if !same {
            let error = DecodeError { offset: 0, reason: "the statistics are of other rows" };
            self.note(whole, &self.file.malformed(0, &error));
        }
        self.parts.sort_unstable();
        let mut end = 0;
        for (offset, bytes) in self.parts.clone() {
            if offset > end {
                let gap = BlockHandle { offset: end, length: (offset - end) as u32 };
                let error = DecodeError { offset: 0, reason: "bytes that belong to no block" };
                self.note(gap, &self.file.malformed(end, &error));
            }
            end = end.max(offset + bytes);
        }
    }
}
