//! Readers hold a version while others are published and files go.

use super::disk::ModelDisk;
use super::{TABLE, check, must_find, open, put, read};
use dodona_env::Mutants;
use shuttle::thread;
use std::sync::Arc;

/// Hardly a block: readers read files.
const CACHE_BYTES: usize = 1 << 10;

/// Two readers, a compaction of two files, a flush of a third one, and whoever removes files.
fn compacting(mutants: &Mutants) {
    let (engine, _) = open(&ModelDisk::default(), mutants, CACHE_BYTES);
    for value in 1..3 {
        put(&engine, (0, 0), value);
        put(&engine, (1, value), value);
        engine.flush(TABLE).unwrap();
    }
    let mut threads = Vec::new();
    for _ in 0..2 {
        let engine = Arc::clone(&engine);
        threads.push(thread::spawn(move || {
            let mut last = 2;
            for _ in 0..2 {
                let seen = read(&engine);
                let value = seen.get(&(0, 0)).copied();
                assert!(value >= Some(last), "{value:?} is read, {last} was there");
                last = value.unwrap();
                assert_eq!((seen.get(&(1, 1)), seen.get(&(1, 2))), (Some(&1), Some(&2)));
            }
        }));
    }
    let compacts = Arc::clone(&engine);
    threads.push(thread::spawn(move || {
        compacts.compact_all(TABLE, None).unwrap();
        compacts.maintain_memtables().unwrap();
    }));
    let flushes = Arc::clone(&engine);
    threads.push(thread::spawn(move || {
        put(&flushes, (0, 0), 3);
        flushes.flush(TABLE).unwrap();
        flushes.maintain_memtables().unwrap();
    }));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(read(&engine).get(&(0, 0)), Some(&3));
    engine.maintain_memtables().unwrap();
    let files = engine.store(TABLE).unwrap().view.load().sstables.len();
    let left = engine.env.disk.list(&crate::sstable::directory_of(TABLE)).unwrap();
    assert_eq!(files, left.len(), "{left:?}");
}

/// The table is emptied during a compaction and a read: all rows are seen, or none.
fn truncating(mutants: &Mutants) {
    let (engine, _) = open(&ModelDisk::default(), mutants, CACHE_BYTES);
    for row in 0..2 {
        put(&engine, (row, 0), 1);
        engine.flush(TABLE).unwrap();
    }
    put(&engine, (2, 0), 1);
    let reads = Arc::clone(&engine);
    let reader = thread::spawn(move || {
        let seen = read(&reads).len();
        assert!(seen == 0 || seen == 3, "{seen} rows of 3 are read");
    });
    let compacts = Arc::clone(&engine);
    let compaction = thread::spawn(move || compacts.compact_all(TABLE, None).unwrap());
    engine.truncate(TABLE).unwrap();
    engine.maintain_memtables().unwrap();
    compaction.join().unwrap();
    reader.join().unwrap();
    assert_eq!(read(&engine).len(), 0, "rows are back");
}

#[test]
fn readers_see_all_rows_while_files_are_compacted() {
    check(|| compacting(&Mutants::none()));
}

#[test]
fn readers_see_all_rows_or_none_while_a_table_is_emptied() {
    check(|| truncating(&Mutants::none()));
}

#[test]
fn defects_are_found() {
    for mutant in ["obsolete-files-go-at-once", "view-loses-inputs-first", "compaction-removes-inputs-early"]
    {
        must_find(mutant, compacting);
    }
    must_find("compaction-publishes-after-truncate", truncating);
}
