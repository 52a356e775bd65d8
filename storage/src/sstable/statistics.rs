//! What an SSTable says of itself: to skip it in reads, and to choose it for compactions.

use dodona_types::cell::{CellKind, Liveness};
use dodona_types::codec::DecodeError;
use dodona_types::row::RowView;
use dodona_types::{Deletion, RowItem, TableId, Token};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use uuid::Uuid;

/// A column as the table knew it when the file was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredColumn {
    /// The column's number.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its type, as CQL writes it.
    pub cql_type: String,
    /// What it is for, with its place in a key and the order there. Files of old do not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub role: String,
    /// The fields of the user-defined types in its type: later ones are added at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

/// A column that the table does not have any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedColumn {
    /// Its name.
    pub name: String,
    /// What was written to it up to then, in microseconds, stays hidden.
    pub dropped_at_micros: i64,
}

/// Entries of [`Summary::deletion_times`].
const DELETION_TIMES: usize = 100;

/// Where a file comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The table.
    pub table: TableId,
    /// The columns that the table had.
    pub columns: Vec<StoredColumn>,
    /// The node that wrote the file.
    pub writer: Uuid,
    /// The intervals of the writer's commit log that the file covers.
    pub log_intervals: Vec<Range<u64>>,
}

/// What has to be known of a file that is not open: reads leave it out by this, and compactions choose it. The manifest has
/// it as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Partitions.
    pub partitions: u64,
    /// Rows, static ones as well.
    pub rows: u64,
    /// Cells, tombstones as well.
    pub cells: u64,
    /// Tombstones of every kind.
    pub tombstones: u64,
    /// Markers of range deletions.
    pub markers: u64,
    /// Bytes of data before compression.
    pub uncompressed_bytes: u64,
    /// Data blocks; 0 if that is not known, as in files of old.
    #[serde(default)]
    pub data_blocks: u64,
    /// Bytes of the largest partition before compression; 0 if that is not known, as in files of old.
    #[serde(default)]
    pub max_partition_bytes: u64,
    /// The least timestamp, in microseconds.
    pub min_timestamp: i64,
    /// The greatest timestamp, in microseconds.
    pub max_timestamp: i64,
    /// The least second at which something was deleted or expires; `i64::MAX` if nothing.
    pub min_deletion_seconds: i64,
    /// The greatest second at which something was deleted or expires; `i64::MAX` if something
    /// lives for ever.
    pub max_deletion_seconds: i64,
    /// When tombstones were written and cells expire: seconds, and how many, in order. Close ones
    /// share an entry.
    #[serde(default)]
    pub deletion_times: Vec<(i64, u64)>,
    /// How much of the ring the file was written for; 0 if that is not known.
    #[serde(default)]
    pub covered_tokens: u64,
    /// The first token.
    pub first_token: i64,
    /// The last token.
    pub last_token: i64,
}

/// What the manifest tells of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSummary {
    /// The file's length in bytes.
    pub bytes: u64,
    /// What the file holds.
    #[serde(flatten)]
    pub summary: Summary,
}

/// The statistics of a file, stored in it as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Where the file comes from.
    #[serde(flatten)]
    pub origin: Origin,
    /// What it holds.
    #[serde(flatten)]
    pub summary: Summary,
    /// The least clustering key or bound, in comparable bytes.
    pub min_clustering: Vec<u8>,
    /// The greatest clustering key or bound.
    pub max_clustering: Vec<u8>,
}

impl Statistics {
    /// Statistics of an empty file.
    #[must_use]
    pub const fn new(table: TableId, columns: Vec<StoredColumn>, writer: Uuid) -> Self {
        Self {
            origin: Origin { table, columns, writer, log_intervals: Vec::new() },
            summary: Summary::NOTHING,
            min_clustering: Vec::new(),
            max_clustering: Vec::new(),
        }
    }

    /// Notes a clustering key or bound.
    pub fn clustering(&mut self, clustering: &[u8]) {
        if self.min_clustering.is_empty() || clustering < self.min_clustering.as_slice() {
            self.min_clustering = clustering.to_vec();
        }
        if clustering > self.max_clustering.as_slice() {
            self.max_clustering = clustering.to_vec();
        }
    }
}

