//! Reading the primitives of the protocol without trusting a single length.

use std::net::{IpAddr, SocketAddr};

use dodona_types::Consistency;
use uuid::Uuid;

use super::{BytesMap, StringMap, StringMultimap, Value};
use crate::error::DecodeError;
use crate::version::Version;

type Result<T> = std::result::Result<T, DecodeError>;

/// The least bytes that an element of a list takes: the length of an empty string.
const MIN_STRING_BYTES: usize = 2;

/// Reads a message from its start. Every method takes what it returns off the front; after an
/// error the position is unspecified.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of all of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.truncated(N));
        };
        self.rest = rest;
        Ok(*head)
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let Some((head, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.truncated(length));
        };
        self.rest = rest;
        Ok(head)
    }

    #[cold]
    const fn truncated(&self, needed: usize) -> DecodeError {
        DecodeError::Truncated { needed, available: self.rest.len() }
    }

    /// `[byte]`
    ///
    /// # Errors
    /// If the message ends before.
    #[inline]
    pub fn byte(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    /// `[short]`
    ///
    /// # Errors
    /// If the message ends before.
    #[inline]
    pub fn short(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// `[int]`
    ///
    /// # Errors
    /// If the message ends before.
    #[inline]
    pub fn int(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    /// `[long]`
    ///
    /// # Errors
    /// If the message ends before.
    #[inline]
    pub fn long(&mut self) -> Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// An `[int]` that is a length or a count.
    ///
    /// # Errors
    /// If it is negative or the message ends before.
    #[inline]
    pub fn length(&mut self) -> Result<usize> {
        let length = self.int()?;
        usize::try_from(length).map_err(|_| DecodeError::NegativeLength(length))
    }

    /// `[uuid]`
    ///
    /// # Errors
    /// If the message ends before.
    pub fn uuid(&mut self) -> Result<Uuid> {
        self.array().map(Uuid::from_bytes)
    }

    /// `[string]`
    ///
    /// # Errors
    /// If it is not UTF-8 or the message ends before.
    pub fn string(&mut self) -> Result<&'a str> {
        self.short_bytes().and_then(utf8)
    }

    /// `[long string]`
    ///
    /// # Errors
    /// If it is not UTF-8 or the message ends before.
    pub fn long_string(&mut self) -> Result<&'a str> {
        let length = self.length()?;
        self.take(length).and_then(utf8)
    }

    /// `[short bytes]`
    ///
    /// # Errors
    /// If the message ends before.
    #[inline]
    pub fn short_bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.short()?;
        self.take(usize::from(length))
    }

    /// `[bytes]`; any negative length is null.
    ///
    /// # Errors
    /// If the message ends before.
    #[inline]
    pub fn bytes(&mut self) -> Result<Option<&'a [u8]>> {
        match usize::try_from(self.int()?) {
            Ok(length) => self.take(length).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// `[value]`. In version 3, which knows no unset values, any negative length is null.
    ///
    /// # Errors
    /// If the length is below -2 or the message ends before.
    #[inline]
    pub fn value(&mut self, version: Version) -> Result<Value<'a>> {
        let length = self.int()?;
        match usize::try_from(length) {
            Ok(length) => self.take(length).map(Value::Set),
            Err(_) if length == -1 || version == Version::V3 => Ok(Value::Null),
            Err(_) if length == -2 => Ok(Value::Unset),
            Err(_) => Err(DecodeError::InvalidValueLength(length)),
        }
    }

    /// `[unsigned vint]`
    ///
    /// # Errors
    /// If the message ends before.
    pub fn unsigned_vint(&mut self) -> Result<u64> {
        let first = self.byte()?;
        let extra = first.leading_ones() as usize;
        let mut bytes = [0; 8];
        bytes[8 - extra..].copy_from_slice(self.take(extra)?);
        let high = if extra < 7 { u64::from(first & (0xFF >> extra)) << (8 * extra) } else { 0 };
        Ok(high | u64::from_be_bytes(bytes))
    }

    /// `[vint]`
    ///
    /// # Errors
    /// If the message ends before.
    pub fn vint(&mut self) -> Result<i64> {
        let number = self.unsigned_vint()?;
        Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    /// `[inetaddr]`
    ///
    /// # Errors
    /// If it is neither 4 nor 16 bytes long or the message ends before.
    pub fn inet_address(&mut self) -> Result<IpAddr> {
        match self.byte()? {
            4 => self.array::<4>().map(IpAddr::from),
            16 => self.array::<16>().map(IpAddr::from),
            length => Err(DecodeError::UnknownNumber { what: "address length", number: i64::from(length) }),
        }
    }

    /// `[inet]`
    ///
    /// # Errors
    /// If the address or the port is invalid or the message ends before.
    pub fn inet(&mut self) -> Result<SocketAddr> {
        let address = self.inet_address()?;
        let port = self.int()?;
        let port = u16::try_from(port)
            .map_err(|_| DecodeError::UnknownNumber { what: "port", number: i64::from(port) })?;
        Ok(SocketAddr::new(address, port))
    }

    /// `[consistency]`
    ///
    /// # Errors
    /// If there is no such level or the message ends before.
    #[inline]
    pub fn consistency(&mut self) -> Result<Consistency> {
        let code = self.short()?;
        Consistency::from_code(code).ok_or(DecodeError::UnknownConsistency(code))
    }

    /// `[string list]`
    ///
    /// # Errors
    /// If a string is invalid or the message ends before.
    pub fn string_list(&mut self) -> Result<Vec<&'a str>> {
        self.list(MIN_STRING_BYTES, Self::string)
    }

    /// `[string map]`
    ///
    /// # Errors
    /// If a string is invalid or the message ends before.
    pub fn string_map(&mut self) -> Result<StringMap<'a>> {
        self.list(2 * MIN_STRING_BYTES, |reader| Ok((reader.string()?, reader.string()?)))
    }

    /// `[string multimap]`
    ///
    /// # Errors
    /// If a string is invalid or the message ends before.
    pub fn string_multimap(&mut self) -> Result<StringMultimap<'a>> {
        self.list(2 * MIN_STRING_BYTES, |reader| Ok((reader.string()?, reader.string_list()?)))
    }

    /// `[bytes map]`
    ///
    /// # Errors
    /// If a key is invalid or the message ends before.
    pub fn bytes_map(&mut self) -> Result<BytesMap<'a>> {
        self.list(MIN_STRING_BYTES + 4, |reader| Ok((reader.string()?, reader.bytes()?)))
    }

    /// A `[short]` count and that many elements of at least `min_bytes` each. A count that the
    /// rest of the message cannot hold is refused before anything is allocated.
    ///
    /// # Errors
    /// If the count is too high or `element` fails.
    pub fn list<T>(
        &mut self,
        min_bytes: usize,
        mut element: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let count = usize::from(self.short()?);
        self.expect_elements(count, min_bytes)?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    /// Checks that the rest of the message can hold `count` elements of at least `min_bytes`.
    ///
    /// # Errors
    /// If it cannot.
    pub fn expect_elements(&self, count: usize, min_bytes: usize) -> Result<()> {
        let needed = count.saturating_mul(min_bytes);
        if needed > self.rest.len() { Err(self.truncated(needed)) } else { Ok(()) }
    }
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| DecodeError::InvalidUtf8)
}
