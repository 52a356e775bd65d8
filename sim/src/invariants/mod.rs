//! The judges: each says whether what was read breaks one promise.

pub mod atomic;
pub mod delivered;
pub mod durability;
pub mod emptied;
pub mod equal;
pub mod levels;
pub mod linearizable;
pub mod overlap;
pub mod phantom;
pub mod schema;

use crate::model::{Model, RowId};

/// A row as it was read: timestamp and value.
pub type Seen = Option<(i64, u64)>;

/// Asks all judges.
///
/// # Errors
/// The promise that is broken.
pub fn judge(model: &Model, row: RowId, seen: Seen) -> Result<(), String> {
    phantom::judge(model, row, seen)?;
    durability::judge(model, row, seen)
}
