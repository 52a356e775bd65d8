//! Answers requests on the connection's own turn; what has to wait goes to [`crate::deferred`].

use crate::answers::{NoRows, failing, overloaded, write_prepared, write_result};
use crate::client::Client;
use crate::convert::{BoundValues, batch_kind, error_response, parameters};
use crate::deferred::{self, Work};
use crate::inbound::{Fatal, Flow, body_error};
use crate::outbound::{Asked, Outbound, insert_warnings};
use crate::record::State;
use crate::statements::{Cached, Statements};
use crate::worker::{Stage, Worker};
use dodona_protocol::request::{Batch, Execute, Prepare, Query, QueryParameters, Register, Startup};
use dodona_protocol::response::{Authenticate, Supported};
use dodona_protocol::{
    Compression, Encoding, Envelope, ErrorResponse, Extras, Opcode, Request, ResponseWriter, RowsOptions,
    SegmentFormat, Version, WriteType,
};
use dodona_query::statement::Scratch;
use dodona_query::{BatchEntry, CqlError, Outcome, Parameters, StatementResult, TryExecute};
use dodona_types::Consistency;
use dodona_types::limits::MAX_FRAME_BYTES;
use std::rc::Rc;

/// The version of CQL.
const CQL_VERSION: &str = "3.4.7";

/// One turn of a connection: requests in, answers out.
pub(crate) struct Turn<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) client: &'a Rc<Client>,
    pub(crate) out: &'a mut Outbound,
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) statements: &'a mut Statements,
    /// Requests answered at once.
    pub(crate) answered: u64,
}

impl Turn<'_> {
    /// Answers a request, now or later.
    ///
    /// # Errors
    /// The connection has to be closed.
    #[inline]
    pub(crate) fn answer(&mut self, envelope: &Envelope<'_>) -> Result<Flow, Fatal> {
        let header = &envelope.header;
        self.worker.metrics.request(header.opcode);
        self.client.record.requests.add(1);
        self.worker.stage.set(Stage::Analysing);
        let mut decompressed = Vec::new();
        let body = self
            .client
            .encoding
            .get()
            .compression
            .body(envelope, MAX_FRAME_BYTES, &mut decompressed)
            .map_err(|error| body_error(envelope, &error))?;
        let (extras, request) =
            Request::decode(header, body).map_err(|error| body_error(envelope, &error))?;
        if self.client.state() != State::Ready {
            return self.answer_before_ready(envelope, body, &request);
        }
        let is_statement =
            matches!(header.opcode, Opcode::Execute | Opcode::Query | Opcode::Batch | Opcode::Prepare);
        if is_statement && self.is_overloaded() {
            self.error(header.stream, &overloaded());
        } else if is_statement && (extras.tracing || self.is_sampled()) {
            self.trace(envelope, body);
        } else {
            self.answer_ready(envelope, body, &request)?;
        }
        if self.out.is_full() {
            return Ok(Flow::Pause);
        }
        Ok(Flow::Continue)
    }

    fn answer_ready(
        &mut self,
        envelope: &Envelope<'_>,
        body: &[u8],
        request: &Request<'_>,
    ) -> Result<(), Fatal> {
        let stream = envelope.header.stream;
        match request {
            Request::Execute(execute) => self.execute(envelope, body, execute),
            Request::Query(query) => self.query(envelope, body, query),
            Request::Batch(batch) => self.batch(envelope, body, batch),
            Request::Prepare(prepare) => self.prepare(stream, prepare),
            Request::Options(_) => self.supported(stream),
            Request::Register(register) => self.register(stream, register),
            // A server without authentication answers READY to whoever offers credentials.
            Request::AuthResponse(_) => self.writer().ready(stream),
            Request::Startup(_) => {
                return Err(unexpected(envelope, "QUERY, PREPARE, EXECUTE, BATCH, REGISTER or OPTIONS"));
            }
        }
        Ok(())
    }

    /// True if the client wants to be told that there is too much to do, and there is.
    fn is_overloaded(&self) -> bool {
        let admission = &self.worker.shared.admission;
        self.client.throws_on_overload.get()
            && (admission.is_full() || admission.is_too_much(self.client.in_flight_bytes()))
    }

    /// True if the request is one of the share that is traced.
    #[inline]
    fn is_sampled(&self) -> bool {
        let shared = &self.worker.shared;
        shared.trace_share.takes_one(&shared.node.env.random)
    }

    fn writer(&mut self) -> ResponseWriter<'_> {
        ResponseWriter::new(&mut self.out.bytes, self.client.encoding.get())
    }

    fn error(&mut self, stream: i16, error: &ErrorResponse) {
        self.worker.metrics.error(error.body.code());
        self.writer().error(stream, &Extras::default(), error);
    }

    fn failed(&mut self, stream: i16, error: &CqlError, consistency: Consistency, gives_rows: bool) {
        let failing = failing(self.worker, consistency, (!gives_rows).then_some(WriteType::Simple));
        self.error(stream, &error_response(error, failing));
    }

    /// Leaves a request to a task of its own.
    fn defer(&self, envelope: &Envelope<'_>, body: &[u8], statement: Option<Rc<Cached>>) {
        let work = Work { header: envelope.header, body: body.to_vec(), statement, is_sampled: false };
        deferred::start(self.worker, self.client, work);
    }

    /// Leaves a request to a task of its own, which traces it.
    #[cold]
    fn trace(&self, envelope: &Envelope<'_>, body: &[u8]) {
        let work = Work { header: envelope.header, body: body.to_vec(), statement: None, is_sampled: true };
        deferred::start(self.worker, self.client, work);
    }
}

