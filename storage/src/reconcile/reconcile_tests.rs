//! Three replicas that each hold some of the writes, read together.

use super::answer::Found;
use super::{Answer, Assembly, DigestRules, MergedAnswers, Reading, hash_partitions, read_answer};
use crate::engine_tests::{TABLE, open};
use crate::memtable::Memtable;
use crate::page::{Page, PageBuilder};
use crate::read;
use crate::sstable::reader::Access;
use crate::table::TableView;
use crate::tombstones::TombstoneRules;
use dodona_types::key::{BELOW, ROW_END};
use dodona_types::mutation::live_cell;
use dodona_types::read_command::{
    ClusteringSelection, PartitionRange, PartitionSelection, ReadCommand, ReadLimits,
};
use dodona_types::row::RowHeader;
use dodona_types::{
    Cell, CellKind, ClusteringSlice, ColumnId, Deletion, HiddenCells, MutationBuilder, MutationView,
    PartitionKey,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const NOW: i64 = 1_000;
const GRACE: u32 = 100;

#[derive(Clone, Debug)]
enum Write {
    Put { row: u8, value: u8, ttl: bool },
    Static { value: u8 },
    DeleteRow { row: u8 },
    DeleteCell { row: u8 },
    DeleteRange { start: u8, length: u8 },
    DeletePartition,
}

/// A write: partition, timestamp, what, and the replicas that have it (bits).
type Step = (u8, i64, Write, u8);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write = prop_oneof![
        8 => (0u8..20, any::<u8>(), prop::bool::weighted(0.2))
            .prop_map(|(row, value, ttl)| Write::Put { row, value, ttl }),
        1 => any::<u8>().prop_map(|value| Write::Static { value }),
        2 => (0u8..20).prop_map(|row| Write::DeleteRow { row }),
        2 => (0u8..20).prop_map(|row| Write::DeleteCell { row }),
        2 => (0u8..20, 1u8..8).prop_map(|(start, length)| Write::DeleteRange { start, length }),
        1 => Just(Write::DeletePartition),
    ];
    prop::collection::vec((0u8..3, 1i64..12, write, 1u8..8), 0..60)
}

fn clustering(row: u8) -> Vec<u8> {
    vec![0x40, row, ROW_END]
}

fn mutation((partition, timestamp, write, _): &Step) -> Vec<u8> {
    let timestamp = *timestamp;
    // What is deleted early is past its grace.
    let deletion = Deletion { timestamp_micros: timestamp, deleted_at_seconds: NOW - 180 + timestamp * 15 };
    let mut builder = MutationBuilder::new();
    builder.begin(TABLE, 1, &[*partition]);
    match write {
        Write::Put { row, value, ttl } => {
            let value = [*value];
            let mut cell = live_cell(ColumnId(1), timestamp, &value);
            if *ttl {
                let expires_at_seconds = NOW - 180 + timestamp * 20;
                cell.kind = CellKind::Expiring { ttl_seconds: 7, expires_at_seconds };
            }
            builder.row(&clustering(*row), timestamp, &RowHeader::EMPTY, |out| out.push_cell(&cell));
        }
        Write::Static { value } => {
            let value = [*value];
            let cell = live_cell(ColumnId(2), timestamp, &value);
            builder.static_row(timestamp, &RowHeader::EMPTY, |out| out.push_cell(&cell));
        }
        Write::DeleteRow { row } => {
            builder.row(&clustering(*row), timestamp, &RowHeader { deletion, ..RowHeader::EMPTY }, |_| {});
        }
        Write::DeleteCell { row } => {
            let kind = CellKind::Tombstone { deleted_at_seconds: deletion.deleted_at_seconds };
            let cell = Cell { kind, ..live_cell(ColumnId(1), timestamp, &[]) };
            builder.row(&clustering(*row), timestamp, &RowHeader::EMPTY, |out| out.push_cell(&cell));
        }
        Write::DeleteRange { start, length } => {
            let slice =
                ClusteringSlice { start: vec![0x40, *start, BELOW], end: vec![0x40, start + length, BELOW] };
            builder.range_deletion(&slice, deletion);
        }
        Write::DeletePartition => builder.partition_deletion(deletion),
    }
    builder.view().bytes().to_vec()
}

