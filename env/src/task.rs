//! Tasks and blocking work.

use std::future::Future;

/// How blocking work is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blocking {
    /// On a pool of threads.
    Pool,
    /// At once, in the caller's turn: a simulation has one thread.
    Inline,
}

/// Starts tasks on the caller's thread, and blocking work elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Tasks {
    blocking: Blocking,
}

/// The blocking work panicked or the process is shutting down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("blocking work did not finish")]
pub struct BlockingFailed;

impl Tasks {
    /// Blocking work goes to tokio's pool of threads.
    #[must_use]
    pub const fn pool() -> Self {
        Self { blocking: Blocking::Pool }
    }

    /// Blocking work is done at once.
    #[must_use]
    pub const fn inline() -> Self {
        Self { blocking: Blocking::Inline }
    }

    /// Runs work that may wait for a disk or use much CPU, without holding up the event loop.
    ///
    /// # Errors
    /// The work panicked.
    #[expect(clippy::disallowed_methods, reason = "this is the function to use instead")]
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingFailed> {
        match self.blocking {
            Blocking::Inline => Ok(work()),
            Blocking::Pool => tokio::task::spawn_blocking(work).await.map_err(|_| BlockingFailed),
        }
    }

    /// Pauses blocking work, to leave the disk to others. A simulation does not wait.
    #[expect(clippy::disallowed_methods, reason = "blocking work has a thread of its own")]
    pub fn pause_blocking_work(&self, duration: std::time::Duration) {
        if self.blocking == Blocking::Pool {
            std::thread::sleep(duration);
        }
    }

    /// True if blocking work has a thread of its own, so that it may wait for others.
    #[must_use]
    pub fn can_wait(&self) -> bool {
        self.blocking == Blocking::Pool
    }

    /// Starts a task on this thread. It ends when it returns or when its runtime does.
    pub fn spawn_local(&self, task: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(task);
    }
}
