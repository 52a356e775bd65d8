//! What is to be repaired next without anyone having asked, and what was not repaired in time.

use dodona_types::TableId;
use dodona_types::token::TokenRange;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

const HOUR: i64 = 3_600;
const WEEK: i64 = 7 * 24 * HOUR;
/// Seconds between two repairs at the least, however soon tombstones are purged.
const SHORTEST: i64 = 10;
/// What is due within such a part of the interval is repaired with what is due: so ranges stay together.
const SOON: i64 = 4;
/// How often it is told at the most that a table was not repaired in time.
const TELL_AGAIN: Duration = Duration::from_secs(3_600);

/// Seconds between two repairs of a table that keeps tombstones for so many seconds: half of that, so that a repair which
/// fails can be made again before a replica without one of them brings back what it deletes. At most a week; an hour for
/// a table that keeps none, for which no repair comes in time.
#[must_use]
pub fn interval_seconds(gc_grace_seconds: u32) -> i64 {
    match gc_grace_seconds {
        0 => HOUR,
        grace => (i64::from(grace) / 2).clamp(SHORTEST, WEEK),
    }
}

/// Ranges of a table with the same replicas, of which this node is the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The table.
    pub table: TableId,
    /// How long it keeps tombstones, in seconds.
    pub gc_grace_seconds: u32,
    /// The host ids of the replicas.
    pub replicas: Vec<Uuid>,
    /// The ranges, each with the second at which its last repair began; none if that is not known.
    pub ranges: Vec<(TokenRange, Option<i64>)>,
    /// Since which second the last repair of a range of the table is not known, if there is such a range.
    pub unknown_since: Option<i64>,
    /// Why they cannot be repaired now, if they cannot.
    pub held_up: Option<String>,
}

/// What is to be repaired together: ranges of a table whose last repairs all are known, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The table.
    pub table: TableId,
    /// The last repair of each is known: replicas lack at most what was written since.
    pub is_known: bool,
    /// Ranges by the host ids of their replicas.
    pub ranges: BTreeMap<Vec<Uuid>, Vec<TokenRange>>,
}

impl Standing {
    fn interval(&self) -> i64 {
        interval_seconds(self.gc_grace_seconds)
    }

    /// The second at which a range is due with this last repair. Without one that is soon, but not for all nodes at once:
    /// `spread` seconds after that was seen.
    fn due_at(&self, repaired_at: Option<i64>, spread: i64) -> i64 {
        match (repaired_at, self.unknown_since) {
            (Some(at), _) => at.saturating_add(self.interval()),
            (None, since) => since.map_or(i64::MAX, |since| since.saturating_add(spread)),
        }
    }

    /// The second of the oldest of the last repairs; none if one of them is not known.
    #[must_use]
    pub fn repaired_at(&self) -> Option<i64> {
        self.ranges.iter().try_fold(i64::MAX, |oldest, (_, at)| Some(oldest.min((*at)?)))
    }

    /// True if a tombstone may be purged that a replica has never seen.
    #[must_use]
    pub fn is_late(&self, now: i64) -> bool {
        let grace = i64::from(self.gc_grace_seconds);
        let is_late = |at: i64| now.saturating_sub(at) > grace;
        grace > 0 && self.ranges.iter().filter_map(|(_, at)| at.or(self.unknown_since)).any(is_late)
    }
}

/// What is most overdue, as a part of its interval, and what of its table is due with it. Ranges whose last repair is not
/// known are due `spread` seconds after that was seen.
#[must_use]
pub fn next(now: i64, spread: i64, standings: &[Standing]) -> Option<Due> {
    let free = || standings.iter().filter(|standing| standing.held_up.is_none());
    let lateness = |standing: &Standing, at: Option<i64>| {
        let overdue = now.saturating_sub(standing.due_at(at, spread));
        (overdue >= 0).then(|| i128::from(overdue) * i128::from(WEEK) / i128::from(standing.interval()))
    };
    let each = free().flat_map(|standing| standing.ranges.iter().map(move |(_, at)| (standing, *at)));
    let due = each.filter_map(|(standing, at)| Some((lateness(standing, at)?, standing.table, at.is_some())));
    let (_, table, is_known) = due.max_by_key(|(lateness, ..)| *lateness)?;
    let mut ranges = BTreeMap::new();
    for standing in free().filter(|standing| standing.table == table) {
        let soon = now.saturating_add(standing.interval() / SOON);
        let goes_with = |at: Option<i64>| at.is_some() == is_known && standing.due_at(at, spread) <= soon;
        let due = standing.ranges.iter().filter(|(_, at)| goes_with(*at)).map(|(range, _)| *range);
        let due: Vec<TokenRange> = due.collect();
        if !due.is_empty() {
            ranges.insert(standing.replicas.clone(), due);
        }
    }
    Some(Due { table, is_known, ranges })
}

