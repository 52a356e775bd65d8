//! Which table is to be repaired next without anyone having asked.

use dodona_types::TableId;

const HOUR: i64 = 3_600;
const WEEK: i64 = 7 * 24 * HOUR;

/// A table, and how it stands with its repairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The table.
    pub table: TableId,
    /// How long it keeps tombstones, in seconds.
    pub gc_grace_seconds: u32,
    /// The second at which the oldest of the last repairs of its ranges began.
    pub repaired_at: i64,
}

impl Standing {
    /// Seconds between two repairs: half of the time for which tombstones are kept, so that a repair which
    /// fails can be made again before a replica without one of them brings back what it deletes. At least
    /// an hour, at most a week.
    #[must_use]
    pub fn interval_seconds(&self) -> i64 {
        (i64::from(self.gc_grace_seconds) / 2).clamp(HOUR, WEEK)
    }

    const fn overdue_seconds(&self, now: i64, interval: i64) -> i64 {
        now.saturating_sub(self.repaired_at).saturating_sub(interval)
    }

    /// True if a tombstone may be purged that a replica has never seen.
    #[must_use]
    pub fn is_late(&self, now: i64) -> bool {
        self.gc_grace_seconds > 0 && self.overdue_seconds(now, i64::from(self.gc_grace_seconds)) > 0
    }
}

/// The table whose repair is most overdue, as a part of its interval.
#[must_use]
pub fn next(now: i64, tables: &[Standing]) -> Option<Standing> {
    let due = tables.iter().filter(|table| table.overdue_seconds(now, table.interval_seconds()) >= 0);
    let part = |table: &Standing| {
        i128::from(now.saturating_sub(table.repaired_at)) * i128::from(WEEK)
            / i128::from(table.interval_seconds())
    };
    due.max_by_key(|table| part(table)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn standing(number: u128, gc_grace_seconds: u32, repaired_at: i64) -> Standing {
        Standing { table: TableId(Uuid::from_u128(number)), gc_grace_seconds, repaired_at }
    }

    #[test]
    fn the_most_overdue_comes_first_and_what_is_not_due_does_not_come() {
        let now = 100 * WEEK;
        let ten_days = 864_000;
        let fresh = standing(1, ten_days, now - 5 * 24 * HOUR + 1);
        assert_eq!(next(now, &[fresh]), None);
        let due = standing(2, ten_days, now - 5 * 24 * HOUR);
        let urgent = standing(3, 4 * HOUR as u32, now - 3 * HOUR);
        assert_eq!(next(now, &[fresh, due]), Some(due));
        assert_eq!(next(now, &[due, urgent, fresh]), Some(urgent));
        assert!(!urgent.is_late(now) && urgent.is_late(now + 2 * HOUR));
    }

    #[test]
    fn tables_without_grace_are_repaired_each_hour_at_most() {
        assert_eq!(standing(1, 0, 0).interval_seconds(), HOUR);
        assert_eq!(standing(1, u32::MAX, 0).interval_seconds(), WEEK);
        assert!(!standing(1, 0, 0).is_late(WEEK));
    }
}
