//! ERROR: a request failed.

use std::net::{IpAddr, Ipv4Addr};

use bytes::{BufMut, BytesMut};
use dodona_types::Consistency;

use crate::error::DecodeError;
use crate::error_code::{ErrorCode, FailureReason, FailureReasons, WriteType};
use crate::primitives::{
    Reader, put_consistency, put_inet_address, put_int, put_short, put_short_bytes, put_string,
    put_string_list,
};
use crate::version::Version;

/// ERROR (native_protocol_v5 sections 4.2.1 and 9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorResponse {
    /// For people.
    pub message: String,
    /// The code and its fields, for programs.
    pub body: ErrorBody,
}

/// The code of an error and the fields that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorBody {
    /// See [`ErrorCode::ServerError`].
    ServerError,
    /// See [`ErrorCode::ProtocolError`].
    ProtocolError,
    /// See [`ErrorCode::BadCredentials`].
    BadCredentials,
    /// See [`ErrorCode::Unavailable`].
    Unavailable {
        /// Level of the query.
        consistency: Consistency,
        /// Replicas that have to be alive.
        required: i32,
        /// Replicas that were.
        alive: i32,
    },
    /// See [`ErrorCode::Overloaded`].
    Overloaded,
    /// See [`ErrorCode::IsBootstrapping`].
    IsBootstrapping,
    /// See [`ErrorCode::TruncateError`].
    TruncateError,
    /// See [`ErrorCode::WriteTimeout`].
    WriteTimeout {
        /// Level of the query.
        consistency: Consistency,
        /// Replicas that acknowledged.
        received: i32,
        /// Replicas that had to.
        block_for: i32,
        /// Kind of write.
        write_type: WriteType,
        /// How often another conditional write was in the way; only if `write_type` is
        /// [`WriteType::Cas`], and only sent in version 5.
        contentions: Option<u16>,
    },
    /// See [`ErrorCode::ReadTimeout`].
    ReadTimeout {
        /// Level of the query.
        consistency: Consistency,
        /// Replicas that answered.
        received: i32,
        /// Replicas that had to.
        block_for: i32,
        /// Whether the replica asked for data, not for a digest, answered.
        data_present: bool,
    },
    /// See [`ErrorCode::ReadFailure`]. Version 3 sends a read timeout in its place.
    ReadFailure {
        /// Level of the query.
        consistency: Consistency,
        /// Replicas that answered.
        received: i32,
        /// Replicas that had to.
        block_for: i32,
        /// Replicas that failed.
        failures: FailureReasons,
        /// Whether the replica asked for data, not for a digest, answered.
        data_present: bool,
    },
    /// See [`ErrorCode::FunctionFailure`]. Version 3 sends Invalid in its place.
    FunctionFailure {
        /// Keyspace of the function.
        keyspace: String,
        /// Its name.
        function: String,
        /// CQL types of its arguments.
        arguments: Vec<String>,
    },
    /// See [`ErrorCode::WriteFailure`]. Version 3 sends a write timeout in its place.
    WriteFailure {
        /// Level of the query.
        consistency: Consistency,
        /// Replicas that acknowledged.
        received: i32,
        /// Replicas that had to.
        block_for: i32,
        /// Replicas that failed.
        failures: FailureReasons,
        /// Kind of write.
        write_type: WriteType,
    },
    /// See [`ErrorCode::CdcWriteFailure`]. Version 3 sends Invalid in its place.
    CdcWriteFailure,
    /// See [`ErrorCode::CasWriteUnknown`]. Versions before 5 send a write timeout in its place.
    CasWriteUnknown {
        /// Level of the query.
        consistency: Consistency,
        /// Replicas that acknowledged.
        received: i32,
        /// Replicas that had to.
        block_for: i32,
    },
    /// See [`ErrorCode::SyntaxError`].
    SyntaxError,
    /// See [`ErrorCode::Unauthorized`].
    Unauthorized,
    /// See [`ErrorCode::Invalid`].
    Invalid,
    /// See [`ErrorCode::ConfigError`].
    ConfigError,
    /// See [`ErrorCode::AlreadyExists`].
    AlreadyExists {
        /// The keyspace, or that of the table.
        keyspace: String,
        /// The table; empty if the keyspace exists.
        table: String,
    },
    /// See [`ErrorCode::Unprepared`].
    Unprepared {
        /// The unknown id.
        id: Vec<u8>,
    },
}

impl ErrorResponse {
    /// An error.
    pub fn new(body: ErrorBody, message: impl Into<String>) -> Self {
        Self { message: message.into(), body }
    }

