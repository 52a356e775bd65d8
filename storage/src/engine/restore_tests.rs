//! Commit logs that are archived, and restored elsewhere.

use super::restore::{RestoreSettings, Restored};
use crate::engine_tests::{Model, Step, TABLE, apply, check, read_file, settings, steps, write_file};
use crate::settings::ArchiveSettings;
use crate::sstable::statistics::StoredColumn;
use crate::{Engine, EngineSettings, StorageError, TableSettings};
use dodona_env::{Env, Programs};
use dodona_types::TableId;
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

fn column(id: u32) -> StoredColumn {
    let (name, cql_type, role) = ("v".into(), "int".into(), "regular".into());
    StoredColumn { id, name, cql_type, role, ..StoredColumn::default() }
}

fn table(id: TableId, column_id: u32) -> TableSettings {
    TableSettings { id, columns: vec![column(column_id)], ..settings() }
}

/// `ln`, `cp` and `false`, without a process: one that begins holds what is open here for a moment, such as
/// another test's lock.
struct Own;

impl Programs for Own {
    #[expect(clippy::disallowed_methods, reason = "it stands for a program outside")]
    fn run(&self, program: &str, arguments: &[String]) -> std::io::Result<()> {
        let [from, to] = arguments else { return Err(std::io::Error::other("two arguments")) };
        match program {
            "ln" => std::fs::hard_link(from, to),
            "cp" => std::fs::copy(from, to).map(drop),
            other => Err(std::io::Error::other(format!("{other}: exit status: 1"))),
        }
    }
}

fn open(directory: &Path, archive: ArchiveSettings, table: TableSettings) -> Engine {
    let env = Env { programs: Arc::new(Own), ..dodona_env::os::env(directory).unwrap() };
    let settings = EngineSettings { segment_bytes: 2_000, archive, ..EngineSettings::default() };
    Engine::open(env, settings, Uuid::from_u128(1), vec![table]).unwrap().0
}

fn path_in(directory: &Path, name: &str) -> String {
    directory.join(name).to_str().unwrap().to_owned()
}

fn into(directory: &Path) -> ArchiveSettings {
    ArchiveSettings { directory: Some(path_in(directory, "archive")), command: None }
}

fn restore_of(directory: &Path) -> RestoreSettings {
    RestoreSettings {
        directories: vec![path_in(directory, "archive")],
        micros_per_step: 1,
        ..RestoreSettings::default()
    }
}

fn all(_: &str) -> bool {
    true
}

#[expect(clippy::disallowed_methods, reason = "a test looks at what the engine has written")]
fn files(directory: &Path, end: &str) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_str().unwrap().ends_with(end));
    files.sort();
    files
}

fn put(row: u8, timestamp: i64) -> Step {
    Step::Put { key: 1, row, timestamp, value: row }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_was_written_up_to_a_time_is_restored_and_nothing_else(
        history in prop::collection::vec(steps(), 1..60),
        up_to in 0i64..31,
    ) {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut engine = open(here.path(), into(here.path()), table(TABLE, 3));
        let (mut model, mut all_of_it) = (Model::default(), Model::default());
        for step in &history {
            match *step {
                // As after a kill: what it has left is archived by the next life.
                Step::Reopen => {
                    engine.log.write().unwrap();
                    drop(engine);
                    engine = open(here.path(), into(here.path()), table(TABLE, 3));
                    continue;
                }
                Step::Put { timestamp, .. }
                | Step::DeleteRow { timestamp, .. }
                | Step::DeleteRange { timestamp, .. }
                | Step::DeletePartition { timestamp, .. } if timestamp > up_to => {
                    apply(&engine, &mut all_of_it, step);
                }
                _ => {
                    apply(&engine, &mut model, step);
                }
            }
            // Small segments: this one may have ended.
            engine.log.write().unwrap();
            engine.archive_log().unwrap();
        }
        engine.flush_all().unwrap();
        engine.archive_whole_log().unwrap();
        prop_assert_eq!(engine.log.total_bytes(), 0);
        drop(engine);
        // The table has another id and its column another number.
        let other = TableId(Uuid::from_u128(9));
        let restored = open(there.path(), ArchiveSettings::default(), table(other, 5));
        let point = RestoreSettings { up_to_micros: Some(up_to), ..restore_of(here.path()) };
        restored.restore(&point, &all).unwrap();
        // To be compared under the first id.
        let taken = crate::engine::snapshot::SnapshotRequest {
            name: "s", created_at: "", expires_at: None, schema: "", skip_flush: false,
        };
        restored.snapshot(other, taken).unwrap();
        restored.put_table(table(TABLE, 3)).unwrap();
        let directory = path_in(there.path(), &format!("snapshots/s/{other}"));
        let options = crate::engine::import::ImportOptions { copy: true, ..Default::default() };
        restored.import(TABLE, &[directory], &options).unwrap();
        check(&restored, &model);
    }
}

