//! EXPLAIN (beyond Cassandra): how a statement would be executed, without executing it.

use super::PreparedPlan;
use super::batch::TextBatch;
use super::explanation::{self, Explanation};
use super::modification::ModificationPlan;
use super::select::SelectPlan;
use crate::ast::Statement;
use crate::binding::Binding;
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::host::Host;
use crate::outcome::{Outcome, StatementResult};
use crate::session::Parameters;
use dodona_types::RowSink;

/// What is explained.
#[derive(Debug)]
pub(crate) enum ExplainPlan {
    Select(SelectPlan),
    Modification(ModificationPlan),
    Batch(TextBatch),
}

impl ExplainPlan {
    /// The plan of an EXPLAIN: with the markers of what it explains, so that drivers send it where they would
    /// send that.
    pub(crate) fn prepare(
        context: &mut Context<'_>,
        statement: &Statement,
    ) -> Result<PreparedPlan, CqlError> {
        let plan = match statement {
            Statement::Select(select) => Self::Select(SelectPlan::prepare(context, select)?),
            Statement::Insert(insert) => Self::Modification(ModificationPlan::insert(context, insert)?),
            Statement::Update(update) => Self::Modification(ModificationPlan::update(context, update)?),
            Statement::Delete(delete) => Self::Modification(ModificationPlan::delete(context, delete)?),
            Statement::Batch(batch) => Self::Batch(TextBatch::prepare(context, batch)?),
            _ => return invalid("EXPLAIN is of SELECT, INSERT, UPDATE, DELETE and BATCH"),
        };
        let markers = match &plan {
            Self::Select(plan) => plan.partition_key_markers(),
            Self::Modification(plan) => plan.partition_key_markers(),
            Self::Batch(_) => None,
        };
        Ok((super::Plan::Explain(Box::new(plan)), Some(explanation::columns()), markers))
    }

    /// Gives the rows.
    pub(crate) fn execute(
        &self,
        host: &Host,
        binding: &Binding<'_>,
        parameters: &Parameters<'_>,
        sink: &mut dyn RowSink,
    ) -> Result<Outcome, CqlError> {
        let mut out = Explanation::default();
        match self {
            Self::Select(plan) => plan.explain(host, binding, parameters, &mut out)?,
            Self::Modification(plan) => plan.explain(host, binding, parameters, &mut out)?,
            Self::Batch(plan) => plan.explain(host, binding, parameters, &mut out)?,
        }
        out.write(sink);
        Ok(Outcome::of(StatementResult::Rows { paging_state: None }))
    }
}
