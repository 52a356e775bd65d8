//! How many partitions there are, how large each is, and when its rows come in.

use super::values::Draw;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

/// Rows of a sensor in a day: one a minute.
const READINGS_OF_A_DAY: u64 = 1_440;
/// Days that the readings cover, in a large enough set.
const DAYS: u64 = 7;
/// Rows of the largest partition of events.
const LARGEST_STREAM: u64 = 200_000;
/// How much smaller most streams are than the largest: a size is `LARGEST_STREAM ^ (u ^ SKEW)`
/// for a uniform `u`.
const SKEW: i32 = 6;
/// The end of the time in which the rows come in.
const END: u64 = 1 << 40;

/// A table of the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// The time series.
    Readings { sensor: u64, day: u64 },
    /// The event log.
    Events { stream: u64 },
}

impl Table {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Readings { .. } => "readings",
            Self::Events { .. } => "events",
        }
    }
}

/// A partition of one of the tables.
#[derive(Debug, Clone)]
pub(super) struct Partition {
    pub(super) table: Table,
    /// The number of its first row among all rows.
    pub(super) first_row: u64,
    pub(super) rows: u64,
    /// When its rows come in, evenly.
    arrives: Range<u64>,
}

impl Partition {
    fn arrival(&self, index: u64) -> u64 {
        let length = u128::from(self.arrives.end - self.arrives.start);
        self.arrives.start + (length * u128::from(index) / u128::from(self.rows)) as u64
    }
}

/// All partitions, in the order of the rows' numbers.
#[derive(Debug)]
pub(super) struct Plan {
    partitions: Vec<Partition>,
}

impl Plan {
    /// Half the rows are readings, half are events.
    pub(super) fn new(rows: u64, seed: u64) -> Self {
        let mut plan = Self { partitions: Vec::new() };
        plan.add_readings(rows - rows / 2);
        plan.add_events(rows / 2, &mut Draw::new(seed, u64::MAX, 0));
        plan
    }

    pub(super) fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// Every row, as its partition and its place therein, in the order in which they come in.
    pub(super) fn by_arrival(&self) -> impl Iterator<Item = (&Partition, u64)> {
        let mut next: BinaryHeap<_> = self
            .partitions
            .iter()
            .enumerate()
            .map(|(at, partition)| Reverse((partition.arrival(0), at, 0)))
            .collect();
        std::iter::from_fn(move || {
            let Reverse((_, at, index)) = next.pop()?;
            let partition = &self.partitions[at];
            if index + 1 < partition.rows {
                next.push(Reverse((partition.arrival(index + 1), at, index + 1)));
            }
            Some((partition, index))
        })
    }

    fn add_readings(&mut self, rows: u64) {
        let count = rows.div_ceil(READINGS_OF_A_DAY);
        let sensors = count.div_ceil(DAYS).max(1);
        for at in 0..count {
            let (sensor, day) = (at % sensors, at / sensors);
            let length = READINGS_OF_A_DAY.min(rows - at * READINGS_OF_A_DAY);
            self.add(Table::Readings { sensor, day }, length, END / DAYS * day..END / DAYS * (day + 1));
        }
    }

    fn add_events(&mut self, rows: u64, draw: &mut Draw) {
        let largest = LARGEST_STREAM.min(rows.div_ceil(4));
        let mut left = rows;
        for stream in 0.. {
            if left == 0 {
                break;
            }
            let size = match stream {
                0 => largest,
                1 => 1,
                _ => (largest as f64).powf(draw.unit().powi(SKEW)) as u64,
            };
            let size = size.clamp(1, left);
            self.add(Table::Events { stream }, size, 0..END);
            left -= size;
        }
    }

    fn add(&mut self, table: Table, rows: u64, arrives: Range<u64>) {
        let first_row = self.partitions.last().map_or(0, |last| last.first_row + last.rows);
        self.partitions.push(Partition { table, first_row, rows, arrives });
    }
}
