//! Changes, as mutations of the engine and as facts of the model.

use super::generate::COLUMNS;
use super::model::{CellFact, Fact};
use super::reads::{self, MAP};
use super::step::{Change, Place, Put};
use dodona_types::row::{RowBuilder, RowHeader};
use dodona_types::{Cell, CellKind, ColumnId, Deletion, Liveness, MutationBuilder};

fn column_of(row: Option<u8>, place: Place) -> ColumnId {
    let base = if row.is_none() { reads::STATIC_BASE } else { 0 };
    match place {
        Place::Column(column) => ColumnId(base + u32::from(column)),
        Place::Element(_) => ColumnId(base + MAP.0),
    }
}

fn fact_of(put: Put, timestamp: i64, now: i64) -> CellFact {
    let (value, ttl, dies_at) = match put {
        Put::Live(value) => (Some(value), 0, i64::MAX),
        Put::For(value, ttl) => (Some(value), ttl, now + i64::from(ttl)),
        Put::Delete => (None, 0, now),
    };
    CellFact { timestamp, value, ttl, dies_at }
}

/// What a change says, in the model's terms. The column of many cells is emptied just before.
#[must_use]
pub fn facts_of(change: &Change, timestamp: i64, now: i64) -> Vec<Fact> {
    match change {
        Change::Row { row, marker, empty_map, cells } => {
            let mut facts = Vec::new();
            if let (Some(row), Some(ttl)) = (row, marker) {
                let put = if *ttl == 0 { Put::Live(0) } else { Put::For(0, *ttl) };
                facts.push(Fact::Marker(*row, fact_of(put, timestamp, now)));
            }
            if *empty_map {
                facts.push(Fact::EmptyMap(*row, timestamp - 1, now));
            }
            facts.extend(
                cells.iter().map(|(place, put)| Fact::Cell(*row, *place, fact_of(*put, timestamp, now))),
            );
            facts
        }
        Change::DeleteRow(row) => vec![Fact::Range(*row, row + 1, timestamp, now)],
        Change::DeleteRange(start, end) => vec![Fact::Range(*start, *end, timestamp, now)],
        Change::DeletePartition => vec![Fact::Partition(timestamp, now)],
    }
}

/// Adds a change to a mutation.
pub fn put_change(builder: &mut MutationBuilder, change: &Change, timestamp: i64, now: i64) {
    let deletion = Deletion { timestamp_micros: timestamp, deleted_at_seconds: now };
    match change {
        Change::Row { row, marker, empty_map, cells } => {
            let liveness = marker.map(|ttl| match ttl {
                0 => Liveness::new(timestamp),
                ttl => Liveness::expiring(timestamp, ttl, now + i64::from(ttl)),
            });
            let header = RowHeader { liveness, ..RowHeader::EMPTY };
            let fill = |out: &mut RowBuilder<'_>| {
                let is_element = |place: &Place| matches!(place, Place::Element(_));
                let mut emptied = !*empty_map;
                for (place, put) in cells {
                    if is_element(place) && !emptied {
                        emptied = true;
                        push_emptied(out, *row, timestamp, now);
                    }
                    push_cell(out, *row, *place, *put, timestamp, now);
                }
                if !emptied {
                    push_emptied(out, *row, timestamp, now);
                }
            };
            match row {
                Some(row) => builder.row(&reads::clustering(*row), timestamp, &header, fill),
                None => builder.static_row(timestamp, &header, fill),
            }
        }
        Change::DeleteRow(row) => {
            let header = RowHeader { deletion, ..RowHeader::EMPTY };
            builder.row(&reads::clustering(*row), timestamp, &header, |_| {});
        }
        Change::DeleteRange(start, end) => builder.range_deletion(&reads::slice(*start, *end), deletion),
        Change::DeletePartition => builder.partition_deletion(deletion),
    }
}

fn push_emptied(out: &mut RowBuilder<'_>, row: Option<u8>, timestamp: i64, now: i64) {
    let deletion = Deletion { timestamp_micros: timestamp - 1, deleted_at_seconds: now };
    out.push_column_deletion(column_of(row, Place::Element(0)), deletion);
}

fn push_cell(out: &mut RowBuilder<'_>, row: Option<u8>, place: Place, put: Put, timestamp: i64, now: i64) {
    debug_assert!(u32::from(COLUMNS) < MAP.0);
    let (kind, value) = match put {
        Put::Live(value) => (CellKind::Live, vec![value]),
        Put::For(value, ttl) => {
            (CellKind::Expiring { ttl_seconds: ttl, expires_at_seconds: now + i64::from(ttl) }, vec![value])
        }
        Put::Delete => (CellKind::Tombstone { deleted_at_seconds: now }, Vec::new()),
    };
    let element = match place {
        Place::Element(element) => Some([element]),
        Place::Column(_) => None,
    };
    out.push_cell(&Cell {
        column: column_of(row, place),
        path: element.as_ref().map(<[u8; 1]>::as_slice),
        timestamp_micros: timestamp,
        kind,
        value: &value,
    });
}
