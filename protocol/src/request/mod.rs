//! Requests (native_protocol_v5 section 4.1), one file per opcode, both directions.
//!
//! A decoded request borrows from the body. Lists of values and of statements are checked once
//! and iterated without allocation.

mod auth_response;
mod batch;
mod execute;
mod options;
mod prepare;
mod query;
mod query_parameters;
mod register;
mod startup;

pub use auth_response::AuthResponse;
pub use batch::{Batch, BatchBuilder, BatchKind, BatchStatement, BatchStatements, StatementId};
pub use execute::Execute;
pub use options::Options;
pub use prepare::Prepare;
pub use query::Query;
pub use query_parameters::{NamedValues, QueryParameters, Values, ValuesBuilder};
pub use register::{EventType, Register};
pub use startup::Startup;

use bytes::BytesMut;

use crate::envelope_writer::{Encoding, EnvelopeWriter};
use crate::error::DecodeError;
use crate::frame::{Flags, Header, Opcode};
use crate::primitives::{BytesMap, Reader, put_bytes_map};
use crate::version::Version;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// STARTUP
    Startup(Startup<'a>),
    /// OPTIONS
    Options(Options),
    /// QUERY
    Query(Query<'a>),
    /// PREPARE
    Prepare(Prepare<'a>),
    /// EXECUTE
    Execute(Execute<'a>),
    /// BATCH
    Batch(Batch<'a>),
    /// REGISTER
    Register(Register),
    /// AUTH_RESPONSE
    AuthResponse(AuthResponse<'a>),
}

/// What an envelope asks for besides its message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestExtras<'a> {
    /// Trace the request.
    pub tracing: bool,
    /// Custom payload (from version 4 on); empty if there is none.
    pub custom_payload: BytesMap<'a>,
}

impl<'a> RequestExtras<'a> {
    /// Reads what the flags of `header` announce off the front of the body.
    #[inline]
    fn decode(header: &Header, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let tracing = header.flags.contains(Flags::TRACING);
        let mut custom_payload = Vec::new();
        if header.flags.contains(Flags::CUSTOM_PAYLOAD) {
            if header.version < Version::V4 {
                return Err(DecodeError::Invalid(
                    "Received frame with CUSTOM_PAYLOAD flag for native protocol version < 4",
                ));
            }
            custom_payload = reader.bytes_map()?;
        }
        Ok(Self { tracing, custom_payload })
    }
}

impl<'a> Request<'a> {
    /// Decodes the `body` (decompressed) that belongs to `header`. Bytes after the message are
    /// ignored, as the specification asks.
    ///
    /// # Errors
    /// If the body is malformed or the opcode is a response's.
    #[inline]
    pub fn decode(header: &Header, body: &'a [u8]) -> Result<(RequestExtras<'a>, Self), DecodeError> {
        let mut reader = Reader::new(body);
        let extras = RequestExtras::decode(header, &mut reader)?;
        let version = header.version;
        let request = match header.opcode {
            Opcode::Execute => Self::Execute(Execute::decode(&mut reader, version)?),
            Opcode::Query => Self::Query(Query::decode(&mut reader, version)?),
            Opcode::Batch => Self::Batch(Batch::decode(&mut reader, version)?),
            Opcode::Prepare => Self::Prepare(Prepare::decode(&mut reader, version)?),
            Opcode::Startup => Self::Startup(Startup::decode(&mut reader)?),
            Opcode::Options => Self::Options(Options),
            Opcode::Register => Self::Register(Register::decode(&mut reader)?),
            Opcode::AuthResponse => Self::AuthResponse(AuthResponse::decode(&mut reader)?),
            _ => return Err(DecodeError::Invalid("A response where a request belongs")),
        };
        Ok((extras, request))
    }

    /// The opcode of the request's envelope.
    #[must_use]
    pub const fn opcode(&self) -> Opcode {
        match self {
            Self::Startup(_) => Opcode::Startup,
            Self::Options(_) => Opcode::Options,
            Self::Query(_) => Opcode::Query,
            Self::Prepare(_) => Opcode::Prepare,
            Self::Execute(_) => Opcode::Execute,
            Self::Batch(_) => Opcode::Batch,
            Self::Register(_) => Opcode::Register,
            Self::AuthResponse(_) => Opcode::AuthResponse,
        }
    }

    /// Appends the request to `out` as an envelope.
    #[inline]
    pub fn encode(&self, encoding: Encoding, stream: i16, extras: &RequestExtras<'_>, out: &mut BytesMut) {
        let with_payload = encoding.version >= Version::V4 && !extras.custom_payload.is_empty();
        let mut flags = Flags::default();
        if extras.tracing {
            flags = flags.with(Flags::TRACING);
        }
        if with_payload {
            flags = flags.with(Flags::CUSTOM_PAYLOAD);
        }
        let mut envelope = EnvelopeWriter::begin(out, encoding, stream, self.opcode(), flags);
        if with_payload {
            put_bytes_map(envelope.body(), &extras.custom_payload);
        }
        self.encode_body(encoding.version, envelope.body());
        envelope.finish();
    }

    fn encode_body(&self, version: Version, out: &mut BytesMut) {
        match self {
            Self::Startup(request) => request.encode(out),
            Self::Options(Options) => {}
            Self::Query(request) => request.encode(version, out),
            Self::Prepare(request) => request.encode(version, out),
            Self::Execute(request) => request.encode(version, out),
            Self::Batch(request) => request.encode(version, out),
            Self::Register(request) => request.encode(out),
            Self::AuthResponse(request) => request.encode(out),
        }
    }
}

#[cfg(test)]
mod tests;