/// Before the client may send statements.
impl Turn<'_> {
    fn answer_before_ready(
        &mut self,
        envelope: &Envelope<'_>,
        body: &[u8],
        request: &Request<'_>,
    ) -> Result<Flow, Fatal> {
        let stream = envelope.header.stream;
        self.client
            .encoding
            .set(Encoding::new(envelope.header.version, self.client.encoding.get().compression));
        match (self.client.state(), request) {
            (_, Request::Options(_)) => self.supported(stream),
            (State::Fresh, Request::Startup(startup)) => return self.startup(envelope, startup),
            (State::Authenticating, Request::AuthResponse(_)) => self.defer(envelope, body, None),
            (State::Fresh, _) => return Err(unexpected(envelope, "STARTUP or OPTIONS")),
            _ => return Err(unexpected(envelope, "AUTH_RESPONSE")),
        }
        Ok(Flow::Continue)
    }

    fn startup(&mut self, envelope: &Envelope<'_>, startup: &Startup<'_>) -> Result<Flow, Fatal> {
        let header = &envelope.header;
        let agreed = agree(header.version, startup).map_err(|error| Fatal {
            stream: header.stream,
            version: header.version,
            unsegmented: true,
            response: ErrorResponse::protocol(&error),
        })?;
        self.client.record.started(header.version.number(), startup);
        let throws = startup.option(Startup::THROW_ON_OVERLOAD);
        self.client.throws_on_overload.set(throws == Some("1"));
        if self.worker.shared.authenticator.is_required() {
            self.client.set_state(State::Authenticating);
            let authenticator = Authenticate::PASSWORD_AUTHENTICATOR;
            self.writer().authenticate(header.stream, &Authenticate { authenticator });
        } else {
            self.client.set_state(State::Ready);
            self.writer().ready(header.stream);
        }
        if !header.version.has_segments() {
            self.client.encoding.set(Encoding::new(header.version, agreed));
            return Ok(Flow::Continue);
        }
        let format = if agreed == Compression::Lz4 { SegmentFormat::Lz4 } else { SegmentFormat::Plain };
        self.client.segments.set(Some(format));
        Ok(Flow::Segments(format))
    }

    fn supported(&mut self, stream: i16) {
        let options = vec![
            ("CQL_VERSION", vec![CQL_VERSION]),
            ("COMPRESSION", vec![Compression::Snappy.name(), Compression::Lz4.name()]),
            ("PROTOCOL_VERSIONS", Version::ALL.iter().map(|version| version.name()).collect()),
        ];
        self.writer().supported(stream, &Supported { options });
    }

    fn register(&mut self, stream: i16, register: &Register) {
        self.client.register(&register.event_types);
        self.writer().ready(stream);
    }
}

