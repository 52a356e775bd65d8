//! Plans: what a statement means in a schema, and how it is executed.

pub mod batch;
mod cells;
mod change;
mod condition;
mod existing;
mod explain;
mod explanation;
mod json_row;
pub(crate) mod modification;
pub(crate) mod schema;
pub(crate) mod select;

use crate::ast::Statement;
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::host::Host;
use crate::outcome::ColumnSpec;
use dodona_cluster::coordinator::served::Operation;
use dodona_types::{MutationBuilder, TableId};
use std::sync::Arc;

/// Buffers that executions of one connection use again.
#[derive(Default)]
pub struct Scratch {
    pub(crate) builder: MutationBuilder,
}

/// What a statement means.
#[derive(Debug)]
pub(crate) enum Plan {
    Select(Box<select::SelectPlan>),
    Modification(Box<modification::ModificationPlan>),
    Batch(Box<batch::TextBatch>),
    Use(Arc<str>),
    Explain(Box<explain::ExplainPlan>),
    /// DDL, TRUNCATE and DESCRIBE.
    Schema(schema::SchemaPlan),
}

/// A plan, the columns of its rows if it gives rows, and the partition key's markers.
pub(crate) type PreparedPlan = (Plan, Option<Vec<ColumnSpec>>, Option<Vec<u16>>);

impl Plan {
    /// What a statement means in a schema.
    pub(crate) fn prepare(
        host: &Host,
        context: &mut Context<'_>,
        statement: &Statement,
    ) -> Result<PreparedPlan, CqlError> {
        let modification = |plan: modification::ModificationPlan| {
            plan.check()?;
            let markers = plan.partition_key_markers();
            Ok((Self::Modification(Box::new(plan)), None, markers))
        };
        match statement {
            Statement::Select(select) => {
                let plan = select::SelectPlan::prepare(context, select)?;
                let columns = plan.columns().to_vec();
                let markers = plan.partition_key_markers();
                Ok((Self::Select(Box::new(plan)), Some(columns), markers))
            }
            Statement::Insert(insert) => {
                modification(modification::ModificationPlan::insert(context, insert)?)
            }
            Statement::Update(update) => {
                modification(modification::ModificationPlan::update(context, update)?)
            }
            Statement::Delete(delete) => {
                modification(modification::ModificationPlan::delete(context, delete)?)
            }
            Statement::Batch(batch) => {
                Ok((Self::Batch(Box::new(batch::TextBatch::prepare(context, batch)?)), None, None))
            }
            Statement::Explain(explained) => explain::ExplainPlan::prepare(context, explained),
            Statement::Use(keyspace) => Ok((Self::Use(keyspace.as_str().into()), None, None)),
            other => {
                let (plan, columns) = schema::prepare(host, context, other)?;
                Ok((Self::Schema(plan), columns, None))
            }
        }
    }
}

impl Plan {
    /// Appends what the statement does with tables, each table once.
    #[inline]
    pub(crate) fn served(&self, out: &mut Vec<(TableId, Operation)>) {
        match self {
            Self::Select(plan) => out.push((plan.table().id, plan.operation())),
            Self::Modification(plan) => out.push((plan.table.id, Operation::Write)),
            Self::Batch(plan) => plan.served(out),
            Self::Use(_) | Self::Explain(_) | Self::Schema(_) => {}
        }
    }

    /// True if it has a condition.
    pub(crate) fn is_conditional(&self) -> bool {
        match self {
            Self::Modification(plan) => plan.is_conditional(),
            Self::Batch(plan) => plan.is_conditional(),
            _ => false,
        }
    }
}

/// The error of a statement whose feature is not there yet.
pub(crate) fn not_yet<T>(what: &str) -> Result<T, CqlError> {
    invalid(format!("{what} not supported yet by this version of Dodona"))
}
