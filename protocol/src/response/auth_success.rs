//! AUTH_SUCCESS: the credentials are right.

use bytes::BytesMut;

use crate::error::DecodeError;
use crate::primitives::{Reader, put_bytes_opt};

/// AUTH_SUCCESS (native_protocol_v5 section 4.2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthSuccess<'a> {
    /// What the authenticator makes of it.
    pub token: Option<&'a [u8]>,
}

impl<'a> AuthSuccess<'a> {
    /// Decodes the body.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { token: reader.bytes()? })
    }

    /// Appends the body to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        put_bytes_opt(out, self.token);
    }
}
