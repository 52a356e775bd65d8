//! What QUERY, EXECUTE and BATCH have in common: values and how to run the statement.

use bytes::{BufMut, BytesMut};
use dodona_types::Consistency;

use crate::error::DecodeError;
use crate::primitives::{
    Reader, Value, put_bytes, put_consistency, put_int, put_long, put_short, put_string, put_value,
};
use crate::version::Version;

/// Bits of `<flags>` (native_protocol_v5 section 4.1.4).
mod flag {
    pub(super) const VALUES: u32 = 0x001;
    pub(super) const SKIP_METADATA: u32 = 0x002;
    pub(super) const PAGE_SIZE: u32 = 0x004;
    pub(super) const PAGING_STATE: u32 = 0x008;
    pub(super) const SERIAL_CONSISTENCY: u32 = 0x010;
    pub(super) const DEFAULT_TIMESTAMP: u32 = 0x020;
    pub(super) const NAMES_FOR_VALUES: u32 = 0x040;
    /// From version 5 on.
    pub(super) const KEYSPACE: u32 = 0x080;
    /// From version 5 on.
    pub(super) const NOW_IN_SECONDS: u32 = 0x100;
}

/// The least bytes of a value: its length.
const MIN_VALUE_BYTES: usize = 4;

/// Bound values, checked and still encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Values<'a> {
    bytes: &'a [u8],
    count: u16,
    named: bool,
    version: Version,
}

impl<'a> Values<'a> {
    /// No values.
    pub const EMPTY: Self = Self { bytes: &[], count: 0, named: false, version: Version::HIGHEST };

    /// Reads a `[short]` count and that many values.
    #[inline]
    pub(super) fn decode(
        reader: &mut Reader<'a>,
        version: Version,
        named: bool,
    ) -> Result<Self, DecodeError> {
        let count = reader.short()?;
        reader.expect_elements(usize::from(count), MIN_VALUE_BYTES)?;
        let all = reader.rest();
        for _ in 0..count {
            if named {
                reader.string()?;
            }
            reader.value(version)?;
        }
        Ok(Self { bytes: &all[..all.len() - reader.rest().len()], count, named, version })
    }

    #[inline]
    pub(super) fn encode(&self, out: &mut BytesMut) {
        put_short(out, self.count);
        out.put_slice(self.bytes);
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

    /// True if each value has a name.
    #[must_use]
    pub const fn are_named(&self) -> bool {
        self.named
    }

    /// The values in order, with their names if they have any.
    #[must_use]
    pub const fn iter_named(&self) -> NamedValues<'a> {
        NamedValues {
            reader: Reader::new(self.bytes),
            left: self.count,
            named: self.named,
            version: self.version,
        }
    }

    /// The values in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + Clone + use<'a> {
        self.iter_named().map(|(_, value)| value)
    }
}

/// Iterator over the values of a request and their names.
#[derive(Clone, Debug)]
pub struct NamedValues<'a> {
    reader: Reader<'a>,
    left: u16,
    named: bool,
    version: Version,
}

impl<'a> Iterator for NamedValues<'a> {
    type Item = (Option<&'a str>, Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // `Values` has been checked: neither read fails.
        let name = if self.named { Some(self.reader.string().ok()?) } else { None };
        Some((name, self.reader.value(self.version).ok()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

/// Collects values for a request, for one version of the protocol.
#[derive(Clone, Debug)]
pub struct ValuesBuilder {
    bytes: BytesMut,
    count: u16,
    named: bool,
    version: Version,
}

impl ValuesBuilder {
    /// No values yet.
    #[must_use]
    pub fn new(version: Version) -> Self {
        Self { bytes: BytesMut::new(), count: 0, named: false, version }
    }

    /// Appends a value.
    ///
    /// # Panics
    /// In debug builds, if values with names or more than 65,534 values have been appended.
    pub fn push(&mut self, value: Value<'_>) {
        debug_assert!(!self.named || self.count == 0);
        self.append(value);
    }

    /// Appends a value with the name of its marker.
    ///
    /// # Panics
    /// In debug builds, if values without names or more than 65,534 values have been appended.
    pub fn push_named(&mut self, name: &str, value: Value<'_>) {
        debug_assert!(self.named || self.count == 0);
        self.named = true;
        put_string(&mut self.bytes, name);
        self.append(value);
    }

    fn append(&mut self, value: Value<'_>) {
        debug_assert!(self.count < u16::MAX);
        put_value(&mut self.bytes, value);
        self.count += 1;
    }

    /// Drops all values and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
        self.named = false;
    }

    /// The values, for a request.
    #[must_use]
    pub fn values(&self) -> Values<'_> {
        Values { bytes: &self.bytes, count: self.count, named: self.named, version: self.version }
    }
}

/// Values of a statement and how to run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryParameters<'a> {
    /// How many replicas must answer.
    pub consistency: Consistency,
    /// Values of the bind markers.
    pub values: Values<'a>,
    /// The client has the result's metadata and does not want it again.
    pub skip_metadata: bool,
    /// Most rows in a page; 0 or less means no paging.
    pub page_size: Option<i32>,
    /// Where the page before ended.
    pub paging_state: Option<&'a [u8]>,
    /// Consistency of the conditional part of a statement.
    pub serial_consistency: Option<Consistency>,
    /// Timestamp of the statement in microseconds since the epoch, in place of the server's.
    pub default_timestamp: Option<i64>,
    /// The keyspace of unqualified names, in place of the connection's (version 5).
    pub keyspace: Option<&'a str>,
    /// The statement's time in seconds since the epoch, in place of the server's (version 5).
    pub now_in_seconds: Option<i32>,
}

impl<'a> QueryParameters<'a> {
    /// Parameters with a consistency and nothing else.
    #[must_use]
    pub const fn new(consistency: Consistency) -> Self {
        Self {
            consistency,
            values: Values::EMPTY,
            skip_metadata: false,
            page_size: None,
            paging_state: None,
            serial_consistency: None,
            default_timestamp: None,
            keyspace: None,
            now_in_seconds: None,
        }
    }

