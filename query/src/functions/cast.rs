//! `CAST` between native types.

use super::number::{is_number, number, wire};
use super::time::{date_of_millis, millis_of};
use crate::error::{CqlError, invalid};
use dodona_types::CqlType;
use dodona_types::value::{self, Decimal, Value};

/// True if `CAST` goes from one type to the other.
pub(crate) fn can_cast(source: &CqlType, target: &CqlType) -> bool {
    if source == target {
        return true;
    }
    if matches!(target, CqlType::Text | CqlType::Ascii) {
        return !matches!(source, CqlType::Blob | CqlType::Duration | CqlType::Text)
            && source.native_name().is_some();
    }
    let to_number = is_number(target) && *target != CqlType::Counter;
    (is_number(source) && to_number)
        || matches!(
            (source, target),
            (CqlType::Timeuuid | CqlType::Timestamp, CqlType::Date)
                | (CqlType::Timeuuid | CqlType::Date, CqlType::Timestamp)
        )
}

/// The value as another type.
pub(super) fn execute(source: &CqlType, target: &CqlType, bytes: &[u8]) -> Result<Option<Vec<u8>>, CqlError> {
    if source == target {
        return Ok(Some(bytes.to_vec()));
    }
    if bytes.is_empty() && *source != CqlType::Ascii {
        return Ok(None);
    }
    match target {
        CqlType::Text | CqlType::Ascii => {
            let literal = value::wire_to_literal(source, Some(bytes))?;
            let text = literal
                .strip_prefix('\'')
                .and_then(|text| text.strip_suffix('\''))
                .map_or(literal.clone(), |text| text.replace("''", "'"));
            Ok(Some(text.into_bytes()))
        }
        CqlType::Date => Ok(millis_of(source, bytes).map(date_of_millis)),
        CqlType::Timestamp => Ok(millis_of(source, bytes).map(|millis| millis.to_be_bytes().to_vec())),
        CqlType::Decimal if matches!(source, CqlType::Float | CqlType::Double) => {
            // By way of the shortest text, which is shorter for a float.
            let text = value::wire_to_literal(source, Some(bytes))?;
            match text.parse::<Decimal>() {
                Ok(decimal) => wire(target, &Value::Decimal(decimal)).map(Some),
                Err(_) => invalid(format!("{text} cannot be cast to decimal")),
            }
        }
        _ => match number(source, bytes)? {
            Some(number) => wire(target, &number.convert(target)).map(Some),
            None => Ok(None),
        },
    }
}
