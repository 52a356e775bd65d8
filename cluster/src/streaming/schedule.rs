//! Which range is fetched next, and from whom. No holder is asked for two ranges at a time: what it sends is limited, and
//! others can send meanwhile.

use crate::ring::MemberIndex;
use std::collections::{BTreeSet, VecDeque};

/// Fetches that are under way at a time. Of each, one answer is in memory.
pub(super) const MOST: usize = 4;

/// Ranges, each of which is fetched from as many of its holders as are needed: the first ones that send it.
#[derive(Debug)]
pub(super) struct Schedule {
    ranges: Vec<Wanted>,
    busy: BTreeSet<MemberIndex>,
}

#[derive(Debug)]
struct Wanted {
    /// Who was not asked yet.
    rest: VecDeque<MemberIndex>,
    /// From how many it has to come still, those that are asked at the moment among them.
    lacks: usize,
    asked: usize,
}

/// How far a range is once a fetch has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// There is more to come of it.
    GoesOn,
    /// All that is needed has come.
    Done,
    /// It lacks so many, and fewer are left: it is given up.
    Lacks(usize),
}

impl Schedule {
    /// Of each range its holders, and from how many of them it is fetched.
    pub(super) fn new<H: IntoIterator<Item = MemberIndex>>(
        ranges: impl IntoIterator<Item = (H, usize)>,
    ) -> Self {
        let wanted = ranges.into_iter().map(|(holders, needed)| Wanted {
            rest: holders.into_iter().collect(),
            lacks: needed,
            asked: 0,
        });
        Self { ranges: wanted.collect(), busy: BTreeSet::new() }
    }

    /// The range that is fetched next, and from whom; none before a fetch has ended, or none at all.
    pub(super) fn next(&mut self) -> Option<(usize, MemberIndex)> {
        if self.busy.len() == MOST {
            return None;
        }
        for (range, wanted) in self.ranges.iter_mut().enumerate() {
            let open = wanted.lacks - wanted.asked;
            let free = wanted.rest.iter().take(open).position(|holder| !self.busy.contains(holder));
            if let Some(holder) = free.and_then(|at| wanted.rest.remove(at)) {
                wanted.asked += 1;
                self.busy.insert(holder);
                return Some((range, holder));
            }
        }
        None
    }

    /// A fetch of a range from a holder has ended: all of it has come, or it has not.
    pub(super) fn ended(&mut self, range: usize, holder: MemberIndex, has_come: bool) -> Ended {
        self.busy.remove(&holder);
        let wanted = &mut self.ranges[range];
        wanted.asked -= 1;
        wanted.lacks -= usize::from(has_come);
        if wanted.lacks == 0 {
            return Ended::Done;
        }
        if wanted.lacks > wanted.asked + wanted.rest.len() {
            wanted.rest.clear();
        }
        let is_given_up = wanted.asked == 0 && wanted.rest.is_empty();
        if is_given_up { Ended::Lacks(wanted.lacks) } else { Ended::GoesOn }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(schedule: &mut Schedule) -> Vec<(usize, MemberIndex)> {
        std::iter::from_fn(|| schedule.next()).collect()
    }

    #[test]
    fn ranges_come_from_several_holders_at_a_time_and_from_none_twice() {
        let holders = [vec![1, 2, 3], vec![1, 2, 3], vec![2, 3, 1]];
        let mut schedule = Schedule::new(holders.into_iter().map(|holders| (holders, 2)));
        // The third is the first one's only if another fails.
        assert_eq!(all(&mut schedule), [(0, 1), (0, 2), (2, 3)]);
        assert_eq!(schedule.ended(0, 2, true), Ended::GoesOn);
        assert_eq!(all(&mut schedule), [(1, 2)]);
        assert_eq!(schedule.ended(0, 1, true), Ended::Done);
        assert_eq!(all(&mut schedule), [(1, 1)]);
        assert_eq!(schedule.ended(2, 3, true), Ended::GoesOn);
        assert_eq!(all(&mut schedule), []);
        assert_eq!(schedule.ended(1, 2, true), Ended::GoesOn);
        assert_eq!(all(&mut schedule), [(2, 2)]);
        assert_eq!([schedule.ended(1, 1, true), schedule.ended(2, 2, true)], [Ended::Done; 2]);
        assert_eq!(all(&mut schedule), []);
    }

    #[test]
    fn another_holder_is_asked_for_what_one_does_not_send_until_too_few_are_left() {
        let holders = [vec![1, 2, 3], vec![3]];
        let mut schedule = Schedule::new(holders.into_iter().zip([2, 1]));
        assert_eq!(all(&mut schedule), [(0, 1), (0, 2), (1, 3)]);
        assert_eq!(schedule.ended(0, 1, false), Ended::GoesOn);
        assert_eq!(all(&mut schedule), []);
        assert_eq!(schedule.ended(1, 3, true), Ended::Done);
        assert_eq!(all(&mut schedule), [(0, 3)]);
        assert_eq!(schedule.ended(0, 3, false), Ended::GoesOn);
        assert_eq!(schedule.ended(0, 2, true), Ended::Lacks(1));
        assert_eq!(all(&mut schedule), []);
    }

    #[test]
    fn no_more_than_so_many_fetches_are_under_way() {
        let holders: Vec<Vec<MemberIndex>> = (0..2 * MOST).map(|holder| vec![holder]).collect();
        let mut schedule = Schedule::new(holders.into_iter().map(|holders| (holders, 1)));
        assert_eq!(all(&mut schedule).len(), MOST);
        assert_eq!(schedule.ended(0, 0, true), Ended::Done);
        assert_eq!(all(&mut schedule), [(MOST, MOST)]);
    }
}
