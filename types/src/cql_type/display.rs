//! Types as CQL text, exactly as Cassandra prints them in `system_schema`.

use std::fmt;

use super::{CqlType, quote_identifier};

impl fmt::Display for CqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List { element, frozen } => frozen_if(f, *frozen, format_args!("list<{element}>")),
            Self::Set { element, frozen } => frozen_if(f, *frozen, format_args!("set<{element}>")),
            Self::Map { key, value, frozen } => frozen_if(f, *frozen, format_args!("map<{key}, {value}>")),
            Self::Tuple(fields) => {
                f.write_str("frozen<tuple<")?;
                for (position, field) in fields.iter().enumerate() {
                    let separator = if position == 0 { "" } else { ", " };
                    write!(f, "{separator}{field}")?;
                }
                f.write_str(">>")
            }
            Self::UserDefined { definition, frozen } => {
                frozen_if(f, *frozen, format_args!("{}", quote_identifier(&definition.name)))
            }
            Self::Vector { element, dimensions } => write!(f, "vector<{element}, {dimensions}>"),
            Self::Custom(_) if self.is_empty_type() => f.write_str("empty"),
            Self::Custom(class) => write!(f, "'{class}'"),
            native => f.write_str(native.native_name().unwrap_or_default()),
        }
    }
}

fn frozen_if(f: &mut fmt::Formatter<'_>, frozen: bool, inner: fmt::Arguments<'_>) -> fmt::Result {
    if frozen { write!(f, "frozen<{inner}>") } else { f.write_fmt(inner) }
}
