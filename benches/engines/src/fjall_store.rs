//! fjall with its defaults, but for what all engines are given alike.

use crate::store::{Client, Outcome, Store, StoreSettings, Value, owner};
use fjall::config::{
    BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry,
    PinningPolicy,
};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

const BLOCK_BYTES: usize = 4 << 10;
/// How long it must have nothing to do to count as settled.
const QUIET: Duration = Duration::from_millis(50);

/// The database.
pub struct FjallStore {
    database: Database,
    keyspace: Keyspace,
    group: u64,
}

impl FjallStore {
    /// An empty database. Filters and indexes stay in memory, as those of the others do.
    pub fn open(directory: &Path, settings: StoreSettings) -> Outcome<Self> {
        let database =
            Database::builder(directory).cache_size(settings.cache_bytes as u64).worker_threads(2).open()?;
        let block_bytes = settings.block_bytes.unwrap_or(BLOCK_BYTES);
        let filter = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0));
        let keyspace = database.keyspace("t", || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(settings.memtable_bytes as u64)
                .data_block_size_policy(BlockSizePolicy::all(block_bytes as u32))
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
                .filter_policy(FilterPolicy::all(filter))
                .filter_block_pinning_policy(PinningPolicy::all(true))
                .index_block_pinning_policy(PinningPolicy::all(true))
        })?;
        Ok(Self { database, keyspace, group: settings.group })
    }
}

impl Store for FjallStore {
    fn name(&self) -> &'static str {
        "fjall"
    }

    fn client(&self) -> Outcome<Box<dyn Client + '_>> {
        Ok(Box::new(FjallClient { store: self, batch: None, written: 0 }))
    }

    fn settle(&self) -> Outcome<()> {
        self.keyspace.rotate_memtable_and_wait()?;
        let work = || {
            let database = &self.database;
            (database.outstanding_flushes() + database.active_compactions(), database.compactions_completed())
        };
        loop {
            let before = work();
            std::thread::sleep(QUIET);
            if before.0 == 0 && before == work() {
                return Ok(());
            }
        }
    }

    fn memtable_bytes(&self) -> Outcome<u64> {
        Ok(self.database.write_buffer_size())
    }

    fn disk_bytes(&self) -> Outcome<u64> {
        Ok(self.keyspace.disk_space())
    }
}

struct FjallClient<'s> {
    store: &'s FjallStore,
    batch: Option<OwnedWriteBatch>,
    written: u64,
}

impl Client for FjallClient<'_> {
    fn put(&mut self, key: u64, value: &Value) -> Outcome<()> {
        let FjallStore { database, keyspace, group } = self.store;
        if *group == 1 {
            return Ok(keyspace.insert(key.to_be_bytes(), value.as_slice())?);
        }
        let batch = self.batch.get_or_insert_with(|| {
            OwnedWriteBatch::with_capacity(database.clone(), *group as usize)
                .durability(Some(PersistMode::Buffer))
        });
        batch.insert(keyspace, key.to_be_bytes(), value.as_slice());
        self.written += 1;
        if self.written >= *group {
            self.finish()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Outcome<()> {
        self.written = 0;
        match self.batch.take() {
            Some(batch) => Ok(batch.commit()?),
            None => Ok(()),
        }
    }

    fn get(&mut self, key: u64) -> Outcome<Option<u64>> {
        let value = self.store.keyspace.get(key.to_be_bytes())?;
        Ok(value.as_deref().and_then(owner))
    }

    fn range(&mut self, from: u64, rows: u64) -> Outcome<u64> {
        let mut seen = 0;
        let limit = usize::try_from(rows).unwrap_or(usize::MAX);
        for entry in self.store.keyspace.range(from.to_be_bytes()..).take(limit) {
            let (key, value) = entry.into_inner()?;
            black_box((&*key, owner(&value)));
            seen += 1;
        }
        Ok(seen)
    }

    fn scan(&mut self) -> Outcome<u64> {
        self.range(0, u64::MAX)
    }
}
