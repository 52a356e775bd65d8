//! The clients of all threads, as `system_views.clients` shows them.

use crate::metrics::Metrics;
use crate::process::Process;
use crate::record::Record;
use crate::settings::Settings;
use dodona_query::system_tables::{ClientView, LogLine, PoolView, RunningView, ServerView};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

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

    /// True if no client is connected.
    pub(crate) fn is_empty(&self) -> bool {
        self.clients.lock().1.is_empty()
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
    pub(crate) metrics: Metrics,
    pub(crate) process: Process,
}

impl ServerView for View {
    fn clients(&self) -> Vec<ClientView> {
        let records: Vec<Arc<Record>> = self.registry.clients.lock().1.values().cloned().collect();
        records.iter().map(|record| record.view()).collect()
    }

    fn requests(&self) -> PoolView {
        let active = self.metrics.sum(|core| core.executing.get());
        let pending = self.metrics.sum(|core| core.waiting.get());
        PoolView {
            name: "Native-Transport-Requests",
            active,
            limit: Some((self.settings.max_concurrent_requests * self.metrics.cores()) as u64),
            pending,
            completed: self.metrics.requests().saturating_sub(active + pending),
        }
    }

    fn running(&self) -> Vec<RunningView> {
        self.metrics.running()
    }

    fn executed(&self) -> (u64, u64) {
        (self.metrics.sum(|core| core.regular.get()), self.metrics.sum(|core| core.prepared.get()))
    }

    fn properties(&self) -> Vec<(String, String)> {
        self.process.properties.clone()
    }

    fn log(&self) -> Vec<LogLine> {
        self.process.log.as_ref().map_or_else(Vec::new, |log| log.lines())
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
        // Keys of a section stand with the others, as Cassandra has them.
        let keys = settings.into_iter().flat_map(|(name, value)| match value {
            serde_json::Value::Object(section) => section.into_iter().collect(),
            value => vec![(name, value)],
        });
        let mut keys: Vec<_> = keys.map(|(name, value)| (name, text(value))).collect();
        keys.sort();
        keys
    }
}
