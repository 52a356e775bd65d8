//! Writes an SSTable, partition after partition, in order.

use super::block::BlockBuilder;
use super::block_size::BlockSize;
use super::compression::Compression;
use super::filter::Filter;
use super::format::{self, BlockHandle, Footer};
use super::partition_bounds::PartitionWatch;
use super::statistics::Statistics;
use super::{SstableId, path_of, temporary_path_of};
use crate::error::{IoContext, Result, StorageError};
use dodona_env::disk::DiskWriter;
use dodona_env::{Disk, Env, Mutants};
use dodona_types::codec::put_varint;
use dodona_types::row::RowView;
use dodona_types::{Deletion, KeyRef, TableId, Token};
use std::sync::Arc;

/// Bytes collected before they are handed to the operating system.
const WRITE_BYTES: usize = 256 << 10;
/// Bytes of an index block.
const INDEX_BLOCK_BYTES: usize = 4 << 10;

/// How a table's files are written.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// Compression of blocks.
    pub compression: Compression,
    /// Bytes of a data block before compression.
    pub block_bytes: usize,
    /// The same in files whose rows repeat one another so much that longer blocks take far less.
    pub long_block_bytes: usize,
    /// Probability that the filter errs.
    pub filter_false_positives: f64,
    /// Tells of partitions that are too large, if any can be.
    pub watch: Option<PartitionWatch>,
}

impl Default for WriterOptions {
    /// As tables have them if nothing is said.
    fn default() -> Self {
        Self {
            compression: Compression::Lz4,
            block_bytes: 4 << 10,
            long_block_bytes: 16 << 10,
            filter_false_positives: 0.01,
            watch: None,
        }
    }
}

/// Writes one file. It has its final name only once [`SstableWriter::finish`] has returned.
pub struct SstableWriter {
    disk: Arc<dyn Disk>,
    mutants: Mutants,
    id: SstableId,
    path: String,
    file: Arc<dyn DiskWriter>,
    options: WriterOptions,
    pending: Vec<u8>,
    offset: u64,
    data: BlockBuilder,
    block_size: BlockSize,
    /// The range deletion that is open where the present data block begins.
    open_at_block: Deletion,
    /// The range deletion that is open now.
    open: Deletion,
    index: BlockBuilder,
    top_index: BlockBuilder,
    tokens: Vec<Token>,
    statistics: Statistics,
    /// Bytes of the present partition before compression.
    partition_bytes: u64,
    /// The key of the present partition, if it is looked at.
    partition_key: Vec<u8>,
    /// Tombstones of the partitions before it.
    tombstones_before: u64,
    prefix: Vec<u8>,
    key: Vec<u8>,
    value: Vec<u8>,
    compressed: Vec<u8>,
}

impl SstableWriter {
    /// Creates a file for a table, with an id of its own.
    ///
    /// # Errors
    /// The operating system's.
    pub fn create(env: &Env, options: WriterOptions, statistics: Statistics) -> Result<Self> {
        let (disk, mutants) = (Arc::clone(&env.disk), env.mutants.clone());
        let id = SstableId::of_now(env);
        let directory = super::directory_of(statistics.origin.table);
        disk.create_dir_all(&directory).during("creating", &directory)?;
        let path = temporary_path_of(statistics.origin.table, id);
        let file = disk.create(&path).during("creating", &path)?;
        let block_size = BlockSize::new(options.block_bytes, options.long_block_bytes, options.compression);
        Ok(Self {
            disk,
            mutants,
            id,
            path,
            file,
            options,
            pending: Vec::with_capacity(WRITE_BYTES + (64 << 10)),
            offset: 0,
            data: BlockBuilder::default(),
            block_size,
            open_at_block: Deletion::NONE,
            open: Deletion::NONE,
            index: BlockBuilder::default(),
            top_index: BlockBuilder::default(),
            tokens: Vec::new(),
            statistics,
            partition_bytes: 0,
            partition_key: Vec::new(),
            tombstones_before: 0,
            prefix: Vec::new(),
            key: Vec::new(),
            value: Vec::new(),
            compressed: Vec::new(),
        })
    }

