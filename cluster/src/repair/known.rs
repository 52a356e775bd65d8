//! The last repairs that a node has led, and what it has hashed for them and for those of others, for operators.

use super::events::{Event, Led, LedRanges, Step};
use dodona_types::TableId;
use dodona_types::token::TokenRange;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use uuid::Uuid;

/// Repairs that are remembered, and sessions of one of them.
const MOST_REPAIRS: usize = 100;
const MOST_SESSIONS: usize = 1_000;
/// Validations that are remembered.
const MOST_VALIDATIONS: usize = 1_000;

/// How something ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// When, in milliseconds since the epoch.
    pub at_millis: i64,
    /// What went wrong.
    pub failure: Option<String>,
}

/// A repair that the node leads or has led. Times are in milliseconds since the epoch.
#[derive(Clone, Debug)]
pub struct LedRepair {
    /// What it is.
    pub led: Arc<Led>,
    /// Counts those of this node since its start.
    pub command: i32,
    /// When it began.
    pub began_millis: i64,
    /// Ranges that have been compared, or are.
    pub sessions: Vec<LedSession>,
    /// How it ended.
    pub ended: Option<Ending>,
}

/// Ranges of such a repair that the same replicas hold.
#[derive(Clone, Debug)]
pub struct LedSession {
    /// What they are.
    pub ranges: Arc<LedRanges>,
    /// When their turn came.
    pub began_millis: i64,
    /// When all replicas had hashed them.
    pub hashed_millis: Option<i64>,
    /// How it ended.
    pub ended: Option<Ending>,
}

/// What the node has hashed for the leader of a repair.
#[derive(Clone, Debug)]
pub struct Validation {
    /// Its id.
    pub id: Uuid,
    /// The table.
    pub table: TableId,
    /// What is hashed.
    pub ranges: Vec<TokenRange>,
    /// True if only what an incremental repair has set aside is.
    pub is_incremental: bool,
    /// The host id of whoever leads.
    pub leader: Uuid,
    /// The repair and its session, if the leader tells.
    pub session: Option<(Uuid, Uuid)>,
    /// When it began, in milliseconds since the epoch.
    pub began_millis: i64,
    /// Partitions, or pieces of them, that are hashed.
    pub partitions: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When it was last noted how far it is.
    pub updated_millis: i64,
    /// How it ended.
    pub ended: Option<Ending>,
}

impl Validation {
    /// One of everything that begins, of which nothing is hashed.
    pub(super) const fn new(
        id: Uuid,
        table: TableId,
        ranges: Vec<TokenRange>,
        leader: Uuid,
        began_millis: i64,
    ) -> Self {
        Self {
            id,
            table,
            ranges,
            is_incremental: false,
            leader,
            session: None,
            began_millis,
            partitions: 0,
            bytes: 0,
            updated_millis: began_millis,
            ended: None,
        }
    }
}

/// What is remembered of repairs, the oldest first.
#[derive(Debug, Default)]
pub struct Known {
    repairs: Mutex<Repairs>,
    validations: Mutex<VecDeque<Validation>>,
}

#[derive(Debug, Default)]
struct Repairs {
    begun: i32,
    last: VecDeque<LedRepair>,
}

impl Known {
    /// Notes what has happened to a repair that the node leads.
    pub(super) fn note(&self, event: &Event) {
        let mut repairs = self.repairs.lock();
        if matches!(event.step, Step::Began) {
            repairs.begun = repairs.begun.wrapping_add(1);
            let command = repairs.begun;
            make_room(&mut repairs.last, MOST_REPAIRS, |repair| repair.ended.is_some());
            repairs.last.push_back(LedRepair {
                led: Arc::clone(&event.led),
                command,
                began_millis: event.at_millis,
                sessions: Vec::new(),
                ended: None,
            });
            return;
        }
        if let Some(repair) = repairs.last.iter_mut().rev().find(|repair| repair.led.id == event.led.id) {
            repair.note(&event.step, event.at_millis);
        }
    }

    /// The repairs that the node leads and the last ones that it has led, the oldest first.
    #[must_use]
    pub fn repairs(&self) -> Vec<LedRepair> {
        self.repairs.lock().last.iter().cloned().collect()
    }

    /// Notes something that is hashed from now on.
    pub(super) fn begin_validation(&self, validation: Validation) {
        let mut validations = self.validations.lock();
        make_room(&mut validations, MOST_VALIDATIONS, |validation| validation.ended.is_some());
        validations.push_back(validation);
    }

    /// Notes that so much more of it is hashed.
    pub(super) fn advance_validation(&self, id: Uuid, partitions: u64, bytes: u64, now_millis: i64) {
        self.change_validation(id, |validation| {
            validation.partitions += partitions;
            validation.bytes += bytes;
            validation.updated_millis = now_millis;
        });
    }

    /// Notes that it has ended, with what went wrong.
    pub(super) fn end_validation(&self, id: Uuid, failure: Option<String>, now_millis: i64) {
        self.change_validation(id, |validation| {
            validation.updated_millis = now_millis;
            validation.ended = Some(Ending { at_millis: now_millis, failure });
        });
    }

