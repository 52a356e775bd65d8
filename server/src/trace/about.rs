//! What a trace says of its request, with Cassandra's words.

use dodona_protocol::Value;
use dodona_protocol::request::{QueryParameters, Values};
use dodona_query::Prepared;
use dodona_types::Consistency;
use dodona_types::value::{ValueError, map_to_wire, wire_to_literal};
use std::collections::BTreeMap;

/// Characters of a bound value that are shown.
const MOST_CHARACTERS: usize = 1_000;

/// What a trace says of its request.
pub(crate) struct About {
    /// The kind of the request.
    pub(crate) request: &'static str,
    parameters: BTreeMap<String, String>,
}

impl About {
    /// A statement without preparation.
    pub(crate) fn query(text: &str, request: &QueryParameters<'_>) -> Self {
        Self::new("Execute CQL3 query").with("query", text).with_parameters(request)
    }

    /// A prepared statement, with what is bound to it.
    pub(crate) fn execute(statement: &Prepared, request: &QueryParameters<'_>) -> Self {
        let about = Self::new("Execute CQL3 prepared query");
        let mut about = about.with("query", &statement.text).with_parameters(request);
        for (index, marker) in statement.markers.iter().enumerate() {
            let wire = match value_of(&request.values, index, &marker.name) {
                Some(Value::Set(bytes)) => Some(bytes),
                Some(Value::Null) => None,
                Some(Value::Unset) | None => continue,
            };
            if let Ok(literal) = wire_to_literal(&marker.cql_type, wire) {
                about = about.with(&format!("bound_var_{index}_{}", marker.name), &shortened(literal));
            }
        }
        about
    }

    /// A batch.
    pub(crate) fn batch(request: &QueryParameters<'_>) -> Self {
        // It has no pages.
        let request = QueryParameters { page_size: None, ..*request };
        Self::new("Execute batch of CQL3 queries").with_parameters(&request)
    }

    /// A statement that is prepared.
    pub(crate) fn prepare(text: &str) -> Self {
        Self::new("Preparing CQL3 query").with("query", text)
    }

    const fn new(request: &'static str) -> Self {
        Self { request, parameters: BTreeMap::new() }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.parameters.insert(name.to_owned(), value.to_owned());
        self
    }

    fn with_parameters(self, request: &QueryParameters<'_>) -> Self {
        let mut about = self.with("consistency_level", request.consistency.name());
        if let Some(rows) = request.page_size.filter(|rows| *rows > 0) {
            about = about.with("page_size", &rows.to_string());
        }
        let serial = request.serial_consistency.unwrap_or(Consistency::Serial);
        about.with("serial_consistency_level", serial.name())
    }

    /// The wire bytes of a map of texts.
    ///
    /// # Errors
    /// One is longer than 2 GiB.
    pub(crate) fn parameters(&self) -> Result<Vec<u8>, ValueError> {
        map_to_wire(self.parameters.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
    }
}

/// What is bound to a marker, by its place or its name.
fn value_of<'a>(values: &Values<'a>, index: usize, name: &str) -> Option<Value<'a>> {
    if values.are_named() {
        values.iter_named().find(|(named, _)| *named == Some(name)).map(|(_, value)| value)
    } else {
        values.iter().nth(index)
    }
}

fn shortened(mut literal: String) -> String {
    if let Some((end, _)) = literal.char_indices().nth(MOST_CHARACTERS) {
        literal.truncate(end);
        literal.push_str("...'");
    }
    literal
}
