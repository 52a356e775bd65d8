//! Which node holds what.

use crate::error::ClusterError;
use crate::metadata::Metadata;
use crate::replication::Replication;
use crate::ring::{Member, MemberIndex, Ring};
use dodona_env::collections::HashMap;
use dodona_storage::StorageError;
use dodona_types::schema::Schema;
use dodona_types::token::TokenRange;
use dodona_types::{Consistency, TableId, Token};
use std::sync::Arc;
use uuid::Uuid;

/// Which node holds what, at one schema. Immutable.
pub struct Placement {
    /// The schema, with the keyspaces that every node has.
    pub schema: Arc<Schema>,
    /// The ring as it is read.
    pub ring: Ring,
    /// The ring that is written to as well, while a member joins or leaves; its members are those of
    /// `ring`.
    pub other_side: Option<Ring>,
    /// This node's place among the ring's members.
    pub local: usize,
    /// The version of the metadata at which members last changed.
    pub version: u64,
    replication: HashMap<TableId, Arc<Replication>>,
}

impl Placement {
    /// The placement of the metadata, for the member `host`. None if it is no member.
    pub(crate) fn of(schema: Arc<Schema>, metadata: &Metadata, host: Uuid) -> Option<Self> {
        let members: Vec<Member> = metadata.members.values().cloned().collect();
        let local = members.iter().position(|member| member.host == host)?;
        Some(Self::new(schema, Ring::new(members), local, metadata.members_version))
    }

    pub(crate) fn new(schema: Arc<Schema>, ring: Ring, local: usize, version: u64) -> Self {
        let mut replication = HashMap::default();
        for keyspace in schema.keyspaces.values() {
            // What the schema holds was validated when it was created.
            let strategy =
                Arc::new(Replication::from_options(&keyspace.replication).unwrap_or(Replication::Local));
            for table in keyspace.tables.values() {
                replication.insert(table.id, Arc::clone(&strategy));
            }
        }
        let other_side = ring.is_changing().then(|| ring.other_side());
        Self { schema, ring, other_side, local, version, replication }
    }

    /// The members that hold a token of a table, in the order in which they are met on the ring.
    ///
    /// # Errors
    /// The table is not known.
    pub fn replicas(&self, table: TableId, token: Token) -> Result<Vec<MemberIndex>, ClusterError> {
        Ok(self.replication_of(table)?.replicas(&self.ring, token, self.local))
    }

    /// The members that will hold a token of a table, or held it: they are written to besides the
    /// replicas, and not read. Whoever waits for a majority and all of these has one of both sides.
    ///
    /// # Errors
    /// The table is not known.
    pub fn pending(&self, table: TableId, token: Token) -> Result<Vec<MemberIndex>, ClusterError> {
        let Some(other_side) = &self.other_side else { return Ok(Vec::new()) };
        let present = self.replicas(table, token)?;
        let mut pending = self.replication_of(table)?.replicas(other_side, token, self.local);
        pending.retain(|member| !present.contains(member));
        Ok(pending)
    }

    /// The ends of all ranges on either side of the change that is under way, in order.
    #[must_use]
    pub fn ends(&self) -> Vec<Token> {
        let rings = [Some(&self.ring), self.other_side.as_ref()];
        let mut ends: Vec<Token> = rings.into_iter().flatten().flat_map(Ring::ends).collect();
        ends.sort_unstable();
        ends.dedup();
        ends
    }

    /// The ranges of the ring of which this node holds a table, or will hold it, or held it until the
    /// change that is under way; neighbours joined.
    ///
    /// # Errors
    /// The table is not known.
    pub fn held(&self, table: TableId) -> Result<Vec<TokenRange>, ClusterError> {
        let ends = self.ends();
        let mut held: Vec<TokenRange> = Vec::new();
        let starts = ends.last().into_iter().chain(&ends);
        for (start, end) in starts.zip(&ends) {
            let holds = self.replicas(table, *end)?.contains(&self.local)
                || self.pending(table, *end)?.contains(&self.local);
            match held.last_mut() {
                _ if !holds => {}
                Some(last) if last.end == *start => last.end = *end,
                _ => held.push(TokenRange { start: *start, end: *end }),
            }
        }
        // The first one wraps: it may go on behind the last one.
        if held.len() > 1 && held.last().map(|last| last.end) == held.first().map(|first| first.start) {
            let last = held.pop();
            held[0].start = last.map_or(held[0].start, |last| last.start);
        }
        Ok(held)
    }

    pub(crate) fn replication_of(&self, table: TableId) -> Result<&Replication, ClusterError> {
        self.replication.get(&table).map(AsRef::as_ref).ok_or(StorageError::NoSuchTable(table).into())
    }

    /// True if this node alone holds the table.
    ///
    /// # Errors
    /// [`ClusterError::Unavailable`] if it alone is too few for the level.
    pub(crate) fn only_here(&self, table: TableId, consistency: Consistency) -> Result<bool, ClusterError> {
        let replication = self.replication_of(table)?;
        if self.ring.members().len() > 1 && *replication != Replication::Local {
            return Ok(false);
        }
        let required = replication.block_for(consistency, &self.ring.members()[self.local].data_center);
        if required > 1 {
            return Err(ClusterError::Unavailable { consistency, required, alive: 1, data_center: None });
        }
        Ok(true)
    }
}
