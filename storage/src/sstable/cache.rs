//! The block cache: decoded blocks of all tables, up to a number of bytes.

use crate::sstable::block::Block;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};
use dodona_env::Mutants;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use std::sync::Arc;

/// Names a block: the number its file got when it was opened, and its offset.
pub type BlockId = (u64, u64);

#[derive(Clone)]
struct ByBytes;

impl Weighter<BlockId, Arc<Block>> for ByBytes {
    fn weight(&self, _: &BlockId, block: &Arc<Block>) -> u64 {
        block.heap_bytes() as u64 + 64
    }
}

/// A cache of blocks. Blocks read once by a scan do not push out those that are read again.
pub struct BlockCache {
    blocks: Cache<BlockId, Arc<Block>, ByBytes, foldhash::fast::FixedState>,
    capacity_bytes: u64,
    mutants: Mutants,
    /// Bytes that filters and indexes of open files take.
    pinned_bytes: Mutex<u64>,
    next_file: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl BlockCache {
    /// A cache of at most `capacity_bytes`.
    #[must_use]
    pub fn new(capacity_bytes: usize, mutants: &Mutants) -> Self {
        let blocks = Cache::with(
            (capacity_bytes / (16 << 10)).max(16),
            capacity_bytes as u64,
            ByBytes,
            foldhash::fast::FixedState::default(),
            DefaultLifecycle::default(),
        );
        Self {
            blocks,
            capacity_bytes: capacity_bytes as u64,
            mutants: mutants.clone(),
            pinned_bytes: Mutex::new(0),
            next_file: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Notes what an open file takes, so that blocks and open files together keep to the capacity. An
    /// eighth is left for blocks in any case.
    pub fn pin(&self, bytes: usize) {
        self.fit(|pinned| pinned.saturating_add(bytes as u64));
    }

    /// Notes that a file is not open any more.
    pub fn unpin(&self, bytes: usize) {
        self.fit(|pinned| pinned.saturating_sub(bytes as u64));
    }

    /// Bytes that open files take.
    #[must_use]
    pub fn pinned_bytes(&self) -> u64 {
        *self.pinned_bytes.lock()
    }

    /// Changes what open files take, and leaves blocks the rest.
    fn fit(&self, change: impl FnOnce(u64) -> u64) {
        let mut pinned = self.pinned_bytes.lock();
        *pinned = change(*pinned);
        let left = self.capacity_bytes.saturating_sub(*pinned).max(self.capacity_bytes / 8);
        if self.mutants.has("cache-fits-out-of-turn") {
            drop(pinned);
            pinned = self.pinned_bytes.lock();
        }
        // Under the lock: of two files that are opened at once, the later one's room counts.
        self.blocks.set_capacity(left);
        drop(pinned);
    }

    /// A number for a file that was opened.
    #[must_use]
    pub fn register_file(&self) -> u64 {
        if self.mutants.has("cache-numbers-two-files-alike") {
            let number = self.next_file.load(Relaxed);
            self.next_file.store(number + 1, Relaxed);
            return number;
        }
        self.next_file.fetch_add(1, Relaxed)
    }

    /// The block, if it is there.
    #[must_use]
    pub fn get(&self, id: BlockId) -> Option<Arc<Block>> {
        let block = self.blocks.get(&id);
        let counter = if block.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Relaxed);
        block
    }

    /// Adds a block.
    pub fn put(&self, id: BlockId, block: Arc<Block>) {
        self.blocks.insert(id, block);
    }

    /// Bytes that blocks may take.
    #[must_use]
    pub fn room_for_blocks(&self) -> u64 {
        self.blocks.capacity()
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.blocks.weight()
    }

    /// Blocks held.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.blocks.len()
    }

    /// Look-ups that found their block, and those that did not.
    #[must_use]
    pub fn hits_and_misses(&self) -> (u64, u64) {
        (self.hits.load(Relaxed), self.misses.load(Relaxed))
    }
}
