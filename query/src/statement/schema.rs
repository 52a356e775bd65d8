//! Statements that change or describe the schema, and TRUNCATE.

use crate::ast::Statement;
use crate::context::Context;
use crate::error::CqlError;
use crate::outcome::{ColumnSpec, Outcome};
use crate::processor::Processor;
use crate::session::{Parameters, Session};
use crate::statement::not_yet;
use dodona_types::RowSink;

/// A statement on the schema.
#[derive(Debug)]
pub(crate) struct SchemaPlan {}

/// What the statement means, and the columns of its rows if it gives rows.
pub(crate) fn prepare(
    _processor: &Processor,
    _context: &mut Context<'_>,
    _statement: &Statement,
) -> Result<(SchemaPlan, Option<Vec<ColumnSpec>>), CqlError> {
    not_yet("Statements on the schema are")
}

/// Executes it. Rows (of DESCRIBE) go to `sink`.
pub(crate) async fn execute(
    _processor: &Processor,
    _session: &Session,
    _plan: &SchemaPlan,
    _parameters: &Parameters<'_>,
    _sink: &mut dyn RowSink,
) -> Result<Outcome, CqlError> {
    not_yet("Statements on the schema are")
}