/// The second at which the next one is due of those that can be repaired now.
#[must_use]
pub fn next_at(spread: i64, standings: &[Standing]) -> Option<i64> {
    let free = standings.iter().filter(|standing| standing.held_up.is_none());
    free.flat_map(|standing| standing.ranges.iter().map(|(_, at)| standing.due_at(*at, spread))).min()
}

/// Ranges whose repair has failed, by their table and the host ids of their replicas.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<BTreeMap<(TableId, Vec<Uuid>), Failure>>);

#[derive(Debug)]
struct Failure {
    reason: String,
    /// The time, of a clock that only goes on, until which it is not tried again.
    until: Duration,
}

impl Failures {
    /// Has ranges of a table wait until another time of a clock that only goes on.
    pub(super) fn note(&self, table: TableId, replicas: Vec<Uuid>, reason: String, until: Duration) {
        self.0.lock().insert((table, replicas), Failure { reason, until });
    }

    /// Why they wait, if they still do.
    pub(super) fn reason(&self, table: TableId, replicas: &[Uuid], mono: Duration) -> Option<String> {
        let mut failures = self.0.lock();
        failures.retain(|_, failure| mono < failure.until);
        failures.get(&(table, replicas.to_vec())).map(|failure| failure.reason.clone())
    }
}

/// Which tables were not repaired in time.
#[derive(Debug, Default)]
pub struct Late {
    /// Those that are late, each with the time, of a clock that only goes on, at which it was told.
    told: Mutex<BTreeMap<TableId, Duration>>,
}

impl Late {
    /// How many tables have ranges that were not repaired within their `gc_grace_seconds`.
    #[must_use]
    pub fn tables(&self) -> usize {
        self.told.lock().len()
    }

