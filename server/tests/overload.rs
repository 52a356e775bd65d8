//! Too much at once, slow readers and many idle clients.

mod common;

use common::{Client, Server};
use dodona_protocol::request::{Query, QueryParameters, Startup};
use dodona_protocol::{Compression, ErrorCode, Request, Response, Value, Version};
use dodona_types::Consistency;

const KEYSPACE: &str =
    "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}";

/// The errors, if any, of twenty traced requests that come in one read. Each is answered in a task of its
/// own.
fn traced_at_once(client: &mut Client) -> Vec<Option<(ErrorCode, String)>> {
    let parameters = QueryParameters::new(Consistency::One);
    let query = Request::Query(Query { text: "SELECT key FROM system.local", parameters });
    client.hold();
    for _ in 0..20 {
        client.send(&query, true);
    }
    client.release();
    (0..20).map(|_| client.receive().unwrap().error()).collect()
}

#[test]
fn only_who_asked_for_it_is_told_that_there_is_too_much_to_do() {
    let server = Server::with(|settings| settings.max_bytes_in_flight_per_connection = 1);
    for throws in [false, true] {
        let mut client = Client::raw(server.native, Version::V4);
        let options: &[_] = if throws { &[(Startup::THROW_ON_OVERLOAD, "1")] } else { &[] };
        assert_eq!(client.startup(Compression::None, options).response(), Response::Ready);
        let answers = traced_at_once(&mut client);
        let overloaded = answers.iter().flatten().filter(|(code, _)| *code == ErrorCode::Overloaded).count();
        let failed = answers.iter().flatten().count();
        assert_eq!(failed, overloaded);
        assert_eq!(overloaded > 0, throws, "{overloaded} of 20");
        assert_eq!(client.query("SELECT key FROM system.local").error(), None);
    }
    server.stop();
}

#[test]
fn requests_wait_for_their_turn_and_are_refused_once_they_have_waited_too_long() {
    for (patience, refuses) in [(5_000, false), (0, true)] {
        let server = Server::with(|settings| {
            settings.max_concurrent_requests = 1;
            settings.read_timeout_ms = patience;
        });
        let mut client = Client::connect(server.native, Version::V4, Compression::None);
        let answers = traced_at_once(&mut client);
        let refused = answers.iter().flatten().filter(|(code, _)| *code == ErrorCode::Overloaded).count();
        assert_eq!((answers.iter().flatten().count(), refused > 0), (refused, refuses), "{answers:?}");
        server.stop();
    }
}

#[test]
fn a_client_that_does_not_read_is_not_read_from_and_loses_nothing() {
    const REQUESTS: i16 = 900;
    let server = Server::with(|settings| settings.max_bytes_in_flight = Some(4 << 20));
    for version in [Version::V4, Version::V5] {
        let mut client = Client::connect(server.native, version, Compression::None);
        client.query(KEYSPACE);
        client.run("CREATE TABLE IF NOT EXISTS ks.kv (key bigint PRIMARY KEY, value blob)");
        let insert = client.prepare("INSERT INTO ks.kv (key, value) VALUES (?, ?)");
        let select = client.prepare("SELECT value FROM ks.kv WHERE key = ?");
        let value = vec![5; 60_000];
        client.execute(&insert, &[Value::Set(&1_i64.to_be_bytes()), Value::Set(&value)]);
        client.next_stream = 0;
        // 54 MB of answers are more than socket buffers take: all is sent before any is read.
        for _ in 0..REQUESTS {
            client.send_execute(&select, &[Value::Set(&1_i64.to_be_bytes())], |_| {});
        }
        let mut seen = vec![false; REQUESTS as usize];
        for _ in 0..REQUESTS {
            let answer = client.receive().unwrap();
            assert_eq!(answer.values()[0].as_ref().map(Vec::len), Some(60_000));
            assert!(!std::mem::replace(&mut seen[answer.header.stream as usize], true));
        }
    }
    server.stop();
}

#[test]
fn clients_that_are_idle_are_counted_and_do_not_stop_others_or_a_stop() {
    let server = Server::start();
    let idle: Vec<Client> =
        (0..200).map(|_| Client::connect(server.native, Version::V5, Compression::None)).collect();
    let mut client = Client::connect(server.native, Version::V5, Compression::None);
    assert_eq!(client.run("SELECT key FROM system.local").values().len(), 1);
    assert!(server.http("GET", "/metrics").contains("dodona_connections 201"));
    server.stop();
    drop(idle);
}
