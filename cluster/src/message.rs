//! Messages between nodes.
//!
//! ```text
//! frame   := length u32, crc32c u32 of the rest, version u16, verb u8, id u64, patience µs u64, members u64, notes?, body
//! notes   := length u32, bytes: there if the highest bit of the verb is set
//! ```
//! Integers are little-endian; `length` counts everything behind the checksum. An answer carries
//! the id of its request. Patience is how long the sender waits for an answer: what would come later need
//! not be done. `members` is the version of the members by which the receiver was chosen, 0 where that
//! does not matter: who knows of a later one refuses. A request of a client that is traced asks for notes with empty
//! ones, which come with the answer ([`crate::trace`]).
//!
//! The first frame each way is an introduction, or the refusal of one. It has this form and the version [`FIRST`] for good, and says which
//! versions its sender speaks; what follows is of the newest that both speak ([`crate::transport::Introduction`]), and a frame of any
//! other ends its connection. Numbers of verbs are never used again.
//!
//! # Another version
//! The version of a frame is that of its head, of its verb and of all that its body holds. Whatever an older node would misread needs the
//! next one: another form of a body, a field that may not be passed over, another verb. Then
//!
//! * [`NEWEST`] grows by one, and [`OLDEST`] stays: a release speaks what the release before it speaks, so that a cluster goes from one to the
//!   next node by node. [`OLDEST`] grows once no release that is upgraded from speaks it alone.
//! * In memory a body is always of [`NEWEST`]. [`Message::encode`] and [`Message::decode`] are given the version of the connection, and alone
//!   turn bodies into their older form and back: no coordinator and no replica asks for it. So a conversion stands beside the
//!   encoding it is of, and is called from the verb's line in `parts` or `decode` where the version is below the one that changed it.
//! * A verb, or anything else that has no older form, is used for a member once that member tells by gossip that it speaks the version
//!   (`NET_VERSION`), and what was done before is done until then.
//! * Golden bytes of the older form stay, those of the newer one come beside them.

use crate::error::ClusterError;
use dodona_types::codec::{DecodeError, Reader};

/// The oldest version that is spoken.
pub const OLDEST: u16 = 2;
/// The newest version that is spoken.
pub const NEWEST: u16 = 2;
/// The version of introductions, for good.
pub const FIRST: u16 = 2;
/// The longest frame that is accepted, in bytes.
pub const MAX_FRAME_BYTES: usize = 64 << 20;
/// Bytes before what `length` counts.
pub const PREFIX_BYTES: usize = 8;

/// Nothing of a table is repaired.
pub const NOT_REPAIRED: i64 = i64::MAX;

const HEAD_BYTES: usize = 27;
/// The bit of the verb that says that there are notes.
const TRACED: u8 = 0x80;

/// Puts bytes behind their length (u32).
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Takes what [`put_bytes`] put.
pub(crate) fn take_bytes(reader: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    let length = reader.u32()? as usize;
    reader.bytes(length).map(<[u8]>::to_vec)
}