#[test]
fn nothing_is_restored_twice_until_another_time_is_named() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = open(here.path(), into(here.path()), table(TABLE, 3));
    let mut model = Model::default();
    (0..20).for_each(|row| apply(&engine, &mut model, &put(row, i64::from(row))));
    engine.archive_whole_log().unwrap();
    let restored = open(there.path(), ArchiveSettings::default(), table(TABLE, 3));
    let point = RestoreSettings { up_to_micros: Some(9), ..restore_of(here.path()) };
    let first = restored.restore(&point, &all).unwrap();
    assert_eq!((first.mutations, first.later, first.unknown), (10, 10, 0));
    assert_eq!(restored.restore(&point, &all).unwrap(), Restored::default());
    // It is in files: the log was not waited for.
    drop(restored);
    let restored = open(there.path(), ArchiveSettings::default(), table(TABLE, 3));
    assert_eq!(restored.restore(&point, &all).unwrap(), Restored::default());
    assert_eq!(restored.table_statistics(TABLE).unwrap().rows, 10);
    let everything = restored.restore(&restore_of(here.path()), &all).unwrap();
    assert_eq!((everything.mutations, everything.later), (20, 0));
    check(&restored, &model);
    let unwanted = tempfile::tempdir().unwrap();
    let other = open(unwanted.path(), ArchiveSettings::default(), table(TABLE, 3));
    let none = other.restore(&restore_of(here.path()), &|name| name != "ks.t").unwrap();
    assert_eq!((none.mutations, none.unknown), (0, 0));
}

#[test]
fn a_segment_is_kept_until_the_archive_takes_it_and_its_end_is_not_archived() {
    let here = tempfile::tempdir().unwrap();
    let blocked = here.path().join("archive");
    // A file stands where the directory should be.
    write_file(&blocked, b"");
    let engine = open(here.path(), into(here.path()), table(TABLE, 3));
    let mut model = Model::default();
    for row in 0..200 {
        apply(&engine, &mut model, &put(row % 30, i64::from(row)));
        engine.log.write().unwrap();
    }
    engine.flush(TABLE).unwrap();
    let segments = files(&here.path().join("commitlog"), ".log").len();
    assert!(segments > 4, "{segments}");
    assert!(engine.archive_log().is_err());
    assert!(
        engine.log.total_bytes() < 2_500,
        "what waits for the archive alone does not have tables flushed"
    );
    remove(&blocked);
    assert!(engine.archive_log().unwrap() >= 4);
    assert_eq!(engine.archive_log().unwrap(), 0);
    assert!(files(&here.path().join("commitlog"), ".log").len() < 4, "they are free");
    let archived = files(&blocked, ".log");
    assert!(archived.iter().all(|path| read_file(path).len() < 3_000), "zeros behind records are left out");
    assert_eq!(files(&blocked, ".json").len(), 1);
    check(&engine, &model);
}

#[expect(clippy::disallowed_methods, reason = "a test removes a file behind the engine's back")]
fn remove(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

#[test]
fn commands_archive_and_fetch_and_what_they_damage_is_named() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let archive = here.path().join("archive");
    make(&archive);
    let command = format!("ln %path {}/%name", archive.to_str().unwrap());
    let settings = ArchiveSettings { directory: None, command: Some(command) };
    let mut engine = open(here.path(), settings.clone(), table(TABLE, 3));
    let mut model = Model::default();
    for row in 0..200 {
        apply(&engine, &mut model, &put(row % 30, i64::from(row)));
        engine.log.write().unwrap();
        if row % 20 == 0 {
            // `ln` takes nothing twice: the next life knows what it has.
            engine.archive_log().unwrap();
            engine.log.write().unwrap();
            drop(engine);
            engine = open(here.path(), settings.clone(), table(TABLE, 3));
        }
        if row % 30 == 0 {
            engine.flush(TABLE).unwrap();
            engine.tend_log().unwrap();
        }
    }
    engine.flush(TABLE).unwrap();
    engine.archive_whole_log().unwrap();
    let fetch = RestoreSettings { command: Some("cp %from %to".into()), ..restore_of(here.path()) };
    let restored = open(there.path(), ArchiveSettings::default(), table(TABLE, 3));
    restored.restore(&fetch, &all).unwrap();
    check(&restored, &model);
    let failing = RestoreSettings {
        command: Some("false %from %to".into()),
        up_to_micros: Some(1),
        ..restore_of(here.path())
    };
    let error = restored.restore(&failing, &all).unwrap_err().to_string();
    assert!(error.contains("fetching") && error.contains("false: "), "{error}");
    let segment = files(&archive, ".log").remove(1);
    let mut bytes = read_file(&segment);
    bytes[300] ^= 1;
    write_file(&segment, &bytes);
    let again = RestoreSettings { up_to_micros: Some(1_000), ..restore_of(here.path()) };
    match restored.restore(&again, &all).unwrap_err() {
        StorageError::Corrupt { path, reason, .. } => {
            assert!(
                path == segment.to_str().unwrap() && reason.contains("what was archived"),
                "{path}: {reason}"
            );
        }
        error => panic!("{error}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "a test makes a directory for its archive")]
fn make(path: &Path) {
    std::fs::create_dir(path).unwrap();
}
