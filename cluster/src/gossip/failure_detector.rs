//! Doubts nodes whose heartbeats stay away, the more the longer: phi accrual.
//!
//! With heartbeats that arrive at random times, `mean` apart, the chance that one comes later than
//! `t` is e^(-t/mean). Phi is its negative decimal logarithm: at 8, one conviction in 10^8 is wrong.

use dodona_env::collections::HashMap;
use std::collections::VecDeque;
use std::time::Duration;
use uuid::Uuid;

/// Intervals that are remembered of a node.
const WINDOW: usize = 1_000;
/// Phi above which a node is convicted.
pub const THRESHOLD: f64 = 8.0;
/// The interval that a node begins with; greater ones are not taken into the mean.
const MAX_INTERVAL: Duration = Duration::from_secs(2);
/// When this process itself stood still for longer, nobody is convicted for as long.
const MAX_LOCAL_PAUSE: Duration = Duration::from_secs(5);

/// The heartbeats of a node.
struct Arrivals {
    last: Duration,
    /// Intervals between them in microseconds.
    intervals: VecDeque<u32>,
    sum_micros: u64,
}

impl Arrivals {
    fn first(at: Duration) -> Self {
        let mut arrivals = Self { last: at, intervals: VecDeque::new(), sum_micros: 0 };
        arrivals.add(MAX_INTERVAL);
        arrivals
    }

    fn add(&mut self, interval: Duration) {
        if self.intervals.len() == WINDOW {
            self.sum_micros -= u64::from(self.intervals.pop_front().unwrap_or_default());
        }
        let micros = interval.min(MAX_INTERVAL).as_micros() as u32;
        self.intervals.push_back(micros);
        self.sum_micros += u64::from(micros);
    }

    fn phi(&self, now: Duration) -> f64 {
        let mean = (self.sum_micros as f64 / self.intervals.len() as f64).max(1.0);
        now.saturating_sub(self.last).as_micros() as f64 / mean / std::f64::consts::LN_10
    }
}

/// The failure detector (Cassandra `FailureDetector`, with its constants). Times are monotonic.
#[derive(Default)]
pub struct FailureDetector {
    nodes: HashMap<Uuid, Arrivals>,
    last_look: Option<Duration>,
    paused: Option<Duration>,
}

impl FailureDetector {
    /// A heartbeat of a node has arrived.
    pub fn report(&mut self, host: Uuid, now: Duration) {
        let Some(arrivals) = self.nodes.get_mut(&host) else {
            self.nodes.insert(host, Arrivals::first(now));
            return;
        };
        let interval = now.saturating_sub(arrivals.last);
        if interval <= MAX_INTERVAL {
            arrivals.add(interval);
        }
        arrivals.last = now;
    }

    /// Forgets a node's heartbeats.
    pub fn forget(&mut self, host: Uuid) {
        self.nodes.remove(&host);
    }

    /// How doubtful it is that a node is alive; 0 for one that was never heard of.
    #[must_use]
    pub fn phi(&self, host: Uuid, now: Duration) -> f64 {
        self.nodes.get(&host).map_or(0.0, |arrivals| arrivals.phi(now))
    }

    /// Looks at the time, and returns true if nodes may be convicted now: false for a while when
    /// this process stood still, and heard from nobody because of that.
    pub fn look(&mut self, now: Duration) -> bool {
        let last = self.last_look.replace(now).unwrap_or(now);
        if now.saturating_sub(last) > MAX_LOCAL_PAUSE {
            tracing::warn!(?last, ?now, "this process stood still: nobody is convicted for it");
            self.paused = Some(now);
        }
        self.paused.is_none_or(|paused| now.saturating_sub(paused) >= MAX_LOCAL_PAUSE)
    }

    /// True if a node is taken for dead.
    #[must_use]
    pub fn interpret(&self, host: Uuid, now: Duration) -> bool {
        self.phi(host, now) > THRESHOLD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Uuid = Uuid::from_u128(1);

    fn beating(seconds: u64) -> FailureDetector {
        let mut detector = FailureDetector::default();
        for second in 0..=seconds {
            detector.report(HOST, Duration::from_secs(second));
            assert!(detector.look(Duration::from_secs(second)));
        }
        detector
    }

    #[test]
    fn a_node_that_beats_every_second_is_convicted_after_18_seconds_of_silence() {
        let detector = beating(2_000);
        assert!(!detector.interpret(HOST, Duration::from_secs(2_018)));
        assert!(detector.interpret(HOST, Duration::from_secs(2_019)));
    }

    #[test]
    fn a_node_heard_once_has_twice_the_time() {
        let detector = beating(0);
        assert!(!detector.interpret(HOST, Duration::from_secs(36)));
        assert!(detector.interpret(HOST, Duration::from_secs(37)));
    }

    #[test]
    fn a_silence_that_ended_does_not_make_the_detector_patient() {
        let mut detector = beating(100);
        detector.report(HOST, Duration::from_secs(115));
        assert!(detector.interpret(HOST, Duration::from_secs(115 + 19)));
    }

    #[test]
    fn nobody_is_convicted_because_this_process_stood_still() {
        let mut detector = beating(100);
        assert!(!detector.look(Duration::from_secs(130)));
        assert!(!detector.look(Duration::from_secs(134)));
        assert!(detector.look(Duration::from_secs(135)));
    }

    #[test]
    fn a_node_never_heard_of_and_a_forgotten_one_are_not_doubted() {
        let mut detector = beating(100);
        detector.forget(HOST);
        assert!(detector.phi(HOST, Duration::from_secs(500)).abs() < f64::EPSILON);
    }
}
