//! The blocks of an SSTable's file: each is checked when it is read, and decompressed.

use super::SstableId;
use super::compression;
use super::format::{self, BLOCK_TRAILER_BYTES, BlockHandle, FOOTER_BYTES, Footer};
use crate::error::{IoContext, Result, StorageError, corrupt};
use dodona_env::{Disk, DiskReader, Mutants};
use dodona_types::codec::Reader;
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

/// A file that is open, of which nothing is known but where it lies.
pub(crate) struct BlockFile {
    id: SstableId,
    path: Arc<str>,
    file: Arc<dyn DiskReader>,
    bytes: u64,
    mutants: Mutants,
}

impl BlockFile {
    /// Opens a file.
    ///
    /// # Errors
    /// The operating system's; the file has no room for a footer.
    pub(crate) fn open(disk: &dyn Disk, mutants: &Mutants, path: &Arc<str>, id: SstableId) -> Result<Self> {
        let file = disk.open(path).during("opening", path)?;
        let bytes = file.len().during("opening", path)?;
        if bytes < FOOTER_BYTES as u64 {
            return Err(corrupt(path, 0, "the file is shorter than a footer"));
        }
        Ok(Self { id, path: Arc::clone(path), file, bytes, mutants: mutants.clone() })
    }

    /// The file's length in bytes.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where the footer stands.
    pub(crate) const fn footer_at(&self) -> u64 {
        self.bytes - FOOTER_BYTES as u64
    }

    /// The footer.
    ///
    /// # Errors
    /// The operating system's; it is damaged, or of a newer version.
    pub(crate) fn footer(&self) -> Result<Footer> {
        let here = BlockHandle { offset: self.footer_at(), length: FOOTER_BYTES as u32 };
        Footer::decode(&self.path, self.id.0, here.offset, &self.read(here)?)
    }

    /// Bytes of the file as they are.
    pub(crate) fn read(&self, handle: BlockHandle) -> Result<Vec<u8>> {
        let mut bytes = vec![0; handle.length as usize];
        self.file.read_at(handle.offset, &mut bytes).during("reading", &self.path)?;
        Ok(bytes)
    }

    /// A block, checked and decompressed.
    pub(crate) fn load(&self, handle: BlockHandle, access: Access) -> Result<Box<[u8]>> {
        let length = handle.length as usize;
        if length < BLOCK_TRAILER_BYTES || handle.offset.saturating_add(u64::from(handle.length)) > self.bytes
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
