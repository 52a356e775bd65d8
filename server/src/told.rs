//! Which metadata of results clients have been told.

use dodona_env::collections::HashMap;
use dodona_query::Prepared;
use dodona_query::prepared::StatementId;
use parking_lot::Mutex;

/// Statements whose metadata clients have been told of. For those beyond, it is always sent.
const MAX_TOLD: usize = 100_000;

/// Which metadata clients have been told when they prepared a statement.
#[derive(Default)]
pub(crate) struct Told {
    /// The metadata's id, or nothing where clients have been told different ones.
    by_id: Mutex<HashMap<StatementId, Option<[u8; 16]>>>,
}

impl Told {
    /// Notes what a client is told.
    pub(crate) fn tell(&self, statement: &Prepared) {
        let mut by_id = self.by_id.lock();
        let has_room = by_id.len() < MAX_TOLD;
        match by_id.get_mut(&statement.id) {
            Some(known) if *known == Some(statement.result_id) => {}
            Some(known) => *known = None,
            None if has_room => {
                by_id.insert(statement.id, Some(statement.result_id));
            }
            None => {}
        }
    }

    /// True if every client that prepared the statement knows its present metadata.
    pub(crate) fn all_know(&self, statement: &Prepared) -> bool {
        self.by_id.lock().get(&statement.id) == Some(&Some(statement.result_id))
    }
}
