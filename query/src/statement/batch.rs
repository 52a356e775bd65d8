//! BATCH: several changes as one; on one node one record of the commit log.

mod bounds;
mod explain;
pub(crate) mod partitions;

use super::Plan;
use super::existing::ExistingLists;
use super::modification::conditional::{self, Part};
use super::modification::counting::Updates;
use super::modification::{ModificationPlan, checked_timestamp};
use crate::ast::{Batch, BatchKind, Modification};
use crate::binding::{Binding, Val};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::guardrails::Guard;
use crate::host::Host;
use crate::outcome::TryExecute;
use crate::outcome::{ColumnSpec, Outcome, StatementResult};
use crate::session::{BoundValue, Parameters};
use crate::term::{Expression, Receiver};
use dodona_cluster::coordinator::TryWrite;
use dodona_cluster::coordinator::served::Operation;
use dodona_types::{CqlType, MutationView, TableId};

/// A batch whose statements are written in one text.
#[derive(Debug)]
pub(crate) struct TextBatch {
    kind: BatchKind,
    statements: Vec<ModificationPlan>,
    timestamp: Option<Expression>,
}

impl TextBatch {
    /// The plan of a batch.
    pub(crate) fn prepare(context: &mut Context<'_>, batch: &Batch) -> Result<Self, CqlError> {
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
            statements.push(plan);
        }
        if batch.attributes.ttl.is_some() {
            return invalid("Global TTL on the BATCH statement is not supported.");
        }
        let prepared = Self { kind: batch.kind, statements, timestamp };
        if prepared.timestamp.is_some() {
            prepared.check_timestamps()?;
        }
        check_counters(batch.kind, prepared.statements.iter())?;
        prepared.statements.iter().try_for_each(ModificationPlan::check)?;
        Ok(prepared)
    }

    /// Checks a batch that has a timestamp.
    fn check_timestamps(&self) -> Result<(), CqlError> {
        if self.is_conditional() {
            return invalid("Cannot provide custom timestamp for conditional BATCH");
        }
        if self.kind == BatchKind::Counter {
            return invalid("Cannot provide custom timestamp for counter BATCH");
        }
        if self.statements.iter().any(ModificationPlan::has_timestamp) {
            return invalid("Timestamp must be set either on BATCH or individual statements");
        }
        if self.statements.iter().any(ModificationPlan::is_counter) {
            return invalid("Cannot provide custom timestamp for a BATCH containing counters");
        }
        Ok(())
    }

    /// Its kind.
    pub(crate) const fn kind(&self) -> BatchKind {
        self.kind
    }

    /// Appends that it writes tables, each once.
    pub(crate) fn served(&self, out: &mut Vec<(TableId, Operation)>) {
        note_written(self.statements.iter(), out);
    }

    /// True if a statement of the batch has an IF.
    pub(crate) fn is_conditional(&self) -> bool {
        self.statements.iter().any(ModificationPlan::is_conditional)
    }

    /// Executes a batch of which a statement has an IF.
    pub(crate) async fn execute_conditional(
        &self,
        host: &Host,
        binding: &Binding<'_>,
        parameters: &Parameters<'_>,
    ) -> Result<Outcome, CqlError> {
        let parts: Vec<Part<'_>> = self.statements.iter().map(|statement| (statement, binding)).collect();
        conditional::execute(host, &parts, true, parameters).await
    }

    /// What the batch adds to counters.
    pub(crate) fn counts(&self, binding: &Binding<'_>) -> Result<Updates, CqlError> {
        let mut updates = Updates::new();
        for statement in self.statements.iter().filter(|statement| statement.counts()) {
            statement.collect_counts(binding, &mut updates)?;
        }
        Ok(updates)
    }

    /// True if the batch adds to counters.
    pub(crate) fn has_counts(&self) -> bool {
        self.statements.iter().any(ModificationPlan::counts)
    }

    /// True if lists must be read before the mutations can be made.
    pub(crate) fn reads_first(&self) -> bool {
        self.statements.iter().any(ModificationPlan::reads_first)
    }

    /// Reads the lists that the statements need, before any of them has an effect.
    pub(crate) async fn read_lists(
        &self,
        host: &Host,
        binding: &Binding<'_>,
        parameters: &Parameters<'_>,
    ) -> Result<Vec<Vec<ExistingLists>>, CqlError> {
        let mut lists = Vec::new();
        if self.reads_first() {
            for statement in &self.statements {
                lists.push(statement.read_lists(host, binding, parameters).await?);
            }
        }
        Ok(lists)
    }

    fn timestamp(&self, binding: &Binding<'_>, parameters: &Parameters<'_>) -> Result<i64, CqlError> {
        let otherwise = parameters.timestamp_micros.unwrap_or(binding.now_micros);
        let Some(expression) = &self.timestamp else { return Ok(otherwise) };
        match expression.evaluate(binding)? {
            Val::Null => invalid("Invalid null value of timestamp"),
            Val::Unset => Ok(otherwise),
            Val::Bytes(bytes) => checked_timestamp(&bytes),
        }
    }

    /// The batch's mutations. `lists` are what [`Self::read_lists`] gave.
    pub(crate) fn mutations(
        &self,
        binding: &Binding<'_>,
        parameters: &Parameters<'_>,
        lists: &[Vec<ExistingLists>],
    ) -> Result<Vec<Vec<u8>>, CqlError> {
        check_consistency(parameters)?;
        let timestamp = self.timestamp(binding, parameters)?;
        let mut mutations = Vec::new();
        for (index, statement) in self.statements.iter().enumerate() {
            if statement.counts() {
                continue;
            }
            let lists = lists.get(index).map_or(&[][..], Vec::as_slice);
            if let Err(error) = statement.mutations(binding, Some(timestamp), lists, &mut mutations) {
                // Cassandra looks at all partition keys before anything else.
                let keys = |later: &ModificationPlan| later.partition_keys(binding).map(drop);
                self.statements[index..].iter().try_for_each(keys)?;
                return Err(error);
            }
        }
        Ok(mutations)
    }
}

