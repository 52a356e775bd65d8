//! QUERY: runs a statement given as text.

use bytes::BytesMut;

use super::QueryParameters;
use crate::error::DecodeError;
use crate::primitives::{Reader, put_long_string};
use crate::version::Version;

/// QUERY (native_protocol_v5 section 4.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// The statement.
    pub text: &'a str,
    /// Its values and how to run it.
    pub parameters: QueryParameters<'a>,
}

impl<'a> Query<'a> {
    /// Decodes the body.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        Ok(Self { text: reader.long_string()?, parameters: QueryParameters::decode(reader, version)? })
    }

    /// Appends the body to `out`.
    pub fn encode(&self, version: Version, out: &mut BytesMut) {
        put_long_string(out, self.text);
        self.parameters.encode(version, out);
    }
}
