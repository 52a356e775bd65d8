//! The range deletions of one partition: disjoint, sorted, the strongest deletion in force
//! everywhere.

use dodona_types::Deletion;
use dodona_types::merge::merge_deletions;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The deletion in force from each bound on. Cloning takes a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    from: Arc<BTreeMap<Box<[u8]>, Deletion>>,
}

impl Ranges {
    /// Deletes from `start` to `end`. Returns the growth in bytes.
    pub fn add(&mut self, start: &[u8], end: &[u8], deletion: Deletion) -> isize {
        let before = self.from.len();
        let from = Arc::make_mut(&mut self.from);
        let at_end = in_force(from, end);
        from.entry(end.into()).or_insert(at_end);
        let at_start = in_force(from, start);
        from.entry(start.into()).or_insert(at_start);
        for (_, present) in
            from.range_mut::<[u8], _>((std::ops::Bound::Included(start), std::ops::Bound::Excluded(end)))
        {
            *present = merge_deletions(*present, deletion);
        }
        let grown = self.from.len().cast_signed() - before.cast_signed();
        grown * (start.len() + end.len() + 64).cast_signed()
    }

    /// True without deletions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.from.is_empty()
    }

    /// The deletion in force just behind `position`.
    #[must_use]
    pub fn at(&self, position: &[u8]) -> Deletion {
        in_force(&self.from, position)
    }

    /// The deletion in force just before `position`.
    #[must_use]
    pub fn before(&self, position: &[u8]) -> Deletion {
        self.from
            .range::<[u8], _>((std::ops::Bound::Unbounded, std::ops::Bound::Excluded(position)))
            .next_back()
            .map_or(Deletion::NONE, |(_, deletion)| *deletion)
    }

    /// The first bound at or behind `position` at which the deletion changes, and the new one.
    #[must_use]
    pub fn change_at_or_behind(&self, position: &[u8]) -> Option<(&[u8], Deletion)> {
        match self.from.get_key_value(position) {
            Some((bound, deletion)) if *deletion != self.before(position) => Some((bound, *deletion)),
            _ => self.next_change(position),
        }
    }

    /// The next bound behind `position` at which the deletion changes, and the new deletion.
    #[must_use]
    pub fn next_change(&self, position: &[u8]) -> Option<(&[u8], Deletion)> {
        let mut last = self.at(position);
        let behind = (std::ops::Bound::Excluded(position), std::ops::Bound::Unbounded);
        for (bound, deletion) in self.from.range::<[u8], _>(behind) {
            if *deletion != last {
                return Some((bound, *deletion));
            }
            last = *deletion;
        }
        None
    }

    /// The last bound before `position` at which the deletion changes, and the deletion before it.
    #[must_use]
    pub fn previous_change(&self, position: &[u8]) -> Option<(&[u8], Deletion)> {
        let before = (std::ops::Bound::Unbounded, std::ops::Bound::Excluded(position));
        let mut bounds = self.from.range::<[u8], _>(before).rev().peekable();
        while let Some((bound, deletion)) = bounds.next() {
            let earlier = bounds.peek().map_or(Deletion::NONE, |(_, deletion)| **deletion);
            if earlier != *deletion {
                return Some((bound, earlier));
            }
        }
        None
    }
}

fn in_force(from: &BTreeMap<Box<[u8]>, Deletion>, position: &[u8]) -> Deletion {
    from.range::<[u8], _>((std::ops::Bound::Unbounded, std::ops::Bound::Included(position)))
        .next_back()
        .map_or(Deletion::NONE, |(_, deletion)| *deletion)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_point_has_the_strongest_deletion_over_it(
            added in prop::collection::vec((0u8..20, 1u8..10, 1i64..5), 0..20)
        ) {
            let mut ranges = Ranges::default();
            for (start, length, timestamp_micros) in &added {
                let deletion = Deletion { timestamp_micros: *timestamp_micros, deleted_at_seconds: 1 };
                ranges.add(&[*start], &[start + length], deletion);
            }
            for point in 0u8..32 {
                let strongest = added
                    .iter()
                    .filter(|(start, length, _)| (*start..start + length).contains(&point))
                    .map(|(_, _, timestamp)| *timestamp)
                    .max()
                    .unwrap_or(i64::MIN);
                prop_assert_eq!(ranges.at(&[point]).timestamp_micros, strongest);
                if let Some((bound, before)) = ranges.previous_change(&[point]) {
                    prop_assert!(bound < &[point][..]);
                    prop_assert_eq!(before, bound[0].checked_sub(1).map_or(Deletion::NONE, |p| ranges.at(&[p])));
                }
                if let Some((bound, behind)) = ranges.next_change(&[point]) {
                    prop_assert_eq!(ranges.at(bound), behind);
                    prop_assert!(behind != ranges.at(&[point]));
                }
            }
        }
    }
}
