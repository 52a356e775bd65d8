//! A node in the process of a test that looks at what it takes.

use dodona_cluster::{Node, NodeSettings};
use dodona_query::{Parameters, Prepared, Processor, Session, system_tables};
use dodona_types::CollectedRows;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// A node, and a client's session on it.
pub(crate) struct Client {
    pub(crate) processor: Arc<Processor>,
    pub(crate) session: Session,
}

impl Client {
    /// Starts a node in the directory, with a keyspace `ks` and in it a table `t` of these columns.
    pub(crate) async fn connect(directory: &Path, settings: NodeSettings, columns: &str) -> Self {
        let settings = NodeSettings { cluster_name: "test".into(), num_tokens: 4, ..settings };
        let env = dodona_env::os::env(directory).unwrap();
        let node = Node::start(env, settings, system_tables::builtin()).unwrap();
        node.spawn_workers();
        let session = Session::new(SocketAddr::from(([127, 0, 0, 1], 1)));
        let client = Self { processor: Processor::new(node), session };
        for text in [
            "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
            &format!("CREATE TABLE ks.t ({columns})"),
        ] {
            let (statement, parameters) = (client.statement(text), Parameters::new());
            let mut rows = CollectedRows::default();
            let made = client.processor.execute(&client.session, &statement, &parameters, &mut rows);
            made.await.unwrap();
        }
        client
    }

    pub(crate) fn statement(&self, text: &str) -> Prepared {
        self.processor.analyse(&self.session, text, None).unwrap()
    }
}

/// Runs a test with the runtime that a server's thread has.
pub(crate) fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}
