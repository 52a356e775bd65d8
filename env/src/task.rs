//! Tasks and blocking work.

use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How blocking work is run.
#[derive(Clone)]
enum Blocking {
    /// On a pool of threads.
    Pool,
    /// In the caller's turn, since a simulation has one thread: at once, unless a disk needs time.
    Inline(Option<Arc<dyn TakesTime>>),
}

/// A simulated disk that needs time: work on it cannot wait by itself, so whoever awaits that work does.
pub trait TakesTime: Send + Sync {
    /// How long work that comes now waits for its turn.
    fn before(&self) -> Duration;

    /// How long what was done since [`Self::before`] takes.
    fn behind(&self) -> Duration;
}

/// Starts tasks on the caller's thread, and blocking work elsewhere.
#[derive(Clone)]
pub struct Tasks {
    blocking: Blocking,
    panicked: Arc<watch::Sender<bool>>,
}

/// The blocking work panicked or the process is shutting down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("blocking work did not finish")]
pub struct BlockingFailed;

impl Tasks {
    /// Blocking work goes to tokio's pool of threads.
    #[must_use]
    pub fn pool() -> Self {
        Self::new(Blocking::Pool)
    }

    /// Blocking work is done at once.
    #[must_use]
    pub fn inline() -> Self {
        Self::new(Blocking::Inline(None))
    }

    /// Blocking work is done in the caller's turn, and awaited for as long as the disk says.
    #[must_use]
    pub fn inline_on(disk: Arc<dyn TakesTime>) -> Self {
        Self::new(Blocking::Inline(Some(disk)))
    }

    fn new(blocking: Blocking) -> Self {
        Self { blocking, panicked: Arc::new(watch::Sender::new(false)) }
    }

    /// Waits until a task or blocking work has panicked: what it was about to change is as it left it, so
    /// that the node cannot be relied on.
    pub async fn panicked(&self) {
        // The sender lives as long as this.
        let _ = self.panicked.subscribe().wait_for(|panicked| *panicked).await;
    }

    /// Runs work that may wait for a disk or use much CPU, without holding up the event loop.
    ///
    /// # Errors
    /// The work panicked.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingFailed> {
        match &self.blocking {
            Blocking::Inline(None) => Ok(work()),
            Blocking::Inline(Some(disk)) => in_its_time(disk, work).await,
            Blocking::Pool => self.on_pool(work).await.map_err(|_| BlockingFailed),
        }
    }

    /// As [`Self::blocking`], for work that changes nothing: it is not begun once nobody awaits it any more.
    ///
    /// # Errors
    /// The work panicked.
    pub async fn blocking_read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingFailed> {
        if !self.can_wait() {
            return self.blocking(work).await;
        }
        let mut begun = Awaited(self.on_pool(work));
        (&mut begun.0).await.map_err(|_| BlockingFailed)
    }

    #[expect(clippy::disallowed_methods, reason = "of the functions to use instead")]
    fn on_pool<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let guard = Guard(Arc::clone(&self.panicked));
        tokio::task::spawn_blocking(move || {
            let _guard = guard;
            work()
        })
    }

    /// Pauses blocking work, to leave the disk to others. A simulation does not wait.
    #[expect(clippy::disallowed_methods, reason = "blocking work has a thread of its own")]
    pub fn pause_blocking_work(&self, duration: Duration) {
        if self.can_wait() {
            std::thread::sleep(duration);
        }
    }

    /// True if blocking work has a thread of its own, so that it may wait for others.
    #[must_use]
    pub fn can_wait(&self) -> bool {
        matches!(self.blocking, Blocking::Pool)
    }

    /// Starts a task on this thread. It ends when it returns or when its runtime does.
    pub fn spawn_local(&self, task: impl Future<Output = ()> + 'static) {
        let guard = Guard(Arc::clone(&self.panicked));
        tokio::task::spawn_local(Guarded { task, guard });
    }
}

pin_project! {
    /// A task and its guard. An async block around the task would have room for it twice.
    struct Guarded<T> {
        #[pin]
        task: T,
        guard: Guard,
    }
}

impl<T: Future> Future for Guarded<T> {
    type Output = T::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().task.poll(context)
    }
}

/// Work that is given up when this goes, if it was not begun.
struct Awaited<T>(JoinHandle<T>);

impl<T> Drop for Awaited<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Goes when what it guards ends, also by a panic.
struct Guard(Arc<watch::Sender<bool>>);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.send_replace(true);
        }
    }
}

/// Does work when a simulated disk gets to it. As on a pool, it is done even if nobody waits for it any more.
async fn in_its_time<T: Send + 'static>(
    disk: &Arc<dyn TakesTime>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BlockingFailed> {
    let before = disk.before();
    if before.is_zero() {
        let done = work();
        wait(disk.behind()).await;
        return Ok(done);
    }
    let (disk, (tell, told)) = (Arc::clone(disk), tokio::sync::oneshot::channel());
    tokio::task::spawn_local(async move {
        wait(before).await;
        let done = work();
        wait(disk.behind()).await;
        // Nobody may wait.
        let _ = tell.send(done);
    });
    told.await.map_err(|_| BlockingFailed)
}

async fn wait(time: Duration) {
    if !time.is_zero() {
        crate::clock::sleep(time).await;
    }
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
