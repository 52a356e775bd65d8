//! When what was repaired: a file in the data directory.

use crate::error::ClusterError;
use dodona_env::Disk;
use dodona_storage::StorageError;
use dodona_types::schema::Options;
use dodona_types::token::TokenRange;
use dodona_types::{TableId, Token};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use uuid::Uuid;

const FILE: &str = "repairs.json";
/// The whole ring.
const EVERYTHING: TokenRange = TokenRange { start: Token(0), end: Token(0) };

/// Parts of the ring, each with the second at which its last repair began. Parts are pairs of the first
/// and the last ordinal number of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Times(Vec<(u64, u64, i64)>);

/// The parts of a range that does not wrap: its first and last ordinal number.
fn parts(range: &TokenRange) -> Vec<(u64, u64)> {
    let (start, end) = (range.start.ordinal(), range.end.ordinal());
    if start == end {
        return vec![(0, u64::MAX)];
    }
    let behind = start.checked_add(1);
    match behind {
        Some(first) if first <= end => vec![(first, end)],
        Some(first) => vec![(0, end), (first, u64::MAX)],
        None => vec![(0, end)],
    }
}

impl Times {
    fn record(&mut self, range: &TokenRange, at: i64) {
        for (first, last) in parts(range) {
            let mut kept = Vec::with_capacity(self.0.len() + 2);
            for (from, to, then) in self.0.drain(..) {
                if to < first || last < from {
                    kept.push((from, to, then));
                    continue;
                }
                if from < first {
                    kept.push((from, first - 1, then));
                }
                if to > last {
                    kept.push((last + 1, to, then));
                }
            }
            kept.push((first, last, at));
            kept.sort_unstable();
            self.0 = kept;
        }
        // Neighbours of the same time are one part.
        self.0.dedup_by(|next, before| {
            let joins = before.2 == next.2 && before.1.checked_add(1) == Some(next.0);
            if joins {
                before.1 = next.1;
            }
            joins
        });
    }

    /// The earliest time in a range; none if a part of it has none.
    fn oldest(&self, range: &TokenRange) -> Option<i64> {
        let mut oldest = i64::MAX;
        for (first, last) in parts(range) {
            let mut next = Some(first);
            for (from, to, at) in self.0.iter().filter(|(from, to, _)| *to >= first && *from <= last) {
                if next.is_none_or(|next| *from > next) {
                    return None;
                }
                oldest = oldest.min(*at);
                next = to.checked_add(1);
            }
            if next.is_some_and(|next| next <= last) {
                return None;
            }
        }
        Some(oldest)
    }
}

/// What is known of a table.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Known {
    times: Times,
    /// The replication of its keyspace at these times: another one has replicas that may hold nothing. None in a file of the
    /// first form.
    replication: Option<Options>,
    /// The second at which it was first seen that the last repair of a range is not known.
    unknown_since: Option<i64>,
}

impl Known {
    fn is_of(&self, replication: &Options) -> bool {
        self.replication.as_ref().is_none_or(|known| known == replication)
    }

    /// Begins anew if what is known is of another replication.
    fn go_over_to(&mut self, replication: &Options) {
        if !self.is_of(replication) {
            self.times = Times::default();
        }
        self.replication = Some(replication.clone());
    }
}

/// As a file has it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Read {
    First(Times),
    Known(Known),
}

impl From<Read> for Known {
    fn from(read: Read) -> Self {
        match read {
            Read::First(times) => Self { times, ..Self::default() },
            Read::Known(known) => known,
        }
    }
}

/// A table, by the replication that its keyspace has.
#[derive(Clone, Copy, Debug)]
pub struct Replicated<'a> {
    /// The table.
    pub table: TableId,
    /// The options of its keyspace's replication.
    pub replication: &'a Options,
}

/// When what was repaired, kept on disk.
pub struct History {
    disk: Arc<dyn Disk>,
    tables: Mutex<BTreeMap<Uuid, Known>>,
}

