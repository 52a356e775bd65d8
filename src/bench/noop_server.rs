//! A server that does no work: it decodes requests and answers each with something valid. What it
//! costs is the floor for any server of this protocol with this shape: one current-thread runtime;
//! read what a socket has, answer all of it into one buffer, write once.

use std::io::ErrorKind;
use std::net::SocketAddr;

use bytes::{Buf, BytesMut};
use dodona_protocol::request::Execute;
use dodona_protocol::response::{Extras, Supported};
use dodona_protocol::segment::{SegmentRun, Step};
use dodona_protocol::{
    ColumnSpec, Compression, EncodedMetadata, Encoding, Envelope, EnvelopeRules, ErrorResponse,
    PreparedMetadata, Request, ResponseWriter, ResultMetadata, RowsOptions, RowsWriter, SegmentFormat,
    SegmentReader, Version,
};
use dodona_types::limits::MAX_FRAME_BYTES;
use dodona_types::{CqlType, RowSink};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::BenchError;
use super::link::each_envelope;
use super::worker::runtime;

const READ_BYTES: usize = 256 * 1024;
/// The most rows in a page, whatever a client asks for.
const MAX_ROWS: i32 = 5_000;
/// The prepared ids: all that this server remembers of a statement is whether it gives rows.
const ROWS_ID: [u8; 16] = *b"no-op rows      ";
const VOID_ID: [u8; 16] = *b"no-op void      ";

/// Serves until the process ends.
pub(super) fn serve(address: SocketAddr, value_bytes: usize) -> Result<(), BenchError> {
    let listener = std::net::TcpListener::bind(address).map_err(BenchError::io("listen"))?;
    println!("no-op server on {address}");
    serve_on(listener, value_bytes)
}

/// Serves on a listener until the process ends.
pub(super) fn serve_on(listener: std::net::TcpListener, value_bytes: usize) -> Result<(), BenchError> {
    listener.set_nonblocking(true).map_err(BenchError::io("listen"))?;
    LocalSet::new().block_on(&runtime()?, async {
        let listener = TcpListener::from_std(listener).map_err(BenchError::io("listen"))?;
        loop {
            let (stream, _) = listener.accept().await.map_err(BenchError::io("accept"))?;
            let mut client = Client::new(stream, value_bytes)?;
            tokio::task::spawn_local(async move {
                if let Err(error) = client.serve().await {
                    eprintln!("no-op server: {error}");
                }
            });
        }
    })
}

/// A client's connection.
struct Client {
    stream: TcpStream,
    inbound: BytesMut,
    outbound: BytesMut,
    rules: EnvelopeRules,
    segments: Option<SegmentReader>,
    answers: Answers,
}

impl Client {
    fn new(stream: TcpStream, value_bytes: usize) -> Result<Self, BenchError> {
        stream.set_nodelay(true).map_err(BenchError::io("set TCP_NODELAY"))?;
        Ok(Self {
            stream,
            inbound: BytesMut::with_capacity(READ_BYTES),
            outbound: BytesMut::new(),
            rules: EnvelopeRules::server(MAX_FRAME_BYTES),
            segments: None,
            answers: Answers::new(value_bytes),
        })
    }

    async fn serve(&mut self) -> Result<(), BenchError> {
        loop {
            self.inbound.reserve(READ_BYTES);
            let read = self.stream.read_buf(&mut self.inbound).await.map_err(BenchError::io("receive"))?;
            if read == 0 {
                return Ok(());
            }
            self.answer_all()?;
            self.flush().await?;
        }
    }

    async fn flush(&mut self) -> Result<(), BenchError> {
        while !self.outbound.is_empty() {
            match self.stream.try_write(&self.outbound) {
                Ok(sent) => self.outbound.advance(sent),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.stream.writable().await.map_err(BenchError::io("send"))?;
                }
                Err(error) => return Err(BenchError::io("send")(error)),
            }
        }
        Ok(())
    }

    fn answer_all(&mut self) -> Result<(), BenchError> {
        let Self { inbound, outbound, rules, segments, answers, .. } = self;
        let Some(segments) = segments else {
            let mut version = None;
            let used = each_envelope(rules, inbound, &mut |envelope| {
                version = Some(envelope.header.version);
                answers.append(envelope, outbound)
            })?;
            inbound.advance(used);
            rules.version = rules.version.or(version);
            if answers.started && version == Some(Version::V5) {
                self.segments = Some(SegmentReader::new(SegmentFormat::Plain, self.rules));
            }
            return Ok(());
        };
        let run = SegmentRun::begin(outbound, SegmentFormat::Plain);
        loop {
            let consumed = match segments.next(inbound)? {
                Step::Incomplete => break,
                Step::Partial { consumed } => consumed,
                Step::Envelopes { envelopes, consumed } => {
                    each_envelope(rules, envelopes, &mut |envelope| answers.append(envelope, outbound))?;
                    consumed
                }
            };
            inbound.advance(consumed);
        }
        run.seal(outbound);
        Ok(())
    }
}

