//! Which tables were truncated since a moment: what was begun before must not come to them afterwards.

use dodona_types::TableId;
use std::collections::BTreeMap;

/// Truncations since the start of the node.
#[derive(Debug, Default)]
pub(crate) struct Truncations {
    /// How many.
    era: u64,
    /// Up to which of them each table was truncated.
    until: BTreeMap<TableId, u64>,
}

impl Truncations {
    /// The present moment, in their order.
    pub(crate) const fn era(&self) -> u64 {
        self.era
    }

    /// A table is truncated.
    pub(crate) fn begin(&mut self, table: TableId) {
        self.era += 1;
        self.until.insert(table, self.era);
    }

    /// True if a table was truncated since `era`.
    pub(crate) fn is_since(&self, table: TableId, era: u64) -> bool {
        self.until.get(&table).is_some_and(|until| *until > era)
    }
}
