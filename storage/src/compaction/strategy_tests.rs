//! Strategies on their own: options, choices, and what holds for every choice.

use super::*;
use proptest::prelude::{Just, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as Generator;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

fn settings(class: &str, options: &[(&str, &str)]) -> CompactionSettings {
    let mut all = BTreeMap::from([("class".to_owned(), format!("{class}CompactionStrategy"))]);
    all.extend(options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    CompactionSettings::from_options(&all).unwrap()
}

/// A file over the whole ring.
fn file(number: u128, bytes: u64) -> Candidate {
    Candidate {
        id: SstableId(Uuid::from_u128(number)),
        bytes,
        tokens: (Token::MIN, Token::MAX),
        covered_tokens: 0,
        timestamps: (0, number as i64),
        level: 0,
        written_at_seconds: 0,
        droppable: 0.0,
        max_deletion_seconds: i64::MAX,
        busy: false,
        set: Set::Unrepaired,
    }
}

fn files(sizes: &[u64]) -> Vec<Candidate> {
    sizes.iter().enumerate().map(|(index, bytes)| file(index as u128 + 1, *bytes)).collect()
}

const fn situation(candidates: &[Candidate]) -> Situation<'_> {
    Situation {
        candidates,
        apart: &[],
        now_seconds: 1_000_000,
        gc_before_seconds: 900_000,
        memtable_min_timestamp: i64::MAX,
        flush_bytes: 0,
        check_expired: true,
    }
}

fn choose(settings: &CompactionSettings, candidates: &[Candidate]) -> Option<Choice> {
    settings.choose(&situation(candidates))
}

fn numbers(choice: Option<Choice>) -> Vec<u128> {
    let mut numbers: Vec<u128> =
        choice.map(|choice| choice.inputs.iter().map(|id| id.0.as_u128()).collect()).unwrap_or_default();
    numbers.sort_unstable();
    numbers
}

const MIB: u64 = 1 << 20;

#[test]
fn options_are_taken_and_refused_as_cassandra_does() {
    let mut differences = Vec::new();
    let mut cases = 0;
    for case in include_str!("data/options.txt").split("\n> ").skip(1) {
        let (map, expected) = case.trim_end().split_once('\n').unwrap();
        let expected = expected.split_once("\n~ ").map_or(expected, |(_, own)| own);
        let options: BTreeMap<String, String> = map
            .trim_matches(['{', '}'])
            .split("', '")
            .flat_map(|pair| pair.split_once("': '"))
            .map(|(name, value)| (name.trim_matches('\'').to_owned(), value.trim_matches('\'').to_owned()))
            .collect();
        // Statements check the thresholds, and what is not a class of compaction at all.
        if expected.contains("threshold")
            && expected.contains("ompaction")
            && !expected.contains("understood")
            || expected.contains("is not derived")
        {
            continue;
        }
        cases += 1;
        let answer = CompactionSettings::from_options(&options).map_or_else(|error| error, |_| "ok".into());
        if answer != expected {
            differences.push(format!("{map}\n  Cassandra: {expected}\n  Dodona:    {answer}"));
        }
    }
    assert!(cases > 150, "{cases}");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn size_tiered_merges_four_files_of_similar_size_and_leaves_the_others() {
    let strategy = settings("SizeTiered", &[]);
    assert_eq!(choose(&strategy, &files(&[1, 2, 3])), None);
    let mut candidates = files(&[900 * MIB, 60 * MIB, 61 * MIB, 70 * MIB, 55 * MIB]);
    assert_eq!(numbers(choose(&strategy, &candidates)), [2, 3, 4, 5]);
    candidates[2].busy = true;
    assert_eq!(choose(&strategy, &candidates), None, "one of them is being compacted");
}

#[test]
fn a_file_of_many_droppable_tombstones_is_compacted_alone_after_a_day() {
    let strategy = settings("SizeTiered", &[]);
    let mut candidates = files(&[900 * MIB, 60 * MIB]);
    candidates[1].droppable = 0.5;
    candidates[0].tokens = (Token::MIN, Token(-1));
    candidates[1].tokens = (Token(0), Token::MAX);
    let choice = choose(&strategy, &candidates).unwrap();
    assert_eq!((choice.purpose, choice.inputs[0]), (Purpose::Tombstones, candidates[1].id));
    candidates[1].written_at_seconds = 999_000;
    assert_eq!(choose(&strategy, &candidates), None, "written just now");
    candidates[1].written_at_seconds = 0;
    candidates[0].tokens = (Token::MIN, Token::MAX);
    assert_eq!(choose(&strategy, &candidates), None, "another file overlaps all of it");
    let unchecked = settings("SizeTiered", &[("unchecked_tombstone_compaction", "true")]);
    assert!(choose(&unchecked, &candidates).is_some());
}

#[test]
fn windows_of_time_are_merged_within_themselves() {
    let strategy = settings("TimeWindow", &[("compaction_window_unit", "HOURS")]);
    let hour = 3_600_000_000;
    let mut candidates = files(&[MIB; 5]);
    for (file, at) in candidates.iter_mut().zip([10, 10, 11, 12, 12]) {
        file.timestamps = (at * hour, at * hour + 5);
    }
    assert_eq!(numbers(choose(&strategy, &candidates)), [1, 2], "the newest window has too few");
    candidates[0].timestamps.1 = 12 * hour;
    candidates[1].timestamps.1 = 12 * hour;
    assert_eq!(numbers(choose(&strategy, &candidates)), [1, 2, 4, 5]);
}

#[test]
fn files_go_as_they_are_only_when_they_shadow_nothing() {
    let strategy = settings("TimeWindow", &[]);
    let mut candidates = files(&[MIB, MIB]);
    candidates[0].max_deletion_seconds = 5;
    candidates[0].timestamps = (1, 10);
    candidates[1].timestamps = (11, 20);
    let choice = choose(&strategy, &candidates).unwrap();
    assert_eq!((choice.purpose, choice.inputs), (Purpose::Expired, vec![candidates[0].id]));
    candidates[1].timestamps = (10, 20);
    assert_eq!(choose(&strategy, &candidates), None, "a tombstone may cover what the other file holds");
    candidates[1].max_deletion_seconds = 5;
    assert_eq!(numbers(choose(&strategy, &candidates)), [1, 2], "together they can go");
    let held = Situation { memtable_min_timestamp: 20, ..situation(&candidates) };
    assert_eq!(strategy.choose(&held), None, "memory holds something older");
}

#[test]
fn unified_levels_are_tiered_or_leveled_by_their_parameters() {
    let tiered = settings("Unified", &[("scaling_parameters", "T4")]);
    let leveled = settings("Unified", &[("scaling_parameters", "L4")]);
    assert_eq!(choose(&tiered, &files(&[MIB; 3])), None);
    assert_eq!(numbers(choose(&tiered, &files(&[MIB; 4]))), [1, 2, 3, 4]);
    assert_eq!(numbers(choose(&leveled, &files(&[MIB; 2]))), [1, 2]);
    assert_eq!(choose(&tiered, &files(&[MIB, MIB, MIB, 900 * MIB])), None, "another level does not count");
}

#[test]
fn unified_shards_grow_with_the_data() {
    let shards = |options: &[(&str, &str)], density: u64| match settings("Unified", options).strategy {
        Strategy::Unified(strategy) => strategy.shards(density as f64),
        _ => unreachable!(),
    };
    let growth_0: &[_] = &[("sstable_growth", "0")];
    assert_eq!(shards(growth_0, 0), 1);
    assert_eq!(shards(growth_0, 250 * MIB), 2);
    assert_eq!(shards(growth_0, 4_096 * MIB), 4);
    assert_eq!(shards(growth_0, 16_384 * MIB), 16);
    assert_eq!(shards(&[("sstable_growth", "1")], 16_384 * MIB), 4);
    assert_eq!(shards(&[("sstable_growth", "0.5")], 65_536 * MIB), 16);
    assert_eq!(shards(&[("base_shard_count", "3"), ("sstable_growth", "0")], 250 * MIB), 1);
    assert_eq!(shards(&[("base_shard_count", "3"), ("sstable_growth", "0")], 8_192 * MIB), 6);
}

#[test]
fn leveled_lifts_files_that_overlap_nothing_and_merges_others() {
    let strategy = settings("Leveled", &[("sstable_size_in_mb", "1"), ("fanout_size", "2")]);
    let mut candidates = files(&[MIB, MIB, MIB, MIB]);
    for (index, file) in candidates.iter_mut().enumerate() {
        let first = index as i64 * 100;
        (file.level, file.tokens) = (1, (Token(first), Token(first + 50)));
    }
    let lifted = choose(&strategy, &candidates).unwrap();
    assert_eq!((lifted.purpose, lifted.level, numbers(Some(lifted))), (Purpose::Lift, 2, vec![1]));
    candidates.push(Candidate { level: 2, tokens: (Token(20), Token(120)), ..file(9, MIB) });
    let merged = choose(&strategy, &candidates).unwrap();
    assert_eq!((merged.purpose, merged.level), (Purpose::Lift, 2), "the files behind it come first");
    candidates[2].busy = true;
    candidates[3].busy = true;
    candidates[0].bytes = 2 * MIB;
    let merged = choose(&strategy, &candidates).unwrap();
    assert_eq!((merged.purpose, merged.level, numbers(Some(merged))), (Purpose::Merge, 2, vec![1, 9]));
}

#[test]
fn level_0_stays_there_until_it_makes_a_whole_file() {
    let strategy = settings("Leveled", &[("sstable_size_in_mb", "10")]);
    let small = choose(&strategy, &files(&[MIB, MIB])).unwrap();
    assert_eq!((small.level, small.split), (0, Split::Bytes(10 * MIB)));
    let mut candidates = files(&[6 * MIB, 6 * MIB, MIB]);
    candidates[2].level = 1;
    let up = choose(&strategy, &candidates).unwrap();
    assert_eq!((up.level, numbers(Some(up))), (1, vec![1, 2, 3]));
}

fn any_file() -> impl Generator<Value = Candidate> {
    let span = (0u64..1_000, 1u64..400);
    let written = (0i64..5_000, 0i64..2_000, prop_oneof![Just(i64::MAX), 0i64..1_000_000]);
    (span, 1u64..(40 * MIB), written, 0u8..4, prop::bool::weighted(0.2), 0.0..1.0f64).prop_map(
        |((first, width), bytes, (oldest, length, dies), level, busy, droppable)| Candidate {
            tokens: (Token::from_ordinal(first << 53), Token::from_ordinal((first + width).min(2_047) << 53)),
            timestamps: (oldest, oldest + length),
            level,
            droppable,
            max_deletion_seconds: dies,
            busy,
            ..file(0, bytes)
        },
    )
}

fn any_settings() -> impl Generator<Value = CompactionSettings> {
    let small: &[(&str, &str)] = &[("min_sstable_size", "1000000")];
    prop_oneof![
        Just(settings("SizeTiered", small)),
        Just(settings(
            "TimeWindow",
            &[("compaction_window_unit", "MINUTES"), ("tombstone_threshold", "0.3")]
        )),
        Just(settings("Leveled", &[("sstable_size_in_mb", "5"), ("fanout_size", "4")])),
        Just(settings("Unified", &[])),
        Just(settings("Unified", &[("scaling_parameters", "L4"), ("overlap_inclusion_method", "NONE")])),
        Just(settings("Unified", &[("scaling_parameters", "N, T3"), ("max_sstables_to_compact", "3")])),
    ]
}

proptest! {
    #[test]
    fn every_choice_is_of_free_files_and_does_something(
        mut candidates in prop::collection::vec(any_file(), 0..60),
        settings in any_settings(),
    ) {
        for (index, file) in candidates.iter_mut().enumerate() {
            file.id = SstableId(Uuid::from_u128(index as u128 + 1));
        }
        let situation = situation(&candidates);
        let Some(choice) = settings.choose(&situation) else { return Ok(()) };
        let inputs: BTreeSet<_> = choice.inputs.iter().copied().collect();
        prop_assert_eq!(inputs.len(), choice.inputs.len(), "a file twice");
        let chosen: Vec<_> = candidates.iter().filter(|file| inputs.contains(&file.id)).collect();
        prop_assert_eq!(chosen.len(), inputs.len(), "a file that is not there");
        prop_assert!(chosen.iter().all(|file| !file.busy));
        match choice.purpose {
            Purpose::Merge => prop_assert!(inputs.len() >= 2 || choice.level > chosen[0].level),
            Purpose::Tombstones | Purpose::Lift => prop_assert_eq!(inputs.len(), 1),
            Purpose::Expired => for file in &chosen {
                prop_assert!(file.max_deletion_seconds < situation.gc_before_seconds);
                let shadowed = candidates.iter().any(|other| !inputs.contains(&other.id)
                    && overlap::overlap(other, file) && other.timestamps.0 <= file.timestamps.1);
                prop_assert!(!shadowed);
            },
        }
        if choice.level > 0 && choice.purpose == Purpose::Merge {
            // What is written must not overlap what stays on its level.
            let first = chosen.iter().map(|file| file.tokens.0).min().unwrap();
            let last = chosen.iter().map(|file| file.tokens.1).max().unwrap();
            let mut end = None;
            let mut at_level: Vec<_> = candidates.iter().filter(|file| file.level == choice.level).collect();
            at_level.sort_by_key(|file| (file.tokens.0, file.id));
            for file in at_level {
                // Those that overlap others of their level count as of level 0.
                if end.is_some_and(|end| end >= file.tokens.0) { continue; }
                end = Some(file.tokens.1);
                let overlaps = file.tokens.0 <= last && first <= file.tokens.1;
                prop_assert!(!overlaps || inputs.contains(&file.id));
            }
        }
    }

    /// However files come, work ends: every merge leaves fewer files or higher levels.
    #[test]
    fn strategies_come_to_rest(
        candidates in prop::collection::vec(any_file(), 0..40),
        settings in any_settings(),
    ) {
        let mut candidates: Vec<Candidate> = candidates;
        let mut next = 1;
        for file in &mut candidates {
            (file.id, file.busy, file.droppable, next) = (SstableId(Uuid::from_u128(next)), false, 0.0, next + 1);
        }
        let mut rounds = 0;
        while let Some(choice) = settings.choose(&situation(&candidates)) {
            rounds += 1;
            prop_assert!(rounds < 1_000, "{choice:?} of {candidates:?}");
            let (chosen, mut rest): (Vec<_>, Vec<_>) =
                candidates.into_iter().partition(|file| choice.inputs.contains(&file.id));
            let written = Candidate {
                id: SstableId(Uuid::from_u128(next)),
                bytes: chosen.iter().map(|file| file.bytes).sum(),
                tokens: (
                    chosen.iter().map(|file| file.tokens.0).min().unwrap(),
                    chosen.iter().map(|file| file.tokens.1).max().unwrap(),
                ),
                timestamps: (
                    chosen.iter().map(|file| file.timestamps.0).min().unwrap(),
                    chosen.iter().map(|file| file.timestamps.1).max().unwrap(),
                ),
                level: choice.level,
                max_deletion_seconds: i64::MAX,
                ..file(0, 0)
            };
            next += 1;
            if choice.purpose != Purpose::Expired {
                rest.push(written);
            }
            candidates = rest;
        }
    }

    #[test]
    fn overlap_sets_hold_every_place_and_none_holds_another(
        mut candidates in prop::collection::vec(any_file(), 0..20), place in 0u64..1_400,
    ) {
        for (index, file) in candidates.iter_mut().enumerate() {
            file.id = SstableId(Uuid::from_u128(index as u128 + 1));
        }
        let all: Vec<&Candidate> = candidates.iter().collect();
        let sets = overlap::overlap_sets(&all);
        let ids = |files: &[&Candidate]| files.iter().map(|file| file.id).collect::<BTreeSet<_>>();
        let token = Token::from_ordinal(place << 53);
        let here: Vec<_> = all.iter().copied().filter(|f| f.tokens.0 <= token && token <= f.tokens.1).collect();
        prop_assert!(here.is_empty() || sets.iter().any(|set| ids(set).is_superset(&ids(&here))));
        for (a, b) in sets.iter().enumerate().flat_map(|a| sets.iter().enumerate().map(move |b| (a, b))) {
            prop_assert!(a.0 == b.0 || !ids(a.1).is_subset(&ids(b.1)));
        }
    }
}
