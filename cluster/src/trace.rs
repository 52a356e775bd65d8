//! What a coordinator does for a request that is traced. The notes belong to the task that serves the
//! request: where nobody traces, a note is one look at the task.

use dodona_env::Clock;
use parking_lot::Mutex;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// The most events of one trace; what comes after them is left out.
const MOST_EVENTS: usize = 1_000;

/// Something that was done for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What, in words.
    pub activity: String,
    /// Microseconds since the trace began.
    pub elapsed_micros: u64,
}

/// The notes on one request.
pub struct Trace {
    clock: Arc<dyn Clock>,
    began: Duration,
    events: Mutex<Vec<Event>>,
}

tokio::task_local! {
    static CURRENT: Arc<Trace>;
}

impl Trace {
    /// A trace that begins now.
    #[must_use]
    pub fn new(clock: &Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock: Arc::clone(clock), began: clock.mono(), events: Mutex::default() })
    }

    /// Microseconds since it began.
    #[must_use]
    pub fn elapsed_micros(&self) -> u64 {
        let elapsed = self.clock.mono().saturating_sub(self.began);
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }

    /// Notes something.
    pub fn note(&self, activity: impl Into<String>) {
        let event = Event { activity: activity.into(), elapsed_micros: self.elapsed_micros() };
        let mut events = self.events.lock();
        if events.len() < MOST_EVENTS {
            events.push(event);
        }
    }

    /// What was noted, in its order.
    #[must_use]
    pub fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock())
    }

    /// Serves a request whose notes go here.
    pub async fn around<T>(self: Arc<Self>, request: impl Future<Output = T>) -> T {
        CURRENT.scope(self, request).await
    }
}

/// Notes something, if the request is traced.
pub fn note<S: Into<String>>(activity: impl FnOnce() -> S) {
    // Outside of a traced request there is nothing to note.
    let _ = CURRENT.try_with(|trace| trace.note(activity()));
}

/// True if the request is traced.
pub(crate) fn is_on() -> bool {
    CURRENT.try_with(|_| ()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ticking(std::sync::atomic::AtomicU64);

    impl Clock for Ticking {
        fn mono(&self) -> Duration {
            Duration::from_micros(self.0.fetch_add(7, std::sync::atomic::Ordering::Relaxed))
        }

        fn wall_micros(&self) -> i64 {
            0
        }
    }

    #[tokio::test]
    async fn notes_go_to_the_trace_of_their_request_alone() {
        let clock: Arc<dyn Clock> = Arc::new(Ticking(std::sync::atomic::AtomicU64::new(100)));
        let trace = Trace::new(&clock);
        note(|| -> String { panic!("nobody traces") });
        assert!(!is_on());
        Arc::clone(&trace)
            .around(async {
                note(|| "one");
                tokio::task::yield_now().await;
                note(|| "two");
                assert!(is_on());
            })
            .await;
        let event = |activity: &str, elapsed_micros| Event { activity: activity.into(), elapsed_micros };
        assert_eq!(trace.take_events(), [event("one", 7), event("two", 14)]);
        for _ in 0..2 * MOST_EVENTS {
            trace.note("again");
        }
        assert_eq!(trace.take_events().len(), MOST_EVENTS);
    }
}
