//! What all threads of a server share.

use crate::admission::Admission;
use crate::auth::Authenticator;
use crate::errands::Errands;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::settings::Settings;
use crate::tls::Certificates;
use crate::told::Told;
use crate::trace_share::TraceShare;
use dodona_cluster::Node;
use dodona_env::watch;
use dodona_protocol::response::Event;
use dodona_query::Processor;
use std::sync::Arc;
use tokio::sync::broadcast;

/// How far a server is on its way from its start to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It joins its cluster, or prepares what it serves: operators alone are served, and see how far it is.
    #[default]
    Starting,
    /// It serves.
    Serving,
    /// An operator drained it: it takes no clients any more, and operators alone are served.
    Drained,
    /// It stops: it takes nothing new, and answers what is in flight.
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
    pub(crate) errands: Errands,
    pub(crate) metrics: Metrics,
    pub(crate) authenticator: Authenticator,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) trace_share: TraceShare,
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
