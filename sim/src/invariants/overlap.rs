//! Which reads are sure to ask a replica that a write has reached, by their levels and data centres.

use dodona_types::Consistency;

/// The replicas that a level is sure of: so many of each data centre, and so many in all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sure {
    by_center: Vec<u32>,
    total: u32,
}

impl Sure {
    /// What a coordinator in the data centre `center` is sure of at a level, if each data centre holds
    /// so many copies.
    #[must_use]
    pub fn of(level: Consistency, center: usize, copies: &[u32]) -> Self {
        let quorum = |copies: u32| copies / 2 + 1;
        let all: u32 = copies.iter().sum();
        let here = |count: u32| {
            let mut by_center = vec![0; copies.len()];
            by_center[center] = count;
            by_center
        };
        let none = || vec![0; copies.len()];
        let (by_center, total) = match level {
            // A hint may be all there is.
            Consistency::Any => (none(), 0),
            Consistency::One => (none(), 1),
            Consistency::Two => (none(), 2),
            Consistency::Three => (none(), 3),
            Consistency::Quorum | Consistency::Serial => (none(), quorum(all)),
            Consistency::LocalOne => (here(1), 1),
            Consistency::LocalQuorum | Consistency::LocalSerial => {
                (here(quorum(copies[center])), quorum(copies[center]))
            }
            Consistency::EachQuorum => {
                let each: Vec<u32> = copies.iter().map(|copies| quorum(*copies)).collect();
                let total = each.iter().sum();
                (each, total)
            }
            Consistency::All => (copies.to_vec(), all),
        };
        Self { by_center, total }
    }

    /// True if one of the replicas of `self` is one of those of `other`, whichever they are.
    #[must_use]
    pub fn meets(&self, other: &Self, copies: &[u32]) -> bool {
        let mut free = 0;
        for ((mine, theirs), copies) in self.by_center.iter().zip(&other.by_center).zip(copies) {
            match copies.checked_sub(mine + theirs) {
                Some(left) => free += left,
                None => return true,
            }
        }
        // The rest of each may be anywhere.
        let rest = |sure: &Self| sure.total.saturating_sub(sure.by_center.iter().sum());
        rest(self) + rest(other) > free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Consistency::{All, Any, EachQuorum, LocalOne, LocalQuorum, One, Quorum};

    fn meets(write: (Consistency, usize), read: (Consistency, usize), copies: &[u32]) -> bool {
        let (write, read) = (Sure::of(write.0, write.1, copies), Sure::of(read.0, read.1, copies));
        assert_eq!(write.meets(&read, copies), read.meets(&write, copies));
        write.meets(&read, copies)
    }

    #[test]
    fn levels_meet_as_their_counts_say() {
        let two = [3, 3];
        assert!(meets((LocalQuorum, 0), (LocalQuorum, 0), &two));
        assert!(!meets((LocalQuorum, 0), (LocalQuorum, 1), &two));
        assert!(meets((EachQuorum, 0), (LocalQuorum, 1), &two));
        assert!(meets((Quorum, 0), (Quorum, 1), &two));
        assert!(!meets((Quorum, 0), (LocalQuorum, 0), &two));
        assert!(meets((EachQuorum, 1), (Quorum, 0), &two));
        assert!(!meets((EachQuorum, 1), (One, 0), &two));
        assert!(meets((All, 1), (LocalOne, 0), &two) && !meets((Any, 0), (All, 1), &two));
        assert!(meets((LocalOne, 1), (All, 0), &two));
        assert!(meets((Quorum, 0), (Quorum, 0), &[2]) && !meets((One, 0), (One, 0), &[2]));
        assert!(meets((One, 0), (One, 0), &[1]));
    }
}
