//! A connection to a node that waits for each answer.

use bytes::BytesMut;
use dodona_protocol::request::{AuthResponse, Query, QueryParameters, Startup};
use dodona_protocol::response::{ResultResponse, Rows};
use dodona_protocol::{
    ColumnSpec, Compression, DecodeError, Encoding, EnvelopeRules, ErrorCode, FrameError, Request,
    RequestExtras, Response, Version,
};
use std::io::{Read, Write};
use std::net::TcpStream;
use thiserror::Error;
use uuid::Uuid;

/// Version 4: every node speaks it, and it has no segments.
const VERSION: Version = Version::V4;

/// Why a request failed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The node does not answer.
    #[error("cannot connect to {0}: {1}. Is a node running there?")]
    Connect(String, std::io::Error),
    /// The connection broke.
    #[error("the connection to the node broke: {0}")]
    Io(#[from] std::io::Error),
    /// The node closed the connection.
    #[error("the node closed the connection")]
    Closed,
    /// What came is no frame.
    #[error("malformed frame: {0}")]
    Frame(#[from] FrameError),
    /// What came does not decode.
    #[error("malformed message: {0}")]
    Message(#[from] DecodeError),
    /// The node refused.
    #[error("{message}")]
    Refused {
        /// The error's code.
        code: ErrorCode,
        /// What the node said.
        message: String,
    },
    /// An answer to something else.
    #[error("unexpected answer: {0}")]
    Unexpected(String),
}

/// Rows of a result.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    pub(super) columns: Vec<ColumnSpec>,
    pub(super) rows: Vec<Vec<Option<Vec<u8>>>>,
    pub(super) paging_state: Option<Vec<u8>>,
}

/// What a statement gave.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) page: Option<Page>,
    /// The keyspace that USE chose.
    pub(super) keyspace: Option<String>,
    pub(super) warnings: Vec<String>,
    pub(super) tracing_id: Option<Uuid>,
}

/// A connection.
pub(super) struct Client {
    stream: TcpStream,
    inbound: Vec<u8>,
}

impl Client {
    /// Connects, and logs in if the node asks.
    pub(super) fn connect(host: &str, port: u16, user: &str, password: &str) -> Result<Self, ClientError> {
        let failed = |error| ClientError::Connect(format!("{host}:{port}"), error);
        let stream = TcpStream::connect((host, port)).map_err(failed)?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, inbound: Vec::new() };
        let options = vec![(Startup::CQL_VERSION, "3.0.0"), (Startup::DRIVER_NAME, "dodona shell")];
        let needs_login =
            client.call(&Request::Startup(Startup { options }), false, |response, _| match response {
                Response::Ready => Ok(false),
                Response::Authenticate(_) => Ok(true),
                other => Err(unexpected(&other)),
            })?;
        if needs_login {
            let token = format!("\0{user}\0{password}");
            let login = Request::AuthResponse(AuthResponse { token: Some(token.as_bytes()) });
            client.call(&login, false, |response, _| match response {
                Response::AuthSuccess(_) => Ok(()),
                other => Err(unexpected(&other)),
            })?;
        }
        Ok(client)
    }

    /// Runs a statement.
    pub(super) fn query(
        &mut self,
        text: &str,
        parameters: QueryParameters<'_>,
        tracing: bool,
    ) -> Result<Answer, ClientError> {
        self.call(&Request::Query(Query { text, parameters }), tracing, |response, mut answer| {
            match response {
                Response::Result(ResultResponse::Rows(rows)) => answer.page = Some(page(&rows)?),
                Response::Result(ResultResponse::SetKeyspace(keyspace)) => {
                    answer.keyspace = Some(keyspace.to_owned());
                }
                Response::Result(_) => {}
                other => return Err(unexpected(&other)),
            }
            Ok(answer)
        })
    }

    fn call<T>(
        &mut self,
        request: &Request<'_>,
        tracing: bool,
        read: impl FnOnce(Response<'_>, Answer) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let mut out = BytesMut::new();
        let extras = RequestExtras { tracing, ..RequestExtras::default() };
        request.encode(Encoding::new(VERSION, Compression::None), 0, &extras, &mut out);
        self.stream.write_all(&out)?;
        let rules = EnvelopeRules { version: None, ..EnvelopeRules::client(VERSION) };
        loop {
            if let Some((envelope, length)) = rules.next(&self.inbound)? {
                let (extras, response) = Response::decode(&envelope.header, envelope.body)?;
                let answer = Answer {
                    warnings: extras.warnings.iter().map(|warning| (*warning).to_owned()).collect(),
                    tracing_id: extras.tracing_id,
                    ..Answer::default()
                };
                let result = match response {
                    Response::Error(error) => {
                        Err(ClientError::Refused { code: error.body.code(), message: error.message })
                    }
                    response => read(response, answer),
                };
                self.inbound.drain(..length);
                return result;
            }
            let mut chunk = [0; 16 << 10];
            match self.stream.read(&mut chunk)? {
                0 => return Err(ClientError::Closed),
                read => self.inbound.extend_from_slice(&chunk[..read]),
            }
        }
    }
}

fn unexpected(response: &Response<'_>) -> ClientError {
    ClientError::Unexpected(format!("{response:?}"))
}

fn page(rows: &Rows<'_>) -> Result<Page, ClientError> {
    let width = rows.metadata.column_count;
    let mut page = Page {
        columns: rows.metadata.columns.clone().unwrap_or_default().columns,
        rows: Vec::with_capacity(rows.row_count.min(10_000)),
        paging_state: rows.metadata.paging_state.map(<[u8]>::to_vec),
    };
    let mut row = Vec::with_capacity(width);
    for cell in rows.cells() {
        row.push(cell?.map(<[u8]>::to_vec));
        if row.len() == width {
            page.rows.push(std::mem::replace(&mut row, Vec::with_capacity(width)));
        }
    }
    Ok(page)
}
