//! Keys: the wire bytes of their components to what storage identifies partitions and rows by,
//! and back.

use crate::error::{CqlError, invalid};
use dodona_types::CqlType;
use dodona_types::comparable::{self, Component};
use dodona_types::key::ROW_END;
use dodona_types::limits::MAX_KEY_BYTES;
use dodona_types::schema::{Column, Table};

/// The raw bytes of a partition key: a lone component as it is, several in Cassandra's composite
/// encoding (length, bytes, zero for each).
pub(crate) fn partition_key(components: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(components.iter().map(|component| component.len() + 3).sum());
    for component in components {
        put_key_component(component, components.len() == 1, &mut out);
    }
    out
}

/// Appends a component of a raw partition key.
pub(crate) fn put_key_component(component: &[u8], is_alone: bool, out: &mut Vec<u8>) {
    if is_alone {
        out.extend_from_slice(component);
        return;
    }
    out.extend_from_slice(&(component.len() as u16).to_be_bytes());
    out.extend_from_slice(component);
    out.push(0);
}

/// Checks a raw partition key.
pub(crate) fn check_partition_key(key: &[u8]) -> Result<(), CqlError> {
    if key.is_empty() {
        return invalid("Key may not be empty");
    }
    check_length(key.len())
}

/// The components of a raw partition key, where `count` are expected.
pub(crate) fn split_partition_key(key: &[u8], count: usize) -> Vec<&[u8]> {
    if count == 1 {
        return vec![key];
    }
    let mut rest = key;
    let mut components = Vec::with_capacity(count);
    for _ in 0..count {
        let Some((length, behind)) = rest.split_first_chunk::<2>() else {
            break;
        };
        let length = usize::from(u16::from_be_bytes(*length));
        let Some((component, behind)) = behind.split_at_checked(length) else {
            break;
        };
        components.push(component);
        rest = behind.get(1..).unwrap_or_default();
    }
    components
}

/// Appends one clustering component in comparable bytes.
pub(crate) fn put_component(column: &Column, wire: &[u8], out: &mut Vec<u8>) -> Result<(), CqlError> {
    Ok(comparable::encode_component(&column.cql_type, column.descending, Some(wire), out)?)
}

/// Appends a clustering component that has no value.
pub(crate) fn put_absent_component(column: &Column, out: &mut Vec<u8>) -> Result<(), CqlError> {
    Ok(comparable::encode_component(&column.cql_type, column.descending, None, out)?)
}

/// Ends a whole clustering key.
pub(crate) fn end_clustering(out: &mut Vec<u8>) {
    out.push(ROW_END);
}

/// Refuses to write a row of a table with COMPACT STORAGE whose only clustering column is empty.
pub(crate) fn check_named(table: &Table, clustering: &[u8]) -> Result<(), CqlError> {
    if table.compact_storage.is_none() || !comparable::begins_empty(clustering) {
        return Ok(());
    }
    let mut columns = table.clustering_key();
    match (columns.next(), columns.next()) {
        (Some(lone), None) => invalid(format!("Invalid empty or null value for column {}", lone.name)),
        _ => Ok(()),
    }
}

/// Refuses rows whose clustering key is too long.
pub(crate) fn check_clustering(table: &Table, clustering: &[u8]) -> Result<(), CqlError> {
    if clustering.len() <= MAX_KEY_BYTES {
        return Ok(());
    }
    // Comparable bytes may be longer than what the client wrote.
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    decode_clustering(table, clustering, None, &mut bytes, &mut ends)?;
    check_length(bytes.len())
}

fn check_length(bytes: usize) -> Result<(), CqlError> {
    if bytes > MAX_KEY_BYTES {
        return invalid(format!("Key length of {bytes} is longer than maximum of {MAX_KEY_BYTES}"));
    }
    Ok(())
}

/// The client's bytes of all components, if one's comparable bytes do not give them back.
pub(crate) fn originals<'a>(columns: impl Iterator<Item = (&'a Column, &'a [u8])>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut needed = false;
    for (column, wire) in columns {
        needed = needed || comparable::needs_original(&column.cql_type, wire);
        // A component is shorter than a partition key may be; a longer one was refused.
        out.extend_from_slice(&(wire.len() as u32).to_be_bytes());
        out.extend_from_slice(wire);
    }
    needed.then_some(out)
}

/// Decodes a clustering key: appends the wire bytes of its components to `out` and their ends to
/// `ends`; an absent component (null) has the end `usize::MAX`.
pub(crate) fn decode_clustering(
    table: &Table,
    clustering: &[u8],
    originals: Option<&[u8]>,
    out: &mut Vec<u8>,
    ends: &mut Vec<usize>,
) -> Result<(), CqlError> {
    if let Some(mut rest) = originals {
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some((component, behind)) = behind.split_at_checked(length) else {
                break;
            };
            out.extend_from_slice(component);
            ends.push(out.len());
            rest = behind;
        }
        return Ok(());
    }
    let mut rest = clustering;
    for column in table.clustering_key() {
        match comparable::decode_component(&column.cql_type, column.descending, &mut rest, out)? {
            Component::Null => ends.push(usize::MAX),
            Component::Empty | Component::Value => ends.push(out.len()),
        }
    }
    Ok(())
}

/// The path of a set's element or a map's key: its comparable bytes, and behind them its wire
/// bytes where the comparable ones do not give them back.
pub(crate) fn element_path(ty: &CqlType, wire: &[u8]) -> Result<Vec<u8>, CqlError> {
    let mut path = Vec::with_capacity(wire.len() + 4);
    comparable::encode_component(ty, false, Some(wire), &mut path)?;
    if comparable::needs_original(ty, wire) {
        path.extend_from_slice(wire);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composite_keys_come_apart_again() {
        let key = partition_key(&[b"ab", b"", b"\x00\xff"]);
        assert_eq!(key, b"\0\x02ab\0\0\0\0\0\x02\x00\xff\0");
        assert_eq!(split_partition_key(&key, 3), [&b"ab"[..], b"", b"\x00\xff"]);
        assert_eq!(split_partition_key(b"ab", 1), [b"ab"]);
        assert!(split_partition_key(b"\0\x09a", 2).is_empty());
    }
}
