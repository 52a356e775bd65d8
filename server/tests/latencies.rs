//! What requests of clients take is told by table: by `system_views`, and to operators.

mod common;

use common::{Client, Server};
use dodona_protocol::request::{
    Batch, BatchBuilder, BatchKind, BatchStatement, QueryParameters, StatementId, ValuesBuilder,
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
