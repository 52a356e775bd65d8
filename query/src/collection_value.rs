//! Wire bytes of values put together of parts.

use crate::error::{CqlError, invalid};
use dodona_types::CqlType;
use dodona_types::value::{self, write_bytes};
use std::collections::BTreeMap;

/// The wire bytes of a collection, a vector, a tuple or a user-defined type of these parts; those
/// of a map are keys and values in turn. Sets and maps are put in order.
pub(crate) fn collection_value(ty: &CqlType, parts: Vec<Option<Vec<u8>>>) -> Result<Vec<u8>, CqlError> {
    let null = || CqlError::Invalid("null is not supported inside collections".into());
    let mut out = Vec::new();
    match ty {
        CqlType::Tuple(_) | CqlType::UserDefined { .. } => {
            parts.iter().try_for_each(|part| write_bytes(part.as_deref(), &mut out))?;
        }
        CqlType::Vector { element, .. } => {
            for part in parts {
                let Some(part) = part else { return invalid("null is not supported inside vectors") };
                if element.fixed_value_length().is_none() {
                    value::write_unsigned_vint(part.len() as u64, &mut out);
                }
                out.extend_from_slice(&part);
            }
        }
        CqlType::Map { key: key_type, .. } => {
            let mut sorted = BTreeMap::new();
            let mut parts = parts.into_iter();
            while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
                let key = key.ok_or_else(null)?;
                let mut order = Vec::new();
                dodona_types::comparable::encode_component(key_type, false, Some(&key), &mut order)?;
                sorted.insert(order, (key, value));
            }
            out.extend_from_slice(&(sorted.len() as i32).to_be_bytes());
            for (key, value) in sorted.values() {
                write_bytes(Some(key), &mut out)?;
                write_bytes(value.as_deref(), &mut out)?;
            }
        }
        CqlType::Set { element, .. } => {
            let mut values = parts.into_iter().collect::<Option<Vec<_>>>().ok_or_else(null)?;
            values.sort_by(|a, b| value::compare(element, a, b));
            values.dedup_by(|a, b| value::compare(element, a, b).is_eq());
            out.extend_from_slice(&(values.len() as i32).to_be_bytes());
            values.iter().try_for_each(|value| write_bytes(Some(value), &mut out))?;
        }
        _ => {
            out.extend_from_slice(&(parts.len() as i32).to_be_bytes());
            parts.iter().try_for_each(|part| write_bytes(part.as_deref(), &mut out))?;
        }
    }
    Ok(out)
}