impl History {
    /// What the data directory has. A file that cannot be read counts as none: everything is due then.
    #[must_use]
    pub fn open(disk: Arc<dyn Disk>) -> Self {
        let read = |bytes: Vec<u8>| serde_json::from_slice::<BTreeMap<Uuid, Read>>(&bytes);
        let tables = match disk.read(FILE).map(read) {
            Ok(Ok(tables)) => tables.into_iter().map(|(table, read)| (table, read.into())).collect(),
            Ok(Err(error)) => {
                tracing::warn!(%error, file = FILE, "what was repaired when is not known");
                BTreeMap::new()
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, file = FILE, "what was repaired when is not known");
                }
                BTreeMap::new()
            }
        };
        Self { disk, tables: Mutex::new(tables) }
    }

    /// The earliest second at which the last repair of a part of a range began; none if a part of it was never repaired, as
    /// far as is known.
    #[must_use]
    pub fn oldest(&self, of: Replicated<'_>, range: &TokenRange) -> Option<i64> {
        let tables = self.tables.lock();
        let known = tables.get(&of.table.0).filter(|known| known.is_of(of.replication))?;
        known.times.oldest(range)
    }

    /// The second at which it was first seen that the last repair of a range of the table is not known.
    #[must_use]
    pub fn unknown_since(&self, table: TableId) -> Option<i64> {
        self.tables.lock().get(&table.0)?.unknown_since
    }

    /// Notes that a table is new: nothing that was written before this second can be missing anywhere. It is on disk with the
    /// next note; without it, the table is repaired once more than need be.
    pub fn begin(&self, of: Replicated<'_>, at: i64) {
        let mut known = Known { replication: Some(of.replication.clone()), ..Known::default() };
        known.times.record(&EVERYTHING, at);
        self.tables.lock().entry(of.table.0).or_insert(known);
    }

    /// Notes since when the last repair of ranges of tables is not known, those that are not there having none.
    ///
    /// # Errors
    /// The operating system's.
    pub fn note_unknown(&self, since: &BTreeMap<TableId, i64>) -> Result<(), ClusterError> {
        let mut tables = self.tables.lock();
        let present =
            tables.iter().filter_map(|(table, known)| Some((TableId(*table), known.unknown_since?)));
        if present.eq(since.iter().map(|(table, at)| (*table, *at))) {
            return Ok(());
        }
        for (table, known) in tables.iter_mut() {
            known.unknown_since = since.get(&TableId(*table)).copied();
        }
        for (table, at) in since {
            tables.entry(table.0).or_default().unknown_since = Some(*at);
        }
        self.write(&tables)
    }

    /// Notes repairs of ranges that began at this second, and forgets tables that are gone.
    ///
    /// # Errors
    /// The operating system's.
    pub fn record(
        &self,
        of: Replicated<'_>,
        ranges: &[TokenRange],
        at: i64,
        exists: impl Fn(TableId) -> bool,
    ) -> Result<(), ClusterError> {
        let mut tables = self.tables.lock();
        tables.retain(|table, _| exists(TableId(*table)));
        let known = tables.entry(of.table.0).or_default();
        known.go_over_to(of.replication);
        ranges.iter().for_each(|range| known.times.record(range, at));
        self.write(&tables)
    }

    fn write(&self, tables: &BTreeMap<Uuid, Known>) -> Result<(), ClusterError> {
        let json = serde_json::to_vec(tables).unwrap_or_default();
        self.disk.replace(FILE, &json).map_err(|source| {
            StorageError::Io { action: "writing", path: FILE.into(), source: Arc::new(source) }.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_env::os;
    use proptest::prelude::*;

    fn range() -> impl Strategy<Value = TokenRange> {
        let token =
            || prop::sample::select(vec![i64::MIN, i64::MIN + 1, -5, -1, 0, 1, 7, i64::MAX - 1, i64::MAX]);
        (token(), token()).prop_map(|(start, end)| TokenRange { start: Token(start), end: Token(end) })
    }

    proptest! {
        #[test]
        fn each_token_has_the_time_of_its_last_repair(
            repairs in prop::collection::vec(range(), 0..8), asked in range(),
        ) {
            let tokens = [i64::MIN, i64::MIN + 1, i64::MIN + 2, -5, -4, -1, 0, 1, 2, 7, 8, i64::MAX - 1, i64::MAX];
            let mut times = Times::default();
            (0..).zip(&repairs).for_each(|(at, range)| times.record(range, at));
            let last = |token: i64| {
                (0..).zip(&repairs).filter(|(_, range)| range.contains(Token(token))).map(|(at, _)| at).last()
            };
            let expected = tokens.into_iter().filter(|token| asked.contains(Token(*token))).map(last);
            let expected = expected.collect::<Option<Vec<i64>>>().map(|all| all.into_iter().min().unwrap_or(i64::MAX));
            prop_assert_eq!(times.oldest(&asked), expected);
            prop_assert!(times.0.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }

    const TABLE: TableId = TableId(Uuid::from_u128(7));

    fn copies(count: &str) -> Options {
        Options::from([("replication_factor".to_owned(), count.to_owned())])
    }

    fn part(end: i64) -> TokenRange {
        TokenRange { start: Token(0), end: Token(end) }
    }

    #[test]
    fn what_was_repaired_with_other_replicas_is_not_known_and_neither_is_a_damaged_file() {
        let directory = tempfile::tempdir().unwrap();
        let disk = os::env(directory.path()).unwrap().disk;
        let open = || History::open(Arc::clone(&disk));
        let [one, three] = ["1", "3"].map(copies);
        let of = |replication| Replicated { table: TABLE, replication };
        let history = open();
        history.begin(of(&one), 50);
        assert_eq!(history.oldest(of(&one), &part(9)), Some(50));
        // A table that is seen again is not new.
        history.begin(of(&one), 60);
        history.record(of(&one), &[part(4)], 70, |_| true).unwrap();
        let again = open();
        assert_eq!([4, 9].map(|end| again.oldest(of(&one), &part(end))), [Some(70), Some(50)]);
        assert_eq!(again.oldest(of(&three), &part(4)), None, "two of them may have nothing");
        again.record(of(&three), &[part(4)], 80, |_| true).unwrap();
        assert_eq!([4, 9].map(|end| again.oldest(of(&three), &part(end))), [Some(80), None]);
        assert_eq!(again.oldest(of(&one), &part(4)), None);
        let since = BTreeMap::from([(TABLE, 90)]);
        again.note_unknown(&since).unwrap();
        assert_eq!(open().unknown_since(TABLE), Some(90));
        again.note_unknown(&BTreeMap::new()).unwrap();
        assert_eq!(open().unknown_since(TABLE), None);
        disk.replace(FILE, b"{ no").unwrap();
        assert_eq!(open().oldest(of(&three), &part(4)), None);
    }

    #[test]
    fn a_file_of_the_first_form_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let disk = os::env(directory.path()).unwrap().disk;
        let first = format!("{{\"{}\":[[0,{},40]]}}", TABLE.0, u64::MAX);
        disk.replace(FILE, first.as_bytes()).unwrap();
        let of = Replicated { table: TABLE, replication: &copies("3") };
        assert_eq!(History::open(disk).oldest(of, &part(9)), Some(40));
    }
}
