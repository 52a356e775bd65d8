//! Each line of a golden file is a message, or a part of one, as it has been sent since it is spoken.

use super::super::schema_change::SchemaChange;
use super::super::state::tests::member;
use super::super::types::{Entry, LogId, SnapshotMeta, StoredMembership, Vote};
use super::*;
use crate::ring::Status;
use dodona_types::schema::{
    Column, ColumnKind, DroppedColumn, Keyspace, Options, Schema, Table, TableParams,
};
use dodona_types::{ColumnId, CqlType, TableId, Token, UserType};
use openraft::entry::RaftEntry;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{EntryPayload, Membership};
use std::collections::BTreeMap;
use std::fmt::Debug;

const HOST: Uuid = Uuid::from_u128(2);

fn column(id: u32, name: &str, cql_type: CqlType, kind: ColumnKind) -> Column {
    Column { id: ColumnId(id), name: name.into(), cql_type, kind, position: 0, descending: id == 1 }
}

/// A table in which nothing that has a form of its own is left out.
fn table() -> Table {
    let dropped_columns = [(
        Arc::from("gone"),
        DroppedColumn { column: column(2, "gone", CqlType::Text, ColumnKind::Static), dropped_at_micros: 5 },
    )];
    Table {
        id: TableId(Uuid::from_u128(7)),
        keyspace: "ks".into(),
        name: "t".into(),
        epoch: 3,
        columns: vec![
            column(0, "p", CqlType::Int, ColumnKind::PartitionKey),
            column(1, "c", CqlType::Timeuuid, ColumnKind::Clustering),
            column(
                3,
                "v",
                CqlType::List { element: Arc::new(CqlType::Text), frozen: false },
                ColumnKind::Regular,
            ),
        ],
        next_column: 4,
        dropped_columns: dropped_columns.into(),
        params: TableParams::default(),
        compact_storage: None,
    }
}

fn keyspace() -> Keyspace {
    let replication: Options = [("class".to_owned(), "SimpleStrategy".to_owned())].into_iter().collect();
    Keyspace {
        name: "ks".into(),
        replication,
        durable_writes: true,
        tables: BTreeMap::new(),
        types: BTreeMap::new(),
    }
}

fn user_type() -> UserType {
    UserType { keyspace: "ks".into(), name: "u".into(), fields: vec![("f".into(), CqlType::Int)] }
}

/// All changes that there are.
fn changes() -> Vec<Change> {
    let changes = vec![
        SchemaChange::PutKeyspace(keyspace()),
        SchemaChange::PutTable(Box::new(table())),
        SchemaChange::PutType(user_type()),
        SchemaChange::DropType("ks".into(), "u".into()),
        SchemaChange::DropTable("ks".into(), "t".into()),
        SchemaChange::DropKeyspace("ks".into()),
    ];
    let moves = Member { other_tokens: vec![Token(-5)], ..member(2, Status::Moving) };
    let address = member(2, Status::Normal);
    let mut all = vec![
        Change::Schema { expected_epoch: 3, changes, while_members_stay: false },
        Change::Schema { expected_epoch: 3, changes: Vec::new(), while_members_stay: true },
        Change::Join { expected: 4, member: Box::new(moves) },
        Change::Leave(HOST),
        Change::Remove(HOST),
        Change::Cancel(HOST),
        Change::Move { host: HOST, tokens: vec![Token(9)] },
        Change::Assassinate(HOST),
        Change::Moved { host: HOST, internode: address.internode, native: address.native },
        Change::Confirm { epoch: 3, members: 4 },
    ];
    all.extend(
        [
            Status::Joining,
            Status::Arriving,
            Status::Normal,
            Status::Leaving,
            Status::Removing,
            Status::Departing,
            Status::Replacing(Uuid::from_u128(3)),
            Status::Succeeding(Uuid::from_u128(3)),
            Status::Moving,
            Status::Moved,
        ]
        .map(|from| Change::Advance { host: HOST, from }),
    );
    all
}

fn metadata() -> Arc<Metadata> {
    let mut keyspace = keyspace();
    keyspace.tables.insert("t".into(), Arc::new(table()));
    keyspace.types.insert("u".into(), Arc::new(user_type()));
    let schema = Schema { epoch: 3, keyspaces: [("ks".into(), Arc::new(keyspace))].into() };
    let metadata = Metadata::of_members([member(1, Status::Normal)], schema);
    Arc::new(Metadata { recovery: (1 << 32) + 1, ..metadata })
}

fn log_id(index: u64) -> LogId {
    LogId::new_term_index(6, index)
}

fn membership() -> Membership<u64, openraft::EmptyNode> {
    Membership::new_with_defaults(vec![[1, 2].into(), [1, 3].into()], [4])
}

