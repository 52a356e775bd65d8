//! EVENT: something happened that the client registered for.

use std::net::SocketAddr;

use bytes::BytesMut;

use super::SchemaChange;
use crate::error::DecodeError;
use crate::primitives::{Reader, put_inet, put_string};
use crate::request::EventType;

/// What happened to the set of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TopologyChange {
    /// A node joined.
    NewNode,
    /// A node left.
    RemovedNode,
    /// A node took other tokens (no longer sent by Cassandra, but drivers know it).
    MovedNode,
}

impl TopologyChange {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::NewNode, Self::RemovedNode, Self::MovedNode];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewNode => "NEW_NODE",
            Self::RemovedNode => "REMOVED_NODE",
            Self::MovedNode => "MOVED_NODE",
        }
    }
}

/// What happened to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusChange {
    /// It answers.
    Up,
    /// It does not.
    Down,
}

impl StatusChange {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Up, Self::Down];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "UP",
            Self::Down => "DOWN",
        }
    }
}

/// EVENT (native_protocol_v5 section 4.2.6). Its stream id is -1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `TOPOLOGY_CHANGE`, with the node's address for clients.
    Topology(TopologyChange, SocketAddr),
    /// `STATUS_CHANGE`, with the node's address for clients.
    Status(StatusChange, SocketAddr),
    /// `SCHEMA_CHANGE`
    Schema(SchemaChange),
}

impl Event {
    /// The stream id of events.
    pub const STREAM: i16 = -1;

    /// The kind to register for.
    #[must_use]
    pub const fn event_type(&self) -> EventType {
        match self {
            Self::Topology(..) => EventType::TopologyChange,
            Self::Status(..) => EventType::StatusChange,
            Self::Schema(_) => EventType::SchemaChange,
        }
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match EventType::from_name(reader.string()?)? {
            EventType::TopologyChange => {
                let change = named(&TopologyChange::ALL, TopologyChange::name, reader.string()?)?;
                Ok(Self::Topology(change, reader.inet()?))
            }
            EventType::StatusChange => {
                let change = named(&StatusChange::ALL, StatusChange::name, reader.string()?)?;
                Ok(Self::Status(change, reader.inet()?))
            }
            EventType::SchemaChange => Ok(Self::Schema(SchemaChange::decode(reader)?)),
        }
    }

    /// Appends the body to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        put_string(out, self.event_type().name());
        match self {
            Self::Topology(change, address) => {
                put_string(out, change.name());
                put_inet(out, *address);
            }
            Self::Status(change, address) => {
                put_string(out, change.name());
                put_inet(out, *address);
            }
            Self::Schema(change) => change.encode(out),
        }
    }
}

fn named<T: Copy>(all: &[T], name_of: fn(T) -> &'static str, name: &str) -> Result<T, DecodeError> {
    all.iter()
        .copied()
        .find(|known| name_of(*known) == name)
        .ok_or_else(|| DecodeError::unknown_text("kind of change", name))
}
