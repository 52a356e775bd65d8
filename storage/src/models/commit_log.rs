//! Writers share syncs of the commit log.

use super::disk::ModelDisk;
use super::{check, env, must_find};
use crate::commit_log::{self, CommitLog, reader::Replayed};
use crate::settings::{ArchiveSettings, SyncMode};
use crate::sync::Mutex;
use dodona_env::Mutants;
use shuttle::{future, thread};
use std::sync::Arc;
use std::time::Duration;

/// Segments hold about two records.
const SEGMENT_BYTES: u64 = 60;

/// The records that are on disk.
fn durable(disk: &ModelDisk) -> Vec<u8> {
    let mut records = Vec::new();
    commit_log::reader::replay(&disk.copy(true), |_, payload| {
        for mutation in commit_log::format::mutations(payload) {
            records.push(mutation.unwrap()[0]);
        }
        Ok(())
    })
    .unwrap();
    records
}

/// Three threads append and wait, one of them for the disk whatever the mode; another one tends the log, and a
/// sync fails or does not.
fn model(mutants: &Mutants, sync_fails: bool) {
    let disk = ModelDisk::default();
    let mode = (SyncMode::Batch, SEGMENT_BYTES);
    let log = CommitLog::open(env(&disk, mutants), mode, ArchiveSettings::default(), &Replayed::default(), 0);
    let log = Arc::new(log);
    let mut threads = Vec::new();
    for writer in 0..3_u8 {
        let (log, disk) = (Arc::clone(&log), disk.clone());
        threads.push(thread::spawn(move || {
            let mut has_failed = false;
            for record in [writer, 10 + writer] {
                let Ok((_, position)) = log.append(std::iter::once(&[record; 8][..])) else {
                    assert!(sync_fails);
                    return;
                };
                assert!(!has_failed, "the log takes a record after a sync has failed");
                let waited = if writer == 2 {
                    future::block_on(log.wait_synced(position))
                } else {
                    future::block_on(log.wait(position))
                };
                match waited {
                    Ok(()) => assert!(durable(&disk).contains(&record), "{record} is not on disk"),
                    Err(error) => {
                        assert!(sync_fails, "{error}");
                        has_failed = true;
                    }
                }
            }
        }));
    }
    let tends = Arc::clone(&log);
    threads.push(thread::spawn(move || {
        let _ = tends.tend();
        let _ = tends.sync();
    }));
    if sync_fails {
        disk.fail_sync("commitlog/");
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// One thread writes, record after record, as in the periodic mode, while others bring to the disk what there is.
fn periodic(mutants: &Mutants) {
    let disk = ModelDisk::default();
    let mode = (SyncMode::Periodic { period: Duration::from_secs(10) }, SEGMENT_BYTES);
    let log = CommitLog::open(env(&disk, mutants), mode, ArchiveSettings::default(), &Replayed::default(), 0);
    let (log, written) = (Arc::new(log), Arc::new(Mutex::new(Vec::new())));
    let mut threads = Vec::new();
    for _ in 0..2 {
        let (log, written, disk) = (Arc::clone(&log), Arc::clone(&written), disk.clone());
        threads.push(thread::spawn(move || {
            for _ in 0..2 {
                let before: Vec<u8> = written.lock().clone();
                future::block_on(log.wait_synced(log.end())).unwrap();
                let durable = durable(&disk);
                assert!(before.iter().all(|record| durable.contains(record)), "{before:?}, but {durable:?}");
            }
        }));
    }
    for record in 0..6_u8 {
        let (_, position) = log.append(std::iter::once(&[record; 8][..])).unwrap();
        future::block_on(log.wait(position)).unwrap();
        written.lock().push(record);
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn who_waits_is_told_once_a_sync_covers_the_record() {
    check(|| model(&Mutants::none(), false));
}

#[test]
fn a_sync_that_fails_fails_all_that_it_covers() {
    check(|| model(&Mutants::none(), true));
}

#[test]
fn a_sync_covers_what_was_written_before_it() {
    check(|| periodic(&Mutants::none()));
}

#[test]
fn defects_are_found() {
    must_find("log-forgets-what-ended-during-the-sync", periodic);
    for mutant in ["log-lead-wakes-nobody", "log-counts-what-came-during-the-sync", "commit-log-no-sync"] {
        must_find(mutant, |mutants| model(mutants, false));
    }
    must_find("log-forgets-a-failed-sync", |mutants| model(mutants, true));
}
