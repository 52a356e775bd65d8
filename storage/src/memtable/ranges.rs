//! The range deletions of one partition: disjoint, sorted, the strongest deletion in force
//! everywhere.
//!
//! Bounds lie in chunks that snapshots share. A deletion over many bounds takes whole chunks at once: one
//! that is stronger than everything in a chunk takes its place, else it is noted as the least that is in
//! force in the chunk. So n deletions of one partition cost about n log n, in whatever order they come.

use dodona_types::Deletion;
use dodona_types::merge::merge_deletions;
use std::ops::Range;
use std::sync::Arc;

/// Bounds a chunk holds before it is split.
const CHUNK_BOUNDS: usize = 128;
/// Bytes that a bound takes beside its own.
const BOUND_BYTES: usize = 64;

/// The deletion in force from each bound on. Cloning takes a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    chunks: Arc<Vec<Chunk>>,
}

/// Neighbouring bounds, at least one, with the deletion in force from each on.
#[derive(Clone, Debug)]
struct Chunk {
    bounds: Arc<Vec<Bound>>,
    /// The least that is in force behind each of them, whatever they say.
    floor: Deletion,
    /// The strongest that they say.
    strongest: Deletion,
}

#[derive(Clone, Debug)]
struct Bound {
    at: Arc<[u8]>,
    deletion: Deletion,
}

impl Bound {
    fn heap_bytes(&self) -> isize {
        (self.at.len() + BOUND_BYTES).cast_signed()
    }
}

impl Chunk {
    fn new(bounds: Vec<Bound>, floor: Deletion) -> Self {
        let strongest = bounds.iter().map(|bound| bound.deletion).fold(Deletion::NONE, merge_deletions);
        Self { bounds: Arc::new(bounds), floor, strongest }
    }

    fn in_force(&self, bound: &Bound) -> Deletion {
        merge_deletions(bound.deletion, self.floor)
    }

    fn ends_before(&self, position: &[u8]) -> bool {
        self.bounds.last().is_some_and(|bound| *bound.at < *position)
    }

    /// The bounds, once each says itself what is in force.
    fn settled(&mut self) -> &mut Vec<Bound> {
        let bounds = Arc::make_mut(&mut self.bounds);
        if !self.floor.is_none() {
            bounds.iter_mut().for_each(|bound| bound.deletion = merge_deletions(bound.deletion, self.floor));
            self.strongest = merge_deletions(self.strongest, self.floor);
            self.floor = Deletion::NONE;
        }
        bounds
    }

    /// Puts a deletion in force behind some of the bounds, and removes those at which nothing changes any
    /// more. `before` is what is in force before the first of them, and afterwards behind the last.
    /// Returns the bytes that are free now.
    fn strengthen(&mut self, some: Range<usize>, deletion: Deletion, before: &mut Deletion) -> isize {
        if some.len() < self.bounds.len() {
            return self.strengthen_some(some, deletion, before);
        }
        if deletion <= self.floor {
            // Nothing changes.
        } else if deletion < self.strongest {
            self.floor = deletion;
        } else {
            let mut freed: isize = self.bounds.iter().map(Bound::heap_bytes).sum();
            let first = self.bounds.first().filter(|_| deletion != *before);
            let left: Vec<Bound> =
                first.map(|bound| Bound { deletion, ..bound.clone() }).into_iter().collect();
            freed -= left.iter().map(Bound::heap_bytes).sum::<isize>();
            *self = Self::new(left, Deletion::NONE);
            *before = deletion;
            return freed;
        }
        if let Some(bound) = self.bounds.last() {
            *before = self.in_force(bound);
        }
        0
    }

    fn strengthen_some(&mut self, some: Range<usize>, deletion: Deletion, before: &mut Deletion) -> isize {
        if some.is_empty() {
            return 0;
        }
        self.strongest = merge_deletions(self.strongest, deletion);
        let bounds = self.settled();
        let (mut kept, mut freed) = (some.start, 0);
        for index in some.clone() {
            let in_force = merge_deletions(bounds[index].deletion, deletion);
            if in_force == *before {
                freed += bounds[index].heap_bytes();
                continue;
            }
            bounds[index].deletion = in_force;
            *before = in_force;
            bounds.swap(kept, index);
            kept += 1;
        }
        bounds.drain(kept..some.end);
        freed
    }

    /// Removes the bound at a position if `before` is in force on both sides of it. Returns the bytes
    /// that are free now.
    fn remove_if_same(&mut self, position: &[u8], before: Deletion) -> isize {
        let at = self.bounds.partition_point(|bound| *bound.at < *position);
        let Some(bound) = self.bounds.get(at).filter(|bound| self.in_force(bound) == before) else {
            return 0;
        };
        let freed = bound.heap_bytes();
        self.settled().remove(at);
        freed
    }
}

/// The place of a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    chunk: usize,
    bound: usize,
}