    /// Bytes of the file so far.
    #[must_use]
    pub const fn written_bytes(&self) -> u64 {
        self.offset
    }

    /// Begins a partition, which must stand behind the one before in the order of the ring.
    ///
    /// # Errors
    /// The operating system's.
    pub fn partition(&mut self, key: KeyRef<'_>, deletion: Deletion) -> Result<()> {
        self.look_at_partition();
        if self.options.watch.is_some() {
            self.partition_key.clear();
            self.partition_key.extend_from_slice(key.bytes);
        }
        self.prefix.clear();
        format::put_partition_prefix(&mut self.prefix, key);
        self.tokens.push(key.token);
        self.statistics.summary.partition(key.token);
        self.partition_bytes = key.bytes.len() as u64;
        self.open = Deletion::NONE;
        if !deletion.is_none() {
            self.statistics.summary.deletion(deletion);
            self.value.clear();
            format::put_deletion(&mut self.value, deletion);
            self.push(format::KIND_PARTITION, &[])?;
        }
        Ok(())
    }

    /// Tells of the partition that has ended, if it is too large.
    fn look_at_partition(&mut self) {
        let tombstones = self.statistics.summary.tombstones;
        if let (Some(watch), true) = (&self.options.watch, self.statistics.summary.partitions > 0) {
            watch.look(&self.partition_key, self.partition_bytes, tombstones - self.tombstones_before);
        }
        self.tombstones_before = tombstones;
    }

    /// Adds the partition's static row, before its other rows.
    ///
    /// # Errors
    /// The operating system's; the row is malformed.
    pub fn static_row(&mut self, row: &[u8]) -> Result<()> {
        self.statistics.summary.row(&RowView::parse(row)?)?;
        self.value.clear();
        self.value.extend_from_slice(row);
        self.push(format::KIND_STATIC, &[])
    }

    /// Adds a row.
    ///
    /// # Errors
    /// The operating system's; the row is malformed.
    pub fn row(&mut self, clustering: &[u8], row: &[u8]) -> Result<()> {
        self.statistics.summary.row(&RowView::parse(row)?)?;
        self.statistics.clustering(clustering);
        self.value.clear();
        self.value.push(format::VALUE_ROW);
        self.value.extend_from_slice(row);
        self.push(format::KIND_CLUSTERED, clustering)
    }

