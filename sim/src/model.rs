//! What was attempted on each row and what was acknowledged.

use std::collections::BTreeMap;
use std::time::Duration;

/// A row: partition and clustering number.
pub type RowId = (u8, u8);

/// What an attempt does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Writes a value.
    Put(u64),
    /// Deletes the row.
    Delete,
}

/// An attempt to change a row.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Its timestamp.
    pub timestamp: i64,
    /// What it does.
    pub action: Action,
    /// When it was acknowledged, in the simulation's time.
    pub acknowledged_at: Option<Duration>,
    /// It must be found again from now on.
    pub must_survive: bool,
}

/// Every attempt on every row.
#[derive(Debug, Default)]
pub struct Model {
    attempts: BTreeMap<RowId, Vec<Attempt>>,
    /// Acknowledged attempts.
    pub acknowledged: u64,
}

impl Model {
    /// Notes an attempt before it is made.
    pub fn attempt(&mut self, row: RowId, timestamp: i64, action: Action) {
        let attempt = Attempt { timestamp, action, acknowledged_at: None, must_survive: false };
        self.attempts.entry(row).or_default().push(attempt);
    }

    /// Notes the acknowledgement of an attempt.
    pub fn acknowledge(&mut self, row: RowId, timestamp: i64, at: Duration) {
        for attempt in self.attempts.entry(row).or_default() {
            if attempt.timestamp == timestamp {
                attempt.acknowledged_at = Some(at);
            }
        }
        self.acknowledged += 1;
    }

    /// From now on every attempt that was acknowledged by `until` must be found.
    pub fn promise(&mut self, until: Duration) {
        for attempt in self.attempts.values_mut().flatten() {
            attempt.must_survive |= attempt.acknowledged_at.is_some_and(|at| at <= until);
        }
    }

    /// The node is gone: what was acknowledged without such a promise may be lost for good.
    pub fn forget_unpromised(&mut self) {
        for attempt in self.attempts.values_mut().flatten() {
            if !attempt.must_survive {
                attempt.acknowledged_at = None;
            }
        }
    }

    /// What was written to these rows may be lost for good, unless `is_kept` says otherwise.
    pub fn forget(&mut self, is_meant: impl Fn(RowId) -> bool, is_kept: impl Fn(RowId, &Attempt) -> bool) {
        for (row, attempts) in self.attempts.iter_mut().filter(|(row, _)| is_meant(**row)) {
            for attempt in attempts.iter_mut().filter(|attempt| !is_kept(*row, attempt)) {
                (attempt.acknowledged_at, attempt.must_survive) = (None, false);
            }
        }
    }

    /// The attempts on a row.
    #[must_use]
    pub fn attempts(&self, row: RowId) -> &[Attempt] {
        self.attempts.get(&row).map_or(&[], Vec::as_slice)
    }

    /// Rows that were touched.
    pub fn rows(&self) -> impl Iterator<Item = RowId> + '_ {
        self.attempts.keys().copied()
    }
}
