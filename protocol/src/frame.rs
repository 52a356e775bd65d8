//! Envelopes: the 9-byte header before every message (native_protocol_v5 section 2).

use std::fmt;

use thiserror::Error;

use crate::version::Version;

/// Length of an envelope's header in bytes.
pub const HEADER_BYTES: usize = 9;
/// Bit of the version byte that marks a response.
const RESPONSE_BIT: u8 = 0x80;
/// The version under development in Cassandra 5.0: clients that offer it are told that it is beta.
const BETA_VERSION: u8 = 6;

/// Who sends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From client to server.
    Request,
    /// From server to client.
    Response,
}

impl Direction {
    const fn name(self) -> &'static str {
        match self {
            Self::Request => "REQUEST",
            Self::Response => "RESPONSE",
        }
    }
}

/// The kind of a message (native_protocol_v5 section 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// Response: the request failed.
    Error = 0x00,
    /// Request: opens a connection.
    Startup = 0x01,
    /// Response: the connection is usable.
    Ready = 0x02,
    /// Response: credentials are needed.
    Authenticate = 0x03,
    /// Request: what does the server support?
    Options = 0x05,
    /// Response to OPTIONS.
    Supported = 0x06,
    /// Request: run a statement given as text.
    Query = 0x07,
    /// Response: the result of a statement.
    Result = 0x08,
    /// Request: prepare a statement.
    Prepare = 0x09,
    /// Request: run a prepared statement.
    Execute = 0x0A,
    /// Request: subscribe to events.
    Register = 0x0B,
    /// Response that nobody asked for: something happened.
    Event = 0x0C,
    /// Request: run several statements as one.
    Batch = 0x0D,
    /// Response: the next step of authentication.
    AuthChallenge = 0x0E,
    /// Request: credentials.
    AuthResponse = 0x0F,
    /// Response: credentials accepted.
    AuthSuccess = 0x10,
}

impl Opcode {
    /// Every opcode by its number.
    const BY_CODE: [Option<Self>; 17] = [
        Some(Self::Error),
        Some(Self::Startup),
        Some(Self::Ready),
        Some(Self::Authenticate),
        None,
        Some(Self::Options),
        Some(Self::Supported),
        Some(Self::Query),
        Some(Self::Result),
        Some(Self::Prepare),
        Some(Self::Execute),
        Some(Self::Register),
        Some(Self::Event),
        Some(Self::Batch),
        Some(Self::AuthChallenge),
        Some(Self::AuthResponse),
        Some(Self::AuthSuccess),
    ];

    /// The opcode with this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::BY_CODE.get(usize::from(code)).copied().flatten()
    }

    /// The opcode's number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Who sends messages of this kind.
    #[must_use]
    pub const fn direction(self) -> Direction {
        match self {
            Self::Startup
            | Self::Options
            | Self::Query
            | Self::Prepare
            | Self::Execute
            | Self::Register
            | Self::Batch
            | Self::AuthResponse => Direction::Request,
            _ => Direction::Response,
        }
    }

    /// The name in the specification.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Startup => "STARTUP",
            Self::Ready => "READY",
            Self::Authenticate => "AUTHENTICATE",
            Self::Options => "OPTIONS",
            Self::Supported => "SUPPORTED",
            Self::Query => "QUERY",
            Self::Result => "RESULT",
            Self::Prepare => "PREPARE",
            Self::Execute => "EXECUTE",
            Self::Register => "REGISTER",
            Self::Event => "EVENT",
            Self::Batch => "BATCH",
            Self::AuthChallenge => "AUTH_CHALLENGE",
            Self::AuthResponse => "AUTH_RESPONSE",
            Self::AuthSuccess => "AUTH_SUCCESS",
        }
    }
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The flags of an envelope (native_protocol_v5 section 2.2). Unknown bits are kept and ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// The body is compressed (versions 3 and 4).
    pub const COMPRESSED: Self = Self(0x01);
    /// Request: trace it. Response: the body starts with the id of the trace.
    pub const TRACING: Self = Self(0x02);
    /// The body holds a custom payload (from version 4 on).
    pub const CUSTOM_PAYLOAD: Self = Self(0x04);
    /// The body of a response holds warnings (from version 4 on).
    pub const WARNING: Self = Self(0x08);
    /// The client agrees to a version that is still being developed.
    pub const USE_BETA: Self = Self(0x10);

    /// True if every flag of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags and those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The header of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The protocol version.
    pub version: Version,
    /// Who sends it.
    pub direction: Direction,
    /// Flags.
    pub flags: Flags,
    /// Pairs a response with its request; -1 for events.
    pub stream: i16,
    /// The kind of message.
    pub opcode: Opcode,
    /// Length of the body in bytes, as it travels.
    pub body_bytes: u32,
}

impl Header {
    /// The header as bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let direction = match self.direction {
            Direction::Request => 0,
            Direction::Response => RESPONSE_BIT,
        };
        let [s0, s1] = self.stream.to_be_bytes();
        let [l0, l1, l2, l3] = self.body_bytes.to_be_bytes();
        [self.version.number() | direction, self.flags.0, s0, s1, self.opcode.code(), l0, l1, l2, l3]
    }
}

/// An envelope found in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Its header.
    pub header: Header,
    /// Its body, which may be compressed: see [`Compression::body`](crate::Compression::body).
    pub body: &'a [u8],
}

