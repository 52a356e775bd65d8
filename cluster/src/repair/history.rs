//! When what was repaired: a file in the data directory.

use crate::error::ClusterError;
use dodona_env::Disk;
use dodona_storage::StorageError;
use dodona_types::TableId;
use dodona_types::token::TokenRange;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use uuid::Uuid;

const FILE: &str = "repairs.json";

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

/// When what was repaired, kept on disk.
pub struct History {
    disk: Arc<dyn Disk>,
    tables: Mutex<BTreeMap<Uuid, Times>>,
}

impl History {
    /// What the data directory has. A file that cannot be read counts as none: everything is due then.
    #[must_use]
    pub fn open(disk: Arc<dyn Disk>) -> Self {
        let tables = match disk.read(FILE).map(|bytes| serde_json::from_slice(&bytes)) {
            Ok(Ok(tables)) => tables,
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

    /// The earliest second at which the last repair of a part of these ranges began; none if a part of
    /// them was never repaired.
    #[must_use]
    pub fn oldest(&self, table: TableId, ranges: &[TokenRange]) -> Option<i64> {
        let tables = self.tables.lock();
        let times = tables.get(&table.0)?;
        ranges.iter().map(|range| times.oldest(range)).try_fold(i64::MAX, |oldest, at| Some(oldest.min(at?)))
    }

    /// Notes repairs of ranges that began at this second, and forgets tables that are gone.
    ///
    /// # Errors
    /// The operating system's.
    pub fn record(
        &self,
        table: TableId,
        ranges: &[TokenRange],
        at: i64,
        exists: impl Fn(TableId) -> bool,
    ) -> Result<(), ClusterError> {
        let mut tables = self.tables.lock();
        tables.retain(|table, _| exists(TableId(*table)));
        let times = tables.entry(table.0).or_default();
        ranges.iter().for_each(|range| times.record(range, at));
        let json = serde_json::to_vec(&*tables).unwrap_or_default();
        self.disk.replace(FILE, &json).map_err(|source| {
            StorageError::Io { action: "writing", path: FILE.into(), source: Arc::new(source) }.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_types::Token;
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
}
