//! A node in a directory, to run statements on.
#![allow(dead_code, reason = "each test program uses its part")]

use dodona_cluster::Node;
use dodona_cluster::node::NodeSettings;
use dodona_cluster::snapshots::AutoSnapshot;
pub(crate) use dodona_conformance::class_and_message;
use dodona_query::outcome::SchemaEvent;
use dodona_query::{CqlError, Parameters, Processor, Session, StatementResult, system_tables};
use dodona_types::CollectedRows;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// Runs a test with the runtime that a server's thread has.
pub(crate) fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// A node with its processor and one session.
pub(crate) struct TestNode {
    pub(crate) processor: Arc<Processor>,
    pub(crate) session: Session,
}

/// What came of a statement.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The error's class and message.
    Failed(String),
    /// It was done.
    Done { rows: Vec<Vec<Option<Vec<u8>>>>, warnings: Vec<String>, event: Option<SchemaEvent> },
}

impl TestNode {
    /// Starts a node in the directory.
    pub(crate) fn start(directory: &Path) -> Self {
        let env = dodona_env::os::env(directory).unwrap();
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        // Nobody looks at what was dropped.
        let auto_snapshot = AutoSnapshot::default();
        let settings = NodeSettings { cluster_name: "peer".into(), auto_snapshot, ..NodeSettings::default() };
        let node = Node::start(env, settings, system_tables::builtin()).unwrap();
        Self { processor: Processor::new(node), session: Session::new(address(1)) }
    }

    /// Runs a statement.
    pub(crate) async fn run(&self, text: &str) -> Answer {
        let mut sink = CollectedRows::default();
        match self.try_run(text, &mut sink).await {
            Err(error) => Answer::Failed(class_and_message(&error)),
            Ok(outcome) => Answer::Done {
                rows: sink.rows,
                warnings: outcome.warnings,
                event: match outcome.result {
                    StatementResult::SchemaChange(event) => Some(event),
                    _ => None,
                },
            },
        }
    }

    async fn try_run(&self, text: &str, sink: &mut CollectedRows) -> Result<dodona_query::Outcome, CqlError> {
        let statement = self.processor.analyse(&self.session, text, None)?;
        self.processor.execute(&self.session, &statement, &Parameters::new(), sink).await
    }

    /// Runs statements that must succeed, one on each line.
    pub(crate) async fn run_all(&self, statements: &str) {
        for statement in statements.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Answer::Failed(error) = self.run(statement).await {
                panic!("{statement}: {error}");
            }
        }
    }

    /// The names of the columns that a statement gives.
    pub(crate) fn columns(&self, text: &str) -> Vec<String> {
        let statement = self.processor.analyse(&self.session, text, None).unwrap();
        statement.columns.iter().map(|column| column.name.to_string()).collect()
    }

    /// The rows of a statement, values as text.
    pub(crate) async fn rows(&self, statement: &str) -> Vec<Vec<String>> {
        match self.run(statement).await {
            Answer::Failed(error) => panic!("{statement}: {error}"),
            Answer::Done { rows, .. } => {
                let text = |value: Option<Vec<u8>>| {
                    value.map_or("null".into(), |v| String::from_utf8_lossy(&v).into())
                };
                rows.into_iter().map(|row| row.into_iter().map(text).collect()).collect()
            }
        }
    }
}

impl TestNode {
    /// The rows of each page of a statement whose columns are numbers; of one page without `rows`.
    pub(crate) async fn pages(&self, statement: &str, rows: Option<u32>) -> Vec<Vec<Vec<i64>>> {
        let prepared = self.processor.analyse(&self.session, statement, None).unwrap();
        let mut state: Option<Vec<u8>> = None;
        let mut pages = Vec::new();
        loop {
            let mut sink = CollectedRows::default();
            let mut parameters = Parameters::new();
            parameters.page_size = rows;
            parameters.paging_state = state.as_deref();
            let executed = self.processor.execute(&self.session, &prepared, &parameters, &mut sink).await;
            let number = |bytes: Option<Vec<u8>>| {
                bytes.unwrap().iter().fold(0, |sum, byte| (sum << 8) + i64::from(*byte))
            };
            let row = |row: Vec<Option<Vec<u8>>>| row.into_iter().map(number).collect();
            pages.push(sink.rows.into_iter().map(row).collect());
            match executed.unwrap().result {
                StatementResult::Rows { paging_state: Some(next) } => state = Some(next),
                _ => return pages,
            }
        }
    }
}
