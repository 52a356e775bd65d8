//! What requests of clients take is told by table: by `system_views`, and to operators.

mod common;

use common::{Client, Server};
use dodona_protocol::request::{
    Batch, BatchBuilder, BatchKind, BatchStatement, Query, QueryParameters, StatementId, ValuesBuilder,
};
use dodona_protocol::{Compression, Request, Value, Version};
use dodona_server::settings::CommitLogSync;
use dodona_types::Consistency;

/// Count and median in milliseconds of a table in a view.
fn told(client: &mut Client, view: &str) -> (i64, f64) {
    let answer = client.run(&format!(
        "SELECT count, p50th_ms FROM system_views.{view}_latency WHERE keyspace_name = 'ks' AND table_name = 'kv'"
    ));
    let values = answer.values();
    let bytes = |value: &Option<Vec<u8>>| -> [u8; 8] { value.clone().unwrap().try_into().unwrap() };
    (i64::from_be_bytes(bytes(&values[0])), f64::from_be_bytes(bytes(&values[1])))
}

#[test]
fn requests_are_counted_by_table_however_they_come() {
    let server = Server::start();
    let mut client = Client::connect(server.native, Version::V5, Compression::None);
    client.run("CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    client.run("CREATE TABLE ks.kv (key bigint PRIMARY KEY, value blob)");
    client.run("CREATE TABLE ks.other (key bigint PRIMARY KEY)");
    for view in ["coordinator_read", "coordinator_scan", "coordinator_write"] {
        assert_eq!(told(&mut client, view), (0, 0.0), "{view}");
    }
    let insert = client.prepare("INSERT INTO ks.kv (key, value) VALUES (?, ?)");
    for number in 0..10_i64 {
        client.execute(&insert, &[Value::Set(&number.to_be_bytes()), Value::Set(&[7; 10])]);
    }
    client.run("DELETE FROM ks.kv WHERE key = 100");
    client.run("BEGIN BATCH DELETE FROM ks.kv WHERE key = 101; DELETE FROM ks.kv WHERE key = 102; DELETE FROM ks.other WHERE key = 1; APPLY BATCH");
    // One that has to wait for Paxos, one of the protocol's batches, and one that is refused.
    client.run("INSERT INTO ks.kv (key, value) VALUES (1, 0x00) IF NOT EXISTS");
    let (mut batch, values) = (BatchBuilder::new(Version::V5), ValuesBuilder::new(Version::V5));
    for text in ["DELETE FROM ks.kv WHERE key = 103", "DELETE FROM ks.kv WHERE key = 104"] {
        batch.push(&BatchStatement { id: StatementId::Text(text), values: values.values() });
    }
    let (kind, parameters) = (BatchKind::Logged, QueryParameters::new(Consistency::One));
    let request = Batch { kind, statements: batch.statements(), parameters };
    assert!(client.call(&Request::Batch(request)).is_void());
    assert!(client.query("INSERT INTO ks.kv (key) VALUES ('x')").error().is_some());
    for _ in 0..4 {
        client.run("SELECT * FROM ks.kv WHERE key IN (1, 2)");
    }
    client.run("SELECT count(*) FROM ks.kv");
    for (view, count) in [("coordinator_write", 14), ("coordinator_read", 4), ("coordinator_scan", 1)] {
        let (found, median) = told(&mut client, view);
        assert_eq!(found, count, "{view}");
        assert!(median > 0.0 && median < 10_000.0, "{view}: {median}");
    }
    let other = client.run("SELECT count FROM system_views.coordinator_write_latency WHERE keyspace_name = 'ks' AND table_name = 'other'");
    assert_eq!(other.values(), [Some(1_i64.to_be_bytes().to_vec())]);

    let statistics = server.http("GET", "/api/v1/tablestats?keyspace=ks&table=kv");
    let (_, json) = statistics.split_once("\r\n\r\n").unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    let table = &json["tables"][0];
    // Each partition of an IN is a read, and each row of a batch a write.
    assert_eq!(table["scans"]["count"], 1, "{table}");
    assert!(table["reads"]["count"].as_u64() >= Some(8), "{table}");
    assert!(table["writes"]["count"].as_u64() >= Some(15), "{table}");
    assert!(table["writes"]["mean_nanos"].as_f64() > Some(0.0), "{table}");
    let histograms = server.http("GET", "/api/v1/tablehistograms?keyspace=ks&table=kv");
    let (_, json) = histograms.split_once("\r\n\r\n").unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    let nanos = json["tables"][0]["write_nanos"].as_array().unwrap();
    assert_eq!(nanos.len(), 7, "{json}");
    assert!(nanos.iter().all(|nanos| nanos.as_u64() > Some(0)), "{json}");
    server.stop();
}

#[test]
fn a_write_takes_until_the_log_has_it() {
    let server = Server::with(|settings| {
        settings.commit_log_sync = CommitLogSync::Group;
        settings.commit_log_group_window_ms = 30;
    });
    let mut client = Client::connect(server.native, Version::V4, Compression::None);
    client.run("CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    client.run("CREATE TABLE ks.kv (key bigint PRIMARY KEY, value blob)");
    for key in 0..5 {
        client.run(&format!("INSERT INTO ks.kv (key) VALUES ({key})"));
    }
    let (count, median) = told(&mut client, "coordinator_write");
    assert!(count == 5 && median >= 5.0, "{count}: {median} ms");
    // The memtable has it long before.
    assert!(told(&mut client, "local_write").1 < median / 2.0);
    server.stop();
}

#[test]
fn requests_that_wait_are_shown_and_statements_counted() {
    let server = Server::with(|settings| settings.max_concurrent_requests = 1);
    let mut client = Client::connect(server.native, Version::V5, Compression::None);
    assert!(client.run("SELECT * FROM system_views.queries").values().is_empty());
    // Those that are traced are tasks of their own: each sees itself, and those behind it.
    let text = "SELECT task, running_micros FROM system_views.queries";
    let query = Request::Query(Query { text, parameters: QueryParameters::new(Consistency::One) });
    client.hold();
    for _ in 0..20 {
        client.send(&query, true);
    }
    client.release();
    let (mut own, mut waiting) = (0, 0);
    for _ in 0..20 {
        let values = client.receive().unwrap().values();
        for row in values.chunks(2) {
            let task = row[0].clone().unwrap();
            let running = i64::from_be_bytes(row[1].clone().unwrap().try_into().unwrap());
            if task == format!("QUERY {text} at consistency ONE").as_bytes() {
                own += 1;
            } else {
                assert_eq!((&task[..], running), (&b"QUERY"[..], 0));
                waiting += 1;
            }
        }
    }
    assert_eq!(own, 20);
    assert!(waiting > 0);
    assert!(client.run("SELECT * FROM system_views.queries").values().is_empty());
    let statement = client.prepare("SELECT key FROM system.local");
    (0..3).for_each(|_| drop(client.execute(&statement, &[])));
    let mut executed = |name: &str| {
        let of =
            format!("SELECT value FROM system_views.cql_metrics WHERE name = '{name}_statements_executed'");
        f64::from_be_bytes(client.run(&of).values()[0].clone().unwrap().try_into().unwrap())
    };
    assert_eq!((executed("prepared"), executed("regular")), (3.0, 24.0));
    server.stop();
}

#[test]
fn operators_are_told_how_long_requests_of_each_kind_took() {
    let server = Server::start();
    let mut client = Client::connect(server.native, Version::V5, Compression::None);
    client.run("CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    client.run("CREATE TABLE ks.kv (key bigint PRIMARY KEY, value blob)");
    let told = |kind: &str| {
        let answer = server.http("GET", "/api/v1/proxyhistograms");
        let body: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        // The greatest is the last.
        body[format!("{kind}_nanos")].as_array().unwrap()[6].as_u64().unwrap()
    };
    let kinds = ["read", "write", "scan", "conditional_read", "conditional_write"];
    assert!(kinds.iter().all(|kind| told(kind) == 0));
    let serial = QueryParameters::new(Consistency::Serial);
    client.run("INSERT INTO ks.kv (key, value) VALUES (1, 0x00)");
    assert_eq!(kinds.map(|kind| told(kind) > 0), [false, true, false, false, false]);
    client.run("INSERT INTO ks.kv (key, value) VALUES (2, 0x00) IF NOT EXISTS");
    assert_eq!(kinds.map(|kind| told(kind) > 0), [false, true, false, false, true]);
    client.run("SELECT * FROM ks.kv");
    assert_eq!(kinds.map(|kind| told(kind) > 0), [false, true, true, false, true]);
    client.run("SELECT * FROM ks.kv WHERE key = 1");
    assert_eq!(kinds.map(|kind| told(kind) > 0), [true, true, true, false, true]);
    let text = "SELECT * FROM ks.kv WHERE key = 1";
    assert_eq!(client.call(&Request::Query(Query { text, parameters: serial })).error(), None);
    assert!(kinds.iter().all(|kind| told(kind) > 0));
    server.stop();
}
