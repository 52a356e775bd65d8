//! What changed in the schema: in a RESULT and in an EVENT.

use bytes::BytesMut;

use crate::error::DecodeError;
use crate::primitives::{Reader, put_string, put_string_list};

/// What happened to a part of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SchemaChangeType {
    /// It is new.
    Created,
    /// It is different.
    Updated,
    /// It is gone.
    Dropped,
}

impl SchemaChangeType {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Created, Self::Updated, Self::Dropped];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Updated => "UPDATED",
            Self::Dropped => "DROPPED",
        }
    }
}

/// The part of the schema that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaTarget {
    /// The keyspace itself.
    Keyspace,
    /// A table, a materialized view, or the table of an index.
    Table(String),
    /// A user-defined type.
    Type(String),
    /// A user-defined function.
    Function {
        /// Its name.
        name: String,
        /// CQL types of its arguments.
        arguments: Vec<String>,
    },
    /// A user-defined aggregate.
    Aggregate {
        /// Its name.
        name: String,
        /// CQL types of its arguments.
        arguments: Vec<String>,
    },
}

/// A change of the schema (native_protocol_v5 sections 4.2.5.5 and 4.2.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaChange {
    /// What happened.
    pub change: SchemaChangeType,
    /// The keyspace that changed, or that the target is in.
    pub keyspace: String,
    /// What it happened to.
    pub target: SchemaTarget,
}

impl SchemaChange {
    /// Decodes the change, from its type on.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let name = reader.string()?;
        let change = SchemaChangeType::ALL
            .into_iter()
            .find(|known| known.name() == name)
            .ok_or_else(|| DecodeError::unknown_text("schema change", name))?;
        let target = reader.string()?;
        let keyspace = reader.string()?.to_owned();
        let target = decode_target(target, reader)?;
        Ok(Self { change, keyspace, target })
    }

    /// Appends the change, from its type on.
    pub fn encode(&self, out: &mut BytesMut) {
        put_string(out, self.change.name());
        let (kind, name, arguments) = match &self.target {
            SchemaTarget::Keyspace => ("KEYSPACE", None, None),
            SchemaTarget::Table(name) => ("TABLE", Some(name), None),
            SchemaTarget::Type(name) => ("TYPE", Some(name), None),
            SchemaTarget::Function { name, arguments } => ("FUNCTION", Some(name), Some(arguments)),
            SchemaTarget::Aggregate { name, arguments } => ("AGGREGATE", Some(name), Some(arguments)),
        };
        put_string(out, kind);
        put_string(out, &self.keyspace);
        if let Some(name) = name {
            put_string(out, name);
        }
        if let Some(arguments) = arguments {
            put_string_list(out, arguments);
        }
    }
}

fn decode_target(kind: &str, reader: &mut Reader<'_>) -> Result<SchemaTarget, DecodeError> {
    if kind == "KEYSPACE" {
        return Ok(SchemaTarget::Keyspace);
    }
    let name = reader.string()?.to_owned();
    let mut arguments = || Ok(reader.string_list()?.into_iter().map(str::to_owned).collect());
    match kind {
        "TABLE" => Ok(SchemaTarget::Table(name)),
        "TYPE" => Ok(SchemaTarget::Type(name)),
        "FUNCTION" => Ok(SchemaTarget::Function { name, arguments: arguments()? }),
        "AGGREGATE" => Ok(SchemaTarget::Aggregate { name, arguments: arguments()? }),
        _ => Err(DecodeError::unknown_text("target of a schema change", kind)),
    }
}
