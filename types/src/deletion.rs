//! Deletion times: what a tombstone of any kind carries.

use std::fmt;

/// When something was deleted. It covers every timestamp up to and including its own.
///
/// The order is the order of the merge rule: the later timestamp wins, then the later local time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Deletion {
    /// Microseconds since the epoch, as the writer gave them; `i64::MIN` is no deletion.
    pub timestamp_micros: i64,
    /// Seconds since the epoch on the coordinator's clock, from which gc_grace counts.
    pub deleted_at_seconds: i64,
}

impl Deletion {
    /// No deletion: it covers nothing.
    pub const NONE: Self = Self { timestamp_micros: i64::MIN, deleted_at_seconds: i64::MIN };

    /// True if nothing is deleted.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.timestamp_micros == i64::MIN
    }

    /// True if something written at `timestamp_micros` is deleted by this.
    #[must_use]
    pub const fn covers(self, timestamp_micros: i64) -> bool {
        timestamp_micros <= self.timestamp_micros && !self.is_none()
    }
}

impl fmt::Debug for Deletion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            f.write_str("no deletion")
        } else {
            write!(f, "deletion at {} µs ({} s)", self.timestamp_micros, self.deleted_at_seconds)
        }
    }
}
