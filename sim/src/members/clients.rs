//! What clients do while members come and go: rows and conditional writes in every seed, and by the seed reads of every shape,
//! logged batches and counters. In the end they look at all of it.

use super::Host;
use super::shared::Shared;
use super::work::Work;
use crate::{batching, conditional, counting, quorum, reading};
use dodona_cluster::Node;
use dodona_env::Random;
use dodona_types::Consistency::{self, All, Any, EachQuorum, LocalOne, LocalQuorum, One, Quorum};
use std::sync::Arc;

/// Milliseconds between two steps of such a client, at most.
const PAUSE: u64 = 150;

/// Levels of batches, of commits of conditional writes, of writes, and of reads.
struct Levels {
    batches: &'static [Consistency],
    commits: &'static [Consistency],
    writes: &'static [Consistency],
    reads: &'static [Consistency],
}

const ONE_CENTER: Levels = Levels {
    batches: &[Any, Quorum, Quorum, All],
    commits: &[Any, One, Quorum, All],
    writes: &[Quorum, Quorum, LocalQuorum, All],
    reads: &[One, Quorum, Quorum, LocalQuorum, All],
};
const TWO_CENTERS: Levels = Levels {
    batches: &[Any, LocalQuorum, EachQuorum, Quorum],
    commits: &[Any, One, LocalQuorum, EachQuorum, Quorum],
    writes: &[LocalQuorum, LocalQuorum, EachQuorum, Quorum, All],
    reads: &[One, LocalOne, LocalQuorum, LocalQuorum, EachQuorum, Quorum, All],
};

/// The clients of a node's life, or those that look at the end of it.
pub(super) struct Clients {
    pub(super) rows: quorum::Client,
    swaps: conditional::Client,
    reads: reading::Client,
    batches: batching::Client,
    replays: batching::Client,
    counts: counting::Client,
    shared: Arc<Shared>,
}

impl Clients {
    pub(super) fn new(host: &Host, node: &Arc<Node>, random: &Random) -> Self {
        let (index, shared) = (host.machine.index, Arc::clone(&host.shared));
        let center = shared.work.center(index);
        let levels = if shared.work.has_centers() { TWO_CENTERS } else { ONE_CENTER };
        let batches = |label: &str| batching::Client {
            node: Arc::clone(node),
            random: random.split(label),
            index,
            levels: levels.batches,
            relies_on_hints: false,
            pause: PAUSE,
            known: Arc::clone(&shared.batched),
            trace: shared.trace.clone(),
        };
        Self {
            rows: quorum::Client {
                node: Arc::clone(node),
                random: random.split("rows"),
                index,
                rows: Arc::clone(&shared.rows),
                trace: shared.trace.clone(),
            },
            swaps: conditional::Client {
                node: Arc::clone(node),
                random: random.split("conditional"),
                index,
                keys: conditional::EVERYWHERE,
                serial: Consistency::Serial,
                center,
                levels: [levels.commits, &[]],
                told: Arc::clone(&shared.told),
                trace: shared.trace.clone(),
            },
            reads: reading::Client {
                node: Arc::clone(node),
                random: random.split("reads"),
                index,
                center,
                levels: [levels.writes, levels.reads],
                pause: PAUSE,
                known: Arc::clone(&shared.read),
                trace: shared.trace.clone(),
            },
            batches: batches("batches"),
            replays: batches("replays"),
            counts: counting::Client {
                node: Arc::clone(node),
                random: random.split("counts"),
                pause: PAUSE,
                tally: Arc::clone(&shared.tally),
            },
            shared,
        }
    }

    /// Has those work that do so beside the node's main work, until everything is healed or the node has left.
    pub(super) fn spawn(self, node: &Arc<Node>) -> quorum::Client {
        let Self { rows, swaps, reads, batches, replays, counts, shared } = self;
        let until = || {
            let (shared, of) = (Arc::clone(&shared), Arc::clone(node));
            move || *shared.healed.lock() || of.has_left()
        };
        let is_over = until();
        shared.rows.watch(node, async move { swaps.run(is_over).await });
        if shared.work.reads {
            let is_over = until();
            shared.rows.watch(node, async move { reads.run(is_over).await });
        }
        if shared.work.batches {
            let is_over = until();
            shared.rows.watch(node, async move { batches.run(is_over).await });
            let is_over = until();
            node.env.tasks.spawn_local(async move { replays.replay(is_over).await });
        }
        if shared.work.counts {
            node.env.tasks.spawn_local(counts.run(until()));
        }
        rows
    }

    /// Brings what was begun to its end.
    pub(super) async fn end(&self) {
        if self.shared.work.batches {
            self.replays.replay_all().await;
        }
    }

    /// Reads everything, once nothing is under way any more.
    ///
    /// # Errors
    /// The promise that was broken.
    pub(super) async fn read_all(&self) -> Result<(), String> {
        self.swaps.read_all().await;
        self.rows.converge().await;
        let Work { reads, batches, counts, .. } = self.shared.work;
        if counts {
            self.counts.judge().await?;
        }
        if batches {
            self.batches.judge_all().await?;
        }
        if reads {
            self.reads.read_all().await?;
        }
        Ok(())
    }

    /// Compares what this node holds with what others do, once all of them have read everything.
    ///
    /// # Errors
    /// They differ.
    pub(super) fn compare(&self) -> Result<(), String> {
        if self.shared.work.reads { self.reads.compare() } else { Ok(()) }
    }
}
