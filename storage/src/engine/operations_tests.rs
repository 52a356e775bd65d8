//! Snapshots, backups, scrub, garbage collection and major compactions on the real disk.

use super::snapshot::SnapshotRequest;
use crate::TableSettings;
use crate::engine_tests::{Model, Step, TABLE, apply, check, open, read_file, settings, write_file};
use proptest::prelude::*;

fn put(row: u8, timestamp: i64) -> Step {
    Step::Put { key: 1, row, timestamp, value: row }
}

#[test]
fn a_scrub_finds_every_byte_and_keeps_what_is_sound() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut model = Model::default();
    (0..30).for_each(|row| apply(&engine, &mut model, &put(row, 5)));
    apply(&engine, &mut model, &Step::DeleteRange { key: 1, start: 3, end: 25, timestamp: 2 });
    engine.flush(TABLE).unwrap();
    let (name, _) = engine.files(TABLE).unwrap().remove(0);
    let path = directory.path().join(&name);
    let intact = read_file(&path);
    drop(engine);
    let mut all_lost = 0;
    for at in (0..intact.len()).step_by(3) {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(directory.path(), copy.path());
        // It is opened whole, and damaged afterwards: a start would name it.
        let engine = open(copy.path());
        let mut damaged = intact.clone();
        damaged[at] ^= 0x10;
        write_file(&copy.path().join(&name), &damaged);
        let scrubbed = engine.scrub(TABLE, "kept").unwrap();
        assert_eq!((scrubbed.files, scrubbed.rebuilt.len()), (1, 1), "byte {at}");
        assert_eq!(engine.verify(TABLE).unwrap(), [], "byte {at}");
        let (_, salvaged) = &scrubbed.rebuilt[0];
        if salvaged.lost.iter().all(|lost| !lost.reason.contains("lost: what lies")) {
            // An index, the filter or the like: the data are all there.
            assert_eq!(salvaged.rows, 30, "byte {at}");
            check(&engine, &model);
        } else {
            assert!((20..30).contains(&salvaged.rows), "byte {at}: {salvaged:?}");
            all_lost += 1;
        }
    }
    assert!(all_lost > 50, "{all_lost}");
}

#[expect(clippy::disallowed_methods, reason = "a test copies a data directory")]
pub(crate) fn copy_tree(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn garbage_collection_leaves_out_only_what_nobody_sees(
        histories in prop::collection::vec(prop::collection::vec(crate::engine_tests::steps(), 1..12), 2..6),
        cells: bool,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let engine = open(directory.path());
        let mut model = Model::default();
        for history in &histories {
            for step in history {
                if !matches!(step, Step::Reopen | Step::Compact) {
                    apply(&engine, &mut model, step);
                }
            }
            engine.flush(TABLE).unwrap();
        }
        let rows = |engine: &crate::Engine| engine.table_statistics(TABLE).unwrap().rows;
        let before = rows(&engine);
        engine.collect_garbage(TABLE, cells).unwrap();
        prop_assert!(rows(&engine) <= before);
        check(&engine, &model);
        prop_assert_eq!(engine.verify(TABLE).unwrap(), []);
    }
}

#[test]
fn garbage_collection_frees_what_a_younger_file_has_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut model = Model::default();
    (0..20).for_each(|row| apply(&engine, &mut model, &put(row, 5)));
    engine.flush(TABLE).unwrap();
    apply(&engine, &mut model, &Step::DeleteRange { key: 1, start: 0, end: 15, timestamp: 9 });
    engine.flush(TABLE).unwrap();
    engine.collect_garbage(TABLE, false).unwrap();
    assert_eq!(engine.table_statistics(TABLE).unwrap().rows, 5);
    assert_eq!(engine.files(TABLE).unwrap().len(), 2);
    check(&engine, &model);
}

#[test]
fn a_compaction_that_is_stopped_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut model = Model::default();
    for row in 0..4 {
        apply(&engine, &mut model, &put(row, 5));
        engine.flush(TABLE).unwrap();
    }
    engine.set_automatic_compaction(TABLE, Some(true)).unwrap();
    let mut compaction = engine.next_compaction().unwrap().unwrap();
    assert!(engine.next_compaction().unwrap().is_none(), "all files are claimed");
    assert_eq!(engine.stop_compactions(Some("Compaction")), 1);
    assert!(matches!(engine.step_compaction(&mut compaction), Err(crate::StorageError::Stopped(_))));
    engine.abandon_compaction(compaction);
    assert_eq!(engine.compaction_progress().0.len(), 0);
    engine.compact_all(TABLE, None).unwrap();
    assert_eq!(engine.files(TABLE).unwrap().len(), 1);
    while engine.maintain().unwrap() == crate::Maintained::Worked {}
    let inside = directory.path().join(crate::sstable::directory_of(TABLE));
    assert_eq!(count(&inside), 1);
    check(&engine, &model);
}

#[expect(clippy::disallowed_methods, reason = "a test looks into a data directory")]
pub(super) fn count(directory: &std::path::Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

/// Each output of a compaction had the intervals of all inputs, one after another: they doubled
/// with every level, until a file was nothing else.
#[test]
fn intervals_of_the_log_do_not_pile_up_in_files() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut model = Model::default();
    for round in 0..12 {
        (0..4).for_each(|key| {
            apply(&engine, &mut model, &Step::Put { key, row: 1, timestamp: round, value: 1 });
        });
        engine.flush(TABLE).unwrap();
        engine.compact_all(TABLE, None).unwrap();
    }
    let view = engine.store(TABLE).unwrap().view.load_full();
    for sstable in &view.sstables {
        assert_eq!(sstable.origin().unwrap().log_intervals.len(), 1);
    }
}

