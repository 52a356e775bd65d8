//! A digest of each partition of a range: what replicas are compared by that are to hold the same.

use super::answer::{Answering, Reading};
use super::digest::{Digest, DigestRules};
use crate::error::Result;
use crate::read;
use crate::scan::MergedScan;
use crate::sstable::reader::Access;
use crate::table::TableView;
use dodona_types::read_command::{PartitionRange, PartitionSelection, RangeBound, ReadCommand};
use dodona_types::{KeyRef, Token};

/// A partition's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// Its token.
    pub token: Token,
    /// The digest of its key and all that counts of its content.
    pub digest: u128,
    /// Bytes that count.
    pub bytes: usize,
}

/// Shows the digests of partitions in the order of the ring, but for those of which nothing counts. Stops
/// behind a partition once about `budget_bytes` were read, and returns where to go on.
///
/// # Errors
/// A file could not be read.
pub fn hash_partitions(
    view: &TableView,
    command: &ReadCommand,
    rules: DigestRules,
    budget_bytes: usize,
    each: &mut dyn FnMut(Hashed),
) -> Result<Option<RangeBound>> {
    let all = PartitionRange::all();
    let range = match &command.partitions {
        PartitionSelection::Range(range) => range,
        PartitionSelection::Key(_) => &all,
    };
    let mut scan = MergedScan::new(read::sources_of_range(view, range, Access::Uncached)?);
    let reading = Reading { with_data: false, access: Access::Uncached, ..Reading::unbounded(rules) };
    let mut walked = Answering::new(command, reading);
    while scan.next_partition()? {
        let Some(key) = scan.key().filter(|key| range.ends_after(*key)).map(KeyRef::to_owned_key) else {
            break;
        };
        walked.partition(&mut scan)?;
        let digest = std::mem::replace(&mut walked.digest, Digest::new(rules, command.hidden.clone()));
        if digest.bytes() > 0 {
            let bytes = digest.bytes();
            each(Hashed { token: key.token(), digest: u128::from_le_bytes(digest.finish()), bytes });
        }
        if walked.walked_bytes >= budget_bytes {
            return Ok(Some(RangeBound::Key(key, false)));
        }
    }
    Ok(None)
}
