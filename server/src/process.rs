//! What the program around a server tells of the process, for clients to read.

use dodona_query::system_tables::LogLine;
use std::sync::Arc;

/// A log that keeps its last lines.
pub trait Log: Send + Sync {
    /// The last lines, the oldest first.
    fn lines(&self) -> Vec<LogLine>;
}

/// What a server's clients may know of the process that it is in.
#[derive(Clone, Default)]
pub struct Process {
    /// What it is and runs on, by names: `system_views.system_properties`.
    pub properties: Vec<(String, String)>,
    /// Its log: `system_views.system_logs`.
    pub log: Option<Arc<dyn Log>>,
}