fn requests() -> Vec<Request> {
    let vote = Vote::new(6, 2);
    let payloads = [
        EntryPayload::Blank,
        EntryPayload::Normal(Change::Leave(HOST)),
        EntryPayload::Membership(membership()),
    ];
    let entries = (8..).zip(payloads).map(|(index, payload)| Entry::new(log_id(index), payload)).collect();
    let append = |prev_log_id, entries, leader_commit| AppendEntriesRequest {
        vote: Vote::new_committed(6, 2),
        prev_log_id,
        entries,
        leader_commit,
    };
    let meta = SnapshotMeta {
        last_log_id: Some(log_id(8)),
        last_membership: StoredMembership::new(Some(log_id(7)), membership()),
    };
    vec![
        Request::Append(append(Some(log_id(7)), entries, Some(log_id(7)))),
        Request::Append(append(None, Vec::new(), None)),
        Request::Vote(VoteRequest::new(vote, Some(log_id(7)))),
        Request::PreVote(VoteRequest::new(vote, None)),
        Request::Snapshot(vote, meta, metadata()),
        Request::Change(Change::Leave(HOST)),
        Request::Pull(5),
        Request::Reach(5),
        Request::Who,
        Request::Time,
        Request::Fetch,
        Request::Join(Box::new(member(2, Status::Joining)), 16),
        Request::Replace(Box::new(member(2, Status::Joining)), "10.0.0.3".into()),
        Request::Known(HOST),
        Request::Who.to(3, 0),
        Request::Who.to(3, 9),
    ]
}

fn answers() -> Vec<Answer> {
    let vote = Vote::new(6, 2);
    let mark = Mark { generation: 1, log: 2, term: 3, version: 4 };
    vec![
        Answer::Append(AppendEntriesResponse::Success),
        Answer::Append(AppendEntriesResponse::PartialSuccess(Some(log_id(7)))),
        Answer::Append(AppendEntriesResponse::Conflict),
        Answer::Append(AppendEntriesResponse::HigherVote(vote)),
        Answer::Vote(VoteResponse::new(vote, Some(log_id(7)), true)),
        Answer::Snapshot(SnapshotResponse::new(vote)),
        Answer::Changed(Outcome::Applied(5)),
        Answer::Changed(Outcome::Conflict),
        Answer::Changed(Outcome::Busy("later".into())),
        Answer::Changed(Outcome::Refused("never".into())),
        Answer::NotLeader(Some(2)),
        Answer::NotLeader(None),
        Answer::Metadata(metadata()),
        Answer::Version(5),
        Answer::Cluster(HOST, "name".into()),
        Answer::Time(5),
        Answer::Known(mark),
        Answer::Joined(HOST, metadata()),
        Answer::Fetching,
        Answer::Failed("why".into()),
        Answer::Refused("why".into()),
    ]
}

/// Compares what these are encoded as with the lines of a golden file, and what those decode to.
fn assert_golden<T: Serialize + serde::de::DeserializeOwned + Debug>(name: &str, golden: &str, all: &[T]) {
    let lines: Vec<String> = all.iter().map(|one| String::from_utf8(encode(one)).unwrap()).collect();
    assert_eq!(lines.join("\n") + "\n", golden, "{name}");
    for line in golden.lines() {
        let decoded: T = decode(line.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(encode(&decoded)).unwrap(), line, "{decoded:?}");
        for cut in (0..line.len()).step_by(7) {
            assert!(decode::<T>(&line.as_bytes()[..cut]).is_err());
        }
    }
}

#[test]
fn changes_have_these_forms() {
    assert_golden("changes", include_str!("../../tests/golden/metadata_changes.jsonl"), &changes());
}

#[test]
fn requests_have_these_forms() {
    assert_golden("requests", include_str!("../../tests/golden/metadata_requests.jsonl"), &requests());
}

#[test]
fn answers_have_these_forms() {
    assert_golden("answers", include_str!("../../tests/golden/metadata_answers.jsonl"), &answers());
}

/// A golden line with a field more in the object at this place.
fn with_another_field(golden: &str, line: usize, place: &str) -> Vec<u8> {
    let mut value: serde_json::Value = serde_json::from_str(golden.lines().nth(line).unwrap()).unwrap();
    let object = value.pointer_mut(place).and_then(|at| at.as_object_mut()).expect("an object");
    object.insert("of_a_later_release".into(), true.into());
    serde_json::to_vec(&value).unwrap()
}

#[test]
fn a_change_or_metadata_with_something_of_a_later_release_are_refused() {
    let changes = include_str!("../../tests/golden/metadata_changes.jsonl");
    for (line, place) in [
        (0, "/Schema"),
        (0, "/Schema/changes/0/PutKeyspace"),
        (0, "/Schema/changes/1/PutTable"),
        (0, "/Schema/changes/1/PutTable/params"),
        (0, "/Schema/changes/1/PutTable/columns/0"),
        (0, "/Schema/changes/1/PutTable/dropped_columns/gone"),
        (0, "/Schema/changes/2/PutType"),
        (2, "/Join"),
        (2, "/Join/member"),
        (6, "/Move"),
        (8, "/Moved"),
        (9, "/Confirm"),
        (10, "/Advance"),
    ] {
        let refused = decode::<Change>(&with_another_field(changes, line, place)).unwrap_err().to_string();
        assert!(
            refused.contains("does not understand: unknown field `of_a_later_release`"),
            "{place}: {refused}"
        );
    }
    let answers = include_str!("../../tests/golden/metadata_answers.jsonl");
    for place in ["/Metadata", "/Metadata/schema", "/Metadata/members/1"] {
        assert!(decode::<Answer>(&with_another_field(answers, 12, place)).is_err(), "{place}");
    }
    let unknown = decode::<Change>(br#"{"Merge":"00000000-0000-0000-0000-000000000002"}"#).unwrap_err();
    assert!(unknown.to_string().contains("does not understand: unknown variant `Merge`"), "{unknown}");
}