    /// A protocol error, for example of a [`DecodeError`] or a `FrameError`.
    pub fn protocol(cause: &impl ToString) -> Self {
        Self::new(ErrorBody::ProtocolError, cause.to_string())
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// If it is malformed or the code is unknown.
    pub fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let number = reader.int()?;
        let code = ErrorCode::from_code(number)
            .ok_or(DecodeError::UnknownNumber { what: "error code", number: i64::from(number) })?;
        let message = reader.string()?.to_owned();
        Ok(Self { message, body: ErrorBody::decode(code, reader, version)? })
    }

    /// Appends the body to `out`. What `version` does not know becomes what Cassandra sends then.
    pub fn encode(&self, version: Version, out: &mut BytesMut) {
        put_int(out, self.body.code_in(version).code());
        put_string(out, &self.message);
        self.body.encode(version, out);
    }
}

impl ErrorBody {
    /// The code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::ServerError => ErrorCode::ServerError,
            Self::ProtocolError => ErrorCode::ProtocolError,
            Self::BadCredentials => ErrorCode::BadCredentials,
            Self::Unavailable { .. } => ErrorCode::Unavailable,
            Self::Overloaded => ErrorCode::Overloaded,
            Self::IsBootstrapping => ErrorCode::IsBootstrapping,
            Self::TruncateError => ErrorCode::TruncateError,
            Self::WriteTimeout { .. } => ErrorCode::WriteTimeout,
            Self::ReadTimeout { .. } => ErrorCode::ReadTimeout,
            Self::ReadFailure { .. } => ErrorCode::ReadFailure,
            Self::FunctionFailure { .. } => ErrorCode::FunctionFailure,
            Self::WriteFailure { .. } => ErrorCode::WriteFailure,
            Self::CdcWriteFailure => ErrorCode::CdcWriteFailure,
            Self::CasWriteUnknown { .. } => ErrorCode::CasWriteUnknown,
            Self::SyntaxError => ErrorCode::SyntaxError,
            Self::Unauthorized => ErrorCode::Unauthorized,
            Self::Invalid => ErrorCode::Invalid,
            Self::ConfigError => ErrorCode::ConfigError,
            Self::AlreadyExists { .. } => ErrorCode::AlreadyExists,
            Self::Unprepared { .. } => ErrorCode::Unprepared,
        }
    }

    /// The code that `version` sends, which may not know the true one.
    #[must_use]
    pub fn code_in(&self, version: Version) -> ErrorCode {
        match self {
            Self::ReadFailure { .. } if version < Version::V4 => ErrorCode::ReadTimeout,
            Self::WriteFailure { .. } if version < Version::V4 => ErrorCode::WriteTimeout,
            Self::FunctionFailure { .. } | Self::CdcWriteFailure if version < Version::V4 => {
                ErrorCode::Invalid
            }
            Self::CasWriteUnknown { .. } if version < Version::V5 => ErrorCode::WriteTimeout,
            _ => self.code(),
        }
    }

    fn encode(&self, version: Version, out: &mut BytesMut) {
        match self {
            Self::Unavailable { consistency, required, alive } => {
                put_progress(out, *consistency, *required, *alive);
            }
            Self::WriteTimeout { consistency, received, block_for, write_type, contentions } => {
                put_progress(out, *consistency, *received, *block_for);
                put_string(out, write_type.name());
                if version >= Version::V5 && *write_type == WriteType::Cas {
                    put_short(out, contentions.unwrap_or(0));
                }
            }
            Self::ReadTimeout { consistency, received, block_for, data_present } => {
                put_progress(out, *consistency, *received, *block_for);
                out.put_u8(u8::from(*data_present));
            }
            Self::ReadFailure { consistency, received, block_for, failures, data_present } => {
                put_progress(out, *consistency, *received, *block_for);
                put_failures(out, version, failures);
                out.put_u8(u8::from(*data_present));
            }
            Self::WriteFailure { consistency, received, block_for, failures, write_type } => {
                put_progress(out, *consistency, *received, *block_for);
                put_failures(out, version, failures);
                put_string(out, write_type.name());
            }
            Self::CasWriteUnknown { consistency, received, block_for } => {
                put_progress(out, *consistency, *received, *block_for);
                if version < Version::V5 {
                    put_string(out, WriteType::Cas.name());
                }
            }
            Self::FunctionFailure { keyspace, function, arguments } if version >= Version::V4 => {
                put_string(out, keyspace);
                put_string(out, function);
                put_string_list(out, arguments);
            }
            Self::AlreadyExists { keyspace, table } => {
                put_string(out, keyspace);
                put_string(out, table);
            }
            Self::Unprepared { id } => put_short_bytes(out, id),
            _ => {}
        }
    }

    fn decode(code: ErrorCode, reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        Ok(match code {
            ErrorCode::ServerError => Self::ServerError,
            ErrorCode::ProtocolError => Self::ProtocolError,
            ErrorCode::BadCredentials => Self::BadCredentials,
            ErrorCode::Overloaded => Self::Overloaded,
            ErrorCode::IsBootstrapping => Self::IsBootstrapping,
            ErrorCode::TruncateError => Self::TruncateError,
            ErrorCode::CdcWriteFailure => Self::CdcWriteFailure,
            ErrorCode::SyntaxError => Self::SyntaxError,
            ErrorCode::Unauthorized => Self::Unauthorized,
            ErrorCode::Invalid => Self::Invalid,
            ErrorCode::ConfigError => Self::ConfigError,
            ErrorCode::FunctionFailure => Self::FunctionFailure {
                keyspace: reader.string()?.to_owned(),
                function: reader.string()?.to_owned(),
                arguments: reader.string_list()?.into_iter().map(str::to_owned).collect(),
            },
            ErrorCode::AlreadyExists => Self::AlreadyExists {
                keyspace: reader.string()?.to_owned(),
                table: reader.string()?.to_owned(),
            },
            ErrorCode::Unprepared => Self::Unprepared { id: reader.short_bytes()?.to_vec() },
            ErrorCode::Unavailable
            | ErrorCode::WriteTimeout
            | ErrorCode::ReadTimeout
            | ErrorCode::ReadFailure
            | ErrorCode::WriteFailure
            | ErrorCode::CasWriteUnknown => Self::decode_replica_error(code, reader, version)?,
        })
    }

    /// The errors that start with a consistency level and two counts of replicas.
    fn decode_replica_error(
        code: ErrorCode,
        reader: &mut Reader<'_>,
        version: Version,
    ) -> Result<Self, DecodeError> {
        let (consistency, received, block_for) = (reader.consistency()?, reader.int()?, reader.int()?);
        Ok(match code {
            ErrorCode::Unavailable => Self::Unavailable { consistency, required: received, alive: block_for },
            ErrorCode::WriteTimeout => {
                let write_type = decode_write_type(reader)?;
                let counted = version >= Version::V5 && write_type == WriteType::Cas;
                let contentions = if counted { Some(reader.short()?) } else { None };
                Self::WriteTimeout { consistency, received, block_for, write_type, contentions }
            }
            ErrorCode::ReadTimeout => {
                let data_present = reader.byte()? != 0;
                Self::ReadTimeout { consistency, received, block_for, data_present }
            }
            ErrorCode::ReadFailure => {
                let failures = decode_failures(reader, version)?;
                let data_present = reader.byte()? != 0;
                Self::ReadFailure { consistency, received, block_for, failures, data_present }
            }
            ErrorCode::WriteFailure => {
                let failures = decode_failures(reader, version)?;
                let write_type = decode_write_type(reader)?;
                Self::WriteFailure { consistency, received, block_for, failures, write_type }
            }
            _ => Self::CasWriteUnknown { consistency, received, block_for },
        })
    }
}

