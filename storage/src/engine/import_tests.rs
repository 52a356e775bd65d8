//! Files of one engine taken into another one.

use super::import::{ImportOptions, Imported};
use super::snapshot::SnapshotRequest;
use crate::engine_tests::{Model, Step, TABLE, apply, check, key, read_file, settings, steps, write_file};
use crate::sstable::statistics::StoredColumn;
use crate::{Engine, EngineSettings, StorageError, TableSettings};
use dodona_types::token::TokenRange;
use dodona_types::{TableId, Token};
use proptest::prelude::*;
use std::path::Path;
use uuid::Uuid;

/// Another table, with its column under another number.
const OTHER: TableId = TableId(Uuid::from_u128(8));

fn column(id: u32) -> StoredColumn {
    let (name, cql_type, role) = ("v".into(), "int".into(), "regular".into());
    StoredColumn { id, name, cql_type, role, ..StoredColumn::default() }
}

fn open_with(directory: &Path, host: u128, tables: Vec<TableSettings>) -> Engine {
    let env = dodona_env::os::env(directory).unwrap();
    Engine::open(env, EngineSettings::default(), Uuid::from_u128(host), tables).unwrap().0
}

/// An engine whose one table has this number for its column.
pub(super) fn open(directory: &Path, host: u128, column_id: u32) -> Engine {
    open_with(directory, host, vec![TableSettings { columns: vec![column(column_id)], ..settings() }])
}

fn snapshot(engine: &Engine, directory: &Path, name: &str) -> String {
    let created_at = "2026-01-01T00:00:00.000Z";
    let request = SnapshotRequest { name, created_at, expires_at: None, schema: "", skip_flush: false };
    engine.snapshot(TABLE, request).unwrap();
    directory.join(format!("snapshots/{name}/{TABLE}")).to_str().unwrap().to_owned()
}

const CHECKED: ImportOptions = ImportOptions { verify: true, within: None, copy: true };

fn reopened(engine: Engine, directory: &Path, host: u128) -> Engine {
    drop(engine);
    open(directory, host, 3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_snapshot_and_what_backups_have_beyond_it_are_the_table(
        before in prop::collection::vec(steps(), 1..30),
        after in prop::collection::vec(steps(), 1..30),
    ) {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let engine = open(here.path(), 1, 3);
        engine.set_backs_up(true);
        let mut model = Model::default();
        before.iter().for_each(|step| apply(&engine, &mut model, step));
        let taken = snapshot(&engine, here.path(), "one");
        after.iter().for_each(|step| apply(&engine, &mut model, step));
        engine.flush(TABLE).unwrap();
        let backups = here.path().join(format!("backups/{TABLE}")).to_str().unwrap().to_owned();
        let mut directories = vec![taken];
        if Path::new(&backups).is_dir() {
            directories.push(backups);
        }
        drop(engine);
        let restored = open(there.path(), 2, 3);
        restored.import(TABLE, &directories, &CHECKED).unwrap();
        check(&restored, &model);
        let restored = reopened(restored, there.path(), 2);
        check(&restored, &model);
        prop_assert_eq!(restored.verify(TABLE).unwrap(), []);
    }
}

#[test]
fn what_is_truncated_comes_back_in_place_and_once() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path(), 1, 3);
    let mut model = Model::default();
    for row in 0..20 {
        apply(&engine, &mut model, &Step::Put { key: 1, row, timestamp: 5, value: row });
    }
    let taken = snapshot(&engine, directory.path(), "one");
    let known = engine.import(TABLE, std::slice::from_ref(&taken), &CHECKED).unwrap();
    assert_eq!(known, Imported { known: 1, ..Imported::default() });
    engine.truncate(TABLE).unwrap();
    // The file is still there, out of use: its name is taken.
    let written = engine.import(TABLE, std::slice::from_ref(&taken), &CHECKED).unwrap();
    assert_eq!((written.files, written.linked), (1, 0));
    check(&engine, &model);
    engine.truncate(TABLE).unwrap();
    engine.maintain_memtables().unwrap();
    let linked = engine.import(TABLE, &[taken.clone(), taken], &CHECKED).unwrap();
    assert_eq!((linked.files, linked.linked), (1, 1));
    check(&engine, &model);
    engine.compact_all(TABLE, None).unwrap();
    check(&reopened(engine, directory.path(), 1), &model);
}

