//! What a server uses: prepares statements and executes them.
//!
//! [`Processor::try_execute`] runs a statement at once on the caller's turn, where that is
//! possible without waiting; [`Processor::execute`] runs any statement.

use crate::ast::{BatchKind, Statement};
use crate::batch_bounds::BatchBounds;
use crate::binding::Binding;
use crate::context::Context;
use crate::error::CqlError;
use crate::guardrails::{Guard, Guardrails};
use crate::host::Host;
use crate::outcome::{Outcome, StatementResult, TryExecute};
use crate::parser::parse_statement;
use crate::prepared::{BatchEntry, Prepared, PreparedStatements, StoredStatement, columns_id, statement_id};
use crate::server_view::ServerView;
use crate::session::{Parameters, Session};
use crate::statement::modification::counting::{self, Updates};
use crate::statement::{Plan, Scratch, batch, schema};
use crate::statement_store;
use crate::system_tables::{self, Shown};
use dodona_cluster::Node;
use dodona_types::{CollectedRows, Consistency, RowSink};
use parking_lot::Mutex;
use std::sync::Arc;

/// Prepares and executes statements on one node.
pub struct Processor {
    host: Host,
    prepared: PreparedStatements,
    /// What the system tables show.
    shown: Mutex<Option<Shown>>,
}

impl Processor {
    /// A processor on a node.
    #[must_use]
    pub fn new(node: Arc<Node>) -> Arc<Self> {
        let processor = Arc::new(Self {
            host: Host::new(node),
            prepared: PreparedStatements::default(),
            shown: Mutex::new(None),
        });
        if let Err(error) = processor.refresh_system_tables() {
            tracing::error!(%error, "the system tables could not be filled");
        }
        processor
    }

    /// Starts the processor's workers on this thread: system tables follow changes of the schema
    /// that other nodes make.
    pub fn spawn_workers(self: &Arc<Self>) {
        self.host.node.env.tasks.spawn_local(Arc::clone(self).follow_schema());
    }

    async fn follow_schema(self: Arc<Self>) {
        let mut epochs = self.host.node.watch_schema();
        let mut members = self.host.node.watch_members();
        loop {
            let alive = tokio::select! {
                biased;
                changed = epochs.changed() => changed.is_ok(),
                changed = members.changed() => changed.is_ok(),
            };
            if !alive {
                return;
            }
            if let Err(error) = self.refresh_system_tables() {
                tracing::error!(%error, "the system tables could not be filled");
            }
        }
    }

    /// Says whom to ask for clients and settings; only the first call counts.
    pub fn set_server_view(&self, view: Box<dyn ServerView>) {
        let _ = self.host.server_view.set(view);
    }

    /// Bounds batches; only the first call counts.
    pub fn set_batch_bounds(&self, bounds: BatchBounds) {
        let _ = self.host.batch_bounds.set(bounds);
    }

    /// Says what statements may ask for; only the first call counts.
    pub fn set_guardrails(&self, guardrails: Guardrails) {
        let _ = self.host.guardrails.set(guardrails);
    }

