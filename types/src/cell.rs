//! A cell: one value of one column, or one element of a multi-cell column.

use crate::deletion::Deletion;

/// The number of a column within its table, given by the metadata log and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct ColumnId(pub u32);

/// How a cell lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CellKind {
    /// A value until it is overwritten.
    Live,
    /// A value until `expires_at_seconds`, a tombstone from then on.
    Expiring {
        /// Time to live when it was written, in seconds, 1 or more.
        ttl_seconds: u32,
        /// Seconds since the epoch.
        expires_at_seconds: i64,
    },
    /// No value, since `deleted_at_seconds` (seconds since the epoch).
    Tombstone {
        /// Seconds since the epoch on the coordinator's clock.
        deleted_at_seconds: i64,
    },
    /// The value is a list of counter shards (see [`crate::counter`]).
    Counter,
}

/// A view of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell<'a> {
    /// The column.
    pub column: ColumnId,
    /// Order-preserving bytes of the element (a set's element, a map's key, a list's timeuuid,
    /// a user-defined type's field number); `None` in a column of one cell.
    pub path: Option<&'a [u8]>,
    /// Microseconds since the epoch, as the writer gave them.
    pub timestamp_micros: i64,
    /// How the cell lives.
    pub kind: CellKind,
    /// The value's wire bytes; empty for a tombstone.
    pub value: &'a [u8],
}

impl Cell<'_> {
    /// True if the cell has no value at `now_seconds`.
    #[must_use]
    pub const fn is_dead_at(&self, now_seconds: i64) -> bool {
        match self.kind {
            CellKind::Live | CellKind::Counter => false,
            CellKind::Expiring { expires_at_seconds, .. } => expires_at_seconds <= now_seconds,
            CellKind::Tombstone { .. } => true,
        }
    }

    /// The second at which the cell stopped or stops to live, `i64::MAX` if it does not.
    #[must_use]
    pub const fn local_deletion_seconds(&self) -> i64 {
        match self.kind {
            CellKind::Live | CellKind::Counter => i64::MAX,
            CellKind::Expiring { expires_at_seconds, .. } => expires_at_seconds,
            CellKind::Tombstone { deleted_at_seconds } => deleted_at_seconds,
        }
    }

    /// The time to live it was written with, in seconds; 0 without one.
    #[must_use]
    pub const fn ttl_seconds(&self) -> u32 {
        match self.kind {
            CellKind::Expiring { ttl_seconds, .. } => ttl_seconds,
            _ => 0,
        }
    }
}

/// The marker that a row was inserted: it keeps a row without values alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Liveness {
    /// Microseconds since the epoch, as the writer gave them.
    pub timestamp_micros: i64,
    /// Time to live in seconds, 0 without one, [`Liveness::EXPIRED_TTL`] for an expired marker.
    pub ttl_seconds: u32,
    /// Seconds since the epoch; `i64::MAX` without a time to live.
    pub expires_at_seconds: i64,
}

impl Liveness {
    /// The time to live of a marker that has expired whatever the clock says.
    pub const EXPIRED_TTL: u32 = u32::MAX;

    /// A marker that does not expire.
    #[must_use]
    pub const fn new(timestamp_micros: i64) -> Self {
        Self { timestamp_micros, ttl_seconds: 0, expires_at_seconds: i64::MAX }
    }

    /// A marker that expires.
    #[must_use]
    pub const fn expiring(timestamp_micros: i64, ttl_seconds: u32, expires_at_seconds: i64) -> Self {
        Self { timestamp_micros, ttl_seconds, expires_at_seconds }
    }

    /// True if the marker keeps the row alive at `now_seconds`.
    #[must_use]
    pub const fn is_live_at(&self, now_seconds: i64) -> bool {
        match self.ttl_seconds {
            0 => true,
            Self::EXPIRED_TTL => false,
            _ => self.expires_at_seconds > now_seconds,
        }
    }
}

/// What a row holds for its columns, in the order of (column, path).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowItem<'a> {
    /// The deletion of all earlier cells of a multi-cell column; before its cells.
    ColumnDeletion(ColumnId, Deletion),
    /// A cell.
    Cell(Cell<'a>),
}

impl RowItem<'_> {
    /// The item's column.
    #[must_use]
    pub const fn column(&self) -> ColumnId {
        match self {
            Self::ColumnDeletion(column, _) => *column,
            Self::Cell(cell) => cell.column,
        }
    }
}
