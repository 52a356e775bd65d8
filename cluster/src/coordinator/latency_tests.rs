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

fn is_before(latencies: &Latencies, one: Uuid, other: Uuid) -> bool {
    let look = latencies.look();
    look.micros(one) < look.micros(other)
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
    assert_eq!(latencies.look().micros(FAST), 0);
    for _ in 0..50 {
        answer(&latencies, &clock, FAST, 800);
        answer(&latencies, &clock, SLOW, 40_000);
    }
    assert!(is_before(&latencies, FAST, SLOW));
    for _ in 0..50 {
        answer(&latencies, &clock, SLOW, 100);
    }
    assert!(is_before(&latencies, SLOW, FAST));
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
    assert!(is_before(&latencies, FAST, SLOW));
}

#[test]
fn a_member_that_was_slow_is_asked_again_after_a_while() {
    let clock = Arc::new(SetClock::default());
    let latencies = Latencies::new(Arc::clone(&clock) as Arc<dyn Clock>);
    for _ in 0..20 {
        latencies.note_failure(SLOW, TIMEOUT);
    }
    clock.pass(HALF_LIFE);
    assert!(latencies.look().micros(SLOW) > 1_000_000);
    clock.pass(HALF_LIFE * 20);
    answer(&latencies, &clock, FAST, 800);
    assert!(is_before(&latencies, SLOW, FAST));
    clock.pass(HALF_LIFE * 100);
    assert_eq!(latencies.look().micros(SLOW), 0, "more halvings than an estimate has bits");
}
