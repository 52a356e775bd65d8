//! The values of one execution.

use crate::error::{CqlError, invalid};
use crate::outcome::ColumnSpec;
use crate::session::{BoundValue, Parameters};
use dodona_types::CqlType;
use dodona_types::value::validate;
use std::borrow::Cow;

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
}

impl<'a> Binding<'a> {
    /// Pairs the request's values with the statement's markers, and checks them.
    pub(crate) fn new(
        markers: &[ColumnSpec],
        parameters: &'a Parameters<'a>,
        now_micros: i64,
        random: &'a dodona_env::Random,
    ) -> Result<Self, CqlError> {
        let values = match parameters.names {
            None => Values::Given(parameters.values),
            Some(names) => Values::Ordered(by_name(markers, names, parameters.values)),
        };
        if values.len() != markers.len() {
            return invalid(format!(
                "Invalid amount of bind variables: there were {} markers(?) in CQL but {} bound variables",
                markers.len(),
                values.len()
            ));
        }
        let now_seconds = parameters.now_seconds.unwrap_or(now_micros.div_euclid(1_000_000));
        Ok(Self { values, now_micros, now_seconds, random })
    }

    /// The value of a marker, checked against its type.
    pub(crate) fn marker(&self, index: usize, cql_type: &CqlType) -> Result<Val<'_>, CqlError> {
        match self.values.get(index) {
            Some(BoundValue::Bytes(bytes)) => {
                validate(cql_type, bytes)?;
                Ok(Val::Bytes(Cow::Borrowed(bytes)))
            }
            Some(BoundValue::Null) => Ok(Val::Null),
            Some(BoundValue::Unset) => Ok(Val::Unset),
            None => Err(CqlError::Server("a marker without a value".into())),
        }
    }
}

fn by_name<'a>(markers: &[ColumnSpec], names: &[&str], values: &[BoundValue<'a>]) -> Vec<BoundValue<'a>> {
    let value_of = |marker: &ColumnSpec| {
        let place = names.iter().position(|name| **name == *marker.name)?;
        values.get(place).copied()
    };
    markers.iter().map(|marker| value_of(marker).unwrap_or(BoundValue::Unset)).collect()
}
