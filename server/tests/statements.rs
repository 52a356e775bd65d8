//! Statements from end to end: over sockets, through the language, into the engine and back.

mod common;

use common::{Client, Server};
use dodona_protocol::request::{
    Batch, BatchBuilder, BatchKind, BatchStatement, EventType, Query, QueryParameters, Register, StatementId,
    ValuesBuilder,
};
use dodona_protocol::response::{Event, ResultResponse};
use dodona_protocol::{Compression, ErrorCode, Request, Response, Value, Version};
use dodona_server::settings::CommitLogSync;
use dodona_types::Consistency;
use std::collections::BTreeSet;

const KEYSPACE: &str =
    "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}";

fn with_table(server: &Server, version: Version, compression: Compression) -> Client {
    let mut client = Client::connect(server.native, version, compression);
    client.run(KEYSPACE);
    client.run("CREATE TABLE ks.kv (key bigint PRIMARY KEY, value blob)");
    client
}

fn key(number: i64) -> [u8; 8] {
    number.to_be_bytes()
}

#[test]
fn what_is_written_is_read_in_every_version_and_compression() {
    let cases = [
        (Version::V3, Compression::Snappy),
        (Version::V4, Compression::None),
        (Version::V4, Compression::Lz4),
        (Version::V5, Compression::None),
        (Version::V5, Compression::Lz4),
    ];
    for (version, compression) in cases {
        let server = Server::start();
        let mut client = with_table(&server, version, compression);
        let insert = client.prepare("INSERT INTO ks.kv (key, value) VALUES (?, ?)");
        let select = client.prepare("SELECT value FROM ks.kv WHERE key = ?");
        for length in [0, 10, 5_000, 200_000] {
            let value = vec![7; length];
            let number = key(length as i64);
            assert!(client.execute(&insert, &[Value::Set(&number), Value::Set(&value)]).is_void());
            let answer = client.execute(&select, &[Value::Set(&number)]);
            assert_eq!(answer.values(), [Some(value)], "{version} {compression:?}");
        }
        assert!(client.execute(&select, &[Value::Set(&key(-1))]).values().is_empty());
        server.stop();
    }
}

#[test]
fn a_pipeline_of_requests_is_answered_whatever_the_log_waits_for() {
    for sync in [CommitLogSync::Periodic, CommitLogSync::Group, CommitLogSync::Batch] {
        let server = Server::with(|settings| settings.commit_log_sync = sync);
        let mut client = with_table(&server, Version::V5, Compression::None);
        let insert = client.prepare("INSERT INTO ks.kv (key, value) VALUES (?, ?)");
        let select = client.prepare("SELECT value FROM ks.kv WHERE key = ?");
        let mut streams = BTreeSet::new();
        for number in 0..400_i64 {
            let number = key(number);
            streams.insert(client.send_execute(&insert, &[Value::Set(&number), Value::Set(b"v")], |_| {}));
            streams.insert(client.send_execute(&select, &[Value::Set(&number)], |_| {}));
        }
        while !streams.is_empty() {
            let answer = client.receive().unwrap();
            assert_eq!(answer.error(), None);
            assert!(streams.remove(&answer.header.stream));
        }
        server.stop();
    }
}

