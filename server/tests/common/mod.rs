//! A server in this process, and a client made of the protocol crate.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test talks to real sockets, and no test file uses everything"
)]

use bytes::BytesMut;
use dodona_env::os;
use dodona_protocol::request::{Execute, Prepare, Query, QueryParameters, Startup, ValuesBuilder};
use dodona_protocol::response::ResultResponse;
use dodona_protocol::segment::{SegmentRun, Step};
use dodona_protocol::{
    Compression, Encoding, EnvelopeRules, ErrorCode, Header, Request, RequestExtras, Response, SegmentFormat,
    SegmentReader, Value, Version,
};
use dodona_server::{Process, Running, Settings};
use dodona_types::Consistency;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tempfile::TempDir;

/// A server and its data directory.
pub struct Server {
    pub running: Option<Running>,
    pub native: SocketAddr,
    pub admin: SocketAddr,
    pub directory: TempDir,
}

impl Server {
    /// A server on free ports.
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// A server with other settings.
    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::open(tempfile::tempdir().unwrap(), change)
    }

    /// A server on a directory.
    pub fn open(directory: TempDir, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            data: directory.path().to_owned(),
            port: 0,
            admin_port: 0,
            internode_port: 0,
            cores: 2,
            shutdown_seconds: 2,
            ..Settings::default()
        };
        change(&mut settings);
        let running =
            dodona_server::start(os::env(directory.path()).unwrap(), settings, Process::default()).unwrap();
        Self { native: running.native, admin: running.admin, running: Some(running), directory }
    }

    /// Stops the server, and gives its directory.
    pub fn stop(mut self) -> TempDir {
        self.running.take().unwrap().stop().unwrap();
        self.directory
    }

    /// What an HTTP request of an operator gives.
    pub fn http(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }
}

/// An answer that owns its bytes.
#[derive(Debug)]
pub struct Answer {
    pub header: Header,
    body: Vec<u8>,
}

impl Answer {
    pub fn response(&self) -> Response<'_> {
        Response::decode(&self.header, &self.body).unwrap().1
    }

    pub fn warnings(&self) -> Vec<String> {
        let extras = Response::decode(&self.header, &self.body).unwrap().0;
        extras.warnings.into_iter().map(str::to_owned).collect()
    }

    pub fn tracing_id(&self) -> Option<uuid::Uuid> {
        Response::decode(&self.header, &self.body).unwrap().0.tracing_id
    }

    /// Code and message, if it is an error.
    pub fn error(&self) -> Option<(ErrorCode, String)> {
        match self.response() {
            Response::Error(error) => Some((error.body.code(), error.message)),
            _ => None,
        }
    }

    /// All values, if it is rows.
    pub fn values(&self) -> Vec<Option<Vec<u8>>> {
        match self.response() {
            Response::Result(ResultResponse::Rows(rows)) => {
                rows.cells().map(|cell| cell.unwrap().map(<[u8]>::to_vec)).collect()
            }
            other => panic!("not rows: {other:?}"),
        }
    }

    pub fn is_void(&self) -> bool {
        matches!(self.response(), Response::Result(ResultResponse::Void))
    }
}

/// A prepared statement.
#[derive(Clone, Debug)]
pub struct Statement {
    pub id: Vec<u8>,
    pub result_id: Vec<u8>,
}

/// A stream of bytes, in TLS or not.
pub trait ReadWrite: Read + Write + Send {}
impl<T: Read + Write + Send> ReadWrite for T {}

/// A client's connection.
pub struct Client {
    stream: Box<dyn ReadWrite>,
    version: Version,
    compression: Compression,
    segments: Option<(SegmentFormat, SegmentReader)>,
    inbound: Vec<u8>,
    answers: VecDeque<Answer>,
    held: Option<Vec<u8>>,
    pub next_stream: i16,
}

