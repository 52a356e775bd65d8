//! What a repair is to do, and what came of it.

use dodona_types::token::TokenRange;
use uuid::Uuid;

/// Which replicas of a range hash at the same time (Cassandra `RepairParallelism`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parallelism {
    /// All.
    #[default]
    Parallel,
    /// One after another, so that all others are as quick as ever.
    Sequential,
    /// One of each data centre.
    DataCenters,
}

impl Parallelism {
    /// Its name for nodetool and the history of repairs, as in Cassandra.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parallel => "parallel",
            Self::Sequential => "sequential",
            Self::DataCenters => "dc_parallel",
        }
    }

    /// The places of replicas that hash one after another, by these replicas' data centres in their order. Each of these lanes
    /// goes on by itself.
    pub(super) fn lanes(self, data_centers: &[&str]) -> Vec<Vec<usize>> {
        let mut lanes: Vec<(&str, Vec<usize>)> = Vec::new();
        for (place, &data_center) in data_centers.iter().enumerate() {
            let is_same = |(other, _): &&mut (&str, Vec<usize>)| match self {
                Self::Parallel => false,
                Self::Sequential => true,
                Self::DataCenters => *other == data_center,
            };
            match lanes.iter_mut().find(is_same) {
                Some((_, lane)) => lane.push(place),
                None => lanes.push((data_center, vec![place])),
            }
        }
        lanes.into_iter().map(|(_, lane)| lane).collect()
    }
}

/// What is to be repaired of a table.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only ranges of which this node is the first replica, of those in `data_centers` if there are some: run on every node
    /// there, that is each range once.
    pub primary: bool,
    /// Only this part of the ring.
    pub range: Option<TokenRange>,
    /// Only between replicas in these data centres, this node's among them; empty for all.
    pub data_centers: Vec<String>,
    /// Only with these members, this node among them; empty for all.
    pub hosts: Vec<Uuid>,
    /// Leave out replicas that are down, instead of giving up.
    pub force: bool,
    /// Only this node fetches.
    pub pull: bool,
    /// Compare, and change nothing.
    pub preview: bool,
    /// Only what is not repaired yet, which is repaired afterwards.
    pub incremental: bool,
    /// With `preview`: only what is repaired.
    pub validate: bool,
    /// Which replicas hash at the same time.
    pub parallelism: Parallelism,
    /// Tables that are repaired at once, if several are asked for; 0 as 1.
    pub job_threads: usize,
}

impl Options {
    /// Of a node that sees to each range of which it is the first replica.
    #[must_use]
    pub fn primary() -> Self {
        Self { primary: true, ..Self::default() }
    }

    /// True if all replicas hold the same afterwards.
    pub(super) const fn is_complete(&self) -> bool {
        self.data_centers.is_empty() && self.hosts.is_empty() && !self.force && !self.pull && !self.preview
    }
}

/// What came of a repair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Ranges that were compared.
    pub ranges: usize,
    /// Parts of them in which replicas differed.
    pub differing: usize,
    /// Partitions, or pieces of them, that replicas fetched.
    pub partitions: u64,
    /// Bytes that replicas fetched.
    pub bytes: u64,
}

impl Outcome {
    /// Adds another one.
    pub const fn add(&mut self, other: Self) {
        self.ranges += other.ranges;
        self.differing += other.differing;
        self.partitions += other.partitions;
        self.bytes += other.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_centers_hash_at_the_same_time_and_their_replicas_one_after_another() {
        let lanes = |parallelism: Parallelism| parallelism.lanes(&["a", "b", "a", "c", "b"]);
        assert_eq!(lanes(Parallelism::DataCenters), [vec![0, 2], vec![1, 4], vec![3]]);
        assert_eq!(lanes(Parallelism::Sequential), [vec![0, 1, 2, 3, 4]]);
        assert_eq!(lanes(Parallelism::Parallel), [vec![0], vec![1], vec![2], vec![3], vec![4]]);
    }
}
