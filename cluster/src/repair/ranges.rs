//! Which ranges of a table are repaired, and which replicas hold each.

use super::options::Options;
use crate::error::ClusterError;
use crate::placement::Placement;
use crate::ring::{Member, MemberIndex};
use dodona_storage::StorageError;
use dodona_types::token::TokenRange;
use dodona_types::{TableId, Token};
use std::collections::BTreeMap;

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
            replicas.first() == Some(&placement.local)
        } else {
            replicas.contains(&placement.local)
        };
        for part in options.range.as_ref().map_or_else(|| vec![range], |within| common(&range, within)) {
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

/// What two ranges have in common.
pub(super) fn common(one: &TokenRange, other: &TokenRange) -> Vec<TokenRange> {
    if other.start == other.end {
        return vec![*one];
    }
    if one.start == one.end {
        return vec![*other];
    }
    // Measured from where the one begins, it does not wrap.
    let offset = |token: Token| token.ordinal().wrapping_sub(one.start.ordinal());
    let at = |offset: u64| Token::from_ordinal(one.start.ordinal().wrapping_add(offset));
    let (length, start, end) = (offset(one.end), offset(other.start), offset(other.end));
    let pieces = if start < end { vec![(start, end)] } else { vec![(0, end), (start, u64::MAX)] };
    let within = pieces.into_iter().map(|(start, end)| (start.min(length), end.min(length)));
    within
        .filter(|(start, end)| start < end)
        .map(|(start, end)| TokenRange { start: at(start), end: at(end) })
        .collect()
}

/// Replicas that hold the same ranges, and take part.
pub(super) struct Group<'a> {
    pub(super) members: Vec<Member>,
    pub(super) ranges: &'a [TokenRange],
}

pub(super) fn invalid(reason: &str) -> ClusterError {
    ClusterError::Invalid(reason.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range() -> impl Strategy<Value = TokenRange> {
        let token = || prop::sample::select(vec![i64::MIN, -7, -3, 0, 2, 5, i64::MAX]);
        (token(), token()).prop_map(|(start, end)| TokenRange { start: Token(start), end: Token(end) })
    }

    proptest! {
        #[test]
        fn what_is_common_lies_in_both(one in range(), other in range()) {
            let parts = common(&one, &other);
            for token in [i64::MIN, i64::MIN + 1, -7, -6, -3, -2, 0, 1, 2, 3, 5, 6, i64::MAX].map(Token) {
                let found = parts.iter().filter(|part| part.contains(token)).count();
                prop_assert_eq!(found, usize::from(one.contains(token) && other.contains(token)), "{:?}", parts);
            }
        }
    }
}
