//! Keeps the last lines of the log in memory, for `system_views.system_logs`.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the outermost layer of the binary: lines of the log have the real time"
)]

use dodona_server::{Log, LogLine};
use std::collections::VecDeque;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Lines that are kept.
const MOST_LINES: usize = 1_000;
/// Bytes of a line that are kept.
const MOST_BYTES: usize = 4_096;

/// The last lines of the log.
#[derive(Debug, Default)]
pub(crate) struct RecentLog(Mutex<VecDeque<LogLine>>);

impl RecentLog {
    /// What has lines kept here, besides whatever else is done with them.
    pub(crate) const fn layer(self: Arc<Self>) -> KeepLines {
        KeepLines(self)
    }

    fn keep(&self, line: LogLine) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == MOST_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

impl Log for RecentLog {
    fn lines(&self) -> Vec<LogLine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Has lines kept in a [`RecentLog`].
pub(crate) struct KeepLines(Arc<RecentLog>);

impl<S: Subscriber> Layer<S> for KeepLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut message = text.message + &text.fields;
        message.truncate(message.floor_char_boundary(MOST_BYTES));
        self.0.keep(LogLine {
            at_millis: i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            level: event.metadata().level().as_str(),
            logger: event.metadata().target().to_owned(),
            message,
        });
    }
}

/// A line's text: what it says, and then its fields.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // A text takes everything.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry;

    #[test]
    fn the_last_lines_are_kept_with_their_fields() {
        let log = Arc::new(RecentLog::default());
        tracing::subscriber::with_default(registry().with(Arc::clone(&log).layer()), || {
            (0..MOST_LINES).for_each(|_| tracing::info!("before"));
            tracing::warn!(member = "a", bytes = 7, "it is {}", "full");
        });
        let lines = log.lines();
        assert_eq!(lines.len(), MOST_LINES);
        let LogLine { level, logger, message, at_millis } = lines.last().unwrap();
        assert_eq!((*level, &**message), ("WARN", "it is full member=\"a\" bytes=7"));
        assert!(logger.ends_with("recent_log::tests") && *at_millis > 1_700_000_000_000, "{logger}");
    }
}
