//! Ranges that go from one engine to another in files, as far as they can.

use super::arrivals::Arrivals;
use super::import_tests;
use super::outgoing::{Pinned, WholeFile};
use crate::engine_tests::{Model, Step, TABLE, apply, check, key, open, steps};
use crate::reconcile::Answer;
use crate::repair_state::{Part, RepairState};
use crate::{Engine, StorageError};
use dodona_types::read_command::{PartitionRange, PartitionSelection, RangeBound, ReadCommand};
use dodona_types::token::TokenRange;
use dodona_types::{MutationView, Token};
use proptest::prelude::*;
use uuid::Uuid;

const NOW_SECONDS: i64 = 1_000;

fn token(n: u8) -> Token {
    Token::of_key(&key(n))
}

/// The range of a few keys' tokens: all up to that of the `last`th in the order of the ring.
fn up_to(last: usize) -> (TokenRange, impl Fn(u8) -> bool) {
    let mut tokens: Vec<Token> = (0..4).map(token).collect();
    tokens.sort_unstable();
    let range = TokenRange { start: Token::MIN, end: tokens[last] };
    (range, move |n| range.contains(token(n)))
}

/// Pieces of a few bytes, so that a file has many.
fn receive(
    pinned: &Pinned,
    to: &Engine,
    arrivals: &mut Arrivals,
    file: WholeFile,
) -> Result<(), StorageError> {
    let mut incoming = to.begin_incoming(TABLE, file.id, file.bytes).unwrap();
    while incoming.lacks() > 0 {
        let length = incoming.lacks().min(1_000) as u32;
        incoming.append(&pinned.read_file(file.id, incoming.written(), length).unwrap()).unwrap();
    }
    assert!(incoming.append(b"more").is_err());
    to.take_file(arrivals, incoming, file.repaired_at.map_or(RepairState::Unrepaired, RepairState::Repaired))
}

fn receive_rest(
    from: &Engine,
    pinned: &Pinned,
    range: &TokenRange,
    to: &Engine,
    all: [(&mut Arrivals, Part); 2],
) {
    let bounds = PartitionRange {
        start: RangeBound::Token(range.start, false),
        end: RangeBound::Token(range.end, true),
    };
    let command = ReadCommand::everything(TABLE, 0, PartitionSelection::Range(bounds), NOW_SECONDS);
    for (arrivals, part) in all {
        let bytes = from.read_rest(pinned, &command, usize::MAX, part).unwrap();
        let answer = Answer::parse(&bytes).unwrap();
        let mutations: Vec<MutationView<'_>> = answer.parts.iter().map(|part| part.mutation).collect();
        to.take_arrivals(arrivals, &mutations).unwrap();
    }
}

/// Has an engine fetch a range from another one in files and rows, with something between the two. Tells how many files
/// came.
pub(super) fn fetch_in_files(
    from: &Engine,
    to: &Engine,
    range: &TokenRange,
    between: impl FnOnce(),
) -> usize {
    let pinned = from.pin(TABLE, &[*range], 0).unwrap();
    let repaired = RepairState::Repaired(pinned.repaired_since().unwrap_or(i64::MAX));
    let mut repaired = to.begin_arrivals(TABLE, repaired).unwrap();
    let mut unrepaired = to.begin_arrivals(TABLE, RepairState::Unrepaired).unwrap();
    for file in pinned.files() {
        if !to.has_file(TABLE, file.id).unwrap() {
            receive(&pinned, to, &mut unrepaired, file).unwrap();
        }
    }
    between();
    let parts = [(&mut unrepaired, Part::Unrepaired), (&mut repaired, Part::Repaired)];
    receive_rest(from, &pinned, range, to, parts);
    to.finish_all_arrivals(&mut [&mut unrepaired, &mut repaired]).unwrap();
    pinned.files().len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_comes_in_files_and_rows_is_all_of_the_ranges_and_nothing_else(
        of_one in prop::collection::vec(steps(), 1..40),
        of_other in prop::collection::vec(steps(), 1..40),
        meanwhile in prop::collection::vec(steps(), 0..5),
        last in 0usize..4,
        compacts: bool,
    ) {
        let directories = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let [one, other, joins] = directories.each_ref().map(|directory| open(directory.path()));
        let mut model = Model::default();
        let (range, is_in) = up_to(last);
        for (engine, steps) in [(&one, &of_one), (&other, &of_other)] {
            let mut of_engine = Model::default();
            steps.iter().for_each(|step| apply(engine, &mut of_engine, step));
            fetch_in_files(engine, &joins, &range, || {
                // The joining node gets what is written meanwhile.
                for step in &meanwhile {
                    apply(engine, &mut of_engine, step);
                    apply(&joins, &mut model, step);
                }
                if compacts {
                    apply(engine, &mut of_engine, &Step::Compact);
                    apply(&joins, &mut model, &Step::Compact);
                }
            });
            model.absorb(&of_engine, &is_in);
            check(engine, &of_engine);
        }
        check(&joins, &model);
        joins.log.write().unwrap();
        drop(joins);
        check(&open(directories[2].path()), &model);
    }
}

