//! RESULT: what a statement gave.

use bytes::BytesMut;

use super::{EncodedMetadata, PreparedMetadata, ResultMetadata, Rows, RowsMetadata, SchemaChange};
use crate::error::DecodeError;
use crate::primitives::{Reader, put_short_bytes};
use crate::version::Version;

/// The kinds of results (native_protocol_v5 section 4.2.5).
pub(super) mod kind {
    pub(in crate::response) const VOID: i32 = 1;
    pub(in crate::response) const ROWS: i32 = 2;
    pub(in crate::response) const SET_KEYSPACE: i32 = 3;
    pub(in crate::response) const PREPARED: i32 = 4;
    pub(in crate::response) const SCHEMA_CHANGE: i32 = 5;
}

/// RESULT, as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultResponse<'a> {
    /// Nothing to tell.
    Void,
    /// A page of rows.
    Rows(Rows<'a>),
    /// The connection's keyspace is this now.
    SetKeyspace(&'a str),
    /// A statement has been prepared.
    Prepared(Prepared<'a>),
    /// The schema has been changed.
    SchemaChange(SchemaChange),
}

impl<'a> ResultResponse<'a> {
    /// Decodes the body.
    ///
    /// # Errors
    /// If it is malformed.
    #[inline]
    pub fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        Ok(match reader.int()? {
            kind::VOID => Self::Void,
            kind::ROWS => Self::Rows(Rows::decode(reader, version)?),
            kind::SET_KEYSPACE => Self::SetKeyspace(reader.string()?),
            kind::PREPARED => Self::Prepared(Prepared::decode(reader, version)?),
            kind::SCHEMA_CHANGE => Self::SchemaChange(SchemaChange::decode(reader)?),
            other => {
                return Err(DecodeError::UnknownNumber { what: "kind of result", number: i64::from(other) });
            }
        })
    }
}

/// A prepared statement, as a client reads it (native_protocol_v5 section 4.2.5.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared<'a> {
    /// For EXECUTE.
    pub id: &'a [u8],
    /// For EXECUTE (version 5).
    pub result_metadata_id: Option<&'a [u8]>,
    /// The bind markers.
    pub bind_markers: PreparedMetadata,
    /// The columns of the result, if it has any.
    pub result: ResultMetadata,
}

impl<'a> Prepared<'a> {
    /// Decodes the rest of the body.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let id = reader.short_bytes()?;
        let result_metadata_id = if version >= Version::V5 { Some(reader.short_bytes()?) } else { None };
        let bind_markers = PreparedMetadata::decode(reader, version)?;
        let result = RowsMetadata::decode(reader, version)?.columns.unwrap_or_default();
        Ok(Self { id, result_metadata_id, bind_markers, result })
    }

    /// Appends the rest of a body with these parts.
    pub(super) fn encode(
        out: &mut BytesMut,
        version: Version,
        ids: (&[u8], &[u8]),
        bind_markers: &PreparedMetadata,
        result: &EncodedMetadata,
    ) {
        let (id, result_metadata_id) = ids;
        put_short_bytes(out, id);
        if version >= Version::V5 {
            put_short_bytes(out, result_metadata_id);
        }
        bind_markers.encode(version, out);
        result.encode_prepared(version, out);
    }
}
