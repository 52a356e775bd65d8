//! Counters and histograms without locks: each core has its own, a scrape adds them up.

use crate::running::Running;
use dodona_protocol::{ErrorCode, Opcode};
use dodona_query::system_tables::RunningView;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Buckets of a histogram: two for each power of two, from 1 µs on.
const BUCKETS: usize = 48;
/// The bucket of what takes less than 2 µs.
const FIRST_BUCKET: usize = 1;
/// Opcodes of requests, which are the low ones.
const OPCODES: usize = 17;

/// A count that one thread adds to and any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds, without a locked instruction: only the core that owns the counter does.
    #[inline]
    pub(crate) fn add(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }

    /// Takes away, as [`Self::add`] adds.
    pub(crate) fn subtract(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(count), Relaxed);
    }

    /// The count.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A distribution of durations.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [Counter; BUCKETS],
    sum_micros: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| Counter::default()), sum_micros: Counter::default() }
    }
}

impl Histogram {
    /// Records a duration `count` times.
    #[inline]
    pub(crate) fn record(&self, duration: Duration, count: u64) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(micros)].add(count);
        self.sum_micros.add(micros.saturating_mul(count));
    }
}

/// The bucket of a number of microseconds: two for each power of two.
#[inline]
const fn bucket_of(micros: u64) -> usize {
    if micros < 2 {
        return FIRST_BUCKET;
    }
    let power = micros.ilog2() as usize;
    let half = (micros >> (power - 1)) as usize & 1;
    let bucket = 2 * power + half;
    if bucket < BUCKETS { bucket } else { BUCKETS - 1 }
}

/// The upper end of a bucket in microseconds, itself outside.
const fn bucket_end(bucket: usize) -> u64 {
    let power = bucket / 2;
    if bucket.is_multiple_of(2) { (1 << power) + (1 << power) / 2 } else { 2 << power }
}

/// What one core counts.
#[derive(Debug, Default)]
pub(crate) struct CoreMetrics {
    requests: [Counter; OPCODES],
    errors: [Counter; ErrorCode::ALL.len()],
    /// Bytes received from clients.
    pub(crate) bytes_read: Counter,
    /// Bytes sent to clients.
    pub(crate) bytes_written: Counter,
    /// Connections open.
    pub(crate) connections: Counter,
    /// Connections accepted.
    pub(crate) connections_accepted: Counter,
    /// Connections closed because they broke the protocol.
    pub(crate) protocol_errors: Counter,
    /// Panics while a request was decoded or analysed.
    pub(crate) panics: Counter,
    /// Requests that could not be answered at once.
    pub(crate) deferred: Counter,
    /// Those of them that wait for their turn now.
    pub(crate) waiting: Counter,
    /// Those of them that are executed now.
    pub(crate) executing: Counter,
    /// Each of these.
    pub(crate) running: Running,
    /// Statements executed that were only sent.
    pub(crate) regular: Counter,
    /// Statements executed that had been prepared.
    pub(crate) prepared: Counter,
    /// From the read of the socket until the answer may be sent.
    pub(crate) latency: Histogram,
}

impl CoreMetrics {
    /// Counts a request.
    #[inline]
    pub(crate) fn request(&self, opcode: Opcode) {
        if let Some(counter) = self.requests.get(usize::from(opcode.code())) {
            counter.add(1);
        }
    }

    /// Counts an error that a client was told.
    pub(crate) fn error(&self, code: ErrorCode) {
        if let Some(index) = ErrorCode::ALL.iter().position(|known| *known == code) {
            self.errors[index].add(1);
        }
    }
}

/// What all cores count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    cores: Vec<Arc<CoreMetrics>>,
}

impl Metrics {
    pub(crate) fn new(cores: usize) -> Self {
        Self { cores: (0..cores).map(|_| Arc::default()).collect() }
    }

    /// The counters of a core.
    pub(crate) fn core(&self, index: usize) -> Arc<CoreMetrics> {
        self.cores.get(index).map(Arc::clone).unwrap_or_default()
    }

    /// The sum over all cores.
    pub(crate) fn sum(&self, of: impl Fn(&CoreMetrics) -> u64) -> u64 {
        self.cores.iter().map(|core| of(core)).fold(0, u64::wrapping_add)
    }

    /// The requests that wait.
    pub(crate) fn running(&self) -> Vec<RunningView> {
        self.cores.iter().enumerate().flat_map(|(number, core)| core.running.view(number)).collect()
    }

