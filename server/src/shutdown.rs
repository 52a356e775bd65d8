//! Stops a server: no new connections, answers to what is in flight, everything to the disk.

use crate::shared::Phase;
use crate::startup::Running;
use std::io;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

/// Why a server stopped when nobody asked it to.
#[derive(Debug, Error)]
pub enum StopError {
    /// It could not go on.
    #[error("stopped: {0}")]
    Failed(String),
    /// Signals cannot be waited for.
    #[error("signals cannot be waited for: {0}")]
    Signals(io::Error),
}

impl Running {
    /// Asks the server to stop, and waits until it has.
    ///
    /// # Errors
    /// It had failed, or could not bring everything to the disk.
    pub fn stop(self) -> Result<(), StopError> {
        self.shared.phase.send_replace(Phase::Draining);
        self.join()
    }

    /// Waits for SIGTERM or SIGINT, then stops the server. Ends at once if the server fails.
    ///
    /// # Errors
    /// The server failed.
    pub fn run_until_signal(self) -> Result<(), StopError> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StopError::Signals)?;
        let mut failure = self.shared.failure.subscribe();
        runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate()).map_err(StopError::Signals)?;
            let mut interrupt = signal(SignalKind::interrupt()).map_err(StopError::Signals)?;
            tokio::select! {
                biased;
                failed = failure.wait_for(Option::is_some) => {
                    let reason = failed.ok().and_then(|reason| reason.clone()).unwrap_or_default();
                    Err(StopError::Failed(reason))
                }
                _ = terminate.recv() => Ok(()),
                _ = interrupt.recv() => Ok(()),
            }
        })?;
        tracing::info!("stopping");
        self.stop()
    }

    fn join(self) -> Result<(), StopError> {
        let ended = self.thread.join();
        self.shared.phase.send_replace(Phase::Stopped);
        if ended.is_err() {
            return Err(StopError::Failed("the first thread panicked".into()));
        }
        match self.shared.failure.borrow().clone() {
            Some(reason) => Err(StopError::Failed(reason)),
            None => Ok(()),
        }
    }
}