/// Appends that statements write tables, each once.
fn note_written<'p>(
    statements: impl Iterator<Item = &'p ModificationPlan>,
    out: &mut Vec<(TableId, Operation)>,
) {
    let before = out.len();
    for table in statements.map(|statement| statement.table.id) {
        if out[before..].iter().all(|(known, _)| *known != table) {
            out.push((table, Operation::Write));
        }
    }
}

/// Appends that a batch of the protocol writes tables, each once.
pub(crate) fn served(entries: &[impl Entry], out: &mut Vec<(TableId, Operation)>) {
    note_written(entries.iter().filter_map(|entry| plan_of(entry).ok()), out);
}

/// Refuses a batch that mixes counters with other columns, or is not of the kind for them.
fn check_counters<'p>(
    kind: BatchKind,
    statements: impl Iterator<Item = &'p ModificationPlan>,
) -> Result<(), CqlError> {
    let (mut counters, mut others) = (false, false);
    for statement in statements {
        counters |= statement.is_counter();
        others |= !statement.is_counter();
    }
    if kind == BatchKind::Counter && others {
        return invalid("Cannot include non-counter statement in a counter batch");
    }
    if counters && others {
        return invalid("Counter and non-counter mutations cannot exist in the same batch");
    }
    if counters && kind == BatchKind::Logged {
        return invalid("Cannot include a counter statement in a logged batch");
    }
    Ok(())
}

/// What a batch of the protocol adds to counters.
pub(crate) fn counts(
    host: &Host,
    guard: &Guard<'_>,
    entries: &[impl Entry],
    parameters: &Parameters<'_>,
) -> Result<Updates, CqlError> {
    let mut updates = Updates::new();
    for entry in entries {
        let plan = plan_of(entry)?;
        if plan.counts() {
            let own = Parameters { values: entry.values(), names: None, ..parameters.clone() };
            let now = host.node.timestamps.next();
            let binding = Binding::new(entry.markers(), &own, now, &host.random, guard, miscount)?;
            plan.collect_counts(&binding, &mut updates)?;
        }
    }
    Ok(updates)
}

/// True if a statement of a batch adds to counters.
pub(crate) fn has_counts(entries: &[impl Entry]) -> Result<bool, CqlError> {
    entries.iter().try_fold(false, |has, entry| Ok(has | plan_of(entry)?.counts()))
}

fn check_consistency(parameters: &Parameters<'_>) -> Result<(), CqlError> {
    if parameters.consistency.is_serial() {
        return invalid(format!("Invalid consistency for a batch: {}", parameters.consistency));
    }
    Ok(())
}

/// Writes a batch's mutations at once, where this node alone holds their partitions.
pub(crate) fn try_write(
    host: &Host,
    kind: BatchKind,
    mutations: &[Vec<u8>],
    parameters: &Parameters<'_>,
) -> Result<TryExecute, CqlError> {
    let done = |safe_at, warnings| {
        Ok(TryExecute::Done(Outcome { result: StatementResult::Void { safe_at }, warnings }))
    };
    if mutations.is_empty() {
        return done(None, Vec::new());
    }
    let warnings = bounds::check(host, kind, mutations)?;
    let views = views_of(mutations)?;
    match host.node.coordinator.try_write(&views, parameters.consistency)? {
        TryWrite::Applied(position) => done(Some(position), warnings),
        TryWrite::NotHere => Ok(TryExecute::NotHere),
    }
}

fn views_of(mutations: &[Vec<u8>]) -> Result<Vec<MutationView<'_>>, CqlError> {
    let views = mutations.iter().map(|mutation| MutationView::parse(mutation)).collect::<Result<_, _>>();
    views.map_err(|error| CqlError::Server(format!("a mutation made here is malformed: {error}")))
}

