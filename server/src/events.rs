//! Events: what happened goes from whoever made it happen to each core, and there to the clients
//! that registered for it.

use crate::client::Closing;
use crate::shared::Phase;
use crate::worker::Worker;
use std::rc::Rc;
use tokio::sync::broadcast::error::RecvError;

/// Events that a core may be behind.
pub(crate) const MAX_EVENTS: usize = 1_024;

/// Passes events on to the clients of a core until the server stops.
pub(crate) async fn forward(worker: Rc<Worker>) {
    let mut events = worker.shared.events.subscribe();
    loop {
        match events.recv().await {
            Ok(event) => worker.tell(&event),
            Err(RecvError::Lagged(missed)) => {
                // Clients that do not know what they missed must look again.
                tracing::warn!(missed, "events came faster than they could be passed on");
                worker.close_all(Closing::Drain);
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Ends the connections of a core when the server stops.
pub(crate) async fn follow_phase(worker: Rc<Worker>) {
    let mut phase = worker.shared.phase.subscribe();
    loop {
        let now = *phase.borrow_and_update();
        match now {
            Phase::Starting | Phase::Serving => {}
            Phase::Drained | Phase::Draining => worker.close_all(Closing::Drain),
            Phase::Stopped => return worker.close_all(Closing::Now),
        }
        if phase.changed().await.is_err() {
            return;
        }
    }
}