fn put(engine: &Engine, model: &mut Model, key: u8) {
    apply(engine, model, &Step::Put { key, row: 1, timestamp: 5, value: key });
    engine.flush(TABLE).unwrap();
}

#[test]
fn a_tombstone_that_is_purged_meanwhile_has_its_effect() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [from, to] = directories.each_ref().map(|directory| open(directory.path()));
    let (range, is_in) = up_to(0);
    let inside = (0..4).find(|n| is_in(*n)).unwrap();
    let outside = (0..4).find(|n| !is_in(*n)).unwrap();
    let mut model = Model::default();
    put(&from, &mut model, inside);
    put(&from, &mut model, inside);
    // The file with the tombstone has another partition as well, so that it goes row by row.
    let mut builder = dodona_types::MutationBuilder::new();
    builder.begin(TABLE, 0, &key(inside));
    builder.partition_deletion(dodona_types::Deletion { timestamp_micros: 9, deleted_at_seconds: 5 });
    from.apply(&[builder.view()]).unwrap();
    apply(&from, &mut Model::default(), &Step::Put { key: outside, row: 1, timestamp: 5, value: 1 });
    from.flush(TABLE).unwrap();
    let sent = fetch_in_files(&from, &to, &range, || {
        from.compact_all(TABLE, None).unwrap();
        let rest = from.table_statistics(TABLE).unwrap();
        assert_eq!((rest.sstables, rest.tombstones), (1, 0), "it is purged");
    });
    assert_eq!(sent, 2);
    check(&to, &Model::default());
}

#[test]
fn files_keep_their_names_and_whether_they_are_repaired() {
    let directories = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [one, other, to] = directories.each_ref().map(|directory| open(directory.path()));
    let mut model = Model::default();
    put(&one, &mut model, 1);
    let repair = Uuid::from_u128(1);
    assert!(one.begin_repair(TABLE, repair, &[TokenRange::FULL]).unwrap());
    one.end_repair(TABLE, repair, Some(7)).unwrap();
    put(&one, &mut model, 2);
    let names = |engine: &Engine| one_by_one(engine);
    assert_eq!(fetch_in_files(&one, &other, &TokenRange::FULL, || {}), 2);
    assert_eq!(names(&other), names(&one));
    assert_eq!(names(&one).iter().map(|(_, repaired)| *repaired).collect::<Vec<_>>(), [Some(7), None]);
    // Both have the same files now: they are fetched once.
    for from in [&one, &other] {
        fetch_in_files(from, &to, &TokenRange::FULL, || {});
    }
    assert_eq!(names(&to), names(&one));
    drop(to);
    let to = open(directories[2].path());
    assert_eq!(names(&to), names(&one));
    check(&to, &model);
}

/// The files of an engine, with the second at which a repair of each began.
fn one_by_one(engine: &Engine) -> Vec<(Uuid, Option<i64>)> {
    let pinned = engine.pin(TABLE, &[TokenRange::FULL], 0).unwrap();
    let mut files: Vec<_> = pinned.files().map(|file| (file.id.0, file.repaired_at)).collect();
    files.sort_unstable();
    files
}

#[test]
fn files_go_as_they_are_if_they_are_long_enough_and_enough_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let (range, is_in) = up_to(1);
    let mut model = Model::default();
    let inside: Vec<u8> = (0..4).filter(|n| is_in(*n)).collect();
    put(&engine, &mut model, inside[0]);
    apply(&engine, &mut model, &Step::Put { key: inside[1], row: 1, timestamp: 5, value: 1 });
    let count = |least_bytes| engine.pin(TABLE, &[range], least_bytes).unwrap().files().len();
    assert_eq!(count(1 << 20), 0);
    assert_eq!(engine.table_statistics(TABLE).unwrap().sstables, 1, "nothing is flushed for so little");
    assert_eq!(count(100), 2);
    // All of the table lies in two files of the range, and then most of it in others.
    for _ in 0..16 {
        for n in 0..4 {
            apply(&engine, &mut model, &Step::Put { key: n, row: 1, timestamp: 5, value: 1 });
        }
        engine.flush(TABLE).unwrap();
    }
    assert_eq!(count(100), 0);
    assert_eq!(engine.pin(TABLE, &[TokenRange::FULL], 100).unwrap().files().len(), 18);
}

