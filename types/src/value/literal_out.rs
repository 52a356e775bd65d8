//! Wire bytes to CQL literals, as DESCRIBE prints them (`AbstractType.toCQLString`).

use super::Value;
use super::ValueError;
use super::date_time::{format_date, format_time, timestamp_text};
use super::decode::decode;
use super::inet::format_inet;
use super::number::{format_double, format_float};
use crate::cql_type::{CqlType, quote_identifier};
use crate::hex::write_hex;

/// The CQL literal of a value, given as its wire bytes; `null` for a null, and for an empty
/// value of a type whose literals cannot say it.
///
/// # Errors
/// The bytes are not a value of the type.
pub fn wire_to_literal(ty: &CqlType, wire: Option<&[u8]>) -> Result<String, ValueError> {
    let value = wire.map(|wire| decode(ty, wire)).transpose()?;
    let mut out = String::new();
    write_literal(ty, value.as_ref(), &mut out);
    Ok(out)
}

fn write_literal(ty: &CqlType, value: Option<&Value>, out: &mut String) {
    match value {
        None | Some(Value::Empty) => out.push_str("null"),
        Some(Value::Text(text)) => write_quoted(text, out),
        Some(Value::Blob(bytes)) => {
            out.push_str("0x");
            write_hex(bytes, out);
        }
        Some(Value::Boolean(value)) => out.push_str(if *value { "true" } else { "false" }),
        Some(Value::Tinyint(value)) => out.push_str(&value.to_string()),
        Some(Value::Smallint(value)) => out.push_str(&value.to_string()),
        Some(Value::Int(value)) => out.push_str(&value.to_string()),
        Some(Value::Bigint(value) | Value::Counter(value)) => out.push_str(&value.to_string()),
        Some(Value::Varint(value)) => out.push_str(&value.to_string()),
        Some(Value::Decimal(value)) => out.push_str(&value.to_string()),
        Some(Value::Float(value)) => out.push_str(&format_float(*value)),
        Some(Value::Double(value)) => out.push_str(&format_double(*value)),
        Some(Value::Uuid(value)) => out.push_str(&value.to_string()),
        Some(Value::Duration(value)) => out.push_str(&value.to_string()),
        Some(Value::Inet(value)) => write_quoted(&format_inet(*value), out),
        Some(Value::Date(value)) => write_quoted(&format_date(*value), out),
        Some(Value::Time(value)) => write_quoted(&format_time(*value), out),
        Some(Value::Timestamp(value)) => write_quoted(&timestamp_text(*value, 'T'), out),
        Some(value) => write_nested(ty, value, out),
    }
}

fn write_quoted(text: &str, out: &mut String) {
    out.push('\'');
    out.push_str(&text.replace('\'', "''"));
    out.push('\'');
}

/// Writes items with commas between them.
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
        | (CqlType::Vector { element, .. }, Value::Vector(elements)) => {
            out.push('[');
            write_all(elements, out, |value, out| {
                write_literal(element, Some(value), out);
            });
            out.push(']');
        }
        (CqlType::Set { element, .. }, Value::Set(elements)) => {
            out.push('{');
            write_all(elements, out, |value, out| {
                write_literal(element, Some(value), out);
            });
            out.push('}');
        }
        (CqlType::Map { key, value, .. }, Value::Map(entries)) => {
            out.push('{');
            write_all(entries, out, |(entry_key, entry_value), out| {
                write_literal(key, Some(entry_key), out);
                out.push_str(": ");
                write_literal(value, Some(entry_value), out);
            });
            out.push('}');
        }
        (CqlType::Tuple(types), Value::Tuple(fields)) => {
            out.push('(');
            write_all(types.iter().zip(fields), out, |(ty, field), out| {
                write_literal(ty, field.as_ref(), out);
            });
            out.push(')');
        }
        (CqlType::UserDefined { definition, .. }, Value::UserDefined(fields)) => {
            out.push('{');
            write_all(definition.fields.iter().zip(fields), out, |((name, ty), field), out| {
                out.push_str(&quote_identifier(name));
                out.push_str(": ");
                write_literal(ty, field.as_ref(), out);
            });
            out.push('}');
        }
        // `decode` gives no other pairs.
        _ => out.push_str("null"),
    }
}
