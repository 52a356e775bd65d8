//! What becomes known of the repairs that a node leads, for whoever keeps a record of them.

use super::options::Options;
use dodona_types::TableId;
use dodona_types::token::TokenRange;
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

/// A repair of a table that the node leads.
#[derive(Clone, Debug)]
pub struct Led {
    /// Its id, a timeuuid.
    pub id: Uuid,
    /// The table.
    pub table: TableId,
    /// What was asked for.
    pub options: Options,
    /// The ranges.
    pub ranges: Vec<TokenRange>,
}

/// Ranges of a repair that the same replicas hold: what Cassandra calls a session.
#[derive(Clone, Debug)]
pub struct LedRanges {
    /// Their id, a timeuuid.
    pub id: Uuid,
    /// The id of their comparison and of what comes of it.
    pub job: Uuid,
    /// Each with an id of its own, a timeuuid.
    pub ranges: Vec<(Uuid, TokenRange)>,
    /// The other replicas, by their addresses for nodes.
    pub others: Vec<SocketAddr>,
}

/// What has happened.
#[derive(Clone, Debug)]
pub enum Step {
    /// The repair has begun.
    Began,
    /// Some of its ranges are repaired from now on.
    RangesBegan(Arc<LedRanges>),
    /// All replicas have hashed them; from now on each fetches what it lacks.
    RangesHashed(Arc<LedRanges>),
    /// They are repaired, or why not.
    RangesEnded(Arc<LedRanges>, Result<(), String>),
    /// All of it has ended, or why it failed.
    Ended(Result<(), String>),
}

/// What has happened to which repair.
#[derive(Clone, Debug)]
pub struct Event {
    /// The repair.
    pub led: Arc<Led>,
    /// What has happened.
    pub step: Step,
    /// Milliseconds since the epoch.
    pub at_millis: i64,
}
