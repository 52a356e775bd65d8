//! What nodes do for a request that is traced. The notes belong to the task that serves the request: where
//! nobody traces, a note is one look at the task. What a coordinator asks of another node for a traced
//! request is traced there as well, and its answer brings the notes.

use dodona_env::Clock;
use dodona_types::codec::{DecodeError, Reader, put_length_prefixed, put_varint};
use parking_lot::Mutex;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The most events of one trace; what comes after them is left out.
const MOST_EVENTS: usize = 1_000;

/// Something that was done for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What, in words.
    pub activity: String,
    /// The other node that did it; none for this one.
    pub source: Option<SocketAddr>,
    /// Microseconds since who did it began.
    pub source_micros: u64,
    /// Microseconds since the trace began.
    pub at_micros: u64,
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
        let at_micros = self.elapsed_micros();
        self.push(Event { activity: activity.into(), source: None, source_micros: at_micros, at_micros });
    }

    fn push(&self, event: Event) {
        let mut events = self.events.lock();
        if events.len() < MOST_EVENTS {
            events.push(event);
        }
    }

    /// Notes what another node brought that was asked at `at_micros`: its clock is not this one's, so that what it did
    /// counts from then on.
    pub(crate) fn note_from(&self, source: SocketAddr, at_micros: u64, notes: &[u8]) {
        match decode(notes) {
            Ok(notes) => notes.into_iter().for_each(|(source_micros, activity)| {
                let at_micros = at_micros.saturating_add(source_micros);
                self.push(Event { activity, source: Some(source), source_micros, at_micros });
            }),
            Err(error) => self.note(format!("The notes of /{source} are malformed: {error}")),
        }
    }

    /// What was noted, in its order.
    #[must_use]
    pub fn take_events(&self) -> Vec<Event> {
        let mut events = std::mem::take(&mut *self.events.lock());
        events.sort_by_key(|event| event.at_micros);
        events
    }

    /// What was noted, for the node that asked.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for event in self.take_events() {
            put_varint(&mut out, event.source_micros);
            put_length_prefixed(&mut out, event.activity.as_bytes());
        }
        out
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

pub(crate) fn decode(notes: &[u8]) -> Result<Vec<(u64, String)>, DecodeError> {
    let mut reader = Reader::new(notes);
    let mut events = Vec::new();
    while !reader.is_empty() && events.len() < MOST_EVENTS {
        let micros = reader.varint()?;
        events.push((micros, String::from_utf8_lossy(reader.length_prefixed()?).into_owned()));
    }
    Ok(events)
}

/// The trace of the request, if it is traced: for tasks of their own that work for it.
pub(crate) fn current() -> Option<Arc<Trace>> {
    CURRENT.try_with(Arc::clone).ok()
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

    #[test]
    fn notes_have_these_bytes() {
        let clock: Arc<dyn Clock> = Arc::new(Ticking(std::sync::atomic::AtomicU64::new(100)));
        let trace = Trace::new(&clock);
        trace.note("read");
        trace.note("");
        assert_eq!(crate::testing::hex(&trace.encode()), "0704726561640e00");
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
        let event = |activity: &str, at_micros| Event {
            activity: activity.into(),
            source: None,
            source_micros: at_micros,
            at_micros,
        };
        assert_eq!(trace.take_events(), [event("one", 7), event("two", 14)]);
        // What others did lies between what was done here.
        trace.note("asked");
        let (source, there) = (SocketAddr::from(([127, 0, 0, 2], 7000)), Trace::new(&clock));
        there.note("read");
        trace.note("answered");
        trace.note_from(source, 30, &there.encode());
        trace.note_from(source, 40, &[1, 200]);
        let mut events = trace.take_events().into_iter();
        assert_eq!(events.next(), Some(event("asked", 21)));
        let read = Event { activity: "read".into(), source: Some(source), source_micros: 7, at_micros: 37 };
        assert_eq!(events.next(), Some(read));
        assert_eq!(events.next(), Some(event("answered", 42)));
        assert!(events.next().unwrap().activity.starts_with("The notes of /127.0.0.2:7000 are malformed"));
        for _ in 0..2 * MOST_EVENTS {
            trace.note("again");
        }
        assert_eq!(trace.take_events().len(), MOST_EVENTS);
    }
}
