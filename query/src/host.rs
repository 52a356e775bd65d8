//! What statements are executed on.

use crate::batch_bounds::BatchBounds;
use crate::batch_partitions::BatchPartitions;
use crate::guardrails::{Disks, Guard, Guardrails};
use crate::server_view::ServerView;
use crate::session::Session;
use dodona_cluster::Node;
use dodona_env::Random;
use std::sync::{Arc, OnceLock};

/// The node, and what else the execution of a statement draws from.
pub(crate) struct Host {
    pub(crate) node: Arc<Node>,
    pub(crate) random: Random,
    /// What the server tells of itself, once it has said so.
    pub(crate) server_view: OnceLock<Box<dyn ServerView>>,
    /// Bounds of batches, if they are not the usual ones.
    pub(crate) batch_bounds: OnceLock<BatchBounds>,
    /// How many partitions batches change.
    pub(crate) batch_partitions: BatchPartitions,
    /// What statements may ask for, if it is not the usual.
    pub(crate) guardrails: OnceLock<Guardrails>,
    usual_guardrails: Guardrails,
    disks: Disks,
    /// Seconds since the epoch.
    pub(crate) started_at_seconds: i64,
}

impl Host {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self {
            random: node.env.random.split("query"),
            server_view: OnceLock::new(),
            batch_bounds: OnceLock::new(),
            batch_partitions: BatchPartitions::default(),
            guardrails: OnceLock::new(),
            usual_guardrails: Guardrails::default(),
            disks: Disks::new(Arc::clone(&node)),
            started_at_seconds: node.env.clock.wall_seconds(),
            node,
        }
    }

    /// What statements of the server itself may ask for.
    pub(crate) const fn usual_guardrails(&self) -> &Guardrails {
        &self.usual_guardrails
    }

    /// What statements of a session may ask for.
    pub(crate) fn guardrails_of(&self, session: &Session) -> &Guardrails {
        if session.is_of_server() { self.usual_guardrails() } else { self.guardrails() }
    }

    /// Judges a statement of a session.
    pub(crate) fn guard_of(&self, session: &Session) -> Guard<'_> {
        if session.is_of_server() { self.guard_of_server() } else { self.guard() }
    }

    /// Judges a statement of a client.
    pub(crate) fn guard(&self) -> Guard<'_> {
        Guard::new(self.guardrails(), Some(&self.disks))
    }

    /// Judges a statement of the server itself.
    pub(crate) const fn guard_of_server(&self) -> Guard<'_> {
        Guard::new(&self.usual_guardrails, None)
    }

    /// What statements of clients may ask for.
    pub(crate) fn guardrails(&self) -> &Guardrails {
        self.guardrails.get().unwrap_or(&self.usual_guardrails)
    }
}