impl Client {
    /// Connects and says nothing.
    pub fn raw(address: SocketAddr, version: Version) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self::over(Box::new(stream), version)
    }

    /// Says nothing on a stream that is connected.
    pub fn over(stream: Box<dyn ReadWrite>, version: Version) -> Self {
        Self {
            stream,
            version,
            compression: Compression::None,
            segments: None,
            inbound: Vec::new(),
            answers: VecDeque::new(),
            held: None,
            next_stream: 0,
        }
    }

    /// Connects and is ready for statements.
    pub fn connect(address: SocketAddr, version: Version, compression: Compression) -> Self {
        let mut client = Self::raw(address, version);
        let answer = client.startup(compression, &[]);
        assert_eq!(answer.response(), Response::Ready);
        client
    }

    pub fn startup(&mut self, compression: Compression, more: &[(&'static str, &'static str)]) -> Answer {
        let mut options = vec![(Startup::CQL_VERSION, "3.0.0")];
        if compression != Compression::None {
            options.push((Startup::COMPRESSION, compression.name()));
        }
        options.extend(more);
        let answer = self.call(&Request::Startup(Startup { options }));
        if self.version.has_segments() {
            let format =
                if compression == Compression::Lz4 { SegmentFormat::Lz4 } else { SegmentFormat::Plain };
            let reader = SegmentReader::new(format, EnvelopeRules::client(self.version));
            self.segments = Some((format, reader));
        } else {
            self.compression = compression;
        }
        answer
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        match &mut self.held {
            Some(held) => held.extend_from_slice(bytes),
            None => self.stream.write_all(bytes).unwrap(),
        }
    }

    /// Keeps what is sent from now on until [`Self::release`].
    pub fn hold(&mut self) {
        self.held = Some(Vec::new());
    }

    /// Sends what was kept, at once.
    pub fn release(&mut self) {
        let held = self.held.take().unwrap_or_default();
        self.send_bytes(&held);
    }

    /// True if the server closes the connection, whatever it says before.
    pub fn closes(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// Sends a request; returns its stream.
    pub fn send(&mut self, request: &Request<'_>, tracing: bool) -> i16 {
        let stream = self.next_stream;
        self.next_stream = (stream + 1) % 1_000;
        let mut out = BytesMut::new();
        let run = self.segments.as_ref().map(|(format, _)| SegmentRun::begin(&mut out, *format));
        let extras = RequestExtras { tracing, ..RequestExtras::default() };
        request.encode(Encoding::new(self.version, self.compression), stream, &extras, &mut out);
        if let Some(run) = run {
            run.seal(&mut out);
        }
        self.send_bytes(&out);
        stream
    }

    /// The next answer or event, or `None` once the server has closed the connection.
    pub fn receive(&mut self) -> Option<Answer> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            self.decode();
            if let Some(answer) = self.answers.pop_front() {
                return Some(answer);
            }
            let read = match self.stream.read(&mut buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
                Err(error) => panic!("{error}"),
            };
            if read == 0 {
                return None;
            }
            self.inbound.extend_from_slice(&buffer[..read]);
        }
    }

    fn decode(&mut self) {
        let Some((_, reader)) = &mut self.segments else {
            let used = take(&self.inbound, self.version, self.compression, &mut self.answers);
            self.inbound.drain(..used);
            return;
        };
        loop {
            let consumed = match reader.next(&self.inbound).unwrap() {
                Step::Incomplete => return,
                Step::Partial { consumed } => consumed,
                Step::Envelopes { envelopes, consumed } => {
                    take(envelopes, self.version, Compression::None, &mut self.answers);
                    consumed
                }
            };
            self.inbound.drain(..consumed);
        }
    }

    pub fn call(&mut self, request: &Request<'_>) -> Answer {
        self.send(request, false);
        self.receive().expect("an answer")
    }

    pub fn query(&mut self, text: &str) -> Answer {
        let parameters = QueryParameters::new(Consistency::One);
        self.call(&Request::Query(Query { text, parameters }))
    }

    /// Runs a statement that must not fail.
    pub fn run(&mut self, text: &str) -> Answer {
        let answer = self.query(text);
        assert_eq!(answer.error(), None, "{text}");
        answer
    }

    pub fn prepare(&mut self, text: &str) -> Statement {
        let answer = self.call(&Request::Prepare(Prepare { text, keyspace: None }));
        match answer.response() {
            Response::Result(ResultResponse::Prepared(prepared)) => Statement {
                id: prepared.id.to_vec(),
                result_id: prepared.result_metadata_id.unwrap_or_default().to_vec(),
            },
            other => panic!("{text}: {other:?}"),
        }
    }

    /// Sends EXECUTE; returns its stream.
    pub fn send_execute(
        &mut self,
        statement: &Statement,
        values: &[Value<'_>],
        change: impl FnOnce(&mut QueryParameters<'_>),
    ) -> i16 {
        let mut builder = ValuesBuilder::new(self.version);
        values.iter().for_each(|value| builder.push(*value));
        let mut parameters = QueryParameters::new(Consistency::One);
        parameters.values = builder.values();
        change(&mut parameters);
        let request =
            Execute { id: &statement.id, result_metadata_id: Some(&statement.result_id), parameters };
        self.send(&Request::Execute(request), false)
    }

    pub fn execute(&mut self, statement: &Statement, values: &[Value<'_>]) -> Answer {
        self.send_execute(statement, values, |_| {});
        self.receive().expect("an answer")
    }
}

/// Takes whole envelopes; returns how many bytes they are.
fn take(bytes: &[u8], version: Version, compression: Compression, answers: &mut VecDeque<Answer>) -> usize {
    let rules = EnvelopeRules { version: None, ..EnvelopeRules::client(version) };
    let mut used = 0;
    while let Some((envelope, length)) = rules.next(&bytes[used..]).unwrap() {
        let mut scratch = Vec::new();
        let body = compression.body(&envelope, 256 << 20, &mut scratch).unwrap().to_vec();
        answers.push_back(Answer { header: envelope.header, body });
        used += length;
    }
    used
}

/// A connection that says nothing.
pub fn tcp(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).unwrap()
}

/// True if nobody listens there.
pub fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

pub fn write_file(path: &std::path::Path, text: &str) {
    std::fs::write(path, text).unwrap();
}
