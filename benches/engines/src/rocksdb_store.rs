//! RocksDB with its defaults, but for what all engines are given alike.

use crate::store::{Client, Outcome, Store, StoreSettings, Value, owner};
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, Options, WaitForCompactOptions, WriteBatch, properties,
};
use std::hint::black_box;
use std::path::Path;

const BLOCK_BYTES: usize = 4 << 10;

/// The database.
pub struct RocksDbStore {
    db: DB,
    group: u64,
}

impl RocksDbStore {
    /// An empty database.
    pub fn open(directory: &Path, settings: StoreSettings) -> Outcome<Self> {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&Cache::new_lru_cache(settings.cache_bytes));
        blocks.set_block_size(settings.block_bytes.unwrap_or(BLOCK_BYTES));
        blocks.set_bloom_filter(10.0, false);
        blocks.set_format_version(5);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&blocks);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_write_buffer_size(settings.memtable_bytes);
        options.set_max_write_buffer_number(2);
        options.set_max_background_jobs(2);
        Ok(Self { db: DB::open(&options, directory)?, group: settings.group })
    }

    fn number(&self, property: &properties::PropName) -> Outcome<u64> {
        Ok(self.db.property_int_value(property)?.unwrap_or(0))
    }
}

impl Store for RocksDbStore {
    fn name(&self) -> &'static str {
        "RocksDB"
    }

    fn client(&self) -> Outcome<Box<dyn Client + '_>> {
        Ok(Box::new(RocksDbClient { store: self, batch: WriteBatch::default() }))
    }

    fn settle(&self) -> Outcome<()> {
        let mut options = WaitForCompactOptions::default();
        options.set_flush(true);
        Ok(self.db.wait_for_compact(&options)?)
    }

    fn memtable_bytes(&self) -> Outcome<u64> {
        self.number(properties::CUR_SIZE_ALL_MEM_TABLES)
    }

    fn disk_bytes(&self) -> Outcome<u64> {
        self.number(properties::LIVE_SST_FILES_SIZE)
    }
}

struct RocksDbClient<'s> {
    store: &'s RocksDbStore,
    batch: WriteBatch,
}

impl Client for RocksDbClient<'_> {
    fn put(&mut self, key: u64, value: &Value) -> Outcome<()> {
        if self.store.group == 1 {
            return Ok(self.store.db.put(key.to_be_bytes(), value)?);
        }
        self.batch.put(key.to_be_bytes(), value);
        if self.batch.len() as u64 >= self.store.group {
            self.finish()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Outcome<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        Ok(self.store.db.write(std::mem::take(&mut self.batch))?)
    }

    fn get(&mut self, key: u64) -> Outcome<Option<u64>> {
        let value = self.store.db.get_pinned(key.to_be_bytes())?;
        Ok(value.as_deref().and_then(owner))
    }

    fn range(&mut self, from: u64, rows: u64) -> Outcome<u64> {
        let mut iterator = self.store.db.raw_iterator();
        iterator.seek(from.to_be_bytes());
        let mut seen = 0;
        while seen < rows
            && let Some((key, value)) = iterator.item()
        {
            black_box((key, owner(value)));
            seen += 1;
            iterator.next();
        }
        iterator.status()?;
        Ok(seen)
    }

    fn scan(&mut self) -> Outcome<u64> {
        self.range(0, u64::MAX)
    }
}