#[test]
fn a_snapshot_has_its_manifest_and_schema_and_goes_as_a_whole() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut model = Model::default();
    apply(&engine, &mut model, &put(1, 5));
    let one = request("one");
    assert_eq!(engine.snapshot(TABLE, one).unwrap(), 1);
    let again = engine.snapshot(TABLE, one).unwrap_err();
    assert_eq!(again.to_string(), "Snapshot one already exists.");
    let [snapshot] = engine.snapshots().unwrap().try_into().unwrap();
    assert_eq!((snapshot.name.as_str(), snapshot.created_at.as_str()), ("one", "2026-01-01T00:00:00.000Z"));
    assert_eq!((snapshot.table, snapshot.own_bytes), (TABLE, 0));
    engine.truncate(TABLE).unwrap();
    assert_eq!(engine.snapshots().unwrap()[0].own_bytes, snapshot.bytes, "the table has the file no more");
    assert_eq!(engine.clear_snapshots(|snapshot| snapshot.name == "other").unwrap(), 0);
    assert_eq!(engine.clear_snapshots(|snapshot| snapshot.name == "one").unwrap(), 1);
    assert_eq!(engine.snapshots().unwrap(), []);
}

fn request(name: &str) -> SnapshotRequest<'_> {
    let created_at = "2026-01-01T00:00:00.000Z";
    SnapshotRequest { name, created_at, expires_at: None, schema: "CREATE TABLE", skip_flush: false }
}

#[test]
fn a_snapshot_leaves_memory_out_if_that_is_wanted_and_goes_when_its_time_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut model = Model::default();
    apply(&engine, &mut model, &put(1, 5));
    let skip = SnapshotRequest { skip_flush: true, ..request("files") };
    assert_eq!(engine.snapshot(TABLE, skip).unwrap(), 0);
    let end = "2026-01-02T00:00:00.000Z";
    let short = SnapshotRequest { expires_at: Some(end), ..request("short") };
    assert_eq!(engine.snapshot(TABLE, short).unwrap(), 1);
    assert_eq!(engine.clear_expired_snapshots("2026-01-01T23:59:59.999Z").unwrap(), 0);
    assert_eq!(engine.clear_expired_snapshots(end).unwrap(), 1);
    let left: Vec<String> = engine.snapshots().unwrap().into_iter().map(|snapshot| snapshot.name).collect();
    assert_eq!(left, ["files"]);
}

#[test]
fn what_a_flush_writes_is_backed_up_and_what_a_compaction_writes_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut model = Model::default();
    let backups = directory.path().join(format!("backups/{TABLE}"));
    apply(&engine, &mut model, &put(1, 5));
    engine.flush(TABLE).unwrap();
    assert!(!backups.exists(), "backups are off");
    engine.set_backs_up(true);
    for timestamp in [6, 7] {
        apply(&engine, &mut model, &put(1, timestamp));
        engine.flush(TABLE).unwrap();
    }
    assert_eq!(count(&backups), 2);
    engine.compact_all(TABLE, None).unwrap();
    engine.maintain_memtables().unwrap();
    assert_eq!((count(&backups), engine.files(TABLE).unwrap().len()), (2, 1));
    engine.put_table(TableSettings { incremental_backups: false, ..settings() }).unwrap();
    apply(&engine, &mut model, &put(1, 8));
    engine.flush(TABLE).unwrap();
    assert_eq!(count(&backups), 2, "the table wants none");
    check(&engine, &model);
}

/// Writers, flushes, several compactors, readers and operations at once, on real threads: nothing
/// is lost, and at the end nothing is left over.
#[test]
fn compactions_on_several_threads_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let options = [("class", "LeveledCompactionStrategy"), ("sstable_size_in_mb", "1"), ("fanout_size", "2")];
    let strategies = [
        options,
        [("class", "UnifiedCompactionStrategy"), ("scaling_parameters", "L2"), ("enabled", "true")],
    ];
    for options in strategies {
        let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut settings = crate::engine_tests::settings();
        settings.compaction = crate::compaction::CompactionSettings::from_options(&options.into()).unwrap();
        engine.put_table(settings).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        let stopped = || stop.load(std::sync::atomic::Ordering::Relaxed);
        let mut model = Model::default();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stopped() {
                        engine.maintain_files().unwrap();
                    }
                });
            }
            scope.spawn(|| {
                while !stopped() {
                    engine.flush(TABLE).unwrap();
                    engine.maintain_memtables().unwrap();
                }
            });
            scope.spawn(|| {
                while !stopped() {
                    engine.compact_all(TABLE, None).or_else(stopped_is_fine).unwrap();
                    engine.collect_garbage(TABLE, true).or_else(stopped_is_fine).unwrap();
                }
            });
            for round in 0..60u8 {
                for row in 0..30 {
                    let timestamp = i64::from(round) * 100 + i64::from(row);
                    let step = match row % 10 {
                        7 => Step::DeleteRange { key: row % 4, start: row / 2, end: row, timestamp },
                        9 => Step::DeleteRow { key: row % 4, row: row / 2, timestamp },
                        _ => Step::Put { key: row % 4, row, timestamp, value: round },
                    };
                    apply(&engine, &mut model, &step);
                }
                check(&engine, &model);
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        engine.flush(TABLE).unwrap();
        check(&engine, &model);
        assert_eq!(engine.verify(TABLE).unwrap(), []);
        engine.maintain_memtables().unwrap();
        let inside = directory.path().join(crate::sstable::directory_of(TABLE));
        assert_eq!(count(&inside), engine.files(TABLE).unwrap().len(), "files are left over");
        engine.truncate(TABLE).unwrap();
    }
}

fn stopped_is_fine(error: crate::StorageError) -> crate::error::Result<()> {
    match error {
        crate::StorageError::Stopped(_) => Ok(()),
        error => Err(error),
    }
}
