//! What a connection tells of itself to other threads.

use crate::metrics::Counter;
use dodona_protocol::request::Startup;
use dodona_query::Session;
use dodona_query::system_tables::ClientView;
use dodona_types::schema::Options;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// STARTUP has to come.
    Fresh,
    /// Credentials have to come.
    Authenticating,
    /// Statements may come.
    Ready,
}

/// Bytes of a client's options that are kept.
const MAX_OPTION_BYTES: usize = 4 << 10;

/// What other threads may know of a client.
#[derive(Debug)]
pub(crate) struct Record {
    /// Its session.
    pub(crate) session: Session,
    /// Its requests.
    pub(crate) requests: Counter,
    options: Mutex<Options>,
    stage: AtomicU8,
    version: AtomicU8,
}

impl Record {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            session: Session::new(address),
            requests: Counter::default(),
            options: Mutex::default(),
            stage: AtomicU8::new(State::Fresh as u8),
            version: AtomicU8::new(0),
        }
    }

    /// Notes what STARTUP said.
    pub(crate) fn started(&self, version: u8, startup: &Startup<'_>) {
        self.version.store(version, Relaxed);
        let bytes: usize = startup.options.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes <= MAX_OPTION_BYTES {
            let owned = startup.options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            *self.options.lock() = owned.collect();
        }
    }

    /// Notes how far the client has come.
    pub(crate) fn set_stage(&self, state: State) {
        self.stage.store(state as u8, Relaxed);
    }

    /// What an operator sees of it.
    pub(crate) fn view(&self) -> ClientView {
        let stages = ["established", "authenticating", "ready"];
        ClientView {
            address: self.session.client,
            options: self.options.lock().clone(),
            stage: stages.get(usize::from(self.stage.load(Relaxed))).copied().unwrap_or("established"),
            keyspace: self.session.keyspace().map(|keyspace| keyspace.to_string()),
            protocol_version: self.version.load(Relaxed),
            requests: self.requests.get(),
            role: self.session.role.lock().as_deref().map(str::to_owned),
            tls: None,
        }
    }
}
