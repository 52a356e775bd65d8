//! Which ranges of a table are repaired, and which replicas hold each.

use super::options::{Options, Outcome};
use crate::error::ClusterError;
use crate::placement::Placement;
use crate::ring::{Member, MemberIndex};
use dodona_storage::StorageError;
use dodona_types::TableId;
use dodona_types::token::TokenRange;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Ranges with the same replicas.
pub(super) type Groups = BTreeMap<Vec<MemberIndex>, Vec<TokenRange>>;

/// The ranges to repair of a table, those with the same replicas together.
pub(super) fn groups(
    placement: &Placement,
    table: TableId,
    options: &Options,
) -> Result<Groups, ClusterError> {
    let schema_table = placement.schema.table_by_id(table).ok_or(StorageError::NoSuchTable(table))?;
    let mut groups = Groups::new();
    let mut is_held = false;
    for range in placement.ring.ranges() {
        let replicas = placement.replicas(table, range.end)?;
        let is_meant = if options.primary {
            let data_center = |index: &&MemberIndex| &placement.ring.members()[**index].data_center;
            let takes_part = |index: &&MemberIndex| {
                options.data_centers.is_empty() || options.data_centers.contains(data_center(index))
            };
            replicas.iter().find(takes_part) == Some(&placement.local)
        } else {
            replicas.contains(&placement.local)
        };
        for part in options.range.as_ref().map_or_else(|| vec![range], |within| range.intersection(within)) {
            is_held |= replicas.contains(&placement.local);
            if is_meant {
                groups.entry(replicas.clone()).or_default().push(part);
            } else if !replicas.contains(&placement.local) && options.range.is_some() {
                return Err(ClusterError::Invalid(format!(
                    "this node does not hold all of the range of {}.{}: ({}, {}] belongs to others",
                    schema_table.keyspace, schema_table.name, part.start, part.end
                )));
            }
        }
    }
    if is_held || options.range.is_none() { Ok(groups) } else { Err(invalid("the range is empty")) }
}

/// Replicas that hold the same ranges, and take part.
pub(super) struct Group {
    pub(super) members: Vec<Member>,
    pub(super) ranges: Vec<TokenRange>,
}

/// What came of the repair of groups of ranges.
#[derive(Default)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    /// Of those that were left as they are the host ids of the replicas, and why.
    pub(super) left: Vec<(Vec<Uuid>, ClusterError)>,
}

pub(super) fn invalid(reason: &str) -> ClusterError {
    ClusterError::Invalid(reason.into())
}
