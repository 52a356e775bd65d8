//! Partition keys and clustering positions.

use crate::token::Token;
use bytes::Bytes;
use std::cmp::Ordering;
use std::fmt;

/// A partition key: the raw bytes a client sends for it (several components in Cassandra's
/// composite encoding), with their token. Ordered by token, then by the bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PartitionKey {
    token: Token,
    bytes: Bytes,
}

impl PartitionKey {
    /// The key with these raw bytes.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        Self { token: Token::of_key(&bytes), bytes }
    }

    /// The key's token.
    #[must_use]
    pub const fn token(&self) -> Token {
        self.token
    }

    /// The key's raw bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// A view of the key.
    #[must_use]
    pub fn as_ref(&self) -> KeyRef<'_> {
        KeyRef { token: self.token, bytes: &self.bytes }
    }
}

impl PartialOrd for PartitionKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PartitionKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_ref().cmp(&other.as_ref())
    }
}

impl fmt::Debug for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

/// A borrowed [`PartitionKey`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyRef<'a> {
    /// The key's token.
    pub token: Token,
    /// The key's raw bytes.
    pub bytes: &'a [u8],
}

impl<'a> KeyRef<'a> {
    /// The key with these raw bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { token: Token::of_key(bytes), bytes }
    }

    /// An owned copy.
    #[must_use]
    pub fn to_owned_key(self) -> PartitionKey {
        PartitionKey { token: self.token, bytes: Bytes::copy_from_slice(self.bytes) }
    }
}

impl fmt::Debug for KeyRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x")?;
        self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, " ({})", self.token)
    }
}

/// The last byte of every whole clustering key, behind the comparable bytes of its components. It
/// keeps the bounds of one row apart from the row: [`BELOW`] is before it and [`ABOVE`] behind.
pub const ROW_END: u8 = 0x40;
/// The byte that makes a bound below every clustering key with the bytes before it.
pub const BELOW: u8 = 0x00;
/// The byte that makes a bound above every clustering key with the bytes before it.
pub const ABOVE: u8 = 0xff;

/// A slice of the clustering keys of a partition, in comparable bytes. A bound is a prefix of
/// components and [`BELOW`] or [`ABOVE`]: no row has exactly these bytes, so that `start <= key <
/// end` needs no notion of inclusive and exclusive.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusteringSlice {
    /// The rows begin here; empty for the first row of the partition.
    pub start: Vec<u8>,
    /// The rows end before this; a lone [`ABOVE`] for the end of the partition.
    pub end: Vec<u8>,
}

impl ClusteringSlice {
    /// Every row of a partition.
    #[must_use]
    pub fn all() -> Self {
        Self { start: Vec::new(), end: vec![ABOVE] }
    }

    /// True if the row with these comparable clustering bytes lies in the slice.
    #[must_use]
    pub fn contains(&self, clustering: &[u8]) -> bool {
        self.start.as_slice() <= clustering && clustering < self.end.as_slice()
    }

    /// True if all rows of a partition lie in the slice.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.start.is_empty() && self.end == [ABOVE]
    }

    /// True if no row can lie in the slice.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }
}
