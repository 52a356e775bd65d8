//! What a seed's clients do, and the tables that it takes.

use crate::world::simple;
use crate::{batching, reading};
use dodona_cluster::{ClusterError, Node};
use dodona_env::Random;

/// How often a seed has each of the kinds of work that not all have.
const HAS: f64 = 0.4;
/// Copies of everything.
pub(super) const COPIES: u32 = 3;

/// What work there is beside rows and conditional writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    pub(super) reads: bool,
    pub(super) batches: bool,
    pub(super) counts: bool,
}

impl Work {
    pub(super) fn of(random: &Random) -> Self {
        let [reads, batches, counts] = [(); 3].map(|()| random.chance(HAS));
        Self { reads, batches, counts }
    }

    /// Creates the tables for it on a node, unless they are there. The one of rows and that of counters are.
    ///
    /// # Errors
    /// The schema could not be changed.
    pub(super) async fn create_tables(self, node: &Node) -> Result<(), ClusterError> {
        if self.reads {
            reading::create_table(node, simple(COPIES)).await?;
        }
        if self.batches {
            batching::create_table(node, simple(COPIES)).await?;
        }
        Ok(())
    }

    /// True if a node has them.
    pub(super) fn has_tables(self, node: &Node) -> bool {
        let schema = node.schema();
        let has = |is_wanted: bool, keyspace: &str| !is_wanted || schema.table(keyspace, "t").is_some();
        has(true, "sim") && has(self.reads, "read") && has(self.batches, "batched")
    }
}
