//! BATCH: runs several statements as one.

use bytes::{BufMut, BytesMut};

use super::{QueryParameters, Values};
use crate::error::DecodeError;
use crate::primitives::{Reader, put_long_string, put_short, put_short_bytes};
use crate::version::Version;

/// The least bytes of a statement: its kind, the length of an id, the count of its values.
const MIN_STATEMENT_BYTES: usize = 1 + 2 + 2;
const KIND_TEXT: u8 = 0;
const KIND_PREPARED: u8 = 1;

/// How a batch is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BatchKind {
    /// All or nothing, by a batch log.
    Logged = 0,
    /// Just several statements.
    Unlogged = 1,
    /// Statements on counters.
    Counter = 2,
}

impl BatchKind {
    fn from_code(code: u8) -> Result<Self, DecodeError> {
        match code {
            0 => Ok(Self::Logged),
            1 => Ok(Self::Unlogged),
            2 => Ok(Self::Counter),
            _ => Err(DecodeError::UnknownBatchKind(code)),
        }
    }
}

/// BATCH (native_protocol_v5 section 4.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    /// How to run it.
    pub kind: BatchKind,
    /// What to run.
    pub statements: BatchStatements<'a>,
    /// Consistency and so on. Its `values` and paging have no meaning for a batch.
    pub parameters: QueryParameters<'a>,
}

/// Which statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementId<'a> {
    /// This text.
    Text(&'a str),
    /// The prepared statement with this id.
    Prepared(&'a [u8]),
}

/// One statement of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchStatement<'a> {
    /// Which statement.
    pub id: StatementId<'a>,
    /// Its values, without names.
    pub values: Values<'a>,
}

impl<'a> BatchStatement<'a> {
    fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let id = match reader.byte()? {
            KIND_TEXT => StatementId::Text(reader.long_string()?),
            KIND_PREPARED => StatementId::Prepared(reader.short_bytes()?),
            other => return Err(DecodeError::UnknownStatementKind(other)),
        };
        Ok(Self { id, values: Values::decode(reader, version, false)? })
    }

    fn encode(&self, out: &mut BytesMut) {
        match self.id {
            StatementId::Text(text) => {
                out.put_u8(KIND_TEXT);
                put_long_string(out, text);
            }
            StatementId::Prepared(id) => {
                out.put_u8(KIND_PREPARED);
                put_short_bytes(out, id);
            }
        }
        self.values.encode(out);
    }
}

/// The statements of a batch, checked and still encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchStatements<'a> {
    bytes: &'a [u8],
    count: u16,
    version: Version,
}

impl<'a> BatchStatements<'a> {
    fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let count = reader.short()?;
        reader.expect_elements(usize::from(count), MIN_STATEMENT_BYTES)?;
        let all = reader.rest();
        for _ in 0..count {
            BatchStatement::decode(reader, version)?;
        }
        Ok(Self { bytes: &all[..all.len() - reader.rest().len()], count, version })
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// True if there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The statements in order.
    pub fn iter(&self) -> impl Iterator<Item = BatchStatement<'a>> + Clone + use<'a> {
        let (mut reader, version) = (Reader::new(self.bytes), self.version);
        // They have been checked: decoding does not fail.
        (0..self.count).map_while(move |_| BatchStatement::decode(&mut reader, version).ok())
    }
}

/// Collects the statements of a batch.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    bytes: BytesMut,
    count: u16,
    version: Version,
}

impl BatchBuilder {
    /// No statements yet.
    #[must_use]
    pub fn new(version: Version) -> Self {
        Self { bytes: BytesMut::new(), count: 0, version }
    }

    /// Appends a statement, whose values are of the same version and have no names.
    ///
    /// # Panics
    /// In debug builds, at the 65,536th statement.
    pub fn push(&mut self, statement: &BatchStatement<'_>) {
        debug_assert!(self.count < u16::MAX && !statement.values.are_named());
        statement.encode(&mut self.bytes);
        self.count += 1;
    }

    /// The statements, for a request.
    #[must_use]
    pub fn statements(&self) -> BatchStatements<'_> {
        BatchStatements { bytes: &self.bytes, count: self.count, version: self.version }
    }
}

impl<'a> Batch<'a> {
    /// Decodes the body.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        Ok(Self {
            kind: BatchKind::from_code(reader.byte()?)?,
            statements: BatchStatements::decode(reader, version)?,
            parameters: QueryParameters::decode(reader, version)?,
        })
    }

    /// Appends the body to `out`.
    pub fn encode(&self, version: Version, out: &mut BytesMut) {
        out.put_u8(self.kind as u8);
        put_short(out, self.statements.count);
        out.put_slice(self.statements.bytes);
        self.parameters.encode(version, out);
    }
}
