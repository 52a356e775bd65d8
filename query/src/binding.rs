//! The values of one execution.

use crate::collection_value::collection_value;
use crate::error::{CqlError, invalid};
use crate::guardrails::Guard;
use crate::outcome::ColumnSpec;
use crate::session::{BoundValue, Parameters};
use dodona_types::CqlType;
use dodona_types::value::{compare, elements, map_entries, validate};
use std::borrow::Cow;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A term's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Val<'a> {
    Null,
    Unset,
    Bytes(Cow<'a, [u8]>),
}

impl<'a> Val<'a> {
    pub(crate) fn owned(bytes: Vec<u8>) -> Self {
        Self::Bytes(Cow::Owned(bytes))
    }

    pub(crate) fn of(value: Option<Vec<u8>>) -> Self {
        value.map_or(Self::Null, Self::owned)
    }

    /// The bytes; null and unset are none.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Null | Self::Unset => None,
        }
    }
}

/// Values by the numbers of their markers. (Not a `Cow`, which would not let a binding be
/// borrowed for a shorter time than its values.)
enum Values<'a> {
    Given(&'a [BoundValue<'a>]),
    Ordered(Vec<BoundValue<'a>>),
}

impl<'a> std::ops::Deref for Values<'a> {
    type Target = [BoundValue<'a>];

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Given(values) => values,
            Self::Ordered(values) => values,
        }
    }
}

/// The values of one execution, by the numbers of their markers.
pub(crate) struct Binding<'a> {
    values: Values<'a>,
    /// Server time in microseconds, one for the whole statement.
    pub(crate) now_micros: i64,
    /// Seconds by which expiry is judged.
    pub(crate) now_seconds: i64,
    /// Draws random bits for uuids.
    pub(crate) random: &'a dodona_env::Random,
    /// Judges what is asked for.
    pub(crate) guard: &'a Guard<'a>,
    /// Elements of lists that were added so far.
    list_elements: AtomicU32,
}

impl<'a> Binding<'a> {
    /// Pairs the request's values with the statement's markers, and checks them. `miscount` is the
    /// message where there are so many markers, but so many values.
    pub(crate) fn new(
        markers: &[ColumnSpec],
        parameters: &'a Parameters<'a>,
        now_micros: i64,
        random: &'a dodona_env::Random,
        guard: &'a Guard<'a>,
        miscount: fn(usize, usize) -> String,
    ) -> Result<Self, CqlError> {
        let values = match parameters.names {
            None => Values::Given(parameters.values),
            Some(names) => Values::Ordered(by_name(markers, names, parameters.values)),
        };
        if values.len() != markers.len() {
            return invalid(miscount(markers.len(), values.len()));
        }
        let now_seconds = parameters.now_seconds.unwrap_or(now_micros.div_euclid(1_000_000));
        Ok(Self { values, now_micros, now_seconds, random, guard, list_elements: AtomicU32::new(0) })
    }

    /// The number of the next element that is added to a list, from 0.
    pub(crate) fn next_list_element(&self) -> u32 {
        self.list_elements.fetch_add(1, Relaxed)
    }

    /// True if the list that is bound to a marker has a null.
    pub(crate) fn has_null_element(&self, marker: Option<usize>) -> bool {
        match marker.and_then(|index| self.values.get(index)) {
            Some(BoundValue::Bytes(bytes)) => elements(bytes).any(|element| element.is_none()),
            _ => false,
        }
    }

    /// The value of a marker, checked against its type.
    pub(crate) fn marker(&self, index: usize, cql_type: &CqlType) -> Result<Val<'_>, CqlError> {
        match self.values.get(index) {
            Some(BoundValue::Bytes(bytes)) => {
                validate(cql_type, bytes)?;
                in_order(cql_type, bytes).map(Val::Bytes)
            }
            Some(BoundValue::Null) => Ok(Val::Null),
            Some(BoundValue::Unset) => Ok(Val::Unset),
            None => Err(CqlError::Server("a marker without a value".into())),
        }
    }
}

/// A collection with the sets and maps in it in order, and each of their elements once; as it is if it is so. What lies
/// in tuples, user-defined types and vectors is left as it is, as Cassandra does it.
fn in_order<'v>(ty: &CqlType, bytes: &'v [u8]) -> Result<Cow<'v, [u8]>, CqlError> {
    let (key, value) = match ty {
        CqlType::Map { key, value, .. } => (key, Some(value)),
        CqlType::List { element, .. } | CqlType::Set { element, .. } => (element, None),
        _ => return Ok(Cow::Borrowed(bytes)),
    };
    if key.is_collection() || value.is_some_and(|value| value.is_collection()) {
        return with_parts_in_order(ty, key, value.map(|value| &**value), bytes);
    }
    let mut before: Option<&[u8]> = None;
    let mut ascends = |next| before.replace(next).is_none_or(|last| compare(key, last, next).is_lt());
    let ordered = match ty {
        CqlType::Map { .. } => map_entries(bytes).all(|(key, _)| ascends(key)),
        CqlType::Set { .. } => elements(bytes).flatten().all(ascends),
        _ => true,
    };
    if ordered {
        return Ok(Cow::Borrowed(bytes));
    }
    let part = |part: &[u8]| Some(part.to_vec());
    let parts = match value {
        Some(_) => map_entries(bytes).flat_map(|(key, value)| [part(key), part(value)]).collect(),
        None => elements(bytes).flatten().map(part).collect(),
    };
    collection_value(ty, parts).map(Cow::Owned)
}

/// A collection of collections, put together anew.
fn with_parts_in_order<'v>(
    ty: &CqlType,
    key: &CqlType,
    value: Option<&CqlType>,
    bytes: &'v [u8],
) -> Result<Cow<'v, [u8]>, CqlError> {
    // Nulls, which are refused elsewhere, stay.
    if elements(bytes).any(|element| element.is_none()) {
        return Ok(Cow::Borrowed(bytes));
    }
    let part = |ty: &CqlType, part: &[u8]| in_order(ty, part).map(|part| Some(part.into_owned()));
    let mut parts = Vec::new();
    match value {
        Some(value) => {
            for (k, v) in map_entries(bytes) {
                parts.push(part(key, k)?);
                parts.push(part(value, v)?);
            }
        }
        None => {
            for element in elements(bytes).flatten() {
                parts.push(part(key, element)?);
            }
        }
    }
    collection_value(ty, parts).map(Cow::Owned)
}

fn by_name<'a>(markers: &[ColumnSpec], names: &[&str], values: &[BoundValue<'a>]) -> Vec<BoundValue<'a>> {
    let value_of = |marker: &ColumnSpec| {
        let place = names.iter().position(|name| **name == *marker.name)?;
        values.get(place).copied()
    };
    markers.iter().map(|marker| value_of(marker).unwrap_or(BoundValue::Unset)).collect()
}