    /// Decodes the parameters.
    ///
    /// # Errors
    /// If they are malformed.
    #[inline]
    pub fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let mut parameters = Self::new(reader.consistency()?);
        let flags = if version >= Version::V5 {
            reader.int()?.cast_unsigned()
        } else {
            u32::from(reader.byte()?) & !flag::KEYSPACE
        };
        parameters.skip_metadata = flags & flag::SKIP_METADATA != 0;
        if flags & flag::VALUES != 0 {
            parameters.values = Values::decode(reader, version, flags & flag::NAMES_FOR_VALUES != 0)?;
        }
        if flags & !(flag::VALUES | flag::SKIP_METADATA | flag::NAMES_FOR_VALUES) != 0 {
            parameters.decode_optional(reader, flags)?;
        }
        Ok(parameters)
    }

    fn decode_optional(&mut self, reader: &mut Reader<'a>, flags: u32) -> Result<(), DecodeError> {
        if flags & flag::PAGE_SIZE != 0 {
            self.page_size = Some(reader.int()?);
        }
        if flags & flag::PAGING_STATE != 0 {
            self.paging_state = reader.bytes()?;
        }
        if flags & flag::SERIAL_CONSISTENCY != 0 {
            self.serial_consistency = Some(reader.consistency()?);
        }
        if flags & flag::DEFAULT_TIMESTAMP != 0 {
            self.default_timestamp = Some(decode_timestamp(reader)?);
        }
        if flags & flag::KEYSPACE != 0 {
            self.keyspace = Some(reader.string()?);
        }
        if flags & flag::NOW_IN_SECONDS != 0 {
            self.now_in_seconds = Some(reader.int()?);
        }
        Ok(())
    }

    /// Appends the parameters to `out`. Before version 5, `keyspace` and `now_in_seconds` are
    /// left out. `values` have to be of the same version.
    #[inline]
    pub fn encode(&self, version: Version, out: &mut BytesMut) {
        put_consistency(out, self.consistency);
        let flags = self.flags(version);
        if version >= Version::V5 {
            out.put_u32(flags);
        } else {
            out.put_u8(flags as u8);
        }
        if flags & flag::VALUES != 0 {
            self.values.encode(out);
        }
        if let Some(page_size) = self.page_size {
            put_int(out, page_size);
        }
        if let Some(paging_state) = self.paging_state {
            put_bytes(out, paging_state);
        }
        if let Some(consistency) = self.serial_consistency {
            put_consistency(out, consistency);
        }
        if let Some(timestamp) = self.default_timestamp {
            put_long(out, timestamp);
        }
        if version >= Version::V5 {
            self.encode_since_v5(out);
        }
    }

    fn encode_since_v5(&self, out: &mut BytesMut) {
        if let Some(keyspace) = self.keyspace {
            put_string(out, keyspace);
        }
        if let Some(now) = self.now_in_seconds {
            put_int(out, now);
        }
    }

    fn flags(&self, version: Version) -> u32 {
        let bit = |set: bool, flag: u32| if set { flag } else { 0 };
        let since_v5 = version >= Version::V5;
        bit(!self.values.is_empty(), flag::VALUES)
            | bit(self.skip_metadata, flag::SKIP_METADATA)
            | bit(self.page_size.is_some(), flag::PAGE_SIZE)
            | bit(self.paging_state.is_some(), flag::PAGING_STATE)
            | bit(self.serial_consistency.is_some(), flag::SERIAL_CONSISTENCY)
            | bit(self.default_timestamp.is_some(), flag::DEFAULT_TIMESTAMP)
            | bit(!self.values.is_empty() && self.values.named, flag::NAMES_FOR_VALUES)
            | bit(since_v5 && self.keyspace.is_some(), flag::KEYSPACE)
            | bit(since_v5 && self.now_in_seconds.is_some(), flag::NOW_IN_SECONDS)
    }
}

/// The smallest `[long]` means "no timestamp" inside Cassandra and is refused there as here.
fn decode_timestamp(reader: &mut Reader<'_>) -> Result<i64, DecodeError> {
    match reader.long()? {
        i64::MIN => {
            const TEXT: &str = "Out of bound timestamp, must be in [-9223372036854775807, 9223372036854775807] \
                                (got -9223372036854775808)";
            Err(DecodeError::Invalid(TEXT))
        }
        timestamp => Ok(timestamp),
    }
}
