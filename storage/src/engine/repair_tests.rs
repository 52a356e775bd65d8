//! Incremental repairs between two engines.

use crate::engine::arrivals::Arrivals;
use crate::engine_tests::{Model, Step, TABLE, apply, check, key, open, settings, steps};
use crate::reconcile::Answer;
use crate::repair_state::{Part, RepairState};
use crate::{Engine, EngineSettings, TableSettings};
use dodona_types::read_command::{PartitionSelection, RangeBound, ReadCommand};
use dodona_types::token::TokenRange;
use dodona_types::{MutationView, Token};
use proptest::prelude::*;
use std::collections::BTreeSet;
use uuid::Uuid;

const NOW_SECONDS: i64 = 1_000;

fn token(n: u8) -> Token {
    Token::of_key(&key(n))
}

fn everything() -> ReadCommand {
    let range = dodona_types::read_command::PartitionRange::all();
    ReadCommand::everything(TABLE, 0, PartitionSelection::Range(range), NOW_SECONDS)
}

/// Digests of a part of an engine's partitions.
fn digests(engine: &Engine, part: Part) -> Vec<(Token, u128)> {
    let mut hashed = Vec::new();
    let mut each = |one: crate::reconcile::Hashed| hashed.push((one.token, one.digest));
    let rest: Option<RangeBound> =
        engine.hash_partitions(&everything(), usize::MAX, part, &mut each).unwrap();
    assert!(rest.is_none());
    hashed
}

/// What was set aside for a repair, as digests and as an answer.
fn aside(engine: &Engine, repair: Uuid) -> (Vec<(Token, u128)>, Vec<u8>) {
    let part = Part::Aside(repair);
    (digests(engine, part), engine.read_all(&everything(), usize::MAX, part).unwrap())
}

/// Has a node that joins fetch what another one holds, in the order in which nodes do, with something between the two.
fn fetch(from: &Engine, to: &Engine, arrivals: &mut Arrivals, between: impl Fn(&Engine)) {
    for part in [Part::Unrepaired, Part::Repaired] {
        let bytes = from.read_all(&everything(), usize::MAX, part).unwrap();
        let answer = Answer::parse(&bytes).unwrap();
        let mutations: Vec<MutationView<'_>> = answer.parts.iter().map(|part| part.mutation).collect();
        if part == Part::Repaired {
            to.take_arrivals(arrivals, &mutations).unwrap();
        } else if !mutations.is_empty() {
            to.apply(&mutations).unwrap();
        }
        between(to);
    }
    arrivals.is_repaired_since(from.repaired_since(TABLE).unwrap().unwrap_or(i64::MAX));
}

/// Repairs two engines in full, as the leader of a repair has replicas do it.
fn repair(one: &Engine, other: &Engine, ranges: &[TokenRange], id: Uuid) {
    for engine in [one, other] {
        assert!(engine.begin_repair(TABLE, id, ranges).unwrap());
    }
    let ((first, of_one), (second, of_other)) = (aside(one, id), aside(other, id));
    let is_in = |token: Token| ranges.iter().any(|range| range.contains(token));
    assert!(first.iter().chain(&second).all(|(token, _)| is_in(*token)), "{first:?} {second:?}");
    for (engine, bytes) in [(one, &of_other), (other, &of_one)] {
        if first == second {
            continue;
        }
        let answer = Answer::parse(bytes).unwrap();
        let mutations: Vec<MutationView<'_>> = answer.parts.iter().map(|part| part.mutation).collect();
        let mut arrivals = engine.begin_arrivals(TABLE, RepairState::Pending(id)).unwrap();
        engine.take_arrivals(&mut arrivals, &mutations).unwrap();
        engine.finish_arrivals(&mut arrivals).unwrap();
    }
    assert_eq!(aside(one, id).0, aside(other, id).0, "they hold the same of it now");
    for engine in [one, other] {
        engine.end_repair(TABLE, id, Some(NOW_SECONDS)).unwrap();
        assert_eq!(engine.table_statistics(TABLE).unwrap().pending_bytes, 0);
    }
}

