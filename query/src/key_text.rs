//! Partition keys as operators write them: text.

use crate::error::{CqlError, invalid};
use crate::keys::{check_partition_key, partition_key};
use dodona_types::schema::Table;
use dodona_types::value::{JsonValue, json_to_wire};
use dodona_types::{CqlType, PartitionKey};

/// The partition key of a table that a text stands for. Components of a key of several are set apart
/// by `:`; one that is part of a component is written `\:`. Blobs are hexadecimal, with or without
/// `0x`; collections and tuples are JSON.
///
/// # Errors
/// There are too few components or too many, or one is no value of its type.
pub fn key_of_text(table: &Table, text: &str) -> Result<PartitionKey, CqlError> {
    let types: Vec<&CqlType> = table.partition_key().map(|column| &column.cql_type).collect();
    match key_of(&types, text)? {
        Some(key) => Ok(key),
        None => {
            let names: Vec<&str> = table.partition_key().map(|column| &*column.name).collect();
            invalid(format!(
                "`{text}` is no partition key of {}.{}: write {}, and `\\:` for a `:` that is part of a value",
                table.keyspace,
                table.name,
                names.join(":")
            ))
        }
    }
}

/// The key with components of these types. None if there are not as many.
fn key_of(types: &[&CqlType], text: &str) -> Result<Option<PartitionKey>, CqlError> {
    let texts = if types.len() == 1 { vec![text.to_owned()] } else { components(text) };
    if texts.len() != types.len() {
        return Ok(None);
    }
    let wires = types.iter().zip(&texts).map(|(ty, text)| wire_of(ty, text));
    let wires: Vec<Vec<u8>> = wires.collect::<Result<_, _>>()?;
    let key = partition_key(&wires.iter().map(Vec::as_slice).collect::<Vec<_>>());
    check_partition_key(&key)?;
    Ok(Some(PartitionKey::new(key.into())))
}

fn components(text: &str) -> Vec<String> {
    let mut components = vec![String::new()];
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let letter = match letter {
            ':' => {
                components.push(String::new());
                continue;
            }
            '\\' => letters.next_if_eq(&':').unwrap_or('\\'),
            letter => letter,
        };
        if let Some(last) = components.last_mut() {
            last.push(letter);
        }
    }
    components
}

fn wire_of(ty: &CqlType, text: &str) -> Result<Vec<u8>, CqlError> {
    let is_bare = *ty == CqlType::Blob && !text.starts_with("0x");
    let text = if is_bare { format!("0x{text}") } else { text.to_owned() };
    let mut wire = Vec::new();
    match json_to_wire(ty, &JsonValue::String(text), &mut wire) {
        Ok(()) => Ok(wire),
        Err(error) => invalid(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(types: &[&CqlType], text: &str) -> Option<Vec<u8>> {
        key_of(types, text).unwrap().map(|key| key.bytes().to_vec())
    }

    #[test]
    fn a_text_is_a_key_of_the_columns_type() {
        assert_eq!(bytes(&[&CqlType::Int], "-2"), Some(vec![255, 255, 255, 254]));
        assert_eq!(bytes(&[&CqlType::Text], "a:b"), Some(b"a:b".to_vec()));
        assert_eq!(bytes(&[&CqlType::Blob], "0x0aff"), bytes(&[&CqlType::Blob], "0aff"));
        assert!(key_of(&[&CqlType::Int], "two").is_err());
        assert!(key_of(&[&CqlType::Text], "").is_err());
    }

    #[test]
    fn components_are_set_apart_by_colons_that_are_not_escaped() {
        let types = [&CqlType::Text, &CqlType::Int];
        assert_eq!(bytes(&types, r"a\:b:7"), Some(b"\0\x03a:b\0\0\x04\0\0\0\x07\0".to_vec()));
        assert_eq!(bytes(&types, r"a\b:7"), Some(b"\0\x03a\\b\0\0\x04\0\0\0\x07\0".to_vec()));
        assert_eq!(bytes(&types, "a"), None);
        assert_eq!(bytes(&types, "a:7:b"), None);
    }
}
