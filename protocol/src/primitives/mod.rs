//! The notations of native_protocol_v5 section 3: a bounded [`Reader`] and the `put_` functions.

mod reader;
mod writer;

pub use reader::Reader;
pub use writer::{
    put_bytes, put_bytes_map, put_bytes_opt, put_consistency, put_inet, put_inet_address, put_int, put_long,
    put_long_string, put_short, put_short_bytes, put_string, put_string_list, put_string_map,
    put_string_multimap, put_unsigned_vint, put_uuid, put_value, put_vint,
};

/// A `[string map]`, borrowed.
pub type StringMap<'a> = Vec<(&'a str, &'a str)>;
/// A `[string multimap]`, borrowed.
pub type StringMultimap<'a> = Vec<(&'a str, Vec<&'a str>)>;
/// A `[bytes map]`, borrowed.
pub type BytesMap<'a> = Vec<(&'a str, Option<&'a [u8]>)>;

/// A bound value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// These bytes.
    Set(&'a [u8]),
    /// Null: deletes.
    Null,
    /// Leaves what is there as it is (from version 4 on).
    Unset,
}

impl<'a> Value<'a> {
    /// The bytes, if it has any.
    #[must_use]
    pub const fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Set(bytes) => Some(bytes),
            Self::Null | Self::Unset => None,
        }
    }
}

#[cfg(test)]
mod tests;