/// What a message asks or answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Apply a mutation.
    Mutate(Vec<u8>),
    /// The mutation is applied and safe.
    Mutated,
    /// Execute a read command and send what it finds as mutations.
    Read(Vec<u8>),
    /// What a read found.
    Found(Vec<u8>),
    /// The request failed, and why.
    Failed(String),
    /// A request of Paxos ([`crate::paxos::message::Request`]).
    Paxos(Vec<u8>),
    /// Its answer ([`crate::paxos::state::Answer`]).
    PaxosAnswer(Vec<u8>),
    /// Lead a change of counters: the level (u8), and a [`crate::counter::CounterUpdate`].
    Count(Vec<u8>),
    /// Remove all rows of a table (its id, 16 bytes). The answer is [`Body::Mutated`].
    Truncate(Vec<u8>),
    /// Deliver no hints of a table any more that are there, nor what is kept of batches: it is to be truncated. Its id; the answer is
    /// [`Body::Mutated`].
    VoidHints(Vec<u8>),
    /// Keep hints for a member (its host id, 16 bytes): records as in a file of hints ([`crate::hints::format`]). The answer is
    /// [`Body::Mutated`] once they are on disk.
    KeepHints(Vec<u8>),
    /// Keep a logged batch: its id (16 bytes), and a [`crate::batch_log::Batch`]. The answer is
    /// [`Body::Mutated`] once it is on disk.
    KeepBatch(Vec<u8>),
    /// Forget the batch of this id (16 bytes).
    ForgetBatch(Vec<u8>),
    /// The receiver was chosen by members of an earlier version than this one (u64).
    Stale(Vec<u8>),
    /// Who speaks on a connection ([`crate::transport::Introduction`]).
    Hello(Vec<u8>),
    /// A message of gossip (`gossip`).
    Gossip(Vec<u8>),
    /// Its answer; empty if there is none.
    Gossiped(Vec<u8>),
    /// A request about the metadata log ([`crate::metadata`]).
    Metadata(Vec<u8>),
    /// Its answer.
    MetadataAnswer(Vec<u8>),
    /// Execute a read command and send a digest of what it finds.
    Digest(Vec<u8>),
    /// The digest.
    Digested(Vec<u8>),
    /// Send a part of a range of a table (`streaming`).
    Stream(Vec<u8>),
    /// The same of what was set aside for a repair: its id (16 bytes), and the request.
    StreamAside(Vec<u8>),
    /// The same of what is repaired (1, u8) or is not (0), and the request. Before the answer stands since which second
    /// what is repaired of the table is so (i64), or [`NOT_REPAIRED`].
    StreamApart(Vec<u8>),
    /// A request about a session of streaming (`stream_sessions`).
    Session(Vec<u8>),
    /// The part, or the session's answer.
    Streamed(Vec<u8>),
    /// A request of the leader of a repair ([`crate::repair::message`]).
    Repair(Vec<u8>),
    /// Its answer.
    RepairAnswer(Vec<u8>),
    /// A read met more tombstones than it may: how many it may meet (u64).
    TooManyTombstones(Vec<u8>),
    /// Apply a mutation, and have other members of the same data centre apply it ([`crate::transport::forward`]).
    Forward(Vec<u8>),
    /// Have a member (its host id, 16 bytes) apply a mutation, and answer as that one does.
    Relay(Vec<u8>),
    /// That member is not reached, or so many that a change of counters is to reach, and why.
    Unreached(String),
}

impl Body {
    /// Its verb's number, and its bytes.
    fn parts(&self) -> (u8, &[u8]) {
        match self {
            Self::Mutate(bytes) => (1, bytes),
            Self::Mutated => (2, &[]),
            Self::Read(bytes) => (3, bytes),
            Self::Found(bytes) => (4, bytes),
            Self::Failed(reason) => (5, reason.as_bytes()),
            Self::Paxos(bytes) => (6, bytes),
            Self::PaxosAnswer(bytes) => (7, bytes),
            Self::Count(bytes) => (8, bytes),
            Self::Hello(bytes) => (17, bytes),
            Self::Stale(bytes) => (18, bytes),
            Self::Truncate(bytes) => (19, bytes),
            Self::VoidHints(bytes) => (27, bytes),
            Self::KeepBatch(bytes) => (20, bytes),
            Self::ForgetBatch(bytes) => (21, bytes),
            Self::Gossip(bytes) => (9, bytes),
            Self::Gossiped(bytes) => (10, bytes),
            Self::Metadata(bytes) => (11, bytes),
            Self::MetadataAnswer(bytes) => (12, bytes),
            Self::Digest(bytes) => (13, bytes),
            Self::Digested(bytes) => (14, bytes),
            Self::Stream(bytes) => (15, bytes),
            Self::Streamed(bytes) => (16, bytes),
            Self::Repair(bytes) => (22, bytes),
            Self::RepairAnswer(bytes) => (23, bytes),
            Self::TooManyTombstones(bytes) => (24, bytes),
            Self::StreamAside(bytes) => (25, bytes),
            Self::StreamApart(bytes) => (26, bytes),
            Self::Session(bytes) => (28, bytes),
            Self::KeepHints(bytes) => (29, bytes),
            Self::Forward(bytes) => (30, bytes),
            Self::Relay(bytes) => (31, bytes),
            Self::Unreached(reason) => (32, reason.as_bytes()),
        }
    }

    /// How long it is, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.parts().1.len()
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Pairs an answer with its request.
    pub id: u64,
    /// How long the answer matters, in microseconds since the request was sent.
    pub patience_micros: u64,
    /// The version of the members by which the receiver was chosen; 0 where that does not matter.
    pub members: u64,
    /// What was done for a traced request; of a request, that it is traced.
    pub notes: Option<Vec<u8>>,
    /// What it asks or answers.
    pub body: Body,
}

