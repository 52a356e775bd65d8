//! `--verify`: what was acknowledged is read back and compared.
//!
//! Each value is made from its key, the run, and a *round*: how often the run has written the key. A key is written by one
//! request at a time, so that a later round is a later write. A read has to find a round between the last that was acknowledged
//! when it began and the last that was begun when it ended: what failed may have been written or not.
//!
//! A later round has a later timestamp too, which the loader gives: what had no answer may still be on its way to a node when the
//! key is written by way of another one, whose clock may differ.

use super::workload::Random;
use super::{BenchArgs, BenchError};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of the run and the round before the rest of a value.
const TAG_BYTES: usize = 8;
/// Set in a key's state while a write of it is in flight.
const IN_FLIGHT: u64 = 1 << 63;

/// What is known of every row.
#[derive(Debug)]
pub(super) struct Ledger {
    /// When the run began, in microseconds since the epoch: its low half tells its values from those of others.
    began: u64,
    /// By key: the last round that was acknowledged in the low half, the last that was begun above it.
    keys: Vec<AtomicU64>,
}

/// What a read of a row may find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    begun: u32,
    acknowledged: u32,
    in_flight: bool,
}

impl State {
    const fn unpack(packed: u64) -> Self {
        Self {
            begun: ((packed & !IN_FLIGHT) >> 32) as u32,
            acknowledged: packed as u32,
            in_flight: packed & IN_FLIGHT != 0,
        }
    }

    const fn pack(self) -> u64 {
        let flag = if self.in_flight { IN_FLIGHT } else { 0 };
        flag | (self.begun as u64) << 32 | self.acknowledged as u64
    }
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is none, although one was acknowledged.
    Missing,
    /// It is not what was written under the key, or older than what was acknowledged.
    Wrong,
}

impl Ledger {
    /// Of a run that began at this time, in microseconds since the epoch.
    pub(super) fn new(args: &BenchArgs, began: u64) -> Self {
        Self { began, keys: (0..args.keys).map(|_| AtomicU64::new(0)).collect() }
    }

    fn state(&self, key: u64) -> Option<State> {
        self.keys.get(key as usize).map(|packed| State::unpack(packed.load(Ordering::SeqCst)))
    }

    fn change(&self, key: u64, change: impl Fn(State) -> Option<State>) -> Option<State> {
        let packed = self.keys.get(key as usize)?;
        let next = |before| change(State::unpack(before)).map(State::pack);
        let before = packed.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).ok()?;
        change(State::unpack(before))
    }

    /// Begins a write of a key, and gives its round. None while another one is in flight.
    pub(super) fn begin(&self, key: u64) -> Option<u32> {
        let begun = self.change(key, |state| {
            (!state.in_flight).then_some(State { begun: state.begun + 1, in_flight: true, ..state })
        });
        begun.map(|state| state.begun)
    }

    /// The same if `writes`.
    pub(super) fn begin_if(&self, writes: bool, key: u64) -> Option<u32> {
        if writes { self.begin(key) } else { None }
    }

    /// The write that is in flight has ended.
    pub(super) fn end(&self, key: u64, acknowledged: bool) {
        self.change(key, |state| {
            let round = if acknowledged { state.begun } else { state.acknowledged };
            Some(State { acknowledged: round, in_flight: false, ..state })
        });
    }

    /// The last round of a key that was acknowledged; 0 if none was.
    pub(super) fn acknowledged(&self, key: u64) -> u32 {
        self.state(key).map_or(0, |state| state.acknowledged)
    }

    const fn run(&self) -> u32 {
        self.began as u32
    }

    /// The timestamp of a round's writes: behind those of earlier runs, which had no round in less than a microsecond.
    pub(super) const fn timestamp(&self, round: u32) -> i64 {
        self.began.cast_signed() + round as i64
    }

    /// Makes the value of a key in a round.
    pub(super) fn fill(&self, value: &mut [u8], key: u64, round: u32) {
        let tag = u64::from(self.run()) << 32 | u64::from(round);
        let (head, rest) = value.split_at_mut(TAG_BYTES);
        head.copy_from_slice(&tag.to_be_bytes());
        let mut random = Random::new(key ^ tag.rotate_left(17));
        for chunk in rest.chunks_mut(8) {
            chunk.copy_from_slice(&random.next().to_le_bytes()[..chunk.len()]);
        }
    }

    /// Compares what a read has found that began when `floor` was acknowledged.
    pub(super) fn compare(&self, key: u64, floor: u32, found: Option<&[u8]>) -> Result<(), Fault> {
        let Some(found) = found else {
            return if floor == 0 { Ok(()) } else { Err(Fault::Missing) };
        };
        let tag = found.first_chunk().map(|tag| u64::from_be_bytes(*tag)).unwrap_or_default();
        let (run, round) = ((tag >> 32) as u32, tag as u32);
        if run != self.run() {
            // Another run's, which nobody has written over as far as is known.
            return if floor == 0 { Ok(()) } else { Err(Fault::Wrong) };
        }
        let begun = self.state(key).map_or(0, |state| state.begun);
        let mut expected = vec![0; found.len()];
        self.fill(&mut expected, key, round);
        if (floor..=begun).contains(&round) && round > 0 && found == expected {
            Ok(())
        } else {
            Err(Fault::Wrong)
        }
    }
}

