//! EXECUTE: runs a prepared statement.

use bytes::BytesMut;

use super::QueryParameters;
use crate::error::DecodeError;
use crate::primitives::{Reader, put_short_bytes};
use crate::version::Version;

/// EXECUTE (native_protocol_v5 section 4.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execute<'a> {
    /// What PREPARE answered.
    pub id: &'a [u8],
    /// The id of the result's metadata that the client has (version 5, where it is always there).
    pub result_metadata_id: Option<&'a [u8]>,
    /// The statement's values and how to run it.
    pub parameters: QueryParameters<'a>,
}

impl<'a> Execute<'a> {
    /// Decodes the body.
    ///
    /// # Errors
    /// If it is malformed.
    #[inline]
    pub fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let id = reader.short_bytes()?;
        let result_metadata_id = if version >= Version::V5 { Some(reader.short_bytes()?) } else { None };
        Ok(Self { id, result_metadata_id, parameters: QueryParameters::decode(reader, version)? })
    }

    /// Appends the body to `out`.
    #[inline]
    pub fn encode(&self, version: Version, out: &mut BytesMut) {
        put_short_bytes(out, self.id);
        if version >= Version::V5 {
            put_short_bytes(out, self.result_metadata_id.unwrap_or_default());
        }
        self.parameters.encode(version, out);
    }
}
