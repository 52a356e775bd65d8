//! PREPARE: prepares a statement.

use bytes::BytesMut;

use crate::error::DecodeError;
use crate::primitives::{Reader, put_int, put_long_string, put_string};
use crate::version::Version;

/// Bit of the flags of version 5: a keyspace follows.
const WITH_KEYSPACE: i32 = 0x01;

/// PREPARE (native_protocol_v5 section 4.1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepare<'a> {
    /// The statement.
    pub text: &'a str,
    /// The keyspace of unqualified names, in place of the connection's (version 5).
    pub keyspace: Option<&'a str>,
}

impl<'a> Prepare<'a> {
    /// Decodes the body.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let text = reader.long_string()?;
        let flags = if version >= Version::V5 { reader.int()? } else { 0 };
        let keyspace = if flags & WITH_KEYSPACE == 0 { None } else { Some(reader.string()?) };
        Ok(Self { text, keyspace })
    }

    /// Appends the body to `out`. Before version 5 the keyspace is left out.
    pub fn encode(&self, version: Version, out: &mut BytesMut) {
        put_long_string(out, self.text);
        if version < Version::V5 {
            return;
        }
        put_int(out, if self.keyspace.is_some() { WITH_KEYSPACE } else { 0 });
        if let Some(keyspace) = self.keyspace {
            put_string(out, keyspace);
        }
    }
}
