//! Ranges of a table that come to count together. Each change of what counts costs files and syncs, so that it is made for
//! many small ranges at once; but not so late that a node that is stopped would have fetched much in vain.

use super::puller::{Puller, Shared};
use crate::error::ClusterError;
use dodona_types::TableId;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Bytes and time after which what was fetched is to be kept.
const BYTES: u64 = 16 << 20;
const TIME: Duration = Duration::from_secs(1);
/// Batches that are there at a time: each has a memtable of its own.
const MOST: usize = 2;

/// When something began, by the clock and by what had been received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    at: Duration,
    bytes: u64,
}

impl Since {
    pub(super) fn now(puller: &Puller<'_>) -> Self {
        Self { at: puller.env.clock.mono(), bytes: puller.progress.bytes.load(Relaxed) }
    }

    /// True once so much was received since, or so much time is over, that it is to be kept.
    pub(super) fn is_due(self, puller: &Puller<'_>) -> bool {
        let now = Self::now(puller);
        now.bytes.saturating_sub(self.bytes) >= BYTES || now.at.saturating_sub(self.at) >= TIME
    }
}

struct Batch {
    arrivals: Shared,
    since: Since,
    under_way: BTreeSet<usize>,
    done: Vec<usize>,
}

/// The batches of a table, the oldest first.
pub(super) struct Batches<'a> {
    puller: &'a Puller<'a>,
    table: TableId,
    open: Vec<Batch>,
}

impl<'a> Batches<'a> {
    pub(super) const fn new(puller: &'a Puller<'a>, table: TableId) -> Self {
        Self { puller, table, open: Vec::new() }
    }

    /// Where what comes of a range goes that is to be repaired here.
    ///
    /// # Errors
    /// The engine does not know the table.
    pub(super) fn arrivals_of(&mut self, range: usize) -> Result<Shared, ClusterError> {
        let known = self.open.iter().position(|batch| batch.under_way.contains(&range));
        let is_full = self.open.last().is_none_or(|batch| batch.since.is_due(self.puller));
        if known.is_none() && is_full && self.open.len() < MOST {
            let arrivals = self.puller.begin_repaired(self.table)?;
            let (since, under_way) = (Since::now(self.puller), BTreeSet::new());
            self.open.push(Batch { arrivals, since, under_way, done: Vec::new() });
        }
        let last = self.open.len() - 1;
        let batch = &mut self.open[known.unwrap_or(last)];
        batch.under_way.insert(range);
        Ok(batch.arrivals.clone())
    }

    /// Nothing of a range comes any more: all of it has, or it is given up. Gives the ranges that count now.
    ///
    /// # Errors
    /// This node does not take what has come.
    pub(super) async fn ended(&mut self, range: usize, is_done: bool) -> Result<Vec<usize>, ClusterError> {
        for batch in &mut self.open {
            if batch.under_way.remove(&range) && is_done {
                batch.done.push(range);
            }
        }
        let mut done = Vec::new();
        while let Some(first) = self.open.first()
            && first.under_way.is_empty()
            && (self.open.len() > 1 || first.since.is_due(self.puller))
        {
            done.extend(self.end_first().await?);
        }
        Ok(done)
    }

    /// Has all count that has come. Gives the ranges that it is all of.
    ///
    /// # Errors
    /// As [`Self::ended`].
    pub(super) async fn end(&mut self) -> Result<Vec<usize>, ClusterError> {
        let mut done = Vec::new();
        while !self.open.is_empty() {
            done.extend(self.end_first().await?);
        }
        Ok(done)
    }

    async fn end_first(&mut self) -> Result<Vec<usize>, ClusterError> {
        let Batch { arrivals, done, .. } = self.open.remove(0);
        self.puller.end_arrivals(vec![arrivals], Ok(())).await?;
        Ok(done)
    }

    /// Forgets what does not count yet.
    pub(super) async fn discard(self, error: ClusterError) -> ClusterError {
        for batch in self.open {
            let _ = self.puller.end_arrivals(vec![batch.arrivals], Err(error.clone())).await;
        }
        error
    }
}
