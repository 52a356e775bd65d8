//! JSON to wire bytes (`AbstractType.fromJSONObject`).

use super::parse::{JsonValue, parse_json};
use crate::cql_type::{CqlType, UserType};
use crate::value::encode::write_vector_element;
use crate::value::literal_in::text_to_wire;
use crate::value::wire::{checked_length, write_bytes, write_sized};
use crate::value::{ValueError, compare};

type Result<T = ()> = std::result::Result<T, ValueError>;

/// Appends the wire bytes of the value that `json` stands for in the type. A JSON null has no
/// wire bytes, so the caller must have dealt with it.
///
/// # Errors
/// The JSON does not stand for a value of the type; the text is Cassandra's, without its
/// `Error decoding JSON value for c: `.
pub fn json_to_wire(ty: &CqlType, json: &JsonValue, out: &mut Vec<u8>) -> Result {
    let is_nested = ty.is_collection()
        || matches!(ty, CqlType::Tuple(_) | CqlType::UserDefined { .. } | CqlType::Vector { .. });
    match json {
        // A collection may itself be given as a string of JSON.
        JsonValue::String(text) if is_nested => nested(ty, &parse_json(text)?, out),
        _ if is_nested => nested(ty, json, out),
        JsonValue::String(text) => from_string(ty, text, out),
        JsonValue::Number(text) => from_number(ty, text, json, out),
        JsonValue::Boolean(value) if *ty == CqlType::Boolean => {
            out.push(u8::from(*value));
            Ok(())
        }
        _ => Err(unexpected(ty, json)),
    }
}

/// The message for JSON of the wrong kind.
fn unexpected(ty: &CqlType, json: &JsonValue) -> ValueError {
    let expected = match ty {
        CqlType::Ascii => "an ascii string",
        CqlType::Text => "a UTF-8 string",
        CqlType::Boolean => "a boolean value",
        CqlType::Tinyint => "a byte value",
        CqlType::Smallint => "a short value",
        CqlType::Int => "an int value",
        CqlType::Bigint | CqlType::Counter => "a bigint value",
        CqlType::Float => "a float value",
        CqlType::Double => "a double value",
        CqlType::Date => "a string representation of a date value",
        CqlType::Time => "a string representation of a time value",
        CqlType::Timestamp => "a long or a datestring representation of a timestamp value",
        CqlType::Inet => "a string representation of an inet value",
        CqlType::Uuid => "a string representation of a uuid",
        CqlType::Timeuuid => "a string representation of a timeuuid",
        CqlType::Duration => "a string representation of a duration",
        CqlType::List { .. } | CqlType::Vector { .. } => "a list",
        CqlType::Set { .. } => "a list (representing a set)",
        CqlType::Map { .. } | CqlType::UserDefined { .. } => "a map",
        CqlType::Tuple(_) => "a list representation of a tuple",
        CqlType::Decimal => {
            return ValueError::new(format!(
                "Value '{json}' is not a valid representation of a decimal value"
            ));
        }
        CqlType::Varint => {
            return ValueError::new(format!(
                "Value '{json}' is not a valid representation of a varint value"
            ));
        }
        CqlType::Blob | CqlType::Custom(_) => {
            return ValueError::new(format!(
                "Value '{json}' is not a valid blob representation: not a string"
            ));
        }
    };
    ValueError::new(format!("Expected {expected}, but got a {}: {json}", json.java_class()))
}

fn from_string(ty: &CqlType, text: &str, out: &mut Vec<u8>) -> Result {
    match ty {
        CqlType::Blob | CqlType::Custom(_) => {
            let invalid = |reason: &str| {
                ValueError::new(format!("Value '{text}' is not a valid blob representation: {reason}"))
            };
            let digits = text.strip_prefix("0x").ok_or_else(|| {
                invalid(&format!("String representation of blob is missing 0x prefix: {text}"))
            })?;
            text_to_wire(digits, ty, out).map_err(|error| invalid(error.message()))
        }
        // The empty text is the empty value, of decimals alone.
        CqlType::Decimal if text.is_empty() => Ok(()),
        CqlType::Decimal | CqlType::Varint => {
            let invalid =
                || ValueError::new(format!("Value '{text}' is not a valid representation of a {ty} value"));
            if text.is_empty() { Err(invalid()) } else { text_to_wire(text, ty, out).map_err(|_| invalid()) }
        }
        _ => text_to_wire(text, ty, out),
    }
}

fn from_number(ty: &CqlType, text: &str, json: &JsonValue, out: &mut Vec<u8>) -> Result {
    match ty {
        CqlType::Float | CqlType::Double => text_to_wire(text, ty, out),
        CqlType::Decimal | CqlType::Varint => from_string(ty, text, out),
        CqlType::Tinyint | CqlType::Smallint => text_to_wire(text, ty, out),
        CqlType::Int | CqlType::Bigint | CqlType::Counter | CqlType::Timestamp => {
            text_to_wire(text, ty, out).map_err(|_| unexpected(ty, json))
        }
        _ => Err(unexpected(ty, json)),
    }
}

