//! Functions of one collection.

use super::aggregate::{Accumulator, AggregateKind};
use super::call::Native;
use crate::error::CqlError;
use dodona_types::CqlType;
use dodona_types::value::{elements, map_entries, read_length};

/// The wire bytes of a list or a set of these elements.
fn collection_of<'e>(elements: impl Iterator<Item = &'e [u8]>) -> Vec<u8> {
    let mut out = vec![0; 4];
    let mut count = 0i32;
    for element in elements {
        // Taken from a value, so shorter than 2 GiB.
        out.extend_from_slice(&(element.len() as i32).to_be_bytes());
        out.extend_from_slice(element);
        count += 1;
    }
    out[..4].copy_from_slice(&count.to_be_bytes());
    out
}

/// The function's value.
pub(super) fn execute(
    function: &Native,
    ty: &CqlType,
    collection: &[u8],
) -> Result<Option<Vec<u8>>, CqlError> {
    let kind = match function {
        Native::MapKeys => return Ok(Some(collection_of(map_entries(collection).map(|(key, _)| key)))),
        Native::MapValues => return Ok(Some(collection_of(map_entries(collection).map(|(_, value)| value)))),
        Native::CollectionMin => AggregateKind::Min,
        Native::CollectionMax => AggregateKind::Max,
        Native::CollectionSum => AggregateKind::Sum,
        Native::CollectionAvg => AggregateKind::Avg,
        _ => {
            let count = read_length(&mut &*collection).unwrap_or(0);
            return Ok(Some(count.to_be_bytes().to_vec()));
        }
    };
    let (CqlType::List { element, .. } | CqlType::Set { element, .. }) = ty else {
        return Err(CqlError::Server("elements of what has none".into()));
    };
    let mut accumulator = Accumulator::default();
    for value in elements(collection).flatten() {
        accumulator.take(kind, element, value)?;
    }
    accumulator.finish(kind, element)
}