#[test]
fn another_table_on_another_node_takes_files_by_the_names_of_columns() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = open(here.path(), 1, 3);
    let mut model = Model::default();
    apply(&engine, &mut model, &Step::Put { key: 1, row: 1, timestamp: 5, value: 9 });
    apply(&engine, &mut model, &Step::DeleteRange { key: 1, start: 3, end: 9, timestamp: 6 });
    let taken = snapshot(&engine, here.path(), "one");
    let table = TableSettings { id: OTHER, columns: vec![column(5)], ..settings() };
    let other = open_with(there.path(), 2, vec![table]);
    let imported = other.import(OTHER, &[taken], &CHECKED).unwrap();
    assert_eq!((imported.files, imported.linked), (1, 0));
    let view = other.store(OTHER).unwrap().view.load_full();
    let (origin, summary) = (view.sstables[0].origin().unwrap(), view.sstables[0].summary());
    assert_eq!((origin.table, origin.writer), (OTHER, Uuid::from_u128(2)));
    assert_eq!(origin.log_intervals, [], "they are of another log");
    assert_eq!((summary.cells, summary.markers), (1, 2));
    // Back again, into a table with the first number, to be compared.
    let back = other.snapshot(
        OTHER,
        SnapshotRequest { name: "two", created_at: "", expires_at: None, schema: "", skip_flush: false },
    );
    assert_eq!(back.unwrap(), 1);
    engine.truncate(TABLE).unwrap();
    let directory = there.path().join(format!("snapshots/two/{OTHER}")).to_str().unwrap().to_owned();
    engine.import(TABLE, &[directory], &CHECKED).unwrap();
    check(&engine, &model);
}

#[test]
fn files_that_are_damaged_or_lie_elsewhere_are_refused_and_nothing_changes() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path(), 1, 3);
    let mut model = Model::default();
    for of in 0..2 {
        apply(&engine, &mut model, &Step::Put { key: of, row: 1, timestamp: 5, value: 9 });
        engine.flush(TABLE).unwrap();
    }
    let taken = snapshot(&engine, directory.path(), "one");
    engine.truncate(TABLE).unwrap();
    engine.maintain_memtables().unwrap();
    let empty = Model::default();
    let import = |options: &ImportOptions| engine.import(TABLE, std::slice::from_ref(&taken), options);
    let token = Token::of_key(&key(1));
    let within = vec![TokenRange { start: Token(token.0 - 1), end: token }];
    let error = import(&ImportOptions { within: Some(within), ..CHECKED }).unwrap_err();
    assert!(error.to_string().contains("belong to other nodes alone"), "{error}");
    let error = import(&ImportOptions { within: Some(Vec::new()), ..CHECKED }).unwrap_err();
    assert!(error.to_string().contains("belong to other nodes alone"), "{error}");
    check(&engine, &empty);
    let file = engine.sstables_in(&taken).unwrap().remove(0).0;
    let intact = read_file(Path::new(&file));
    let mut damaged = intact.clone();
    damaged[10] ^= 1;
    write_file(Path::new(&file), &damaged);
    assert!(matches!(import(&CHECKED).unwrap_err(), StorageError::Corrupt { offset: 0, .. }));
    check(&engine, &empty);
    let tables = directory.path().join(format!("tables/{TABLE}"));
    assert_eq!(super::operations_tests::count(&tables), 0, "nothing is left over");
    write_file(Path::new(&file), &intact);
    let moved = import(&ImportOptions { copy: false, within: Some(vec![TokenRange::FULL]), ..CHECKED });
    assert_eq!(moved.unwrap().files, 2);
    check(&engine, &model);
    assert!(!Path::new(&file).exists(), "it was moved");
}

#[test]
fn an_import_that_a_crash_interrupts_leaves_nothing_and_can_be_done_again() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = open(here.path(), 1, 3);
    let mut model = Model::default();
    for row in 0..9 {
        apply(&engine, &mut model, &Step::Put { key: 1, row, timestamp: 5, value: row });
        engine.flush(TABLE).unwrap();
    }
    let taken = snapshot(&engine, here.path(), "one");
    let sources = super::operations_tests::count(Path::new(&taken));
    // One table links the files, the other writes them anew.
    for column_id in [3, 5] {
        let other = open(there.path(), 2, column_id);
        let staged = other.stage(TABLE, std::slice::from_ref(&taken), &CHECKED).unwrap();
        let tables = there.path().join(format!("tables/{TABLE}"));
        assert_eq!(super::operations_tests::count(&tables), 9);
        drop((staged, other));
        let other = open(there.path(), 2, column_id);
        assert_eq!(super::operations_tests::count(&tables), 0);
        check(&other, &Model::default());
        assert_eq!(super::operations_tests::count(Path::new(&taken)), sources);
    }
    let other = open(there.path(), 2, 3);
    other.set_backs_up(true);
    assert_eq!(other.import(TABLE, &[taken], &CHECKED).unwrap().files, 9);
    check(&other, &model);
    assert_eq!(super::operations_tests::count(&there.path().join(format!("backups/{TABLE}"))), 9);
}
