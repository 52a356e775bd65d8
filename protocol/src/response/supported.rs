//! SUPPORTED: what the server can do.

use bytes::BytesMut;

use crate::error::DecodeError;
use crate::primitives::{Reader, StringMultimap, put_string_multimap};

/// SUPPORTED (native_protocol_v5 section 4.2.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supported<'a> {
    /// Names of STARTUP's options with the values that the server accepts.
    pub options: StringMultimap<'a>,
}

impl<'a> Supported<'a> {
    /// Decodes the body.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { options: reader.string_multimap()? })
    }

    /// Appends the body to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        put_string_multimap(out, &self.options);
    }
}
