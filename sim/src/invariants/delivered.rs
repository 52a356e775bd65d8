//! A write that a replica missed comes to it by a hint, without any read of it: unless its coordinator
//! lost power before the hint was on disk, or the hint waited for longer than its table keeps tombstones.

use std::collections::BTreeSet;
use std::time::Duration;

/// How long it takes at most until what a replica missed is on the coordinator's disk: the time for a
/// conditional write or the timeout of another, and the period in which hints are gathered, twice.
const UNTIL_KEPT: Duration = Duration::from_secs(4);

struct Write {
    number: u64,
    partition: u8,
    coordinator: usize,
    begun: Duration,
    is_acknowledged: bool,
    is_excused: bool,
}

/// Writes that nobody reads until the end.
#[derive(Default)]
pub struct Deliveries {
    writes: Vec<Write>,
}

impl Deliveries {
    /// Notes a write by the node `coordinator`, before it is made.
    pub fn begin(&mut self, number: u64, partition: u8, coordinator: usize, begun: Duration) {
        let (is_acknowledged, is_excused) = (false, false);
        self.writes.push(Write { number, partition, coordinator, begun, is_acknowledged, is_excused });
    }

    /// Notes that a write of the node `coordinator` was acknowledged, at whatever level. Others may have its number
    /// in other partitions: ballots are as new as those that each has seen.
    pub fn acknowledge(&mut self, number: u64, partition: u8, coordinator: usize) {
        let is_it = |write: &&mut Write| {
            (write.number, write.partition, write.coordinator) == (number, partition, coordinator)
        };
        if let Some(write) = self.writes.iter_mut().rfind(is_it) {
            write.is_acknowledged = true;
        }
    }

    /// A node loses its memory, or cannot write to its disk.
    pub fn excuse(&mut self, node: usize, now: Duration) {
        let of_node = self.writes.iter_mut().filter(|write| write.coordinator == node);
        for write in of_node.filter(|write| write.begun + UNTIL_KEPT > now) {
            write.is_excused = true;
        }
    }

    /// Hints of a node wait, the oldest of them for so long: those that are as old as `grace` are not delivered any more.
    pub fn excuse_expired(&mut self, node: usize, now: Duration, oldest: Duration, grace: Duration) {
        let of_node = self.writes.iter_mut().filter(|write| write.coordinator == node);
        for write in of_node.filter(|write| {
            let age = now.saturating_sub(write.begun);
            grace <= age && age <= oldest + UNTIL_KEPT
        }) {
            write.is_excused = true;
        }
    }

    /// Judges what a replica holds of a partition, once no hints wait any more.
    ///
    /// # Errors
    /// A write that it should have.
    pub fn judge(&self, partition: u8, replica: usize, holds: &BTreeSet<u64>) -> Result<u64, String> {
        self.judge_by(partition, replica, |number| holds.contains(&number))
    }

    /// The same of a partition with one row, of which the greatest number is kept.
    ///
    /// # Errors
    /// A write that it should have.
    pub fn judge_newest(&self, partition: u8, replica: usize, newest: Option<u64>) -> Result<u64, String> {
        self.judge_by(partition, replica, |number| newest >= Some(number))
    }

    fn judge_by(&self, partition: u8, replica: usize, holds: impl Fn(u64) -> bool) -> Result<u64, String> {
        let due = self
            .writes
            .iter()
            .filter(|write| write.partition == partition && write.is_acknowledged && !write.is_excused);
        let mut judged = 0;
        for write in due {
            judged += 1;
            if !holds(write.number) {
                return Err(format!(
                    "replica {replica} of partition {partition} never got write {} of node {}",
                    write.number, write.coordinator
                ));
            }
        }
        Ok(judged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_never_came_is_found_unless_its_coordinator_lost_it() {
        let mut deliveries = Deliveries::default();
        deliveries.begin(1, 7, 0, Duration::from_secs(1));
        deliveries.begin(1, 8, 0, Duration::from_secs(1));
        deliveries.acknowledge(1, 8, 0);
        assert!(deliveries.judge(7, 2, &BTreeSet::new()).is_ok(), "it was not acknowledged");
        deliveries.acknowledge(1, 7, 0);
        assert!(deliveries.judge(7, 2, &BTreeSet::new()).is_err());
        assert!(deliveries.judge(7, 2, &BTreeSet::from([1])).is_ok());
        let grace = Duration::from_secs(5);
        deliveries.excuse_expired(0, Duration::from_secs(5), grace, grace);
        deliveries.excuse_expired(0, Duration::from_secs(11), grace, grace);
        deliveries.excuse_expired(1, Duration::from_secs(7), grace, grace);
        assert!(deliveries.judge(7, 2, &BTreeSet::new()).is_err(), "its hint was none of those");
        deliveries.excuse(0, Duration::from_secs(9));
        deliveries.excuse(1, Duration::from_secs(2));
        assert!(deliveries.judge(7, 2, &BTreeSet::new()).is_err(), "the hint was on disk by then");
        deliveries.excuse(0, Duration::from_secs(2));
        assert!(deliveries.judge(7, 2, &BTreeSet::new()).is_ok());
    }

    #[test]
    fn a_write_whose_hint_has_expired_need_not_come() {
        let mut deliveries = Deliveries::default();
        deliveries.begin(1, 7, 0, Duration::from_secs(1));
        deliveries.acknowledge(1, 7, 0);
        let grace = Duration::from_secs(5);
        deliveries.excuse_expired(0, Duration::from_secs(7), grace, grace);
        assert!(deliveries.judge(7, 2, &BTreeSet::new()).is_ok());
    }
}
