//! Which consistency levels statements take, and what is said of the others, as Apache Cassandra 5.0.6 has it.

mod common;

use common::{TestNode, class_and_message, local};
use dodona_query::{Parameters, Session};
use dodona_types::{CollectedRows, Consistency};
use std::net::SocketAddr;

const STATEMENTS: [&str; 7] = [
    "SELECT * FROM es.t WHERE k = 1",
    "SELECT * FROM es.t WHERE k IN (1, 2)",
    "SELECT * FROM es.t",
    "INSERT INTO es.t (k, v) VALUES (1, 1)",
    "UPDATE es.n SET v = v + 1 WHERE k = 1",
    "INSERT INTO es.t (k, v) VALUES (1, 1) IF NOT EXISTS",
    "INSERT INTO eq.t (k, v) VALUES (1, 1) IF NOT EXISTS",
];

const OK: &str = "done";
const WRITES_ONLY: &str = "Invalid: ANY ConsistencyLevel is only supported for writes";
const ONE_PARTITION: &str =
    "Invalid: SERIAL/LOCAL_SERIAL consistency may only be requested for one partition at a time";
const CONDITIONAL_ONLY: &str = "Invalid: You must use conditional updates for serializable writes";
const NOT_SERIAL: &str = "Invalid: Counter operations are inherently non-serializable";
const NO_COUNTER: &str = "Invalid: Consistency level ANY is not yet supported for counter table n";
const NOT_EACH: &str = "Invalid: consistency level EACH_QUORUM not compatible with replication strategy (org.apache.cassandra.locator.SimpleStrategy)";

#[test]
fn statements_take_the_levels_that_cassandra_takes() {
    local(async {
        let directory = tempfile::tempdir().unwrap();
        let node = TestNode::start(directory.path());
        node.run_all(
            "CREATE KEYSPACE es WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
             CREATE KEYSPACE eq WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 1}
             CREATE TABLE es.t (k int PRIMARY KEY, v int)
             CREATE TABLE eq.t (k int PRIMARY KEY, v int)
             CREATE TABLE es.n (k int PRIMARY KEY, v counter)",
        )
        .await;
        let no_commit = |level| {
            format!(
                "Invalid: {level} is not supported as conditional update commit consistency. Use ANY if you mean \
                 \"make sure it is accepted but I don't care how many replicas commit it for non-SERIAL reads\""
            )
        };
        let (serial, local_serial) = (no_commit("SERIAL"), no_commit("LOCAL_SERIAL"));
        for (level, expected) in [
            (Consistency::EachQuorum, [OK, OK, OK, OK, OK, NOT_EACH, OK]),
            (Consistency::Any, [WRITES_ONLY, WRITES_ONLY, WRITES_ONLY, OK, NO_COUNTER, OK, OK]),
            (
                Consistency::Serial,
                [OK, ONE_PARTITION, OK, CONDITIONAL_ONLY, NOT_SERIAL, serial.as_str(), serial.as_str()],
            ),
            (
                Consistency::LocalSerial,
                [
                    OK,
                    ONE_PARTITION,
                    OK,
                    CONDITIONAL_ONLY,
                    NOT_SERIAL,
                    local_serial.as_str(),
                    local_serial.as_str(),
                ],
            ),
        ] {
            for (text, expected) in STATEMENTS.iter().zip(expected) {
                assert_eq!(answer(&node, text, level).await, expected, "{text} at {level}");
            }
        }
    });
}

async fn answer(node: &TestNode, text: &str, consistency: Consistency) -> String {
    let session = Session::new(SocketAddr::from(([127, 0, 0, 1], 1)));
    let parameters = Parameters { consistency, ..Parameters::new() };
    let statement = node.processor.analyse(&session, text, None).unwrap();
    let done = node.processor.execute(&session, &statement, &parameters, &mut CollectedRows::default()).await;
    done.map_or_else(|error| class_and_message(&error), |_| OK.to_owned())
}
