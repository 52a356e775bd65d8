//! What other nodes send, decoded as far as whoever gets it decodes it, and thrown away: so that hostile bytes can be tried on all of it
//! (`cluster/tests/foreign.rs`, `fuzz/fuzz_targets/peer.rs`). What decodes comes back from its own encoding.

use crate::batch_log::rules::Batch;
use crate::counter::CounterUpdate;
use crate::error::ClusterError;
use crate::gossip;
use crate::hints::format::hints_of;
use crate::message::{Body, Message, NEWEST, PREFIX_BYTES};
use crate::metadata::message as metadata;
use crate::paxos::message::Request as PaxosRequest;
use crate::paxos::state::Answer as PaxosAnswer;
use crate::repair::message as repair;
use crate::replica::{decode_read, encode_read};
use crate::stream_sessions;
use crate::trace;
use crate::transport::{Introduction, forward};
use dodona_storage::reconcile::Answer;
use dodona_types::codec::Reader;
use dodona_types::{Consistency, MutationView};
use uuid::Uuid;

/// Takes bytes for those of a connection: frames, one behind the other.
///
/// # Errors
/// Why no more is read.
pub fn connection(mut bytes: &[u8]) -> Result<(), ClusterError> {
    while let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX_BYTES>() {
        let (length, crc) = Message::prefix(*prefix)?;
        let (frame, rest) = rest.split_at_checked(length).ok_or_else(|| malformed("a frame is cut off"))?;
        take(&Message::decode(NEWEST, frame, crc)?)?;
        bytes = rest;
    }
    Ok(())
}

/// Takes bytes for those of a frame behind its prefix, whose checksum is right.
///
/// # Errors
/// Why it is refused.
pub fn frame(bytes: &[u8]) -> Result<(), ClusterError> {
    let message = Message::decode(NEWEST, bytes, crc32c::crc32c(bytes))?;
    let mut again = Vec::new();
    message.encode(NEWEST, &mut again);
    if !matches!(message.body, Body::Mutated | Body::Failed(_) | Body::Unreached(_)) {
        assert_eq!(&again[PREFIX_BYTES..], bytes);
    }
    take(&message)
}

fn malformed(reason: impl ToString) -> ClusterError {
    ClusterError::Peer(reason.to_string())
}

fn id(bytes: &[u8]) -> Result<(Uuid, &[u8]), ClusterError> {
    let (id, rest) = bytes.split_first_chunk().ok_or_else(|| malformed("no id"))?;
    Ok((Uuid::from_bytes(*id), rest))
}

fn mutation(bytes: &[u8]) -> Result<(), ClusterError> {
    let view = MutationView::parse(bytes).map_err(malformed)?;
    view.validate().map_err(malformed)
}

fn read(bytes: &[u8]) -> Result<(), ClusterError> {
    let (command, max_bytes) = decode_read(bytes).map_err(malformed)?;
    let encoded = encode_read(&command, max_bytes);
    assert_eq!(decode_read(&encoded).ok(), Some((command, max_bytes)));
    Ok(())
}

fn json<T: serde::Serialize + serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<(), ClusterError> {
    let message: T = serde_json::from_slice(bytes).map_err(malformed)?;
    let encoded = serde_json::to_vec(&message).map_err(malformed)?;
    assert!(serde_json::from_slice::<T>(&encoded).is_ok(), "what was encoded");
    Ok(())
}

