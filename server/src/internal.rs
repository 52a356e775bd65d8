//! Statements that the server itself runs: on roles, and the record of repairs.

use dodona_query::{BoundValue, CqlError, Parameters, Processor, Session};
use dodona_types::{CollectedRows, Consistency};
use std::sync::Arc;

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
    run_at(processor, session, text, values, Consistency::LocalOne).await
}

/// As [`run`], at another level.
///
/// # Errors
/// As [`run`].
pub(crate) async fn run_at(
    processor: &Arc<Processor>,
    session: &Session,
    text: &str,
    values: &[BoundValue<'_>],
    consistency: Consistency,
) -> Result<Vec<Vec<Option<Vec<u8>>>>, CqlError> {
    let statement = processor.analyse(session, text, None)?;
    let parameters = Parameters { values, consistency, ..Parameters::new() };
    let mut rows = CollectedRows::default();
    let outcome = processor.execute(session, &statement, &parameters, &mut rows).await?;
    if let dodona_query::StatementResult::Void { safe_at: Some(position) } = outcome.result {
        processor.node().coordinator.wait_safe(position).await?;
    }
    Ok(rows.rows)
}
