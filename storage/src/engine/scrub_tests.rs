//! Files that are damaged: what finds it, and what is left of them.

use super::Engine;
use super::operations_tests::copy_tree;
use crate::engine_tests::{
    Model, Step, TABLE, apply, check, collected, command, key, open, read_file, settings, write_file,
};
use crate::error::StorageError;
use crate::manifest::{Edit, Manifest};
use crate::settings::EngineSettings;
use dodona_env::Mutants;
use dodona_types::read_command::{ClusteringSelection, PartitionRange, PartitionSelection};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use uuid::Uuid;

/// A table with one file: its data directory, the file's name there and bytes, and the model of its rows.
fn one_file() -> (TempDir, PathBuf, Vec<u8>, Model) {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut model = Model::default();
    for row in 0..30 {
        apply(&engine, &mut model, &Step::Put { key: 1, row, timestamp: 5, value: row });
    }
    engine.flush(TABLE).unwrap();
    let name = PathBuf::from(engine.store(TABLE).unwrap().view.load().sstables[0].path());
    drop(engine);
    let intact = read_file(&directory.path().join(&name));
    (directory, name, intact, model)
}

/// A copy of a data directory in which a file has other bytes.
fn with_bytes(directory: &Path, name: &Path, bytes: &[u8]) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(directory, copy.path());
    write_file(&copy.path().join(name), bytes);
    copy
}

/// Heals the only file, in which damage was met, as a node does that has no other to ask. True if nothing was lost.
fn heal(engine: &Engine) -> bool {
    let damaged = engine.damaged_files();
    let [file] = damaged.as_slice() else { panic!("{damaged:?}") };
    let lost = engine.lost_tokens(file).unwrap();
    let salvaged = engine.scrub_file(file, "kept").unwrap().unwrap();
    assert_eq!(lost.is_empty(), salvaged.lost.is_empty(), "{lost:?} {salvaged:?}");
    assert_eq!(engine.verify(TABLE).unwrap(), []);
    lost.is_empty()
}

#[test]
fn a_flipped_bit_is_named_and_never_read_as_data_and_what_is_whole_is_healed() {
    let (directory, name, intact, model) = one_file();
    let mut healed = 0;
    for at in (0..intact.len()).step_by(5) {
        let mut damaged = intact.clone();
        damaged[at] ^= 0x10;
        let copy = with_bytes(directory.path(), &name, &damaged);
        let engine = open(copy.path());
        let damages = engine.verify(TABLE).unwrap();
        let [damage] = damages.as_slice() else { panic!("byte {at}: {damages:?}") };
        assert!((damage.offset..damage.offset + damage.bytes).contains(&(at as u64)), "{damage:?}");
        // Footer, filter, statistics and top index can be made anew of the data.
        if heal(&engine) {
            healed += 1;
            check(&engine, &model);
        }
    }
    assert!(healed > 50, "{healed} of {}", intact.len());
    for length in (0..intact.len()).step_by(7) {
        let copy = with_bytes(directory.path(), &name, &intact[..length]);
        let engine = open(copy.path());
        let whole =
            command(PartitionSelection::Range(PartitionRange::all()), ClusteringSelection::all(), false);
        match engine.read_page(&whole, usize::MAX) {
            Err(StorageError::Corrupt { path, .. }) if path.ends_with(".sst") => {}
            other => panic!("cut off at {length}: {:?}", other.map(drop)),
        }
        if heal(&engine) {
            check(&engine, &model);
        }
    }
}

#[test]
fn of_a_file_without_its_end_the_blocks_that_are_whole_are_found() {
    let (directory, name, intact, model) = one_file();
    let mut damaged = intact[..intact.len() - 30].to_vec();
    damaged[5] ^= 1;
    let copy = with_bytes(directory.path(), &name, &damaged);
    let engine = open(copy.path());
    let whole = command(PartitionSelection::Range(PartitionRange::all()), ClusteringSelection::all(), false);
    assert!(engine.read_page(&whole, usize::MAX).is_err());
    assert!(!heal(&engine));
    let rows = collected(&engine.read_page(&whole, usize::MAX).unwrap());
    let all: Vec<_> = model.rows(1).into_iter().map(|(row, value)| (key(1), row, value)).collect();
    assert!(rows.len() > 15 && rows.len() < all.len(), "{} of {}", rows.len(), all.len());
    assert!(rows.iter().all(|row| all.contains(row)));
}

#[test]
fn files_of_which_an_old_manifest_tells_nothing_are_opened_and_healed_at_the_start() {
    let (directory, name, intact, model) = one_file();
    {
        let disk = dodona_env::os::env(directory.path()).unwrap().disk;
        let mut manifest = Manifest::open(disk, Mutants::none()).unwrap();
        let files = manifest.state()[&TABLE].clone();
        assert_eq!(files.summaries.len(), 1);
        let mut edit = Edit { dropped: true, ..Edit::new(TABLE) };
        manifest.commit(&edit).unwrap();
        edit.dropped = false;
        edit.added = files.sstables.iter().copied().collect();
        edit.covered = files.covered.first().cloned();
        manifest.commit(&edit).unwrap();
    }
    let mut healed = 0;
    for at in (0..intact.len()).step_by(25) {
        let mut damaged = intact.clone();
        damaged[at] ^= 0x10;
        let copy = with_bytes(directory.path(), &name, &damaged);
        let engine = open(copy.path());
        if engine.files(TABLE).unwrap()[0].0 != name.to_str().unwrap() {
            healed += 1;
            assert_eq!(engine.verify(TABLE).unwrap(), [], "byte {at}");
            check(&engine, &model);
        }
    }
    assert!(healed > 10, "{healed} of {}", intact.len());
    for length in (0..intact.len()).step_by(35) {
        let copy = with_bytes(directory.path(), &name, &intact[..length]);
        let env = dodona_env::os::env(copy.path()).unwrap();
        match Engine::open(env, EngineSettings::default(), Uuid::from_u128(1), vec![settings()]) {
            Err(StorageError::Corrupt { path, .. }) if path.ends_with(".sst") => {}
            Err(error) => panic!("cut off at {length}: {error}"),
            Ok((engine, _)) => check(&engine, &model),
        }
    }
    // From then on they are opened when something is looked for in them.
    drop(open(directory.path()));
    let engine = open(directory.path());
    let is_open = || engine.store(TABLE).unwrap().view.load().sstables[0].is_open();
    assert!(!is_open());
    check(&engine, &model);
    assert!(is_open());
}
