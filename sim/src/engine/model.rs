//! The judge's model: every change ever made, from which each answer is worked out anew. It shares
//! no code with the engine.

use super::generate::COLUMNS;
use super::step::{Place, Query};
use dodona_types::PartitionKey;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A cell as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellFact {
    /// Its timestamp.
    pub timestamp: i64,
    /// A value; or none: a tombstone.
    pub value: Option<u8>,
    /// Seconds to live; 0 for ever.
    pub ttl: u32,
    /// When it expires, or was deleted; `i64::MAX` if it lives for ever.
    pub dies_at: i64,
}

impl CellFact {
    /// What the merge rule compares.
    fn rank(&self) -> (i64, u8, i64, Reverse<u32>, Option<u8>) {
        let kind = match (self.value, self.ttl) {
            (None, _) => 2,
            (Some(_), 0) => 0,
            _ => 1,
        };
        (self.timestamp, kind, self.dies_at, Reverse(self.ttl), self.value)
    }

    const fn is_live(&self, now: i64) -> bool {
        self.value.is_some() && self.dies_at > now
    }
}

/// Something that is true once it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A cell of a row, or of the static row.
    Cell(Option<u8>, Place, CellFact),
    /// The column of many cells was emptied: timestamp and second.
    EmptyMap(Option<u8>, i64, i64),
    /// A row's marker; as a cell without meaning to its value.
    Marker(u8, CellFact),
    /// Rows from one to before another were deleted: timestamp and second.
    Range(u8, u8, i64, i64),
    /// The partition was deleted: timestamp and second.
    Partition(i64, i64),
}

impl Fact {
    /// Its timestamp.
    #[must_use]
    pub const fn timestamp(&self) -> i64 {
        self.times().0
    }

    /// Its timestamp, and the second from which gc_grace counts; `i64::MAX` if it never goes.
    const fn times(&self) -> (i64, i64) {
        match self {
            Self::Cell(_, _, cell) | Self::Marker(_, cell) => (cell.timestamp, cell.dies_at),
            Self::EmptyMap(_, timestamp, at)
            | Self::Range(_, _, timestamp, at)
            | Self::Partition(timestamp, at) => (*timestamp, *at),
        }
    }
}

/// A row as a read shows it: its number and its live cells.
pub type SeenRow = (u8, Vec<(Place, u8)>);

/// A partition as a read shows it: its number, live static cells, rows.
pub type SeenPartition = (u8, Vec<(Place, u8)>, Vec<SeenRow>);

/// Everything that one mutation of the table said, whatever became of it.
#[derive(Clone, Debug)]
pub(super) struct Ever {
    pub(super) number: u64,
    pub(super) partition: u8,
    pub(super) facts: Vec<Fact>,
}

impl Ever {
    pub(super) const fn new(number: u64, partition: u8, facts: Vec<Fact>) -> Self {
        Self { number, partition, facts }
    }

    pub(super) fn newest(&self) -> i64 {
        self.facts.iter().map(Fact::timestamp).max().unwrap_or(i64::MIN)
    }
}

/// Everything that was written, by the number of its write.
#[derive(Clone, Debug, Default)]
pub struct Model {
    facts: Vec<(u64, u8, Fact)>,
    /// Up to which timestamp nothing is seen of a column that was dropped and came back.
    pub dropped: DroppedColumns,
}

/// Timestamps of drops, by the number of the column; [`COLUMNS`] is the one of many cells.
pub type DroppedColumns = BTreeMap<u8, i64>;

/// The raw key of a partition.
#[must_use]
pub fn key_of(partition: u8) -> Vec<u8> {
    vec![partition, 0, partition ^ 0x5a]
}

impl Model {
    /// Notes what a write says.
    pub fn add(&mut self, write: u64, partition: u8, fact: Fact) {
        self.facts.push((write, partition, fact));
    }

