//! Logged batches happen in all their partitions in the end, or in none; an acknowledged one in all. Of
//! others that were acknowledged every row is there. What is not acknowledged at a majority rests with those that keep it:
//! nothing is said of it once as many disks were lost.

use std::collections::{BTreeMap, BTreeSet};

/// How far a batch, or the deletion of its rows by another batch, has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// It was never begun, or was refused because too few were alive.
    Never,
    Begun,
    Acknowledged,
}

/// A batch: it writes one row, of its own number, in each of some partitions.
struct Batch {
    partitions: BTreeSet<u8>,
    is_logged: bool,
    written: Stage,
    deleted: Stage,
    /// How many disks have to be lost in all until nobody may have it any more, and nobody the deletion: those that keep it, and
    /// no number of them once a majority of the replicas has it.
    kept_until: u64,
    deletion_kept_until: u64,
    /// Every read at QUORUM shows it from now on.
    is_promised: bool,
}

/// Every batch.
#[derive(Default)]
pub struct Batches {
    batches: BTreeMap<u64, Batch>,
    /// Batches that were acknowledged, their deletions too.
    pub acknowledged: u64,
    disks_lost: u64,
}

impl Batches {
    /// Notes a batch before it is written. One that is logged is kept by so many.
    pub fn begin(&mut self, number: u64, partitions: BTreeSet<u8>, keepers: Option<u64>) {
        let batch = Batch {
            partitions,
            is_logged: keepers.is_some(),
            written: Stage::Begun,
            deleted: Stage::Never,
            kept_until: self.disks_lost + keepers.unwrap_or_default(),
            deletion_kept_until: u64::MAX,
            is_promised: false,
        };
        self.batches.insert(number, batch);
    }

    /// A disk is lost, and what it kept.
    pub fn lose_disk(&mut self) {
        self.disks_lost += 1;
    }

    /// Notes that a batch was refused since too few replicas are alive: none of it is ever written.
    pub fn refuse(&mut self, number: u64) {
        if let Some(batch) = self.batches.get_mut(&number) {
            batch.written = Stage::Never;
        }
    }

    /// Notes that a batch was acknowledged; `is_promised` if every read at QUORUM is to show it.
    pub fn acknowledge(&mut self, number: u64, is_promised: bool) {
        if let Some(batch) = self.batches.get_mut(&number) {
            (batch.written, batch.is_promised) = (Stage::Acknowledged, is_promised);
            if is_promised {
                batch.kept_until = u64::MAX;
            }
            self.acknowledged += 1;
        }
    }

    /// Notes a logged batch that deletes the rows of another, before it is written. So many keep it. Returns the rows'
    /// partitions.
    pub fn begin_deletion(&mut self, number: u64, keepers: u64) -> BTreeSet<u8> {
        self.batches.get_mut(&number).map_or_else(BTreeSet::new, |batch| {
            batch.deleted = Stage::Begun;
            batch.deletion_kept_until = self.disks_lost + keepers;
            batch.partitions.clone()
        })
    }

    /// Notes that such a batch was acknowledged; `is_promised` if every read at QUORUM is to find it done.
    pub fn acknowledge_deletion(&mut self, number: u64, is_promised: bool) {
        if let Some(batch) = self.batches.get_mut(&number) {
            batch.deleted = Stage::Acknowledged;
            if is_promised {
                batch.deletion_kept_until = u64::MAX;
            }
            self.acknowledged += 1;
        }
    }

    /// The batches that every read of a partition at QUORUM shows from now on, as long as nobody
    /// deletes them.
    #[must_use]
    pub fn promised(&self, partition: u8) -> BTreeSet<u64> {
        let promised = self.batches.iter().filter(|(_, batch)| {
            batch.is_promised && batch.deleted == Stage::Never && batch.partitions.contains(&partition)
        });
        promised.map(|(number, _)| *number).collect()
    }

    /// Judges the rows that a read of a partition showed, by their batches' numbers.
    ///
    /// # Errors
    /// One is missing that was promised before, or one is there that nobody wrote.
    pub fn judge_read(
        &self,
        partition: u8,
        promised: &BTreeSet<u64>,
        shown: &BTreeSet<u64>,
    ) -> Result<(), String> {
        for number in shown {
            if !self.batches.get(number).is_some_and(|batch| batch.partitions.contains(&partition)) {
                return Err(format!("partition {partition} has a row of batch {number}, which nobody wrote"));
            }
        }
        let still = self.promised(partition);
        match promised.difference(shown).find(|number| still.contains(number)) {
            None => Ok(()),
            Some(number) => Err(format!(
                "partition {partition} does not show batch {number}, which was acknowledged at QUORUM before"
            )),
        }
    }

