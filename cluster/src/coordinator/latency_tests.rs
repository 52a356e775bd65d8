use super::*;
use std::sync::atomic::{AtomicU64, Ordering};

const FAST: Uuid = Uuid::from_u128(1);
const SLOW: Uuid = Uuid::from_u128(2);
const TIMEOUT: Duration = Duration::from_secs(5);

/// A clock that the test sets, in microseconds.
#[derive(Default)]
pub(crate) struct SetClock(AtomicU64);

impl Clock for SetClock {
    fn mono(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    fn wall_micros(&self) -> i64 {
        0
    }
}

impl SetClock {
    fn pass(&self, duration: Duration) {
        self.0.fetch_add(u64::try_from(duration.as_micros()).unwrap(), Ordering::Relaxed);
    }
}

fn answer(latencies: &Latencies, clock: &SetClock, host: Uuid, micros: u64) {
    let asked_at = clock.mono();
    clock.pass(Duration::from_micros(micros));
    latencies.note_answer(host, asked_at);
}

#[test]
fn estimates_follow_what_members_do() {
    let clock = Arc::new(SetClock::default());
    let latencies = Latencies::new(Arc::clone(&clock) as Arc<dyn Clock>);
    assert_eq!(latencies.estimate_micros(FAST), 0);
    for _ in 0..50 {
        answer(&latencies, &clock, FAST, 800);
        answer(&latencies, &clock, SLOW, 40_000);
    }
    assert!(latencies.estimate_micros(FAST) < latencies.estimate_micros(SLOW));
    for _ in 0..50 {
        answer(&latencies, &clock, SLOW, 100);
    }
    assert!(latencies.estimate_micros(SLOW) < latencies.estimate_micros(FAST));
}

#[test]
fn a_member_that_fails_at_once_is_slow() {
    let clock = Arc::new(SetClock::default());
    let latencies = Latencies::new(Arc::clone(&clock) as Arc<dyn Clock>);
    for _ in 0..50 {
        answer(&latencies, &clock, FAST, 800);
        answer(&latencies, &clock, SLOW, 700);
    }
    latencies.note_failure(SLOW, TIMEOUT);
    assert!(latencies.estimate_micros(FAST) < latencies.estimate_micros(SLOW));
}

#[test]
fn a_member_that_was_slow_is_asked_again_after_a_while() {
    let clock = Arc::new(SetClock::default());
    let latencies = Latencies::new(Arc::clone(&clock) as Arc<dyn Clock>);
    for _ in 0..20 {
        latencies.note_failure(SLOW, TIMEOUT);
    }
    clock.pass(HALF_LIFE);
    assert!(latencies.estimate_micros(SLOW) > 1_000_000);
    clock.pass(HALF_LIFE * 20);
    answer(&latencies, &clock, FAST, 800);
    assert!(latencies.estimate_micros(SLOW) < latencies.estimate_micros(FAST));
    clock.pass(HALF_LIFE * 100);
    assert_eq!(latencies.estimate_micros(SLOW), 0, "more halvings than an estimate has bits");
}