impl Origin {
    /// Bytes of memory beside those of the structure itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let columns: usize = self
            .columns
            .iter()
            .map(|column| size_of::<StoredColumn>() + column.name.len() + column.cql_type.len() + 32)
            .sum();
        columns + self.log_intervals.len() * 16
    }
}

impl Summary {
    /// That of an empty file.
    pub const NOTHING: Self = Self {
        partitions: 0,
        rows: 0,
        cells: 0,
        tombstones: 0,
        markers: 0,
        uncompressed_bytes: 0,
        data_blocks: 0,
        max_partition_bytes: 0,
        min_timestamp: i64::MAX,
        max_timestamp: i64::MIN,
        min_deletion_seconds: i64::MAX,
        max_deletion_seconds: i64::MIN,
        deletion_times: Vec::new(),
        covered_tokens: 0,
        first_token: 0,
        last_token: 0,
    };

    /// Bytes of memory beside those of the structure itself.
    #[must_use]
    pub const fn heap_bytes(&self) -> usize {
        self.deletion_times.capacity() * 16
    }

    /// The first and last token.
    #[must_use]
    pub const fn tokens(&self) -> (Token, Token) {
        (Token(self.first_token), Token(self.last_token))
    }

    /// Counts a partition; they come in the order of their tokens.
    pub fn partition(&mut self, token: Token) {
        if self.partitions == 0 {
            self.first_token = token.0;
        }
        self.last_token = token.0;
        self.partitions += 1;
    }

    fn timestamp(&mut self, timestamp: i64, deletion_seconds: i64) {
        self.min_timestamp = self.min_timestamp.min(timestamp);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.min_deletion_seconds = self.min_deletion_seconds.min(deletion_seconds);
        self.max_deletion_seconds = self.max_deletion_seconds.max(deletion_seconds);
        if deletion_seconds != i64::MAX {
            self.deletion_time(deletion_seconds);
        }
    }

    /// Counts a tombstone or an expiring cell by its time, to the minute (as Cassandra's
    /// `StreamingTombstoneHistogramBuilder` does).
    fn deletion_time(&mut self, seconds: i64) {
        let minute = seconds.saturating_add(59).div_euclid(60).saturating_mul(60);
        let times = &mut self.deletion_times;
        match times.binary_search_by_key(&minute, |(at, _)| *at) {
            Ok(index) => times[index].1 += 1,
            Err(index) => times.insert(index, (minute, 1)),
        }
        if times.len() > DELETION_TIMES {
            // The two that lie closest become one, at the later time: nothing seems droppable early.
            let closest = (1..times.len()).min_by_key(|index| times[*index].0 - times[*index - 1].0);
            if let Some(index) = closest {
                let (_, count) = times.remove(index - 1);
                times[index - 1].1 += count;
            }
        }
    }

    /// About how many tombstones from before `seconds` there are for each cell.
    #[must_use]
    pub fn droppable(&self, seconds: i64) -> f64 {
        let count: u64 = self.deletion_times.iter().take_while(|(at, _)| *at < seconds).map(|(_, n)| n).sum();
        count as f64 / self.cells.max(1) as f64
    }

    /// Counts a deletion.
    pub fn deletion(&mut self, deletion: Deletion) {
        if !deletion.is_none() {
            self.tombstones += 1;
            self.timestamp(deletion.timestamp_micros, deletion.deleted_at_seconds);
        }
    }

    /// Counts a row.
    ///
    /// # Errors
    /// The row is malformed.
    pub fn row(&mut self, row: &RowView<'_>) -> Result<(), DecodeError> {
        self.rows += 1;
        self.deletion(row.header.deletion);
        if let Some(Liveness { timestamp_micros, expires_at_seconds, .. }) = row.header.liveness {
            self.timestamp(timestamp_micros, expires_at_seconds);
        }
        for item in row.items() {
            match item? {
                RowItem::ColumnDeletion(_, deletion) => self.deletion(deletion),
                RowItem::Cell(cell) => {
                    self.cells += 1;
                    self.tombstones += u64::from(matches!(cell.kind, CellKind::Tombstone { .. }));
                    self.timestamp(cell.timestamp_micros, cell.local_deletion_seconds());
                }
            }
        }
        Ok(())
    }
}
