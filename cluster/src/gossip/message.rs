//! The messages of gossip.
//!
//! ```text
//! message := version u16, sender 16 bytes, content
//! content := 1, cluster 16 bytes, digests (SYN) | 2, digests, states (ACK) | 3, states (ACK2)
//! digests := count, (host 16 bytes, generation zigzag, version)*
//! states  := count, (host 16 bytes, generation zigzag, after, heartbeat, count, value*)*
//! value   := key u8, version, length, text
//! ```
//! `version u16` is little-endian; counts, lengths and the other versions are varints.

use super::digest::Digest;
use super::state::Delta;
use crate::error::ClusterError;
use dodona_types::codec::{DecodeError, Reader, put_varint};
use uuid::Uuid;

/// The version that is spoken.
pub const VERSION: u16 = 1;
/// The longest message that is accepted, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// A message of gossip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The host id of the node that sends it.
    pub sender: Uuid,
    /// What it says.
    pub content: Content,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// What the sender knows, of itself and of others.
    Syn {
        /// The sender's cluster.
        cluster: Uuid,
        /// What it knows.
        digests: Vec<Digest>,
    },
    /// The answer to a SYN.
    Ack {
        /// Of what the sender wants everything newer.
        wanted: Vec<Digest>,
        /// What the other lacks, by host.
        states: Vec<(Uuid, Delta)>,
    },
    /// The answer to an ACK; alone, it tells what the other did not ask for.
    Ack2 {
        /// What was wanted, by host.
        states: Vec<(Uuid, Delta)>,
    },
}

fn put_digests(out: &mut Vec<u8>, digests: &[Digest]) {
    put_varint(out, digests.len() as u64);
    for digest in digests {
        digest.encode(out);
    }
}

fn take_digests(reader: &mut Reader<'_>) -> Result<Vec<Digest>, DecodeError> {
    (0..reader.varint()?).map(|_| Digest::decode(reader)).collect()
}

fn put_states(out: &mut Vec<u8>, states: &[(Uuid, Delta)]) {
    put_varint(out, states.len() as u64);
    for (host, delta) in states {
        out.extend_from_slice(host.as_bytes());
        delta.encode(out);
    }
}

fn take_states(reader: &mut Reader<'_>) -> Result<Vec<(Uuid, Delta)>, DecodeError> {
    (0..reader.varint()?).map(|_| Ok((reader.uuid()?, Delta::decode(reader)?))).collect()
}

impl Message {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = VERSION.to_le_bytes().to_vec();
        out.extend_from_slice(self.sender.as_bytes());
        match &self.content {
            Content::Syn { cluster, digests } => {
                out.push(1);
                out.extend_from_slice(cluster.as_bytes());
                put_digests(&mut out, digests);
            }
            Content::Ack { wanted, states } => {
                out.push(2);
                put_digests(&mut out, wanted);
                put_states(&mut out, states);
            }
            Content::Ack2 { states } => {
                out.push(3);
                put_states(&mut out, states);
            }
        }
        out
    }

    /// The message of these bytes.
    ///
    /// # Errors
    /// They are none, or of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, ClusterError> {
        if bytes.len() > MAX_MESSAGE_BYTES {
            return Err(ClusterError::Peer(format!("gossip of {} bytes", bytes.len())));
        }
        let mut reader = Reader::new(bytes);
        let decoded = decode(&mut reader).map_err(|error| ClusterError::Peer(error.to_string()))?;
        if !reader.is_empty() {
            return Err(ClusterError::Peer("bytes behind a message of gossip".into()));
        }
        Ok(decoded)
    }
}

fn decode(reader: &mut Reader<'_>) -> Result<Message, DecodeError> {
    if reader.u16()? != VERSION {
        return Err(reader.error("an unknown version of gossip"));
    }
    let sender = reader.uuid()?;
    let content = match reader.u8()? {
        1 => Content::Syn { cluster: reader.uuid()?, digests: take_digests(reader)? },
        2 => Content::Ack { wanted: take_digests(reader)?, states: take_states(reader)? },
        3 => Content::Ack2 { states: take_states(reader)? },
        _ => return Err(reader.error("an unknown message of gossip")),
    };
    Ok(Message { sender, content })
}

