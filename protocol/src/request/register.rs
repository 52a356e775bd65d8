//! REGISTER: subscribes to events.

use bytes::BytesMut;

use crate::error::DecodeError;
use crate::primitives::{Reader, put_string_list};

/// A kind of event (native_protocol_v5 section 4.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// A node joined, left or moved.
    TopologyChange,
    /// A node went up or down.
    StatusChange,
    /// The schema changed.
    SchemaChange,
}

impl EventType {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::TopologyChange, Self::StatusChange, Self::SchemaChange];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TopologyChange => "TOPOLOGY_CHANGE",
            Self::StatusChange => "STATUS_CHANGE",
            Self::SchemaChange => "SCHEMA_CHANGE",
        }
    }

    /// The kind with this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn from_name(name: &str) -> Result<Self, DecodeError> {
        Self::ALL
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| DecodeError::unknown_text("Type", name))
    }
}

/// REGISTER (native_protocol_v5 section 4.1.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Register {
    /// The events asked for.
    pub event_types: Vec<EventType>,
}

impl Register {
    /// Decodes the body.
    ///
    /// # Errors
    /// If it is malformed or names an unknown kind of event.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let names = reader.string_list()?;
        let event_types = names.into_iter().map(EventType::from_name).collect::<Result<_, _>>()?;
        Ok(Self { event_types })
    }

    /// Appends the body to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let names: Vec<&str> = self.event_types.iter().map(|event| event.name()).collect();
        put_string_list(out, &names);
    }
}