/// A table that holds mutations, in as many memtables as `spread` says.
fn table<'a>(mutations: impl Iterator<Item = &'a Vec<u8>>, spread: usize) -> TableView {
    let memtables: Vec<_> =
        (0..spread).map(|_| Arc::new(Memtable::new(1, u64::MAX, Duration::ZERO))).collect();
    for (index, mutation) in mutations.enumerate() {
        memtables[index % spread].apply(&MutationView::parse(mutation).unwrap()).unwrap();
    }
    let mut view = TableView::new(Arc::clone(&memtables[0]), Vec::new(), BTreeMap::new());
    view.flushing.extend(memtables[1..].iter().cloned());
    view
}

fn rules() -> DigestRules {
    DigestRules::new(NOW, GRACE)
}

fn read_all(view: &TableView, command: &ReadCommand) -> Page {
    let mut page = PageBuilder::new(usize::MAX);
    read::read(view, command, Access::Disk, TombstoneRules::ANY, &mut page).unwrap();
    page.finish(0)
}

/// Reads from replicas as a coordinator does, and brings each what it lacks.
fn read_together(replicas: &[TableView], command: &ReadCommand, max_bytes: usize) -> Page {
    let mut assembly = Assembly::new(command.limits, NOW, usize::MAX);
    assembly.begin(command.clone());
    while let Some(command) = assembly.next_command() {
        let read = |view| {
            read_answer(view, &command, Reading { max_bytes, ..Reading::unbounded(rules()) }).unwrap().answer
        };
        let answers: Vec<Vec<u8>> = replicas.iter().map(read).collect();
        let answers: Vec<Answer<'_>> = answers.iter().map(|bytes| Answer::parse(bytes).unwrap()).collect();
        let merged = MergedAnswers::new(&command, &answers).unwrap();
        for (replica, answer) in replicas.iter().zip(&answers) {
            for lacking in merged.lacking(&command, answer).unwrap() {
                replica.active.apply(&MutationView::parse(&lacking).unwrap()).unwrap();
            }
        }
        assembly.take(&command, &merged).unwrap();
    }
    assembly.finish()
}

fn command(partition: Option<u8>, reversed: bool, limits: (u64, u64), kind: u8) -> ReadCommand {
    let limit = |limit| if limit == 0 { u64::MAX } else { limit };
    let slice =
        |start: u8, end: u8| ClusteringSlice { start: vec![0x40, start, BELOW], end: vec![0x40, end, BELOW] };
    ReadCommand {
        table: TABLE,
        epoch: 1,
        partitions: match partition {
            Some(partition) => PartitionSelection::Key(PartitionKey::new(vec![partition].into())),
            None => PartitionSelection::Range(PartitionRange::all()),
        },
        clustering: match kind {
            0 => ClusteringSelection::all(),
            1 => ClusteringSelection::Slices(vec![slice(2, 6), slice(9, 17)]),
            _ => ClusteringSelection::Names([1, 4, 5, 11, 19].map(clustering).to_vec()),
        },
        reversed,
        hidden: HiddenCells::NONE,
        now_seconds: NOW,
        limits: ReadLimits { rows: limit(limits.0), per_partition: limit(limits.1) },
    }
}

