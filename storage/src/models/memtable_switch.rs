//! Writers go on while the memtable is switched and flushed.

use super::disk::ModelDisk;
use super::{Row, TABLE, check, must_find, open, put, read};
use crate::sync::Mutex;
use dodona_env::Mutants;
use shuttle::rand::Rng;
use shuttle::{future, thread};
use std::sync::Arc;

const CACHE_BYTES: usize = 64 << 10;
/// How long the process lives, in turns.
const LATEST_END: usize = 150;

/// Two threads write, each a row after another, while two others flush, a third one reads, and the
/// process is killed or the power cut at some moment.
fn model(mutants: &Mutants, power_cut: bool) {
    let disk = ModelDisk::default();
    let (engine, _) = open(&disk, mutants, CACHE_BYTES);
    let applied: Arc<Mutex<Vec<Row>>> = Arc::default();
    let acknowledged: Arc<Mutex<Vec<Row>>> = Arc::default();
    let mut threads = Vec::new();
    for writer in 0..2 {
        let (engine, applied, acknowledged) =
            (Arc::clone(&engine), Arc::clone(&applied), Arc::clone(&acknowledged));
        threads.push(thread::spawn(move || {
            for row in 0..2 {
                let position = put(&engine, (writer, row), 1);
                applied.lock().push((writer, row));
                if future::block_on(engine.wait_safe(position)).is_ok() {
                    acknowledged.lock().push((writer, row));
                }
            }
        }));
    }
    for _ in 0..2 {
        let engine = Arc::clone(&engine);
        threads.push(thread::spawn(move || engine.flush(TABLE).unwrap()));
    }
    threads.push(thread::spawn({
        let (engine, applied) = (Arc::clone(&engine), Arc::clone(&applied));
        move || {
            let before = applied.lock().clone();
            let seen = read(&engine);
            assert!(
                before.iter().all(|row| seen.contains_key(row)),
                "{before:?} was written, {seen:?} is there"
            );
        }
    }));
    for _ in 0..shuttle::rand::thread_rng().gen_range(0..LATEST_END) {
        thread::yield_now();
    }
    let before = acknowledged.lock().clone();
    let left = disk.copy(power_cut);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(read(&engine).len(), 4, "a write is lost");
    restart(&left, &before);
    restart(&disk.copy(power_cut), &acknowledged.lock());
}

/// What was acknowledged is there, and each write came from a file or from the log, not from both.
fn restart(disk: &ModelDisk, acknowledged: &[Row]) {
    let (engine, recovered) = open(disk, &Mutants::none(), CACHE_BYTES);
    let seen = read(&engine);
    assert!(
        acknowledged.iter().all(|row| seen.contains_key(row)),
        "{acknowledged:?} was acknowledged, {seen:?} is there"
    );
    let view = engine.store(TABLE).unwrap().view.load_full();
    let in_files: u64 = view.sstables.iter().map(|file| file.summary().rows).sum();
    assert_eq!(in_files + recovered.mutations, seen.len() as u64, "a write was applied twice");
    // The log goes on where nothing counts as covered.
    let position = put(&engine, (9, 9), 1);
    future::block_on(engine.wait_safe(position)).unwrap();
    let (engine, _) = open(&disk.copy(true), &Mutants::none(), CACHE_BYTES);
    assert_eq!(read(&engine).len(), seen.len() + 1, "a write of the second life is lost");
}

#[test]
fn no_write_is_lost_or_applied_twice_when_the_process_is_killed() {
    check(|| model(&Mutants::none(), false));
}

#[test]
fn no_write_is_lost_or_applied_twice_when_the_power_is_cut() {
    check(|| model(&Mutants::none(), true));
}

#[test]
fn defects_are_found() {
    for mutant in [
        "switch-does-not-wait-for-writers",
        "switch-takes-its-position-early",
        "log-discarded-early",
        "replay-interval-too-long",
    ] {
        must_find(mutant, |mutants| model(mutants, false));
    }
}
