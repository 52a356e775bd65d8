//! What a read at a level shows is at least what writes at theirs were promised to it, and what
//! earlier reads of all replicas have shown.

use super::Seen;
use crate::model::{Action, RowId};
use std::collections::BTreeMap;

/// Who is sure to see a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Nobody.
    Nobody,
    /// A read that asks all replicas.
    ReadsOfAll,
    /// Every read.
    EveryRead,
}

struct Attempt {
    timestamp: i64,
    action: Action,
    reach: Reach,
}

/// Every attempt on every row, and who must see it.
#[derive(Default)]
pub struct Promises {
    rows: BTreeMap<RowId, Vec<Attempt>>,
    /// What reads of all replicas have shown since a node last lost power.
    shown: BTreeMap<RowId, i64>,
    power_cuts: u64,
}

/// What a read must see of each row: to be taken before it begins.
pub struct Promised {
    written: BTreeMap<RowId, i64>,
    /// Holds as long as no node loses power: what was shown may be in memory alone.
    shown: BTreeMap<RowId, i64>,
    power_cuts: u64,
}

impl Promises {
    /// Notes an attempt before it is made.
    pub fn attempt(&mut self, row: RowId, timestamp: i64, action: Action) {
        self.rows.entry(row).or_default().push(Attempt { timestamp, action, reach: Reach::Nobody });
    }

    /// Notes who must see an attempt from now on.
    pub fn promise(&mut self, row: RowId, timestamp: i64, reach: Reach) {
        for attempt in self.rows.entry(row).or_default() {
            if attempt.timestamp == timestamp {
                attempt.reach = attempt.reach.max(reach);
            }
        }
    }

    /// What a read that begins now must see, by the timestamps of rows.
    #[must_use]
    pub fn promised(&self, reads_all: bool) -> Promised {
        let least = if reads_all { Reach::ReadsOfAll } else { Reach::EveryRead };
        let newest = |attempts: &Vec<Attempt>| {
            attempts.iter().filter(|attempt| attempt.reach >= least).map(|attempt| attempt.timestamp).max()
        };
        let written = self.rows.iter().filter_map(|(row, attempts)| Some((*row, newest(attempts)?)));
        Promised { written: written.collect(), shown: self.shown.clone(), power_cuts: self.power_cuts }
    }

    /// Notes what a read of all replicas has shown of a row: all have it now.
    pub fn show(&mut self, promised: &Promised, row: RowId, timestamp: i64) {
        if promised.power_cuts == self.power_cuts {
            let shown = self.shown.entry(row).or_insert(timestamp);
            *shown = (*shown).max(timestamp);
        }
    }

    /// A node loses power, and with it what nobody was told to be safe.
    pub fn power_cut(&mut self) {
        self.power_cuts += 1;
        self.shown.clear();
    }

    /// Judges what a read showed of a row.
    ///
    /// # Errors
    /// It was never written, or is older than what was promised.
    pub fn judge(&self, promised: &Promised, row: RowId, seen: Seen) -> Result<(), String> {
        let attempts = self.rows.get(&row).map_or(&[][..], Vec::as_slice);
        if let Some((timestamp, value)) = seen
            && !attempts
                .iter()
                .any(|attempt| attempt.timestamp == timestamp && attempt.action == Action::Put(value))
        {
            return Err(format!("row {row:?} shows value {value} of {timestamp}, which nobody wrote"));
        }
        let shown = promised.shown.get(&row).filter(|_| promised.power_cuts == self.power_cuts);
        let Some(promised) = shown.max(promised.written.get(&row)) else { return Ok(()) };
        let kept = match seen {
            Some((timestamp, _)) => timestamp >= *promised,
            None => attempts
                .iter()
                .any(|attempt| attempt.action == Action::Delete && attempt.timestamp >= *promised),
        };
        if kept {
            Ok(())
        } else {
            Err(format!("row {row:?} shows {seen:?}, although {promised} was promised"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_promised_is_told_from_what_was_not() {
        let (mut promises, row) = (Promises::default(), (1, 2));
        promises.attempt(row, 5, Action::Put(50));
        promises.attempt(row, 7, Action::Put(70));
        promises.promise(row, 7, Reach::ReadsOfAll);
        promises.promise(row, 5, Reach::EveryRead);
        let (one, all) = (promises.promised(false), promises.promised(true));
        assert!(promises.judge(&one, row, Some((5, 50))).is_ok());
        assert!(promises.judge(&all, row, Some((5, 50))).is_err());
        assert!(promises.judge(&all, row, Some((7, 70))).is_ok());
        assert!(promises.judge(&one, row, Some((7, 71))).is_err(), "nobody wrote that");
        assert!(promises.judge(&one, row, None).is_err());
        promises.show(&one, row, 7);
        assert!(promises.judge(&promises.promised(false), row, Some((5, 50))).is_err(), "7 was shown");
        promises.power_cut();
        assert!(promises.judge(&promises.promised(false), row, Some((5, 50))).is_ok());
        promises.attempt(row, 8, Action::Delete);
        assert!(promises.judge(&all, row, None).is_ok(), "the deletion may have happened");
    }
}
