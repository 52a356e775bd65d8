//! What statements may ask for: what is allowed at all, and bounds (Cassandra `Guardrails`).

use serde::{Deserialize, Serialize};

/// Settings of what statements may ask for, with the names and defaults of Cassandra's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guardrails {
    /// Allow `ALTER TABLE .. DROP COMPACT STORAGE`.
    pub drop_compact_storage_enabled: bool,
}