    /// Brings the tables that show the schema and the ring up to what they are now.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn refresh_system_tables(&self) -> Result<(), CqlError> {
        // Held meanwhile, so that nothing older is shown after something newer.
        system_tables::refresh(&self.host, &mut self.shown.lock())
    }

    /// The node.
    #[must_use]
    pub const fn node(&self) -> &Arc<Node> {
        &self.host.node
    }

    /// The prepared statements.
    #[must_use]
    pub const fn statements(&self) -> &PreparedStatements {
        &self.prepared
    }

    /// Prepares a statement, and keeps it under its id.
    ///
    /// # Errors
    /// The text is not CQL, or makes no sense in the present schema.
    pub fn prepare(
        &self,
        session: &Session,
        text: &str,
        keyspace: Option<&str>,
    ) -> Result<Arc<Prepared>, CqlError> {
        let prepared = Arc::new(Prepared { is_kept: true, ..self.analyse(session, text, keyspace)? });
        self.keep(&prepared);
        Ok(prepared)
    }

    fn keep(&self, prepared: &Arc<Prepared>) {
        let kept = self.prepared.put(prepared);
        if kept.is_new {
            statement_store::keep(&self.host.node, prepared);
        }
        if let Some(id) = kept.evicted {
            statement_store::forget(&self.host.node, &id);
        }
    }

    /// Finds the statements that were prepared before the start.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn load_statements(&self) -> Result<(), CqlError> {
        let session = Session::of_server();
        let statement = self.analyse(&session, statement_store::READ_ALL, None)?;
        let mut rows = CollectedRows::default();
        let mut paging_state: Option<Vec<u8>> = None;
        loop {
            let parameters = Parameters {
                page_size: Some(statement_store::PAGE_ROWS),
                paging_state: paging_state.as_deref(),
                ..Parameters::new()
            };
            let outcome = self.execute(&session, &statement, &parameters, &mut rows).await?;
            match outcome.result {
                StatementResult::Rows { paging_state: Some(next) } => paging_state = Some(next),
                _ => break,
            }
        }
        self.prepared.put_stored(statement_store::statements_of(rows));
        Ok(())
    }

    /// The prepared statement with this id, analysed again if the schema has changed since.
    ///
    /// # Errors
    /// [`CqlError::Unprepared`] if there is none; else it makes no sense any more.
    pub fn prepared(&self, id: &[u8]) -> Result<Arc<Prepared>, CqlError> {
        let (id, stored) = match self.prepared.get(id) {
            Some(prepared) if prepared.epoch == self.host.node.schema_epoch() => return Ok(prepared),
            Some(prepared) => {
                let (keyspace, text) = (prepared.keyspace.clone(), Arc::clone(&prepared.text));
                (prepared.id, StoredStatement { keyspace, text })
            }
            None => self.prepared.stored(id).ok_or_else(|| CqlError::Unprepared(id.to_vec()))?,
        };
        let mut again = self.analyse_in(&stored.text, stored.keyspace, self.host.guardrails())?;
        (again.id, again.is_kept) = (id, true);
        let again = Arc::new(again);
        self.keep(&again);
        Ok(again)
    }

    /// Analyses a statement without keeping it.
    ///
    /// # Errors
    /// The text is not CQL, or makes no sense in the present schema.
    pub fn analyse(
        &self,
        session: &Session,
        text: &str,
        keyspace: Option<&str>,
    ) -> Result<Prepared, CqlError> {
        let keyspace = keyspace.map(Arc::from).or_else(|| session.keyspace());
        self.analyse_in(text, keyspace, self.host.guardrails_of(session))
    }

    fn analyse_in(
        &self,
        text: &str,
        keyspace: Option<Arc<str>>,
        guardrails: &Guardrails,
    ) -> Result<Prepared, CqlError> {
        let parsed = parse_statement(text).map_err(|error| CqlError::Syntax(error.to_string()))?;
        let schema = self.host.node.schema();
        let mut context = Context::new(&schema, keyspace.clone(), parsed.markers.len(), guardrails);
        let qualified = is_qualified(&parsed.statement);
        let (plan, columns, partition_key_markers) =
            Plan::prepare(&self.host, &mut context, &parsed.statement)?;
        let markers = context.finish_markers()?;
        Ok(Prepared {
            id: statement_id(text, keyspace.as_deref().filter(|_| !qualified)),
            text: text.into(),
            keyspace,
            markers,
            partition_key_markers: partition_key_markers.unwrap_or_default(),
            result_id: columns_id(columns.as_deref().unwrap_or_default()),
            has_rows: columns.is_some(),
            columns: columns.unwrap_or_default().into(),
            epoch: schema.epoch,
            is_kept: false,
            plan,
        })
    }

    /// The values of one execution.
    fn bind<'a>(
        &'a self,
        statement: &Prepared,
        parameters: &'a Parameters<'a>,
        guard: &'a Guard<'a>,
    ) -> Result<Binding<'a>, CqlError> {
        let miscount = if statement.is_kept {
            |markers, values| format!("there were {markers} markers(?) in CQL but {values} bound variables")
        } else {
            |_, _| "Invalid amount of bind variables".to_owned()
        };
        let now = self.host.node.timestamps.next();
        Binding::new(&statement.markers, parameters, now, &self.host.random, guard, miscount)
    }

    /// Executes a statement at once, where that needs no waiting. Rows go to `sink`.
    ///
    /// # Errors
    /// The statement is refused, or fails.
    pub fn try_execute(
        &self,
        session: &Session,
        statement: &Prepared,
        parameters: &Parameters<'_>,
        scratch: &mut Scratch,
        sink: &mut dyn RowSink,
    ) -> Result<TryExecute, CqlError> {
        let guard = self.host.guard_of(session);
        let tried = match &statement.plan {
            Plan::Modification(plan) => {
                plan.try_execute(&self.host, &self.bind(statement, parameters, &guard)?, parameters, scratch)
            }
            Plan::Select(plan) if system_tables::is_from_disk(plan.table()) => Ok(TryExecute::NotHere),
            Plan::Select(plan) => {
                self.refresh(plan.table())?;
                plan.try_execute(
                    &self.host,
                    &statement.text,
                    &self.bind(statement, parameters, &guard)?,
                    parameters,
                    sink,
                )
            }
            Plan::Batch(plan) if plan.reads_first() || plan.is_conditional() || plan.has_counts() => {
                Ok(TryExecute::NotHere)
            }
            Plan::Batch(plan) => {
                guard.write_level(parameters.consistency)?;
                let mutations =
                    plan.mutations(&self.bind(statement, parameters, &guard)?, parameters, &[])?;
                self.try_write(plan.kind(), &mutations, parameters)
            }
            _ => Ok(TryExecute::NotHere),
        };
        tried.map(|tried| tried.warned(guard))
    }

    /// Executes a statement. Rows go to `sink`. What is asked for less often than single rows is boxed: the future has room
    /// for the largest of what is not.
    ///
    /// # Errors
    /// The statement is refused, or fails.
    pub async fn execute(
        &self,
        session: &Session,
        statement: &Prepared,
        parameters: &Parameters<'_>,
        sink: &mut dyn RowSink,
    ) -> Result<Outcome, CqlError> {
        let guard = self.host.guard_of(session);
        let outcome = match &statement.plan {
            Plan::Modification(plan) => {
                plan.execute(&self.host, &self.bind(statement, parameters, &guard)?, parameters).await
            }
            Plan::Select(plan) => {
                self.refresh(plan.table())?;
                system_tables::refill_from_disk(&self.host, plan.table()).await?;
                plan.execute(
                    &self.host,
                    &statement.text,
                    &self.bind(statement, parameters, &guard)?,
                    parameters,
                    sink,
                )
                .await
            }
            Plan::Batch(plan) if plan.is_conditional() => {
                guard.write_level(parameters.consistency)?;
                let binding = self.bind(statement, parameters, &guard)?;
                Box::pin(plan.execute_conditional(&self.host, &binding, parameters)).await
            }
            Plan::Batch(plan) => {
                guard.write_level(parameters.consistency)?;
                let binding = self.bind(statement, parameters, &guard)?;
                Box::pin(async {
                    let lists = plan.read_lists(&self.host, &binding, parameters).await?;
                    let mutations = plan.mutations(&binding, parameters, &lists)?;
                    let updates = plan.counts(&binding)?;
                    batch::partitions::note(&self.host, plan.kind(), &mutations, &updates);
                    counting::count(&self.host, updates, parameters).await?;
                    batch::write(&self.host, plan.kind(), &mutations, parameters).await
                })
                .await
            }
            Plan::Explain(plan) => {
                plan.execute(&self.host, &self.bind(statement, parameters, &guard)?, parameters, sink)
            }
            Plan::Use(keyspace) => {
                if self.host.node.schema().keyspace(keyspace).is_none() {
                    return Err(CqlError::Invalid(format!("Keyspace '{keyspace}' does not exist")));
                }
                session.set_keyspace(Arc::clone(keyspace));
                Ok(Outcome::of(StatementResult::SetKeyspace(Arc::clone(keyspace))))
            }
            Plan::Schema(plan) => {
                let outcome = Box::pin(schema::execute(&self.host, guard.rails, plan, sink)).await?;
                // Whoever asks once this statement has answered must see the change.
                self.refresh_system_tables()?;
                Ok(outcome)
            }
        };
        outcome.map(|outcome| outcome.warned(guard.into_warnings()))
    }

    /// Executes a batch of the protocol at once, where that needs no waiting.
    ///
    /// # Errors
    /// A statement is refused, or the batch fails.
    pub fn try_execute_batch(
        &self,
        kind: BatchKind,
        entries: &[BatchEntry<'_>],
        parameters: &Parameters<'_>,
    ) -> Result<TryExecute, CqlError> {
        if batch::reads_first(entries)? || batch::is_conditional(entries)? || batch::has_counts(entries)? {
            return Ok(TryExecute::NotHere);
        }
        let guard = self.host.guard();
        guard.write_level(parameters.consistency)?;
        let mutations = batch::mutations(&self.host, &guard, kind, entries, parameters, &[])?;
        let tried = self.try_write(kind, &mutations, parameters)?;
        Ok(tried.warned(guard))
    }

    /// Writes a batch at once, where that needs no waiting.
    fn try_write(
        &self,
        kind: BatchKind,
        mutations: &[Vec<u8>],
        parameters: &Parameters<'_>,
    ) -> Result<TryExecute, CqlError> {
        let tried = batch::try_write(&self.host, kind, mutations, parameters)?;
        if matches!(tried, TryExecute::Done(_)) {
            batch::partitions::note(&self.host, kind, mutations, &Updates::new());
        }
        Ok(tried)
    }

    /// Executes a batch of the protocol: its statements each with their own values.
    ///
    /// # Errors
    /// A statement is refused, or the batch fails.
    pub async fn execute_batch(
        &self,
        kind: BatchKind,
        entries: &[BatchEntry<'_>],
        parameters: &Parameters<'_>,
    ) -> Result<Outcome, CqlError> {
        let guard = self.host.guard();
        guard.write_level(parameters.consistency)?;
        if batch::is_conditional(entries)? {
            let outcome = batch::execute_conditional(&self.host, &guard, entries, parameters).await?;
            return Ok(outcome.warned(guard.into_warnings()));
        }
        let lists = batch::read_lists(&self.host, &guard, entries, parameters).await?;
        let mutations = batch::mutations(&self.host, &guard, kind, entries, parameters, &lists)?;
        let updates = batch::counts(&self.host, &guard, entries, parameters)?;
        batch::partitions::note(&self.host, kind, &mutations, &updates);
        counting::count(&self.host, updates, parameters).await?;
        let outcome = batch::write(&self.host, kind, &mutations, parameters).await?;
        Ok(outcome.warned(guard.into_warnings()))
    }

    /// Writes what the server itself has to keep, all at once: nothing that bounds clients bounds that.
    ///
    /// # Errors
    /// A statement is none that only writes, or the write fails.
    pub async fn write_of_server(&self, entries: &[BatchEntry<'_>]) -> Result<(), CqlError> {
        let guard = self.host.guard_of_server();
        let parameters = Parameters { consistency: Consistency::LocalOne, ..Parameters::new() };
        let mutations = batch::mutations(&self.host, &guard, BatchKind::Unlogged, entries, &parameters, &[])?;
        Ok(self.host.node.coordinator.write(&mutations, parameters.consistency).await?)
    }

    /// Makes the content of a table that is kept up by the server anew, where it is stale.
    fn refresh(&self, table: &dodona_types::schema::Table) -> Result<(), CqlError> {
        system_tables::refill_on_read(&self.host, table, || self.prepared.counts())
    }
}

/// True if every table or type that the statement names has its keyspace with it.
fn is_qualified(statement: &Statement) -> bool {
    use crate::ast::Modification;
    let modification = |modification: &Modification| match modification {
        Modification::Insert(insert) => insert.table.keyspace.is_some(),
        Modification::Update(update) => update.table.keyspace.is_some(),
        Modification::Delete(delete) => delete.table.keyspace.is_some(),
    };
    match statement {
        Statement::Explain(explained) => is_qualified(explained),
        Statement::Select(select) => select.table.keyspace.is_some(),
        Statement::Insert(insert) => insert.table.keyspace.is_some(),
        Statement::Update(update) => update.table.keyspace.is_some(),
        Statement::Delete(delete) => delete.table.keyspace.is_some(),
        Statement::Batch(batch) => batch.statements.iter().all(modification),
        _ => false,
    }
}
