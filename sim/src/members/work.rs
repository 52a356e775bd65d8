//! Where a seed's nodes stand, what its clients do, and the tables that it takes.

use super::NODES;
use crate::shape::Shape;
use crate::world::{create_table, simple};
use crate::{batching, reading};
use dodona_cluster::{ClusterError, Node};
use dodona_env::Random;
use dodona_types::schema::Options;

/// How often a seed has each of the kinds of work that not all have.
const HAS: f64 = 0.4;
/// How often a seed has two data centres.
const TWO_CENTERS: f64 = 0.33;
/// How often there are rows and conditional writes alone in one data centre, no late messages, jumps of clocks or full disks: more of what
/// only members bring goes on there.
const PLAIN: f64 = 0.4;
/// Copies of everything, and in each of two data centres.
const COPIES: u32 = 3;
const COPIES_OF_TWO: u32 = 2;
/// Tombstones outlast the run: no repair brings what a replica has missed.
const GRACE_SECONDS: u32 = 86_400;

/// Where nodes stand, and what work there is beside rows and conditional writes.
#[derive(Clone, Debug)]
pub(super) struct Work {
    shape: Shape,
    pub(super) reads: bool,
    pub(super) batches: bool,
    pub(super) counts: bool,
    pub(super) all_faults: bool,
}

impl Work {
    pub(super) fn of(random: &Random) -> Self {
        let [reads, batches, counts] = [(); 3].map(|()| random.chance(HAS));
        let shape = if random.chance(TWO_CENTERS) {
            let places = (0..NODES.len()).map(|node| (node % 2, node)).collect();
            Shape { places, copies: vec![COPIES_OF_TWO; 2] }
        } else {
            Shape::flat(NODES.len(), COPIES)
        };
        if random.chance(PLAIN) {
            let shape = Shape::flat(NODES.len(), COPIES);
            return Self { shape, reads: false, batches: false, counts: false, all_faults: false };
        }
        Self { shape, reads, batches, counts, all_faults: true }
    }

    /// Copies in each data centre.
    pub(super) fn copies(&self) -> &[u32] {
        &self.shape.copies
    }

    /// The number of a node's data centre.
    pub(super) fn center(&self, node: usize) -> usize {
        self.shape.places[node].0
    }

    /// True if there are several data centres.
    pub(super) fn has_centers(&self) -> bool {
        self.copies().len() > 1
    }

    /// True if so many full members are enough for another one of them to go for good, in its data centre.
    pub(super) fn are_enough_beside(&self, node: usize, members: impl Iterator<Item = usize>) -> bool {
        let center = self.center(node);
        let beside = members.filter(|other| *other != node && self.center(*other) == center);
        beside.count() >= self.copies()[center] as usize
    }

    fn replication(&self) -> Options {
        if self.has_centers() { self.shape.replication() } else { simple(COPIES) }
    }

    /// Creates the tables on a node, unless they are there.
    ///
    /// # Errors
    /// The schema could not be changed.
    pub(super) async fn create_tables(&self, node: &Node) -> Result<(), ClusterError> {
        create_table(node, self.replication(), GRACE_SECONDS).await?;
        if self.reads {
            reading::create_table(node, self.replication()).await?;
        }
        if self.batches {
            batching::create_table(node, self.replication()).await?;
        }
        Ok(())
    }

    /// True if a node has them.
    pub(super) fn has_tables(&self, node: &Node) -> bool {
        let schema = node.schema();
        let has = |is_wanted: bool, keyspace: &str| !is_wanted || schema.table(keyspace, "t").is_some();
        has(true, "sim") && has(self.reads, "read") && has(self.batches, "batched")
    }
}
