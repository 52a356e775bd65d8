//! AUTH_RESPONSE: credentials.

use bytes::BytesMut;

use crate::error::DecodeError;
use crate::primitives::{Reader, put_bytes_opt};

/// AUTH_RESPONSE (native_protocol_v5 section 4.1.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuthResponse<'a> {
    /// What the authenticator makes of it. For SASL PLAIN: `\0 user \0 password`.
    pub token: Option<&'a [u8]>,
}

/// Does not show the token, which holds a password.
impl std::fmt::Debug for AuthResponse<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthResponse").finish_non_exhaustive()
    }
}

impl<'a> AuthResponse<'a> {
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
