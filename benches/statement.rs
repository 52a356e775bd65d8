//! Prepared statements from bound values to the engine and back, without sockets.
#![allow(missing_docs, reason = "criterion makes the functions")]

use criterion::{Criterion, criterion_group, criterion_main};
use dodona_cluster::{Node, NodeSettings};
use dodona_query::statement::Scratch;
use dodona_query::{BoundValue, Parameters, Prepared, Processor, Session, TryExecute, system_tables};
use dodona_types::RowSink;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

const KEYS: i64 = 100_000;

struct Bench {
    processor: Arc<Processor>,
    session: Session,
    scratch: Scratch,
}

/// Counts the bytes that it is given.
#[derive(Default)]
struct Count(usize);

impl RowSink for Count {
    fn value(&mut self, value: Option<&[u8]>) {
        self.0 += value.map_or(0, <[u8]>::len);
    }

    fn end_row(&mut self) {}

    fn bytes_written(&self) -> usize {
        self.0
    }
}

impl Bench {
    fn new(directory: &Path) -> Self {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let settings = NodeSettings { cluster_name: "bench".into(), ..NodeSettings::default() };
        let env = dodona_env::os::env(directory).expect("a directory");
        let node = Node::start(env, settings, system_tables::builtin()).expect("a node");
        let mut bench = Self {
            processor: Processor::new(node),
            session: Session::new(address(1)),
            scratch: Scratch::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        for text in [
            "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
            "CREATE TABLE ks.kv (key bigint PRIMARY KEY, value blob)",
        ] {
            let statement = bench.prepare(text);
            let (parameters, mut count) = (Parameters::new(), Count::default());
            let executed = bench.processor.execute(&bench.session, &statement, &parameters, &mut count);
            runtime.block_on(executed).expect("a definition");
        }
        let insert = bench.prepare("INSERT INTO ks.kv (key, value) VALUES (?, ?)");
        for key in 0..KEYS {
            bench.execute(&insert, key, true);
        }
        bench
    }

    fn prepare(&self, text: &str) -> Arc<Prepared> {
        self.processor.prepare(&self.session, text, None).expect("a statement")
    }

    fn execute(&mut self, statement: &Prepared, key: i64, with_value: bool) -> usize {
        let key = key.to_be_bytes();
        let values = [BoundValue::Bytes(&key), BoundValue::Bytes(&[7; 100])];
        let values = if with_value { &values[..] } else { &values[..1] };
        let parameters = Parameters { values, ..Parameters::new() };
        let mut count = Count::default();
        let done =
            self.processor.try_execute(&self.session, statement, &parameters, &mut self.scratch, &mut count);
        assert!(matches!(done, Ok(TryExecute::Done(_))), "{done:?}");
        count.0
    }
}

fn statements(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut bench = Bench::new(directory.path());
    let mut group = criterion.benchmark_group("prepared, 100,000 keys, 100 bytes");
    let insert = bench.prepare("INSERT INTO ks.kv (key, value) VALUES (?, ?)");
    let select = bench.prepare("SELECT value FROM ks.kv WHERE key = ?");
    let mut key = 0;
    group.bench_function("insert", |bencher| {
        bencher.iter(|| {
            key = (key + 7_919) % KEYS;
            bench.execute(&insert, key, true)
        });
    });
    group.bench_function("select", |bencher| {
        bencher.iter(|| {
            key = (key + 7_919) % KEYS;
            let bytes = bench.execute(&select, key, false);
            assert_eq!(bytes, 100);
        });
    });
    group.finish();
}

criterion_group!(benches, statements);
criterion_main!(benches);