/// # Errors
/// What a message holds is malformed.
fn take(message: &Message) -> Result<(), ClusterError> {
    if let Some(notes) = &message.notes {
        let _ = trace::decode(notes);
    }
    match &message.body {
        Body::Mutate(bytes) => mutation(bytes),
        Body::Mutated | Body::Failed(_) | Body::Unreached(_) => Ok(()),
        Body::Forward(bytes) => {
            forward::requests(message.id, bytes)?.into_iter().try_for_each(|(_, body)| match body {
                Body::Relay(bytes) => mutation(id(&bytes)?.1),
                Body::Mutate(bytes) => mutation(&bytes),
                _ => Err(malformed("a Forward of something else")),
            })
        }
        Body::Relay(bytes) => mutation(id(bytes)?.1),
        Body::Read(bytes) | Body::Digest(bytes) | Body::Stream(bytes) => read(bytes),
        Body::StreamAside(bytes) => read(id(bytes)?.1),
        Body::StreamApart(bytes) => match bytes.split_first() {
            Some((0 | 1, bytes)) => read(bytes),
            _ => Err(malformed("a request without what is asked for")),
        },
        Body::Found(bytes) => Answer::parse(bytes).map(drop).map_err(malformed),
        Body::Digested(bytes) => id(bytes).map(drop),
        Body::Streamed(bytes) => {
            // Nothing of it tells to what it is the answer.
            if let Ok(Some(answer)) = stream_sessions::of_answer(bytes.clone()) {
                let _ = json::<stream_sessions::Opened>(&answer);
                let _ = Answer::parse(&answer);
            }
            let rows = bytes.get(size_of::<i64>()..).unwrap_or_default();
            let _ = Answer::parse(rows);
            Answer::parse(bytes).map(drop).map_err(malformed)
        }
        Body::Session(bytes) => {
            let (request, rest) = stream_sessions::Request::decode(bytes).map_err(malformed)?;
            assert_eq!(stream_sessions::Request::decode(&request.encode(rest)), Ok((request.clone(), rest)));
            if matches!(request, stream_sessions::Request::Rest { .. }) { read(rest) } else { Ok(()) }
        }
        Body::Paxos(bytes) => {
            let request = PaxosRequest::decode(bytes)?;
            assert_eq!(PaxosRequest::decode(&request.encode()).ok(), Some(request));
            Ok(())
        }
        Body::PaxosAnswer(bytes) => {
            let answer = PaxosAnswer::decode(bytes)?;
            assert_eq!(PaxosAnswer::decode(&answer.encode()).ok(), Some(answer));
            Ok(())
        }
        Body::Count(bytes) => {
            let (level, bytes) = bytes.split_first().ok_or_else(|| malformed("no level"))?;
            Consistency::from_code(u16::from(*level)).ok_or_else(|| malformed("an unknown level"))?;
            let update = CounterUpdate::decode(bytes).map_err(malformed)?;
            assert_eq!(CounterUpdate::decode(&update.encode()), Ok(update));
            Ok(())
        }
        Body::Truncate(bytes) | Body::VoidHints(bytes) | Body::ForgetBatch(bytes) => {
            Uuid::from_slice(bytes).map(drop).map_err(malformed)
        }
        Body::KeepHints(bytes) => {
            let hints = hints_of(id(bytes)?.1).ok_or_else(|| malformed("malformed hints"))?;
            hints.iter().try_for_each(|hint| mutation(&hint.mutation))
        }
        Body::KeepBatch(bytes) => {
            let batch = Batch::decode(id(bytes)?.1).map_err(malformed)?;
            assert_eq!(Batch::decode(&batch.encode()).as_ref(), Ok(&batch));
            batch.mutations.iter().try_for_each(|bytes| mutation(bytes))
        }
        Body::Stale(bytes) | Body::TooManyTombstones(bytes) => {
            Reader::new(bytes).u64().map(drop).map_err(malformed)
        }
        Body::Hello(_) => Introduction::decode(&message.body).map(drop),
        Body::Gossip(bytes) | Body::Gossiped(bytes) => {
            let gossip = gossip::message::Message::decode(bytes)?;
            assert_eq!(gossip::message::Message::decode(&gossip.encode()).ok(), Some(gossip));
            Ok(())
        }
        Body::Metadata(bytes) => json::<metadata::Request>(bytes),
        Body::MetadataAnswer(bytes) => json::<metadata::Answer>(bytes),
        Body::Repair(bytes) => json::<repair::Request>(bytes),
        Body::RepairAnswer(bytes) => json::<repair::Answer>(bytes),
    }
}