/// Canned answers.
struct Answers {
    /// STARTUP has been answered.
    started: bool,
    value: Vec<u8>,
    columns: EncodedMetadata,
}

impl Answers {
    fn new(value_bytes: usize) -> Self {
        let column = ColumnSpec {
            keyspace: "bench".into(),
            table: "kv".into(),
            name: "value".into(),
            cql_type: CqlType::Blob,
        };
        let columns = EncodedMetadata::new(&ResultMetadata { columns: vec![column] });
        Self { started: false, value: vec![0x5A; value_bytes], columns }
    }

    fn append(&mut self, envelope: &Envelope<'_>, out: &mut BytesMut) -> Result<(), BenchError> {
        let header = &envelope.header;
        let (_, request) = Request::decode(header, envelope.body)?;
        let writer = ResponseWriter::new(out, Encoding::new(header.version, Compression::None));
        let (stream, none) = (header.stream, Extras::default());
        match request {
            Request::Execute(execute) if execute.id == ROWS_ID => self.append_rows(stream, &execute, writer),
            Request::Execute(_) | Request::Batch(_) => writer.void(stream, &none),
            Request::Query(query) if gives_rows(query.text) => {
                let rows = writer.rows(stream, &none, &self.columns, &RowsOptions::default());
                self.append_values(rows, 1);
            }
            Request::Query(_) => writer.void(stream, &none),
            Request::Prepare(prepare) => append_prepared(stream, prepare.text, &self.columns, writer),
            Request::Startup(_) => {
                self.started = true;
                writer.ready(stream);
            }
            Request::Register(_) => writer.ready(stream),
            Request::Options(_) => {
                let options = vec![("CQL_VERSION", vec!["3.4.7"]), ("COMPRESSION", vec![])];
                writer.supported(stream, &Supported { options });
            }
            Request::AuthResponse(_) => {
                writer.error(stream, &none, &ErrorResponse::protocol(&"no credentials were asked for"));
            }
        }
        Ok(())
    }

    /// A page as long as the client wants it, or one row.
    fn append_rows(&self, stream: i16, execute: &Execute<'_>, writer: ResponseWriter<'_>) {
        let parameters = &execute.parameters;
        let options = RowsOptions { skip_metadata: parameters.skip_metadata, new_metadata_id: None };
        let rows = writer.rows(stream, &Extras::default(), &self.columns, &options);
        self.append_values(rows, parameters.page_size.unwrap_or(1).min(MAX_ROWS));
    }

    fn append_values(&self, mut rows: RowsWriter<'_>, count: i32) {
        for _ in 0..count {
            rows.value(Some(&self.value));
            rows.end_row();
        }
        rows.finish(None);
    }
}

fn gives_rows(text: &str) -> bool {
    text.trim_start().get(..6).is_some_and(|verb| verb.eq_ignore_ascii_case("select"))
}

/// Every marker is a blob.
fn append_prepared(stream: i16, text: &str, columns: &EncodedMetadata, writer: ResponseWriter<'_>) {
    let marker = |_: &str| ColumnSpec {
        keyspace: "bench".into(),
        table: "kv".into(),
        name: "marker".into(),
        cql_type: CqlType::Blob,
    };
    let markers =
        PreparedMetadata { columns: text.matches('?').map(marker).collect(), partition_key_indexes: vec![] };
    let none = EncodedMetadata::new(&ResultMetadata::default());
    let (id, columns) = if gives_rows(text) { (ROWS_ID, columns) } else { (VOID_ID, &none) };
    writer.prepared(stream, &Extras::default(), &id, &id, &markers, columns);
}
