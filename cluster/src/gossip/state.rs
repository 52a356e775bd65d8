//! What is known of a node.

use dodona_types::codec::{DecodeError, Reader, put_length_prefixed, put_varint, put_zigzag};
use std::collections::BTreeMap;
use std::fmt;

/// The longest value of a state, in bytes.
pub const MAX_VALUE_BYTES: usize = 32 << 10;

/// Which life of a node it is: seconds since the epoch when it began, or more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub i64);

/// A place in the sequence of what a node has told in one life; the first is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32);

/// The name of a value. A number that this node has no name for is passed on all the same, for
/// nodes of later versions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub u8);

impl Key {
    /// How far the node is with joining or leaving, and one of its tokens.
    pub const STATUS: Self = Self(0);
    /// Bytes of data on its disk.
    pub const LOAD: Self = Self(1);
    /// The version of its schema.
    pub const SCHEMA: Self = Self(2);
    /// Its data centre.
    pub const DC: Self = Self(3);
    /// Its rack.
    pub const RACK: Self = Self(4);
    /// Its release.
    pub const RELEASE_VERSION: Self = Self(5);
    /// Where other nodes reach it.
    pub const INTERNAL_ADDRESS: Self = Self(6);
    /// Where clients reach it.
    pub const NATIVE_ADDRESS: Self = Self(7);
    /// The version of the protocol between nodes.
    pub const NET_VERSION: Self = Self(8);
    /// Its host id.
    pub const HOST_ID: Self = Self(9);
    /// Whether it serves clients.
    pub const RPC_READY: Self = Self(10);
    /// Its tokens.
    pub const TOKENS: Self = Self(11);
    /// How far its data directory is ([`super::mark::Mark`]).
    pub const DISK: Self = Self(12);
    /// How full its disk is ([`super::disk_usages::DiskUsage`]).
    pub const DISK_USAGE: Self = Self(13);

    /// The names of the numbers, as `nodetool gossipinfo` shows them (Cassandra `ApplicationState`, but for `DISK`).
    const NAMES: [&str; 14] = [
        "STATUS_WITH_PORT",
        "LOAD",
        "SCHEMA",
        "DC",
        "RACK",
        "RELEASE_VERSION",
        "INTERNAL_ADDRESS_AND_PORT",
        "NATIVE_ADDRESS_AND_PORT",
        "NET_VERSION",
        "HOST_ID",
        "RPC_READY",
        "TOKENS",
        "DISK",
        "DISK_USAGE",
    ];
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.get(usize::from(self.0)) {
            Some(name) => f.write_str(name),
            None => write!(f, "X{}", self.0),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A value, and when it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// When.
    pub version: Version,
    /// The value.
    pub value: String,
}

/// What is known of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointState {
    /// Which life of the node it is.
    pub generation: Generation,
    /// The version of its last heartbeat.
    pub heartbeat: Version,
    /// What it told besides.
    pub values: BTreeMap<Key, Versioned>,
}

impl EndpointState {
    /// The state of a node that has told nothing yet.
    #[must_use]
    pub fn new(generation: Generation) -> Self {
        Self { generation, ..Self::default() }
    }

    /// The version of the newest that is known.
    #[must_use]
    pub fn newest(&self) -> Version {
        self.values.values().map(|value| value.version).max().unwrap_or_default().max(self.heartbeat)
    }

    /// A value.
    #[must_use]
    pub fn value(&self, key: Key) -> Option<&str> {
        self.values.get(&key).map(|versioned| &*versioned.value)
    }

    /// True if the node said that it stops.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.value(Key::STATUS).is_some_and(|status| status.starts_with("shutdown"))
    }

    /// What is newer than `after`.
    #[must_use]
    pub fn newer_than(&self, after: Version) -> Delta {
        let newer = self.values.iter().filter(|(_, value)| value.version > after);
        let values = newer.map(|(key, value)| (*key, value.clone())).collect();
        Delta { after, state: Self { generation: self.generation, heartbeat: self.heartbeat, values } }
    }
}

/// All that is newer than a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The version; one who does not know everything up to it cannot use the delta.
    pub after: Version,
    /// What is newer, and the heartbeat.
    pub state: EndpointState,
}

impl Delta {
    /// Not less than the bytes that [`Self::encode`] appends.
    #[must_use]
    pub fn bytes(&self) -> usize {
        32 + self.state.values.values().map(|value| 16 + value.value.len()).sum::<usize>()
    }

    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_zigzag(out, self.state.generation.0);
        put_version(out, self.after);
        put_version(out, self.state.heartbeat);
        put_varint(out, self.state.values.len() as u64);
        for (key, Versioned { version, value }) in &self.state.values {
            out.push(key.0);
            put_version(out, *version);
            put_length_prefixed(out, value.as_bytes());
        }
    }

    /// Reads a delta.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let generation = Generation(reader.zigzag()?);
        let (after, heartbeat) = (take_version(reader)?, take_version(reader)?);
        let mut values = BTreeMap::new();
        for _ in 0..reader.varint()? {
            let (key, version) = (Key(reader.u8()?), take_version(reader)?);
            let value = reader.length_prefixed()?;
            if value.len() > MAX_VALUE_BYTES {
                return Err(reader.error("a value that is too long"));
            }
            let value = str::from_utf8(value).map_err(|_| reader.error("a value that is no text"))?;
            values.insert(key, Versioned { version, value: value.to_owned() });
        }
        Ok(Self { after, state: EndpointState { generation, heartbeat, values } })
    }
}

/// Appends a version.
pub(super) fn put_version(out: &mut Vec<u8>, version: Version) {
    put_varint(out, version.0.into());
}

/// Reads a version.
pub(super) fn take_version(reader: &mut Reader<'_>) -> Result<Version, DecodeError> {
    let version = reader.varint()?;
    u32::try_from(version).map(Version).map_err(|_| reader.error("a version above 32 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_has_what_is_newer_and_always_the_heartbeat() {
        let mut state = EndpointState::new(Generation(7));
        state.heartbeat = Version(3);
        for (key, version) in [(Key::LOAD, 2), (Key::SCHEMA, 5)] {
            state.values.insert(key, Versioned { version: Version(version), value: "v".into() });
        }
        assert_eq!(state.newest(), Version(5));
        let delta = state.newer_than(Version(4)).state;
        assert_eq!((delta.heartbeat, delta.newest()), (Version(3), Version(5)));
        assert_eq!(delta.values.keys().collect::<Vec<_>>(), [&Key::SCHEMA]);
        assert_eq!(state.newer_than(Version(0)).state, state);
    }

    #[test]
    fn numbers_without_a_name_have_one_all_the_same() {
        assert_eq!((Key::TOKENS.to_string(), Key(40).to_string()), ("TOKENS".into(), "X40".into()));
    }
}
