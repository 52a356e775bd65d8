//! The log of a run: what happened, with what nodes log, as text.

use crate::machine::elapsed_micros;
use std::fmt;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

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
