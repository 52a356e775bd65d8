//! What other nodes send is refused or taken, and nothing else, whatever it is: random bytes, and messages of every verb that are changed
//! a little. Decoding allocates no more than a constant times what has come.

#[path = "../../protocol/tests/common/counting.rs"]
mod counting;

use counting::allocated;
use dodona_cluster::batch_log::rules::Batch;
use dodona_cluster::counter::CounterUpdate;
use dodona_cluster::foreign;
use dodona_cluster::gossip::digest::Digest;
use dodona_cluster::gossip::message::{Content, Message as Gossip};
use dodona_cluster::gossip::state::{EndpointState, Generation, Key, Version, Versioned};
use dodona_cluster::hints::format::{Hint, put_hint};
use dodona_cluster::message::{Body, Message, NEWEST, NOT_REPAIRED, PREFIX_BYTES};
use dodona_cluster::paxos::ballot::Ballot;
use dodona_cluster::paxos::message::{Request, Step};
use dodona_cluster::paxos::state::{Answer, Proposal};
use dodona_cluster::replica::encode_read;
use dodona_types::key::ROW_END;
use dodona_types::read_command::{
    ClusteringSelection, PartitionRange, PartitionSelection, RangeBound, ReadCommand, ReadLimits,
};
use dodona_types::row::RowHeader;
use dodona_types::{
    Cell, CellKind, ClusteringSlice, ColumnId, Deletion, HiddenCells, Liveness, MutationBuilder,
    PartitionKey, TableId, Token,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

/// What decodes is also encoded and decoded again. A name of 2 bytes can become one of 24 in a vector that doubles.
const MOST_PER_BYTE: usize = 300;
/// Texts of errors, and the first element of a map with large values.
const FIXED: usize = 16 << 10;

const TABLE: TableId = TableId(Uuid::from_u128(7));
const ID: Uuid = Uuid::from_u128(5);

fn mutation() -> Vec<u8> {
    let mut builder = MutationBuilder::new();
    builder.begin(TABLE, 1, b"key");
    builder.partition_deletion(Deletion { timestamp_micros: 1, deleted_at_seconds: 2 });
    let cell =
        |column, kind, value| Cell { column: ColumnId(column), path: None, timestamp_micros: 3, kind, value };
    builder.static_row(3, &RowHeader::EMPTY, |row| row.push_cell(&cell(1, CellKind::Live, b"static")));
    let header = RowHeader { liveness: Some(Liveness::new(3)), ..RowHeader::EMPTY };
    builder.row(&[1, ROW_END], 3, &header, |row| row.push_cell(&cell(2, CellKind::Live, b"value")));
    let deletion = Deletion { timestamp_micros: 2, deleted_at_seconds: 2 };
    builder.range_deletion(&ClusteringSlice { start: vec![2], end: vec![3] }, deletion);
    builder.view().bytes().to_vec()
}

fn reads() -> [Vec<u8>; 2] {
    let key = PartitionSelection::Key(PartitionKey::new(b"key".as_slice().into()));
    let of_names = ReadCommand {
        limits: ReadLimits { rows: 100, per_partition: 2 },
        ..ReadCommand::everything(TABLE, 1, key, 300).of_rows_or_first(vec![vec![1, ROW_END]])
    };
    let range = PartitionRange {
        start: RangeBound::Token(Token(-2), false),
        end: RangeBound::Key(PartitionKey::new(b"end".as_slice().into()), true),
    };
    let of_range = ReadCommand {
        clustering: ClusteringSelection::Slices(vec![ClusteringSlice { start: vec![2], end: vec![3] }]),
        reversed: true,
        ..ReadCommand::everything(TABLE, 1, PartitionSelection::Range(range), 300)
    };
    [of_names.hiding(HiddenCells::new(vec![(ColumnId(3), 9)])), of_range]
        .map(|command| encode_read(&command, 8 << 20))
}

/// An answer to a read: it stops, and goes as far as a row of its partition.
fn found() -> Vec<u8> {
    let mutation = mutation();
    [&[3, 9, 0, 0, 0, mutation.len() as u8][..], &mutation, &[1, 2, 1, ROW_END]].concat()
}

fn gossip() -> [Vec<u8>; 3] {
    let (generation, heartbeat) = (Generation(1_700_000_000), Version(9));
    let rack = Versioned { version: Version(2), value: "r1".into() };
    let state = EndpointState { generation, heartbeat, values: [(Key::RACK, rack)].into_iter().collect() };
    let states = vec![(ID, state.newer_than(Version(1)))];
    let digests = vec![Digest { host: ID, generation, version: Version(300) }];
    [
        Content::Syn { cluster: ID, digests: digests.clone() },
        Content::Ack { wanted: digests, states: states.clone() },
        Content::Ack2 { states },
    ]
    .map(|content| Gossip { sender: ID, content }.encode())
}

/// What stands behind its length (u32).
fn prefixed(bytes: &str, rest: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes()[..], bytes.as_bytes(), rest].concat()
}