    /// Adds a marker: `open` is the range deletion in force behind `position`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn marker(&mut self, position: &[u8], open: Deletion) -> Result<()> {
        self.statistics.summary.deletion(open);
        self.statistics.summary.markers += 1;
        self.statistics.clustering(position);
        self.value.clear();
        self.value.push(format::VALUE_MARKER);
        format::put_deletion(&mut self.value, self.open);
        format::put_deletion(&mut self.value, open);
        self.push(format::KIND_CLUSTERED, position)?;
        self.open = open;
        Ok(())
    }

    fn push(&mut self, kind: u8, clustering: &[u8]) -> Result<()> {
        self.key.clear();
        self.key.extend_from_slice(&self.prefix);
        self.key.push(kind);
        self.key.extend_from_slice(clustering);
        if self.data.is_empty() {
            self.open_at_block = self.open;
        }
        self.data.push(&self.key, &self.value);
        self.partition_bytes += (clustering.len() + self.value.len()) as u64;
        self.statistics.summary.max_partition_bytes =
            self.statistics.summary.max_partition_bytes.max(self.partition_bytes);
        if self.data.len() >= self.block_size.bytes() {
            self.end_data_block()?;
        }
        Ok(())
    }

    fn end_data_block(&mut self) -> Result<()> {
        let mut data = std::mem::take(&mut self.data);
        let first_key = data.first_key().to_vec();
        let handle = data.finish(|block| {
            let handle = self.write_block(block, self.options.compression)?;
            self.block_size.note(block, handle.length as usize);
            Ok::<_, StorageError>(handle)
        });
        self.data = data;
        self.statistics.summary.data_blocks += 1;
        // The open deletion is that of the block's partition at its first entry.
        let handle = handle?;
        let mut value = Vec::with_capacity(32);
        put_varint(&mut value, handle.offset);
        put_varint(&mut value, u64::from(handle.length));
        if !self.open_at_block.is_none() && !self.mutants.has("index-forgets-open-ranges") {
            format::put_deletion(&mut value, self.open_at_block);
        }
        self.index.push(&first_key, &value);
        if self.index.len() >= INDEX_BLOCK_BYTES {
            self.end_index_block()?;
        }
        self.flush_pending(WRITE_BYTES)
    }

    /// Index blocks are written where they end up, between data blocks: a reader finds them by
    /// the top index.
    fn end_index_block(&mut self) -> Result<()> {
        let mut index = std::mem::take(&mut self.index);
        let first_key = index.first_key().to_vec();
        let handle = index.finish(|block| self.write_block(block, self.options.compression))?;
        self.index = index;
        let mut value = Vec::with_capacity(16);
        put_varint(&mut value, handle.offset);
        put_varint(&mut value, u64::from(handle.length));
        self.top_index.push(&first_key, &value);
        Ok(())
    }

    fn write_block(&mut self, block: &[u8], compression: Compression) -> Result<BlockHandle> {
        self.compressed.clear();
        let code = compression.compress(block, &mut self.compressed);
        self.compressed.push(code);
        self.compressed.extend_from_slice(&(block.len() as u32).to_le_bytes());
        let crc = format::block_crc(self.id.0, self.offset, &self.compressed);
        self.compressed.extend_from_slice(&crc.to_le_bytes());
        let handle = BlockHandle { offset: self.offset, length: self.compressed.len() as u32 };
        self.pending.extend_from_slice(&self.compressed);
        self.offset += self.compressed.len() as u64;
        self.statistics.summary.uncompressed_bytes += block.len() as u64;
        Ok(handle)
    }

    fn flush_pending(&mut self, at_least: usize) -> Result<()> {
        if self.pending.len() >= at_least && !self.pending.is_empty() {
            self.file.append(&self.pending).during("writing", &self.path)?;
            self.pending.clear();
        }
        Ok(())
    }

    /// Ends the file, makes it durable and gives it its name. `None` if nothing was written.
    ///
    /// # Errors
    /// The operating system's; the unfinished file is then to be removed.
    pub fn finish(mut self) -> Result<Option<SstableId>> {
        if self.statistics.summary.partitions == 0 || (self.offset == 0 && self.data.is_empty()) {
            self.abandon();
            return Ok(None);
        }
        self.look_at_partition();
        if !self.data.is_empty() {
            self.end_data_block()?;
        }
        if !self.index.is_empty() {
            self.end_index_block()?;
        }
        let mut top_index = std::mem::take(&mut self.top_index);
        let top_index = top_index.finish(|block| self.write_block(block, Compression::None))?;
        if self.mutants.has("filter-forgets-a-partition") && self.tokens.len() > 1 {
            self.tokens.pop();
        }
        let filter = Filter::build(&self.tokens, self.options.filter_false_positives).encode();
        let filter = self.write_block(&filter, Compression::None)?;
        let statistics = serde_json::to_vec(&self.statistics).unwrap_or_default();
        let statistics = self.write_block(&statistics, Compression::None)?;
        let footer = Footer { top_index, filter, statistics }.encode(self.id.0);
        self.pending.extend_from_slice(&footer);
        self.flush_pending(1)?;
        if !self.mutants.has("sstable-no-sync") {
            self.file.sync().during("syncing", &self.path)?;
        }
        let path = path_of(self.statistics.origin.table, self.id);
        self.disk.rename(&self.path, &path).during("renaming", &self.path)?;
        if !self.mutants.has("sstable-no-dir-sync") {
            let directory = super::directory_of(self.statistics.origin.table);
            self.disk.sync_dir(&directory).during("syncing", &directory)?;
        }
        Ok(Some(self.id))
    }

    /// Gives up: removes the unfinished file.
    pub fn abandon(self) {
        if let Err(error) = self.disk.remove(&self.path) {
            tracing::warn!(path = self.path, %error, "an unfinished file could not be removed; it goes at the next start");
        }
    }

    /// The table that is written.
    #[must_use]
    pub const fn table(&self) -> TableId {
        self.statistics.origin.table
    }
}