#[cfg(test)]
mod tests {
    use super::super::state::{EndpointState, Generation, Key, Version, Versioned};
    use super::*;
    use proptest::prelude::*;

    fn digests() -> impl Strategy<Value = Vec<Digest>> {
        let digest = (any::<u128>(), any::<i64>(), any::<u32>()).prop_map(|(host, generation, version)| {
            let (generation, version) = (Generation(generation), Version(version));
            Digest { host: Uuid::from_u128(host), generation, version }
        });
        prop::collection::vec(digest, 0..5)
    }

    fn states() -> impl Strategy<Value = Vec<(Uuid, Delta)>> {
        let value = (any::<u32>(), any::<String>())
            .prop_map(|(version, value)| Versioned { version: Version(version), value });
        let values = prop::collection::btree_map(any::<u8>().prop_map(Key), value, 0..4);
        let state = (any::<u128>(), any::<i64>(), any::<u32>(), any::<u32>(), values).prop_map(
            |(host, generation, after, heartbeat, values)| {
                let (generation, heartbeat) = (Generation(generation), Version(heartbeat));
                let state = EndpointState { generation, heartbeat, values };
                (Uuid::from_u128(host), Delta { after: Version(after), state })
            },
        );
        prop::collection::vec(state, 0..4)
    }

    #[test]
    fn messages_have_these_bytes() {
        let hex = |content: Content| {
            let bytes = Message { sender: Uuid::from_u128(0x5E), content }.encode();
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let (host, generation) = (Uuid::from_u128(0x0102), Generation(1_700_000_000));
        let wanted = vec![Digest { host, generation, version: Version(300) }];
        let syn = Content::Syn { cluster: Uuid::from_u128(0xC1), digests: wanted.clone() };
        let sender = "0000000000000000000000000000005e";
        let id = "00000000000000000000000000000102";
        assert_eq!(hex(syn), format!("0100{sender}01000000000000000000000000000000c101{id}80c49fd50cac02"));
        let values =
            [(Key::RACK, Versioned { version: Version(2), value: "r1".into() })].into_iter().collect();
        let state = EndpointState { generation, heartbeat: Version(9), values };
        let states = vec![(host, Delta { after: Version(1), state })];
        let told = format!("01{id}80c49fd50c0109010402027231");
        assert_eq!(hex(Content::Ack2 { states: states.clone() }), format!("0100{sender}03{told}"));
        assert_eq!(hex(Content::Ack { wanted, states }), format!("0100{sender}0201{id}80c49fd50cac02{told}"));
    }

    proptest! {
        #[test]
        fn messages_round_trip_and_short_ones_are_refused(
            sender: u128, cluster: u128, digests in digests(), states in states(), cut: usize, tail: u8,
        ) {
            for content in [
                Content::Syn { cluster: Uuid::from_u128(cluster), digests: digests.clone() },
                Content::Ack { wanted: digests.clone(), states: states.clone() },
                Content::Ack2 { states: states.clone() },
            ] {
                let message = Message { sender: Uuid::from_u128(sender), content };
                let mut bytes = message.encode();
                prop_assert_eq!(&Message::decode(&bytes).unwrap(), &message);
                prop_assert!(Message::decode(&bytes[..cut % bytes.len()]).is_err());
                bytes.push(tail);
                prop_assert!(Message::decode(&bytes).is_err());
            }
            for (_, delta) in &states {
                let mut bytes = Vec::new();
                delta.encode(&mut bytes);
                prop_assert!(bytes.len() <= delta.bytes());
            }
        }

        #[test]
        fn hostile_bytes_are_refused_without_a_panic(mut bytes: Vec<u8>, kind in 1u8..4) {
            let _ = Message::decode(&bytes);
            bytes.splice(0..0, [&[1, 0][..], &[0; 16], &[kind]].concat());
            let _ = Message::decode(&bytes);
        }
    }
}
