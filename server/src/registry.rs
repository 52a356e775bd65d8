//! The clients of all threads, as `system_views.clients` shows them.

use crate::client::State;
use crate::metrics::Counter;
use crate::settings::Settings;
use dodona_protocol::request::Startup;
use dodona_query::Session;
use dodona_query::system_tables::{ClientView, ServerView};
use dodona_types::schema::Options;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

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
    fn new(address: SocketAddr) -> Self {
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

    fn view(&self) -> ClientView {
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

/// The clients of all threads.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    clients: Mutex<(u64, BTreeMap<u64, Arc<Record>>)>,
}

impl Registry {
    /// Adds a client. Its number is for [`Self::remove`].
    pub(crate) fn add(&self, address: SocketAddr) -> (u64, Arc<Record>) {
        let record = Arc::new(Record::new(address));
        let mut clients = self.clients.lock();
        let id = clients.0;
        clients.0 += 1;
        clients.1.insert(id, Arc::clone(&record));
        (id, record)
    }

    /// Removes a client.
    pub(crate) fn remove(&self, id: u64) {
        self.clients.lock().1.remove(&id);
    }
}

/// What the tables of the server show.
pub(crate) struct View {
    pub(crate) registry: Arc<Registry>,
    pub(crate) settings: Settings,
}

impl ServerView for View {
    fn clients(&self) -> Vec<ClientView> {
        let records: Vec<Arc<Record>> = self.registry.clients.lock().1.values().cloned().collect();
        records.iter().map(|record| record.view()).collect()
    }

    fn settings(&self) -> Vec<(String, Option<String>)> {
        let Ok(serde_json::Value::Object(settings)) = serde_json::to_value(&self.settings) else {
            return Vec::new();
        };
        let text = |value: serde_json::Value| match value {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(text),
            other => Some(other.to_string()),
        };
        settings.into_iter().map(|(name, value)| (name, text(value))).collect()
    }
}
