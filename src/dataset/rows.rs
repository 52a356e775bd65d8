//! The row at a place of a partition.

use super::plan::{Partition, Table};
use super::values::{Count, Draw, day_after, timeuuid};
use serde_json::{Map, Value, json};
use time::macros::date;
use time::{Date, Duration};
use uuid::Uuid;

/// The first day of the readings.
const FIRST_DAY: Date = date!(2026 - 03 - 01);
/// Milliseconds between a sensor's readings.
const READING_INTERVAL_MS: u64 = 60_000;
/// Ticks of 100 ns between 1582-10-15, where version 1 of UUIDs starts, and `FIRST_DAY`.
const FIRST_TICK: u64 = (FIRST_DAY.to_julian_day() as u64 - 2_299_161) * 864_000_000_000;
/// Ticks of 100 ns between a stream's events.
const EVENT_INTERVAL_TICKS: u64 = 10_000;

/// The columns of a row, in their JSON forms.
pub(super) fn row(seed: u64, partition: &Partition, index: u64) -> Map<String, Value> {
    let mut cells = Cells { columns: Map::new(), draw: Draw::new(seed, partition.first_row, index) };
    match partition.table {
        Table::Readings { sensor, day } => reading(&mut cells, seed, sensor, day, index),
        Table::Events { stream } => event(&mut cells, stream, index),
    }
    cells.columns
}

/// A row under construction.
struct Cells {
    columns: Map<String, Value>,
    draw: Draw,
}

impl Cells {
    fn set(&mut self, column: &str, value: impl Into<Value>) {
        self.columns.insert(column.to_owned(), value.into());
    }

    /// A column that some rows leave alone and some set to null.
    fn maybe(&mut self, column: &str, value: impl FnOnce(&mut Draw) -> Value) {
        match self.draw.below(16) {
            0 | 1 => {}
            2 => self.set(column, Value::Null),
            _ => {
                let value = value(&mut self.draw);
                self.set(column, value);
            }
        }
    }
}

fn reading(row: &mut Cells, seed: u64, sensor: u64, day: u64, index: u64) {
    // What belongs to the partition is the same in each of its rows.
    let mut fixed = Draw::new(seed, u64::MAX - 1 - sensor, day);
    let first_ms =
        (FIRST_DAY + Duration::days(day as i64)).midnight().assume_utc().unix_timestamp() as u64 * 1_000;
    row.set("sensor", Uuid::from_u64_pair(0x5e50_5000_0000_4000, 1 << 63 | sensor).to_string());
    row.set("day", day_after(FIRST_DAY, day));
    let jitter = row.draw.below(READING_INTERVAL_MS);
    row.set("at", first_ms + index * READING_INTERVAL_MS + jitter);
    row.set("site", fixed.text(24));
    row.set("position", fixed.place());
    row.set("firmware", fixed.ascii(12));

    row.maybe("battery", Draw::tinyint);
    row.maybe("energy", Draw::decimal);
    row.maybe("fault", Draw::boolean);
    row.maybe("gateway", Draw::inet);
    row.maybe("measured", Draw::time);
    row.maybe("notes", |draw| draw.several(Count(1, 3), |draw| draw.text(16)));
    row.maybe("pressure", Draw::double);
    row.maybe("quality", |draw| json!([draw.or_null(4, Draw::int), draw.or_null(4, |draw| draw.text(8))]));
    row.maybe("raw", |draw| draw.blob(64));
    row.maybe("samples", |draw| draw.several(Count(4, 4), Draw::float));
    row.maybe("sequence", Draw::bigint);
    row.maybe("signal", Draw::smallint);
    row.maybe("status", Draw::int);
    row.maybe("temperature", Draw::float);
    row.maybe("uptime", Draw::duration);
}

fn event(row: &mut Cells, stream: u64, index: u64) {
    row.set("stream", format!("stream-{stream}"));
    let ticks = FIRST_TICK + index * EVENT_INTERVAL_TICKS + row.draw.below(EVENT_INTERVAL_TICKS);
    let node = row.draw.below(u64::MAX);
    row.set("id", timeuuid(ticks, node).to_string());

    row.maybe("amount", Draw::decimal);
    row.maybe("attributes", |draw| draw.map(Count(1, 4), |draw| draw.text(6), |draw| draw.text(20)));
    row.maybe("author", |draw| {
        json!([draw.uuid(), draw.or_null(4, |draw| draw.text(10)), draw.or_null(4, Draw::int)])
    });
    row.maybe("client", Draw::inet);
    row.maybe("deadline", Draw::date);
    row.maybe("kind", |draw| draw.ascii(16));
    row.maybe("nested", |draw| {
        draw.map(Count(1, 2), Draw::int, |draw| draw.map(Count(0, 2), |draw| draw.text(4), Draw::double))
    });
    row.maybe("note", |draw| draw.text(80));
    row.maybe("origin", Draw::place);
    row.maybe("payload", |draw| {
        let longest = if draw.once_in(1_000) { 8_192 } else { 96 };
        draw.blob(longest)
    });
    row.maybe("route", |draw| draw.several(Count(0, 5), Draw::bigint));
    row.maybe("seen", |draw| draw.distinct(Count(0, 4), Draw::timestamp));
    row.maybe("serial", Draw::varint);
    row.maybe("tags", |draw| draw.distinct(Count(1, 4), |draw| draw.text(8)));
    row.maybe("weight", Draw::double);
}
