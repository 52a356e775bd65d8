//! The tables that are loaded, and the statements on them.

use dodona_protocol::request::{Prepare, Query, QueryParameters};
use dodona_protocol::response::ResultResponse;
use dodona_protocol::{Request, Response};
use dodona_types::Consistency;

use super::link::Link;
use super::operation::OperationKind;
use super::{BenchArgs, BenchError};

/// A prepared statement.
#[derive(Clone, Debug, Default)]
pub(super) struct Statement {
    pub(super) id: Vec<u8>,
    pub(super) result_metadata_id: Vec<u8>,
}

/// The prepared statement of every kind of operation.
#[derive(Clone, Debug)]
pub(super) struct Statements {
    by_kind: [Statement; OperationKind::ALL.len()],
}

impl Statements {
    pub(super) const fn of(&self, kind: OperationKind) -> &Statement {
        &self.by_kind[kind as usize]
    }
}

/// Makes keyspace and tables on a connection if there are none.
pub(super) async fn define(link: &mut Link, args: &BenchArgs) -> Result<(), BenchError> {
    let keyspace = &args.keyspace;
    let definitions = [
        format!(
            "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
             {{'class': 'SimpleStrategy', 'replication_factor': {}}}",
            args.replication_factor
        ),
        format!("CREATE TABLE IF NOT EXISTS {keyspace}.kv (key bigint PRIMARY KEY, value blob)"),
        format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.wide \
             (key bigint, seq int, value blob, PRIMARY KEY (key, seq))"
        ),
    ];
    for text in &definitions {
        let parameters = QueryParameters::new(Consistency::One);
        let accept = |response: &Response<'_>| matches!(response, Response::Result(_)).then_some(());
        link.call("a definition", &Request::Query(Query { text, parameters }), accept).await?;
    }
    Ok(())
}

/// Prepares the statements on a connection: its node may not know them.
pub(super) async fn prepare(link: &mut Link, keyspace: &str) -> Result<Statements, BenchError> {
    let mut by_kind = OperationKind::ALL.map(|_| Statement::default());
    for (statement, kind) in by_kind.iter_mut().zip(OperationKind::ALL) {
        *statement = prepare_one(link, &text_of(kind, keyspace)).await?;
    }
    Ok(Statements { by_kind })
}

fn text_of(kind: OperationKind, keyspace: &str) -> String {
    match kind {
        OperationKind::Write => format!("INSERT INTO {keyspace}.kv (key, value) VALUES (?, ?)"),
        OperationKind::Read => format!("SELECT value FROM {keyspace}.kv WHERE key = ?"),
        OperationKind::WriteWide => format!("INSERT INTO {keyspace}.wide (key, seq, value) VALUES (?, ?, ?)"),
        OperationKind::Scan => format!("SELECT key, seq, value FROM {keyspace}.wide WHERE key = ?"),
    }
}

async fn prepare_one(link: &mut Link, text: &str) -> Result<Statement, BenchError> {
    let request = Request::Prepare(Prepare { text, keyspace: None });
    link.call("PREPARE", &request, |response| match response {
        Response::Result(ResultResponse::Prepared(prepared)) => Some(Statement {
            id: prepared.id.to_vec(),
            result_metadata_id: prepared.result_metadata_id.unwrap_or_default().to_vec(),
        }),
        _ => None,
    })
    .await
}
