//! What receives values.

use dodona_types::CqlType;
use std::sync::Arc;

/// What receives a value: a column, an argument, an element.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    pub(crate) name: Arc<str>,
    pub(crate) cql_type: CqlType,
}

impl Receiver {
    pub(crate) fn new(name: impl Into<Arc<str>>, cql_type: CqlType) -> Self {
        Self { name: name.into(), cql_type }
    }
}