impl Ranges {
    /// Deletes from `start` to `end`. Returns the growth in bytes.
    pub fn add(&mut self, start: &[u8], end: &[u8], deletion: Deletion) -> isize {
        if start >= end || deletion.is_none() {
            return 0;
        }
        let mut growth = self.insert(end) + self.insert(start);
        let mut before = self.before(start);
        let (from, to) = (self.place_of(start), self.place_of(end));
        let chunks = Arc::make_mut(&mut self.chunks);
        let mut kept = from.chunk;
        for index in from.chunk..=to.chunk {
            let chunk = &mut chunks[index];
            let first = if index == from.chunk { from.bound } else { 0 };
            let last = if index == to.chunk { to.bound } else { chunk.bounds.len() };
            growth -= chunk.strengthen(first..last, deletion, &mut before);
            if index == to.chunk {
                // The end says nothing if the same is in force on both sides of it.
                growth -= chunk.remove_if_same(end, before);
            }
            if !chunk.bounds.is_empty() {
                chunks.swap(kept, index);
                kept += 1;
            }
        }
        chunks.drain(kept..=to.chunk);
        growth
    }

    /// Makes a bound at which nothing changes yet. Returns the growth in bytes.
    fn insert(&mut self, position: &[u8]) -> isize {
        let place = self.place_of(position);
        if self.bound(place).is_some_and(|(bound, _)| bound == position) {
            return 0;
        }
        let bound = Bound { at: position.into(), deletion: self.at(position) };
        let growth = bound.heap_bytes();
        let chunks = Arc::make_mut(&mut self.chunks);
        // Behind all others it goes to the end of the last chunk.
        let index = place.chunk.min(chunks.len().saturating_sub(1));
        let Some(chunk) = chunks.get_mut(index) else {
            chunks.push(Chunk::new(vec![bound], Deletion::NONE));
            return growth;
        };
        let at = if place.chunk == index { place.bound } else { chunk.bounds.len() };
        chunk.strongest = merge_deletions(chunk.strongest, bound.deletion);
        let bounds = chunk.settled();
        bounds.insert(at, bound);
        if bounds.len() > CHUNK_BOUNDS {
            // A chunk that fills in order stays full; one that fills anywhere is halved.
            let split = if at + 1 == bounds.len() { CHUNK_BOUNDS } else { CHUNK_BOUNDS / 2 };
            let behind = Chunk::new(bounds.split_off(split), Deletion::NONE);
            chunks.insert(index + 1, behind);
        }
        growth
    }

    /// True without deletions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The place of the first bound at or behind `position`.
    fn place_of(&self, position: &[u8]) -> Place {
        let chunk = self.chunks.partition_point(|chunk| chunk.ends_before(position));
        let bound = self
            .chunks
            .get(chunk)
            .map_or(0, |chunk| chunk.bounds.partition_point(|bound| *bound.at < *position));
        Place { chunk, bound }
    }

    /// The bound at a place, and the deletion in force behind it.
    fn bound(&self, place: Place) -> Option<(&[u8], Deletion)> {
        let chunk = self.chunks.get(place.chunk)?;
        let bound = chunk.bounds.get(place.bound)?;
        Some((&bound.at, chunk.in_force(bound)))
    }

    fn next(&self, place: Place) -> Place {
        let is_last = self.chunks.get(place.chunk).is_some_and(|chunk| place.bound + 1 >= chunk.bounds.len());
        if is_last {
            Place { chunk: place.chunk + 1, bound: 0 }
        } else {
            Place { chunk: place.chunk, bound: place.bound + 1 }
        }
    }

    fn previous(&self, place: Place) -> Option<Place> {
        if place.bound > 0 {
            return Some(Place { chunk: place.chunk, bound: place.bound - 1 });
        }
        let chunk = place.chunk.checked_sub(1)?;
        Some(Place { chunk, bound: self.chunks.get(chunk)?.bounds.len() - 1 })
    }

    /// The deletion in force just behind `position`.
    #[must_use]
    pub fn at(&self, position: &[u8]) -> Deletion {
        match self.bound(self.place_of(position)) {
            Some((bound, deletion)) if bound == position => deletion,
            _ => self.before(position),
        }
    }

    /// The deletion in force just before `position`.
    #[must_use]
    pub fn before(&self, position: &[u8]) -> Deletion {
        let previous = self.previous(self.place_of(position)).and_then(|place| self.bound(place));
        previous.map_or(Deletion::NONE, |(_, deletion)| deletion)
    }

    /// The first bound at or behind `position` at which the deletion changes, and the new one.
    #[must_use]
    pub fn change_at_or_behind(&self, position: &[u8]) -> Option<(&[u8], Deletion)> {
        self.change_from(self.place_of(position), self.before(position))
    }

    /// The next bound behind `position` at which the deletion changes, and the new deletion.
    #[must_use]
    pub fn next_change(&self, position: &[u8]) -> Option<(&[u8], Deletion)> {
        let place = self.place_of(position);
        let is_here = self.bound(place).is_some_and(|(bound, _)| bound == position);
        self.change_from(if is_here { self.next(place) } else { place }, self.at(position))
    }