fn digest(view: &TableView, command: &ReadCommand, max_bytes: usize) -> [u8; 16] {
    let reading = Reading { max_bytes, with_data: false, ..Reading::unbounded(rules()) };
    read_answer(view, command, reading).unwrap().digest.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_together_is_what_one_replica_with_everything_gives(
        steps in steps(), partition in prop::option::of(0u8..3), reversed: bool,
        limits in (0u64..6, 0u64..4), kind in 0u8..3, max_bytes in 1usize..200,
        hidden in prop::collection::vec((1u32..3).prop_map(ColumnId), 0..2), up_to in 0i64..15,
    ) {
        let mutations: Vec<Vec<u8>> = steps.iter().map(mutation).collect();
        let has = |replica: u8| {
            steps.iter().zip(&mutations).filter(move |(step, _)| step.3 >> replica & 1 == 1).map(|(_, bytes)| bytes)
        };
        let replicas: Vec<TableView> = (0..3).map(|replica| table(has(replica), 2)).collect();
        let hidden = HiddenCells::new(hidden.into_iter().map(|column| (column, up_to)).collect());
        let command = command(partition, reversed, limits, kind).hiding(hidden);
        let whole = table(mutations.iter(), 1);
        let (found, expected) = (read_together(&replicas, &command, max_bytes), read_all(&whole, &command));
        let shown = |page: &Page| rows_of(page);
        prop_assert_eq!(shown(&found), shown(&expected));
        // Each replica has been brought what it lacked of that.
        for replica in &replicas {
            prop_assert_eq!(shown(&read_all(replica, &command)), shown(&expected));
        }
        if limits == (0, 0) {
            let digests: Vec<_> = replicas.iter().map(|view| digest(view, &command, usize::MAX)).collect();
            prop_assert!(digests.iter().all(|digest| *digest == digests[0]));
        }
    }

    #[test]
    fn hashes_of_partitions_do_not_depend_on_how_rows_lie_or_in_how_many_pieces_they_are_read(
        steps in steps(), spread in 2usize..5, budget in 1usize..100,
    ) {
        let mutations: Vec<Vec<u8>> = steps.iter().map(mutation).collect();
        let hashes = |view: &TableView, budget: usize| {
            let (mut command, mut hashed) = (command(None, false, (0, 0), 0), Vec::new());
            while let Some(next) =
                hash_partitions(view, &command, rules(), budget, &mut |one| hashed.push(one)).unwrap()
            {
                command.partitions = PartitionSelection::Range(PartitionRange { start: next, ..PartitionRange::all() });
            }
            hashed
        };
        let (one, many) = (table(mutations.iter(), 1), table(mutations.iter().rev(), spread));
        let hashed = hashes(&one, usize::MAX);
        prop_assert_eq!(&hashed, &hashes(&many, budget));
        prop_assert!(hashed.windows(2).all(|pair| pair[0].token < pair[1].token));
        // A partition has a hash of its own if and only if something of it counts.
        for partition in 0..3u8 {
            let alone = digest(&one, &command(Some(partition), false, (0, 0), 0), usize::MAX);
            let found = hashed.iter().find(|one| one.token == dodona_types::Token::of_key(&[partition]));

            let empty = super::digest::Digest::new(rules(), HiddenCells::NONE).finish();
            prop_assert_eq!(found.map_or(empty, |one| one.digest.to_le_bytes()), alone);
        }
    }

    #[test]
    fn digests_do_not_depend_on_how_rows_lie(
        steps in steps(), partition in prop::option::of(0u8..3), reversed: bool,
        limits in (0u64..6, 0u64..4), kind in 0u8..3, max_bytes in 1usize..200, spread in 2usize..5,
    ) {
        let mutations: Vec<Vec<u8>> = steps.iter().map(mutation).collect();
        let command = command(partition, reversed, limits, kind);
        let (one, many) = (table(mutations.iter(), 1), table(mutations.iter().rev(), spread));
        prop_assert_eq!(digest(&one, &command, max_bytes), digest(&many, &command, max_bytes));
        let reading = Reading { max_bytes, ..Reading::unbounded(rules()) };
        let Found { answer, digest: own, .. } = read_answer(&many, &command, reading).unwrap();
        let of_answer = Answer::parse(&answer).unwrap().digest(rules(), &HiddenCells::NONE).unwrap();
        prop_assert_eq!((of_answer.finish(), of_answer.bytes()), (own.finish(), own.bytes()));
        prop_assert!(Answer::parse(&answer[..answer.len() - 1]).is_err() || answer.len() <= 1);
    }

    #[test]
    fn digests_are_the_same_with_and_without_what_is_hidden(
        steps in steps(), partition in prop::option::of(0u8..3), reversed: bool,
        limits in (0u64..6, 0u64..4), kind in 0u8..3, dropped_at in 0i64..14,
    ) {
        let is_seen = |step: &&Step| {
            !(matches!(step.2, Write::Put { .. } | Write::DeleteCell { .. }) && step.1 <= dropped_at)
        };
        let all: Vec<Vec<u8>> = steps.iter().map(mutation).collect();
        let seen: Vec<Vec<u8>> = steps.iter().filter(is_seen).map(mutation).collect();
        let hidden = HiddenCells::new(vec![(ColumnId(1), dropped_at)]);
        let command = ReadCommand { hidden, ..command(partition, reversed, limits, kind) };
        let (all, seen) = (table(all.iter(), 2), table(seen.iter(), 1));
        prop_assert_eq!(digest(&all, &command, usize::MAX), digest(&seen, &command, usize::MAX));
        let hashes = |view: &TableView| {
            let mut hashes = Vec::new();
            let all = PartitionSelection::Range(PartitionRange::all());
            let command = ReadCommand::everything(TABLE, 1, all, NOW).hiding(command.hidden.clone());
            hash_partitions(view, &command, rules(), usize::MAX, &mut |hash| hashes.push(hash)).unwrap();
            hashes
        };
        prop_assert_eq!(hashes(&all), hashes(&seen));
    }
}

