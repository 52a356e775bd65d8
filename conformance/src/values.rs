//! Values and types as the conformance scripts write them (`tests/conformance/README.md`).

use dodona_types::CqlType;
use dodona_types::value::{Value, decode, elements, read_bytes, read_length};

/// A type without `frozen`, which the protocol does not tell.
pub(crate) fn type_text(ty: &CqlType) -> String {
    match ty {
        CqlType::List { element, .. } => format!("list<{}>", type_text(element)),
        CqlType::Set { element, .. } => format!("set<{}>", type_text(element)),
        CqlType::Map { key, value, .. } => format!("map<{}, {}>", type_text(key), type_text(value)),
        CqlType::Tuple(fields) => {
            format!("tuple<{}>", fields.iter().map(type_text).collect::<Vec<_>>().join(", "))
        }
        CqlType::UserDefined { definition, .. } => definition.name.to_string(),
        CqlType::Vector { element, dimensions } => format!("vector<{}, {dimensions}>", type_text(element)),
        CqlType::Custom(class) => format!("'{class}'"),
        other => other.to_string(),
    }
}

/// A value, given as its wire bytes.
pub(crate) fn value_text(ty: &CqlType, wire: Option<&[u8]>) -> String {
    // Selections may have nulls in collections, which values have not.
    let parts = |wire: &[u8], of: &CqlType| {
        elements(wire).map(|part| value_text(of, part)).collect::<Vec<_>>().join(", ")
    };
    match (wire, ty) {
        (Some(wire), CqlType::List { element, .. }) if !wire.is_empty() => {
            return format!("[{}]", parts(wire, element));
        }
        (Some(wire), CqlType::Set { element, .. }) if !wire.is_empty() => {
            return format!("{{{}}}", parts(wire, element));
        }
        (Some(mut wire), CqlType::Map { key, value, .. }) if !wire.is_empty() => {
            let count = read_length(&mut wire).unwrap_or(0);
            let entry = |_| {
                let k = value_text(key, read_bytes(&mut wire).flatten());
                format!("{k}: {}", value_text(value, read_bytes(&mut wire).flatten()))
            };
            return format!("{{{}}}", (0..count).map(entry).collect::<Vec<_>>().join(", "));
        }
        _ => {}
    }
    match wire.map(|wire| decode(ty, wire)) {
        None => "null".into(),
        Some(Ok(value)) => text_of(ty, &value),
        Some(Err(error)) => format!("malformed: {error}"),
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("''"),
            c if c < ' ' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "'"
}

fn text_of(ty: &CqlType, value: &Value) -> String {
    let list = |element: &CqlType, values: &[Value]| {
        values.iter().map(|value| text_of(element, value)).collect::<Vec<_>>().join(", ")
    };
    let field = |ty: &CqlType, value: &Option<Value>| {
        value.as_ref().map_or_else(|| "null".to_owned(), |value| text_of(ty, value))
    };
    match (value, ty) {
        (Value::Empty, _) => "empty".into(),
        (Value::Blob(bytes), CqlType::Custom(_)) if bytes.is_empty() => "empty".into(),
        (Value::Text(text), _) => quoted(text),
        (Value::Blob(bytes), _) => {
            format!("0x{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
        (Value::Boolean(value), _) => value.to_string(),
        (Value::Tinyint(n), _) => n.to_string(),
        (Value::Smallint(n), _) => n.to_string(),
        (Value::Int(n), _) => n.to_string(),
        (Value::Bigint(n) | Value::Counter(n) | Value::Time(n) | Value::Timestamp(n), _) => n.to_string(),
        (Value::Varint(n), _) => n.to_string(),
        (Value::Decimal(n), _) => format!("{}e{}", n.unscaled, -i64::from(n.scale)),
        (Value::Float(n), _) => n.to_string(),
        (Value::Double(n), _) => n.to_string(),
        (Value::Uuid(uuid), _) => uuid.to_string(),
        (Value::Duration(d), _) => format!("{}mo{}d{}ns", d.months, d.days, d.nanoseconds),
        (Value::Inet(std::net::IpAddr::V6(address)), _) => {
            address.segments().map(|segment| format!("{segment:04x}")).join(":")
        }
        (Value::Inet(address), _) => address.to_string(),
        (Value::Date(days), _) => format!("{}d", i64::from(*days) - (1 << 31)),
        (Value::List(values), CqlType::List { element, .. })
        | (Value::Vector(values), CqlType::Vector { element, .. }) => format!("[{}]", list(element, values)),
        (Value::Set(values), CqlType::Set { element, .. }) => format!("{{{}}}", list(element, values)),
        (Value::Map(entries), CqlType::Map { key, value, .. }) => {
            let entry = |(k, v): &(Value, Value)| format!("{}: {}", text_of(key, k), text_of(value, v));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        (Value::Tuple(fields), CqlType::Tuple(types)) => {
            let fields: Vec<_> = types.iter().zip(fields).map(|(ty, value)| field(ty, value)).collect();
            format!("({})", fields.join(", "))
        }
        (Value::UserDefined(fields), CqlType::UserDefined { definition, .. }) => {
            let fields: Vec<_> = definition
                .fields
                .iter()
                .zip(fields)
                .map(|((name, ty), value)| format!("{name}: {}", field(ty, value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => format!("{other:?}"),
    }
}
