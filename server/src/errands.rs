//! Work for the node's own event loop, brought there from tasks that run elsewhere: the service for
//! operators starts its tasks by itself, outside of it.

use dodona_env::Tasks;
use dodona_env::net::BoxFuture;
use std::future::Future;
use tokio::sync::{mpsc, oneshot};

type Errand = BoxFuture<'static, ()>;

/// Takes work to the event loop.
pub(crate) struct Errands(mpsc::UnboundedSender<Errand>);

/// Gives it out there.
pub(crate) struct Inbox(mpsc::UnboundedReceiver<Errand>);

/// Both ends.
pub(crate) fn channel() -> (Errands, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Errands(sender), Inbox(receiver))
}

impl Errands {
    /// Has the event loop do something, and waits for what comes of it. It is done to its end even if
    /// nobody waits any more. None if the server stops.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (done, end) = oneshot::channel();
        let errand = Box::pin(async move {
            // Nobody may be waiting any more.
            let _ = done.send(work.await);
        });
        self.0.send(errand).ok()?;
        end.await.ok()
    }
}

impl Inbox {
    /// Starts what comes on this thread, until the server stops.
    pub(crate) async fn serve(mut self, tasks: Tasks) {
        while let Some(errand) = self.0.recv().await {
            tasks.spawn_local(errand);
        }
    }
}
