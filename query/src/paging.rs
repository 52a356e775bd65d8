//! Paging states: where a page ended, in bytes that a client gives back. They hold no secret and
//! are valid on every node, whatever happens to files and columns meanwhile.
//!
//! ```text
//! state := version u8, statement hash u64, key length varint, key, in partition u8,
//!          clustering length + 1 varint (0 for none), clustering, rows left varint,
//!          rows left in the partition varint, crc of all before u32
//! ```

use crate::error::{CqlError, invalid};
use dodona_types::codec::{Reader, put_length_prefixed, put_varint};
use dodona_types::key::ABOVE;
use dodona_types::read_command::{
    ClusteringSelection, PartitionRange, PartitionSelection, RangeBound, ReadCommand,
};
use dodona_types::{ClusteringSlice, PartitionKey};
use std::hash::Hasher;

const VERSION: u8 = 1;

/// Where a page ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PagingState {
    /// The raw key of the last partition.
    pub(crate) key: Vec<u8>,
    /// True if the partition may have more rows.
    pub(crate) in_partition: bool,
    /// The comparable clustering bytes of the last row.
    pub(crate) clustering: Option<Vec<u8>>,
    /// Rows that LIMIT still allows; `u64::MAX` for all.
    pub(crate) rows_left: u64,
    /// Rows that PER PARTITION LIMIT still allows in the partition; `u64::MAX` for all.
    pub(crate) partition_rows_left: u64,
}

/// A hash that does not change with the version of the program.
pub(crate) fn stable_hash(bytes: &[u8]) -> u64 {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    hasher.write(bytes);
    hasher.finish()
}

/// FNV-1a.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

impl PagingState {
    /// The state's bytes, for the statement with this text.
    pub(crate) fn encode(&self, text: &str) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&stable_hash(text.as_bytes()).to_le_bytes());
        put_length_prefixed(&mut out, &self.key);
        out.push(u8::from(self.in_partition));
        match &self.clustering {
            None => put_varint(&mut out, 0),
            Some(clustering) => {
                put_varint(&mut out, clustering.len() as u64 + 1);
                out.extend_from_slice(clustering);
            }
        }
        put_varint(&mut out, self.rows_left);
        put_varint(&mut out, self.partition_rows_left);
        let check = stable_hash(&out) as u32;
        out.extend_from_slice(&check.to_le_bytes());
        out
    }

    /// Reads a state that a client gave back.
    pub(crate) fn decode(bytes: &[u8], text: &str) -> Result<Self, CqlError> {
        let damaged = || CqlError::Invalid("Invalid value for the paging state".into());
        let (body, check) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        if (stable_hash(body) as u32).to_le_bytes() != *check {
            return Err(damaged());
        }
        let mut reader = Reader::new(body);
        let mut read = || {
            let version = reader.u8()?;
            let statement = reader.u64()?;
            let key = reader.length_prefixed()?.to_vec();
            let in_partition = reader.u8()? != 0;
            let clustering = match reader.varint()? {
                0 => None,
                length => Some(reader.bytes(usize::try_from(length - 1).unwrap_or(usize::MAX))?.to_vec()),
            };
            let state = Self {
                key,
                in_partition,
                clustering,
                rows_left: reader.varint()?,
                partition_rows_left: reader.varint()?,
            };
            Ok::<_, dodona_types::codec::DecodeError>((version, statement, state))
        };
        let (version, statement, state) = read().map_err(|_| damaged())?;
        if version != VERSION {
            return invalid(format!("The paging state has version {version}; this node knows {VERSION}"));
        }
        if statement != stable_hash(text.as_bytes()) {
            return invalid("The paging state belongs to another statement");
        }
        Ok(state)
    }
}

/// The commands that go on behind a position, in place of `commands`.
pub(crate) fn resume(commands: Vec<ReadCommand>, state: &PagingState) -> Vec<ReadCommand> {
    let key = PartitionKey::new(state.key.clone().into());
    let place = commands.iter().position(|command| match &command.partitions {
        PartitionSelection::Key(other) => *other == key,
        PartitionSelection::Range(_) => true,
    });
    let Some(place) = place else { return Vec::new() };
    let mut rest = commands.into_iter().skip(place);
    let Some(current) = rest.next() else {
        return Vec::new();
    };
    let mut resumed = Vec::new();
    if state.in_partition && state.partition_rows_left > 0 {
        let mut within = current.clone();
        within.partitions = PartitionSelection::Key(key.clone());
        // Without a limit, what is read is filtered, and counted behind that.
        if within.limits.per_partition < u64::MAX {
            within.limits.per_partition = within.limits.per_partition.min(state.partition_rows_left);
        }
        if let Some(clustering) = &state.clustering {
            within.clustering = behind(&within.clustering, clustering, within.reversed);
        }
        resumed.push(within);
    }
    if let PartitionSelection::Range(range) = &current.partitions {
        let range = PartitionRange { start: RangeBound::Key(key, false), end: range.end.clone() };
        resumed.push(ReadCommand { partitions: PartitionSelection::Range(range), ..current });
    }
    resumed.extend(rest);
    resumed
}

/// The part of a selection that comes behind a row, in the direction of the read.
fn behind(selection: &ClusteringSelection, row: &[u8], reversed: bool) -> ClusteringSelection {
    match selection {
        ClusteringSelection::Names(names) => ClusteringSelection::Names(
            names
                .iter()
                .filter(|name| if reversed { name.as_slice() < row } else { name.as_slice() > row })
                .cloned()
                .collect(),
        ),
        ClusteringSelection::Slices(slices) => {
            let next = [row, &[0]].concat();
            let cut = |slice: &ClusteringSlice| {
                let mut slice = slice.clone();
                if reversed {
                    slice.end = slice.end.min(row.to_vec());
                } else {
                    slice.start = slice.start.max(next.clone());
                }
                slice
            };
            let mut rest: Vec<ClusteringSlice> =
                slices.iter().map(cut).filter(|slice| !slice.is_empty()).collect();
            if rest.is_empty() {
                // A read of nothing: no row lies in it.
                rest.push(ClusteringSlice { start: vec![ABOVE], end: vec![ABOVE] });
            }
            ClusteringSelection::Slices(rest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn states_come_back_and_forged_ones_are_refused(
            key: Vec<u8>, clustering: Option<Vec<u8>>, in_partition: bool, rows_left: u64, bit: usize
        ) {
            let state = PagingState { key, in_partition, clustering, rows_left, partition_rows_left: 7 };
            let bytes = state.encode("SELECT");
            prop_assert_eq!(PagingState::decode(&bytes, "SELECT").unwrap(), state);
            prop_assert!(PagingState::decode(&bytes, "SELECT 2").is_err());
            let mut forged = bytes;
            let bit = bit % (forged.len() * 8);
            forged[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(PagingState::decode(&forged, "SELECT").is_err());
        }

        #[test]
        fn hostile_states_are_errors_not_panics(bytes: Vec<u8>) {
            prop_assert!(PagingState::decode(&bytes, "SELECT").is_err());
        }
    }
}