/// What reads have found.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    /// Reads that were compared.
    pub(super) compared: u64,
    /// Reads that found no row where one was acknowledged.
    pub(super) missing: u64,
    /// Reads that found something else than what was written, or something older.
    pub(super) wrong: u64,
    /// What the first fault was.
    pub(super) first: Option<String>,
}

impl Findings {
    /// Notes a comparison.
    pub(super) fn note(&mut self, key: u64, floor: u32, compared: Result<(), Fault>) {
        self.compared += 1;
        let what = match compared {
            Ok(()) => return,
            Err(Fault::Missing) => {
                self.missing += 1;
                "is missing"
            }
            Err(Fault::Wrong) => {
                self.wrong += 1;
                "is not what was written, or older"
            }
        };
        self.first.get_or_insert_with(|| format!("row {key} {what} (round {floor} of it was acknowledged)"));
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.compared += other.compared;
        self.missing += other.missing;
        self.wrong += other.wrong;
        self.first = self.first.take().or_else(|| other.first.clone());
    }

    fn faults(&self) -> u64 {
        self.missing + self.wrong
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} compared, {} missing, {} wrong", self.compared, self.missing, self.wrong)
    }
}

/// What came of `--verify`.
#[derive(Clone, Debug, Default)]
pub(super) struct Verified {
    /// Of reads while rows were written.
    pub(super) meanwhile: Findings,
    /// Of all rows that were written, at the end.
    pub(super) at_the_end: Findings,
    /// Rows that could not be read at the end, and why the first could not.
    pub(super) unread: u64,
    pub(super) first_unread: Option<String>,
}

impl Verified {
    /// # Errors
    /// A row is not as it was acknowledged, or was not read at the end.
    pub(super) fn check(&self) -> Result<(), BenchError> {
        if self.meanwhile.faults() + self.at_the_end.faults() + self.unread == 0 {
            return Ok(());
        }
        Err(BenchError::Unverified(self.to_string()))
    }

    /// What the first fault was.
    pub(super) fn first(&self) -> Option<&str> {
        let faults = [&self.meanwhile.first, &self.at_the_end.first, &self.first_unread];
        faults.into_iter().flatten().next().map(String::as_str)
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { meanwhile, at_the_end, unread, .. } = self;
        write!(f, "reads meanwhile: {meanwhile}; rows at the end: {at_the_end}, {unread} not read")?;
        self.first().map_or(Ok(()), |first| write!(f, "; the first: {first}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger { began: 7, keys: (0..4).map(|_| AtomicU64::new(0)).collect() }
    }

    fn value(ledger: &Ledger, key: u64, round: u32) -> Vec<u8> {
        let mut value = vec![0; 21];
        ledger.fill(&mut value, key, round);
        value
    }

    #[test]
    fn a_read_finds_what_was_acknowledged_or_begun_since() {
        let ledger = ledger();
        let find = |floor, round| ledger.compare(1, floor, Some(&value(&ledger, 1, round)));
        assert_eq!(ledger.compare(1, 0, None), Ok(()), "nothing was acknowledged");
        assert_eq!(ledger.begin(1), Some(1));
        assert_eq!((ledger.begin(1), ledger.begin(2)), (None, Some(1)), "one at a time");
        assert_eq!((find(0, 1), find(0, 2)), (Ok(()), Err(Fault::Wrong)), "the second was not begun");
        ledger.end(1, true);
        assert_eq!((ledger.acknowledged(1), ledger.acknowledged(2)), (1, 0));
        assert_eq!(ledger.compare(1, 1, None), Err(Fault::Missing));
        // One that failed may have come to be, and the one before is not lost.
        assert_eq!(ledger.begin(1), Some(2));
        ledger.end(1, false);
        assert_eq!((ledger.acknowledged(1), find(1, 1), find(1, 2)), (1, Ok(()), Ok(())));
        assert_eq!(ledger.begin(1), Some(3));
        ledger.end(1, true);
        assert_eq!((find(3, 2), find(3, 3)), (Err(Fault::Wrong), Ok(())), "older than what was acknowledged");
    }

    #[test]
    fn what_was_written_under_another_key_or_is_damaged_or_of_another_run_is_wrong() {
        let ledger = ledger();
        for key in [1, 2] {
            ledger.begin(key);
            ledger.end(key, true);
        }
        let found = value(&ledger, 1, 1);
        assert_eq!(ledger.compare(1, 1, Some(&found)), Ok(()));
        assert_eq!(ledger.compare(2, 1, Some(&found)), Err(Fault::Wrong));
        for at in 0..found.len() {
            let mut damaged = found.clone();
            damaged[at] ^= 1;
            assert_eq!(ledger.compare(1, 1, Some(&damaged)), Err(Fault::Wrong), "{at}");
        }
        assert_eq!(ledger.compare(1, 1, Some(&found[..3])), Err(Fault::Wrong));
        let other = Ledger { began: 8, ..self::ledger() };
        assert_eq!(ledger.compare(3, 0, Some(&value(&other, 3, 5))), Ok(()), "an earlier run's");
        assert_eq!(ledger.compare(1, 1, Some(&value(&other, 1, 1))), Err(Fault::Wrong));
    }
}
