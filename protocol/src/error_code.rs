//! The codes of errors, and the words that their fields use (native_protocol_v5 section 9).

use std::fmt;
use std::net::IpAddr;

/// The code of an ERROR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum ErrorCode {
    /// A fault of the server.
    ServerError = 0x0000,
    /// The client broke the protocol.
    ProtocolError = 0x000A,
    /// Credentials are missing or wrong.
    BadCredentials = 0x0100,
    /// Too few replicas are alive.
    Unavailable = 0x1000,
    /// The coordinator is overloaded.
    Overloaded = 0x1001,
    /// The coordinator is still joining.
    IsBootstrapping = 0x1002,
    /// A truncation failed.
    TruncateError = 0x1003,
    /// Too few replicas acknowledged a write in time.
    WriteTimeout = 0x1100,
    /// Too few replicas answered a read in time.
    ReadTimeout = 0x1200,
    /// Replicas failed a read.
    ReadFailure = 0x1300,
    /// A user-defined function failed.
    FunctionFailure = 0x1400,
    /// Replicas failed a write.
    WriteFailure = 0x1500,
    /// The space for change data capture is full.
    CdcWriteFailure = 0x1600,
    /// It is not known whether a conditional write took place (version 5).
    CasWriteUnknown = 0x1700,
    /// The statement does not parse.
    SyntaxError = 0x2000,
    /// The role may not do this.
    Unauthorized = 0x2100,
    /// The statement makes no sense.
    Invalid = 0x2200,
    /// A setting forbids the statement.
    ConfigError = 0x2300,
    /// A keyspace or table of this name exists.
    AlreadyExists = 0x2400,
    /// No prepared statement has this id.
    Unprepared = 0x2500,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 20] = [
        Self::ServerError,
        Self::ProtocolError,
        Self::BadCredentials,
        Self::Unavailable,
        Self::Overloaded,
        Self::IsBootstrapping,
        Self::TruncateError,
        Self::WriteTimeout,
        Self::ReadTimeout,
        Self::ReadFailure,
        Self::FunctionFailure,
        Self::WriteFailure,
        Self::CdcWriteFailure,
        Self::CasWriteUnknown,
        Self::SyntaxError,
        Self::Unauthorized,
        Self::Invalid,
        Self::ConfigError,
        Self::AlreadyExists,
        Self::Unprepared,
    ];

    /// The code's number.
    #[must_use]
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The code with this number.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.code() == code)
    }
}

/// What kind of write failed or timed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteType {
    /// One statement.
    Simple,
    /// A logged batch, whose log had been written.
    Batch,
    /// An unlogged batch.
    UnloggedBatch,
    /// A counter.
    Counter,
    /// The log of a logged batch.
    BatchLog,
    /// A conditional write.
    Cas,
    /// An update of a materialized view.
    View,
    /// Change data capture.
    Cdc,
}

impl WriteType {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Simple,
        Self::Batch,
        Self::UnloggedBatch,
        Self::Counter,
        Self::BatchLog,
        Self::Cas,
        Self::View,
        Self::Cdc,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Simple => "SIMPLE",
            Self::Batch => "BATCH",
            Self::UnloggedBatch => "UNLOGGED_BATCH",
            Self::Counter => "COUNTER",
            Self::BatchLog => "BATCH_LOG",
            Self::Cas => "CAS",
            Self::View => "VIEW",
            Self::Cdc => "CDC",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

impl fmt::Display for WriteType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a replica failed (Cassandra `RequestFailureReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FailureReason(pub u16);

impl FailureReason {
    /// Anything else.
    pub const UNKNOWN: Self = Self(0);
    /// A read met too many tombstones.
    pub const READ_TOO_MANY_TOMBSTONES: Self = Self(1);
    /// The replica did not answer in time.
    pub const TIMEOUT: Self = Self(2);
    /// The replica's schema is another one.
    pub const INCOMPATIBLE_SCHEMA: Self = Self(3);
    /// A read took more memory than allowed.
    pub const READ_SIZE: Self = Self(4);
    /// The replica went down.
    pub const NODE_DOWN: Self = Self(5);
    /// An index is not usable on the replica.
    pub const INDEX_NOT_AVAILABLE: Self = Self(6);
    /// A query would have to read too many indexes.
    pub const READ_TOO_MANY_INDEXES: Self = Self(7);
}

/// The replicas that failed. Version 5 names them; versions 3 and 4 only count them, so that
/// addresses read from those are unspecified.
pub type FailureReasons = Vec<(IpAddr, FailureReason)>;
