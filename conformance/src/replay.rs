//! Runs statements, and writes what comes of them as the scripts have it.

use crate::script::{Case, bytes_of};
use crate::values::{type_text, value_text};
use dodona_cluster::ClusterError;
use dodona_query::statement::Scratch;
use dodona_query::{
    BoundValue, ColumnSpec, CqlError, Outcome, Parameters, Prepared, Processor, Session, StatementResult,
    TryExecute,
};
use dodona_types::{CollectedRows, Consistency};
use std::sync::Arc;

/// Seconds since the epoch: times to live do not run down while a script is replayed.
const NOW_SECONDS: i64 = 4_000_000_000;

/// How statements are replayed.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Rows of a page; none for all at once.
    pub page_size: Option<u32>,
    /// The level of reads and writes.
    pub consistency: Consistency,
}

impl Case<'_> {
    /// What a node answers. An error that says nothing of the statement is none, but of the cluster at the time.
    ///
    /// # Errors
    /// Too few replicas are alive, or answer.
    pub async fn answer(
        &self,
        processor: &Processor,
        session: &Session,
        manner: Manner,
    ) -> Result<Vec<String>, ClusterError> {
        let mut lines = Vec::new();
        let statement = match self.binding {
            Some(_) => processor.prepare(session, self.statement, None),
            None => processor.analyse(session, self.statement, None).map(Arc::new),
        };
        let statement = match statement {
            Ok(statement) => statement,
            Err(error) => return failed(lines, error),
        };
        if self.binding.is_some() {
            let markers = statement.markers.iter();
            let markers = markers.map(|marker| format!("{} {}", marker.name, type_text(&marker.cql_type)));
            lines.push(format!("= {}", markers.collect::<Vec<_>>().join(" | ")));
        }
        let bytes = bytes_of(self.binding);
        let bound: Vec<BoundValue<'_>> = bytes
            .iter()
            .map(|value| match value {
                None => BoundValue::Unset,
                Some(None) => BoundValue::Null,
                Some(Some(bytes)) => BoundValue::Bytes(bytes),
            })
            .collect();
        match (Execution { processor, session, manner }).run(&statement, &bound).await {
            Ok(answer) => lines.extend(answer),
            Err(error) => return failed(lines, error),
        }
        Ok(lines)
    }
}

fn failed(mut lines: Vec<String>, error: CqlError) -> Result<Vec<String>, ClusterError> {
    match error {
        CqlError::Cluster(error) if !matches!(error, ClusterError::Invalid(_) | ClusterError::Storage(_)) => {
            Err(error)
        }
        error => {
            lines.push(class_and_message(&error).replace('\n', "\\n"));
            Ok(lines)
        }
    }
}

struct Execution<'a> {
    processor: &'a Processor,
    session: &'a Session,
    manner: Manner,
}

impl Execution<'_> {
    /// One page, as a server gets it: at once if that can be, else with waiting.
    async fn page(
        &self,
        statement: &Prepared,
        parameters: &Parameters<'_>,
        sink: &mut CollectedRows,
    ) -> Result<Outcome, CqlError> {
        let (processor, session) = (self.processor, self.session);
        if self.manner.page_size.is_none() {
            let tried =
                processor.try_execute(session, statement, parameters, &mut Scratch::default(), sink)?;
            if let TryExecute::Done(outcome) = tried {
                return Ok(outcome);
            }
            *sink = CollectedRows::default();
        }
        processor.execute(session, statement, parameters, sink).await
    }

    async fn run(&self, statement: &Prepared, bound: &[BoundValue<'_>]) -> Result<Vec<String>, CqlError> {
        let mut lines = Vec::new();
        let mut warnings = Vec::new();
        if statement.has_rows {
            lines.push(header_of(&statement.columns));
        }
        let mut state: Option<Vec<u8>> = None;
        loop {
            let mut sink = CollectedRows::default();
            let parameters = Parameters {
                values: bound,
                page_size: self.manner.page_size,
                paging_state: state.as_deref(),
                now_seconds: Some(NOW_SECONDS),
                consistency: self.manner.consistency,
                ..Parameters::new()
            };
            let outcome = self.page(statement, &parameters, &mut sink).await?;
            for row in &sink.rows {
                lines.push(row_of(&statement.columns, row));
            }
            if warnings.is_empty() {
                warnings = outcome.warnings;
            }
            match outcome.result {
                StatementResult::Rows { paging_state: Some(next) } => state = Some(next),
                StatementResult::Conditional { columns, rows } => {
                    lines.push(header_of(&columns));
                    lines.extend(rows.iter().map(|row| row_of(&columns, row)));
                    break;
                }
                _ => break,
            }
        }
        if lines.is_empty() {
            lines.push("ok".into());
        }
        lines.extend(warnings.into_iter().map(|warning| format!("! {warning}")));
        Ok(lines)
    }
}

fn header_of(columns: &[ColumnSpec]) -> String {
    let columns = columns.iter().map(|column| format!("{} {}", column.name, type_text(&column.cql_type)));
    format!("# {}", columns.collect::<Vec<_>>().join(" | "))
}

fn row_of(columns: &[ColumnSpec], row: &[Option<Vec<u8>>]) -> String {
    let values = columns.iter().zip(row);
    let values = values.map(|(column, value)| value_text(&column.cql_type, value.as_deref()));
    values.collect::<Vec<_>>().join(" | ")
}

/// An error as the recorded answers write it.
#[must_use]
pub fn class_and_message(error: &CqlError) -> String {
    let class = match error {
        CqlError::Syntax(_) => "Syntax",
        CqlError::Invalid(_) => "Invalid",
        CqlError::Config(_) | CqlError::Cluster(ClusterError::Invalid(_)) => "Config",
        CqlError::Unauthorized(_) => "Unauthorized",
        CqlError::AlreadyExists { keyspace, table } if table.is_empty() => {
            return format!("AlreadyExists: Keyspace '{keyspace}' already exists");
        }
        CqlError::AlreadyExists { keyspace, table } => {
            return format!("AlreadyExists: Table '{keyspace}.{table}' already exists");
        }
        CqlError::Truncate(_) => "Truncate",
        CqlError::FunctionFailure { .. } => "FunctionFailure",
        _ => "Server",
    };
    format!("{class}: {error}")
}