/// A consistency level and two counts of replicas.
fn put_progress(out: &mut BytesMut, consistency: Consistency, first: i32, second: i32) {
    put_consistency(out, consistency);
    put_int(out, first);
    put_int(out, second);
}

/// Nothing in version 3, whose timeouts have no such field; a count in version 4.
fn put_failures(out: &mut BytesMut, version: Version, failures: &FailureReasons) {
    if version < Version::V4 {
        return;
    }
    put_int(out, i32::try_from(failures.len()).unwrap_or(i32::MAX));
    if version >= Version::V5 {
        for (address, reason) in failures {
            put_inet_address(out, *address);
            put_short(out, reason.0);
        }
    }
}

fn decode_failures(reader: &mut Reader<'_>, version: Version) -> Result<FailureReasons, DecodeError> {
    /// Length of an address, 4 bytes, a code.
    const MIN_FAILURE_BYTES: usize = 1 + 4 + 2;
    /// A cluster has fewer replicas; version 4 spends no bytes per failure that would bound it.
    const MAX_FAILURES: usize = 255;
    let count = reader.length()?;
    if version < Version::V5 {
        let unnamed = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), FailureReason::UNKNOWN);
        return Ok(vec![unnamed; count.min(MAX_FAILURES)]);
    }
    reader.expect_elements(count, MIN_FAILURE_BYTES)?;
    (0..count).map(|_| Ok((reader.inet_address()?, FailureReason(reader.short()?)))).collect()
}

fn decode_write_type(reader: &mut Reader<'_>) -> Result<WriteType, DecodeError> {
    let name = reader.string()?;
    WriteType::from_name(name).ok_or_else(|| DecodeError::unknown_text("write type", name))
}
