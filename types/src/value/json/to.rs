//! Wire bytes to JSON text (`AbstractType.toJSONString`).

use std::fmt::Write as _;

use crate::cql_type::CqlType;
use crate::hex::write_hex;
use crate::value::{
    Value, ValueError, decode, format_date, format_double, format_float, format_inet, format_time,
    format_timestamp,
};

/// Appends the JSON of a value, given as its wire bytes; null is `null` and an empty value of a
/// type that otherwise has bytes is `""`, but a user-defined one has its fields, which are null.
///
/// # Errors
/// The bytes are not a value of the type.
pub fn wire_to_json(ty: &CqlType, wire: Option<&[u8]>, out: &mut String) -> Result<(), ValueError> {
    let value = wire.map(|wire| decode(ty, wire)).transpose()?;
    write_value(ty, value.as_ref(), out);
    Ok(())
}

/// Appends a JSON string: in quotes, with escapes where JSON needs them.
pub fn write_json_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn write_value(ty: &CqlType, value: Option<&Value>, out: &mut String) {
    match value {
        None => out.push_str("null"),
        Some(Value::Empty) => match ty {
            CqlType::UserDefined { .. } => write_nested(ty, &Value::UserDefined(Vec::new()), out),
            _ => out.push_str("\"\""),
        },
        Some(Value::Text(text)) => write_json_string(text, out),
        Some(Value::Blob(bytes)) => {
            out.push_str("\"0x");
            write_hex(bytes, out);
            out.push('"');
        }
        Some(Value::Boolean(value)) => out.push_str(if *value { "true" } else { "false" }),
        Some(Value::Tinyint(value)) => push(out, value),
        Some(Value::Smallint(value)) => push(out, value),
        Some(Value::Int(value)) => push(out, value),
        Some(Value::Bigint(value) | Value::Counter(value)) => push(out, value),
        Some(Value::Varint(value)) => push(out, value),
        Some(Value::Decimal(value)) => push(out, value),
        Some(Value::Float(value)) if !value.is_finite() => out.push_str("null"),
        Some(Value::Double(value)) if !value.is_finite() => out.push_str("null"),
        Some(Value::Float(value)) => out.push_str(&format_float(*value)),
        Some(Value::Double(value)) => out.push_str(&format_double(*value)),
        Some(Value::Uuid(value)) => write_json_string(&value.to_string(), out),
        Some(Value::Duration(value)) => write_json_string(&value.to_string(), out),
        Some(Value::Inet(value)) => write_json_string(&format_inet(*value), out),
        Some(Value::Date(value)) => write_json_string(&format_date(*value), out),
        Some(Value::Time(value)) => write_json_string(&format_time(*value), out),
        Some(Value::Timestamp(value)) => write_json_string(&format_timestamp(*value), out),
        Some(value) => write_nested(ty, value, out),
    }
}

fn push(out: &mut String, value: &dyn std::fmt::Display) {
    let _ = write!(out, "{value}");
}

fn write_all<T>(items: impl IntoIterator<Item = T>, out: &mut String, mut write: impl FnMut(T, &mut String)) {
    for (position, item) in items.into_iter().enumerate() {
        if position > 0 {
            out.push_str(", ");
        }
        write(item, out);
    }
}

fn write_nested(ty: &CqlType, value: &Value, out: &mut String) {
    match (ty, value) {
        (CqlType::List { element, .. }, Value::List(elements))
        | (CqlType::Set { element, .. }, Value::Set(elements))
        | (CqlType::Vector { element, .. }, Value::Vector(elements)) => {
            out.push('[');
            write_all(elements, out, |value, out| write_value(element, Some(value), out));
            out.push(']');
        }
        (CqlType::Map { key, value, .. }, Value::Map(entries)) => {
            out.push('{');
            write_all(entries, out, |(entry_key, entry_value), out| {
                write_key(key, entry_key, out);
                out.push_str(": ");
                write_value(value, Some(entry_value), out);
            });
            out.push('}');
        }
        (CqlType::Tuple(types), Value::Tuple(fields)) => {
            out.push('[');
            write_all(types.iter().zip(fields), out, |(ty, field), out| {
                write_value(ty, field.as_ref(), out);
            });
            out.push(']');
        }
        (CqlType::UserDefined { definition, .. }, Value::UserDefined(fields)) => {
            out.push('{');
            // Fields that are not there are null.
            write_all(definition.fields.iter().enumerate(), out, |(place, (name, ty)), out| {
                write_field_name(name, out);
                out.push_str(": ");
                write_value(ty, fields.get(place).and_then(Option::as_ref), out);
            });
            out.push('}');
        }
        // `decode` gives no other pairs.
        _ => out.push_str("null"),
    }
}

/// A map's key is always a string: what would not be one is put in quotes.
fn write_key(ty: &CqlType, key: &Value, out: &mut String) {
    let mut text = String::new();
    write_value(ty, Some(key), &mut text);
    if text.starts_with('"') {
        out.push_str(&text);
    } else {
        write_json_string(&text, out);
    }
}

/// A name that is case sensitive is in quotes inside its string.
fn write_field_name(name: &str, out: &mut String) {
    if name.chars().any(char::is_uppercase) {
        write_json_string(&format!("\"{name}\""), out);
    } else {
        write_json_string(name, out);
    }
}