#[test]
fn nothing_counts_of_a_file_that_is_damaged_on_its_way_and_nothing_is_left_of_it() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [from, to] = directories.each_ref().map(|directory| open(directory.path()));
    let mut model = Model::default();
    put(&from, &mut model, 1);
    let pinned = from.pin(TABLE, &[TokenRange::FULL], 0).unwrap();
    let file = pinned.files().next().unwrap();
    let bytes = pinned.read_file(file.id, 0, file.bytes as u32).unwrap();
    assert!(pinned.read_file(file.id, 1, file.bytes as u32).is_err());
    for at in (0..bytes.len()).step_by(7) {
        let mut arrivals = to.begin_arrivals(TABLE, RepairState::Unrepaired).unwrap();
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        let mut incoming = to.begin_incoming(TABLE, file.id, file.bytes).unwrap();
        incoming.append(&damaged).unwrap();
        let error = to.take_file(&mut arrivals, incoming, RepairState::Unrepaired).unwrap_err();
        assert!(matches!(error, StorageError::Corrupt { .. }), "byte {at}: {error}");
        to.finish_arrivals(&mut arrivals).unwrap();
    }
    let mut arrivals = to.begin_arrivals(TABLE, RepairState::Unrepaired).unwrap();
    receive(&pinned, &to, &mut arrivals, file).unwrap();
    to.truncate(TABLE).unwrap();
    assert!(to.finish_arrivals(&mut arrivals).is_err());
    check(&to, &Model::default());
    let left = dodona_env::os::env(directories[1].path()).unwrap().disk.list(&format!("tables/{TABLE}"));
    assert_eq!(left.unwrap(), Vec::<String>::new());
}

/// Two holders have the same file if one of them has it from the other one.
#[test]
fn a_file_that_comes_twice_is_two_files() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [from, to] = [0, 1].map(|at| import_tests::open(directories[at].path(), at as u128, 3));
    let mut model = Model::default();
    put(&from, &mut model, 1);
    let pinned = from.pin(TABLE, &[TokenRange::FULL], 0).unwrap();
    let file = pinned.files().next().unwrap();
    let mut both = [(); 2].map(|()| to.begin_arrivals(TABLE, RepairState::Unrepaired).unwrap());
    for arrivals in &mut both {
        receive(&pinned, &to, arrivals, file).unwrap();
    }
    for arrivals in &mut both {
        to.finish_arrivals(arrivals).unwrap();
    }
    let files = to.files(TABLE).unwrap();
    assert_eq!(files.len(), 2);
    assert_ne!(files[0], files[1]);
    to.compact_all(TABLE, None).unwrap();
    assert_eq!(to.files(TABLE).unwrap().len(), 1);
    check(&to, &model);
}

#[test]
fn a_file_that_comes_again_after_it_went_is_backed_up_as_it_was() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [from, to] = directories.each_ref().map(|directory| open(directory.path()));
    let mut model = Model::default();
    put(&from, &mut model, 1);
    to.set_backs_up(true);
    for _ in 0..2 {
        to.truncate(TABLE).unwrap();
        to.maintain_memtables().unwrap();
        assert_eq!(fetch_in_files(&from, &to, &TokenRange::FULL, || {}), 1);
        check(&to, &model);
        let backups = directories[1].path().join(format!("backups/{TABLE}"));
        assert_eq!(super::operations_tests::count(&backups), 1);
    }
}

#[test]
fn a_file_of_a_foreign_shape_is_written_anew() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let from = import_tests::open(directories[0].path(), 1, 3);
    let to = import_tests::open(directories[1].path(), 2, 4);
    put(&from, &mut Model::default(), 1);
    assert_eq!(fetch_in_files(&from, &to, &TokenRange::FULL, || {}), 1);
    assert_ne!(one_by_one(&to), one_by_one(&from));
    assert_eq!(to.table_statistics(TABLE).unwrap().rows, 1);
}
