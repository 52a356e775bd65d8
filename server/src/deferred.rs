//! Answers the requests that have to wait for something, each in a task of its own.

use crate::answers::{NoRows, failing, overloaded, write_prepared, write_result};
use crate::client::{Answer, Client, Closing};
use crate::convert::{BoundValues, batch_kind, cluster_error, error_response, parameters};
use crate::outbound::insert_warnings;
use crate::record::State;
use crate::running::Place;
use crate::statements::Cached;
use crate::trace::{self, About, Tracing};
use crate::worker::Worker;
use bytes::BytesMut;
use dodona_cluster::coordinator::served::{ByPaxos, Operation};
use dodona_protocol::request::{Batch, Prepare, Query, QueryParameters};
use dodona_protocol::response::AuthSuccess;
use dodona_protocol::{
    ErrorBody, ErrorResponse, Extras, Flags, Header, Request, ResponseWriter, RowsOptions, WriteType,
};
use dodona_query::ast::BatchKind;
use dodona_query::{BatchEntry, CqlError, Outcome, Parameters, StatementResult};
use dodona_types::TableId;
use std::cell::{Cell, RefCell};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

/// What a request is counted for beside its own bytes: the buffers that it takes to answer it.
const REQUEST_BYTES: usize = 4 << 10;

/// A request that has to wait.
pub(crate) struct Work {
    pub(crate) header: Header,
    /// Its body, decompressed.
    pub(crate) body: Vec<u8>,
    /// Its statement, if that has been found already.
    pub(crate) statement: Option<Rc<Cached>>,
    /// It is one of the share of requests that are traced.
    pub(crate) is_sampled: bool,
}

/// Starts to answer a request.
pub(crate) fn start(worker: &Rc<Worker>, client: &Rc<Client>, work: Work) {
    worker.metrics.deferred.add(1);
    let mut charge = worker.shared.admission.charge(work.body.len() + REQUEST_BYTES);
    client.begin(&charge);
    let (worker, client) = (Rc::clone(worker), Rc::clone(client));
    let tasks = worker.shared.node.env.tasks.clone();
    tasks.spawn_local(async move {
        let _guard = Guard { worker: &worker, client: &client };
        let clock = &worker.shared.node.env.clock;
        let began = clock.mono();
        let asks = work.header.flags.contains(Flags::TRACING);
        let place = worker.metrics.running.enter(work.header.opcode, began);
        let deferred = Deferred {
            worker: &worker,
            client: &client,
            stream: work.header.stream,
            served: RefCell::default(),
            by_paxos: Cell::default(),
            running: &place,
            trace: (asks || work.is_sampled).then(|| Tracing::begin(&worker.shared.node.env, asks)),
        };
        // Logging in waits for nobody's turn.
        let metrics = &worker.metrics;
        metrics.waiting.add(1);
        let turn = match client.state() {
            State::Ready => worker.place().await,
            _ => None,
        };
        let its_turn = clock.mono();
        place.begin(its_turn);
        metrics.waiting.subtract(1);
        metrics.executing.add(1);
        let patience = Duration::from_millis(worker.shared.settings.read_timeout_ms);
        let is_late = turn.is_some() && its_turn.saturating_sub(began) > patience;
        // What a request takes to be executed is not there for those that wait.
        let bytes = if is_late { deferred.refuse() } else { Box::pin(deferred.answer(&work)).await };
        drop(turn);
        metrics.executing.subtract(1);
        let now = clock.mono();
        let took = now.saturating_sub(began);
        metrics.latency.record(took, 1);
        let coordinator = &worker.shared.node.coordinator;
        coordinator.note_served(&deferred.served.borrow(), now, took);
        if let Some(what) = deferred.by_paxos.get() {
            coordinator.note_by_paxos(what, now, took);
        }
        let before = charge.bytes();
        charge.set(bytes.len());
        client.finish(before, Answer { bytes, charge });
    });
}

/// Nobody would answer the request of a task that panics, and nothing can be relied on then.
struct Guard<'a> {
    worker: &'a Worker,
    client: &'a Client,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.worker.shared.fail("a request panicked while it was executed");
            self.client.close(Closing::Now);
        }
    }
}

/// What went wrong, and what the protocol needs to know of the request.
struct Failed {
    error: CqlError,
    parameters: Option<dodona_types::Consistency>,
    write: Option<WriteType>,
}

struct Deferred<'a> {
    worker: &'a Rc<Worker>,
    client: &'a Rc<Client>,
    stream: i16,
    /// What its statement did with tables, whether it succeeded or the cluster could not.
    served: RefCell<Vec<(TableId, Operation)>>,
    /// What it needed Paxos for.
    by_paxos: Cell<Option<ByPaxos>>,
    running: &'a Place<'a>,
    trace: Option<Tracing>,
}

