//! Text from a client: a statement, a term or a type, or an error with a place in the text; and what the analysers make of a
//! statement on a schema with every kind of column.
#![no_main]

use dodona_cluster::Node;
use dodona_cluster::node::NodeSettings;
use dodona_query::parser::{parse_statement, parse_term, parse_type};
use dodona_query::{Parameters, Processor, Session, system_tables};
use dodona_types::CollectedRows;
use libfuzzer_sys::fuzz_target;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio::runtime::Runtime;

/// Names are short, so that they are soon found.
const SCHEMA: &[&str] = &[
    "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    "USE ks",
    "CREATE TYPE u (f int, g text)",
    "CREATE TABLE t (p int, q text, c int, d frozen<list<int>>, s int static, v int, w text, l list<int>, st set<text>, \
     m map<text, int>, x u, fx frozen<u>, tu tuple<int, text>, ve vector<float, 2>, du duration, ts timestamp, b blob, \
     PRIMARY KEY ((p, q), c, d)) WITH CLUSTERING ORDER BY (c DESC, d ASC)",
    "CREATE TABLE k (k int PRIMARY KEY, v int)",
    "CREATE TABLE n (k int, c int, n counter, PRIMARY KEY (k, c))",
];

/// What belongs to the node goes on living with it.
type Begun = (Runtime, Arc<Processor>, Session);

fn begin() -> Result<Begun, Box<dyn std::error::Error>> {
    // The node's files stay until the fuzzer ends.
    let directory = tempfile::tempdir()?.keep();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (processor, session) = tokio::task::LocalSet::new().block_on(&runtime, async {
        let env = dodona_env::os::env(&directory)?;
        let node = Node::start(env, NodeSettings::default(), system_tables::builtin())?;
        let (processor, session) = (Processor::new(node), Session::new(SocketAddr::from(([127, 0, 0, 1], 1))));
        for text in SCHEMA {
            let statement = processor.analyse(&session, text, None)?;
            processor.execute(&session, &statement, &Parameters::new(), &mut CollectedRows::default()).await?;
        }
        Ok::<_, Box<dyn std::error::Error>>((processor, session))
    })?;
    Ok((runtime, processor, session))
}

fuzz_target!(|input: &[u8]| {
    static NODE: OnceLock<Begun> = OnceLock::new();
    let (_, processor, session) = NODE.get_or_init(|| begin().expect("a node in a directory"));
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Err(error) = parse_statement(text) {
        assert!(!error.to_string().is_empty());
    }
    let _ = parse_term(text);
    let _ = parse_type(text);
    match processor.analyse(session, text, None) {
        Ok(statement) => assert!(statement.markers.len() <= text.len()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
