//! What the engines have in common, as far as they are compared.

use std::error::Error;

/// What may go wrong goes up to `main` and ends the run.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Bytes of a key and of a value.
pub const KEY_BYTES: usize = 8;
/// See [`KEY_BYTES`].
pub const VALUE_BYTES: usize = 100;

/// A value, of which the first 8 bytes say whose it is.
pub type Value = [u8; VALUE_BYTES];

/// What all engines are given alike.
#[derive(Clone, Copy, Debug)]
pub struct StoreSettings {
    /// Bytes of the block cache.
    pub cache_bytes: usize,
    /// Bytes of a memtable before it is flushed; writes wait at twice as many.
    pub memtable_bytes: usize,
    /// Bytes of a block of data, if not the engine's own default.
    pub block_bytes: Option<usize>,
    /// The log goes to the operating system once for so many writes.
    pub group: u64,
}

/// An engine with a database of its own.
pub trait Store: Sync {
    /// Its name in tables.
    fn name(&self) -> &'static str;

    /// What one thread reads and writes through.
    fn client(&self) -> Outcome<Box<dyn Client + '_>>;

    /// Flushes everything and waits until nothing is left to compact.
    fn settle(&self) -> Outcome<()>;

    /// Bytes in memtables, as the engine counts them.
    fn memtable_bytes(&self) -> Outcome<u64>;

    /// Bytes of the files that hold data.
    fn disk_bytes(&self) -> Outcome<u64>;
}

/// A thread's way to an engine.
pub trait Client {
    /// Writes a row. At the latest once `group` were written, the operating system has all of them.
    fn put(&mut self, key: u64, value: &Value) -> Outcome<()>;

    /// As [`Self::put`], of rows that are kept in the order of their keys. An engine that does so with all has no other way.
    fn append(&mut self, key: u64, value: &Value) -> Outcome<()> {
        self.put(key, value)
    }

    /// Gives everything written to the operating system.
    fn finish(&mut self) -> Outcome<()>;

    /// The owner that the key's value names, if there is a value.
    fn get(&mut self, key: u64) -> Outcome<Option<u64>>;

    /// Reads at most `rows` rows from a key on, in the engine's order. Returns how many there were.
    fn range(&mut self, from: u64, rows: u64) -> Outcome<u64>;

    /// Reads everything. Returns how many rows there were.
    fn scan(&mut self) -> Outcome<u64>;
}

/// The owner that a value names.
pub fn owner(value: &[u8]) -> Option<u64> {
    value.first_chunk().copied().map(u64::from_be_bytes)
}