/// Statements.
impl Turn<'_> {
    #[inline]
    fn execute(&mut self, envelope: &Envelope<'_>, body: &[u8], execute: &Execute<'_>) {
        let (stream, version) = (envelope.header.stream, envelope.header.version);
        let request = &execute.parameters;
        let cached = match self.statements.get(&self.worker.shared, execute.id) {
            Ok(cached) => cached,
            Err(error) => return self.failed(stream, &error, request.consistency, true),
        };
        self.worker.metrics.prepared.add(1);
        let options = cached.options(version, request.skip_metadata, execute.result_metadata_id);
        self.run(envelope, body, request, &cached, &options);
    }

    fn query(&mut self, envelope: &Envelope<'_>, body: &[u8], query: &Query<'_>) {
        let request = &query.parameters;
        let analysed =
            self.worker.shared.processor.analyse(self.client.session(), query.text, request.keyspace);
        match analysed {
            Ok(statement) => {
                self.worker.metrics.regular.add(1);
                let cached = Cached::unprepared(statement);
                self.run(envelope, body, request, &cached, &RowsOptions::default());
            }
            Err(error) => self.failed(envelope.header.stream, &error, request.consistency, true),
        }
    }

    #[inline]
    fn run(
        &mut self,
        envelope: &Envelope<'_>,
        body: &[u8],
        request: &QueryParameters<'_>,
        cached: &Rc<Cached>,
        options: &RowsOptions<'_>,
    ) {
        let stream = envelope.header.stream;
        let values = BoundValues::new(&request.values);
        let parameters = parameters(request, &values, envelope.header.version);
        self.worker.stage.set(Stage::Executing);
        let start = self.out.bytes.len();
        match self.try_run(stream, cached, options, &parameters) {
            Ok(TryExecute::Done(outcome)) => {
                self.answered += 1;
                cached.statement.served(&mut self.out.served);
                self.outcome(
                    stream,
                    start,
                    &outcome,
                    Asked { consistency: request.consistency, write: WriteType::Simple },
                );
            }
            Ok(TryExecute::NotHere) => self.defer(envelope, body, Some(Rc::clone(cached))),
            Err(error) => self.failed(stream, &error, request.consistency, cached.statement.has_rows),
        }
    }

    /// Executes a statement at once, if that is possible. Its rows are written already.
    #[inline]
    fn try_run(
        &mut self,
        stream: i16,
        cached: &Cached,
        options: &RowsOptions<'_>,
        parameters: &Parameters<'_>,
    ) -> Result<TryExecute, CqlError> {
        let processor = &self.worker.shared.processor;
        let (session, statement) = (self.client.session(), &*cached.statement);
        if !statement.has_rows {
            return processor.try_execute(session, statement, parameters, self.scratch, &mut NoRows);
        }
        let writer = ResponseWriter::new(&mut self.out.bytes, self.client.encoding.get());
        let mut rows = writer.rows(stream, &Extras::default(), &cached.metadata, options);
        let tried = processor.try_execute(session, statement, parameters, self.scratch, &mut rows);
        if let Ok(TryExecute::Done(Outcome { result: StatementResult::Rows { paging_state }, .. })) = &tried {
            rows.finish(paging_state.as_deref());
        }
        tried
    }

    /// Writes what came of a statement; rows have been written.
    #[inline]
    fn outcome(&mut self, stream: i16, start: usize, outcome: &Outcome, asked: Asked) {
        match &outcome.result {
            StatementResult::Rows { .. } => {}
            StatementResult::Void { safe_at } => {
                self.writer().void(stream, &Extras::default());
                if let Some(position) = safe_at
                    && outcome.warnings.is_empty()
                {
                    return self.out.acknowledges(start, stream, *position, asked);
                }
            }
            other => write_result(self.writer(), stream, &Extras::default(), other),
        }
        if !outcome.warnings.is_empty() {
            self.warn(stream, start, outcome, asked);
        }
    }

    #[cold]
    fn warn(&mut self, stream: i16, start: usize, outcome: &Outcome, asked: Asked) {
        insert_warnings(&mut self.out.bytes, start, self.client.encoding.get(), &outcome.warnings);
        if let StatementResult::Void { safe_at: Some(position) } = outcome.result {
            self.out.acknowledges(start, stream, position, asked);
        }
    }

    fn batch(&mut self, envelope: &Envelope<'_>, body: &[u8], batch: &Batch<'_>) {
        let (stream, request) = (envelope.header.stream, &batch.parameters);
        let (kind, write) = batch_kind(batch.kind);
        let values = BoundValues::new(&request.values);
        let parameters = parameters(request, &values, envelope.header.version);
        let shared = &self.worker.shared;
        let entries = self.statements.entries(shared, self.client.session(), batch);
        self.worker.stage.set(Stage::Executing);
        let start = self.out.bytes.len();
        let served = &mut self.out.served;
        let tried = entries.and_then(|entries| {
            let tried = shared.processor.try_execute_batch(kind, &entries, &parameters);
            if matches!(tried, Ok(TryExecute::Done(_))) {
                BatchEntry::served(&entries, served);
            }
            tried
        });
        match tried {
            Ok(TryExecute::Done(outcome)) => {
                self.answered += 1;
                self.outcome(stream, start, &outcome, Asked { consistency: request.consistency, write });
            }
            Ok(TryExecute::NotHere) => self.defer(envelope, body, None),
            Err(error) => {
                let failing = failing(self.worker, request.consistency, Some(write));
                self.error(stream, &error_response(&error, failing));
            }
        }
    }

    fn prepare(&mut self, stream: i16, prepare: &Prepare<'_>) {
        let shared = &self.worker.shared;
        match shared.processor.prepare(self.client.session(), prepare.text, prepare.keyspace) {
            Ok(statement) => {
                shared.told.tell(&statement);
                write_prepared(self.writer(), stream, &Extras::default(), &statement);
            }
            Err(error) => self.failed(stream, &error, Consistency::One, true),
        }
    }
}

/// The compression that a client asks for.
fn agree(version: Version, startup: &Startup<'_>) -> Result<Compression, String> {
    let Some(cql_version) = startup.option(Startup::CQL_VERSION) else {
        return Err("Missing value CQL_VERSION in STARTUP message".into());
    };
    if cql_version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_none_or(|major| major < 3)
    {
        return Err(format!(
            "CQL version {cql_version} is not supported by the binary protocol (supported version are >= 3.0.0)"
        ));
    }
    match startup.option(Startup::COMPRESSION) {
        None | Some("") => Ok(Compression::None),
        Some(name) => match Compression::from_name(name) {
            Some(Compression::Snappy) if version.has_segments() => {
                Err("Unsupported compression type: snappy".into())
            }
            Some(compression) => Ok(compression),
            None => Err(format!("Unknown compression algorithm: {name}")),
        },
    }
}

fn unexpected(envelope: &Envelope<'_>, expected: &str) -> Fatal {
    let header = &envelope.header;
    Fatal {
        stream: header.stream,
        version: header.version,
        unsegmented: false,
        response: ErrorResponse::protocol(&format!(
            "Unexpected message {}, expecting {expected}",
            header.opcode
        )),
    }
}
