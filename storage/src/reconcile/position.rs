//! Parts of a selection of rows, before and behind a position, in the direction of a read. What lies
//! at the position itself is before it: a read that comes to a position has covered it.
//!
//! A position is a row or a bound. Where a selection is cut at a row, the cut is a bound beside the
//! row and never the row's own bytes: deletions end there, and a deletion's end that stands where a
//! row does would hide it.

use dodona_types::ClusteringSlice;
use dodona_types::key::{ABOVE, BELOW, ROW_END};
use dodona_types::read_command::ClusteringSelection;

/// A position as a bound: a row's is below it, or `above` it.
#[must_use]
pub fn bound(position: &[u8], above: bool) -> Vec<u8> {
    let mut bound = position.to_vec();
    if let Some(last) = bound.last_mut().filter(|last| **last == ROW_END) {
        *last = if above { ABOVE } else { BELOW };
    }
    bound
}

fn cut(
    selection: &ClusteringSelection,
    keeps: impl Fn(&[u8]) -> bool,
    trim: impl Fn(&mut ClusteringSlice),
) -> ClusteringSelection {
    match selection {
        ClusteringSelection::Names(names) => {
            ClusteringSelection::Names(names.iter().filter(|name| keeps(name)).cloned().collect())
        }
        ClusteringSelection::Slices(slices) => {
            let mut slices = slices.clone();
            slices.iter_mut().for_each(trim);
            slices.retain(|slice| !slice.is_empty());
            ClusteringSelection::Slices(slices)
        }
    }
}

/// What comes behind a position.
#[must_use]
pub fn behind(selection: &ClusteringSelection, position: &[u8], reversed: bool) -> ClusteringSelection {
    let bound = bound(position, !reversed);
    if reversed {
        let trim = |slice: &mut ClusteringSlice| slice.end = slice.end.as_slice().min(&bound).to_vec();
        cut(selection, |name| name < position, trim)
    } else {
        let trim = |slice: &mut ClusteringSlice| slice.start = slice.start.as_slice().max(&bound).to_vec();
        cut(selection, |name| name > position, trim)
    }
}

/// What comes up to a position, and lies at it.
#[must_use]
pub fn up_to(selection: &ClusteringSelection, position: &[u8], reversed: bool) -> ClusteringSelection {
    let bound = bound(position, !reversed);
    if reversed {
        let trim = |slice: &mut ClusteringSlice| slice.start = slice.start.as_slice().max(&bound).to_vec();
        cut(selection, |name| name >= position, trim)
    } else {
        let trim = |slice: &mut ClusteringSlice| slice.end = slice.end.as_slice().min(&bound).to_vec();
        cut(selection, |name| name <= position, trim)
    }
}

/// True if no row can be selected.
#[must_use]
pub fn is_nothing(selection: &ClusteringSelection) -> bool {
    match selection {
        ClusteringSelection::Names(names) => names.is_empty(),
        ClusteringSelection::Slices(slices) => slices.iter().all(ClusteringSlice::is_empty),
    }
}

/// The one of two positions that is met first.
#[must_use]
pub fn nearer<'a>(a: &'a [u8], b: &'a [u8], reversed: bool) -> &'a [u8] {
    if (a < b) == reversed { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn contains(selection: &ClusteringSelection, row: &[u8]) -> bool {
        match selection {
            ClusteringSelection::Names(names) => names.iter().any(|name| name == row),
            ClusteringSelection::Slices(slices) => slices.iter().any(|slice| slice.contains(row)),
        }
    }

    fn row(n: u8) -> Vec<u8> {
        vec![n, ROW_END]
    }

    proptest! {
        #[test]
        fn each_row_is_on_one_side(
            bounds in prop::collection::btree_set(0u8..20, 2..6), names: bool, position in 0u8..20,
            at_row: bool, reversed: bool,
        ) {
            let bounds: Vec<u8> = bounds.into_iter().collect();
            let selection = if names {
                ClusteringSelection::Names(bounds.iter().map(|n| row(*n)).collect())
            } else {
                let slices = bounds.chunks_exact(2);
                ClusteringSelection::Slices(slices.map(|pair| {
                    ClusteringSlice { start: vec![pair[0], BELOW], end: vec![pair[1], BELOW] }
                }).collect())
            };
            let place = if at_row { row(position) } else { vec![position, BELOW] };
            let (before, after) = (up_to(&selection, &place, reversed), behind(&selection, &place, reversed));
            for n in 0u8..20 {
                let is_before = if reversed { row(n) >= place } else { row(n) <= place };
                let selected = contains(&selection, &row(n));
                prop_assert_eq!(contains(&before, &row(n)), selected && is_before);
                prop_assert_eq!(contains(&after, &row(n)), selected && !is_before);
            }
        }
    }
}