/// Ranges between the tokens of keys.
fn ranges() -> impl Strategy<Value = Vec<TokenRange>> {
    prop::sample::subsequence(vec![0u8, 1, 2, 3], 1..4).prop_map(|keys| {
        let mut tokens: Vec<Token> = keys.into_iter().map(token).collect();
        tokens.sort_unstable();
        match tokens[..] {
            [alone] => vec![TokenRange { start: alone, end: alone }],
            [first, second] => vec![TokenRange { start: second, end: first }],
            _ => vec![
                TokenRange { start: tokens[2], end: tokens[0] },
                TokenRange { start: tokens[1], end: Token(tokens[2].0 - 1) },
            ],
        }
    })
}

#[derive(Clone, Debug)]
enum Do {
    Step(Step, u8),
    Repair(Vec<TokenRange>),
    GiveUp(Vec<TokenRange>),
}

fn doings() -> impl Strategy<Value = Do> {
    prop_oneof![
        20 => (steps(), 0u8..3).prop_map(|(step, at)| Do::Step(step, at)),
        3 => ranges().prop_map(Do::Repair),
        1 => ranges().prop_map(Do::GiveUp),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn repairs_of_parts_make_replicas_the_same_there(doings in prop::collection::vec(doings(), 1..60)) {
        let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let mut engines = directories.each_ref().map(|directory| open(directory.path()));
        let mut models = [Model::default(), Model::default()];
        for (number, doing) in doings.iter().enumerate() {
            let id = Uuid::from_u128(number as u128);
            match doing {
                Do::Step(Step::Reopen, at) => {
                    let at = usize::from(*at % 2);
                    engines[at].log.write().unwrap();
                    let elsewhere = tempfile::tempdir().unwrap();
                    drop(std::mem::replace(&mut engines[at], open(elsewhere.path())));
                    engines[at] = open(directories[at].path());
                }
                Do::Step(step, at) => {
                    for replica in 0..2 {
                        if *at == 2 || usize::from(*at) == replica {
                            apply(&engines[replica], &mut models[replica], step);
                        }
                    }
                }
                Do::Repair(ranges) => {
                    let is_in = |n: u8| ranges.iter().any(|range| range.contains(token(n)));
                    repair(&engines[0], &engines[1], ranges, id);
                    let [one, other] = &mut models;
                    one.absorb(other, is_in);
                    other.absorb(one, is_in);
                }
                Do::GiveUp(ranges) => {
                    prop_assert!(engines[0].begin_repair(TABLE, id, ranges).unwrap());
                    engines[0].end_repair(TABLE, id, None).unwrap();
                }
            }
            if !matches!(doing, Do::Step(..)) {
                check(&engines[0], &models[0]);
                check(&engines[1], &models[1]);
            }
        }
        repair(&engines[0], &engines[1], &[TokenRange::FULL], Uuid::from_u128(1 << 64));
        for engine in &engines {
            let statistics = engine.table_statistics(TABLE).unwrap();
            prop_assert_eq!(statistics.repaired_bytes, statistics.disk_bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whoever_joins_holds_all_of_it_and_what_is_repaired_stays_so(
        doings in prop::collection::vec(doings(), 1..50), compacts: bool, ends_with_a_repair: bool,
    ) {
        let directories = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let [one, other, joins] = directories.each_ref().map(|directory| open(directory.path()));
        let mut models = [Model::default(), Model::default()];
        for (number, doing) in doings.iter().enumerate() {
            let id = Uuid::from_u128(number as u128);
            match doing {
                Do::Step(step, at) => {
                    for (replica, engine) in [&one, &other].into_iter().enumerate() {
                        if *at == 2 || usize::from(*at) == replica {
                            apply(engine, &mut models[replica], step);
                        }
                    }
                }
                Do::Repair(ranges) => {
                    let is_in = |n: u8| ranges.iter().any(|range| range.contains(token(n)));
                    repair(&one, &other, ranges, id);
                    let [first, second] = &mut models;
                    first.absorb(second, is_in);
                    second.absorb(first, is_in);
                }
                // What is set aside is not repaired yet.
                Do::GiveUp(ranges) => {
                    prop_assert!(one.begin_repair(TABLE, id, ranges).unwrap());
                    one.end_repair(TABLE, id, None).unwrap();
                }
            }
        }
        if ends_with_a_repair {
            repair(&one, &other, &[TokenRange::FULL], Uuid::from_u128(1 << 64));
        }
        let mut arrivals = joins.begin_arrivals(TABLE, RepairState::Repaired(i64::MAX)).unwrap();
        for source in [&one, &other] {
            fetch(source, &joins, &mut arrivals, |engine| {
                if compacts {
                    engine.flush(TABLE).unwrap();
                    engine.compact_all(TABLE, None).unwrap();
                }
            });
        }
        joins.finish_arrivals(&mut arrivals).unwrap();
        let mut model = Model::default();
        models.iter().for_each(|of| model.absorb(of, |_| true));
        check(&joins, &model);
        // What a repair right behind has to compare is what was not repaired before, and nothing else.
        let tokens = |engine: &Engine| digests(engine, Part::Unrepaired).into_iter().map(|(token, _)| token);
        let before: BTreeSet<Token> = tokens(&one).chain(tokens(&other)).collect();
        prop_assert_eq!(tokens(&joins).collect::<BTreeSet<Token>>(), before.clone());
        if ends_with_a_repair {
            prop_assert_eq!(digests(&joins, Part::Unrepaired), []);
            prop_assert_eq!(digests(&joins, Part::Repaired), digests(&one, Part::Repaired));
            prop_assert_eq!(joins.repaired_since(TABLE).unwrap(), one.repaired_since(TABLE).unwrap());
        }
        joins.log.write().unwrap();
        drop(joins);
        let joined = open(directories[2].path());
        check(&joined, &model);
        prop_assert_eq!(digests(&joined, Part::Unrepaired).len(), before.len());
    }
}

#[test]
fn no_tombstone_goes_before_what_it_hides_has_come() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [source, joins] = directories.each_ref().map(|directory| open(directory.path()));
    put(&source, &mut Model::default(), 1, 1);
    let id = Uuid::from_u128(1);
    source.begin_repair(TABLE, id, &[TokenRange::FULL]).unwrap();
    source.end_repair(TABLE, id, Some(7)).unwrap();
    let mut builder = dodona_types::MutationBuilder::new();
    builder.begin(TABLE, 0, &key(1));
    builder.partition_deletion(dodona_types::Deletion { timestamp_micros: 9, deleted_at_seconds: 5 });
    source.apply(&[builder.view()]).unwrap();
    source.flush(TABLE).unwrap();
    check(&source, &Model::default());
    let compact = |engine: &Engine| {
        engine.flush(TABLE).unwrap();
        engine.compact_all(TABLE, None).unwrap();
    };
    let mut arrivals = joins.begin_arrivals(TABLE, RepairState::Repaired(i64::MAX)).unwrap();
    fetch(&source, &joins, &mut arrivals, compact);
    assert_eq!(joins.table_statistics(TABLE).unwrap().sstables, 1, "the tombstone");
    joins.finish_arrivals(&mut arrivals).unwrap();
    check(&joins, &Model::default());
    compact(&joins);
    check(&joins, &Model::default());
    assert_eq!(joins.repaired_since(TABLE).unwrap(), Some(7));
}

fn put(engine: &Engine, model: &mut Model, key: u8, value: u8) {
    apply(engine, model, &Step::Put { key, row: 1, timestamp: 5, value });
}

#[test]
fn files_of_either_kind_are_compacted_apart_and_keep_their_kind() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut model = Model::default();
    let id = Uuid::from_u128(1);
    for n in 0..3 {
        put(&engine, &mut model, n, 1);
        engine.flush(TABLE).unwrap();
    }
    engine.begin_repair(TABLE, id, &[TokenRange::FULL]).unwrap();
    engine.end_repair(TABLE, id, Some(7)).unwrap();
    for n in 1..4 {
        put(&engine, &mut model, n, 2);
        engine.flush(TABLE).unwrap();
    }
    let statistics = || engine.table_statistics(TABLE).unwrap();
    let before = statistics();
    assert_eq!(before.sstables, 6);
    engine.compact_all(TABLE, None).unwrap();
    let after = statistics();
    assert_eq!(after.sstables, 2);
    assert!(after.repaired_bytes > 0 && after.repaired_bytes < after.disk_bytes, "{after:?}");
    check(&engine, &model);
    drop(engine);
    let engine = open(directory.path());
    assert_eq!(engine.table_statistics(TABLE).unwrap().repaired_bytes, after.repaired_bytes);
}

#[test]
fn a_repair_that_a_start_interrupts_leaves_everything_unrepaired() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut model = Model::default();
    put(&engine, &mut model, 1, 1);
    let id = Uuid::from_u128(1);
    engine.begin_repair(TABLE, id, &[TokenRange::FULL]).unwrap();
    assert!(engine.table_statistics(TABLE).unwrap().pending_bytes > 0);
    let refused = engine.begin_repair(TABLE, Uuid::from_u128(2), &[TokenRange::FULL]).unwrap_err();
    assert!(refused.to_string().contains("another incremental repair"), "{refused}");
    drop(engine);
    let engine = open(directory.path());
    let statistics = engine.table_statistics(TABLE).unwrap();
    assert_eq!((statistics.pending_bytes, statistics.repaired_bytes), (0, 0));
    // What was set aside is not nothing: who asks for it hears that it is not there.
    let read = engine.read_all(&everything(), usize::MAX, Part::Aside(id)).unwrap_err();
    assert_eq!(read.to_string(), "the repair has ended here");
    assert!(engine.hash_partitions(&everything(), usize::MAX, Part::Aside(id), &mut |_| {}).is_err());
    // What comes for it counts no more.
    let mut arrivals = engine.begin_arrivals(TABLE, RepairState::Pending(id)).unwrap();
    let ended = engine.finish_arrivals(&mut arrivals).unwrap_err();
    assert_eq!(ended.to_string(), "the repair has ended here");
    check(&engine, &model);
}

#[test]
fn what_comes_for_a_repair_does_not_survive_a_truncation() {
    let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (engine, source) = (open(directory.path()), open(elsewhere.path()));
    let id = Uuid::from_u128(1);
    put(&source, &mut Model::default(), 1, 1);
    for engine in [&engine, &source] {
        engine.begin_repair(TABLE, id, &[TokenRange::FULL]).unwrap();
    }
    let bytes = source.read_all(&everything(), usize::MAX, Part::Aside(id)).unwrap();
    let answer = Answer::parse(&bytes).unwrap();
    let mut arrivals = engine.begin_arrivals(TABLE, RepairState::Pending(id)).unwrap();
    engine.take_arrivals(&mut arrivals, &[answer.parts[0].mutation]).unwrap();
    engine.truncate(TABLE).unwrap();
    assert!(engine.finish_arrivals(&mut arrivals).is_err());
    check(&engine, &Model::default());
    assert_eq!(engine.memtable_bytes(), 0);
}

#[test]
fn tombstones_of_what_is_not_repaired_stay_if_the_table_wants_that() {
    let directory = tempfile::tempdir().unwrap();
    let env = dodona_env::os::env(directory.path()).unwrap();
    let mut table: TableSettings = settings();
    table.compaction.only_purge_repaired = true;
    let engine = Engine::open(env, EngineSettings::default(), Uuid::from_u128(1), vec![table]).unwrap().0;
    let mut builder = dodona_types::MutationBuilder::new();
    builder.begin(TABLE, 0, &key(1));
    builder.partition_deletion(dodona_types::Deletion { timestamp_micros: 5, deleted_at_seconds: 5 });
    engine.apply(&[builder.view()]).unwrap();
    engine.flush(TABLE).unwrap();
    engine.compact_all(TABLE, None).unwrap();
    assert_eq!(engine.table_statistics(TABLE).unwrap().sstables, 1, "long past gc_grace, but not repaired");
    let id = Uuid::from_u128(1);
    engine.begin_repair(TABLE, id, &[TokenRange::FULL]).unwrap();
    engine.end_repair(TABLE, id, Some(7)).unwrap();
    engine.compact_all(TABLE, None).unwrap();
    assert_eq!(engine.table_statistics(TABLE).unwrap().sstables, 0);
}
