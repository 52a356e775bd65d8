//! Counter values: sorted lists of shards, one a leader.
//!
//! ```text
//! shards := (leader 16 bytes, incarnation u64 LE, clock i64 LE, count i64 LE)*   sorted by (leader, incarnation)
//! ```

use crate::codec::{DecodeError, Reader};
use uuid::Uuid;

/// The part of a counter's value that one leader contributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    /// Host id of the leader.
    pub leader: Uuid,
    /// Which life of the leader: a new one begins after an unclean stop.
    pub incarnation: u64,
    /// Counts the leader's changes; the higher one wins.
    pub clock: i64,
    /// The leader's sum.
    pub count: i64,
}

const SHARD_BYTES: usize = 40;

impl Shard {
    /// Appends the shard's encoding.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.leader.as_bytes());
        out.extend_from_slice(&self.incarnation.to_le_bytes());
        out.extend_from_slice(&self.clock.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
    }

    fn id(&self) -> (Uuid, u64) {
        (self.leader, self.incarnation)
    }
}

/// The shards of a counter cell's value.
///
/// # Errors
/// The length is no multiple of a shard's, or the shards are not in order.
pub fn shards(value: &[u8]) -> Result<Vec<Shard>, DecodeError> {
    let mut reader = Reader::new(value);
    let mut shards: Vec<Shard> = Vec::with_capacity(value.len() / SHARD_BYTES);
    while !reader.is_empty() {
        let shard = Shard {
            leader: reader.uuid()?,
            incarnation: reader.u64()?,
            clock: reader.i64()?,
            count: reader.i64()?,
        };
        if shards.last().is_some_and(|last| last.id() >= shard.id()) {
            return Err(reader.error("counter shards out of order"));
        }
        shards.push(shard);
    }
    Ok(shards)
}

/// The counter's value: the sum of its shards, wrapping as Cassandra's does.
///
/// # Errors
/// As [`shards`].
pub fn total(value: &[u8]) -> Result<i64, DecodeError> {
    Ok(shards(value)?.iter().fold(0i64, |sum, shard| sum.wrapping_add(shard.count)))
}

/// Merges two values: per leader and incarnation the higher clock wins, then the higher count.
///
/// # Errors
/// As [`shards`].
pub fn merge(a: &[u8], b: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut all = shards(a)?;
    all.extend(shards(b)?);
    all.sort_unstable();
    let mut out = Vec::with_capacity(all.len() * SHARD_BYTES);
    for (index, shard) in all.iter().enumerate() {
        if all.get(index + 1).is_none_or(|next| next.id() != shard.id()) {
            shard.encode(&mut out);
        }
    }
    Ok(out)
}
