//! Types as they are written, before user-defined types are looked up.

use std::fmt;

use dodona_types::CqlType;

use super::QualifiedName;

/// A type as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RawType {
    /// A native type.
    Native(CqlType),
    /// The name of a marshal class, written as a string.
    Custom(String),
    /// `list<..>`.
    List(Box<RawType>),
    /// `set<..>`.
    Set(Box<RawType>),
    /// `map<.., ..>`.
    Map(Box<RawType>, Box<RawType>),
    /// `tuple<..>`.
    Tuple(Vec<RawType>),
    /// `vector<.., n>`: the number may be out of range.
    Vector(Box<RawType>, i32),
    /// A user-defined type.
    UserDefined(QualifiedName),
    /// `frozen<..>`.
    Frozen(Box<RawType>),
}

impl fmt::Display for RawType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native(ty) => ty.fmt(f),
            Self::Custom(class) => write!(f, "'{}'", class.replace('\'', "''")),
            Self::List(element) => write!(f, "list<{element}>"),
            Self::Set(element) => write!(f, "set<{element}>"),
            Self::Map(key, value) => write!(f, "map<{key}, {value}>"),
            Self::Vector(element, dimensions) => write!(f, "vector<{element}, {dimensions}>"),
            Self::UserDefined(name) => name.fmt(f),
            Self::Frozen(inner) => write!(f, "frozen<{inner}>"),
            Self::Tuple(fields) => {
                f.write_str("tuple<")?;
                for (position, field) in fields.iter().enumerate() {
                    write!(f, "{}{field}", if position > 0 { ", " } else { "" })?;
                }
                f.write_str(">")
            }
        }
    }
}
