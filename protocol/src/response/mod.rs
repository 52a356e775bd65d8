//! Responses (native_protocol_v5 section 4.2), one file per opcode, both directions.
//!
//! A server appends responses with a [`ResponseWriter`], rows with a [`RowsWriter`]. A client
//! decodes a [`Response`], which borrows from the body.

mod auth_challenge;
mod auth_success;
mod authenticate;
mod error;
mod event;
mod metadata;
mod result;
mod rows;
mod rows_writer;
mod schema_change;
mod supported;
mod writer;

pub use auth_challenge::AuthChallenge;
pub use auth_success::AuthSuccess;
pub use authenticate::Authenticate;
pub use error::{ErrorBody, ErrorResponse};
pub use event::{Event, StatusChange, TopologyChange};
pub use metadata::{ColumnSpec, EncodedMetadata, PreparedMetadata, ResultMetadata};
pub use result::{Prepared, ResultResponse};
pub use rows::{Cells, Rows, RowsMetadata};
pub use rows_writer::{RowsOptions, RowsWriter};
pub use schema_change::{SchemaChange, SchemaChangeType, SchemaTarget};
pub use supported::Supported;
pub use writer::ResponseWriter;

use bytes::BytesMut;
use uuid::Uuid;

use crate::error::DecodeError;
use crate::frame::{Flags, Header, Opcode};
use crate::primitives::{BytesMap, Reader, put_bytes_map, put_string_list, put_uuid};
use crate::version::Version;

/// What an envelope carries before its message (native_protocol_v5 section 4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras<'a> {
    /// The id of the request's trace.
    pub tracing_id: Option<Uuid>,
    /// Warnings for the client (from version 4 on; left out before).
    pub warnings: Vec<&'a str>,
    /// Custom payload (from version 4 on; left out before).
    pub custom_payload: BytesMap<'a>,
}

impl<'a> Extras<'a> {
    /// The flags that announce what is there.
    #[inline]
    fn flags(&self, version: Version) -> Flags {
        let since_v4 = version >= Version::V4;
        let bit = |set: bool, flag| if set { flag } else { Flags::default() };
        bit(self.tracing_id.is_some(), Flags::TRACING)
            .with(bit(since_v4 && !self.warnings.is_empty(), Flags::WARNING))
            .with(bit(since_v4 && !self.custom_payload.is_empty(), Flags::CUSTOM_PAYLOAD))
    }

    #[inline]
    fn encode(&self, flags: Flags, out: &mut BytesMut) {
        if let Some(id) = self.tracing_id {
            put_uuid(out, id);
        }
        if flags.contains(Flags::WARNING) {
            put_string_list(out, &self.warnings);
        }
        if flags.contains(Flags::CUSTOM_PAYLOAD) {
            put_bytes_map(out, &self.custom_payload);
        }
    }

    /// Reads what `flags` announce off the front of the body.
    #[inline]
    fn decode(flags: Flags, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mut extras = Self::default();
        if flags.contains(Flags::TRACING) {
            extras.tracing_id = Some(reader.uuid()?);
        }
        if flags.contains(Flags::WARNING) {
            extras.warnings = reader.string_list()?;
        }
        if flags.contains(Flags::CUSTOM_PAYLOAD) {
            extras.custom_payload = reader.bytes_map()?;
        }
        Ok(extras)
    }
}

/// A response, as a client reads it.
#[derive(Clone, Debug, PartialEq)]
pub enum Response<'a> {
    /// ERROR
    Error(ErrorResponse),
    /// READY
    Ready,
    /// AUTHENTICATE
    Authenticate(Authenticate<'a>),
    /// AUTH_CHALLENGE
    AuthChallenge(AuthChallenge<'a>),
    /// AUTH_SUCCESS
    AuthSuccess(AuthSuccess<'a>),
    /// SUPPORTED
    Supported(Supported<'a>),
    /// RESULT
    Result(ResultResponse<'a>),
    /// EVENT
    Event(Event),
}

impl<'a> Response<'a> {
    /// Decodes the `body` (decompressed) that belongs to `header`. Bytes after the message are
    /// ignored, as the specification asks.
    ///
    /// # Errors
    /// If the body is malformed or the opcode is a request's.
    #[inline]
    pub fn decode(header: &Header, body: &'a [u8]) -> Result<(Extras<'a>, Self), DecodeError> {
        let mut reader = Reader::new(body);
        let extras = Extras::decode(header.flags, &mut reader)?;
        let version = header.version;
        let response = match header.opcode {
            Opcode::Result => Self::Result(ResultResponse::decode(&mut reader, version)?),
            Opcode::Error => Self::Error(ErrorResponse::decode(&mut reader, version)?),
            Opcode::Ready => Self::Ready,
            Opcode::Authenticate => Self::Authenticate(Authenticate::decode(&mut reader)?),
            Opcode::AuthChallenge => Self::AuthChallenge(AuthChallenge::decode(&mut reader)?),
            Opcode::AuthSuccess => Self::AuthSuccess(AuthSuccess::decode(&mut reader)?),
            Opcode::Supported => Self::Supported(Supported::decode(&mut reader)?),
            Opcode::Event => Self::Event(Event::decode(&mut reader)?),
            _ => return Err(DecodeError::Invalid("A request where a response belongs")),
        };
        Ok((extras, response))
    }
}

#[cfg(test)]
mod tests;
