//! A thread that serves clients, and what its connections share.

use crate::buffers::Buffers;
use crate::client::{Client, Closing};
use crate::metrics::CoreMetrics;
use crate::shared::Shared;
use crate::statements::Statements;
use dodona_protocol::response::Event;
use dodona_query::statement::Scratch;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};

/// What a core is doing, for when it panics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Decoding and analysing, which hold no shared state: a panic ends the connection.
    #[default]
    Analysing,
    /// Executing: after a panic nothing can be relied on.
    Executing,
}

/// A thread that serves clients.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<CoreMetrics>,
    pub(crate) buffers: Buffers,
    pub(crate) statements: RefCell<Statements>,
    pub(crate) scratch: RefCell<Scratch>,
    pub(crate) stage: Cell<Stage>,
    clients: RefCell<BTreeMap<u64, Rc<Client>>>,
    /// Places of requests that wait for other nodes or the disk: those without one wait for their turn, so that
    /// those that have begun come to their end in time.
    places: Semaphore,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, index: usize) -> Rc<Self> {
        Rc::new(Self {
            metrics: shared.metrics.core(index),
            buffers: Buffers::default(),
            statements: RefCell::default(),
            scratch: RefCell::default(),
            stage: Cell::default(),
            clients: RefCell::default(),
            places: Semaphore::new(shared.settings.max_concurrent_requests),
            shared,
        })
    }

    /// A place for a request that waits for other nodes or the disk, in the order in which they are asked for.
    pub(crate) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.acquire().await.ok()
    }

    /// Adds a client, until what this returns is dropped.
    pub(crate) fn enter(self: &Rc<Self>, address: SocketAddr) -> Entered {
        let (id, record) = self.shared.registry.add(address);
        let client = Rc::new(Client::new(record));
        self.clients.borrow_mut().insert(id, Rc::clone(&client));
        self.metrics.connections.add(1);
        self.metrics.connections_accepted.add(1);
        Entered { worker: Rc::clone(self), client, id }
    }

    /// True if no client is connected.
    pub(crate) fn is_empty(&self) -> bool {
        self.clients.borrow().is_empty()
    }

    /// Passes an event on to the clients that want it.
    pub(crate) fn tell(&self, event: &Event) {
        for client in self.clients.borrow().values() {
            if client.wants(event.event_type()) {
                client.tell(event);
            }
        }
    }

    /// Ends all connections.
    pub(crate) fn close_all(&self, closing: Closing) {
        for client in self.clients.borrow().values() {
            client.close(closing);
        }
    }
}

/// A client's place among those of a worker.
pub(crate) struct Entered {
    worker: Rc<Worker>,
    pub(crate) client: Rc<Client>,
    id: u64,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.worker.clients.borrow_mut().remove(&self.id);
        self.worker.shared.registry.remove(self.id);
        self.worker.metrics.connections.subtract(1);
    }
}