    /// Judges what each partition shows in the end: the numbers of the batches whose rows it has. Returns
    /// how many batches were judged.
    ///
    /// # Errors
    /// A batch that happened in part, or one that was acknowledged and is not there.
    pub fn judge(&self, shown: &BTreeMap<u8, BTreeSet<u64>>) -> Result<u64, String> {
        for (number, batch) in &self.batches {
            let in_partition =
                |partition: &&u8| shown.get(*partition).is_some_and(|rows| rows.contains(number));
            let (of, there) = (batch.partitions.len(), batch.partitions.iter().filter(in_partition).count());
            if batch.written == Stage::Never && there > 0 {
                return Err(format!("batch {number} was refused and is in {there} of its {of} partitions"));
            }
            let is_kept = !batch.is_logged || self.disks_lost < batch.kept_until;
            let is_deletion_kept = self.disks_lost < batch.deletion_kept_until;
            if batch.is_logged && there > 0 && there < of && is_kept && is_deletion_kept {
                return Err(format!("the logged batch {number} is in {there} of its {of} partitions"));
            }
            if batch.written == Stage::Acknowledged && batch.deleted == Stage::Never && there < of && is_kept
            {
                return Err(format!(
                    "batch {number} was acknowledged and is in {there} of its {of} partitions"
                ));
            }
            if batch.deleted == Stage::Acknowledged && there > 0 && is_deletion_kept {
                return Err(format!("batch {number} was deleted and is in {there} of its {of} partitions"));
            }
        }
        Ok(self.batches.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batch 1 is in partitions 1 and 2.
    fn batches(is_logged: bool) -> Batches {
        let mut batches = Batches::default();
        batches.begin(1, BTreeSet::from([1, 2]), is_logged.then_some(2));
        batches
    }

    fn shown(partitions: &[u8]) -> BTreeMap<u8, BTreeSet<u64>> {
        partitions.iter().map(|partition| (*partition, BTreeSet::from([1]))).collect()
    }

    #[test]
    fn a_logged_batch_in_some_of_its_partitions_is_found() {
        let logged = batches(true);
        assert!(logged.judge(&shown(&[1])).is_err());
        assert!(logged.judge(&shown(&[])).is_ok() && logged.judge(&shown(&[1, 2])).is_ok());
        assert!(batches(false).judge(&shown(&[1])).is_ok(), "only logged ones are atomic");
    }

    #[test]
    fn a_batch_that_was_refused_and_is_there_is_found() {
        let mut batches = batches(true);
        batches.refuse(1);
        assert!(batches.judge(&shown(&[])).is_ok());
        assert!(batches.judge(&shown(&[1, 2])).is_err());
    }

    #[test]
    fn an_acknowledged_batch_that_is_missing_or_came_back_is_found() {
        for is_logged in [false, true] {
            let mut batches = batches(is_logged);
            batches.acknowledge(1, true);
            assert!(batches.judge(&shown(&[])).is_err());
            let promised = batches.promised(1);
            assert!(batches.judge_read(1, &promised, &BTreeSet::new()).is_err());
            batches.begin_deletion(1, 2);
            assert!(batches.judge_read(1, &promised, &BTreeSet::new()).is_ok(), "it may be deleted");
            assert!(batches.judge(&shown(&[])).is_ok() && batches.judge(&shown(&[1, 2])).is_ok());
            batches.acknowledge_deletion(1, true);
            assert!(batches.judge(&shown(&[1, 2])).is_err());
        }
    }

    #[test]
    fn a_batch_may_be_torn_once_all_disks_that_keep_it_are_lost() {
        for is_promised in [false, true] {
            let mut batches = batches(true);
            batches.lose_disk();
            assert!(batches.judge(&shown(&[1])).is_err());
            batches.acknowledge(1, is_promised);
            batches.lose_disk();
            assert_eq!(batches.judge(&shown(&[1])).is_err(), is_promised, "a majority has it");
            batches.begin_deletion(1, 2);
            batches.lose_disk();
            assert_eq!(batches.judge(&shown(&[1])).is_err(), is_promised);
            batches.lose_disk();
            assert!(batches.judge(&shown(&[1])).is_ok());
        }
    }

    #[test]
    fn a_row_that_nobody_wrote_is_found() {
        let nothing = BTreeSet::new();
        assert!(batches(true).judge_read(3, &nothing, &BTreeSet::from([1])).is_err());
        assert!(batches(true).judge_read(1, &nothing, &BTreeSet::from([2])).is_err());
    }
}