impl Message {
    /// Appends the message's frame, of this version.
    pub fn encode(&self, version: u16, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; PREFIX_BYTES]);
        out.extend_from_slice(&version.to_le_bytes());
        let (verb, body) = self.body.parts();
        out.push(if self.notes.is_some() { verb | TRACED } else { verb });
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.patience_micros.to_le_bytes());
        out.extend_from_slice(&self.members.to_le_bytes());
        if let Some(notes) = &self.notes {
            put_bytes(out, notes);
        }
        out.extend_from_slice(body);
        let length = (out.len() - start - PREFIX_BYTES) as u32;
        let crc = crc32c::crc32c(&out[start + PREFIX_BYTES..]);
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    }

    /// Length and checksum of a frame.
    ///
    /// # Errors
    /// The length is out of bounds.
    pub fn prefix(bytes: [u8; PREFIX_BYTES]) -> Result<(usize, u32), ClusterError> {
        let mut reader = Reader::new(&bytes);
        let malformed = |_| ClusterError::Peer("frame prefix".into());
        let length = reader.u32().map_err(malformed)? as usize;
        let crc = reader.u32().map_err(malformed)?;
        if !(HEAD_BYTES..=MAX_FRAME_BYTES).contains(&length) {
            return Err(ClusterError::Peer(format!("a frame of {length} bytes")));
        }
        Ok((length, crc))
    }

    /// The message in a frame's bytes behind the prefix, on a connection of this version.
    ///
    /// # Errors
    /// The checksum does not match, the frame is of another version, or the verb is unknown.
    pub fn decode(version: u16, bytes: &[u8], crc: u32) -> Result<Self, ClusterError> {
        if crc32c::crc32c(bytes) != crc {
            return Err(ClusterError::Peer("a frame's checksum does not match".into()));
        }
        let mut reader = Reader::new(bytes);
        let malformed = |error: dodona_types::codec::DecodeError| ClusterError::Peer(error.to_string());
        let found = reader.u16().map_err(malformed)?;
        if found != version {
            return Err(ClusterError::Peer(format!(
                "a frame of version {found} of the protocol between nodes, and {version} was agreed on"
            )));
        }
        let verb = reader.u8().map_err(malformed)?;
        let id = reader.u64().map_err(malformed)?;
        let patience_micros = reader.u64().map_err(malformed)?;
        let members = reader.u64().map_err(malformed)?;
        let is_traced = verb & TRACED != 0;
        let notes = is_traced.then(|| take_bytes(&mut reader)).transpose().map_err(malformed)?;
        let rest = reader.remaining();
        let body = match verb & !TRACED {
            1 => Body::Mutate(rest.to_vec()),
            2 => Body::Mutated,
            3 => Body::Read(rest.to_vec()),
            4 => Body::Found(rest.to_vec()),
            5 => Body::Failed(String::from_utf8_lossy(rest).into_owned()),
            6 => Body::Paxos(rest.to_vec()),
            7 => Body::PaxosAnswer(rest.to_vec()),
            8 => Body::Count(rest.to_vec()),
            9 => Body::Gossip(rest.to_vec()),
            10 => Body::Gossiped(rest.to_vec()),
            11 => Body::Metadata(rest.to_vec()),
            12 => Body::MetadataAnswer(rest.to_vec()),
            13 => Body::Digest(rest.to_vec()),
            14 => Body::Digested(rest.to_vec()),
            15 => Body::Stream(rest.to_vec()),
            16 => Body::Streamed(rest.to_vec()),
            17 => Body::Hello(rest.to_vec()),
            18 => Body::Stale(rest.to_vec()),
            19 => Body::Truncate(rest.to_vec()),
            20 => Body::KeepBatch(rest.to_vec()),
            21 => Body::ForgetBatch(rest.to_vec()),
            22 => Body::Repair(rest.to_vec()),
            23 => Body::RepairAnswer(rest.to_vec()),
            24 => Body::TooManyTombstones(rest.to_vec()),
            25 => Body::StreamAside(rest.to_vec()),
            26 => Body::StreamApart(rest.to_vec()),
            27 => Body::VoidHints(rest.to_vec()),
            28 => Body::Session(rest.to_vec()),
            29 => Body::KeepHints(rest.to_vec()),
            30 => Body::Forward(rest.to_vec()),
            31 => Body::Relay(rest.to_vec()),
            32 => Body::Unreached(String::from_utf8_lossy(rest).into_owned()),
            other => return Err(ClusterError::Peer(format!("unknown verb {other}"))),
        };
        Ok(Self { id, patience_micros, members, notes, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_has_these_bytes() {
        let mut out = Vec::new();
        let mut message =
            Message { id: 3, patience_micros: 5, members: 7, notes: None, body: Body::Read(vec![0xab]) };
        message.encode(NEWEST, &mut out);
        let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(&hex[..8], "1c000000");
        assert_eq!(&hex[16..], "020003030000000000000005000000000000000700000000000000ab");
        out.clear();
        message.notes = Some(vec![0xcd]);
        message.encode(NEWEST, &mut out);
        let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(&hex[16..], "02008303000000000000000500000000000000070000000000000001000000cdab");
    }

    #[test]
    fn a_frame_of_another_version_than_the_connection_is_refused() {
        let message = Message { id: 1, patience_micros: 0, members: 0, notes: None, body: Body::Mutated };
        let mut out = Vec::new();
        message.encode(NEWEST + 1, &mut out);
        let (_, crc) = Message::prefix(out[..PREFIX_BYTES].try_into().unwrap()).unwrap();
        assert_eq!(Message::decode(NEWEST + 1, &out[PREFIX_BYTES..], crc).unwrap(), message);
        let refused = Message::decode(NEWEST, &out[PREFIX_BYTES..], crc).unwrap_err().to_string();
        assert_eq!(refused, "a frame of version 3 of the protocol between nodes, and 2 was agreed on");
    }

    /// What a node of any other version relies on: see also the introduction.
    #[test]
    fn verbs_have_these_numbers() {
        type OfBytes = fn(Vec<u8>) -> Body;
        let verbs: [(u8, OfBytes); 29] = [
            (1, Body::Mutate),
            (3, Body::Read),
            (4, Body::Found),
            (6, Body::Paxos),
            (7, Body::PaxosAnswer),
            (8, Body::Count),
            (9, Body::Gossip),
            (10, Body::Gossiped),
            (11, Body::Metadata),
            (12, Body::MetadataAnswer),
            (13, Body::Digest),
            (14, Body::Digested),
            (15, Body::Stream),
            (16, Body::Streamed),
            (17, Body::Hello),
            (18, Body::Stale),
            (19, Body::Truncate),
            (20, Body::KeepBatch),
            (21, Body::ForgetBatch),
            (22, Body::Repair),
            (23, Body::RepairAnswer),
            (24, Body::TooManyTombstones),
            (25, Body::StreamAside),
            (26, Body::StreamApart),
            (27, Body::VoidHints),
            (28, Body::Session),
            (29, Body::KeepHints),
            (30, Body::Forward),
            (31, Body::Relay),
        ];
        let of_bytes = verbs.into_iter().map(|(verb, body)| (verb, body(vec![1, 2])));
        let others =
            [(2, Body::Mutated), (5, Body::Failed("no".into())), (32, Body::Unreached("it is down".into()))];
        for (verb, body) in of_bytes.chain(others) {
            let message = Message { id: 1, patience_micros: 0, members: 0, notes: None, body };
            let mut out = Vec::new();
            message.encode(NEWEST, &mut out);
            assert_eq!(out[PREFIX_BYTES + 2], verb, "{:?}", message.body);
            let (_, crc) = Message::prefix(out[..PREFIX_BYTES].try_into().unwrap()).unwrap();
            assert_eq!(Message::decode(NEWEST, &out[PREFIX_BYTES..], crc).unwrap(), message);
        }
    }

    proptest! {
        #[test]
        fn frames_round_trip_and_flipped_bits_are_noticed(
            id: u64,
            patience_micros: u64,
            notes: Option<Vec<u8>>,
            body: Vec<u8>,
            bit: usize,
        ) {
            let message = Message { id, patience_micros, members: 3, notes, body: Body::Mutate(body) };
            let mut out = Vec::new();
            message.encode(NEWEST, &mut out);
            let (length, crc) = Message::prefix(out[..8].try_into().unwrap()).unwrap();
            prop_assert_eq!(length, out.len() - PREFIX_BYTES);
            prop_assert_eq!(Message::decode(NEWEST, &out[8..], crc).unwrap(), message);
            let bit = bit % ((out.len() - 8) * 8);
            out[8 + bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Message::decode(NEWEST, &out[8..], crc).is_err());
        }
    }
}
