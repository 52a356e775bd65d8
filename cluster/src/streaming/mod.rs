//! Brings a node what it is to hold: ranges of tables from those that hold them, in files that hold nothing else and the
//! rest row by row, and what Paxos knows of them.
//!
//! A range is fetched from half of its replicas, so that whatever a majority has acknowledged is there,
//! and first from those that hold it no more afterwards, then from those of the node's data centre: what a majority there alone has
//! acknowledged is there as well unless too few of them can be reached. A holder that breaks off in the middle goes on where it was if it
//! comes back soon; what came from it counts for no other one. What was fetched for a change of members is noted once it is
//! on disk: a node that was stopped fetches the rest. A rebuild fetches in the same way what the node holds already, all of it.
//! What can come in files is fetched first (`whole`, of the session that the holder has for it, `stream_sessions`), a table at a time; of the
//! other ranges `schedule` says which one comes from whom next, `fetcher` goes by that, `puller` reads and writes, `batches`
//! has what has come count. `notes` keeps what was fetched; when that is done, the node says.

mod batches;
pub(crate) mod fetcher;
pub mod history;
pub(crate) mod notes;
pub(crate) mod puller;
mod schedule;
pub(crate) mod walk;
mod whole;

use crate::error::ClusterError;
use crate::placement::Placement;
use crate::ring::MemberIndex;
use dodona_types::read_command::{PartitionRange, RangeBound};
use dodona_types::token::TokenRange;
use dodona_types::{TableId, Token};
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;

/// What has been fetched so far, for operators.
#[derive(Debug, Default)]
pub struct Progress {
    /// Ranges of tables to fetch.
    pub ranges: AtomicU64,
    /// Of these, done.
    pub ranges_done: AtomicU64,
    /// Files that came as they are.
    pub files: AtomicU64,
    /// Partitions that came row by row, or parts of them.
    pub partitions: AtomicU64,
    /// Bytes.
    pub bytes: AtomicU64,
    /// Ranges that are done because they had been fetched before, in an earlier life of the node perhaps.
    pub ranges_kept: AtomicU64,
    /// How often a peer that had broken off went on where it had.
    pub resumed: AtomicU64,
}

/// A range of a table, and who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The table.
    pub table: TableId,
    /// The range.
    pub range: PartitionRange,
    /// The replicas that can be read: first those that hold it no more afterwards, and alone may have
    /// something that was acknowledged by one, then those in this node's data centre; not those that are given up.
    pub holders: Vec<MemberIndex>,
    /// How many of them hold it no more afterwards.
    pub leaving: usize,
    /// How many of them are read. Any majority that has acknowledged something has one of these.
    pub needed: usize,
}

/// What this node is to hold by the change that is under way, and does not yet.
///
/// # Errors
/// The placement does not know one of its tables.
pub fn missing(placement: &Placement) -> Result<Vec<Missing>, ClusterError> {
    let Some(other_side) = &placement.other_side else { return Ok(Vec::new()) };
    let ends = placement.ends();
    let mut missing: Vec<Missing> = Vec::new();
    for table in placement.schema.tables() {
        let mut add = |range: PartitionRange, owned_as: Token| -> Result<(), ClusterError> {
            if !placement.pending(table.id, owned_as)?.contains(&placement.local) {
                return Ok(());
            }
            let all = placement.replicas(table.id, owned_as)?;
            let later = placement.replication_of(table.id)?.replicas(other_side, owned_as, placement.local);
            let mut holders: Vec<MemberIndex> =
                all.iter().copied().filter(|index| !placement.ring.is_given_up(*index)).collect();
            holders.sort_by_key(|index| (later.contains(index), is_far(placement, *index)));
            let leaving = holders.iter().filter(|index| !later.contains(index)).count();
            // Those that are given up may be the rest of a majority.
            let needed = all.len().div_ceil(2).min(holders.len());
            match missing.last_mut() {
                Some(last)
                    if last.table == table.id
                        && (&last.holders, last.leaving) == (&holders, leaving)
                        && meet(&last.range, &range) =>
                {
                    last.range.end = range.end;
                }
                _ => missing.push(Missing { table: table.id, range, holders, leaving, needed }),
            }
            Ok(())
        };
        let mut start = RangeBound::Unbounded;
        for end in &ends {
            let range = PartitionRange {
                start: std::mem::replace(&mut start, RangeBound::Token(*end, false)),
                end: RangeBound::Token(*end, true),
            };
            add(range, *end)?;
        }
        // What lies behind the last token belongs to the owner of the first range.
        let first = ends.first().copied().unwrap_or(Token::MAX);
        add(PartitionRange { start, end: RangeBound::Unbounded }, first)?;
    }
    Ok(missing)
}

/// What a node is to fetch anew of what it holds.
#[derive(Clone, Debug, Default)]
pub struct Rebuild {
    /// Only this keyspace.
    pub keyspace: Option<String>,
    /// Only from replicas in this data centre.
    pub from: Option<String>,
    /// Not from replicas in the node's own data centre.
    pub not_from_own: bool,
    /// Only what lies in these ranges; all if there are none.
    pub ranges: Vec<TokenRange>,
    /// Only from members at these addresses; from any if there are none.
    pub sources: Vec<IpAddr>,
}