    /// Looks which tables are late, and gives those of which it is to be told now: each with why, as far as that is known.
    /// `now` is in seconds, `mono` the time of a clock that only goes on.
    pub fn look(
        &self,
        now: i64,
        mono: Duration,
        standings: &[Standing],
    ) -> BTreeMap<TableId, Option<String>> {
        let mut late: BTreeMap<TableId, Option<String>> = BTreeMap::new();
        for standing in standings.iter().filter(|standing| standing.is_late(now)) {
            let reason = late.entry(standing.table).or_default();
            *reason = reason.take().or_else(|| standing.held_up.clone());
        }
        let mut told = self.told.lock();
        told.retain(|table, _| late.contains_key(table));
        late.retain(|table, _| {
            let is_due = told.get(table).is_none_or(|at| mono.saturating_sub(*at) >= TELL_AGAIN);
            if is_due {
                told.insert(*table, mono);
            }
            is_due
        });
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_types::Token;

    const TEN_DAYS: u32 = 864_000;
    const NOW: i64 = 100 * WEEK;

    fn range(number: i64) -> TokenRange {
        TokenRange { start: Token(10 * number), end: Token(10 * number + 10) }
    }

    /// Ranges from the number `first` on with these last repairs.
    fn standing(number: u128, gc_grace_seconds: u32, first: i64, repaired_at: &[Option<i64>]) -> Standing {
        Standing {
            table: TableId(Uuid::from_u128(number)),
            gc_grace_seconds,
            replicas: vec![Uuid::from_u128(first as u128), Uuid::from_u128(77)],
            ranges: (first..).zip(repaired_at).map(|(number, at)| (range(number), *at)).collect(),
            unknown_since: None,
            held_up: None,
        }
    }

    fn due(standings: &[Standing]) -> Option<(u128, bool, Vec<TokenRange>)> {
        let due = next(NOW, 30, standings)?;
        Some((due.table.0.as_u128(), due.is_known, due.ranges.into_values().flatten().collect()))
    }

    #[test]
    fn the_most_overdue_comes_first_and_what_is_not_due_does_not_come() {
        let five_days = 5 * 24 * HOUR;
        let fresh = standing(1, TEN_DAYS, 0, &[Some(NOW - five_days + 1)]);
        assert_eq!(due(std::slice::from_ref(&fresh)), None);
        assert_eq!(next_at(30, std::slice::from_ref(&fresh)), Some(NOW + 1));
        let one = standing(2, TEN_DAYS, 0, &[Some(NOW - five_days)]);
        let urgent = standing(3, 4 * HOUR as u32, 0, &[Some(NOW - 3 * HOUR)]);
        assert_eq!(due(&[fresh.clone(), one.clone()]), Some((2, true, vec![range(0)])));
        assert_eq!(due(&[one, urgent.clone(), fresh]), Some((3, true, vec![range(0)])));
        assert!(!urgent.is_late(NOW) && urgent.is_late(NOW + 2 * HOUR));
    }

    #[test]
    fn what_is_held_up_does_not_hold_up_the_rest_of_its_table() {
        let ages = [Some(NOW - 2 * WEEK), Some(NOW - 2 * WEEK)];
        let held = Standing { held_up: Some("n4 is down".into()), ..standing(1, TEN_DAYS, 0, &ages) };
        let free = standing(1, TEN_DAYS, 5, &ages);
        assert_eq!(due(&[held.clone(), free.clone()]), Some((1, true, vec![range(5), range(6)])));
        assert_eq!(due(&[held]), None);
    }

    #[test]
    fn what_is_due_soon_goes_with_what_is_due_and_what_is_not_known_goes_apart() {
        let day = 24 * HOUR;
        let ages = [Some(NOW - 5 * day), Some(NOW - 4 * day), Some(NOW - day), None];
        let mut table = standing(1, TEN_DAYS, 0, &ages);
        table.unknown_since = Some(NOW - 29);
        assert_eq!(due(std::slice::from_ref(&table)), Some((1, true, vec![range(0), range(1)])));
        table.ranges.drain(..2);
        assert_eq!(
            (due(std::slice::from_ref(&table)), next_at(30, std::slice::from_ref(&table))),
            (None, Some(NOW + 1))
        );
        table.unknown_since = Some(NOW - 30);
        assert_eq!(due(&[table]), Some((1, false, vec![range(3)])));
    }

    #[test]
    fn the_interval_follows_the_grace_of_the_table() {
        assert_eq!([0, 2, 60, u32::MAX].map(interval_seconds), [HOUR, SHORTEST, 30, WEEK]);
        assert!(!standing(1, 0, 0, &[Some(0)]).is_late(WEEK));
    }

    #[test]
    fn it_is_told_once_an_hour_which_tables_are_late_and_why() {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let old = [Some(NOW - 2 * WEEK)];
        let held = Standing { held_up: Some("n4 is down".into()), ..standing(1, TEN_DAYS, 0, &old) };
        let unknown = Standing { unknown_since: Some(NOW - 2 * WEEK), ..standing(2, TEN_DAYS, 0, &[None]) };
        let fresh = Standing { unknown_since: Some(NOW), ..standing(3, TEN_DAYS, 0, &[None, Some(NOW)]) };
        let all = [standing(1, TEN_DAYS, 5, &old), held, unknown, fresh];
        let late = Late::default();
        let told = late.look(NOW, minutes(5), &all);
        let told: Vec<_> = told.into_iter().map(|(table, reason)| (table.0.as_u128(), reason)).collect();
        assert_eq!(told, [(1, Some("n4 is down".into())), (2, None)]);
        assert_eq!(late.look(NOW, minutes(64), &all), BTreeMap::new());
        assert_eq!(late.tables(), 2);
        assert_eq!(late.look(NOW, minutes(65), &all).len(), 2);
        assert_eq!((late.look(NOW, minutes(66), &all[3..]).len(), late.tables()), (0, 0));
    }
}
