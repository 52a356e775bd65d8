//! A thread that serves clients: what its connections share, and what all threads share.

use crate::admission::Admission;
use crate::auth::Authenticator;
use crate::client::{Client, Closing};
use crate::inbound::READ_BYTES;
use crate::metrics::{CoreMetrics, Metrics};
use crate::registry::Registry;
use crate::settings::Settings;
use crate::statements::{Statements, Told};
use bytes::BytesMut;
use dodona_cluster::Node;
use dodona_protocol::response::Event;
use dodona_query::Processor;
use dodona_query::statement::Scratch;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{broadcast, watch};

/// Buffers that a core keeps for reuse.
const SPARE_BUFFERS: usize = 32;
/// Bytes of an output buffer when it is new.
const SEND_BYTES: usize = 16 << 10;
/// A longer output buffer is not kept.
const MAX_SPARE_SEND_BYTES: usize = 256 << 10;

/// How far a server is from its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It serves.
    #[default]
    Serving,
    /// It takes nothing new, and answers what is in flight.
    Draining,
    /// It is over.
    Stopped,
}

/// What all threads of a server share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) node: Arc<Node>,
    pub(crate) processor: Arc<Processor>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) metrics: Metrics,
    pub(crate) authenticator: Authenticator,
    pub(crate) tls: Option<tokio_rustls::TlsAcceptor>,
    /// What clients have been told of prepared statements.
    pub(crate) told: Told,
    /// What happened, for the clients that registered for it.
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) phase: watch::Sender<Phase>,
    /// Why the server has to stop, once it has to.
    pub(crate) failure: watch::Sender<Option<String>>,
}

impl Shared {
    /// Notes that the server cannot go on.
    pub(crate) fn fail(&self, reason: &str) {
        tracing::error!(reason, "the server must stop");
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert_with(|| reason.to_owned());
            first
        });
    }
}

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
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, index: usize) -> Rc<Self> {
        Rc::new(Self {
            metrics: shared.metrics.core(index),
            shared,
            buffers: Buffers::default(),
            statements: RefCell::default(),
            scratch: RefCell::default(),
            stage: Cell::default(),
            clients: RefCell::default(),
        })
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

/// Buffers that connections borrow while they have something to read or to send, so that one that
/// is idle holds none.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    inbound: RefCell<Vec<Vec<u8>>>,
    outbound: RefCell<Vec<BytesMut>>,
}

impl Buffers {
    /// A buffer to read into: all of its length may be overwritten.
    pub(crate) fn take_inbound(&self) -> Vec<u8> {
        self.inbound.borrow_mut().pop().unwrap_or_else(|| vec![0; READ_BYTES])
    }

    /// Gives a buffer back.
    pub(crate) fn give_inbound(&self, buffer: Vec<u8>) {
        let mut spare = self.inbound.borrow_mut();
        if buffer.len() == READ_BYTES && spare.len() < SPARE_BUFFERS {
            spare.push(buffer);
        }
    }

    /// An empty buffer to write into.
    pub(crate) fn take_outbound(&self) -> BytesMut {
        self.outbound.borrow_mut().pop().unwrap_or_else(|| BytesMut::with_capacity(SEND_BYTES))
    }

    /// Gives a buffer back.
    pub(crate) fn give_outbound(&self, mut buffer: BytesMut) {
        let mut spare = self.outbound.borrow_mut();
        if (SEND_BYTES..=MAX_SPARE_SEND_BYTES).contains(&buffer.capacity()) && spare.len() < SPARE_BUFFERS {
            buffer.clear();
            spare.push(buffer);
        }
    }
}
