//! Counting.

use hdrhistogram::Histogram;

use super::operation::OperationKind;
use super::verify::Findings;

/// Latencies up to a minute, to 3 digits.
const MAX_NANOS: u64 = 60_000_000_000;
const DIGITS: u8 = 3;

/// What a phase gave.
#[derive(Clone, Debug)]
pub(super) struct Stats {
    /// Latencies in nanoseconds by [`OperationKind`].
    latencies: [Histogram<u64>; OperationKind::ALL.len()],
    /// Rows that came back.
    pub(super) rows: u64,
    /// Reads that found nothing.
    pub(super) missing: u64,
    /// What comparisons of `--verify` have given.
    pub(super) findings: Findings,
    /// Connections that were lost and opened again.
    pub(super) lost: u64,
    /// Operations that they took the answers of: they may have happened or not.
    pub(super) unanswered: u64,
    /// Operations that failed.
    pub(super) errors: u64,
    /// What the first failure said.
    pub(super) first_error: Option<String>,
}

impl Stats {
    pub(super) fn new() -> Self {
        Self {
            latencies: OperationKind::ALL.map(|_| histogram()),
            rows: 0,
            missing: 0,
            findings: Findings::default(),
            lost: 0,
            unanswered: 0,
            errors: 0,
            first_error: None,
        }
    }

    /// Counts an operation that took this long; longer than a minute counts as a minute.
    #[inline]
    pub(super) fn record(&mut self, kind: OperationKind, nanos: u64) {
        self.latencies[kind as usize].saturating_record(nanos);
    }

    pub(super) fn fail(&mut self, message: impl FnOnce() -> String) {
        self.errors += 1;
        self.first_error.get_or_insert_with(message);
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.latencies.iter_mut().zip(&other.latencies) {
            // Both have the same bounds: adding does not fail.
            let _ = mine.add(theirs);
        }
        self.rows += other.rows;
        self.missing += other.missing;
        self.findings.add(&other.findings);
        self.lost += other.lost;
        self.unanswered += other.unanswered;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or_else(|| other.first_error.clone());
    }

    /// Operations that succeeded.
    pub(super) fn operations(&self) -> u64 {
        self.latencies.iter().map(Histogram::len).sum()
    }

    /// Latencies in nanoseconds of the kinds of operations that there were.
    pub(super) fn latencies(&self) -> impl Iterator<Item = (OperationKind, &Histogram<u64>)> {
        OperationKind::ALL.into_iter().zip(&self.latencies).filter(|(_, histogram)| !histogram.is_empty())
    }
}

/// The constructor refuses only bounds that make no sense; these are constants.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_NANOS, DIGITS).expect("valid bounds")
}