impl Rebuild {
    /// What is wanted of a range of the ring.
    fn parts_of(&self, range: &TokenRange) -> Vec<PartitionRange> {
        if self.ranges.is_empty() {
            return parts(range);
        }
        let wanted = self.ranges.iter().flat_map(|wanted| range.intersection(wanted));
        wanted.flat_map(|range| parts(&range)).collect()
    }
}

/// What this node holds and others as well, and from whom it can be fetched.
///
/// # Errors
/// There is no such keyspace or data centre, or a range has no replica there.
pub fn held_by_others(placement: &Placement, rebuild: &Rebuild) -> Result<Vec<Missing>, ClusterError> {
    let members = placement.ring.members();
    let own = &members[placement.local].data_center;
    if let Some(from) = &rebuild.from
        && members.iter().all(|member| member.data_center != *from)
    {
        return Err(ClusterError::Invalid(format!("there is no data centre `{from}`")));
    }
    check_sources(placement, rebuild)?;
    let mut wanted = Vec::new();
    for table in placement.schema.tables() {
        if rebuild.keyspace.as_deref().is_some_and(|keyspace| keyspace != &*table.keyspace) {
            continue;
        }
        for range in placement.ring.ranges() {
            let wanted_parts = rebuild.parts_of(&range);
            let mut holders = placement.replicas(table.id, range.end)?;
            if wanted_parts.is_empty() || holders.len() < 2 || !holders.contains(&placement.local) {
                continue;
            }
            holders.retain(|index| {
                let data_center = &members[*index].data_center;
                *index != placement.local
                    && rebuild.from.as_ref().is_none_or(|from| from == data_center)
                    && !(rebuild.not_from_own && data_center == own)
                    && (rebuild.sources.is_empty()
                        || rebuild.sources.contains(&members[*index].internode.ip()))
            });
            if holders.is_empty() {
                return Err(ClusterError::Invalid(format!(
                    "a range of {}.{} has no replica to fetch it from there",
                    table.keyspace, table.name
                )));
            }
            holders.sort_by_key(|index| is_far(placement, *index));
            let needed = holders.len().div_ceil(2);
            let of = |range| Missing { table: table.id, range, holders: holders.clone(), leaving: 0, needed };
            wanted.extend(wanted_parts.into_iter().map(of));
        }
    }
    if wanted.is_empty() {
        return Err(ClusterError::Invalid(
            "there is nothing to rebuild: no other node holds any of it".into(),
        ));
    }
    Ok(wanted)
}

fn is_far(placement: &Placement, index: MemberIndex) -> bool {
    placement.ring.center(index) != placement.ring.center(placement.local)
}

/// Refuses sources that are no other members.
fn check_sources(placement: &Placement, rebuild: &Rebuild) -> Result<(), ClusterError> {
    let members = placement.ring.members();
    for source in &rebuild.sources {
        let index = members.iter().position(|member| member.internode.ip() == *source);
        if index == Some(placement.local) {
            return Err(ClusterError::Invalid(
                "This host was specified as a source for rebuilding. Sources for a rebuild can only be other nodes in \
                 the cluster."
                    .into(),
            ));
        }
        if index.is_none() {
            return Err(ClusterError::Invalid(format!("Unknown host specified {source}")));
        }
    }
    Ok(())
}

/// The parts of a range of the ring that do not wrap.
#[must_use]
pub fn parts(range: &TokenRange) -> Vec<PartitionRange> {
    let behind = RangeBound::Token(range.start, false);
    let up_to = RangeBound::Token(range.end, true);
    if range.start < range.end {
        vec![PartitionRange { start: behind, end: up_to }]
    } else if range.start == range.end {
        vec![PartitionRange::all()]
    } else {
        let (first, last) = (RangeBound::Unbounded, RangeBound::Unbounded);
        vec![PartitionRange { start: first, end: up_to }, PartitionRange { start: behind, end: last }]
    }
}

fn meet(before: &PartitionRange, range: &PartitionRange) -> bool {
    matches!((&before.end, &range.start), (RangeBound::Token(end, true), RangeBound::Token(start, false)) if end == start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::plan::tests::{BOTH, placement};

    const TWO_IN_EACH: &[(&str, &str)] = &[("class", "NetworkTopologyStrategy"), ("a", "2"), ("b", "2")];

    /// True if those of this node's data centre, `a`, come before the others.
    fn near_come_first(holders: &[MemberIndex]) -> bool {
        holders.is_sorted_by_key(|index| *index >= 3)
    }

    #[test]
    fn what_is_fetched_comes_from_those_that_give_it_up_then_from_near_ones() {
        let joins = placement(TWO_IN_EACH, &[0]);
        assert_eq!(joins.local, 0);
        let missing = missing(&joins).unwrap();
        assert!(missing.iter().any(|missing| missing.leaving > 0 && missing.holders.len() > 3));
        for Missing { holders, leaving, .. } in &missing {
            assert!(near_come_first(&holders[*leaving..]), "{holders:?}, {leaving} leave");
        }
    }

    #[test]
    fn a_rebuild_fetches_from_near_ones_first() {
        let wanted = held_by_others(&placement(BOTH, &[]), &Rebuild::default()).unwrap();
        assert!(wanted.iter().all(|wanted| wanted.holders.len() == 5 && wanted.needed == 3));
        assert!(wanted.iter().all(|wanted| near_come_first(&wanted.holders)));
    }
}