#[test]
fn writes_and_prepared_statements_are_there_after_a_stop() {
    let server = Server::start();
    let mut client = with_table(&server, Version::V4, Compression::None);
    let insert = client.prepare("INSERT INTO ks.kv (key, value) VALUES (?, ?)");
    client.execute(&insert, &[Value::Set(&key(1)), Value::Set(b"kept")]);
    client.query("USE ks");
    let select = client.prepare("SELECT value FROM kv WHERE key = ?");
    client.run("CREATE TABLE ks.dropped (key bigint PRIMARY KEY, value blob)");
    let dropped = client.prepare("SELECT value FROM ks.dropped WHERE key = ?");
    assert!(client.query("DROP TABLE ks.dropped").error().is_none());

    let server = Server::open(server.stop(), |_| {});
    let mut client = Client::connect(server.native, Version::V4, Compression::None);
    assert!(client.execute(&insert, &[Value::Set(&key(2)), Value::Set(b"new")]).error().is_none());
    for (number, expected) in [(1, &b"kept"[..]), (2, b"new")] {
        let answer = client.execute(&select, &[Value::Set(&key(number))]);
        assert_eq!(answer.values(), [Some(expected.to_vec())]);
    }
    let (code, message) = client.execute(&dropped, &[Value::Set(&key(1))]).error().unwrap();
    assert_eq!((code, message.as_str()), (ErrorCode::Invalid, "table dropped does not exist"));
    let count = client.run("SELECT count(*) FROM system.prepared_statements").values();
    assert_eq!(count, [Some(3_i64.to_be_bytes().to_vec())]);
    assert_eq!(client.prepare("INSERT INTO ks.kv (key, value) VALUES (?, ?)").id, insert.id);
    server.stop();
}

#[test]
fn errors_have_the_codes_that_drivers_know() {
    let server = Server::start();
    let mut client = with_table(&server, Version::V4, Compression::None);
    let cases = [
        ("SELEC", ErrorCode::SyntaxError),
        ("SELECT * FROM ks.nothing", ErrorCode::Invalid),
        ("SELECT * FROM nothing.kv", ErrorCode::Invalid),
        (KEYSPACE, ErrorCode::AlreadyExists),
        ("CREATE TABLE ks.kv (key bigint PRIMARY KEY)", ErrorCode::AlreadyExists),
        ("USE nothing", ErrorCode::Invalid),
    ];
    for (text, code) in cases {
        assert_eq!(client.query(text).error().unwrap().0, code, "{text}");
    }
    let unknown = common::Statement { id: vec![1; 16], result_id: vec![] };
    assert_eq!(client.execute(&unknown, &[]).error().unwrap().0, ErrorCode::Unprepared);
    let strong = QueryParameters::new(Consistency::Two);
    let text = "INSERT INTO ks.kv (key, value) VALUES (1, 0x00)";
    let answer = client.call(&Request::Query(Query { text, parameters: strong }));
    assert_eq!(answer.error().unwrap().0, ErrorCode::Unavailable);
    server.stop();
}

#[test]
fn a_batch_writes_all_of_its_statements() {
    let server = Server::start();
    let mut client = with_table(&server, Version::V5, Compression::None);
    let insert = client.prepare("INSERT INTO ks.kv (key, value) VALUES (?, ?)");
    for kind in [BatchKind::Logged, BatchKind::Unlogged] {
        let mut batch = BatchBuilder::new(Version::V5);
        let mut values = ValuesBuilder::new(Version::V5);
        let number = key(kind as i64);
        values.push(Value::Set(&number));
        values.push(Value::Set(b"x"));
        batch.push(&BatchStatement { id: StatementId::Prepared(&insert.id), values: values.values() });
        let text = StatementId::Text("INSERT INTO ks.kv (key, value) VALUES (99, 0x01)");
        batch.push(&BatchStatement { id: text, values: ValuesBuilder::new(Version::V5).values() });
        let parameters = QueryParameters::new(Consistency::One);
        let request = Batch { kind, statements: batch.statements(), parameters };
        assert!(client.call(&Request::Batch(request)).is_void());
    }
    let found = client.run("SELECT key FROM ks.kv");
    assert_eq!(found.values().len(), 3);
    server.stop();
}

