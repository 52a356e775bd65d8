//! The messages of Paxos between nodes.
//!
//! ```text
//! request  := kind u8 (1 PREPARE, 2 PROPOSE, 3 COMMIT), table 16 bytes, key, proposal
//! answer   := 1, accepted?, proposal (PROMISED) | 2 (ACCEPTED) | 3, ballot (REFUSED)
//! proposal := ballot, mutation
//! ballot   := micros i64, tie u64
//! accepted := 0 | 1, proposal
//! ```
//! Integers are little-endian; keys and mutations stand behind their lengths (u32).

use super::ballot::Ballot;
use super::state::{Answer, Proposal};
use crate::error::ClusterError;
use crate::message::{put_bytes, take_bytes};
use dodona_types::TableId;
use dodona_types::codec::{DecodeError, Reader};
use uuid::Uuid;

/// What a proposer asks an acceptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To promise.
    Prepare,
    /// To accept.
    Propose,
    /// To note what was chosen, and apply it.
    Commit,
}

/// A request of a proposer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it asks.
    pub step: Step,
    /// The table.
    pub table: TableId,
    /// The partition's key.
    pub key: Vec<u8>,
    /// The ballot, and from PROPOSE on the mutation.
    pub proposal: Proposal,
}

fn put_ballot(out: &mut Vec<u8>, ballot: Ballot) {
    out.extend_from_slice(&ballot.micros.to_le_bytes());
    out.extend_from_slice(&ballot.tie.to_le_bytes());
}

fn take_ballot(reader: &mut Reader<'_>) -> Result<Ballot, DecodeError> {
    Ok(Ballot { micros: reader.i64()?, tie: reader.u64()? })
}

fn put_proposal(out: &mut Vec<u8>, proposal: &Proposal) {
    put_ballot(out, proposal.ballot);
    put_bytes(out, &proposal.mutation);
}

fn take_proposal(reader: &mut Reader<'_>) -> Result<Proposal, DecodeError> {
    Ok(Proposal { ballot: take_ballot(reader)?, mutation: take_bytes(reader)? })
}

fn malformed(error: &DecodeError) -> ClusterError {
    ClusterError::Peer(error.to_string())
}

impl Request {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![match self.step {
            Step::Prepare => 1,
            Step::Propose => 2,
            Step::Commit => 3,
        }];
        out.extend_from_slice(self.table.0.as_bytes());
        put_bytes(&mut out, &self.key);
        put_proposal(&mut out, &self.proposal);
        out
    }

    /// The request of these bytes.
    ///
    /// # Errors
    /// They are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, ClusterError> {
        let mut reader = Reader::new(bytes);
        let decoded = (|| {
            let step = reader.u8()?;
            let table = Uuid::from_slice(reader.bytes(16)?).unwrap_or_default();
            Ok((step, TableId(table), take_bytes(&mut reader)?, take_proposal(&mut reader)?))
        })();
        let (step, table, key, proposal) = decoded.map_err(|error: DecodeError| malformed(&error))?;
        let step = match step {
            1 => Step::Prepare,
            2 => Step::Propose,
            3 => Step::Commit,
            other => return Err(ClusterError::Peer(format!("unknown step {other} of Paxos"))),
        };
        Ok(Self { step, table, key, proposal })
    }
}

impl Answer {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Promised { accepted, committed } => {
                out.push(1);
                out.push(u8::from(accepted.is_some()));
                if let Some(accepted) = accepted {
                    put_proposal(&mut out, accepted);
                }
                put_proposal(&mut out, committed);
            }
            Self::Accepted => out.push(2),
            Self::Refused(ballot) => {
                out.push(3);
                put_ballot(&mut out, *ballot);
            }
        }
        out
    }

    /// The answer of these bytes.
    ///
    /// # Errors
    /// They are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, ClusterError> {
        let mut reader = Reader::new(bytes);
        let mut decode = || {
            Ok(match reader.u8()? {
                1 => {
                    let has_accepted = reader.u8()? == 1;
                    let accepted = if has_accepted { Some(take_proposal(&mut reader)?) } else { None };
                    Some(Self::Promised { accepted, committed: take_proposal(&mut reader)? })
                }
                2 => Some(Self::Accepted),
                3 => Some(Self::Refused(take_ballot(&mut reader)?)),
                _ => None,
            })
        };
        let decoded = decode().map_err(|error: DecodeError| malformed(&error))?;
        decoded.ok_or_else(|| ClusterError::Peer("an unknown answer of Paxos".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;
    use proptest::prelude::*;

    fn proposals() -> impl Strategy<Value = Proposal> {
        (any::<i64>(), any::<u64>(), any::<Vec<u8>>())
            .prop_map(|(micros, tie, mutation)| Proposal { ballot: Ballot { micros, tie }, mutation })
    }

    #[test]
    fn requests_and_answers_have_these_bytes() {
        let proposal = |micros, mutation: &[u8]| Proposal {
            ballot: Ballot { micros, tie: 0x8000_0000_0000_0001 },
            mutation: mutation.to_vec(),
        };
        let table = TableId(Uuid::from_u128(7));
        let (head, ballot) =
            ("0000000000000000000000000000000701000000ab", "05000000000000000100000000000080");
        for (step, mutation, expected) in [
            (Step::Prepare, &[][..], format!("01{head}{ballot}00000000")),
            (Step::Propose, &[0xCD, 0xEF][..], format!("02{head}{ballot}02000000cdef")),
            (Step::Commit, &[0xCD][..], format!("03{head}{ballot}01000000cd")),
        ] {
            let request = Request { step, table, key: vec![0xAB], proposal: proposal(5, mutation) };
            assert_eq!(hex(&request.encode()), expected);
        }
        let committed = proposal(5, &[0xCD]);
        let earlier = "feffffffffffffff010000000000008000000000";
        for (answer, expected) in [
            (
                Answer::Promised { accepted: None, committed: committed.clone() },
                format!("0100{ballot}01000000cd"),
            ),
            (
                Answer::Promised { accepted: Some(proposal(-2, &[])), committed: committed.clone() },
                format!("0101{earlier}{ballot}01000000cd"),
            ),
            (Answer::Accepted, "02".into()),
            (Answer::Refused(committed.ballot), format!("03{ballot}")),
        ] {
            assert_eq!(hex(&answer.encode()), expected);
        }
    }

    proptest! {
        #[test]
        fn requests_and_answers_round_trip_and_nothing_panics(
            step in prop::sample::select(vec![Step::Prepare, Step::Propose, Step::Commit]),
            table: u128, key: Vec<u8>, proposal in proposals(), accepted in prop::option::of(proposals()),
            cut: usize,
        ) {
            let request = Request { step, table: TableId(Uuid::from_u128(table)), key, proposal: proposal.clone() };
            let bytes = request.encode();
            prop_assert_eq!(Request::decode(&bytes).unwrap(), request);
            prop_assert!(Request::decode(&bytes[..cut % bytes.len()]).is_err());
            for answer in [
                Answer::Promised { accepted, committed: proposal.clone() },
                Answer::Accepted,
                Answer::Refused(proposal.ballot),
            ] {
                let bytes = answer.encode();
                prop_assert_eq!(Answer::decode(&bytes).unwrap(), answer);
                prop_assert!(Answer::decode(&bytes[..cut % bytes.len()]).is_err());
            }
        }
    }
}
