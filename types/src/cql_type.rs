//! CQL's types (CQL 3.4.7 "Data types").

mod class_name;
mod display;
mod names;

use std::sync::Arc;

pub use class_name::ClassNameError;
pub use names::quote_identifier;

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
#[serde(deny_unknown_fields)]
pub struct UserType {
    /// Keyspace that owns the type.
    pub keyspace: Arc<str>,
    /// The type's name, without quotes.
    pub name: Arc<str>,
    /// Names and types of the fields, in order. The types of fields are frozen unless a
    /// non-frozen use of them is possible (collections inside a non-frozen UDT are not).
    pub fields: Vec<(Arc<str>, CqlType)>,
}

/// The class of values that have no bytes.
const EMPTY_CLASS: &str = "org.apache.cassandra.db.marshal.EmptyType";

impl CqlType {
    /// The type whose only value has no bytes: the value of a table with COMPACT STORAGE that was
    /// made without one.
    #[must_use]
    pub fn empty() -> Self {
        Self::Custom(EMPTY_CLASS.into())
    }

    /// True for [`Self::empty`].
    #[must_use]
    pub fn is_empty_type(&self) -> bool {
        matches!(self, Self::Custom(class) if &**class == EMPTY_CLASS)
    }

    /// A list type.
    #[must_use]
    pub fn list(element: Self, frozen: bool) -> Self {
        Self::List { element: Arc::new(element), frozen }
    }

    /// A set type.
    #[must_use]
    pub fn set(element: Self, frozen: bool) -> Self {
        Self::Set { element: Arc::new(element), frozen }
    }

    /// A map type.
    #[must_use]
    pub fn map(key: Self, value: Self, frozen: bool) -> Self {
        Self::Map { key: Arc::new(key), value: Arc::new(value), frozen }
    }

    /// A vector type of `dimensions` elements.
    #[must_use]
    pub fn vector(element: Self, dimensions: u16) -> Self {
        Self::Vector { element: Arc::new(element), dimensions }
    }

    /// True for a list, a set or a map, frozen or not.
    #[must_use]
    pub const fn is_collection(&self) -> bool {
        matches!(self, Self::List { .. } | Self::Set { .. } | Self::Map { .. })
    }

    /// True if the type's values are stored as one cell an element, an entry or a field.
    #[must_use]
    pub const fn is_multi_cell(&self) -> bool {
        match self {
            Self::List { frozen, .. }
            | Self::Set { frozen, .. }
            | Self::Map { frozen, .. }
            | Self::UserDefined { frozen, .. } => !*frozen,
            _ => false,
        }
    }

    /// True for `counter`.
    #[must_use]
    pub const fn is_counter(&self) -> bool {
        matches!(self, Self::Counter)
    }

    /// The type stored as one value, with everything inside it frozen too.
    #[must_use]
    pub fn freeze(&self) -> Self {
        match self {
            Self::List { element, .. } => Self::list(element.freeze(), true),
            Self::Set { element, .. } => Self::set(element.freeze(), true),
            Self::Map { key, value, .. } => Self::map(key.freeze(), value.freeze(), true),
            Self::UserDefined { definition, .. } => {
                Self::UserDefined { definition: Arc::clone(definition), frozen: true }
            }
            Self::Tuple(fields) => Self::Tuple(fields.iter().map(Self::freeze).collect()),
            Self::Vector { element, dimensions } => Self::vector(element.freeze(), *dimensions),
            other => other.clone(),
        }
    }

    /// The types directly inside this one: elements, keys and values, or fields.
    pub fn inner(&self) -> impl Iterator<Item = &Self> {
        let (first, second, rest): (Option<&Self>, Option<&Self>, &[Self]) = match self {
            Self::List { element, .. } | Self::Set { element, .. } | Self::Vector { element, .. } => {
                (Some(element), None, &[])
            }
            Self::Map { key, value, .. } => (Some(key), Some(value), &[]),
            Self::Tuple(fields) => (None, None, fields),
            _ => (None, None, &[]),
        };
        let udt_fields: &[(Arc<str>, Self)] = match self {
            Self::UserDefined { definition, .. } => &definition.fields,
            _ => &[],
        };
        first.into_iter().chain(second).chain(rest).chain(udt_fields.iter().map(|(_, ty)| ty))
    }

    /// True if this type, or one inside it, satisfies `test`.
    pub fn any(&self, test: &mut dyn FnMut(&Self) -> bool) -> bool {
        test(self) || self.inner().any(|ty| ty.any(test))
    }

    /// True if the user-defined type `keyspace.name` is this type or is used inside it.
    #[must_use]
    pub fn references_user_type(&self, keyspace: &str, name: &str) -> bool {
        self.any(&mut |ty| match ty {
            Self::UserDefined { definition, .. } => {
                &*definition.keyspace == keyspace && &*definition.name == name
            }
            _ => false,
        })
    }

    /// True if `duration` is this type or is used inside it.
    #[must_use]
    pub fn references_duration(&self) -> bool {
        self.any(&mut |ty| matches!(ty, Self::Duration))
    }

    /// True if `counter` is this type or is used inside it.
    #[must_use]
    pub fn references_counter(&self) -> bool {
        self.any(&mut |ty| matches!(ty, Self::Counter))
    }

    /// True if a zero-length value passes validation.
    #[must_use]
    pub const fn is_empty_value_allowed(&self) -> bool {
        !matches!(
            self,
            Self::Tinyint
                | Self::Smallint
                | Self::Date
                | Self::Time
                | Self::Duration
                | Self::List { .. }
                | Self::Set { .. }
                | Self::Map { .. }
                | Self::Vector { .. }
        )
    }

    /// True if a zero-length value, though allowed, means no more than null does
    /// (Cassandra's `isEmptyValueMeaningless`).
    #[must_use]
    pub const fn is_empty_value_meaningless(&self) -> bool {
        matches!(
            self,
            Self::Int
                | Self::Bigint
                | Self::Counter
                | Self::Float
                | Self::Double
                | Self::Boolean
                | Self::Timestamp
                | Self::Uuid
                | Self::Timeuuid
                | Self::Inet
                | Self::Decimal
                | Self::Varint
        )
    }

    /// True if a column of the type may be part of a primary key, as far as the type decides:
    /// nothing multi-cell, no counters and no durations.
    #[must_use]
    pub fn is_allowed_in_primary_key(&self) -> bool {
        !self.is_multi_cell() && !self.references_counter() && !self.references_duration()
    }

    /// The length in bytes of every value of the type, if they all have the same
    /// (Cassandra's `valueLengthIfFixed`). Decides how a vector lays out its elements.
    #[must_use]
    pub fn fixed_value_length(&self) -> Option<usize> {
        match self {
            Self::Boolean => Some(1),
            Self::Int | Self::Float => Some(4),
            Self::Bigint | Self::Double | Self::Timestamp => Some(8),
            Self::Uuid | Self::Timeuuid => Some(16),
            Self::Vector { element, dimensions } => {
                element.fixed_value_length().map(|length| length * usize::from(*dimensions))
            }
            _ => None,
        }
    }
}

impl UserType {
    /// The position of the field named `name`, if there is one.
    #[must_use]
    pub fn field_position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|(field, _)| &**field == name)
    }
}

#[cfg(test)]
#[path = "cql_type_tests.rs"]
mod tests;
