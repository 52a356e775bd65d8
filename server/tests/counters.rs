//! Counters over sockets.

mod common;

use common::{Client, Server};
use dodona_protocol::request::{
    Batch, BatchBuilder, BatchKind, BatchStatement, QueryParameters, StatementId, ValuesBuilder,
};
use dodona_protocol::{Compression, ErrorCode, Request, Value, Version};
use dodona_types::Consistency;

const KEYSPACE: &str =
    "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}";
const TABLE: &str = "CREATE TABLE ks.c (k int PRIMARY KEY, n counter)";

fn connect(server: &Server) -> Client {
    Client::connect(server.native, Version::V5, Compression::None)
}

fn value_of(client: &mut Client) -> i64 {
    let values = client.run("SELECT n FROM ks.c WHERE k = 1").values();
    i64::from_be_bytes(values[0].clone().unwrap().try_into().unwrap())
}

#[test]
fn many_clients_count_and_nothing_is_lost_over_restarts() {
    const CLIENTS: i64 = 4;
    const EACH: i64 = 100;
    let mut server = Server::start();
    let mut client = connect(&server);
    client.run(KEYSPACE);
    client.run(TABLE);
    for life in 1..=3 {
        let mut clients: Vec<Client> = (0..CLIENTS).map(|_| connect(&server)).collect();
        std::thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(move || {
                    let add = client.prepare("UPDATE ks.c SET n = n + ? WHERE k = 1");
                    for _ in 0..EACH {
                        let one = 1_i64.to_be_bytes();
                        assert_eq!(client.execute(&add, &[Value::Set(&one)]).error(), None);
                    }
                });
            }
        });
        drop(clients);
        server = Server::open(server.stop(), |_| {});
        assert_eq!(value_of(&mut connect(&server)), life * CLIENTS * EACH);
    }
    server.stop();
}

#[test]
fn a_counter_batch_of_the_protocol_adds_up() {
    let server = Server::start();
    let mut client = connect(&server);
    client.run(KEYSPACE);
    client.run(TABLE);
    let add = client.prepare("UPDATE ks.c SET n = n + ? WHERE k = 1");
    let mut batch = |kind| {
        let mut builder = BatchBuilder::new(Version::V5);
        for delta in [2_i64, -7] {
            let mut values = ValuesBuilder::new(Version::V5);
            values.push(Value::Set(&delta.to_be_bytes()));
            builder.push(&BatchStatement { id: StatementId::Prepared(&add.id), values: values.values() });
        }
        let parameters = QueryParameters::new(Consistency::One);
        client.call(&Request::Batch(Batch { kind, statements: builder.statements(), parameters }))
    };
    assert!(batch(BatchKind::Counter).is_void());
    assert!(batch(BatchKind::Unlogged).is_void());
    let (code, message) = batch(BatchKind::Logged).error().unwrap();
    assert_eq!(code, ErrorCode::Invalid);
    assert_eq!(message, "Cannot include a counter statement in a logged batch");
    assert_eq!(value_of(&mut client), -10);
    server.stop();
}