/// Writes a batch's mutations.
pub(crate) async fn write(
    host: &Host,
    kind: BatchKind,
    mutations: &[Vec<u8>],
    parameters: &Parameters<'_>,
) -> Result<Outcome, CqlError> {
    let (coordinator, consistency) = (&host.node.coordinator, parameters.consistency);
    let warnings = bounds::check(host, kind, mutations)?;
    match kind {
        _ if mutations.is_empty() => {}
        BatchKind::Logged => coordinator.write_logged(mutations, consistency).await?,
        BatchKind::Unlogged | BatchKind::Counter => coordinator.write(mutations, consistency).await?,
    }
    Ok(Outcome { result: StatementResult::Void { safe_at: None }, warnings })
}

/// One statement of a batch of the protocol.
pub(crate) trait Entry {
    /// Its plan, which must be one to change a table.
    fn plan(&self) -> &Plan;
    /// Its bind markers.
    fn markers(&self) -> &[ColumnSpec];
    /// The values for them.
    fn values(&self) -> &[BoundValue<'_>];
}

/// The plan of a statement in a batch of the protocol.
fn plan_of(entry: &impl Entry) -> Result<&ModificationPlan, CqlError> {
    match entry.plan() {
        Plan::Modification(plan) => Ok(plan),
        _ => invalid("Invalid statement in batch: only UPDATE, INSERT and DELETE statements are allowed."),
    }
}

fn miscount(markers: usize, values: usize) -> String {
    format!("There were {markers} markers(?) in CQL but {values} bound variables")
}

/// True if a statement of a batch has an IF.
pub(crate) fn is_conditional(entries: &[impl Entry]) -> Result<bool, CqlError> {
    entries.iter().try_fold(false, |has, entry| Ok(has | plan_of(entry)?.is_conditional()))
}

/// Executes a batch of which a statement has an IF.
pub(crate) async fn execute_conditional(
    host: &Host,
    guard: &Guard<'_>,
    entries: &[impl Entry],
    parameters: &Parameters<'_>,
) -> Result<Outcome, CqlError> {
    let owns: Vec<Parameters<'_>> = entries
        .iter()
        .map(|entry| Parameters { values: entry.values(), names: None, ..parameters.clone() })
        .collect();
    let mut bindings = Vec::with_capacity(entries.len());
    for (entry, own) in entries.iter().zip(&owns) {
        bindings.push(Binding::new(
            entry.markers(),
            own,
            host.node.timestamps.next(),
            &host.random,
            guard,
            miscount,
        )?);
    }
    let plans = entries.iter().map(plan_of).collect::<Result<Vec<_>, _>>()?;
    let parts: Vec<Part<'_>> = plans.into_iter().zip(&bindings).collect();
    conditional::execute(host, &parts, true, parameters).await
}

/// True if lists must be read before a batch's mutations can be made.
pub(crate) fn reads_first(entries: &[impl Entry]) -> Result<bool, CqlError> {
    entries.iter().try_fold(false, |reads, entry| Ok(reads | plan_of(entry)?.reads_first()))
}

/// Reads the lists that a batch's statements need, before any of them has an effect.
pub(crate) async fn read_lists(
    host: &Host,
    guard: &Guard<'_>,
    entries: &[impl Entry],
    parameters: &Parameters<'_>,
) -> Result<Vec<Vec<ExistingLists>>, CqlError> {
    let mut lists = Vec::new();
    if !reads_first(entries)? {
        return Ok(lists);
    }
    let now = host.node.timestamps.next();
    for entry in entries {
        let own = Parameters { values: entry.values(), names: None, ..parameters.clone() };
        let binding = Binding::new(entry.markers(), &own, now, &host.random, guard, miscount)?;
        lists.push(plan_of(entry)?.read_lists(host, &binding, parameters).await?);
    }
    Ok(lists)
}

/// The mutations of a batch of the protocol. `lists` are what [`read_lists`] gave.
pub(crate) fn mutations(
    host: &Host,
    guard: &Guard<'_>,
    kind: BatchKind,
    entries: &[impl Entry],
    parameters: &Parameters<'_>,
    lists: &[Vec<ExistingLists>],
) -> Result<Vec<Vec<u8>>, CqlError> {
    check_counters(kind, entries.iter().map(plan_of).collect::<Result<Vec<_>, _>>()?.into_iter())?;
    check_consistency(parameters)?;
    let timestamp = parameters.timestamp_micros.unwrap_or_else(|| host.node.timestamps.next());
    let mut mutations = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        if plan_of(entry)?.counts() {
            continue;
        }
        let own = Parameters { values: entry.values(), names: None, ..parameters.clone() };
        // A time of its own, so that what is added to lists is in the order of the statements.
        let now = host.node.timestamps.next();
        let binding = Binding::new(entry.markers(), &own, now, &host.random, guard, miscount)?;
        let lists = lists.get(index).map_or(&[][..], Vec::as_slice);
        plan_of(entry)?.mutations(&binding, Some(timestamp), lists, &mut mutations)?;
    }
    Ok(mutations)
}