    /// Forgets writes of which `keep` says no.
    pub fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        self.facts.retain(|(write, ..)| keep(*write));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.facts.clear();
    }

    /// The greatest timestamp in a partition of something that may have been purged: whether an
    /// older write that comes now is seen nobody can tell.
    #[must_use]
    pub fn purged_up_to(&self, partition: u8, gc_before: i64) -> i64 {
        self.facts
            .iter()
            .filter(|(_, of, fact)| *of == partition && fact.times().1 < gc_before)
            .map(|(_, _, fact)| fact.times().0)
            .max()
            .unwrap_or(i64::MIN)
    }

    /// True if someone wrote this value there, sometime.
    #[must_use]
    pub fn was_written(&self, partition: u8, row: Option<u8>, place: Place, value: u8) -> bool {
        self.of(partition).any(|fact| {
            matches!(fact, Fact::Cell(of, at, cell) if *of == row && *at == place && cell.value == Some(value))
        })
    }

    fn of(&self, partition: u8) -> impl Iterator<Item = &Fact> {
        self.facts.iter().filter(move |(_, of, _)| *of == partition).map(|(_, _, fact)| fact)
    }

    fn dropped(&self, place: Place) -> i64 {
        let column = match place {
            Place::Column(column) => column,
            Place::Element(_) => COLUMNS,
        };
        self.dropped.get(&column).copied().unwrap_or(i64::MIN)
    }

    fn live_cells(&self, partition: u8, row: Option<u8>, covered: i64, now: i64) -> Vec<(Place, u8)> {
        let emptied = self
            .of(partition)
            .filter_map(|fact| match fact {
                Fact::EmptyMap(of, timestamp, _) if *of == row => Some(*timestamp),
                _ => None,
            })
            .max()
            .unwrap_or(i64::MIN);
        let mut cells: BTreeMap<Place, CellFact> = BTreeMap::new();
        for fact in self.of(partition) {
            let Fact::Cell(of, place, cell) = fact else { continue };
            if *of == row && cell.timestamp > self.dropped(*place) {
                let best = cells.entry(*place).or_insert(*cell);
                if cell.rank() > best.rank() {
                    *best = *cell;
                }
            }
        }
        let is_there = |place: &Place, cell: &CellFact| {
            let covered = if matches!(place, Place::Element(_)) { covered.max(emptied) } else { covered };
            cell.timestamp > covered && cell.is_live(now)
        };
        cells.retain(|place, cell| is_there(place, cell));
        cells.into_iter().map(|(place, cell)| (place, cell.value.unwrap_or_default())).collect()
    }

    fn row(&self, partition: u8, row: u8, partition_deleted: i64, now: i64) -> Option<SeenRow> {
        let mut covered = partition_deleted;
        let mut marker: Option<CellFact> = None;
        for fact in self.of(partition) {
            match fact {
                Fact::Range(start, end, timestamp, _) if (*start..*end).contains(&row) => {
                    covered = covered.max(*timestamp);
                }
                Fact::Marker(of, written)
                    if *of == row && marker.is_none_or(|marker| written.rank() > marker.rank()) =>
                {
                    marker = Some(*written);
                }
                _ => {}
            }
        }
        let cells = self.live_cells(partition, Some(row), covered, now);
        let marked = marker.is_some_and(|marker| marker.timestamp > covered && marker.is_live(now));
        (marked || !cells.is_empty()).then_some((row, cells))
    }

    fn partition_deleted(&self, partition: u8) -> i64 {
        let deleted = self.of(partition).filter_map(|fact| match fact {
            Fact::Partition(timestamp, _) => Some(*timestamp),
            _ => None,
        });
        deleted.max().unwrap_or(i64::MIN)
    }

    /// What a query must show, of partitions numbered below `partitions`.
    #[must_use]
    pub fn answer(&self, query: &Query, partitions: u8, now: i64) -> Vec<SeenPartition> {
        let mut wanted: Vec<u8> = query.partition.map_or_else(|| (0..partitions).collect(), |one| vec![one]);
        wanted.sort_by_key(|partition| PartitionKey::new(key_of(*partition).into()));
        let limit = |limit: u8| if limit == 0 { usize::MAX } else { usize::from(limit) };
        let (mut rows_left, per_partition) = (limit(query.limits.0), limit(query.limits.1));
        let mut seen = Vec::new();
        for partition in wanted {
            let deleted = self.partition_deleted(partition);
            let statics = self.live_cells(partition, None, deleted, now);
            let selected = |row: u8| {
                if !query.names.is_empty() {
                    query.names.contains(&row)
                } else {
                    query.slices.is_empty()
                        || query.slices.iter().any(|(start, end)| (*start..*end).contains(&row))
                }
            };
            let mut rows: Vec<SeenRow> = (0..64)
                .filter(|row| selected(*row))
                .filter_map(|row| self.row(partition, row, deleted, now))
                .collect();
            if query.reversed {
                rows.reverse();
            }
            rows.truncate(per_partition.min(rows_left));
            if rows.is_empty() && statics.is_empty() {
                continue;
            }
            // A partition of which only the static row is shown counts as a row.
            rows_left -= rows.len().max(1);
            seen.push((partition, statics, rows));
            if rows_left == 0 {
                break;
            }
        }
        seen
    }
}
