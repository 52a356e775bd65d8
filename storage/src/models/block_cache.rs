//! Blocks come into the cache, are found, and are pushed out, while files are opened and closed.

use super::disk::ModelDisk;
use super::{TABLE, check, must_find, open, put, read};
use crate::sstable::block::BlockCursor;
use crate::sstable::cache::BlockCache;
use crate::sstable::reader::Access;
use dodona_env::Mutants;
use shuttle::thread;
use std::sync::Arc;

/// Readers, with a cache of hardly more than a block, while a compaction and a flush open files and close others.
/// The first blocks of all files have the same offset.
fn reading(mutants: &Mutants) {
    const CACHE_BYTES: usize = 4 << 10;
    let (engine, _) = open(&ModelDisk::default(), mutants, CACHE_BYTES);
    for key in 1..3 {
        (0..3).for_each(|row| _ = put(&engine, (key, row), key));
        engine.flush(TABLE).unwrap();
    }
    let mut threads = Vec::new();
    for _ in 0..2 {
        let engine = Arc::clone(&engine);
        threads.push(thread::spawn(move || {
            for _ in 0..2 {
                let seen = read(&engine);
                assert!(seen.len() >= 6, "{seen:?}");
                assert!(seen.iter().all(|((key, _), value)| value == key), "{seen:?}");
            }
        }));
    }
    let compacts = Arc::clone(&engine);
    threads.push(thread::spawn(move || compacts.compact_all(TABLE, None).unwrap()));
    let flushes = Arc::clone(&engine);
    threads.push(thread::spawn(move || {
        (0..3).for_each(|row| _ = put(&flushes, (9, row), 9));
        flushes.flush(TABLE).unwrap();
    }));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    engine.maintain_memtables().unwrap();
    let view = engine.store(TABLE).unwrap().view.load_full();
    let open: usize = view.sstables.iter().map(|file| file.heap_bytes()).sum();
    assert_eq!(engine.cache.pinned_bytes(), open as u64);
    fits(&engine.cache, CACHE_BYTES);
    assert_eq!(read(&engine).len(), 9);
}

/// Two files whose blocks have the same offsets are opened at the same time.
fn opening(mutants: &Mutants) {
    let (engine, _) = open(&ModelDisk::default(), mutants, 64 << 10);
    for key in 1..3 {
        (0..3).for_each(|row| _ = put(&engine, (key, row), key));
        engine.flush(TABLE).unwrap();
    }
    let ids: Vec<_> =
        engine.store(TABLE).unwrap().view.load().sstables.iter().map(|file| file.id()).collect();
    let threads = ids.into_iter().map(|id| {
        let engine = Arc::clone(&engine);
        thread::spawn(move || {
            let file = engine.open_outputs(TABLE, &[id]).unwrap().remove(0);
            let tops = file.top_index(Access::Disk).unwrap();
            for (first, handle) in tops.iter().chain(tops) {
                let block = file.block(*handle, Access::Disk).unwrap();
                let mut cursor = BlockCursor::default();
                cursor.seek_first(&block).unwrap();
                assert_eq!(cursor.key(), Some(&**first), "a block of another file");
            }
        })
    });
    threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
}

/// Files open and close at once.
fn pinning(mutants: &Mutants) {
    const CACHE_BYTES: usize = 8_000;
    let cache = Arc::new(BlockCache::new(CACHE_BYTES, mutants));
    cache.pin(1_000);
    let threads = [500, 700, 900].map(|bytes| {
        let cache = Arc::clone(&cache);
        thread::spawn(move || {
            cache.pin(bytes);
            if bytes == 700 {
                cache.unpin(1_000);
            }
        })
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(cache.pinned_bytes(), 2_100);
    fits(&cache, CACHE_BYTES);
}

/// Blocks have what open files leave.
fn fits(cache: &BlockCache, capacity: usize) {
    let left = (capacity as u64).saturating_sub(cache.pinned_bytes()).max(capacity as u64 / 8);
    assert_eq!(cache.room_for_blocks(), left);
    assert!(cache.bytes() <= left, "{} bytes of blocks in {left}", cache.bytes());
}

#[test]
fn no_read_is_given_the_block_of_another_file() {
    check(|| reading(&Mutants::none()));
    check(|| opening(&Mutants::none()));
}

#[test]
fn blocks_have_what_open_files_leave() {
    check(|| pinning(&Mutants::none()));
}

#[test]
fn defects_are_found() {
    must_find("cache-numbers-two-files-alike", opening);
    must_find("cache-fits-out-of-turn", pinning);
}