impl Deferred<'_> {
    /// The answer to a request that has waited for its turn for too long: whoever asked may have given up.
    fn refuse(&self) -> BytesMut {
        let mut out = BytesMut::new();
        self.error(&mut out, &overloaded());
        out
    }

    /// The answer's envelope.
    async fn answer(&self, work: &Work) -> BytesMut {
        let mut out = BytesMut::new();
        let outcome = match Request::decode(&work.header, &work.body) {
            Ok((_, Request::AuthResponse(response))) => {
                Box::pin(self.log_in(response.token, &mut out)).await;
                return out;
            }
            Ok((_, Request::Batch(batch))) => Box::pin(self.batch(&batch, work)).await,
            Ok((_, request)) => self.statement(&request, work, &mut out).await,
            Err(error) => {
                // It has been decoded before.
                self.error(&mut out, &ErrorResponse::protocol(&error));
                return out;
            }
        };
        match outcome {
            Ok(outcome) => self.outcome(&mut out, outcome).await,
            Err(failed) => {
                if !matches!(failed.error, CqlError::Cluster(_)) {
                    self.served.borrow_mut().clear();
                    self.by_paxos.set(None);
                }
                let consistency = failed.parameters.unwrap_or(dodona_types::Consistency::One);
                let failing = failing(self.worker, consistency, failed.write);
                self.error(&mut out, &error_response(&failed.error, failing));
            }
        }
        out
    }

    fn extras(&self) -> Extras<'static> {
        Extras { tracing_id: self.trace.as_ref().and_then(Tracing::told_id), ..Extras::default() }
    }

    /// Notes something, if the request is traced.
    fn note(&self, activity: impl FnOnce() -> String) {
        if let Some(tracing) = &self.trace {
            tracing.note(activity());
        }
    }

    fn error(&self, out: &mut BytesMut, error: &ErrorResponse) {
        self.worker.metrics.error(error.body.code());
        ResponseWriter::new(out, self.client.encoding.get()).error(self.stream, &self.extras(), error);
    }

    /// Writes an outcome; rows have been written.
    async fn outcome(&self, out: &mut BytesMut, outcome: Outcome) {
        let (coordinator, encoding) = (&self.worker.shared.node.coordinator, self.client.encoding.get());
        match &outcome.result {
            StatementResult::Rows { .. } if !out.is_empty() => {}
            StatementResult::Void { safe_at: Some(position) } => {
                if let Err(error) = coordinator.wait_safe(*position).await {
                    let failing =
                        failing(self.worker, dodona_types::Consistency::One, Some(WriteType::Simple));
                    return self.error(out, &cluster_error(&error, failing));
                }
                ResponseWriter::new(out, encoding).void(self.stream, &self.extras());
            }
            result => {
                write_result(ResponseWriter::new(out, encoding), self.stream, &self.extras(), result);
            }
        }
        insert_warnings(out, 0, encoding, &outcome.warnings);
    }
}

