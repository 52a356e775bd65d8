//! What a truncation that succeeds leaves of a table: nothing that was written before, all that is written after.

use crate::model::RowId;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long after a write was begun it may still come to a replica.
const UNDER_WAY: Duration = Duration::from_millis(100);

/// A write of a row.
#[derive(Clone, Copy, Debug)]
struct Write {
    timestamp: i64,
    value: u64,
    begun: Duration,
    acknowledged: bool,
}

/// All writes and truncations of a table.
#[derive(Debug, Default)]
pub struct Emptied {
    writes: BTreeMap<RowId, Vec<Write>>,
    /// Nothing is there that was written before this.
    gone_before: Duration,
    /// What was begun before this may be there or not.
    open_before: Duration,
}

impl Emptied {
    /// Notes a write before it is made.
    pub fn attempt(&mut self, row: RowId, timestamp: i64, value: u64, begun: Duration) {
        let write = Write { timestamp, value, begun, acknowledged: false };
        self.writes.entry(row).or_default().push(write);
    }

    /// Notes that a write was acknowledged by a majority.
    pub fn acknowledge(&mut self, row: RowId, timestamp: i64) {
        for write in self.writes.entry(row).or_default() {
            write.acknowledged |= write.timestamp == timestamp;
        }
    }

    /// The table was truncated meanwhile.
    pub fn truncated(&mut self, begun: Duration, ended: Duration) {
        self.gone_before = self.gone_before.max(begun);
        self.open_before = self.open_before.max(ended);
    }

    /// The table may have been truncated, on some nodes or all, or may be until then.
    pub fn may_be_truncated(&mut self, until: Duration) {
        self.open_before = self.open_before.max(until);
    }

    /// What a read has to show at least if it begins now, by row: a timestamp.
    #[must_use]
    pub fn promises(&self, partition: u8) -> BTreeMap<RowId, i64> {
        let newest = |writes: &Vec<Write>| {
            let promised = |write: &&Write| write.acknowledged && write.begun >= self.open_before;
            writes.iter().filter(promised).map(|write| write.timestamp).max()
        };
        let of_partition = self.writes.range((partition, 0)..=(partition, u8::MAX));
        of_partition.filter_map(|(row, writes)| Some((*row, newest(writes)?))).collect()
    }

    /// Judges what a majority showed of a row: timestamp and value.
    ///
    /// # Errors
    /// It is what nobody wrote, what was truncated, or less than what was promised when the read began.
    pub fn judge(&self, row: RowId, promise: Option<i64>, seen: Option<(i64, u64)>) -> Result<(), String> {
        let shown = seen.map_or(i64::MIN, |(timestamp, _)| timestamp);
        if promise.is_some_and(|promise| shown < promise) {
            return Err(format!(
                "row {row:?} of a table that is truncated shows {seen:?}, although {promise:?} was acknowledged after \
                 the last truncation"
            ));
        }
        let Some((timestamp, value)) = seen else { return Ok(()) };
        let writes = self.writes.get(&row).map_or(&[][..], Vec::as_slice);
        let Some(write) = writes.iter().find(|write| (write.timestamp, write.value) == (timestamp, value))
        else {
            return Err(format!(
                "row {row:?} of a table that is truncated shows {seen:?}, which nobody wrote"
            ));
        };
        if write.begun + UNDER_WAY <= self.gone_before {
            return Err(format!(
                "row {row:?} shows {seen:?}, written at {:?}, although the table was truncated at {:?}",
                write.begun, self.gone_before
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_come_back_and_rows_that_are_lost_are_found() {
        let second = Duration::from_secs;
        let (row, mut known) = ((1, 1), Emptied::default());
        known.attempt(row, 5, 50, second(1));
        known.acknowledge(row, 5);
        assert_eq!(known.promises(1)[&row], 5);
        assert!(known.judge(row, Some(5), None).is_err());
        assert!(known.judge(row, Some(5), Some((5, 50))).is_ok());
        known.truncated(second(2), second(3));
        assert!(known.promises(1).is_empty());
        assert!(known.judge(row, None, None).is_ok());
        assert!(known.judge(row, None, Some((5, 50))).is_err());
        known.attempt(row, 4, 40, second(2));
        known.attempt(row, 3, 30, second(4));
        known.acknowledge(row, 4);
        known.acknowledge(row, 3);
        assert!(known.judge(row, None, Some((4, 40))).is_ok(), "at the same time");
        assert_eq!(known.promises(1)[&row], 3);
        assert!(known.judge(row, None, Some((3, 31))).is_err());
        known.may_be_truncated(second(5));
        assert!(known.promises(1).is_empty());
        assert!(known.judge(row, None, Some((3, 30))).is_ok());
    }
}
