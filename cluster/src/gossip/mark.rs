//! How far a node's data directory is, as others remember it.

use super::state::Generation;
use serde::{Deserialize, Serialize};

/// How far a data directory is. Each part only grows, and is on disk before others hear of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The generation of the node's last life.
    pub generation: i64,
    /// Up to which position the commit log is on disk.
    pub log: u64,
    /// The term of the last vote on the metadata log.
    pub term: u64,
    /// The version of the metadata.
    pub version: u64,
}

impl Mark {
    /// As a value of gossip: without the generation, which a node's state has by itself.
    #[must_use]
    pub fn told(&self) -> String {
        format!("{} {} {}", self.log, self.term, self.version)
    }

    /// What a node of this generation has told; zeros for what it has not, or what is not understood.
    #[must_use]
    pub fn of(generation: Generation, told: Option<&str>) -> Self {
        let mut numbers =
            told.unwrap_or_default().split(' ').map(|number| number.parse().unwrap_or_default());
        let mut next = || numbers.next().unwrap_or_default();
        Self { generation: generation.0, log: next(), term: next(), version: next() }
    }

    /// The furthest of both, part by part.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            generation: self.generation.max(other.generation),
            log: self.log.max(other.log),
            term: self.term.max(other.term),
            version: self.version.max(other.version),
        }
    }

    /// What it lacks of what others remember, if anything.
    #[must_use]
    pub fn lacks(&self, known: &Self) -> Option<String> {
        if self.generation < known.generation {
            let (own, known) = (self.generation, known.generation);
            return Some(format!("its last life was of the generation {own}, and one of {known} is known"));
        }
        let parts = [
            ("its commit log ends at position", self.log, known.log),
            ("its last vote on the metadata log was in term", self.term, known.term),
            ("its metadata are of version", self.version, known.version),
        ];
        let (what, own, known) = parts.into_iter().find(|(_, own, known)| own < known)?;
        Some(format!("{what} {own}, and {known} was on its disk"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_in_any_part_lacks_it() {
        let mark = Mark { generation: 5, log: 100, term: 3, version: 9 };
        assert_eq!(Mark::of(Generation(5), Some(&mark.told())), mark);
        assert_eq!(Mark::of(Generation(5), Some("one")), Mark { generation: 5, ..Mark::default() });
        assert_eq!(mark.lacks(&mark), None);
        assert_eq!(mark.lacks(&Mark::default()), None);
        for (further, told) in [
            (Mark { generation: 6, ..mark }, "generation 5"),
            (Mark { log: 101, ..mark }, "position 100, and 101"),
            (Mark { term: 4, ..mark }, "term 3"),
            (Mark { version: 10, ..mark }, "version 9"),
        ] {
            assert!(mark.lacks(&further).unwrap().contains(told));
            assert_eq!(further.lacks(&mark), None);
            assert_eq!(mark.max(further), further);
            assert_eq!(further.max(mark), further);
        }
    }
}