    /// Requests of every kind.
    pub(crate) fn requests(&self) -> u64 {
        self.sum(|core| core.requests.iter().map(Counter::get).fold(0, u64::wrapping_add))
    }

    /// Threads that serve clients.
    pub(crate) fn cores(&self) -> usize {
        self.cores.len()
    }

    /// Appends everything in the text format of Prometheus.
    pub(crate) fn render(&self, out: &mut String) {
        header(out, "dodona_requests_total", "counter", "Requests by kind.");
        for code in 0..OPCODES {
            let Some(opcode) = Opcode::from_code(code as u8) else {
                continue;
            };
            if opcode.direction() == dodona_protocol::Direction::Request {
                let count = self.sum(|core| core.requests[code].get());
                line(out, "dodona_requests_total", &format!("opcode=\"{opcode}\""), count);
            }
        }
        header(out, "dodona_errors_total", "counter", "Errors that clients were told, by code.");
        for (index, code) in ErrorCode::ALL.iter().enumerate() {
            let count = self.sum(|core| core.errors[index].get());
            line(out, "dodona_errors_total", &format!("code=\"{code:?}\""), count);
        }
        type Field = fn(&CoreMetrics) -> &Counter;
        let counters: [(&str, &str, Field); 6] = [
            ("dodona_bytes_read_total", "Bytes received from clients.", |core| &core.bytes_read),
            ("dodona_bytes_written_total", "Bytes sent to clients.", |core| &core.bytes_written),
            ("dodona_connections_accepted_total", "Connections accepted.", |core| &core.connections_accepted),
            ("dodona_protocol_errors_total", "Connections closed for breaking the protocol.", |core| {
                &core.protocol_errors
            }),
            ("dodona_panics_total", "Panics while decoding or analysing.", |core| &core.panics),
            ("dodona_deferred_requests_total", "Requests not answered at once.", |core| &core.deferred),
        ];
        for (name, help, field) in counters {
            header(out, name, "counter", help);
            line(out, name, "", self.sum(|core| field(core).get()));
        }
        gauge(out, "dodona_connections", "Connections open.", self.sum(|core| core.connections.get()));
        self.render_latency(out);
    }

    fn render_latency(&self, out: &mut String) {
        const NAME: &str = "dodona_request_duration_seconds";
        header(out, NAME, "histogram", "From the read of the socket until the answer may be sent.");
        let mut total = 0;
        for bucket in FIRST_BUCKET..BUCKETS - 1 {
            total += self.sum(|core| core.latency.buckets[bucket].get());
            let seconds = bucket_end(bucket) as f64 / 1e6;
            line(out, &format!("{NAME}_bucket"), &format!("le=\"{seconds}\""), total);
        }
        total += self.sum(|core| core.latency.buckets[BUCKETS - 1].get());
        line(out, &format!("{NAME}_bucket"), "le=\"+Inf\"", total);
        let sum = self.sum(|core| core.latency.sum_micros.get()) as f64 / 1e6;
        let _ = writeln!(out, "{NAME}_sum {sum}");
        line(out, &format!("{NAME}_count"), "", total);
    }
}

fn header(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(out: &mut String, name: &str, labels: &str, value: u64) {
    let _ = if labels.is_empty() {
        writeln!(out, "{name} {value}")
    } else {
        writeln!(out, "{name}{{{labels}}} {value}")
    };
}

/// Appends a gauge.
pub(crate) fn gauge(out: &mut String, name: &str, help: &str, value: u64) {
    header(out, name, "gauge", help);
    line(out, name, "", value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_bucket_that_ends_behind_it() {
        for micros in [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 100, 999, 1_000_000] {
            let bucket = bucket_of(micros);
            assert!(micros < bucket_end(bucket), "{micros}");
            assert!(bucket == FIRST_BUCKET || bucket_end(bucket - 1) <= micros, "{micros}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn the_cores_are_added_up() {
        let metrics = Metrics::new(2);
        metrics.core(0).request(Opcode::Query);
        metrics.core(1).request(Opcode::Query);
        metrics.core(1).latency.record(Duration::from_micros(5), 2);
        let mut text = String::new();
        metrics.render(&mut text);
        assert!(text.contains("dodona_requests_total{opcode=\"QUERY\"} 2"), "{text}");
        assert!(text.contains("dodona_request_duration_seconds_count 2"), "{text}");
    }
}
