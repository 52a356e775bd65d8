//! What the engines are asked to do: keys, values and the phases of a run.

use crate::measure::{self, Measure};
use crate::report::Report;
use crate::store::{Client, Outcome, Store, StoreSettings, VALUE_BYTES, Value};

/// Rows of a short range.
const RANGE_ROWS: u64 = 50;
/// The hot set is one row in so many.
const HOT_PART: u64 = 100;

/// How much is done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Rows of the database.
    pub rows: u64,
    /// Point reads of each kind.
    pub reads: u64,
    /// Clients at once.
    pub threads: u64,
    /// Phases to be run, by a part of their names; all if empty. The fills are always run where others
    /// need them.
    pub phases: Vec<String>,
}

impl Plan {
    fn wants(&self, phase: &str) -> bool {
        self.phases.is_empty() || self.phases.iter().any(|part| phase.contains(part.as_str()))
    }
}

/// A bijection that leaves no order (the finish of SplitMix64).
const fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A value of which LZ4 can save about half: 50 bytes that look random, twice.
fn value(key: u64, version: u64) -> Value {
    let mut value = [0; VALUE_BYTES];
    value[..8].copy_from_slice(&key.to_be_bytes());
    let (first, second) = value.split_at_mut(VALUE_BYTES / 2);
    for (word, bytes) in (0..).zip(first[8..].chunks_mut(8)) {
        bytes.copy_from_slice(&mix(key ^ mix(version + word)).to_le_bytes()[..bytes.len()]);
    }
    second.copy_from_slice(first);
    value
}

fn put(client: &mut dyn Client, key: u64, version: u64) -> Outcome<()> {
    client.put(key, &value(key, version))
}

fn hit(client: &mut dyn Client, key: u64) -> Outcome<()> {
    if client.get(key)? == Some(key) { Ok(()) } else { Err(format!("key {key} has not its value").into()) }
}

fn miss(client: &mut dyn Client, key: u64) -> Outcome<()> {
    if client.get(key)?.is_none() { Ok(()) } else { Err(format!("key {key} was never written").into()) }
}

fn scan(store: &dyn Store, rows: u64) -> Outcome<()> {
    let seen = store.client()?.scan()?;
    if seen == rows { Ok(()) } else { Err(format!("{seen} rows were seen, not {rows}").into()) }
}

/// One of `count` keys, a different one each time.
const fn picked(n: u64, stream: u64, count: u64) -> u64 {
    mix(mix(n ^ mix(stream)) % count)
}

/// Runs the phases one after another, each on all stores before the next, so that what else the machine
/// does hits all alike.
pub fn run(
    stores: &[Box<dyn Store>],
    settings: StoreSettings,
    plan: &Plan,
    report: &mut Report,
) -> Outcome<()> {
    fill(stores, settings, plan, report)?;
    for store in stores {
        // Fills the cache as far as it goes.
        scan(&**store, plan.rows)?;
    }
    let mut phase = |name: &str, run: &dyn Fn(&dyn Store) -> Outcome<Measure>| -> Outcome<()> {
        if plan.wants(name) {
            for store in stores {
                report.add(name, store.name(), run(&**store)?);
            }
        }
        Ok(())
    };
    let Plan { rows, reads, threads, .. } = *plan;
    let get = |stream, of| {
        move |store: &dyn Store| {
            let operation = move |client: &mut dyn Client, n| hit(client, picked(n, stream, of));
            // What the phase before left in the cache is not this one's.
            measure::each(store, threads, 0..reads / 5, &operation)?;
            measure::each(store, threads, reads / 5..reads / 5 + reads, &operation)
        }
    };
    phase("point read", &get(1, rows))?;
    phase("point read, hot set", &get(2, (rows / HOT_PART).max(1)))?;
    phase("point read, miss", &|store| {
        measure::each(store, threads, 0..reads, &|client, n| miss(client, mix(rows + n)))
    })?;
    phase("range of 50 rows", &|store| {
        measure::each(store, threads, 0..reads / 10, &|client, n| {
            client.range(picked(n, 3, rows), RANGE_ROWS).map(drop)
        })
    })?;
    phase("scan, a row", &|store| measure::whole(rows, || scan(store, rows)))?;
    phase("mixed, half reads", &|store| {
        measure::each(store, threads, 0..reads, &|client, n| {
            let key = picked(n, 4, rows);
            if n % 2 == 0 { hit(client, key) } else { put(client, key, n) }
        })
    })?;
    phase("overwrite, compacted", &|store| {
        measure::whole(rows, || {
            measure::each(store, threads, 0..rows, &|client, n| put(client, picked(n, 5, rows), n))?;
            store.settle()
        })
    })
}

/// Fills the databases, and looks what a row takes in the memtable and on disk.
fn fill(stores: &[Box<dyn Store>], settings: StoreSettings, plan: &Plan, report: &mut Report) -> Outcome<()> {
    // As many as are in the memtable for certain.
    let sample = (settings.memtable_bytes as u64 / 1_000).min(plan.rows);
    for store in stores {
        let operation = |client: &mut dyn Client, n| put(client, mix(n), 0);
        let mut measure = measure::each(&**store, plan.threads, 0..sample, &operation)?;
        report.add_bytes("in the memtable", store.name(), store.memtable_bytes()?, sample);
        measure.add(&measure::each(&**store, plan.threads, sample..plan.rows, &operation)?)?;
        let mut settled = measure::whole(plan.rows, || store.settle())?;
        settled.add(&measure)?;
        report.add("fill, random", store.name(), measure);
        report.add("fill, random, compacted", store.name(), settled.of(plan.rows));
        report.add_bytes("on disk", store.name(), store.disk_bytes()?, plan.rows);
    }
    Ok(())
}

/// How a database is filled in the order of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequential {
    /// Row by row, as all others are.
    Rows,
    /// In partitions of many rows, if the engine has such.
    Partitions,
}

/// Fills databases in the order of the keys.
pub fn fill_sequential(
    stores: &[Box<dyn Store>],
    how: Sequential,
    plan: &Plan,
    report: &mut Report,
) -> Outcome<()> {
    let name = match how {
        Sequential::Rows => "fill, sequential",
        Sequential::Partitions => "fill, sequential, in partitions",
    };
    for store in stores.iter().filter(|_| plan.wants(name)) {
        let operation = move |client: &mut dyn Client, n| match how {
            Sequential::Rows => put(client, n, 0),
            Sequential::Partitions => client.append(n, &value(n, 0)),
        };
        let measure = measure::each(&**store, plan.threads, 0..plan.rows, &operation)?;
        report.add(name, store.name(), measure);
        store.settle()?;
    }
    Ok(())
}