    fn change_validation(&self, id: Uuid, change: impl FnOnce(&mut Validation)) {
        let mut validations = self.validations.lock();
        // It is among the last ones.
        if let Some(validation) = validations.iter_mut().rev().find(|validation| validation.id == id) {
            change(validation);
        }
    }

    /// What is hashed and the last that was, the oldest first.
    #[must_use]
    pub fn validations(&self) -> Vec<Validation> {
        self.validations.lock().iter().cloned().collect()
    }
}

impl LedRepair {
    fn note(&mut self, step: &Step, at_millis: i64) {
        let ending = |ended: &Result<(), String>| Some(Ending { at_millis, failure: ended.clone().err() });
        match step {
            Step::Began => {}
            Step::RangesBegan(ranges) if self.sessions.len() < MOST_SESSIONS => {
                self.sessions.push(LedSession {
                    ranges: Arc::clone(ranges),
                    began_millis: at_millis,
                    hashed_millis: None,
                    ended: None,
                });
            }
            Step::RangesBegan(_) => {}
            Step::RangesHashed(ranges) => {
                if let Some(session) = self.session(ranges) {
                    session.hashed_millis = Some(at_millis);
                }
            }
            Step::RangesEnded(ranges, ended) => {
                if let Some(session) = self.session(ranges) {
                    session.ended = ending(ended);
                }
            }
            Step::Ended(ended) => self.ended = ending(ended),
        }
    }

    fn session(&mut self, ranges: &LedRanges) -> Option<&mut LedSession> {
        self.sessions.iter_mut().rev().find(|session| session.ranges.id == ranges.id)
    }
}

/// Forgets the oldest that is over where there are so many.
fn make_room<T>(last: &mut VecDeque<T>, most: usize, is_over: impl Fn(&T) -> bool) {
    if last.len() >= most
        && let Some(oldest) = last.iter().position(is_over)
    {
        last.remove(oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::Options;
    use super::*;

    fn led(id: u128) -> Arc<Led> {
        let (id, table) = (Uuid::from_u128(id), TableId(Uuid::nil()));
        Arc::new(Led { id, table, options: Options::default(), ranges: Vec::new() })
    }

    fn note(known: &Known, led: &Arc<Led>, step: Step, at_millis: i64) {
        known.note(&Event { led: Arc::clone(led), step, at_millis });
    }

    #[test]
    fn a_repair_is_told_with_its_sessions_and_how_each_ended() {
        let (known, led) = (Known::default(), led(7));
        let ranges = |id| {
            let (id, job) = (Uuid::from_u128(id), Uuid::nil());
            Arc::new(LedRanges { id, job, ranges: Vec::new(), others: Vec::new() })
        };
        note(&known, &led, Step::Began, 1);
        note(&known, &led, Step::RangesBegan(ranges(1)), 2);
        note(&known, &led, Step::RangesHashed(ranges(1)), 3);
        note(&known, &led, Step::RangesEnded(ranges(1), Ok(())), 4);
        note(&known, &led, Step::RangesBegan(ranges(2)), 5);
        note(&known, &led, Step::RangesEnded(ranges(2), Err("no".into())), 6);
        note(&known, &led, Step::Ended(Err("no".into())), 7);
        let told = known.repairs().remove(0);
        let ending = |at_millis, failure: Option<&str>| {
            Some(Ending { at_millis, failure: failure.map(str::to_owned) })
        };
        assert_eq!((told.command, told.began_millis, told.ended), (1, 1, ending(7, Some("no"))));
        let [one, two] = &told.sessions[..] else { panic!("{:?}", told.sessions) };
        assert_eq!((one.began_millis, one.hashed_millis, one.ended.clone()), (2, Some(3), ending(4, None)));
        assert_eq!(
            (two.began_millis, two.hashed_millis, two.ended.clone()),
            (5, None, ending(6, Some("no")))
        );
    }

    #[test]
    fn those_that_go_on_are_never_forgotten_and_the_oldest_of_the_others_are() {
        let known = Known::default();
        note(&known, &led(0), Step::Began, 0);
        for id in 1..200 {
            note(&known, &led(id), Step::Began, 0);
            note(&known, &led(id), Step::Ended(Ok(())), 0);
        }
        let commands: Vec<i32> = known.repairs().iter().map(|repair| repair.command).collect();
        assert_eq!(commands.len(), MOST_REPAIRS);
        assert_eq!(commands[..3], [1, 102, 103]);
    }

    #[test]
    fn a_validation_is_told_as_far_as_it_is() {
        let (known, id) = (Known::default(), Uuid::from_u128(5));
        let table = TableId(Uuid::nil());
        known.begin_validation(Validation::new(id, table, Vec::new(), Uuid::nil(), 1));
        known.advance_validation(id, 3, 100, 2);
        known.advance_validation(id, 1, 50, 3);
        let told = known.validations().remove(0);
        assert_eq!((told.partitions, told.bytes, told.updated_millis, told.ended), (4, 150, 3, None));
        known.end_validation(id, None, 4);
        let ended = known.validations().remove(0).ended;
        assert_eq!(ended, Some(Ending { at_millis: 4, failure: None }));
    }
}
