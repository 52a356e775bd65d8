//! The names of native types, in CQL and as marshal classes, and quoting of identifiers.

use std::borrow::Cow;

use super::CqlType;

/// The package of Cassandra's marshal classes, with its final dot.
pub(super) const PACKAGE: &str = "org.apache.cassandra.db.marshal.";

/// Native types: the CQL name and the simple name of the marshal class.
const NATIVE: [(CqlType, &str, &str); 20] = [
    (CqlType::Ascii, "ascii", "AsciiType"),
    (CqlType::Bigint, "bigint", "LongType"),
    (CqlType::Blob, "blob", "BytesType"),
    (CqlType::Boolean, "boolean", "BooleanType"),
    (CqlType::Counter, "counter", "CounterColumnType"),
    (CqlType::Date, "date", "SimpleDateType"),
    (CqlType::Decimal, "decimal", "DecimalType"),
    (CqlType::Double, "double", "DoubleType"),
    (CqlType::Duration, "duration", "DurationType"),
    (CqlType::Float, "float", "FloatType"),
    (CqlType::Inet, "inet", "InetAddressType"),
    (CqlType::Int, "int", "Int32Type"),
    (CqlType::Smallint, "smallint", "ShortType"),
    (CqlType::Text, "text", "UTF8Type"),
    (CqlType::Time, "time", "TimeType"),
    (CqlType::Timestamp, "timestamp", "TimestampType"),
    (CqlType::Timeuuid, "timeuuid", "TimeUUIDType"),
    (CqlType::Tinyint, "tinyint", "ByteType"),
    (CqlType::Uuid, "uuid", "UUIDType"),
    (CqlType::Varint, "varint", "IntegerType"),
];

impl CqlType {
    /// The native type with this CQL name, in any case; `varchar` is `text`.
    #[must_use]
    pub fn native(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("varchar") {
            return Some(Self::Text);
        }
        NATIVE.iter().find(|(_, cql, _)| cql.eq_ignore_ascii_case(name)).map(|(ty, ..)| ty.clone())
    }

    /// The native types, in the order of their names.
    pub fn natives() -> impl Iterator<Item = Self> {
        NATIVE.iter().map(|(ty, ..)| ty.clone())
    }

    /// The CQL name of a native type, `None` for every other type.
    #[must_use]
    pub fn native_name(&self) -> Option<&'static str> {
        NATIVE.iter().find(|(ty, ..)| ty == self).map(|(_, cql, _)| *cql)
    }
}

/// The simple name of a native type's marshal class.
pub(super) fn native_class(ty: &CqlType) -> Option<&'static str> {
    NATIVE.iter().find(|(native, ..)| native == ty).map(|(_, _, class)| *class)
}

/// The native type with this marshal class, given without its package. `DateType` is the class
/// that stood for timestamps in old schemas.
pub(super) fn native_of_class(class: &str) -> Option<CqlType> {
    if class == "DateType" {
        return Some(CqlType::Timestamp);
    }
    NATIVE.iter().find(|(.., name)| *name == class).map(|(ty, ..)| ty.clone())
}

/// Reserved words of CQL (Cassandra's `ReservedKeywords`): as identifiers they need quotes.
const RESERVED: &[&str] = &[
    "add",
    "allow",
    "alter",
    "and",
    "apply",
    "asc",
    "authorize",
    "batch",
    "begin",
    "by",
    "columnfamily",
    "create",
    "default",
    "delete",
    "desc",
    "describe",
    "drop",
    "entries",
    "execute",
    "from",
    "full",
    "grant",
    "if",
    "in",
    "index",
    "infinity",
    "insert",
    "into",
    "is",
    "keyspace",
    "limit",
    "materialized",
    "mbean",
    "mbeans",
    "modify",
    "nan",
    "norecursive",
    "not",
    "null",
    "of",
    "on",
    "or",
    "order",
    "primary",
    "rename",
    "replace",
    "revoke",
    "schema",
    "select",
    "set",
    "table",
    "to",
    "token",
    "truncate",
    "unlogged",
    "unset",
    "update",
    "use",
    "using",
    "view",
    "where",
    "with",
];

/// The identifier as it must be written in CQL: quoted if it is reserved or is not a lower-case
/// letter followed by lower-case letters, digits and underscores.
#[must_use]
pub fn quote_identifier(name: &str) -> Cow<'_, str> {
    let mut bytes = name.bytes();
    let plain = bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if plain && !RESERVED.contains(&name) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("\"{}\"", name.replace('"', "\"\"")))
    }
}