    /// The first bound from `place` on at which the deletion is no more `last`.
    fn change_from(&self, mut place: Place, last: Deletion) -> Option<(&[u8], Deletion)> {
        loop {
            let (bound, deletion) = self.bound(place)?;
            if deletion != last {
                return Some((bound, deletion));
            }
            place = self.next(place);
        }
    }

    /// The last bound before `position` at which the deletion changes, and the deletion before it.
    #[must_use]
    pub fn previous_change(&self, position: &[u8]) -> Option<(&[u8], Deletion)> {
        let mut place = self.previous(self.place_of(position))?;
        loop {
            let (bound, deletion) = self.bound(place)?;
            let previous = self.previous(place);
            let earlier = previous.and_then(|place| self.bound(place));
            let earlier = earlier.map_or(Deletion::NONE, |(_, deletion)| deletion);
            if earlier != deletion {
                return Some((bound, earlier));
            }
            place = previous?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn deletion(timestamp_micros: i64) -> Deletion {
        Deletion { timestamp_micros, deleted_at_seconds: 1 }
    }

    fn position(number: u32) -> [u8; 4] {
        number.to_be_bytes()
    }

    /// The bounds at which something changes, forward.
    fn changes(ranges: &Ranges) -> Vec<(Vec<u8>, Deletion)> {
        let mut next = ranges.change_at_or_behind(&[]);
        let mut all = Vec::new();
        while let Some((bound, deletion)) = next {
            all.push((bound.to_vec(), deletion));
            next = ranges.next_change(bound);
        }
        all
    }

    proptest! {
        #[test]
        fn every_point_has_the_strongest_deletion_over_it(
            added in prop::collection::vec((0u32..2_000, 1u32..800, 1i64..9), 0..700), snapshot_at in 0usize..700,
        ) {
            let mut ranges = Ranges::default();
            let mut strongest = vec![Deletion::NONE; 3_000];
            let (mut snapshot, mut then, mut bytes) = (Ranges::default(), strongest.clone(), 0);
            for (index, (start, length, timestamp)) in added.iter().enumerate() {
                // Most are short, so that there are many bounds.
                let length = if index % 16 == 0 { *length } else { 1 + length % 3 };
                let end = start + length;
                bytes += ranges.add(&position(*start), &position(end), deletion(*timestamp));
                for point in &mut strongest[*start as usize..end as usize] {
                    *point = merge_deletions(*point, deletion(*timestamp));
                }
                if index == snapshot_at {
                    (snapshot, then) = (ranges.clone(), strongest.clone());
                }
            }
            for (ranges, strongest) in [(&snapshot, &then), (&ranges, &strongest)] {
                let mut expected = Vec::new();
                let mut last = Deletion::NONE;
                for (point, deletion) in (0u32..).zip(strongest) {
                    prop_assert_eq!(ranges.at(&position(point)), *deletion);
                    prop_assert_eq!(ranges.before(&position(point)), last);
                    if *deletion != last {
                        expected.push((position(point).to_vec(), *deletion));
                    }
                    last = *deletion;
                }
                prop_assert_eq!(changes(ranges), &expected[..]);
                let mut back = Vec::new();
                let mut previous = ranges.previous_change(&[0xff]);
                while let Some((bound, earlier)) = previous {
                    back.push(bound.to_vec());
                    let at = expected.len() - back.len();
                    prop_assert_eq!(earlier, at.checked_sub(1).map_or(Deletion::NONE, |at| expected[at].1));
                    previous = ranges.previous_change(bound);
                }
                prop_assert!(back.iter().rev().eq(expected.iter().map(|(bound, _)| bound)));
            }
            let held = ranges.chunks.iter().flat_map(|chunk| chunk.bounds.iter()).map(Bound::heap_bytes);
            prop_assert_eq!(held.sum::<isize>(), bytes);
            prop_assert!(ranges.chunks.iter().all(|chunk| (1..=CHUNK_BOUNDS).contains(&chunk.bounds.len())));
        }
    }

    /// The bounds that are looked at for each addition, in chunks and in bounds of chunks, stay far below
    /// the number of those that are there.
    #[test]
    fn one_deletion_over_all_others_leaves_two_bounds() {
        let mut ranges = Ranges::default();
        let mut bytes = 0;
        for number in 0..10_000 {
            bytes += ranges.add(&position(2 * number), &position(2 * number + 1), deletion(2));
        }
        bytes += ranges.add(&position(0), &position(20_000), deletion(1));
        assert_eq!(changes(&ranges).len(), 20_001);
        bytes += ranges.add(&position(0), &position(20_000), deletion(3));
        assert_eq!(ranges.chunks.iter().map(|chunk| chunk.bounds.len()).sum::<usize>(), 2);
        assert_eq!(bytes, 2 * (4 + BOUND_BYTES).cast_signed());
    }
}
