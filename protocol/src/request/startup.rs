//! STARTUP: opens a connection.

use bytes::BytesMut;

use crate::error::DecodeError;
use crate::primitives::{Reader, StringMap, put_string_map};

/// STARTUP (native_protocol_v5 section 4.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Startup<'a> {
    /// Names and values, in the client's order.
    pub options: StringMap<'a>,
}

impl<'a> Startup<'a> {
    /// Name of the option for the version of CQL.
    pub const CQL_VERSION: &'static str = "CQL_VERSION";
    /// Name of the option for the compression.
    pub const COMPRESSION: &'static str = "COMPRESSION";
    /// Name of the option by which a client asks for OVERLOADED errors instead of back-pressure.
    pub const THROW_ON_OVERLOAD: &'static str = "THROW_ON_OVERLOAD";
    /// Name of the option for the driver's name.
    pub const DRIVER_NAME: &'static str = "DRIVER_NAME";
    /// Name of the option for the driver's version.
    pub const DRIVER_VERSION: &'static str = "DRIVER_VERSION";

    /// The value of an option; names compare in any case of letters, as in Cassandra.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&'a str> {
        self.options.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|&(_, value)| value)
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { options: reader.string_map()? })
    }

    /// Appends the body to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        put_string_map(out, &self.options);
    }
}