/// Messages of every verb.
fn bodies() -> Vec<Body> {
    let ([of_names, of_range], [syn, ack, ack2]) = (reads(), gossip());
    let id = ID.as_bytes().to_vec();
    let proposal = Proposal { ballot: Ballot::new(5, 6), mutation: mutation() };
    let paxos =
        |step| Request { step, table: TABLE, key: b"key".to_vec(), proposal: proposal.clone() }.encode();
    let promised = Answer::Promised { accepted: Some(proposal.clone()), committed: Proposal::default() };
    let columns = [(ColumnId(1), -2)].into_iter().collect();
    let rows = [(None, columns), (Some(vec![1, ROW_END]), [(ColumnId(2), 3)].into_iter().collect())];
    let update = CounterUpdate { table: TABLE, epoch: 1, key: b"key".to_vec(), rows: rows.into() };
    let batch = Batch { id: ID, written_micros: 5, mutations: vec![mutation(), mutation()] };
    let mut hints = id.clone();
    for written_seconds in [7, 8] {
        put_hint(&mut hints, &Hint { written_seconds, gc_grace_seconds: 9, mutation: mutation().into() });
    }
    let session = "00000000-0000-0000-0000-000000000005";
    let open = format!(r#"{{"Open":{{"table":"{session}","ranges":[[-3,4]],"least_bytes":9}}}}"#);
    let rest = format!(r#"{{"Rest":{{"session":"{session}","repaired":true}}}}"#);
    let opened = format!(r#"{{"session":"{session}","repaired_since":null,"files":[["{session}",6,2]]}}"#);
    let hash = format!(
        r#"{{"Begin":["{session}",{{"Hash":{{"table":"{session}","ranges":[[[-5,5],4]],"now_seconds":9}}}}]}}"#
    );
    let versions = [2, 0, 3, 0];
    let mut bodies = vec![
        Body::Mutate(mutation()),
        Body::Mutated,
        Body::Read(of_names.clone()),
        Body::Found(found()),
        Body::Failed("no".into()),
        Body::Paxos(paxos(Step::Propose)),
        Body::Paxos(paxos(Step::Commit)),
        Body::PaxosAnswer(promised.encode()),
        Body::PaxosAnswer(Answer::Refused(proposal.ballot).encode()),
        Body::Count([&[4][..], &update.encode()].concat()),
        Body::Gossip(syn),
        Body::Gossiped(ack),
        Body::Gossip(ack2),
        Body::Digest(of_range.clone()),
        Body::Digested(id.clone()),
        Body::Stream(of_range.clone()),
        Body::StreamAside([&id[..], &of_range].concat()),
        Body::StreamApart([&[1][..], &of_range].concat()),
        Body::Streamed(found()),
        Body::Hello([&id[..], &id, &versions].concat()),
        Body::Stale(9u64.to_le_bytes().to_vec()),
        Body::Truncate(id.clone()),
        Body::KeepBatch([&id[..], &batch.encode()].concat()),
        Body::ForgetBatch(id.clone()),
        Body::Repair(hash.into_bytes()),
        Body::RepairAnswer(br#"{"Leaves":[[0,340282366920938463463374607431768211455]]}"#.to_vec()),
        Body::TooManyTombstones(9u64.to_le_bytes().to_vec()),
        Body::VoidHints(id),
        Body::Session(prefixed(&open, &[])),
        Body::Session(prefixed(&rest, &of_names)),
        Body::KeepHints(hints),
    ];
    // With what stands before it, an answer of another kind to the same decoder.
    bodies.push(Body::Streamed([&NOT_REPAIRED.to_le_bytes()[..], &found()].concat()));
    bodies.push(Body::Streamed([&[1][..], opened.as_bytes()].concat()));
    let lines = |text: &'static str| text.lines().map(|line| line.as_bytes().to_vec());
    bodies.extend(lines(include_str!("golden/metadata_requests.jsonl")).map(Body::Metadata));
    bodies.extend(lines(include_str!("golden/metadata_answers.jsonl")).map(Body::MetadataAnswer));
    bodies
}

/// The frame of a message, traced or not.
fn frame(body: Body, notes: Option<Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    Message { id: 3, patience_micros: 5_000_000, members: 7, notes, body }.encode(NEWEST, &mut out);
    out
}

fn frames() -> Vec<Vec<u8>> {
    let notes = Some([&[7, 4][..], b"read"].concat());
    let plain = bodies().into_iter().map(|body| frame(body, None));
    plain.chain([frame(Body::Mutated, Some(Vec::new())), frame(Body::Mutated, notes)]).collect()
}

/// Decodes bytes behind a frame's prefix, and those of a connection; tells the bytes that are allocated for each that came.
fn try_on(bytes: &[u8]) {
    let before = allocated();
    let _ = foreign::frame(bytes);
    let _ = foreign::connection(bytes);
    let allocated = allocated() - before;
    assert!(
        allocated <= FIXED + MOST_PER_BYTE * bytes.len(),
        "{allocated} bytes for {}: {bytes:?}",
        bytes.len()
    );
}

#[test]
fn messages_of_every_verb_are_taken() {
    let frames = frames();
    let mut verbs: Vec<u8> = frames.iter().map(|frame| frame[PREFIX_BYTES + 2] & 0x7F).collect();
    verbs.sort_unstable();
    verbs.dedup();
    assert!((1..=29).all(|verb| verbs.contains(&verb)), "{verbs:?}");
    let streamed = |bytes: &[u8]| bytes[PREFIX_BYTES + 2] == 16;
    for frame in &frames {
        try_on(&frame[PREFIX_BYTES..]);
        // Of answers to requests for streams one is of rows, and the others are not.
        let taken = foreign::frame(&frame[PREFIX_BYTES..]);
        assert!(taken.is_ok() || streamed(frame), "{taken:?}: {frame:?}");
    }
    let plain: Vec<u8> = frames.iter().filter(|frame| !streamed(frame)).flatten().copied().collect();
    foreign::connection(&plain).unwrap();
}

/// What the fuzzer begins with.
#[test]
#[expect(clippy::disallowed_methods, reason = "the test reads the sources")]
fn the_seeds_of_the_fuzzer_are_messages_of_every_verb() {
    let seeds: Vec<Vec<u8>> = std::fs::read_dir("../fuzz/seeds/peer")
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    for seed in &seeds {
        assert!(foreign::frame(seed).is_ok() || seed[2] == 16, "{seed:?}");
    }
    assert!((1..=29).all(|verb| seeds.iter().any(|seed| seed[2] & 0x7F == verb)));
}

/// A way to change bytes.
#[derive(Clone, Debug)]
enum Change {
    Flip(prop::sample::Index, u8),
    Put(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Repeat(prop::sample::Index, prop::sample::Index, usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let place = any::<prop::sample::Index>;
    // Counts and lengths that hold, and those that lie.
    let byte = || prop_oneof![Just(0_u8), Just(0xFF), 0_u8..8, any::<u8>()];
    let change = prop_oneof![
        4 => (place(), 0_u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        4 => (place(), byte()).prop_map(|(at, byte)| Change::Put(at, byte)),
        1 => place().prop_map(Change::Cut),
        2 => (place(), prop::collection::vec(byte(), 0..20)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        1 => (place(), place(), 1_usize..50).prop_map(|(from, to, times)| Change::Repeat(from, to, times)),
    ];
    prop::collection::vec(change, 1..5)
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let at = |index: &prop::sample::Index| index.index(bytes.len() + 1);
        match change {
            Change::Flip(index, _) | Change::Put(index, _) if at(index) == bytes.len() => {}
            Change::Flip(index, bit) => {
                let at = at(index);
                bytes[at] ^= 1 << bit;
            }
            Change::Put(index, byte) => {
                let at = at(index);
                bytes[at] = *byte;
            }
            Change::Cut(index) => bytes.truncate(at(index)),
            Change::Insert(index, other) => {
                let at = at(index);
                bytes.splice(at..at, other.iter().copied());
            }
            Change::Repeat(from, to, times) => {
                let (from, to) = (at(from).min(at(to)), at(from).max(at(to)));
                let part = bytes[from..to].repeat(*times);
                bytes.splice(to..to, part);
            }
        }
    }
    bytes
}

#[test]
fn messages_that_were_changed_are_refused_or_taken_and_allocate_in_proportion() {
    let frames = frames();
    let one = prop::sample::select(frames);
    TestRunner::default()
        .run(&(one, changes()), |(frame, changes)| {
            try_on(&changed(frame[PREFIX_BYTES..].to_vec(), &changes));
            Ok(())
        })
        .unwrap();
}

#[test]
fn noise_of_every_verb_is_refused_or_taken_and_allocates_in_proportion() {
    let byte = prop_oneof![Just(0_u8), Just(0xFF), 0_u8..8, any::<u8>()];
    let noise = prop::collection::vec(byte, 0..300);
    TestRunner::default()
        .run(&(0_u8..32, noise), |(verb, noise)| {
            try_on(&noise);
            let head = [&NEWEST.to_le_bytes()[..], &[verb], &[0; 24]].concat();
            try_on(&[&head[..], &noise].concat());
            Ok(())
        })
        .unwrap();
}