#[test]
fn pages_follow_one_another() {
    let server = Server::start();
    let mut client = with_table(&server, Version::V4, Compression::None);
    client.run("CREATE TABLE ks.wide (p int, c int, PRIMARY KEY (p, c))");
    for row in 0..25 {
        client.run(&format!("INSERT INTO ks.wide (p, c) VALUES (1, {row})"));
    }
    let select = client.prepare("SELECT c FROM ks.wide WHERE p = 1");
    let (mut state, mut found): (Option<Vec<u8>>, Vec<i32>) = (None, Vec::new());
    loop {
        let mut parameters = QueryParameters::new(Consistency::One);
        parameters.page_size = Some(10);
        parameters.paging_state = state.as_deref();
        let request =
            dodona_protocol::request::Execute { id: &select.id, result_metadata_id: None, parameters };
        let answer = client.call(&Request::Execute(request));
        let values = answer.values().into_iter().flatten();
        found.extend(values.map(|value| i32::from_be_bytes(value.try_into().unwrap())));
        let Response::Result(ResultResponse::Rows(rows)) = answer.response() else { panic!("{answer:?}") };
        match rows.metadata.paging_state {
            Some(next) => state = Some(next.to_vec()),
            None => break,
        }
    }
    assert_eq!(found, (0..25).collect::<Vec<_>>());
    server.stop();
}

#[test]
fn metadata_is_left_out_only_where_the_client_has_it() {
    for version in [Version::V4, Version::V5] {
        let server = Server::start();
        let mut client = with_table(&server, version, Compression::None);
        client.run("INSERT INTO ks.kv (key, value) VALUES (1, 0x07)");
        let mut select = client.prepare("SELECT * FROM ks.kv");
        let metadata = |client: &mut Client, select: &common::Statement| {
            client.send_execute(select, &[], |parameters| parameters.skip_metadata = true);
            let answer = client.receive().unwrap();
            let Response::Result(ResultResponse::Rows(rows)) = answer.response() else {
                panic!("{answer:?}")
            };
            let id = rows.metadata.new_metadata_id.map(<[u8]>::to_vec);
            (rows.metadata.columns.map(|columns| columns.columns.len()), id)
        };
        assert_eq!(metadata(&mut client, &select), (None, None));
        client.run("ALTER TABLE ks.kv ADD extra int");
        let (columns, id) = metadata(&mut client, &select);
        assert_eq!(columns, Some(3), "it has changed");
        assert_eq!(id.is_some(), version == Version::V5);
        if let Some(id) = id {
            select.result_id = id;
            assert_eq!(metadata(&mut client, &select), (None, None));
        }
        server.stop();
    }
}

#[test]
fn whoever_registered_is_told_of_changes_of_the_schema() {
    let server = Server::start();
    let mut other = Client::connect(server.native, Version::V5, Compression::None);
    let register = Register { event_types: vec![EventType::SchemaChange] };
    assert_eq!(other.call(&Request::Register(register)).response(), Response::Ready);
    let mut client = Client::connect(server.native, Version::V4, Compression::None);
    let answer = client.run(KEYSPACE);
    assert!(matches!(answer.response(), Response::Result(ResultResponse::SchemaChange(_))));
    let event = other.receive().unwrap();
    assert_eq!(event.header.stream, -1);
    let Response::Event(Event::Schema(change)) = event.response() else { panic!("{event:?}") };
    assert_eq!(change.keyspace, "ks");
    server.stop();
}

#[test]
fn use_lasts_for_the_connection() {
    let server = Server::start();
    let mut client = with_table(&server, Version::V4, Compression::None);
    let answer = client.run("USE ks");
    assert!(matches!(answer.response(), Response::Result(ResultResponse::SetKeyspace("ks"))));
    assert!(client.run("SELECT * FROM kv").values().is_empty());
    let mut other = Client::connect(server.native, Version::V4, Compression::None);
    assert_eq!(other.query("SELECT * FROM kv").error().unwrap().0, ErrorCode::Invalid);
    server.stop();
}

#[test]
fn the_tables_that_drivers_read_are_there() {
    let server = Server::start();
    let mut client = Client::connect(server.native, Version::V4, Compression::None);
    let local = client.run("SELECT release_version, rpc_port FROM system.local").values();
    assert_eq!(local[0].as_deref(), Some(&b"5.0.6"[..]));
    assert!(client.run("SELECT * FROM system.peers_v2").values().is_empty());
    assert_eq!(client.run("SELECT address FROM system_views.clients").values().len(), 1);
    server.stop();
}
