//! Conditional statements and SERIAL reads over sockets.

mod common;

use common::{Client, Server};
use dodona_protocol::request::{
    Batch, BatchBuilder, BatchKind, BatchStatement, Query, QueryParameters, StatementId, ValuesBuilder,
};
use dodona_protocol::{Compression, ErrorCode, Request, Value, Version};
use dodona_types::Consistency;

const KEYSPACE: &str =
    "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}";
const TABLE: &str = "CREATE TABLE ks.t (k int PRIMARY KEY, v int)";

fn connect(server: &Server, version: Version) -> Client {
    Client::connect(server.native, version, Compression::None)
}

fn int(value: i32) -> Option<Vec<u8>> {
    Some(value.to_be_bytes().to_vec())
}

#[test]
fn answers_carry_their_own_columns_in_every_version() {
    for version in Version::ALL {
        let server = Server::start();
        let mut client = connect(&server, version);
        client.run(KEYSPACE);
        client.run(TABLE);
        let insert = client.prepare("INSERT INTO ks.t (k, v) VALUES (?, ?) IF NOT EXISTS");
        let (one, ten) = (1_i32.to_be_bytes(), 10_i32.to_be_bytes());
        let values = [Value::Set(&one), Value::Set(&ten)];
        assert_eq!(client.execute(&insert, &values).values(), [Some(vec![1])]);
        let refused = client.execute(&insert, &values);
        assert_eq!(refused.values(), [Some(vec![0]), int(1), int(10)]);
        let update = client.prepare("UPDATE ks.t SET v = ? WHERE k = ? IF v = ?");
        let twelve = 12_i32.to_be_bytes();
        let values = [Value::Set(&twelve), Value::Set(&one), Value::Set(&twelve)];
        // A client that skips metadata still gets those that no PREPARE could tell.
        client.send_execute(&update, &values, |parameters| parameters.skip_metadata = true);
        assert_eq!(client.receive().unwrap().values(), [Some(vec![0]), int(10)]);
        server.stop();
    }
}

#[test]
fn levels_are_checked() {
    let server = Server::start();
    let mut client = connect(&server, Version::V4);
    client.run(KEYSPACE);
    client.run(TABLE);
    client.run("INSERT INTO ks.t (k, v) VALUES (1, 5)");
    let mut at = |text: &str, consistency, serial| {
        let mut parameters = QueryParameters::new(consistency);
        parameters.serial_consistency = Some(serial);
        client.call(&Request::Query(Query { text, parameters }))
    };
    let (serial, local) = (Consistency::Serial, Consistency::LocalSerial);
    assert_eq!(at("SELECT v FROM ks.t WHERE k = 1", serial, serial).values(), [int(5)]);
    assert_eq!(at("SELECT v FROM ks.t WHERE k = 1", local, serial).values(), [int(5)]);
    // A scan agrees with nobody, and is taken.
    assert_eq!(at("SELECT v FROM ks.t", serial, serial).values(), [int(5)]);
    for (text, consistency, expected) in [
        (
            "SELECT v FROM ks.t WHERE k IN (1, 2)",
            serial,
            "SERIAL/LOCAL_SERIAL consistency may only be requested for one partition at a time",
        ),
        (
            "UPDATE ks.t SET v = 1 WHERE k = 1",
            serial,
            "You must use conditional updates for serializable writes",
        ),
    ] {
        let (code, message) = at(text, consistency, serial).error().unwrap();
        assert_eq!((code, message.as_str()), (ErrorCode::Invalid, expected), "{text}");
    }
    let (code, _) = at("UPDATE ks.t SET v = 1 WHERE k = 1 IF v = 5", serial, serial).error().unwrap();
    assert_eq!(code, ErrorCode::Invalid);
    server.stop();
}

#[test]
fn a_batch_of_the_protocol_is_conditional_when_one_of_its_statements_is() {
    let server = Server::start();
    let mut client = connect(&server, Version::V4);
    client.run(KEYSPACE);
    client.run("CREATE TABLE ks.w (p int, c int, v int, PRIMARY KEY (p, c))");
    let insert = client.prepare("INSERT INTO ks.w (p, c, v) VALUES (1, ?, 7) IF NOT EXISTS");
    let mut batch = |rows: [i32; 2]| {
        let mut builder = BatchBuilder::new(Version::V4);
        for row in rows {
            let mut values = ValuesBuilder::new(Version::V4);
            values.push(Value::Set(&row.to_be_bytes()));
            let id = StatementId::Prepared(&insert.id);
            builder.push(&BatchStatement { id, values: values.values() });
        }
        let parameters = QueryParameters::new(Consistency::One);
        let request = Batch { kind: BatchKind::Logged, statements: builder.statements(), parameters };
        client.call(&Request::Batch(request)).values()
    };
    assert_eq!(batch([1, 2]), [Some(vec![1])]);
    assert_eq!(batch([2, 3]), [Some(vec![0]), int(1), int(2), int(7)]);
    assert_eq!(client.run("SELECT c FROM ks.w").values(), [int(1), int(2)]);
    server.stop();
}

#[test]
fn counting_by_conditions_loses_nothing() {
    const CLIENTS: i32 = 4;
    const EACH: i32 = 25;
    let server = Server::start();
    let mut client = connect(&server, Version::V4);
    client.run(KEYSPACE);
    client.run(TABLE);
    client.run("INSERT INTO ks.t (k, v) VALUES (1, 0) IF NOT EXISTS");
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| connect(&server, Version::V4)).collect();
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(move || {
                let mut known = 0;
                let mut counted = 0;
                while counted < EACH {
                    let text = format!("UPDATE ks.t SET v = {} WHERE k = 1 IF v = {known}", known + 1);
                    let values = client.run(&text).values();
                    if values[0] == Some(vec![1]) {
                        counted += 1;
                        known += 1;
                    } else {
                        let found = values[1].clone().unwrap();
                        known = i32::from_be_bytes(found.try_into().unwrap());
                    }
                }
            });
        }
    });
    assert_eq!(client.run("SELECT v FROM ks.t WHERE k = 1").values(), [int(CLIENTS * EACH)]);
    server.stop();
}
