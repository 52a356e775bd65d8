//! Statements that the server itself runs: on roles and on traces.

use dodona_query::{BoundValue, CqlError, Parameters, Processor, Session};
use dodona_types::{Consistency, RowSink};
use std::sync::Arc;

/// Rows as lists of values.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) rows: Vec<Vec<Option<Vec<u8>>>>,
    row: Vec<Option<Vec<u8>>>,
    bytes: usize,
}

impl RowSink for Collected {
    fn value(&mut self, value: Option<&[u8]>) {
        self.bytes += value.map_or(0, <[u8]>::len);
        self.row.push(value.map(<[u8]>::to_vec));
    }

    fn end_row(&mut self) {
        self.rows.push(std::mem::take(&mut self.row));
    }

    fn bytes_written(&self) -> usize {
        self.bytes
    }
}

/// Runs a statement and returns its rows.
///
/// # Errors
/// The statement is refused, or fails.
pub(crate) async fn run(
    processor: &Arc<Processor>,
    session: &Session,
    text: &str,
    values: &[BoundValue<'_>],
) -> Result<Vec<Vec<Option<Vec<u8>>>>, CqlError> {
    let statement = processor.analyse(session, text, None)?;
    let parameters = Parameters { values, consistency: Consistency::LocalOne, ..Parameters::new() };
    let mut rows = Collected::default();
    let outcome = processor.execute(session, &statement, &parameters, &mut rows).await?;
    if let dodona_query::StatementResult::Void { safe_at: Some(position) } = outcome.result {
        processor.node().coordinator.wait_safe(position).await?;
    }
    Ok(rows.rows)
}
