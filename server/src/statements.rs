//! Prepared statements as a core finds them, with the metadata of their rows encoded.

use crate::convert::{bound_value, result_metadata};
use crate::shared::Shared;
use dodona_env::collections::HashMap;
use dodona_protocol::request::{self, Batch, BatchStatement};
use dodona_protocol::{EncodedMetadata, RowsOptions, Version};
use dodona_query::BatchEntry;
use dodona_query::prepared::StatementId;
use dodona_query::{CqlError, Prepared, Session};
use std::rc::Rc;
use std::sync::Arc;

/// Statements that a core keeps at hand.
const MAX_AT_HAND: usize = 10_000;

/// A statement and the metadata of its rows.
pub(crate) struct Cached {
    pub(crate) statement: Arc<Prepared>,
    pub(crate) metadata: EncodedMetadata,
    /// Every client that prepared it was told this metadata.
    known_to_all: bool,
}

impl Cached {
    /// A statement that is executed without having been prepared.
    pub(crate) fn unprepared(statement: Prepared) -> Rc<Self> {
        Rc::new(Self {
            metadata: result_metadata(&statement),
            statement: Arc::new(statement),
            known_to_all: false,
        })
    }

    /// How the metadata of its rows is sent to a client that has the metadata of id
    /// `result_metadata_id` (from version 5 on).
    ///
    /// Before version 5 the client cannot say which metadata it has: it is left out only if
    /// whoever prepared the statement was told the present one.
    #[inline]
    pub(crate) fn options(
        &self,
        version: Version,
        skip_metadata: bool,
        result_metadata_id: Option<&[u8]>,
    ) -> RowsOptions<'_> {
        let new_metadata_id = match result_metadata_id {
            Some(id) if version >= Version::V5 && *id != self.statement.result_id => {
                Some(&self.statement.result_id[..])
            }
            _ => None,
        };
        let known = version >= Version::V5 || self.known_to_all;
        RowsOptions { skip_metadata: skip_metadata && known, new_metadata_id }
    }
}

/// The prepared statements that a core has at hand, all of one epoch of the schema.
#[derive(Default)]
pub(crate) struct Statements {
    epoch: u64,
    by_id: HashMap<StatementId, Rc<Cached>>,
}

impl Statements {
    /// Forgets what another epoch of the schema made stale.
    #[inline]
    pub(crate) fn refresh(&mut self, epoch: u64) {
        if self.epoch != epoch {
            self.by_id.clear();
            self.epoch = epoch;
        }
    }

    /// The statement with this id.
    ///
    /// # Errors
    /// There is none, or it makes no sense any more.
    #[inline]
    pub(crate) fn get(&mut self, shared: &Shared, id: &[u8]) -> Result<Rc<Cached>, CqlError> {
        let Ok(key) = StatementId::try_from(id) else {
            return Err(CqlError::Unprepared(id.to_vec()));
        };
        match self.by_id.get(&key) {
            Some(cached) => Ok(Rc::clone(cached)),
            None => self.load(shared, key),
        }
    }

    /// The statements of a batch with their values.
    ///
    /// # Errors
    /// One is not there, or makes no sense.
    pub(crate) fn entries<'a>(
        &mut self,
        shared: &Shared,
        session: &Session,
        batch: &Batch<'a>,
    ) -> Result<Vec<BatchEntry<'a>>, CqlError> {
        let entry = |entry: BatchStatement<'a>| {
            let statement = match entry.id {
                request::StatementId::Prepared(id) => Arc::clone(&self.get(shared, id)?.statement),
                request::StatementId::Text(text) => {
                    let keyspace = batch.parameters.keyspace;
                    Arc::new(shared.processor.analyse(session, text, keyspace)?)
                }
            };
            Ok(BatchEntry { statement, values: entry.values.iter().map(bound_value).collect() })
        };
        batch.statements.iter().map(entry).collect()
    }

    #[cold]
    fn load(&mut self, shared: &Shared, id: StatementId) -> Result<Rc<Cached>, CqlError> {
        let statement = shared.processor.prepared(&id)?;
        let cached = Rc::new(Cached {
            metadata: result_metadata(&statement),
            known_to_all: shared.told.all_know(&statement),
            statement,
        });
        if cached.statement.epoch == self.epoch {
            if self.by_id.len() >= MAX_AT_HAND {
                self.by_id.clear();
            }
            self.by_id.insert(id, Rc::clone(&cached));
        }
        Ok(cached)
    }
}
