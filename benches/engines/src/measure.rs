//! Times operations of one or more threads.

use crate::store::{Client, Outcome, Store};
use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// Latencies up to ten minutes, to two digits.
const LONGEST_NANOS: u64 = 600_000_000_000;
const DIGITS: u8 = 2;

/// How long operations took.
pub struct Measure {
    operations: u64,
    wall: Duration,
    cpu: Duration,
    nanos: Histogram<u64>,
}

impl Measure {
    fn empty() -> Outcome<Self> {
        let nanos = Histogram::new_with_max(LONGEST_NANOS, DIGITS)?;
        Ok(Self { operations: 0, wall: Duration::ZERO, cpu: Duration::ZERO, nanos })
    }

    /// Adds what came next.
    pub fn add(&mut self, other: &Self) -> Outcome<()> {
        self.operations += other.operations;
        self.wall += other.wall;
        self.cpu += other.cpu;
        Ok(self.nanos.add(&other.nanos)?)
    }

    /// The same time, of `operations` that were not timed one by one.
    pub fn of(mut self, operations: u64) -> Self {
        self.nanos.clear();
        Self { operations, ..self }
    }

    /// Mean time from one operation's end to the next one's, over all threads, in µs.
    pub fn wall_micros(&self) -> f64 {
        self.wall.as_secs_f64() * 1e6 / self.operations.max(1) as f64
    }

    /// CPU time of the whole process for each operation, in µs.
    pub fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.operations.max(1) as f64
    }

    /// The latency in µs that `part` of the operations did not exceed, if they were timed one by one.
    pub fn latency_micros(&self, part: f64) -> Option<f64> {
        (!self.nanos.is_empty()).then(|| self.nanos.value_at_quantile(part) as f64 / 1e3)
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Times a piece of work as a whole.
pub fn whole(operations: u64, work: impl FnOnce() -> Outcome<()>) -> Outcome<Measure> {
    let (start, cpu) = (Instant::now(), cpu_time());
    work()?;
    let (wall, cpu) = (start.elapsed(), cpu_time().saturating_sub(cpu));
    Ok(Measure { operations, wall, cpu, ..Measure::empty()? })
}

/// Operations with numbers from `numbers`, each timed, by `threads` at once: each takes a part of them.
pub fn each(
    store: &dyn Store,
    threads: u64,
    numbers: std::ops::Range<u64>,
    operation: &(dyn Fn(&mut dyn Client, u64) -> Outcome<()> + Sync),
) -> Outcome<Measure> {
    let count = numbers.end - numbers.start;
    let mut nanos = Measure::empty()?.nanos;
    let mut measure = whole(count, || {
        std::thread::scope(|scope| {
            let part = |index| numbers.start + count * index / threads;
            let workers: Vec<_> = (0..threads)
                .map(|index| scope.spawn(move || work(store, part(index)..part(index + 1), operation)))
                .collect();
            for worker in workers {
                nanos.add(worker.join().map_err(|_| "a thread of the benchmark panicked")??)?;
            }
            Ok(())
        })
    })?;
    measure.nanos = nanos;
    Ok(measure)
}

fn work(
    store: &dyn Store,
    numbers: std::ops::Range<u64>,
    operation: &(dyn Fn(&mut dyn Client, u64) -> Outcome<()> + Sync),
) -> Outcome<Histogram<u64>> {
    let mut nanos = Measure::empty()?.nanos;
    let mut client = store.client()?;
    let mut before = Instant::now();
    for number in numbers {
        operation(&mut *client, number)?;
        let now = Instant::now();
        nanos.saturating_record(u64::try_from((now - before).as_nanos()).unwrap_or(u64::MAX));
        before = now;
    }
    client.finish()?;
    Ok(nanos)
}