fn nested(ty: &CqlType, json: &JsonValue, out: &mut Vec<u8>) -> Result {
    match (ty, json) {
        (CqlType::List { element, .. }, JsonValue::Array(elements)) => {
            out.extend_from_slice(&checked_length(elements.len())?.to_be_bytes());
            elements.iter().try_for_each(|json| {
                write_sized(out, |out| {
                    json_to_wire(element, not_null(json, "Invalid null element in list")?, out)
                })
            })
        }
        (CqlType::Set { element, .. }, JsonValue::Array(elements)) => write_set(element, elements, out),
        (CqlType::Map { key, value, .. }, JsonValue::Object(members)) => write_map(key, value, members, out),
        (CqlType::Tuple(types), JsonValue::Array(elements)) => write_tuple(types, elements, json, out),
        (CqlType::UserDefined { definition, .. }, JsonValue::Object(members)) => {
            write_user_type(definition, members, out)
        }
        (CqlType::Vector { element, dimensions }, JsonValue::Array(elements)) => {
            if elements.len() != usize::from(*dimensions) {
                let given = elements.len();
                return Err(ValueError::new(format!(
                    "List had incorrect size: expected {dimensions} but given {given}; {json}"
                )));
            }
            elements.iter().try_for_each(|json| {
                let json = not_null(json, "Invalid null element in list")?;
                write_vector_element(element, out, |out| json_to_wire(element, json, out))
            })
        }
        _ => Err(unexpected(ty, json)),
    }
}

fn not_null<'a>(json: &'a JsonValue, message: &'static str) -> Result<&'a JsonValue> {
    if *json == JsonValue::Null { Err(ValueError::new(message)) } else { Ok(json) }
}

fn write_set(element: &CqlType, elements: &[JsonValue], out: &mut Vec<u8>) -> Result {
    let mut wires = Vec::with_capacity(elements.len());
    for json in elements {
        let mut wire = Vec::new();
        json_to_wire(element, not_null(json, "Invalid null element in set")?, &mut wire)?;
        wires.push(wire);
    }
    wires.sort_by(|a, b| compare(element, a, b));
    wires.dedup_by(|a, b| compare(element, a, b).is_eq());
    out.extend_from_slice(&checked_length(wires.len())?.to_be_bytes());
    wires.iter().try_for_each(|wire| write_bytes(Some(wire), out))
}

fn write_map(key: &CqlType, value: &CqlType, members: &[(String, JsonValue)], out: &mut Vec<u8>) -> Result {
    let mut entries = Vec::with_capacity(members.len());
    for (name, json) in members {
        let (mut wire_key, mut wire_value) = (Vec::new(), Vec::new());
        json_to_wire(key, &JsonValue::String(name.clone()), &mut wire_key)?;
        json_to_wire(value, not_null(json, "Invalid null value in map")?, &mut wire_value)?;
        entries.push((wire_key, wire_value));
    }
    entries.sort_by(|(a, _), (b, _)| compare(key, a, b));
    // Of equal keys the later one wins, as in a Java map.
    entries.dedup_by(|next, kept| {
        let same = compare(key, &next.0, &kept.0).is_eq();
        if same {
            std::mem::swap(next, kept);
        }
        same
    });
    out.extend_from_slice(&checked_length(entries.len())?.to_be_bytes());
    entries.iter().try_for_each(|(key, value)| {
        write_bytes(Some(key), out)?;
        write_bytes(Some(value), out)
    })
}

fn write_tuple(types: &[CqlType], elements: &[JsonValue], json: &JsonValue, out: &mut Vec<u8>) -> Result {
    let expected = types.len();
    if elements.len() > expected {
        return Err(ValueError::new(format!("Tuple contains extra items (expected {expected}): {json}")));
    }
    if elements.len() < expected {
        return Err(ValueError::new(format!("Tuple is missing items (expected {expected}): {json}")));
    }
    types.iter().zip(elements).try_for_each(|(ty, json)| write_field(ty, Some(json), out))
}

fn write_field(ty: &CqlType, json: Option<&JsonValue>, out: &mut Vec<u8>) -> Result {
    match json {
        None | Some(JsonValue::Null) => write_bytes(None, out),
        Some(json) => write_sized(out, |out| json_to_wire(ty, json, out)),
    }
}

fn write_user_type(definition: &UserType, members: &[(String, JsonValue)], out: &mut Vec<u8>) -> Result {
    let mut fields = vec![None; definition.fields.len()];
    for (name, json) in members {
        let name = fold_name(name);
        let position = definition.field_position(&name).ok_or_else(|| {
            let ty = &definition.name;
            ValueError::new(format!("Unknown field '{name}' in value of user defined type {ty}"))
        })?;
        fields[position] = Some(json);
    }
    definition.fields.iter().zip(fields).try_for_each(|((_, ty), json)| write_field(ty, json, out))
}

/// A name in quotes is case sensitive, any other is in lower case.
pub(super) fn fold_name(name: &str) -> String {
    match name.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) {
        Some(inner) => inner.to_owned(),
        None => name.to_lowercase(),
    }
}