/// Why the bytes are no envelope.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FrameProblem {
    /// A version that no server speaks.
    #[error(
        "Invalid or unsupported protocol version ({0}); supported versions are ({v3}, {v4}, {v5})",
        v3 = Version::V3, v4 = Version::V4, v5 = Version::V5
    )]
    UnsupportedVersion(u8),
    /// A version under development, without the flag that asks for it.
    #[error("Beta version of the protocol used ({0}/v{0}-beta), but USE_BETA flag is unset")]
    BetaVersion(u8),
    /// Not the version of the connection's first message.
    #[error(
        "Invalid message version. Got {got} but previous messages on this connection had version {expected}"
    )]
    VersionChanged {
        /// Version of this message.
        got: Version,
        /// Version of the connection.
        expected: Version,
    },
    /// No message has this opcode.
    #[error("Unknown opcode {0}")]
    UnknownOpcode(u8),
    /// A response where a request belongs, or the reverse.
    #[error(
        "Wrong protocol direction (expected {}, got {}) for opcode {} ({opcode})",
        expected.name(), got.name(), opcode.code()
    )]
    WrongDirection {
        /// Direction of messages with this opcode.
        expected: Direction,
        /// Direction in the version byte, or of this side of the connection.
        got: Direction,
        /// The opcode.
        opcode: Opcode,
    },
    /// The body is longer than this side accepts.
    #[error("CQL Message of size {length} bytes exceeds allowed maximum of {limit} bytes")]
    TooLong {
        /// Length of the body in bytes.
        length: u32,
        /// The limit in bytes.
        limit: usize,
    },
}

/// Bytes that are no envelope. The server answers with a protocol error (0x000A) of this text on
/// `stream`, outside any segment if the version was at fault, and closes the connection.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{problem}")]
pub struct FrameError {
    /// The stream id in the header, to answer on.
    pub stream: i16,
    /// What is wrong.
    pub problem: FrameProblem,
}

/// What one side of a connection accepts.
#[derive(Clone, Copy, Debug)]
pub struct EnvelopeRules {
    /// Who sends the envelopes.
    pub direction: Direction,
    /// The connection's version, once its first message has set it.
    pub version: Option<Version>,
    /// The longest body in bytes.
    pub max_body_bytes: usize,
}

impl EnvelopeRules {
    /// The rules of a server for a connection that has said nothing yet.
    #[must_use]
    pub const fn server(max_body_bytes: usize) -> Self {
        Self { direction: Direction::Request, version: None, max_body_bytes }
    }

    /// The rules of a client that speaks `version`. Its limit is the protocol's, 256 MiB.
    #[must_use]
    pub const fn client(version: Version) -> Self {
        Self { direction: Direction::Response, version: Some(version), max_body_bytes: 256 << 20 }
    }

    /// The first envelope in `buffered` and how many bytes it takes, or `None` if more bytes are
    /// needed. The length is checked as soon as the header is there, so that a caller never
    /// buffers more than the limit.
    ///
    /// # Errors
    /// If the bytes start with no acceptable envelope.
    #[inline]
    pub fn next<'a>(&self, buffered: &'a [u8]) -> Result<Option<(Envelope<'a>, usize)>, FrameError> {
        let Some(header) = self.peek(buffered)? else {
            return Ok(None);
        };
        let end = HEADER_BYTES + header.body_bytes as usize;
        Ok(buffered.get(HEADER_BYTES..end).map(|body| (Envelope { header, body }, end)))
    }

    /// The header at the start of `buffered`, or `None` if it is not complete.
    ///
    /// # Errors
    /// If it is no acceptable header.
    #[inline]
    pub fn peek(&self, buffered: &[u8]) -> Result<Option<Header>, FrameError> {
        let Some(&[first, flags, s0, s1, opcode, l0, l1, l2, l3]) = buffered.first_chunk::<HEADER_BYTES>()
        else {
            return reject_ancient(buffered);
        };
        let stream = i16::from_be_bytes([s0, s1]);
        let error = |problem| FrameError { stream, problem };
        let flags = Flags(flags);
        let version = self.check_version(first & !RESPONSE_BIT, flags).map_err(error)?;
        let direction = if first & RESPONSE_BIT == 0 { Direction::Request } else { Direction::Response };
        let opcode = self.check_opcode(opcode, direction).map_err(error)?;
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        if length as usize > self.max_body_bytes {
            return Err(error(FrameProblem::TooLong { length, limit: self.max_body_bytes }));
        }
        Ok(Some(Header { version, direction, flags, stream, opcode, body_bytes: length }))
    }

    fn check_version(&self, number: u8, flags: Flags) -> Result<Version, FrameProblem> {
        let Some(version) = Version::from_number(number) else {
            return Err(match number {
                BETA_VERSION if !flags.contains(Flags::USE_BETA) => FrameProblem::BetaVersion(number),
                _ => FrameProblem::UnsupportedVersion(number),
            });
        };
        match self.version {
            Some(expected) if expected != version => {
                Err(FrameProblem::VersionChanged { got: version, expected })
            }
            _ => Ok(version),
        }
    }

    fn check_opcode(&self, code: u8, claimed: Direction) -> Result<Opcode, FrameProblem> {
        let opcode = Opcode::from_code(code).ok_or(FrameProblem::UnknownOpcode(code))?;
        let expected = opcode.direction();
        if expected != claimed {
            return Err(FrameProblem::WrongDirection { expected, got: claimed, opcode });
        }
        if claimed != self.direction {
            return Err(FrameProblem::WrongDirection { expected: self.direction, got: claimed, opcode });
        }
        Ok(opcode)
    }
}

/// Versions 1 and 2 have headers of 8 bytes: waiting for a ninth would hang such a client.
fn reject_ancient(buffered: &[u8]) -> Result<Option<Header>, FrameError> {
    match *buffered {
        [first, _, stream, _, _, _, _, _] if matches!(first & !RESPONSE_BIT, 1 | 2) => Err(FrameError {
            stream: i16::from(stream.cast_signed()),
            problem: FrameProblem::UnsupportedVersion(first & !RESPONSE_BIT),
        }),
        _ => Ok(None),
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