/// Statements.
impl Deferred<'_> {
    async fn statement(
        &self,
        request: &Request<'_>,
        work: &Work,
        out: &mut BytesMut,
    ) -> Result<Outcome, Failed> {
        match request {
            Request::Execute(execute) => {
                let cached = match &work.statement {
                    Some(cached) => Rc::clone(cached),
                    None => self.prepared(execute.id)?,
                };
                let (version, request) = (work.header.version, &execute.parameters);
                let options = cached.options(version, request.skip_metadata, execute.result_metadata_id);
                let about = || About::execute(&cached.statement, request);
                let executed = pin!(self.execute(&cached, request, work, &options, out));
                self.traced(about, executed).await
            }
            Request::Query(query) => {
                let executed = pin!(async {
                    let cached = match &work.statement {
                        Some(cached) => Rc::clone(cached),
                        None => self.analysed(query)?,
                    };
                    self.execute(&cached, &query.parameters, work, &RowsOptions::default(), out).await
                });
                self.traced(|| About::query(query.text, &query.parameters), executed).await
            }
            Request::Prepare(prepare) => {
                let prepared = pin!(async { Ok(self.prepare(prepare, out)?) });
                self.traced(|| About::prepare(prepare.text), prepared).await
            }
            _ => Err(CqlError::Server("a request that cannot wait".into()).into()),
        }
    }

    /// Has a request traced, if it is to be. It stays where it is pinned: each function that is handed a future itself
    /// has room for it once more.
    async fn traced(
        &self,
        about: impl FnOnce() -> About,
        request: Pin<&mut impl Future<Output = Result<Outcome, Failed>>>,
    ) -> Result<Outcome, Failed> {
        trace::around(self.worker, self.client, self.trace.as_ref(), about, request).await
    }

    fn prepared(&self, id: &[u8]) -> Result<Rc<Cached>, CqlError> {
        let found = self.worker.statements.borrow_mut().get(&self.worker.shared, id);
        self.note(|| "Found the prepared statement".into());
        self.worker.metrics.prepared.add(1);
        found
    }

    fn analysed(&self, query: &Query<'_>) -> Result<Rc<Cached>, CqlError> {
        let keyspace = query.parameters.keyspace;
        self.note(|| format!("Parsing {}", query.text));
        let processor = &self.worker.shared.processor;
        let statement = processor.analyse(self.client.session(), query.text, keyspace)?;
        self.note(|| "Parsed and planned".into());
        self.worker.metrics.regular.add(1);
        Ok(Cached::unprepared(statement))
    }

    async fn execute(
        &self,
        cached: &Cached,
        request: &QueryParameters<'_>,
        work: &Work,
        options: &RowsOptions<'_>,
        out: &mut BytesMut,
    ) -> Result<Outcome, Failed> {
        let (statement, level) = (&cached.statement, request.consistency);
        self.running.asks(statement, level);
        statement.served(&mut self.served.borrow_mut());
        let is_serial_read = statement.has_rows && level.is_serial();
        let conditional = statement.is_conditional().then_some(ByPaxos::Write);
        self.by_paxos.set(conditional.or(is_serial_read.then_some(ByPaxos::Read)));
        let values = BoundValues::new(&request.values);
        let parameters = parameters(request, &values, work.header.version);
        self.give(cached, &parameters, options, out).await.map_err(|error| Failed {
            error,
            parameters: Some(request.consistency),
            write: (!cached.statement.has_rows).then_some(WriteType::Simple),
        })
    }

    async fn give(
        &self,
        cached: &Cached,
        parameters: &Parameters<'_>,
        options: &RowsOptions<'_>,
        out: &mut BytesMut,
    ) -> Result<Outcome, CqlError> {
        let processor = &self.worker.shared.processor;
        let (session, statement) = (self.client.session(), &*cached.statement);
        if !statement.has_rows {
            let sink = &mut NoRows;
            return processor.execute(session, statement, parameters, sink).await;
        }
        let writer = ResponseWriter::new(out, self.client.encoding.get());
        let mut rows = writer.rows(self.stream, &self.extras(), &cached.metadata, options);
        let outcome = processor.execute(session, statement, parameters, &mut rows).await?;
        if let StatementResult::Rows { paging_state } = &outcome.result {
            rows.finish(paging_state.as_deref());
        }
        Ok(outcome)
    }

    async fn batch(&self, batch: &Batch<'_>, work: &Work) -> Result<Outcome, Failed> {
        let request = &batch.parameters;
        let (kind, write) = batch_kind(batch.kind);
        let values = BoundValues::new(&request.values);
        let parameters = parameters(request, &values, work.header.version);
        let executed = pin!(async {
            self.execute_batch(batch, kind, &parameters).await.map_err(|error| Failed {
                error,
                parameters: Some(request.consistency),
                write: Some(write),
            })
        });
        self.traced(|| About::batch(request), executed).await
    }

    async fn execute_batch(
        &self,
        batch: &Batch<'_>,
        kind: BatchKind,
        parameters: &Parameters<'_>,
    ) -> Result<Outcome, CqlError> {
        let session = self.client.session();
        let entries = self.worker.statements.borrow_mut().entries(&self.worker.shared, session, batch)?;
        BatchEntry::served(&entries, &mut self.served.borrow_mut());
        self.by_paxos.set(BatchEntry::are_conditional(&entries).then_some(ByPaxos::Write));
        self.worker.shared.processor.execute_batch(kind, &entries, parameters).await
    }

    /// Prepares with a trace, which is all that PREPARE may wait for.
    fn prepare(&self, prepare: &Prepare<'_>, out: &mut BytesMut) -> Result<Outcome, CqlError> {
        let shared = &self.worker.shared;
        self.note(|| format!("Parsing {}", prepare.text));
        let statement = shared.processor.prepare(self.client.session(), prepare.text, prepare.keyspace)?;
        self.note(|| "Parsed and planned".into());
        shared.told.tell(&statement);
        write_prepared(
            ResponseWriter::new(out, self.client.encoding.get()),
            self.stream,
            &self.extras(),
            &statement,
        );
        Ok(Outcome::of(StatementResult::Rows { paging_state: None }))
    }
}

/// Logging in.
impl Deferred<'_> {
    async fn log_in(&self, token: Option<&[u8]>, out: &mut BytesMut) {
        let authenticator = &self.worker.shared.authenticator;
        match authenticator.log_in(&self.worker.shared.processor, token.unwrap_or_default()).await {
            Ok(role) => {
                *self.client.session().role.lock() = Some(role.as_str().into());
                self.client.set_state(State::Ready);
                ResponseWriter::new(out, self.client.encoding.get())
                    .auth_success(self.stream, &AuthSuccess { token: None });
            }
            Err(message) => {
                tracing::info!(client = %self.client.session().client, message, "a login failed");
                self.error(out, &ErrorResponse::new(ErrorBody::BadCredentials, message));
            }
        }
    }
}

impl AsRef<CqlError> for Failed {
    fn as_ref(&self) -> &CqlError {
        &self.error
    }
}

impl From<CqlError> for Failed {
    fn from(error: CqlError) -> Self {
        Self { error, parameters: None, write: None }
    }
}
