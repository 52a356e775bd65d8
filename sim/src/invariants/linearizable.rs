//! Conditional writes and SERIAL reads of a key take effect one at a time, each between its begin
//! and its end (Wing and Gong's search, with Lowe's memory of what was tried).

use dodona_env::collections::HashSet;

/// States that are tried before the search gives up, which does not count as a pass.
const BUDGET: usize = 2_000_000;

/// What an operation on a key does, and what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A read, and the value it gave.
    Read(Option<u64>),
    /// Writes `new` where there is `expected`.
    Swap {
        /// What must be there.
        expected: Option<u64>,
        /// What is written.
        new: u64,
        /// What came of it.
        outcome: Outcome,
    },
}

/// What came of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was written.
    Applied,
    /// It was not, for there was this.
    Refused(Option<u64>),
    /// Nobody knows: it may be written at any time, or never.
    Unknown,
}

/// An operation of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it began.
    pub begin: u64,
    /// When it ended; never, if its outcome is not known.
    pub end: Option<u64>,
    /// What it does.
    pub operation: Operation,
}

/// The operations on one key.
#[derive(Clone, Debug, Default)]
pub struct History {
    events: Vec<Event>,
}

impl History {
    /// Notes an operation. Those whose end is not known may also never have happened.
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// How many operations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

/// The state after an operation, if what it was told agrees with the state before.
fn step(state: Option<u64>, operation: Operation) -> Option<Option<u64>> {
    match operation {
        Operation::Read(value) => (value == state).then_some(state),
        Operation::Swap { expected, new, outcome } => match outcome {
            Outcome::Applied => (state == expected).then_some(Some(new)),
            Outcome::Refused(seen) => (state == seen && seen != expected).then_some(state),
            Outcome::Unknown => (state == expected).then_some(Some(new)),
        },
    }
}

/// Events shown on each side of the place where the search got stuck.
const SHOWN: usize = 8;

/// Looks for an order of the operations that explains what they were told.
///
/// # Errors
/// There is none, or none was found in time.
pub fn judge(history: &History) -> Result<(), String> {
    let mut events = history.events.clone();
    events.sort_by_key(|event| event.begin);
    let words = events.len().div_ceil(64);
    let mut tried: HashSet<(Vec<u64>, Option<u64>)> = HashSet::default();
    let mut open = vec![(vec![0_u64; words], None)];
    // The furthest that an order led: operations done, and the state then.
    let mut furthest = (0, None);
    let is_done = |done: &[u64], index: usize| done[index / 64] >> (index % 64) & 1 == 1;
    while let Some((done, state)) = open.pop() {
        if tried.len() > BUDGET {
            return Err(format!("undecided after {BUDGET} states of {} operations", events.len()));
        }
        let count: u32 = done.iter().map(|word| word.count_ones()).sum();
        furthest = furthest.max((count, state));
        let pending = || events.iter().enumerate().filter(|(index, _)| !is_done(&done, *index));
        let Some(first_end) = pending().filter_map(|(_, event)| event.end).min() else {
            return Ok(());
        };
        for (index, event) in pending().take_while(|(_, event)| event.begin < first_end) {
            let Some(next) = step(state, event.operation) else { continue };
            let mut after = done.clone();
            after[index / 64] |= 1 << (index % 64);
            if tried.insert((after.clone(), next)) {
                open.push((after, next));
            }
        }
    }
    let (count, state) = furthest;
    let stuck = count as usize;
    let around = events.iter().take(stuck + SHOWN).skip(stuck.saturating_sub(SHOWN));
    let shown: Vec<String> = around.map(|event| format!("{event:?}")).collect();
    Err(format!(
        "no order explains {} operations; the best one leads through {stuck} to {state:?}, near these:\n  {}",
        events.len(),
        shown.join("\n  ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(events: &[(u64, Option<u64>, Operation)]) -> History {
        let events = events.iter().map(|(begin, end, operation)| Event {
            begin: *begin,
            end: *end,
            operation: *operation,
        });
        History { events: events.collect() }
    }

    fn swap(expected: Option<u64>, new: u64, outcome: Outcome) -> Operation {
        Operation::Swap { expected, new, outcome }
    }

    #[test]
    fn overlapping_operations_may_take_either_order() {
        let both = [
            (1, Some(5), swap(None, 1, Outcome::Applied)),
            (2, Some(6), swap(Some(1), 2, Outcome::Applied)),
            (3, Some(4), Operation::Read(None)),
        ];
        assert!(judge(&history(&both)).is_ok());
    }

    #[test]
    fn a_lost_write_and_a_stale_read_are_found() {
        let lost =
            [(1, Some(2), swap(None, 1, Outcome::Applied)), (3, Some(4), swap(None, 2, Outcome::Applied))];
        assert!(judge(&history(&lost)).is_err());
        let stale = [(1, Some(2), swap(None, 1, Outcome::Applied)), (3, Some(4), Operation::Read(None))];
        assert!(judge(&history(&stale)).is_err());
    }

    #[test]
    fn what_nobody_knows_may_happen_late_or_never_but_once() {
        let unknown = (1, None, swap(None, 1, Outcome::Unknown));
        assert!(judge(&history(&[unknown, (2, Some(3), Operation::Read(None))])).is_ok());
        let late = [unknown, (2, Some(3), Operation::Read(None)), (4, Some(5), Operation::Read(Some(1)))];
        assert!(judge(&history(&late)).is_ok());
        let back = [unknown, (2, Some(3), Operation::Read(Some(1))), (4, Some(5), Operation::Read(None))];
        assert!(judge(&history(&back)).is_err());
    }
}
