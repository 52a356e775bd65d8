//! BATCH: several changes as one; on one node one record of the commit log.

use super::modification::ModificationPlan;
use super::{Plan, not_yet};
use crate::ast::{Batch, BatchKind, Modification};
use crate::binding::{Binding, Val};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::outcome::{Outcome, StatementResult};
use crate::prepared::Prepared;
use crate::processor::{Processor, TryExecute};
use crate::session::{BoundValue, Parameters};
use crate::term::{Expression, Receiver};
use dodona_cluster::coordinator::TryWrite;
use dodona_types::{CqlType, MutationView};
use std::sync::Arc;

/// A batch whose statements are written in one text.
#[derive(Debug)]
pub(crate) struct TextBatch {
    statements: Vec<ModificationPlan>,
    timestamp: Option<Expression>,
}

impl TextBatch {
    /// The plan of a batch.
    pub(crate) fn prepare(context: &mut Context<'_>, batch: &Batch) -> Result<Self, CqlError> {
        if batch.kind == BatchKind::Counter {
            return not_yet("Counter batches are");
        }
        if batch.attributes.ttl.is_some() {
            return invalid("Global TTL on the BATCH statement is not supported.");
        }
        let timestamp = match &batch.attributes.timestamp {
            Some(term) => {
                Some(Expression::prepare(context, term, &Receiver::new("[timestamp]", CqlType::Bigint))?)
            }
            None => None,
        };
        let mut statements = Vec::with_capacity(batch.statements.len());
        for statement in &batch.statements {
            let plan = match statement {
                Modification::Insert(insert) => ModificationPlan::insert(context, insert)?,
                Modification::Update(update) => ModificationPlan::update(context, update)?,
                Modification::Delete(delete) => ModificationPlan::delete(context, delete)?,
            };
            if timestamp.is_some() && plan.has_timestamp() {
                return invalid("Timestamp must be set either on BATCH or individual statements");
            }
            statements.push(plan);
        }
        Ok(Self { statements, timestamp })
    }

    /// The batch's mutations.
    pub(crate) fn mutations(
        &self,
        binding: &Binding<'_>,
        parameters: &Parameters<'_>,
    ) -> Result<Vec<Vec<u8>>, CqlError> {
        check_consistency(parameters)?;
        let mut timestamp = parameters.timestamp_micros.unwrap_or(binding.now_micros);
        if let Some(expression) = &self.timestamp
            && let Val::Bytes(bytes) = expression.evaluate(binding)?
        {
            timestamp = bytes.as_ref().try_into().map_or(timestamp, i64::from_be_bytes);
        }
        let mut mutations = Vec::new();
        for statement in &self.statements {
            statement.mutations(binding, Some(timestamp), &mut mutations)?;
        }
        Ok(mutations)
    }
}

fn check_consistency(parameters: &Parameters<'_>) -> Result<(), CqlError> {
    if parameters.consistency.is_serial() {
        return invalid(format!("Invalid consistency for a batch: {}", parameters.consistency));
    }
    Ok(())
}

/// Writes a batch's mutations at once, where this node alone holds their partitions.
pub(crate) fn try_write(
    processor: &Processor,
    mutations: &[Vec<u8>],
    parameters: &Parameters<'_>,
) -> Result<TryExecute, CqlError> {
    let done = |safe_at| Ok(TryExecute::Done(Outcome::of(StatementResult::Void { safe_at })));
    if mutations.is_empty() {
        return done(None);
    }
    let views = mutations
        .iter()
        .map(|mutation| MutationView::parse(mutation))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CqlError::Server(format!("a mutation made here is malformed: {error}")))?;
    match processor.node.coordinator.try_write(&views, parameters.consistency)? {
        TryWrite::Applied(position) => done(Some(position)),
        TryWrite::NotHere => Ok(TryExecute::NotHere),
    }
}

/// Writes a batch's mutations.
pub(crate) async fn write(
    processor: &Processor,
    mutations: &[Vec<u8>],
    parameters: &Parameters<'_>,
) -> Result<Outcome, CqlError> {
    if !mutations.is_empty() {
        processor.node.coordinator.write(mutations, parameters.consistency).await?;
    }
    Ok(Outcome::of(StatementResult::Void { safe_at: None }))
}

/// One statement of a batch of the protocol.
#[derive(Clone, Debug)]
pub struct BatchEntry<'a> {
    /// The statement.
    pub statement: Arc<Prepared>,
    /// Its values.
    pub values: Vec<BoundValue<'a>>,
}

/// The mutations of a batch of the protocol.
pub(crate) fn mutations(
    processor: &Processor,
    kind: BatchKind,
    entries: &[BatchEntry<'_>],
    parameters: &Parameters<'_>,
) -> Result<Vec<Vec<u8>>, CqlError> {
    if kind == BatchKind::Counter {
        return not_yet("Counter batches are");
    }
    check_consistency(parameters)?;
    let now = processor.node.timestamps.next();
    let timestamp = parameters.timestamp_micros.unwrap_or(now);
    let mut mutations = Vec::new();
    for entry in entries {
        let Plan::Modification(modification) = &entry.statement.plan else {
            return invalid(
                "Invalid statement in batch: only UPDATE, INSERT and DELETE statements are allowed.",
            );
        };
        let own = Parameters { values: &entry.values, names: None, ..parameters.clone() };
        let binding = Binding::new(&entry.statement.markers, &own, now, &processor.random)?;
        modification.mutations(&binding, Some(timestamp), &mut mutations)?;
    }
    Ok(mutations)
}
