//! CQL's types (CQL 3.4.7 "Data types").

use std::sync::Arc;

/// A CQL data type. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum CqlType {
    /// US-ASCII text.
    Ascii,
    /// 64-bit signed integer.
    Bigint,
    /// Arbitrary bytes.
    Blob,
    /// `true` or `false`.
    Boolean,
    /// Distributed counter, 64-bit signed on the wire.
    Counter,
    /// A day, 32-bit unsigned with 1970-01-01 at 2^31.
    Date,
    /// Arbitrary-precision decimal: 32-bit scale and a varint.
    Decimal,
    /// IEEE 754 binary64.
    Double,
    /// Months, days and nanoseconds.
    Duration,
    /// IEEE 754 binary32.
    Float,
    /// IPv4 or IPv6 address.
    Inet,
    /// 32-bit signed integer.
    Int,
    /// 16-bit signed integer.
    Smallint,
    /// UTF-8 text; `varchar` is the same type.
    Text,
    /// Nanoseconds since midnight.
    Time,
    /// Milliseconds since the epoch.
    Timestamp,
    /// Version 1 UUID.
    Timeuuid,
    /// 8-bit signed integer.
    Tinyint,
    /// UUID of any version.
    Uuid,
    /// Arbitrary-precision integer.
    Varint,
    /// Ordered sequence.
    List {
        /// Type of the elements.
        element: Arc<CqlType>,
        /// Stored as one value rather than a cell an element.
        frozen: bool,
    },
    /// Sorted set.
    Set {
        /// Type of the elements.
        element: Arc<CqlType>,
        /// Stored as one value rather than a cell an element.
        frozen: bool,
    },
    /// Sorted map.
    Map {
        /// Type of the keys.
        key: Arc<CqlType>,
        /// Type of the values.
        value: Arc<CqlType>,
        /// Stored as one value rather than a cell an entry.
        frozen: bool,
    },
    /// Fixed sequence of fields, always frozen.
    Tuple(Arc<[CqlType]>),
    /// User-defined type.
    UserDefined {
        /// Its definition.
        definition: Arc<UserType>,
        /// Stored as one value rather than a cell a field.
        frozen: bool,
    },
    /// Fixed number of elements, none null; always frozen.
    Vector {
        /// Type of the elements.
        element: Arc<CqlType>,
        /// How many elements, 1 or more.
        dimensions: u16,
    },
    /// A type known only by the name of Cassandra's marshal class; its values are opaque bytes.
    Custom(Arc<str>),
}

/// The definition of a user-defined type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct UserType {
    /// Keyspace that owns the type.
    pub keyspace: Arc<str>,
    /// The type's name, without quotes.
    pub name: Arc<str>,
    /// Names and types of the fields, in order. The types of fields are frozen unless a
    /// non-frozen use of them is possible (collections inside a non-frozen UDT are not).
    pub fields: Vec<(Arc<str>, CqlType)>,
}
