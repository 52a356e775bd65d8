//! What traced requests leave behind, whether a client asks for it or a share of all is traced.

mod common;

use common::{Answer, Client, Server};
use dodona_protocol::request::{
    Batch, BatchBuilder, BatchKind, BatchStatement, Execute, Prepare, Query, QueryParameters, StatementId,
    ValuesBuilder,
};
use dodona_protocol::{Compression, Request, Value, Version};
use dodona_types::value::wire_to_literal;
use dodona_types::{Consistency, CqlType};

fn connected(server: &Server) -> Client {
    let mut client = Client::connect(server.native, Version::V5, Compression::None);
    client.run("CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    client.run("CREATE TABLE ks.kv (key bigint PRIMARY KEY, value text)");
    client
}

fn traced(client: &mut Client, request: &Request<'_>) -> Answer {
    client.send(request, true);
    client.receive().unwrap()
}

fn text(value: Option<&Vec<u8>>) -> String {
    String::from_utf8(value.cloned().unwrap()).unwrap()
}

/// The kind of a traced request, and its parameters as a literal.
fn session(client: &mut Client, answer: &Answer) -> (String, String) {
    let id = answer.tracing_id().unwrap();
    let of = format!("FROM system_traces.sessions WHERE session_id = {id} AND duration > 0 ALLOW FILTERING");
    let values = client.run(&format!("SELECT request, parameters {of}")).values();
    let map = CqlType::Map { key: CqlType::Text.into(), value: CqlType::Text.into(), frozen: false };
    (text(values[0].as_ref()), wire_to_literal(&map, values[1].as_deref()).unwrap())
}

/// What was done for a traced request, in its order.
fn activities(client: &mut Client, answer: &Answer) -> Vec<String> {
    let id = answer.tracing_id().unwrap();
    let events = client.run(&format!("SELECT activity FROM system_traces.events WHERE session_id = {id}"));
    events.values().iter().map(|value| text(value.as_ref())).collect()
}

fn sessions(client: &mut Client) -> i64 {
    let count = client.run("SELECT count(*) FROM system_traces.sessions").values();
    i64::from_be_bytes(count[0].clone().unwrap().try_into().unwrap())
}

#[test]
fn a_traced_request_is_told_with_what_it_asked_for() {
    let server = Server::start();
    let mut client = connected(&server);
    let one = || QueryParameters::new(Consistency::One);
    let parameters = QueryParameters { page_size: Some(100), ..one() };
    let select = traced(&mut client, &Request::Query(Query { text: "SELECT * FROM ks.kv", parameters }));
    let levels = "'consistency_level': 'ONE'";
    let serial = "'serial_consistency_level': 'SERIAL'";
    let (request, parameters) = session(&mut client, &select);
    assert_eq!(request, "Execute CQL3 query");
    assert_eq!(
        parameters,
        format!("{{{levels}, 'page_size': '100', 'query': 'SELECT * FROM ks.kv', {serial}}}")
    );
    let events = activities(&mut client, &select);
    assert_eq!(events[..2], ["Parsing SELECT * FROM ks.kv", "Parsed and planned"]);
    assert!(events.len() > 3, "{events:?}");

    let insert = "INSERT INTO ks.kv (key, value) VALUES (?, ?)";
    let prepare = traced(&mut client, &Request::Prepare(Prepare { text: insert, keyspace: None }));
    let query = format!("'query': '{insert}'");
    assert_eq!(session(&mut client, &prepare), ("Preparing CQL3 query".into(), format!("{{{query}}}")));
    let statement = client.prepare(insert);
    let mut values = ValuesBuilder::new(Version::V5);
    values.push(Value::Set(&7_i64.to_be_bytes()));
    values.push(Value::Set(&[b'x'; 2_000]));
    let parameters = QueryParameters { values: values.values(), ..one() };
    let execute = Execute { id: &statement.id, result_metadata_id: Some(&statement.result_id), parameters };
    let execute = traced(&mut client, &Request::Execute(execute));
    let (request, parameters) = session(&mut client, &execute);
    assert_eq!(request, "Execute CQL3 prepared query");
    // The literal of a literal.
    let bound = format!("'bound_var_0_key': '7', 'bound_var_1_value': '''{}...'''", "x".repeat(999));
    assert_eq!(parameters, format!("{{{bound}, {levels}, {query}, {serial}}}"));

    let (mut batch, values) = (BatchBuilder::new(Version::V5), ValuesBuilder::new(Version::V5));
    let delete = StatementId::Text("DELETE FROM ks.kv WHERE key = 103");
    batch.push(&BatchStatement { id: delete, values: values.values() });
    let batch = Batch { kind: BatchKind::Logged, statements: batch.statements(), parameters: one() };
    let batch = traced(&mut client, &Request::Batch(batch));
    let (request, parameters) = session(&mut client, &batch);
    assert_eq!(request, "Execute batch of CQL3 queries");
    assert_eq!(parameters, format!("{{{levels}, {serial}}}"));

    // What cannot be parsed leaves a trace as well.
    let wrong = traced(&mut client, &Request::Query(Query { text: "SELECT", parameters: one() }));
    assert!(wrong.error().is_some());
    assert_eq!(session(&mut client, &wrong).0, "Execute CQL3 query");
    let events = activities(&mut client, &wrong);
    assert!(events.last().unwrap().starts_with("Failed: line 0:-1"), "{events:?}");
    assert_eq!(sessions(&mut client), 5);
    server.stop();
}

#[test]
fn a_share_of_all_requests_is_traced() {
    let server = Server::start();
    let mut client = connected(&server);
    for wrong in ["", "?probability=1.5", "?probability=-1", "?probability=NaN"] {
        let answer = server.http("POST", &format!("/api/v1/traceprobability{wrong}"));
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    assert!(server.http("GET", "/api/v1/traceprobability").ends_with("{\"probability\":0.0}"));
    let share = |probability: &str| {
        server.http("POST", &format!("/api/v1/traceprobability?probability={probability}"));
        let answer = server.http("GET", "/api/v1/traceprobability");
        assert!(answer.ends_with(&format!("{{\"probability\":{probability}}}")), "{answer}");
    };
    let run = |client: &mut Client| {
        for key in 0..400 {
            let answer = client.run(&format!("INSERT INTO ks.kv (key, value) VALUES ({key}, 'v')"));
            assert_eq!(answer.tracing_id(), None);
        }
    };
    run(&mut client);
    assert_eq!(sessions(&mut client), 0);
    share("0.5");
    run(&mut client);
    share("0.0");
    let traced = sessions(&mut client);
    assert!((140..260).contains(&traced), "{traced}");
    let done = client.run("SELECT count(*) FROM ks.kv").values();
    assert_eq!(done, [Some(400_i64.to_be_bytes().to_vec())]);
    run(&mut client);
    assert_eq!(sessions(&mut client), traced);
    server.stop();
}
