//! AUTHENTICATE: the server wants credentials.

use bytes::BytesMut;

use crate::error::DecodeError;
use crate::primitives::{Reader, put_string};

/// AUTHENTICATE (native_protocol_v5 section 4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authenticate<'a> {
    /// Name of the authenticator's class, by which drivers choose theirs.
    pub authenticator: &'a str,
}

impl<'a> Authenticate<'a> {
    /// The name of Cassandra's authenticator by password, which drivers know.
    pub const PASSWORD_AUTHENTICATOR: &'static str = "org.apache.cassandra.auth.PasswordAuthenticator";

    /// Decodes the body.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { authenticator: reader.string()? })
    }

    /// Appends the body to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        put_string(out, self.authenticator);
    }
}