/// The rows of a page, in order, with their partitions and static rows.
fn rows_of(page: &Page) -> Vec<(Vec<u8>, Vec<u8>)> {
    struct Rows(Vec<(Vec<u8>, Vec<u8>)>);
    impl dodona_types::RowVisitor for Rows {
        fn partition(
            &mut self,
            key: dodona_types::KeyRef<'_>,
            static_row: Option<&dodona_types::LiveRow<'_>>,
        ) -> std::ops::ControlFlow<()> {
            self.0.push((key.bytes.to_vec(), static_row.map(values).unwrap_or_default()));
            std::ops::ControlFlow::Continue(())
        }
        fn row(&mut self, clustering: &[u8], row: &dodona_types::LiveRow<'_>) -> std::ops::ControlFlow<()> {
            self.0.push((clustering.to_vec(), values(row)));
            std::ops::ControlFlow::Continue(())
        }
    }
    fn values(row: &dodona_types::LiveRow<'_>) -> Vec<u8> {
        row.cells().flat_map(|cell| cell.value.to_vec()).collect()
    }
    let mut rows = Rows(Vec::new());
    let _ = page.show(NOW, &mut rows).unwrap();
    rows.0
}

#[test]
fn a_flush_and_a_compaction_leave_the_digest_as_it_is() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, other) = (open(one.path()), open(other.path()));
    let command = command(Some(1), false, (0, 0), 0);
    for step in 0..40u8 {
        let write = match step % 5 {
            0 => Write::DeleteRange { start: step / 5, length: 3 },
            1 => Write::DeleteRow { row: step / 2 },
            _ => Write::Put { row: step / 2, value: step, ttl: false },
        };
        // Nothing here is past its grace.
        let mutation = mutation(&(1, 1_000_000_000_000 + i64::from(step), write, 1));
        let view = MutationView::parse(&mutation).unwrap();
        one.apply(&[view]).unwrap();
        other.apply(&[view]).unwrap();
        if step % 7 == 6 {
            one.flush_all().unwrap();
        }
        let digests = (one.read_digest(&command, usize::MAX), other.read_digest(&command, usize::MAX));
        assert_eq!(digests.0.unwrap(), digests.1.unwrap());
    }
    one.compact_all(TABLE, None).unwrap();
    assert_eq!(one.read_digest(&command, 100).unwrap(), other.read_digest(&command, 100).unwrap());
}
