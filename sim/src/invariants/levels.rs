//! What a read at a level shows is at least what writes at theirs were promised to it, and what
//! earlier reads have shown and thereby brought to the replicas that they asked.

use super::Seen;
use super::overlap::Sure;
use crate::model::{Action, RowId};
use std::collections::BTreeMap;

struct Attempt {
    timestamp: i64,
    action: Action,
    /// The replicas that have it for sure, once it was acknowledged.
    reached: Option<Sure>,
}

/// Every attempt on every row, and who must see it.
pub struct Promises {
    /// Copies in each data centre.
    copies: Vec<u32>,
    rows: BTreeMap<RowId, Vec<Attempt>>,
    /// What reads have shown since a node last lost power, by the replicas that they asked for sure.
    shown: BTreeMap<RowId, BTreeMap<Sure, i64>>,
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
    /// Promises of a table of which each data centre holds so many copies.
    #[must_use]
    pub fn new(copies: Vec<u32>) -> Self {
        Self { copies, rows: BTreeMap::new(), shown: BTreeMap::new(), power_cuts: 0 }
    }

    /// Copies in each data centre.
    #[must_use]
    pub fn copies(&self) -> &[u32] {
        &self.copies
    }

    /// Notes an attempt before it is made.
    pub fn attempt(&mut self, row: RowId, timestamp: i64, action: Action) {
        self.rows.entry(row).or_default().push(Attempt { timestamp, action, reached: None });
    }

    /// Notes that an attempt was acknowledged, and the replicas that have it for sure.
    pub fn promise(&mut self, row: RowId, timestamp: i64, reached: &Sure) {
        for attempt in self.rows.entry(row).or_default() {
            if attempt.timestamp == timestamp {
                attempt.reached = Some(reached.clone());
            }
        }
    }

    /// What a read that begins now and is sure to ask these replicas must see, by the timestamps of
    /// rows.
    #[must_use]
    pub fn promised(&self, asked: &Sure) -> Promised {
        let meets = |reached: &Sure| reached.meets(asked, &self.copies);
        let newest = |attempts: &Vec<Attempt>| {
            let seen = attempts.iter().filter(|attempt| attempt.reached.as_ref().is_some_and(meets));
            seen.map(|attempt| attempt.timestamp).max()
        };
        let shown = |shown: &BTreeMap<Sure, i64>| {
            shown.iter().filter(|(by, _)| meets(by)).map(|(_, timestamp)| *timestamp).max()
        };
        let written = self.rows.iter().filter_map(|(row, attempts)| Some((*row, newest(attempts)?)));
        let shown = self.shown.iter().filter_map(|(row, by)| Some((*row, shown(by)?)));
        Promised { written: written.collect(), shown: shown.collect(), power_cuts: self.power_cuts }
    }

    /// Notes what a read has shown of a row: the replicas that it asked for sure have it now.
    pub fn show(&mut self, promised: &Promised, row: RowId, timestamp: i64, asked: &Sure) {
        if promised.power_cuts == self.power_cuts {
            let shown = self.shown.entry(row).or_default().entry(asked.clone()).or_insert(timestamp);
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
    use dodona_types::Consistency;

    #[test]
    fn what_was_promised_is_told_from_what_was_not() {
        let (mut promises, row) = (Promises::new(vec![2]), (1, 2));
        let [at_one, at_all] = [Consistency::One, Consistency::All].map(|level| Sure::of(level, 0, &[2]));
        promises.attempt(row, 5, Action::Put(50));
        promises.attempt(row, 7, Action::Put(70));
        promises.promise(row, 7, &at_one);
        promises.promise(row, 5, &at_all);
        let (one, all) = (promises.promised(&at_one), promises.promised(&at_all));
        assert!(promises.judge(&one, row, Some((5, 50))).is_ok());
        assert!(promises.judge(&all, row, Some((5, 50))).is_err());
        assert!(promises.judge(&all, row, Some((7, 70))).is_ok());
        assert!(promises.judge(&one, row, Some((7, 71))).is_err(), "nobody wrote that");
        assert!(promises.judge(&one, row, None).is_err());
        promises.show(&one, row, 7, &at_one);
        assert!(promises.judge(&promises.promised(&at_one), row, Some((5, 50))).is_ok(), "one has shown it");
        promises.show(&one, row, 7, &at_all);
        assert!(promises.judge(&promises.promised(&at_one), row, Some((5, 50))).is_err(), "7 was shown");
        promises.power_cut();
        assert!(promises.judge(&promises.promised(&at_one), row, Some((5, 50))).is_ok());
        promises.attempt(row, 8, Action::Delete);
        assert!(promises.judge(&all, row, None).is_ok(), "the deletion may have happened");
    }
}
