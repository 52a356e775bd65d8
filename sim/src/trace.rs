//! The trace: a hash of what happened, in order. A log shows it as text, with what nodes log.

use crate::machine::elapsed_micros;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// A running hash (FNV-1a). Clones share it.
#[derive(Clone, Debug)]
pub struct Trace(Arc<Mutex<u64>>);

impl Default for Trace {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(0xcbf2_9ce4_8422_2325)))
    }
}

impl Trace {
    /// Notes an event.
    pub fn note(&self, event: &str) {
        tracing::debug!("{event}");
        let mut hash = self.0.lock();
        for byte in event.bytes().chain([0]) {
            *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    /// The hash so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        *self.0.lock()
    }
}

/// Shows on standard error what passes a filter, as `RUST_LOG` has them: `debug`, `dodona_cluster=info`. Lines begin
/// with the seconds of the simulation.
///
/// # Errors
/// It is no filter.
pub fn show(filter: &str) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let log = tracing_subscriber::fmt().with_timer(Simulated).with_env_filter(filter);
    // Fails only if the embedding program has its own log.
    let _ = log.with_ansi(false).with_writer(std::io::stderr).try_init();
    Ok(())
}

struct Simulated;

impl FormatTime for Simulated {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let micros = elapsed_micros();
        write!(writer, "{:3}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}
